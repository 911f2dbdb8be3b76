"""Bandwidth rules: from the conditioning columns to one length per column."""

import abc
import warnings
from functools import partial
from typing import Any, final

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float

from kcm._variation import check_sizes, check_varies, rows_by_value, units_of
from kcm.exceptions import OptionError, TiedDistancesWarning
from kcm.kernels._median import CITY_BLOCK, EUCLIDEAN, mean_positive_distance, median_distance
from kcm.kernels._parameters import (
    Numbers,
    Parameter,
    as_parameter,
    as_scalar,
    check_positive,
    show,
)

__all__ = [
    "BandwidthRule",
    "CityBlockMedian",
    "CoordinatewiseMedian",
    "MedianHeuristic",
    "RuleOfThumb",
    "as_bandwidth",
    "check_bandwidth",
    "resolve_bandwidth",
    "sample_deviations",
]

# The median heuristic is exact up to this many rows and uses this many beyond.
MAX_ROWS = 4_096
SUBSAMPLE_SEED = 20_200_720
SMALLEST = float(np.finfo(np.float64).tiny)


class BandwidthRule(eqx.Module):
    """A rule that turns conditioning columns into bandwidths.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import MedianHeuristic
    >>> isinstance(MedianHeuristic(), BandwidthRule)
    True
    """

    @abc.abstractmethod
    def __call__(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
        """Return one bandwidth per column of x, in the units of that column."""


@final
class MedianHeuristic(BandwidthRule):
    r"""The median heuristic on standardised columns, the default of the library.

    .. math:: h_j = \mathrm{sd}_j \; \mathrm{median}_{i<k} |z_i - z_k| \,/\, \sqrt 2,

    where z are the columns divided by their standard deviations. A Gaussian kernel then is
    exp(-D / median D) with D the squared distances of z.

    Exact up to 4,096 rows. Above that on 4,096 rows drawn without replacement with the fixed seed
    20200720, after sorting the rows by their distance from the mean, so that the order of rows and
    columns does not matter. Where more than half of
    the distances are zero the median is replaced by the mean of the distances that are not, with
    a `TiedDistancesWarning`.

    Examples
    --------
    >>> import numpy as np
    >>> MedianHeuristic()(np.array([[0.0], [1.0], [3.0]])).round(4)
    array([1.4142])
    """

    def __call__(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
        """Return the bandwidths of the columns of x."""
        return _of_standardised(x, EUCLIDEAN) / np.sqrt(2.0)


@final
class CityBlockMedian(BandwidthRule):
    r"""The median of city-block distances on standardised columns, for Laplace kernels.

    .. math:: h_j = \mathrm{sd}_j \; \mathrm{median}_{i<k} \textstyle\sum_l |z_{il} - z_{kl}|,

    where z are the columns divided by their standard deviations. A Laplace kernel then is
    exp(-D / median D) with D the sum over columns of the distances in each. With many columns D
    is much longer than the Euclidean distance, and `MedianHeuristic` leaves a Laplace kernel that
    is close to zero off the diagonal: at fifty normal columns exp(-8) for exp(-1) here.

    Rows and ties are treated as by `MedianHeuristic`.

    Examples
    --------
    >>> import numpy as np
    >>> CityBlockMedian()(np.array([[0.0], [1.0], [3.0]])).round(4)
    array([2.])
    """

    def __call__(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
        """Return the bandwidths of the columns of x."""
        return _of_standardised(x, CITY_BLOCK)


@final
class CoordinatewiseMedian(BandwidthRule):
    r"""The rule of the authors of the kernel conditional moment test, column by column.

    .. math:: h_j^2 = \tfrac12 \, \mathrm{median} \{ (x_{ij} - x_{kj})^2 > 0 \},

    over all pairs of rows (Muandet, Jitkrittum and Kuebler 2020, code accompanying the paper,
    which uses at most 100 random rows where this rule uses all). For replication: in several
    dimensions it gives a much narrower kernel than `MedianHeuristic`.

    Examples
    --------
    >>> import numpy as np
    >>> CoordinatewiseMedian()(np.array([[0.0], [0.0], [2.0]])).round(4)
    array([1.4142])
    """

    def __call__(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
        """Return the bandwidths of the columns of x."""
        unit = _checked_units(x)
        x = x / unit
        _deviations(x)
        return unit * np.array([np.sqrt(_median_square(column) / 2.0) for column in x.T])


@final
class RuleOfThumb(BandwidthRule):
    r"""The bandwidth of kernel smoothing, which shrinks with the sample.

    .. math:: h_j = c \; \mathrm{sd}_j \; n^{-1 / (4 + d)},

    with sd the sample standard deviation (divisor n - 1). The rule of Scott, and with c = 1.06 and
    d = 1 that of Silverman for a normal density.

    Parameters
    ----------
    constant : float
        c, positive. Default 1.
    dimension : int, optional
        d of the exponent. Default: the number of columns.

    Raises
    ------
    OptionError
        When an argument is outside its range.

    References
    ----------
    Scott (1992), Multivariate Density Estimation, section 6.3.

    Examples
    --------
    >>> import numpy as np
    >>> RuleOfThumb()(np.arange(32.0)[:, None]).round(4)
    array([4.6904])
    """

    constant: Parameter = eqx.field(converter=partial(as_scalar, argument="constant"), default=1.0)
    dimension: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        check_positive(self.constant, "constant")
        d = self.dimension
        if d is not None and (isinstance(d, bool) or not isinstance(d, int) or d < 1):
            raise OptionError(f"`dimension` must be None or an int of at least 1; got {d!r}.")

    def __repr__(self) -> str:
        return f"RuleOfThumb(constant={show(self.constant)}, dimension={self.dimension})"

    def __call__(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
        """Return the bandwidths of the columns of x."""
        rate = len(x) ** (-1 / (4 + (self.dimension or x.shape[1])))
        return np.asarray(self.constant * rate * sample_deviations(x))


def sample_deviations(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
    """Return the standard deviations with divisor n - 1; a column that does not vary is an error.

    Parameters
    ----------
    x : ndarray of shape (n, d)

    Returns
    -------
    ndarray of shape (d,)

    Examples
    --------
    >>> sample_deviations(np.array([[0.0], [2.0]])).round(4)
    array([1.4142])
    """
    unit = _checked_units(x)
    return unit * _deviations(x / unit) * np.sqrt(len(x) / (len(x) - 1))


def _checked_units(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
    """Return powers of two by which sums and squares of the columns are doubles."""
    check_sizes(x, [f"x{j + 1}" for j in range(x.shape[1])])
    return units_of(x)


def _deviations(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
    """Return the standard deviation of each column; a column that does not vary is an error."""
    check_varies(x, [f"x{j + 1}" for j in range(x.shape[1])])
    return np.asarray(np.ascontiguousarray(x.T).std(axis=1))


def _of_standardised(x: Float[np.ndarray, "n d"], metric: str) -> Float[np.ndarray, " d"]:
    """Return the median distance of standardised columns, in the units of each column."""
    unit = _checked_units(x)
    x = np.asfortranarray(x / unit)
    deviation = _deviations(x)
    return unit * (deviation * _middle_distance(_at_most(MAX_ROWS, x) / deviation, metric))


def _at_most(n_rows: int, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "m d"]:
    """Return some rows, and their centre moved to zero."""
    centre = x.mean(axis=0)
    if len(x) <= n_rows:
        return x - centre
    chosen = np.random.default_rng(SUBSAMPLE_SEED).choice(len(x), n_rows, replace=False)
    return x[rows_by_value(x)[chosen]] - centre


def _middle_distance(points: Float[np.ndarray, "n d"], metric: str) -> float:
    median = median_distance(points, metric)
    if median > 0:
        return median
    warnings.warn(
        "more than half of the pairs of rows have the same conditioning values; the bandwidth "
        "uses the mean of the distances that are not zero instead of the median",
        TiedDistancesWarning,
        stacklevel=2,
    )
    return mean_positive_distance(points, metric)


def _median_square(column: Float[np.ndarray, " n"]) -> float:
    """Median of the non-zero squared differences, by order statistics, without n^2 memory."""
    ordered = np.sort(column)
    n = len(ordered)
    n_zero = _count_within(ordered, 0.0)
    n_positive = n * (n - 1) // 2 - n_zero
    ranks = n_zero + np.array([(n_positive + 1) // 2, n_positive // 2 + 1])
    return float(np.mean([_nth_difference(ordered, int(rank)) ** 2 for rank in ranks]))


def _count_within(ordered: Float[np.ndarray, " n"], width: float) -> int:
    """Count the pairs i < k with x_k - x_i <= width."""
    last = np.searchsorted(ordered, ordered + width, side="right")
    return int((last - np.arange(1, len(ordered) + 1)).sum())


def _nth_difference(ordered: Float[np.ndarray, " n"], rank: int) -> float:
    """Return the rank-th smallest difference by bisection to the last bit of the double."""
    low, high = 0.0, float(ordered[-1] - ordered[0]) * (1 + 4 * np.finfo(float).eps)
    while low < (middle := (low + high) / 2) < high:
        if _count_within(ordered, middle) >= rank:
            high = middle
        else:
            low = middle
    return high


Bandwidth = Parameter | BandwidthRule


def as_bandwidth(value: Any) -> Numbers | BandwidthRule:
    """Return a rule unchanged and a number or a vector as a float64 array."""
    return value if isinstance(value, BandwidthRule) else as_parameter(value, "bandwidth")


def check_bandwidth(value: Bandwidth) -> None:
    """Refuse bandwidths that are not positive numbers, a vector of them, or a rule."""
    if isinstance(value, BandwidthRule):
        return
    lengths = as_parameter(value)
    if lengths.ndim > 1:
        raise OptionError(
            f"`bandwidth` must be a number, a vector with one entry per column, or a rule; "
            f"got an array of shape {lengths.shape}."
        )
    check_positive(lengths, "bandwidth")
    if not isinstance(lengths, jax.core.Tracer) and (np.asarray(lengths) < SMALLEST).any():
        raise OptionError(
            f"`bandwidth` must be at least {SMALLEST:.3g}, below which doubles lose their digits; "
            f"got {np.asarray(lengths).tolist()}. Measure the column in another unit."
        )


def resolve_bandwidth(value: Bandwidth, x: Float[np.ndarray, "n d"]) -> Numbers:
    """Return the numbers: those given, or those that the rule gives on x."""
    if isinstance(value, BandwidthRule):
        return value(x)
    lengths = as_parameter(value)
    if lengths.ndim == 1 and len(lengths) != x.shape[1]:
        raise OptionError(
            f"`bandwidth` has {len(lengths)} entries for {x.shape[1]} conditioning columns; "
            "pass one number, or one per column."
        )
    return lengths


def numbers(value: Bandwidth) -> Numbers:
    """Return the bandwidth as numbers; a rule that was never resolved is an error."""
    if isinstance(value, BandwidthRule):
        raise OptionError(
            f"the bandwidth rule {value!r} has not met any data; call `kernel.resolve(X)` first."
        )
    return as_parameter(value)
