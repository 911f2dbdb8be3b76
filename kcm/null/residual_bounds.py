"""How much of the multiplier form a low-rank factor leaves out, bounded from sampled pairs.

With K = F F' + R a low-rank contraction uses F F' + diag(R); what it leaves out of B is the form E
of R_0, R without its diagonal. Up to rounding R is positive semi-definite, and its diagonal is
known, so |R_ij| <= sqrt(b_i b_j) with b the diagonal and an allowance for rounding; how far below
that its entries are is seen on pairs of rows. The derivation is in the documentation (engine).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse.linalg import eigsh

from kcm.gram import LowRankGram, matrix, pairwise
from kcm.statistic import Contraction, low_rank_of

__all__ = ["ResidualBounds", "residual_bounds"]

# Pairs of rows whose residual kernel is looked at, and the chance that a bound fails.
N_PAIRS = 32_768
# Pairs whose rows of the factor are held at once.
BLOCK = 8_192
PAIR_SEED = 20_200_724
RISK = 1e-4
# Rows of which all pairs are looked at, and the relative accuracy of an eigenvalue.
N_ROWS = 2_048
EIGEN_TOLERANCE = 1e-3
# Variance of a combination of influences, each of size 1, that counts as none.
SMALLEST_VARIANCE = 1e-12


@final
@dataclass(frozen=True, slots=True)
class ResidualBounds:
    """How large the part of B that a factor leaves out can be.

    Attributes
    ----------
    norm : float
        Bound on the Frobenius norm of E (its diagonal is zero unless there are clusters, or D is
        not exact).
    largest : float
        Bound on the absolute eigenvalues of E, at most `norm`.
    trace : float
        Bound on the absolute trace of E.
    below : float
        The exact statistic is at least T - below, T the statistic computed.
    statistic_exact : bool
        Whether T is the exact statistic, so that only the null law is approximate.
    """

    norm: float
    largest: float
    trace: float
    below: float
    statistic_exact: bool


def residual_bounds(
    contraction: Contraction, codes: Int[np.ndarray, " n"], residuals: Any, jacobian: Any
) -> ResidualBounds:
    """Bound what a low-rank contraction leaves out, from a sample of pairs of rows.

    Parameters
    ----------
    contraction : Contraction
        With a `LowRankGram`.
    codes : ndarray of shape (n,)
        Cluster numbers.
    residuals : ndarray of shape (n, q), or None
        Unscaled residuals; None where the statistic and D come from the exact Gram matrix.
    jacobian : ndarray of shape (n, q, p), or None
        None where there is none, or where D is exact.

    Returns
    -------
    ResidualBounds
        Each bound fails with a chance of at most 1e-4 over the pairs, which have a fixed seed.
    """
    gram = low_rank_of(contraction)
    weighted = _residual_kernel(gram, contraction.scaled_residuals)
    clusters = _clusters(weighted, codes)
    norm = contraction.factor * np.hypot(*_norms(weighted, clusters))
    trace = contraction.factor * _trace_within(weighted, clusters)
    # with its diagonal, f r R r is positive semi-definite
    top = norm + contraction.factor * clusters.sizes().max()
    if clusters.single:
        top = min(top, contraction.factor * _largest(weighted))
    largest, below = min(top, norm), 0.0
    if residuals is not None:
        below = contraction.factor * float(gram.bound() @ np.sum(residuals**2, axis=1))
    if jacobian is not None:
        added = _moved_by_theta(contraction, codes, jacobian, top, clusters)
        norm, trace = norm + added.norm, trace + added.trace
        trace += _moved_by_shift(contraction, norm)
        largest = min(added.largest, norm)
    return ResidualBounds(norm, largest, trace, below, residuals is None)


@final
@dataclass(frozen=True, slots=True)
class _ResidualKernel:
    """The kernel R(i, j) u_i'u_j, u a vector per row, with |R(i, j) u_i'u_j| <= w_i w_j."""

    gram: LowRankGram
    vectors: Float[np.ndarray, "n k"]
    lengths: Float[np.ndarray, " n"]

    def correlations(
        self,
        rows: Int[np.ndarray, " s"],
        others: Int[np.ndarray, " s"],
        second: "_ResidualKernel | None" = None,
    ) -> Float[np.ndarray, " s"]:
        """Return R(i, j) u_i'v_j / (w_i w_j) for pairs of rows, between -1 and 1, u = v or not."""
        gram, points, right = self.gram, self.gram.points, second or self
        starts = range(0, len(rows), BLOCK)
        parts = [(rows[s : s + BLOCK], others[s : s + BLOCK]) for s in starts]
        explained = np.concatenate(
            [_row_products(gram.factor_at(i), gram.factor_at(j)) for i, j in parts]
        )
        rest = pairwise(gram.kernel, points[rows], points[others]) - explained
        products = rest * _row_products(self.vectors[rows], right.vectors[others])
        size = self.lengths[rows] * right.lengths[others]
        return np.clip(np.divide(products, size, out=np.zeros_like(size), where=size > 0), -1, 1)

    def among(self, rows: Int[np.ndarray, " s"]) -> Float[np.ndarray, "s s"]:
        """Return R(i, j) u_i'u_j / (w_i w_j) for all pairs of some rows, 1 for a row itself."""
        explained = self.gram.factor_at(rows)
        rest = matrix(self.gram.kernel, self.gram.points[rows]) - explained @ explained.T
        size = self.lengths[rows] * self.lengths[rows, None]
        found = np.clip(rest * (self.vectors[rows] @ self.vectors[rows].T) / size, -1, 1)
        return np.where(rows == rows[:, None], 1.0, found)


def _residual_kernel(gram: LowRankGram, vectors: Float[np.ndarray, "n k"]) -> _ResidualKernel:
    return _ResidualKernel(gram, vectors, np.sqrt(gram.bound() * _row_products(vectors, vectors)))


def _row_products(
    left: Float[np.ndarray, "s k"], right: Float[np.ndarray, "s k"]
) -> Float[np.ndarray, " s"]:
    return np.einsum("ij,ij->i", left, right)


@final
@dataclass(frozen=True, slots=True)
class _Clusters:
    """Rows in the order of their clusters, to be drawn with probability proportional to w."""

    order: Int[np.ndarray, " n"]
    ends: Float[np.ndarray, " n"]
    bounds: Float[np.ndarray, " k"]

    @property
    def single(self) -> bool:
        """Whether each row is a cluster of its own."""
        return len(self.bounds) == len(self.order) + 1

    def sizes(self) -> Float[np.ndarray, " m"]:
        """Return b_g^2, b_g the sum of w over cluster g."""
        return np.diff(self.bounds) ** 2

    def draw(self, rng: np.random.Generator) -> Int[np.ndarray, " s"]:
        """Draw clusters with probability proportional to b_g^2."""
        return _drawn(np.cumsum(self.sizes()), rng.random(N_PAIRS))

    def row_in(self, clusters: Int[np.ndarray, " s"], rng: np.random.Generator) -> np.ndarray:
        """Draw a row in each of the clusters with probability proportional to w."""
        low, high = self.bounds[clusters], self.bounds[clusters + 1]
        place = np.searchsorted(self.ends, low + (high - low) * rng.random(len(low)), side="right")
        return self.order[np.minimum(place, len(self.order) - 1)]


def _clusters(kernel: _ResidualKernel, codes: Int[np.ndarray, " n"]) -> _Clusters:
    single = int(codes.max()) + 1 == len(codes)
    order = kernel.gram.order if single else np.argsort(codes, kind="stable")
    ends = np.cumsum(kernel.lengths[order])
    last = np.arange(len(codes)) if single else np.flatnonzero(np.diff(codes[order], append=-1))
    return _Clusters(order, ends, np.append(0.0, ends[last]))


def _drawn(ends: Float[np.ndarray, " m"], u: Float[np.ndarray, " s"]) -> Int[np.ndarray, " s"]:
    return np.minimum(np.searchsorted(ends, u * ends[-1], side="right"), len(ends) - 1)


def _norms(kernel: _ResidualKernel, clusters: _Clusters) -> tuple[float, float]:
    """Bound the Frobenius norm of the cluster sums off the diagonal, and on it."""
    own = 0.0 if clusters.single else float(np.linalg.norm(clusters.sizes()))
    return _norm_between(kernel, clusters), own


def _norm_between(kernel: _ResidualKernel, clusters: _Clusters) -> float:
    """Bound the Frobenius norm, off the diagonal, of the cluster sums of R(i, j) u_i'u_j.

    E[rho_ij rho_i'j'] over clusters g, h drawn by b^2 and rows i, i' in g and j, j' in h drawn by w
    is the sum of squares over (sum b^2)^2.
    """
    rng = np.random.default_rng(PAIR_SEED)
    g, h = clusters.draw(rng), clusters.draw(rng)
    once = kernel.correlations(clusters.row_in(g, rng), clusters.row_in(h, rng))
    twice, width = once, 1.0
    if not clusters.single:
        twice = kernel.correlations(clusters.row_in(g, rng), clusters.row_in(h, rng))
        width = 2.0
    share = max(_upper_mean(np.where(g == h, 0.0, once * twice), width), 0.0)
    return float(clusters.sizes().sum() * np.sqrt(share))


def _largest(kernel: _ResidualKernel) -> float:
    """Bound the largest eigenvalue of W = R(i, j) u_i'u_j, its diagonal w_i^2 included."""
    sizes = kernel.lengths**2
    total = float(sizes.sum())
    return total * _leading(_among_drawn(kernel, sizes)) if total > 0 else 0.0


def _among_drawn(
    kernel: _ResidualKernel, sizes: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "s s"]:
    """Return the correlations of all pairs of rows drawn by size."""
    rng, order = np.random.default_rng(PAIR_SEED + 3), kernel.gram.order
    return kernel.among(order[_drawn(np.cumsum(sizes[order]), rng.random(N_ROWS))])


def _leading(correlations: Float[np.ndarray, "s s"]) -> float:
    """Bound the largest eigenvalue of a mean of p p', |p| = 1, from the products of a sample.

    Along its leading eigenvector it is the mean of numbers between 0 and 1, for which Chernoff's
    bound holds, and the largest eigenvalue of the sample is no less than that of the sample there.
    """
    n = len(correlations)
    values = eigsh(correlations, 1, which="LA", v0=np.ones(n), tol=EIGEN_TOLERANCE)[0]
    slack = np.log(1 / RISK) / (2 * n)
    seen = (1 + EIGEN_TOLERANCE) * float(values[0]) / n
    return float(min((np.sqrt(seen + slack) + np.sqrt(slack)) ** 2, 1.0))


def _trace_within(kernel: _ResidualKernel, clusters: _Clusters) -> float:
    """Bound the sum of R(i, j) u_i'u_j over pairs of different rows of one cluster."""
    if clusters.single:
        return 0.0
    rng = np.random.default_rng(PAIR_SEED + 1)
    g = clusters.draw(rng)
    i, j = clusters.row_in(g, rng), clusters.row_in(g, rng)
    found = np.where(i == j, 0.0, kernel.correlations(i, j))
    return float(clusters.sizes().sum() * max(_upper_mean(found, 2.0), _upper_mean(-found, 2.0)))


class _Added(NamedTuple):
    """What the estimate of theta adds to norm and trace, and the largest eigenvalue with it."""

    norm: float
    trace: float
    largest: float


def _moved_by_theta(
    contraction: Contraction,
    codes: Int[np.ndarray, " n"],
    jacobian: Float[np.ndarray, "n q p"],
    top: float,
    clusters: _Clusters,
) -> _Added:
    """Bound what the unknown R_0 S adds; `top` bounds the eigenvalues of f r R r."""
    c, n, f = contraction, len(codes), contraction.factor
    gram, m = low_rank_of(c), int(codes.max()) + 1
    elsewhere = c.border.n_columns > 0
    influence = n * c.border.root if elsewhere else _cluster_sums(c.scaled_influence, codes, m)
    spread = influence.T @ influence
    q, p = jacobian.shape[1:]
    root, inverse = _root(f * spread)
    kernel = _residual_kernel(gram, (jacobian.reshape(n * q, p) @ root).reshape(n, q * p))
    energy = _energy(kernel) / n**2
    own = float(kernel.lengths @ kernel.lengths) / n**2
    weights = gram.residual[:, None] * c.scaled_residuals
    pulled = sum(w[:, None] * jacobian[:, k] for k, w in enumerate(weights.T))
    grouped = _cluster_sums(pulled, codes, m) * (f / n)
    known = np.sqrt(max(np.trace(grouped.T @ grouped @ spread), 0.0))
    crossed = own_trace = 0.0
    if not elsewhere:  # what a theta from another sample adds stands beside the diagonal
        own_trace = abs(float(np.sum(grouped * influence)))
        along = (influence @ inverse.T)[codes]
        pulling = c.scaled_residuals[:, :, None] * along[:, None, :]
        crossed = f / n * _between(_residual_kernel(gram, pulling.reshape(n, q * p)), kernel)
    of_diagonal = (np.sqrt(f * clusters.sizes().max()) + np.sqrt(own)) ** 2
    return _Added(
        2 * (np.sqrt(top * energy) + known) + energy + own,
        2 * (crossed + own_trace) + energy + own,
        max((np.sqrt(top) + np.sqrt(energy)) ** 2, of_diagonal),
    )


def _moved_by_shift(contraction: Contraction, norm: float) -> float:
    """Bound what another shift does to the mean of the law.

    That of the exact K differs by the regression of E on B_I, at most |E| / |B_I|. What is left of
    E after it is not longer than E.
    """
    shift = contraction.shift
    return abs(shift.slope) * norm / shift.norm if shift.norm > 0 else 0.0


def _between(one: _ResidualKernel, other: _ResidualKernel) -> float:
    """Bound the absolute sum of R(i, j) u_i'v_j over all pairs."""
    order, rng = one.gram.order, np.random.default_rng(PAIR_SEED + 4)
    ends = [np.cumsum(kernel.lengths[order]) for kernel in (one, other)]
    if not (ends[0][-1] > 0 and ends[1][-1] > 0):
        return 0.0
    i, j = (order[_drawn(end, rng.random(N_PAIRS))] for end in ends)
    found = one.correlations(i, j, other)
    most = max(_upper_mean(found, 2.0), _upper_mean(-found, 2.0))
    return float(ends[0][-1] * ends[1][-1] * most)


def _energy(kernel: _ResidualKernel) -> float:
    """Bound the sum of R(i, j) u_i'u_j over all pairs.

    It is |sum p_i|^2, p_i the vectors whose products the kernel gives. Along that sum rows drawn by
    w_i = |p_i| have a mean that Bernstein's inequality bounds, and the sample's sum is no shorter.
    """
    total = float(kernel.lengths.sum())
    if not total > 0:
        return 0.0
    correlations, log = _among_drawn(kernel, kernel.lengths), np.log(1 / RISK)
    deviation = np.sqrt(2 * _leading(correlations) * log / N_ROWS) + 2 * log / (3 * N_ROWS)
    seen = np.sqrt(max(float(correlations.mean()), 0.0)) + deviation
    return total**2 * float(min(seen, 1.0)) ** 2


def _cluster_sums(
    values: Float[np.ndarray, "n p"], codes: Int[np.ndarray, " n"], m: int
) -> Float[np.ndarray, "m p"]:
    if m == len(codes):
        return values
    return np.stack([np.bincount(codes, column, m) for column in values.T], axis=1)


def _root(
    square: Float[np.ndarray, "p p"],
) -> tuple[Float[np.ndarray, "p p"], Float[np.ndarray, "p p"]]:
    """Return Q with Q Q' the matrix, whose rows may differ in size, and Q^-1 where it has one."""
    sizes = np.sqrt(np.diag(square))
    sizes = np.where(sizes > 0, sizes, 1.0)
    values, vectors = np.linalg.eigh(square / sizes / sizes[:, None])
    lengths = np.sqrt(np.maximum(values, 0.0))
    seen = values > SMALLEST_VARIANCE
    shares = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=seen)
    return vectors * lengths * sizes[:, None], (vectors * shares).T / sizes


def _upper_mean(values: Float[np.ndarray, " s"], width: float) -> float:
    """Bound the mean of what was sampled (Maurer and Pontil 2009, theorem 4)."""
    log, n = np.log(2 / RISK), len(values)
    deviation = np.sqrt(2 * values.var(ddof=1) * log / n)
    return float(values.mean() + deviation + 7 * width * log / (3 * (n - 1)))
