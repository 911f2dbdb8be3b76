"""The picture of several p-values that were combined into one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kcm.null import pvalue_text
from kcm.reporting.figures.axes import LINE, new_axes
from kcm.reporting.figures.text import legend, name_axes, name_places, set_title

__all__ = ["draw_members"]

# Smaller p-values stand at the end of the axis, as arrows.
SMALLEST = 1e-12
LARGEST_END = 1e-3


def draw_members(
    names: Sequence[str],
    pvalues: Sequence[float],
    combined: float,
    level: float,
    hypothesis: str,
    ax: Any = None,
) -> Any:
    """Draw one p-value per row on a logarithmic line, and the combined one below them.

    Parameters
    ----------
    names : sequence of str
        What each p-value is of.
    pvalues : sequence of float
    combined : float
        The p-value that they make together.
    level : float
        A dashed line.
    hypothesis : str
    """
    axes = new_axes(ax, (6.4, 2.2 + 0.36 * len(names)))
    rows, last = np.arange(len(names)), len(names) + 0.2
    every = np.array([*pvalues, combined])
    least = max(min(float(every.min()), level), SMALLEST)
    left = min(least / 4, LARGEST_END)
    axes.hlines([*rows, last], left, 1.0, color="0.85", linewidth=0.8, zorder=1)
    axes.axhline(len(names) - 0.4, color=LINE, linewidth=0.6)
    axes.axvline(level, color=LINE, linestyle="--", linewidth=1.0, label=f"level {level:.3g}")
    _draw(axes, np.array(pvalues), rows, "white", "one kernel", left)
    _draw(axes, every[-1:], np.array([last]), LINE, "together", left)
    axes.set(xscale="log", xlim=(left, 1.6), ylim=(last + 0.6, -0.6))
    together = f"all {len(names)}, p = {pvalue_text(combined)}"
    name_places(axes, "y", [*rows, last], [*names, together], "small")
    name_axes(axes, "p-value")
    set_title(axes, f"Tests of {hypothesis}", beside_rows=True)
    legend(axes, 3, beside_rows=True)
    return axes


def _draw(ax: Any, pvalues: Any, rows: Any, color: str, told: str, left: float) -> None:
    style = {"linestyle": "none", "color": LINE, "markerfacecolor": color, "zorder": 3}
    inside = np.maximum(pvalues, 1.5 * left)
    ax.plot(inside, rows, marker="o", markersize=6.5, label=told, **style)
    beyond = pvalues < left
    # 8: a caret to the left
    ax.plot(np.full(beyond.sum(), 1.1 * left), rows[beyond], marker=8, markersize=6, **style)
