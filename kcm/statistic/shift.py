"""The shift of the null law: K less the multiple of the identity that it has in common with it.

With K - c I in place of K the statistic loses f c sum psi_i'psi_i, a number that the sample knows,
and the form of its draws loses c B_I, B_I being the form with K = I. The law of the statistic that
follows,

    f c sum psi_i'psi_i + w'(B - c B_I)w,

is valid for every c. Where there are many conditioning variables K is nearly constant off its
diagonal, the draws of B hold the noise of the residual sum of squares, which the statistic does not
have, and the test with c = 0 hardly rejects. c is the regression of the entries of B on those of
B_I, off the diagonals,

    c = sum_{g != h} B_gh B_I,gh / sum_{g != h} B_I,gh^2,

which makes the spread of the law smallest, but at most 0 for U and the mean of k(x_i, x_i) for V:
a kernel whose values off the diagonal are not negative has nothing more in common with the
identity. A larger c comes from few rows that decide the estimate, as with weights of very different
size; the law would then stand on the difference of two large forms. Off the diagonal B_I / f is
G = E l' + l E', with E = diag(r) S / n + l S'S / (2 n^2), so that all sums are products of columns
with K that one pass finds; docs/law.md has the derivation.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float, Int

from kcm.gram import GramOperator
from kcm.kernels import Kernel
from kcm.moments import FittedMoment, Scaled

__all__ = [
    "Shift",
    "Smoothed",
    "largest_shift",
    "law_shift",
    "overlap_columns",
    "shift",
    "whitening",
]

# Variance of a combination of influences, each of size 1, that counts as none.
SMALLEST_VARIANCE = 1e-12
# Entries of B_I off its diagonal that are this small beside the diagonal are rounding.
ROUNDING = 1e-14


@final
@dataclass(frozen=True, slots=True)
class Shift:
    """The shift c of the law, and what it changes.

    Attributes
    ----------
    value : float
        c, in units of the kernel; 0 where theta is known.
    offset : float
        f c sum_i psi_i'psi_i.
    slope : float
        What the mean of the law changes by per unit of c.
    norm : float
        Frobenius norm of B_I off its diagonal.
    """

    value: float
    offset: float
    slope: float
    norm: float


class Overlap(NamedTuple):
    """Rows of G = E l' + l E' in units of the residuals, l uncorrelated and of size 1.

    Attributes
    ----------
    residuals : ndarray of shape (n, q)
        r.
    rows, total_rows : ndarray of shape (n, p)
        E, and its sum over the cluster of each row.
    given, total_given : ndarray of shape (n, p)
        l, and its sum over the cluster of each row.
    influence : ndarray of shape (n, q p)
        r_ic times the sum of l over the cluster, columns that K is applied to.
    back : ndarray of shape (p, p)
        Takes S' to the parameters of this l.
    """

    residuals: Float[np.ndarray, "n q"]
    rows: Float[np.ndarray, "n p"]
    total_rows: Float[np.ndarray, "n p"]
    given: Float[np.ndarray, "n p"]
    total_given: Float[np.ndarray, "n p"]
    influence: Float[np.ndarray, "n m"]
    back: Float[np.ndarray, "p p"]


class Smoothed(NamedTuple):
    """Columns S and W, what K_0 makes of them, and F'[S, W] where K has a factor F."""

    columns: Float[np.ndarray, "n m"]
    smoothed: Float[np.ndarray, "n m"]
    inner: Float[np.ndarray, "k m"]


def overlap_columns(
    scaled: Scaled, identity: Float[np.ndarray, "n p"], codes: Int[np.ndarray, " n"] | None
) -> Overlap:
    """Return G by its rows, and the columns that K has to be applied to.

    Parameters
    ----------
    scaled : Scaled
    identity : ndarray of shape (n, p)
        E.
    codes : ndarray of int, shape (n,), or None
        Cluster numbers.
    """
    unit = float(np.sqrt(np.mean(scaled.residuals**2))) or 1.0
    influence = scaled.influence / unit
    forth, back = whitening(influence.T @ influence / len(influence))
    residuals, given, rows = scaled.residuals / unit, influence @ forth, identity @ back.T / unit
    total_given, total_rows = _totals(given, codes), _totals(rows, codes)
    columns = _by_component(residuals, total_given)
    return Overlap(residuals, rows, total_rows, given, total_given, columns, back)


def shift(
    gram: GramOperator,
    overlap: Overlap,
    found: Smoothed,
    diagonal: Float[np.ndarray, " n"],
    removed: Float[np.ndarray, " n"],
    codes: Int[np.ndarray, " n"] | None,
) -> float:
    """Return c, in units of the kernel; 0 where theta is known.

    Parameters
    ----------
    gram : GramOperator
    overlap : Overlap
    found : Smoothed
    diagonal : ndarray of shape (n,)
        Of K.
    removed : ndarray of shape (n,)
        What K_0 has less than K on the diagonal.
    codes : ndarray of int, shape (n,), or None
        Cluster numbers.
    """
    squares = identity_squares(overlap, codes)
    if not squares > ROUNDING * len(removed):
        return 0.0
    best = _products_with_form(gram, overlap, found, (diagonal, removed), codes) / squares
    return min(best, largest_shift(gram.kernel, diagonal, removed))


def largest_shift(
    kernel: Kernel, diagonal: Float[np.ndarray, " n"], removed: Float[np.ndarray, " n"]
) -> float:
    """Return the most that K_0 and the identity have in common: the mean of the diagonal of K_0.

    Infinite for a kernel that is defined up to a constant, whose values have no sign.
    """
    return math.inf if kernel.conditionally_positive else float(np.mean(diagonal - removed))


def law_shift(
    value: float,
    factor: float,
    moment: FittedMoment,
    scaled: Scaled,
    overlap: Overlap,
    codes: Int[np.ndarray, " n"] | None,
) -> Shift:
    """Return the shift with what it does to the mean of the law."""
    n = moment.n_obs
    squares, form = float(np.sum(moment.residuals**2)), float(np.sum(scaled.residuals**2))
    # r has mean square 1 in the overlap
    unit = form / scaled.residuals.size
    trace = form + unit * float(np.sum(_own_entries(overlap) / _sizes(codes, n)))
    norm = unit * float(np.sqrt(max(identity_squares(overlap, codes), 0.0)))
    return Shift(value, factor * value * squares, factor * (squares - trace), factor * norm)


def identity_squares(overlap: Overlap, codes: Int[np.ndarray, " n"] | None) -> float:
    """Return sum_{g != h} G_gh^2."""
    mixed = overlap.total_rows.T @ overlap.given
    whole = _dot(overlap.rows.T @ overlap.total_rows, overlap.given.T @ overlap.total_given)
    own = _own_entries(overlap)
    diagonal = float(np.sum(own**2 / _sizes(codes, len(own))))
    return 2 * whole + 2 * _dot(mixed, mixed.T) - diagonal


def _products_with_form(
    gram: GramOperator,
    overlap: Overlap,
    found: Smoothed,
    diagonals: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
    codes: Int[np.ndarray, " n"] | None,
) -> float:
    """Return sum_{g != h} (B / f)_gh G_gh for B / f = K_0 o (r r') + D l' + l D'.

    With P = r o E and W = r o l, summed over clusters in E and l,

        <K_0 o (r r'), G> = 2 tr W'K_0 P,
        <D l' + l D', G> = 2 sum (D'E) o (l'l) + 2 sum (D'l) o (l'E),

    and D'X = S'K_0 (r o X) / n + (S'K_0 S) l'X / (2 n^2) for any columns X. On the diagonal
    (B / f)_gg = sum_{i, j in g} K_0,ij r_i'r_j + 2 D_g'l_g.
    """
    r, (n, q) = overlap.residuals, overlap.residuals.shape
    p, (diagonal, removed) = overlap.given.shape[1], diagonals
    own = _own_entries(overlap)
    pulled = _by_component(r, overlap.total_rows)
    # gamma_g = G_gg weighs the diagonal, which is taken off again
    weighed = own[:, None] * overlap.influence
    right = np.hstack([pulled, weighed])
    products = found.smoothed.T @ right + found.inner.T @ gram.inner(right)
    whole = found.smoothed.T @ found.columns + found.inner.T @ found.inner
    back = np.kron(np.eye(q), overlap.back)
    by_slopes = back @ np.hstack([products[: q * p], whole[: q * p, q * p :]])
    to_rows, to_weighed, to_given = (
        _components(block, q) / n for block in np.split(by_slopes, 3, axis=1)
    )
    curvature = _components(back @ whole[: q * p, : q * p] @ back.T, q) / n**2
    half = curvature @ overlap.given.T / 2
    to_rows = to_rows + half @ overlap.total_rows
    to_given = to_given + half @ overlap.total_given
    to_weighed = to_weighed + half @ (own[:, None] * overlap.total_given)
    mixed = overlap.total_rows.T @ overlap.given
    total = (
        2 * float(np.trace(products[q * p :, : q * p]))
        + 2 * _dot(to_rows, overlap.given.T @ overlap.total_given)
        + 2 * _dot(to_given, mixed.T)
    )
    squares = own * np.sum(r**2, axis=1)
    sums = -float(removed @ squares)
    sums += float(diagonal @ squares) if codes is None else gram.within(r, own, codes)
    return total - sums - 2 * float(np.trace(to_weighed))


def _own_entries(overlap: Overlap) -> Float[np.ndarray, " n"]:
    """Return G_gg for the cluster g of each row."""
    return 2 * np.sum(overlap.total_rows * overlap.total_given, axis=1)


def _by_component(
    residuals: Float[np.ndarray, "n q"], columns: Float[np.ndarray, "n p"]
) -> Float[np.ndarray, "n m"]:
    """Return r_ic times each column, component after component."""
    return (residuals[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)


def _components(block: Float[np.ndarray, "m m"], q: int) -> Float[np.ndarray, "p p"]:
    """Return the sum of the q blocks on the diagonal."""
    p = len(block) // q
    return np.einsum("cacb->ab", block.reshape(q, p, q, p))


def _dot(left: Float[np.ndarray, "p k"], right: Float[np.ndarray, "p k"]) -> float:
    return float(np.sum(left * right))


def _totals(
    values: Float[np.ndarray, "n p"], codes: Int[np.ndarray, " n"] | None
) -> Float[np.ndarray, "n p"]:
    """Return the sum over the cluster of each row; the rows themselves without clusters."""
    if codes is None:
        return values
    sums = [np.bincount(codes, column) for column in values.T]
    return np.stack(sums, axis=1)[codes] if sums else values


def _sizes(codes: Int[np.ndarray, " n"] | None, n: int) -> Float[np.ndarray, " n"]:
    """Return the number of rows in the cluster of each row."""
    return np.ones(n) if codes is None else np.bincount(codes)[codes].astype(float)


def whitening(
    covariance: Float[np.ndarray, "p p"],
) -> tuple[Float[np.ndarray, "p p"], Float[np.ndarray, "p p"]]:
    """Return T with l T uncorrelated columns of size 1, as far as l has full rank, and T^-1."""
    sizes = np.sqrt(np.diag(covariance))
    sizes = np.where(sizes > 0, sizes, 1.0)
    values, vectors = np.linalg.eigh(covariance / sizes / sizes[:, None])
    lengths = np.sqrt(np.maximum(values, SMALLEST_VARIANCE))
    return vectors / sizes[:, None] / lengths, (vectors * lengths).T * sizes
