"""The picture of rates at which right models are rejected."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from kcm.reporting.figures.axes import LINE, new_axes
from kcm.reporting.figures.text import legend, name_axes, name_places, set_title

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
    """
    axes = new_axes(ax, (7.2, 1.9 + 0.35 * len(names)))
    rows, values, bse = np.arange(len(names)), np.array(rates), np.array(errors)
    for words, color, chosen in _marks(np.array(used)):
        style = {"color": color, "edgecolors": LINE, "label": words, "zorder": 3}
        axes.scatter(values[chosen], rows[chosen], **style)
    low, high = np.maximum(values - 2 * bse, 0), values + 2 * bse
    axes.hlines(rows, low, high, color=LINE, linewidth=1.0, label="two standard errors")
    axes.axvline(level, color=LINE, linestyle="--", linewidth=1.0, label=f"level {level:g}")
    name_places(axes, "y", rows, names, "small")
    axes.set(ylim=(len(names) - 0.5, -0.5))
    name_axes(axes, "share of right models rejected")
    axes.set_xlim(left=0, right=1.1 * max(float(high.max()), 2 * level))
    set_title(axes, "Size check", beside_rows=True)
    legend(axes, beside_rows=True)
    return axes


def _marks(
    used: Bool[np.ndarray, " k"],
) -> list[tuple[str, str, Bool[np.ndarray, " k"]]]:
    """Return words, colour and rows of each kind of mark that there is."""
    kinds = [("law used", LINE, used), ("another law", "white", ~used)]
    return [kind for kind in kinds if kind[2].any()]
