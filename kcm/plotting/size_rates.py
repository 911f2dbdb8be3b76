"""The picture of rates at which right models are rejected."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kcm.plotting.axes import LINE, legend, new_axes

__all__ = ["draw_rates"]


def draw_rates(
    names: Sequence[str],
    rates: Sequence[float],
    errors: Sequence[float],
    used: Sequence[bool],
    level: float,
    ax: Any = None,
) -> Any:
    """Draw one point per rate, the first on top, with two standard errors; filled for the law used.

    Parameters
    ----------
    names : sequence of str
    rates, errors : sequence of float
        Shares and their standard errors.
    used : sequence of bool
    level : float
    ax : matplotlib Axes, optional
        Default: a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    OptionError
        When matplotlib is not installed.
    """
    axes = new_axes(ax, (7.2, 1.6 + 0.35 * len(names)))
    rows, values, bse = np.arange(len(names)), np.array(rates), np.array(errors)
    axes.hlines(rows, np.maximum(values - 2 * bse, 0), values + 2 * bse, color=LINE, linewidth=1.0)
    colors = [LINE if own else "white" for own in used]
    axes.scatter(values, rows, c=colors, edgecolors=LINE, zorder=3)
    axes.axvline(level, color=LINE, linestyle="--", linewidth=1.0, label=f"level {level:g}")
    axes.set_yticks(rows, names, fontsize="small")
    axes.set(ylim=(len(names) - 0.5, -0.5), xlabel="share of right models rejected")
    axes.set_xlim(left=0, right=1.1 * max(float((values + 2 * bse).max()), 2 * level))
    axes.set_title("Size check")
    legend(axes)
    return axes
