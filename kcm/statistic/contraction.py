"""One pass over the kernel: everything that a statistic and its null law need."""

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from jaxtyping import Float, Int

from kcm._records import one_line
from kcm.exceptions import DataError, SaturatedModelError
from kcm.gram import GramOperator, Precision, cross
from kcm.kernels import Kernel
from kcm.moments import FittedMoment, Scaled, scaled_moment
from kcm.statistic.border import Border, border, empty_border
from kcm.statistic.shift import Shift, Smoothed, law_shift, overlap_columns, shift

__all__ = ["Contraction", "StatisticName", "contract"]

StatisticName = Literal["U", "V"]

# psi'K psi relative to sum psi_i^2 k(x_i, x_i): below this it is rounding error.
ROUNDING: dict[Precision, float] = {"double": 1e-12, "single": 1e-5}
# The fourth powers of other residuals, which laws take, lose digits, vanish or are infinite.
SMALLEST, LARGEST = 1e-70, 1e70


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Contraction:
    r"""A moment contracted with a kernel.

    The multiplier draw of the statistic is w'Bw + e with

    .. math:: B = f \bigl[ K_c \circ (r r') + D l' + l D' \bigr], \qquad
        K_c = K_0 - c I, \qquad e = f c \textstyle\sum_i \psi_i'\psi_i,

    r the scaled residuals, l the influence recomputed from them, K_0 the Gram matrix (without its
    diagonal for U), c the shift of the law (`kcm.statistic.shift`) and
    D = diag(r) K_c S / n + l S' K_c S / (2 n^2), each summed over the components of the moment.
    This is (f) sum_c A_c' K_c A_c with A_c = diag(r_c) + S_c l'/n, multiplied out, so that no draw
    with an exact K needs the jacobian. Where theta was estimated on another sample l is zero, and
    its error borders B (`kcm.statistic.border`).

    Attributes
    ----------
    gram : GramOperator
        K of the null law, exact or approximate.
    source : GramOperator
        K of the statistic and of D: `gram`, or the exact K that `gram` approximates.
    scaled_residuals : ndarray of shape (n, q)
        r = psi / s.
    scaled_influence : ndarray of shape (n, p)
        l recomputed from r; p = 0 where theta was not estimated on these rows.
    projection : ndarray of shape (n, p)
        D; where `source` is F F' + diag(R), that of diag(R) alone.
    jacobian : ndarray of shape (n, q, p)
        S, without columns where l is.
    inner : ndarray of shape (k, q p)
        F'S of `source`, without rows where it is exact.
    removed : ndarray of shape (n,)
        What K_c has less than K on the diagonal: k(x_i, x_i) + c for U, c for V.
    shift : Shift
        c, and what it does to the law.
    border : Border
        What the error of a theta from another sample adds to B.
    factor : float
        f = 1/(n - 1) for U, 1/n for V.
    statistic : float
        n times the squared maximum moment restriction.
    moment : FittedMoment
        What was contracted, as it was given.
    """

    gram: GramOperator
    source: GramOperator
    scaled_residuals: Float[np.ndarray, "n q"]
    scaled_influence: Float[np.ndarray, "n p"]
    projection: Float[np.ndarray, "n p"]
    jacobian: Float[np.ndarray, "n q p"]
    inner: Float[np.ndarray, "k m"]
    removed: Float[np.ndarray, " n"]
    shift: Shift
    border: Border
    factor: float
    statistic: float
    moment: FittedMoment

    @property
    def offset(self) -> float:
        """The e in w'Bw + e: what the law of the statistic has beyond that of the form."""
        return self.shift.offset

    def __repr__(self) -> str:
        return one_line(self)

    @property
    def kernel(self) -> Kernel:
        return self.gram.kernel

    @property
    def conditioning(self) -> Float[np.ndarray, "n d"]:
        return self.gram.points

    @property
    def n_obs(self) -> int:
        return len(self.conditioning)


def contract(
    moment: FittedMoment,
    gram: GramOperator,
    statistic: StatisticName,
    codes: Int[np.ndarray, " n"] | None = None,
) -> Contraction:
    """Contract a moment with a Gram matrix in one pass shared by residuals and jacobian.

    Parameters
    ----------
    moment : FittedMoment
    gram : GramOperator
        On the conditioning variables of the moment.
    statistic : {"U", "V"}
        Without or with the terms i = j.
    codes : ndarray of int, shape (n,), optional
        Cluster numbers, for a law with one multiplier per cluster. Default: one per row.

    Returns
    -------
    Contraction

    Raises
    ------
    SaturatedModelError
        When the kernel maps the residuals to zero up to rounding.
    DataError
        When the residuals are too small or too large to be squared.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.gram import TiledGram
    >>> from kcm.kernels import Gaussian
    >>> moment = FittedMoment(np.array([1.0, -1.0, 1.0]), np.array([0.0, 1.0, 5.0]))
    >>> gram = TiledGram(Gaussian(1.0), moment.conditioning)
    >>> round(contract(moment, gram, "V").statistic, 4)
    0.5954
    """
    n, q = moment.residuals.shape
    _check_size(moment.residuals)
    slopes = np.zeros((n, q, 0)) if moment.jacobian is None else moment.jacobian
    jacobian = slopes[:, :, :0] if moment.from_another_sample else slopes
    diagonal = gram.diagonal()
    removed = diagonal if statistic == "U" else np.zeros(n)
    factor = 1 / (n - 1) if statistic == "U" else 1 / n
    clusters = _clusters(codes, n)
    scaled = scaled_moment(moment, clusters)
    identity = projection(scaled, jacobian, jacobian)
    overlap = overlap_columns(scaled, identity, clusters)
    columns = np.hstack([slopes.reshape(n, -1), overlap.influence])
    found = gram.contracted(moment.residuals, columns)
    squares = np.sum(moment.residuals**2, axis=1)
    most = float(_own_sizes(gram, diagonal) @ squares)
    _check_seen(found.form, most, gram.execution.of_statistic)
    smoothed = found.smoothed - removed[:, None] * columns
    width = jacobian.shape[1] * jacobian.shape[2]
    moved = projection(scaled, jacobian, smoothed[:, :width].reshape(jacobian.shape))
    value = shift(
        gram, overlap, Smoothed(columns, smoothed, found.inner), diagonal, removed, clusters
    )
    return Contraction(
        gram,
        gram,
        scaled.residuals,
        scaled.influence,
        moved - value * identity,
        jacobian,
        found.inner[:, :width],
        removed + value,
        law_shift(value, factor, moment, scaled, overlap, clusters),
        _border(moment, gram, scaled, smoothed, found.inner, factor),
        factor,
        factor * (found.form - float(removed @ squares)),
        moment,
    )


def _border(
    moment: FittedMoment,
    gram: GramOperator,
    scaled: Scaled,
    smoothed: Float[np.ndarray, "n m"],
    inner: Float[np.ndarray, "k m"],
    factor: float,
) -> Border:
    """Return the border of a theta from another sample, the columns of S coming first."""
    if moment.jacobian is None or moment.covariance is None:
        return empty_border(moment.n_obs)
    slopes = moment.jacobian
    width = slopes.shape[1] * slopes.shape[2]
    whole = smoothed[:, :width] + gram.outer(inner[:, :width])
    return border(moment.covariance, scaled.residuals, slopes, whole.reshape(slopes.shape), factor)


def _clusters(codes: Int[np.ndarray, " n"] | None, n: int) -> Int[np.ndarray, " n"] | None:
    """Return cluster numbers, None where each row is a cluster of its own."""
    return None if codes is None or int(codes.max()) + 1 == n else codes


def _own_sizes(gram: GramOperator, diagonal: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return k(x_i, x_i), of the kernel centred at a point where only that one is positive."""
    if not gram.kernel.conditionally_positive:
        return diagonal
    to_first = cross(gram.kernel, gram.points, gram.points[:1])[:, 0]
    return diagonal - 2 * to_first + diagonal[0]


def _check_size(residuals: Float[np.ndarray, "n q"]) -> None:
    """Refuse residuals whose squares, and the squares of these, are no longer exact."""
    largest = np.abs(residuals).max()
    if 0 < largest < SMALLEST:
        raise DataError(
            f"the `residuals` are too small to be squared (at most {largest:.0e}); multiply them, "
            "or the outcome that was fitted, by a constant."
        )
    if largest > LARGEST:
        raise DataError(
            f"the `residuals` are too large to be squared (up to {largest:.0e}); divide them, or "
            "the outcome that was fitted, by a constant."
        )


def _check_seen(seen: float, most: float, precision: Precision) -> None:
    """Refuse residuals that the kernel maps to zero up to rounding."""
    if np.isfinite(seen) and seen <= ROUNDING[precision] * most:
        raise SaturatedModelError(
            "the kernel sees nothing of the residuals: psi'K psi is zero up to rounding in "
            f"{precision} precision. Either the model is saturated in the conditioning variables "
            "(it fits the mean at each of their values, so there is nothing to test): pass further "
            "variables as `conditioning`. Or the bandwidth is far too wide: pass a narrower one."
        )


def projection(
    scaled: Scaled,
    jacobian: Float[np.ndarray, "n q p"],
    smoothed: Float[np.ndarray, "n q p"],
) -> Float[np.ndarray, "n p"]:
    """Return D from r, l, S and K_0 S."""
    n, q, p = jacobian.shape
    curvature = jacobian.reshape(n * q, p).T @ smoothed.reshape(n * q, p) / n**2
    moved = scaled.influence @ (curvature / 2)
    for c in range(q):
        moved += (scaled.residuals[:, c, None] / n) * smoothed[:, c]
    return moved
