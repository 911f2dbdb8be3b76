"""Confidence sets: the parameter values that a specification test keeps."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd
from jaxtyping import Float

from kcm._records import fix_arrays
from kcm.exceptions import OptionError
from kcm.reporting import BAND, LINE, Summary, name_axes, new_axes, set_title

__all__ = ["ConfidenceSet"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ConfidenceSet:
    """The values of one or two parameters at which the moment is not rejected.

    Attributes
    ----------
    names : tuple of str
        The parameters.
    level : float
        Coverage.
    intervals : tuple of (float, float)
        For one parameter: the region, in order; infinite ends where it is unbounded, empty when
        every value is rejected. For two: the ranges of the two in the region, on the grid.
    truncated : tuple of (bool, bool)
        For each parameter whether the region reaches the lower and the upper end of the values
        that were tried, so that it may go on beyond them.
    exhaustive : bool
        Whether the values tried stand for all values, as those of the default grid of one
        parameter do.
    values : ndarray of shape (m, k)
        The values tried, in order.
    pvalues : ndarray of shape (m,)
        The p-value at each of them; NaN where it could not be computed.
    estimate : tuple of float
        The point estimate.

    Examples
    --------
    >>> import numpy as np
    >>> import kcm
    >>> z, u, e = np.random.default_rng(0).normal(size=(3, 200))
    >>> data = {"price": z + u, "cost": z, "sales": 3 - 2 * (z + u) + u + e}
    >>> results = kcm.MMR.from_formula("sales ~ price | cost", data).fit()
    >>> region = results.confidence_set("price")
    >>> region.contains(-2.0), region.is_empty
    (True, False)
    """

    names: tuple[str, ...]
    level: float
    intervals: tuple[tuple[float, float], ...]
    truncated: tuple[tuple[bool, bool], ...]
    exhaustive: bool
    values: Float[np.ndarray, "m k"]
    pvalues: Float[np.ndarray, " m"]
    estimate: tuple[float, ...]

    def __post_init__(self) -> None:
        fix_arrays(self)

    def __repr__(self) -> str:
        return f"ConfidenceSet({', '.join(self.names)}: {self.describe()})"

    def _repr_html_(self) -> str:
        return self.summary().as_html()

    @property
    def is_empty(self) -> bool:
        """Whether no value tried is kept."""
        return not self.intervals

    @property
    def is_bounded(self) -> bool:
        """Whether the region ends on both sides within the values tried."""
        ends = np.array(self.intervals)
        return bool(np.isfinite(ends).all()) and not any(map(any, self.truncated))

    def contains(self, value: float) -> bool:
        """Tell whether a value of the one parameter lies in the region.

        Parameters
        ----------
        value : float

        Raises
        ------
        OptionError
            For two parameters; use `EstimationResults.test_at`.
        """
        if len(self.names) > 1:
            raise OptionError(
                "`contains` is for one parameter; for two use results.test_at(values).pvalue."
            )
        return any(low <= value <= high for low, high in self.intervals)

    def describe(self) -> str:
        """Return the region in words."""
        if self.is_empty:
            told = "empty: the model is rejected at every value"
            return told if self.exhaustive else f"{told} tried"
        if len(self.names) == 1:
            return " and ".join(map(_interval, self.intervals))
        pairs = zip(self.names, self.intervals, strict=True)
        return "within " + " and ".join(f"{name} {_interval(ends)}" for name, ends in pairs)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per value tried: the parameters, the p-value, and whether it is kept."""
        frame = pd.DataFrame(self.values, columns=list(self.names)).assign(pvalue=self.pvalues)
        inside = frame["pvalue"] > 1 - self.level
        if len(self.names) == 1:
            # values without a p-value are kept between two that are
            inside |= frame["pvalue"].isna() & frame[self.names[0]].map(self.contains)
        return frame.assign(inside=inside)

    def summary(self) -> Summary:
        """Return a table of the region."""
        computed = np.isfinite(self.pvalues)
        rows = [
            ("Parameter", ", ".join(self.names)),
            ("Level", f"{self.level:.4g}"),
            ("Region", self.describe()),
            ("Estimate", ", ".join(f"{value:.6g}" for value in self.estimate)),
            ("Largest p-value", f"{np.max(self.pvalues[computed], initial=0.0):.4g}"),
            ("Values tried", f"{len(self.pvalues)}"),
        ]
        notes = []
        if not computed.all():
            notes.append(f"{int((~computed).sum())} values could not be computed and are left out.")
        if any(map(any, self.truncated)):
            notes.append("The region reaches the end of the values tried and may go on beyond.")
        return Summary("Confidence set by inverting the KCM test", tuple(rows), tuple(notes))

    def plot(self, ax: Any = None) -> Any:
        """Plot the p-value against the parameter, or the region of two parameters.

        Parameters
        ----------
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
        axes = new_axes(ax)
        return _plot_curve(self, axes) if len(self.names) == 1 else _plot_region(self, axes)


def _interval(ends: tuple[float, float]) -> str:
    low, high = ends
    left = "(-inf" if low == -np.inf else f"[{low:.6g}"
    right = "inf)" if high == np.inf else f"{high:.6g}]"
    return f"{left}, {right}"


def _plot_curve(region: ConfidenceSet, ax: Any) -> Any:
    """P-value curve, with the ends of the region, over the part where something happens."""
    ends = [end for end in np.ravel(region.intervals) if np.isfinite(end)]
    ends = [end for end in ends if end not in region.values]
    x = np.append(region.values[:, 0], ends)
    p = np.append(region.pvalues, np.full(len(ends), 1 - region.level))
    order = np.argsort(x)
    low, high = _window(region)
    ax.plot(x[order], p[order], color=LINE, linewidth=1.2)
    ax.axhline(1 - region.level, color=LINE, linestyle="--", linewidth=0.8)
    for left, right in region.intervals:
        ax.axvspan(max(left, low), min(right, high), color=BAND, zorder=0)
    ax.axvline(region.estimate[0], color=LINE, linestyle=":", linewidth=0.8)
    ax.set(xlim=(low, high), ylim=(0, 1.02))
    name_axes(ax, region.names[0], "p-value")
    set_title(ax, f"{region.level:.4g} confidence set")
    return ax


def _window(region: ConfidenceSet) -> tuple[float, float]:
    """Return the range to show: the finite ends and the estimate, with room around them."""
    ends = np.array([*np.ravel(region.intervals), region.estimate[0]])
    finite = ends[np.isfinite(ends)]
    x = region.values[:, 0]
    low, high = finite.min(), finite.max()
    if low == high:
        # nothing but the estimate: the middle half of the values
        low, high = np.quantile(x, [0.25, 0.75])
    room = 0.25 * (high - low)
    return max(float(low - room), float(x[0])), min(float(high + room), float(x[-1]))


def _plot_region(region: ConfidenceSet, ax: Any) -> Any:
    first, second = (np.unique(region.values[:, k]) for k in range(2))
    surface = region.pvalues.reshape(len(first), len(second)).T
    mesh = ax.contourf(first, second, surface, levels=10, cmap="Greys", vmin=0, vmax=1)
    ax.figure.colorbar(mesh, ax=ax, label="p-value")
    if not region.is_empty and np.nanmin(surface) < 1 - region.level:
        ax.contour(first, second, surface, levels=[1 - region.level], colors=LINE)
    ax.plot(*region.estimate, "o", markerfacecolor="white", markeredgecolor=LINE)
    name_axes(ax, region.names[0], region.names[1])
    set_title(ax, f"{region.level:.4g} confidence set")
    return ax
