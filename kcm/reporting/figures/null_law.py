"""The picture of a null law, the statistic and the critical value."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from kcm.null import NullDistribution, pvalue_text
from kcm.reporting.figures.axes import BAND, LINE, new_axes
from kcm.reporting.figures.text import legend, name_axes, set_title

__all__ = ["draw_null"]

POINTS = 120
# The law is drawn between these upper-tail probabilities.
ENDS = (0.998, 0.0005)
# No farther from the quartiles than so many of their distances: far tails leave nothing to be seen.
REACH = 12.0
# A statistic farther out than this many widths of the law stands at the edge, as an arrow.
FARTHEST = 2.0


def draw_null(
    law: NullDistribution,
    draws: Float[np.ndarray, " b"] | None,
    statistic: float,
    pvalue: float,
    critical: tuple[float, float],
    words: tuple[str, str],
    ax: Any = None,
) -> Any:
    """Draw the density of a law, or the histogram of draws, with two vertical lines.

    Parameters
    ----------
    law : NullDistribution
    draws : ndarray of shape (b,), optional
        Of a law that was drawn.
    statistic, pvalue : float
    critical : (float, float)
        The critical value, NaN or infinite where it is not known, and its level.
    words : (str, str)
        What the statistic and the null hypothesis are.
    """
    axes = new_axes(ax)
    if draws is None:
        low, high = _ends(law)
        middle, density = _density(law, low, high)
        axes.fill_between(middle, density, color=BAND, linewidth=0)
        axes.plot(middle, density, color=LINE, linewidth=1.0, label="null law")
    else:
        low, high = float(draws.min()), float(draws.max())
        style = {"color": BAND, "edgecolor": LINE, "linewidth": 0.6}
        axes.hist(draws, bins=40, density=True, label=f"{len(draws):,} draws", **style)
    value, level = critical
    if math.isfinite(value):
        told = f"critical value ({level:.3g})"
        axes.axvline(value, color=LINE, linestyle="--", linewidth=1.0, label=told)
    _draw_statistic(axes, statistic, pvalue, low, high)
    name_axes(axes, f"statistic ({words[0]})", "density")
    set_title(axes, f"Null law of {words[1]}")
    axes.set_ylim(bottom=0)
    legend(axes)
    return axes


def _ends(law: NullDistribution) -> tuple[float, float]:
    lowest, first, third, highest = map(law.critical_value, (ENDS[0], 0.75, 0.25, ENDS[1]))
    reach = REACH * (third - first)
    return max(lowest, first - reach), min(highest, third + reach)


def _density(
    law: NullDistribution, low: float, high: float
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Return middles and differences of the distribution function."""
    edges = np.linspace(low, high, POINTS + 1)
    tails = np.array([law.pvalue(float(edge)) for edge in edges])
    return (edges[1:] + edges[:-1]) / 2, np.maximum(-np.diff(tails), 0) / np.diff(edges)


def _draw_statistic(ax: Any, statistic: float, pvalue: float, low: float, high: float) -> None:
    farthest = high + FARTHEST * (high - low)
    told = f"statistic {statistic:.4g}, p = {pvalue_text(pvalue)}"
    if statistic <= farthest:
        ax.axvline(statistic, color=LINE, linewidth=2.0, label=told)
        return
    ax.set_xlim(right=high + 0.25 * (high - low))
    edge, top = ax.get_xlim()[1], ax.get_ylim()[1]
    start = edge - 0.2 * (high - low)
    ax.plot([start, edge], 2 * [top / 3], color=LINE, linewidth=2.0, label=f"{told} (beyond)")
    ax.plot(edge, top / 3, color=LINE, marker=9, markersize=8, clip_on=False)  # 9: a caret
