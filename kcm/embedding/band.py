"""A simultaneous band for the witness, from multiplier draws."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

import numpy as np
from jaxtyping import Bool, Float, Int

from kcm._records import fix_arrays
from kcm.gram import Execution, cross_block, cross_product, row_blocks
from kcm.kernels import Kernel
from kcm.moments import FittedMoment, scaled_moment
from kcm.null import rademacher
from kcm.statistic import covariance_root

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["WitnessBand", "witness_band"]

# A standard deviation below this share of what it would be with theta known is rounding.
ROUNDING = 1e-10


@final
@dataclass(frozen=True, slots=True, eq=False)
class WitnessBand:
    """The witness at some points, with a band that holds at all of them at once.

    Attributes
    ----------
    points : ndarray of shape (m, d)
        Points, categories as codes.
    values, lower, upper : ndarray of shape (m, q)
        The witness of each component and its band; NaN where the estimate of theta absorbs all
        that the kernel sees, or for the local mean where no observation is in reach.
    density : ndarray of shape (m,)
        n^-1 sum_i k(x_i, x).
    level : float
        Coverage.
    critical_value : float
        Half-width of the band in pointwise standard deviations.
    conditioning_names : tuple of str
        One per column of `points`.

    Examples
    --------
    >>> import kcm
    >>> x, e = np.random.default_rng(0).normal(size=(2, 200))
    >>> embedding = kcm.KCMTest().run(kcm.FittedMoment(x**2 - 1 + e, x)).embedding
    >>> embedding.band([-2.0, 0.0, 2.0], rng=0).excludes_zero.ravel()
    array([ True,  True,  True])
    """

    points: Float[np.ndarray, "m d"]
    values: Float[np.ndarray, "m q"]
    lower: Float[np.ndarray, "m q"]
    upper: Float[np.ndarray, "m q"]
    density: Float[np.ndarray, " m"]
    level: float
    critical_value: float
    conditioning_names: tuple[str, ...]

    def __post_init__(self) -> None:
        fix_arrays(self)

    @property
    def excludes_zero(self) -> Bool[np.ndarray, "m q"]:
        """Where the band does not contain zero."""
        return (self.lower > 0) | (self.upper < 0)

    @property
    def fitted_exactly(self) -> Bool[np.ndarray, "m q"]:
        """Where the estimate of theta absorbs all that the kernel sees: the value is rounding."""
        return np.isnan(self.lower) & (self.density > 0)[:, None]

    def to_frame(self) -> "pd.DataFrame":
        """Return one row per point and component: variables, component, value, lower, upper."""
        import pandas as pd

        m, q = self.values.shape
        places = pd.DataFrame(np.repeat(self.points, q, axis=0), columns=self.conditioning_names)
        ends = {"value": self.values, "lower": self.lower, "upper": self.upper}
        told = {"component": np.tile(np.arange(q), m)} | {k: v.ravel() for k, v in ends.items()}
        # a variable may have one of these names
        return pd.concat([places, pd.DataFrame(told)], axis=1)

    def over_density(self) -> "WitnessBand":
        """Return the band of the local mean: all divided by the density."""
        positive = np.where(self.density > 0, self.density, np.nan)[:, None]
        ends = {name: getattr(self, name) / positive for name in ("values", "lower", "upper")}
        return replace(self, **ends)


def witness_band(
    moment: FittedMoment,
    kernel: Kernel,
    codes: Int[np.ndarray, " n"],
    points: Float[np.ndarray, "m d"],
    level: float,
    n_resamples: int,
    rng: np.random.Generator,
    execution: Execution,
) -> WitnessBand:
    r"""Return the witness and its band.

    A draw moves the witness by n^-1 sum_j w_j a_j(x), a_j(x) = r_j k(x_j, x) + G(x) l_j, with
    G(x) = n^-1 sum_i S_i k(x_i, x): the multiplier draw v of the residuals, smoothed. The band is
    the witness plus or minus c sd(x), sd(x)^2 = n^-2 sum_j a_j(x)^2, and c the quantile of the
    supremum over all points and components of |draw(x)| / sd(x). A theta from another sample moves
    it by G(x) R'z, z normal and R'R its covariance.
    """
    (n, q), m = moment.residuals.shape, len(points)
    jacobian = np.zeros((n, q, 0)) if moment.jacobian is None else moment.jacobian
    columns = np.hstack([moment.residuals, np.ones((n, 1)), jacobian.reshape(n, -1)])
    smoothed = cross_product(kernel, moment.conditioning, columns, points, execution) / n
    slopes = smoothed[:, q + 1 :].reshape(m, *jacobian.shape[1:])
    draws, squares = np.zeros((n_resamples, m * q)), np.zeros((2, m * q))
    edge = np.zeros((0, m * q))
    if moment.covariance is not None:
        edge = n * covariance_root(moment.covariance) @ slopes.reshape(m * q, -1).T
        slopes = slopes[:, :, :0]
    for piece, known in _cluster_pieces(moment, kernel, codes, points, slopes, execution):
        w = rademacher(rng, len(piece), n_resamples)
        draws += w.T @ piece
        squares += np.sum(piece**2, axis=0), known
    draws += rng.standard_normal((n_resamples, len(edge))) @ edge
    squares[0] += np.sum(edge**2, axis=0)
    sd, sd_known = np.sqrt(squares).reshape(2, m, q)
    sd[sd <= ROUNDING * sd_known] = np.nan
    critical = _critical_value(np.abs(draws.reshape(-1, m, q)) / sd, level)
    values, reach = smoothed[:, :q], critical * sd / n
    ends = values - reach, values + reach
    names = moment.labels.conditioning
    return WitnessBand(points, values, *ends, smoothed[:, q], level, critical, names)


def _critical_value(ratios: Float[np.ndarray, "b m q"], level: float) -> float:
    """Return the quantile of the suprema that makes the band of the sample one of b + 1 draws."""
    suprema = np.max(np.nan_to_num(ratios), axis=(1, 2))
    rank = int(np.ceil(level * (len(suprema) + 1)))
    return float(np.sort(suprema)[min(rank, len(suprema)) - 1])


def _cluster_pieces(
    moment: FittedMoment,
    kernel: Kernel,
    codes: Int[np.ndarray, " n"],
    points: Float[np.ndarray, "m d"],
    slopes: Float[np.ndarray, "m q p"],
    execution: Execution,
) -> Iterator[tuple[Float[np.ndarray, "g k"], Float[np.ndarray, " k"]]]:
    """Yield a_j(x) summed over the rows of each cluster, cluster after cluster.

    With the sum of the squares of r_j k(x_j, x), what a_j(x) is with theta known.
    """
    order = np.argsort(codes, kind="stable")
    x, own = moment.conditioning[order], codes[order]
    r, influence = (each[order] for each in scaled_moment(moment, codes))
    m, q, p = slopes.shape
    moved = slopes.reshape(m * q, p).T
    held = np.zeros((0, m * q))
    for rows in row_blocks(len(x), m * q, execution):
        near = cross_block(kernel, x[rows], points)
        terms = (near[:, :, None] * r[rows, None, :]).reshape(len(near), -1)
        known = np.sum(terms**2, axis=0)
        terms += influence[rows] @ moved
        starts = np.flatnonzero(np.diff(own[rows], prepend=-1))
        sums = np.add.reduceat(terms, starts, axis=0)
        if rows.start > 0 and own[rows.start] == own[rows.start - 1]:
            sums[0] += held[0]
        else:
            yield held, np.zeros(m * q)
        # the last cluster of a block may go on in the next one
        held = sums[-1:]
        yield sums[:-1], known
    yield held, np.zeros(m * q)
