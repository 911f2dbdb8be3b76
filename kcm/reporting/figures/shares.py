"""The picture of what each variable contributes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from kcm.null import pvalue_text
from kcm.reporting.figures.axes import LINE, MARKED, new_axes
from kcm.reporting.figures.text import name_axes, name_places, set_title

__all__ = ["EXACT", "draw_shares"]

LEVEL = 0.05
EXACT = "fitted exactly"
# p-values that print as 1.
NOTHING = 0.99995


def draw_shares(
    names: Sequence[str],
    shares: Float[np.ndarray, " d"],
    pvalues: Float[np.ndarray, " d"],
    exact: Bool[np.ndarray, " d"],
    ax: Any = None,
) -> Any:
    """Draw one bar per variable with a share, the first on top; filled where p is at most .05.

    Parameters
    ----------
    names : sequence of str
    shares : ndarray of shape (d,)
        NaN where no variable has any.
    pvalues : ndarray of shape (d,)
        Adjusted.
    exact : ndarray of bool, shape (d,)
        Variables whose cells are fitted exactly, which the picture says instead of p = 1.
    """
    axes = new_axes(ax, (6.4, 1.4 + 0.4 * len(names)))
    rows, widths = np.arange(len(names)), np.nan_to_num(shares)
    right = 1.45 * max(widths.max(initial=0.0), 0.2)
    chosen = widths > 0
    colors = [MARKED if p <= LEVEL else "white" for p in pvalues[chosen]]
    style = {"height": 0.6, "color": colors, "edgecolor": LINE, "linewidth": 0.8}
    axes.barh(rows[chosen], widths[chosen], **style)
    for row, width, p, one in zip(rows, widths, pvalues, exact, strict=True):
        told = EXACT if one else _told(width, p)
        axes.text(width + 0.012 * right, row, told, va="center", fontsize="small")
    name_places(axes, "y", rows, names)
    axes.set(xlim=(0, right), ylim=(len(names) - 0.5, -0.5))
    # the room on the right is for words: no share is above 1
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= min(right, 1.0)])
    name_axes(axes, "share of n x MMR, each variable alone")
    set_title(axes, "Which variable?", beside_rows=True)
    return axes


def _told(share: float, pvalue: float) -> str:
    words = [] if share > 0 else ["no share"]
    if share > 0 or pvalue < NOTHING:
        words.append(f"p = {pvalue_text(pvalue)}")
    return ", ".join(words)
