"""The picture of a comparison: p-values on a logarithmic axis."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from kcm.reporting import LINE, legend, name_axes, name_places, new_axes, set_title

__all__ = ["draw"]

_LEVELS = MappingProxyType({0.01: ":", 0.05: "--", 0.10: "-."})
# Smaller p-values are drawn at the end of the axis, as arrows.
_SMALLEST = 1e-6
_MARKS: MappingProxyType[str, dict[str, str]] = MappingProxyType(
    {
        "consistent test of the mean": {"marker": "o", "markerfacecolor": "black"},
        "other test of the mean": {"marker": "o", "markerfacecolor": "white"},
        "test of the instruments": {"marker": "s", "markerfacecolor": "white"},
        "concerns the variance": {"marker": "x"},
    }
)


def draw(
    names: Sequence[str],
    pvalues: Float[np.ndarray, " m"],
    kinds: Sequence[str],
    title: str,
    ax: Any = None,
) -> Any:
    """Draw one mark per test, the first on top.

    Parameters
    ----------
    names : sequence of str
    pvalues : ndarray of shape (m,)
        NaN where the test was not computed.
    kinds : sequence of str
        What each mark stands for.
    title : str
    """
    axes = new_axes(ax, (6.4, 2.3 + 0.3 * len(names)))
    _draw_levels(axes)
    rows = np.arange(len(names))
    for kind in _MARKS:
        _draw_marks(axes, rows, pvalues, np.array([one == kind for one in kinds]), kind)
    _say_what_is_missing(axes, rows[np.isnan(pvalues)])
    axes.set(xscale="log", xlim=(_SMALLEST / 2, 1.4), ylim=(len(names) - 0.5, -0.5))
    name_axes(axes, "p-value")
    set_title(axes, title, beside_rows=True)
    name_places(axes, "y", rows, names)
    legend(axes, beside_rows=True)
    return axes


def _draw_levels(ax: Any) -> None:
    for level, style in _LEVELS.items():
        ax.axvline(level, color=LINE, linestyle=style, linewidth=0.8, label=f"level {level:.2f}")


def _draw_marks(
    ax: Any,
    rows: np.ndarray,
    pvalues: Float[np.ndarray, " m"],
    chosen: Bool[np.ndarray, " m"],
    kind: str,
) -> None:
    inside, beyond = chosen & (pvalues >= _SMALLEST), chosen & (pvalues < _SMALLEST)
    style = {"color": "black", "linestyle": "none", "markersize": 6, **_MARKS[kind]}
    if (inside | beyond).any():
        ax.plot(pvalues[inside], rows[inside], label=kind, **style)
    for row in rows[beyond]:
        ax.plot(_SMALLEST * 1.8, row, **style)
        ax.plot(_SMALLEST, row, color="black", marker=8, markersize=6)  # 8: a caret to the left


def _say_what_is_missing(ax: Any, rows: np.ndarray) -> None:
    for row in rows:
        ax.text(_SMALLEST, row, "not computed", va="center", fontsize="small", color="0.35")
