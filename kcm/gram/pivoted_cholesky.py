"""A low-rank factor of a Gram matrix that is never formed, with its residual."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpstrf

from kcm import gram
from kcm._arrays import as_float_columns
from kcm.kernels import Kernel, check_definite

__all__ = ["LowRankFactor", "extended", "low_rank_factor"]

# Columns of the Gram matrix that are evaluated and factored together.
BLOCK = 32
PIVOT_SEED = 20_200_722
# A pivot that the others explain up to this share of the largest diagonal entry is left out.
DEPENDENT = 1e-13


@final
@dataclass(frozen=True, slots=True, eq=False)
class LowRankFactor:
    """F with F F' close to the Gram matrix K.

    Parameters
    ----------
    factor : ndarray of shape (n, r)
        F. K - F F' is positive semi-definite.
    pivots : ndarray of shape (r,)
        The rows of x that span the approximation, the landmarks: K is exact in their columns.
    residual_share : float
        tr(K - F F') / tr K, in [0, 1].
    residual : ndarray of shape (n,)
        diag(K - F F').
    generator : mapping
        State of the generator that drew the pivots, for more of them.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> low_rank_factor(Gaussian(1.0), np.linspace(0.0, 1.0, 50)).factor.shape[1] < 20
    True
    """

    factor: Float[np.ndarray, "n r"]
    pivots: Int[np.ndarray, " r"]
    residual_share: float
    residual: Float[np.ndarray, " n"]
    generator: Mapping[str, Any]

    @property
    def rank(self) -> int:
        """Number of columns r."""
        return self.factor.shape[1]


def low_rank_factor(
    kernel: Kernel, x: Any, tolerance: float = 1e-10, max_rank: int = 1_000
) -> LowRankFactor:
    """Factor a Gram matrix by randomly pivoted Cholesky, in blocks.

    Parameters
    ----------
    kernel : Kernel
        A bandwidth rule is resolved on `x`.
    x : array_like of shape (n, d)
        Points.
    tolerance : float
        The rank grows until tr(K - F F') <= tolerance tr K. Default 1e-10.
    max_rank : int
        It stops growing here, whatever the residual. Default 1,000.

    Returns
    -------
    LowRankFactor

    Raises
    ------
    OptionError
        For a kernel that is positive semi-definite only on weights that sum to zero.

    Notes
    -----
    O(n r) kernel evaluations and O(n r^2) operations. Pivots are drawn with probabilities
    proportional to the residual diagonal, from a fixed seed.

    References
    ----------
    Chen, Epperly, Tropp and Webber (2025), Randomly pivoted Cholesky: practical approximation of a
    kernel matrix with few entry evaluations, Communications on Pure and Applied Mathematics 78.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> x = np.linspace(0.0, 3.0, 40)
    >>> f = low_rank_factor(Gaussian(1.0), x).factor
    >>> bool(np.abs(f @ f.T - gram.matrix(Gaussian(1.0), x)).max() < 1e-8)
    True
    """
    check_definite(kernel, "a low-rank factor")
    points = as_float_columns(x, "x")
    kernel = kernel.resolve(points)
    start = _nothing_explained(gram.diagonal(kernel, points))
    return extended(start, kernel, points, tolerance, max_rank)


def extended(
    start: LowRankFactor,
    kernel: Kernel,
    points: Float[np.ndarray, "n d"],
    tolerance: float,
    max_rank: int,
) -> LowRankFactor:
    """Add columns to a factor until its residual is small; those that are there stay.

    Parameters
    ----------
    start : LowRankFactor
        Of `kernel`, resolved, on `points`.
    kernel : Kernel
    points : ndarray of shape (n, d)
    tolerance : float
    max_rank : int
        As in `low_rank_factor`. The factor is the one that it returns for them.
    """
    diagonal = gram.diagonal(kernel, points)
    factor, pivots, residual = start.factor, start.pivots, start.residual
    smallest, rng = DEPENDENT * float(diagonal.max()), np.random.default_rng(PIVOT_SEED)
    rng.bit_generator.state = start.generator
    while len(pivots) < min(max_rank, len(points)) and _open(residual, diagonal, tolerance):
        drawn = _draw(residual, min(BLOCK, max_rank - len(pivots)), rng)
        columns, chosen = _new_columns(kernel, points, factor, drawn, smallest)
        if not len(chosen):
            break
        factor, pivots = np.hstack([factor, columns]), np.append(pivots, chosen)
        residual = np.maximum(residual - np.sum(columns**2, axis=1), 0.0)
        residual[pivots] = 0.0
    share = float(residual.sum() / diagonal.sum())
    return LowRankFactor(factor, pivots, share, residual, rng.bit_generator.state)


def _nothing_explained(diagonal: Float[np.ndarray, " n"]) -> LowRankFactor:
    n, rng = len(diagonal), np.random.default_rng(PIVOT_SEED)
    nothing = np.zeros((n, 0)), np.zeros(0, np.int64)
    return LowRankFactor(*nothing, 1.0, diagonal.copy(), rng.bit_generator.state)


def _open(
    residual: Float[np.ndarray, " n"], diagonal: Float[np.ndarray, " n"], tolerance: float
) -> bool:
    return bool(residual.sum() > tolerance * diagonal.sum())


def _draw(
    residual: Float[np.ndarray, " n"], size: int, rng: np.random.Generator
) -> Int[np.ndarray, " b"]:
    """Draw rows with probability proportional to the residual; the largest is always among them."""
    candidates = int(np.count_nonzero(residual))
    drawn = rng.choice(
        len(residual), min(size, candidates), replace=False, p=residual / residual.sum()
    )
    return np.unique(np.append(drawn[: size - 1], np.argmax(residual)))


def _new_columns(
    kernel: Kernel,
    points: Float[np.ndarray, "n d"],
    factor: Float[np.ndarray, "n r"],
    drawn: Int[np.ndarray, " b"],
    smallest: float,
) -> tuple[Float[np.ndarray, "n k"], Int[np.ndarray, " k"]]:
    """Return the columns of F that the drawn rows add, and the rows kept."""
    rest = gram.cross(kernel, points, points[drawn]) - factor @ factor[drawn].T
    triangle, order, rank, _ = dpstrf(rest[drawn], lower=1, tol=smallest)
    kept = (order - 1)[:rank]
    lower = np.tril(triangle[:rank, :rank])
    return solve_triangular(lower, rest[:, kept].T, lower=True).T, drawn[kept]
