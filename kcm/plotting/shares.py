"""The picture of what each variable contributes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from kcm.plotting.axes import new_axes
from kcm.report import pvalue_text

__all__ = ["draw_shares"]

LEVEL = 0.05


def draw_shares(
    names: Sequence[str],
    shares: Float[np.ndarray, " d"],
    pvalues: Float[np.ndarray, " d"],
    ax: Any = None,
) -> Any:
    """Draw one bar per variable, the first on top; filled where p is at most .05.

    Parameters
    ----------
    names : sequence of str
    shares : ndarray of shape (d,)
        NaN where no variable has any.
    pvalues : ndarray of shape (d,)
        Adjusted.
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
    axes = new_axes(ax, (6.4, 1.4 + 0.4 * len(names)))
    rows, widths = np.arange(len(names)), np.nan_to_num(shares)
    colors = ["0.35" if p <= LEVEL else "white" for p in pvalues]
    axes.barh(rows, widths, height=0.6, color=colors, edgecolor="black", linewidth=0.8)
    for row, width, p in zip(rows, widths, pvalues, strict=True):
        axes.text(width + 0.01, row, f"p = {pvalue_text(p)}", va="center", fontsize="small")
    axes.set_yticks(rows, names)
    axes.set(xlim=(0, 1.25 * max(widths.max(initial=0.0), 0.2)), ylim=(len(names) - 0.5, -0.5))
    axes.set(xlabel="share of n x MMR, each variable alone", title="Which variable?")
    return axes
