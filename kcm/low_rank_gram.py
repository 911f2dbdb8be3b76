"""A Gram matrix as a low-rank factor and an exact diagonal, for samples of any size."""

from dataclasses import dataclass
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.linalg import solve_triangular

from kcm import gram
from kcm._tiles import Layout, bucket
from kcm._variation import rows_by_value
from kcm.contraction import Contraction
from kcm.exceptions import OptionError
from kcm.gram import Execution, GramOperator
from kcm.gram.blocks import in_precision
from kcm.gram.contractions import scaled_columns
from kcm.gram.execution import MOST_MEMORY, Precision, double_arithmetic
from kcm.gram.passes import fetched, pass_over_rows, placed
from kcm.gram.traversal import Sums
from kcm.kernels import Kernel
from kcm.low_rank import low_rank_factor

__all__ = ["LowRankGram", "low_rank_gram"]

# Landmarks are chosen among at most this many rows.
MOST_CANDIDATES = 16_384
CANDIDATE_SEED = 20_200_723
MOST_RANK = 2_048
# Above this many rows the factor is held in single precision.
DOUBLE_ROWS = 131_072
COLUMN_ROUNDING = 32
# Smallest residual shares that factors in single and double precision can tell from rounding.
SINGLE_TOLERANCE = 1e-5
DOUBLE_TOLERANCE = 1e-12


@final
@dataclass(frozen=True, slots=True, eq=False)
class LowRankGram(GramOperator):
    """F F' + diag(R): the Nystroem approximation of K with its diagonal made exact.

    R = diag(K - F F') is not negative. What is left out, K - F F' without its diagonal, adds
    nothing to the trace of a quadratic form.

    Parameters
    ----------
    kernel : Kernel
        Resolved.
    points : ndarray of shape (n, d)
    execution : Execution
    factor : Array of shape (tiles, rows, columns)
        F, cut into tiles where it was made; columns beyond the rank are zero.
    layout : Layout
        How the rows of F are cut.
    residual : ndarray of shape (n,)
        R.
    landmarks : ndarray of shape (r, d)
        Points in whose columns F F' is exact.
    residual_share : float
        tr(K - F F') / tr K.
    order : ndarray of shape (n,)
        The rows in the order of their values, for what is drawn from them.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> approximate = low_rank_gram(Gaussian(1.0), np.linspace(0.0, 3.0, 200)[:, None], 1e-3)
    >>> approximate.residual_share < 1e-3
    True
    """

    kernel: Kernel
    points: Float[np.ndarray, "n d"]
    execution: Execution
    factor: Float[Array, "tiles rows columns"]
    layout: Layout
    residual: Float[np.ndarray, " n"]
    landmarks: Float[np.ndarray, "r d"]
    residual_share: float
    order: Int[np.ndarray, " n"]

    @property
    def rank(self) -> int:
        """Number of landmarks."""
        return len(self.landmarks)

    def diagonal(self) -> Float[np.ndarray, " n"]:
        return gram.diagonal(self.kernel, self.points)

    def product(self, v: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
        size, scaled = self._scaled(v)
        inner = self.over_rows(visit_inner, (), self.with_factor({"v": scaled})).total
        inner = np.asarray(inner).astype(self.factor.dtype)
        found = self.over_rows(visit_outer, inner, {"factor": self.factor}).rows
        return fetched(found, self.layout, len(v)) * size + self.residual[:, None] * v

    def forms(self, v: Float[np.ndarray, "n m"], precision: Precision) -> Float[np.ndarray, " m"]:
        del precision  # that of the factor
        size, scaled = self._scaled(v)
        inner = self.over_rows(visit_inner, (), self.with_factor({"v": scaled})).total
        return np.sum(np.asarray(inner) ** 2, axis=0) * size**2 + self.residual @ v**2

    def _scaled(
        self, v: Float[np.ndarray, "n m"]
    ) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "n m"]]:
        return scaled_columns(v, "single" if self.factor.dtype == np.float32 else "double")

    def with_factor(self, rows: dict[str, np.ndarray]) -> dict[str, Array]:
        """Cut rows like the factor, in its precision, and put them beside it."""
        numbers = {k: v.astype(self.factor.dtype, copy=False) for k, v in rows.items()}
        return placed(numbers, self.layout, self.execution) | {"factor": self.factor}

    def over_rows(self, visit: Any, shared: Any, tiles: dict[str, Array]) -> Sums:
        """Pass over tiles of rows cut like the factor."""
        return pass_over_rows(visit, shared, tiles, self.layout, self.execution)

    def factor_at(self, rows: Int[np.ndarray, " k"]) -> Float[np.ndarray, "k columns"]:
        """Return some rows of F in double precision."""
        per_shard = self.layout.count * self.layout.rows
        room = self.layout.capacity * self.layout.rows
        places = rows // per_shard * room + rows % per_shard
        tile, row = np.divmod(places, self.layout.rows)
        with double_arithmetic():
            return np.asarray(_rows_at(self.factor, tile, row))


def low_rank_gram(
    kernel: Kernel,
    points: Float[np.ndarray, "n d"],
    tolerance: float = 0.01,
    max_rank: int = MOST_RANK,
    execution: Execution | None = None,
) -> LowRankGram:
    """Approximate a Gram matrix, with a rank that grows until the residual trace is small.

    Parameters
    ----------
    kernel : Kernel
        Resolved.
    points : ndarray of shape (n, d)
    tolerance : float
        The rank grows until tr(K - F F') <= tolerance tr K. Default 0.01.
    max_rank : int
        It stops growing here, whatever the residual. Default 2,048.
    execution : Execution, optional

    Returns
    -------
    LowRankGram

    Raises
    ------
    OptionError
        On a tolerance below 1e-12, or below 1e-5 for more than 131,072 rows.

    Notes
    -----
    Landmarks come from a randomly pivoted Cholesky factorisation (Chen, Epperly, Tropp and Webber
    2025) on at most 16,384 rows, drawn with a fixed seed from the rows in the order of their
    values; F = K_nm L^-T with L L' = K_mm takes one pass over all rows. The residual trace is that
    of all rows. The factor is held: with `precision="mixed"` in double up to 131,072 rows and in
    single above.
    """
    execution = execution or Execution()
    _check_tolerance(tolerance, len(points), execution)
    order = rows_by_value(points)
    candidates = points[_candidates(order)]
    goal, rank = tolerance, 0
    while True:
        chosen = low_rank_factor(kernel, candidates, goal, min(max_rank, len(candidates)))
        triangle = chosen.factor[chosen.pivots]
        landmarks = candidates[chosen.pivots]
        found = _factored(kernel, points, landmarks, triangle, order, execution)
        if found.residual_share <= tolerance or chosen.rank in (rank, max_rank):
            return found
        goal, rank = goal / 2, chosen.rank


def low_rank_of(contraction: Contraction) -> LowRankGram:
    """Return the Gram matrix of a low-rank contraction."""
    if not isinstance(contraction.gram, LowRankGram):
        raise TypeError(f"expected a LowRankGram, got {type(contraction.gram).__name__}")
    return contraction.gram


def _candidates(order: Int[np.ndarray, " n"]) -> Int[np.ndarray, " k"]:
    if len(order) <= MOST_CANDIDATES:
        return order
    rng = np.random.default_rng(CANDIDATE_SEED)
    return order[rng.choice(len(order), MOST_CANDIDATES, replace=False)]


def least_tolerance(n: int, execution: Execution) -> float:
    """Return the smallest residual share that a factor of n rows can tell from rounding."""
    return SINGLE_TOLERANCE if _number(n, execution) is np.float32 else DOUBLE_TOLERANCE


def affordable_rank(n: int, execution: Execution) -> int:
    """Return the largest rank of a factor of n rows that the memory limit admits.

    Raises
    ------
    OptionError
        When it is below 32.
    """
    columns = 2 * n * np.dtype(_number(n, execution)).itemsize
    # by default the same rank on every machine
    memory = MOST_MEMORY if execution.memory_limit is None else execution.memory
    rank = min(memory // columns // COLUMN_ROUNDING * COLUMN_ROUNDING, MOST_RANK)
    if rank < COLUMN_ROUNDING:
        smallest = max(columns * COLUMN_ROUNDING, execution.least_memory(n))
        raise OptionError(
            f"`memory_limit` is {memory:,} bytes; the smallest that works for a low-rank "
            f"factor of {n:,} rows is {smallest:,} bytes."
        )
    return int(rank)


def _number(n: int, execution: Execution) -> type[np.floating]:
    """Return the type of the factor: "mixed" takes double where it is small."""
    small = n <= DOUBLE_ROWS and execution.precision == "mixed"
    return np.float64 if small or execution.precision == "double" else np.float32


def _check_tolerance(tolerance: float, n: int, execution: Execution) -> None:
    least = least_tolerance(n, execution)
    if tolerance < least:
        raise OptionError(
            f"`tolerance` is {tolerance:g}; the smallest for {n:,} rows is {least:g} (above "
            f"{DOUBLE_ROWS:,} rows the factor is held in single precision unless `precision` is "
            '"double").'
        )


def _factored(
    kernel: Kernel,
    points: Float[np.ndarray, "n d"],
    landmarks: Float[np.ndarray, "r d"],
    triangle: Float[np.ndarray, "r r"],
    order: Int[np.ndarray, " n"],
    execution: Execution,
) -> LowRankGram:
    number, room = _number(len(points), execution), bucket(len(landmarks), COLUMN_ROUNDING)
    inverse = np.zeros((room, room))
    inverse[: len(triangle), : len(triangle)] = solve_triangular(
        triangle, np.eye(len(triangle)), lower=True
    )
    filled = np.pad(landmarks, ((0, room - len(landmarks)), (0, 0)), mode="edge")
    n, layout = len(points), execution.layout(len(points))
    lower, both = in_precision(
        kernel, np.vstack([points, filled]), "double" if number is np.float64 else "single"
    )
    tiles = placed({"x": both[:n]}, layout, execution)
    shared = lower, both[n:], inverse.astype(number)
    factor, explained = pass_over_rows(visit_factor, shared, tiles, layout, execution).rows
    diagonal = gram.diagonal(kernel, points)
    residual = np.maximum(diagonal - fetched(explained, layout, n), 0.0)
    share = float(residual.sum() / diagonal.sum())
    return LowRankGram(kernel, points, execution, factor, layout, residual, landmarks, share, order)


@jax.jit
def _rows_at(
    factor: Float[Array, "t r k"], tile: Int[Array, " s"], row: Int[Array, " s"]
) -> Float[Array, "s k"]:
    return factor[tile, row].astype(jnp.float64)


def visit_factor(shared: Any, tile: dict[str, Array]) -> Sums:
    """Return a tile of F = K_nm L^-T, and of diag(F F')."""
    kernel, landmarks, inverse = shared
    factor = kernel.cross(tile["x"], landmarks).astype(inverse.dtype) @ inverse.T
    return Sums((), (factor, jnp.sum(factor**2, axis=1)))


def visit_inner(shared: Any, tile: dict[str, Array]) -> Sums:
    """Add up F'V."""
    return Sums(tile["factor"].T @ tile["v"], ())


def visit_outer(inner: Float[Array, "r m"], tile: dict[str, Array]) -> Sums:
    """Return a tile of F (F'V)."""
    return Sums((), tile["factor"] @ inner)
