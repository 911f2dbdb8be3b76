"""A Gram matrix as a low-rank factor and an exact diagonal, for samples of any size."""

import math
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
from kcm.exceptions import DataError, OptionError, SaturatedModelError
from kcm.gram import Execution, GramOperator
from kcm.gram.blocks import in_precision, in_range
from kcm.gram.execution import MOST_MEMORY, Precision, double_arithmetic
from kcm.gram.operator import Contracted
from kcm.gram.passes import KERNEL_COST, fetched, pass_over_rows, placed
from kcm.gram.traversal import Sums
from kcm.kernels import Kernel
from kcm.kernels.base import check_definite
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
# Rounding units in a kernel value, and the error of F in units of sqrt(max k) above which a factor
# held in single precision is computed in double.
KERNEL_UNITS = 4
UNSTABLE = 1e-3
# Points on which the fast form of a kernel is tried, and its largest error relative to max k(x, x).
N_TRIED = 64
CANCELLING = 1e-6


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LowRankGram(GramOperator):
    """F F' + diag(R): the Nystroem approximation of K with its diagonal made exact.

    R = diag(K - F F') is not negative, up to rounding. What is left out, K - F F' without its
    diagonal, adds nothing to the trace of a quadratic form.

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
    own : ndarray of shape (n,)
        diag(K).
    residual : ndarray of shape (n,)
        R.
    landmarks : ndarray of shape (r, d)
        Points in whose columns F F' is exact.
    residual_share : float
        tr(K - F F') / tr K.
    rounding : float
        |K - F F'|_ij is at most sqrt(R_ii R_jj) of R = K - F F' + rounding, with R_ii at least
        `rounding`.
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
    own: Float[np.ndarray, " n"]
    residual: Float[np.ndarray, " n"]
    landmarks: Float[np.ndarray, "r d"]
    residual_share: float
    rounding: float
    order: Int[np.ndarray, " n"]

    @property
    def rank(self) -> int:
        """Number of landmarks."""
        return len(self.landmarks)

    def diagonal(self) -> Float[np.ndarray, " n"]:
        return self.own

    def bound(self) -> Float[np.ndarray, " n"]:
        """Return b with |K - F F'|_ij <= sqrt(b_i b_j)."""
        return np.maximum(self.residual, 0.0) + self.rounding

    def product(self, v: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
        return self.outer(self.inner(v)) + self.residual[:, None] * v

    def contracted(self, v: Float[np.ndarray, "n q"], s: Float[np.ndarray, "n m"]) -> Contracted:
        q, inner = v.shape[1], self.inner(np.hstack([v, s]))
        form = np.sum(inner[:, :q] ** 2) + self.residual @ np.sum(v**2, axis=1)
        return Contracted(float(form), self.residual[:, None] * s, inner[:, q:])

    def forms(self, v: Float[np.ndarray, "n m"], precision: Precision) -> Float[np.ndarray, " m"]:
        del precision  # that of the factor
        return np.sum(self.inner(v) ** 2, axis=0) + self.residual @ v**2

    def inner(self, v: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "k m"]:
        """Return F'V, in double precision."""
        rows = self.with_factor({"v": v})
        return np.asarray(self.over_rows(visit_inner, (), rows, v.shape[1]).total)

    def within(
        self,
        v: Float[np.ndarray, "n q"],
        weights: Float[np.ndarray, " n"],
        codes: Int[np.ndarray, " n"] | None,
    ) -> float:
        squares = np.sum(v**2, axis=1) * weights
        if codes is None:
            return float(self.own @ squares)
        m = int(codes.max()) + 1
        self.check_grouped(m, self.factor.shape[2])
        sizes = np.zeros(m)
        sizes[codes] = weights
        total = float(self.residual @ squares)
        for column in v.T:
            rows = self.with_factor({"v": column, "labels": codes.astype(np.int32)})
            sums = self.over_rows(visit_sums_by_label, np.zeros((bucket(m), 0)), rows, 1).total
            total += float(np.sum(np.asarray(sums)[:m] ** 2, axis=1) @ sizes)
        return total

    def check_grouped(self, n_clusters: int, n_columns: int) -> None:
        """Refuse sums of rows by cluster that the memory limit does not hold."""
        needed = 16 * n_clusters * n_columns
        if needed > self.execution.memory:
            raise OptionError(
                f"{n_clusters:,} clusters with a factor of {n_columns} columns need a "
                f"`memory_limit` of {needed:,} bytes and it is {self.execution.memory:,}; raise "
                "it, or `tolerance`."
            )

    def outer(self, inner: Float[np.ndarray, "k m"]) -> Float[np.ndarray, "n m"]:
        """Return F A for A with a row per column of F, in double precision."""
        found = self.over_rows(visit_outer, inner, {"factor": self.factor}, inner.shape[1])
        return fetched(found.rows, self.layout, len(self.points))

    def with_factor(self, rows: dict[str, np.ndarray]) -> dict[str, Array]:
        """Cut rows like the factor and put them beside it."""
        return placed(rows, self.layout, self.execution) | {"factor": self.factor}

    def over_rows(self, visit: Any, shared: Any, tiles: dict[str, Array], width: int) -> Sums:
        """Pass over tiles of rows cut like the factor, whose columns meet `width` others."""
        per_row = self.factor.shape[2] * width
        return pass_over_rows(visit, shared, tiles, self.layout, self.execution, per_row)

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
        On a tolerance below 1e-12, or below 1e-5 for more than 131,072 rows; where a factor in
        single precision cannot hold the values of the kernel.
    DataError
        When kernel values are not finite, or cancel: a bandwidth far below the spread of the data.
    SaturatedModelError
        When the kernel is zero on all rows.

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
    check_definite(kernel, "a low-rank factor")
    own = gram.diagonal(kernel, points)
    _check_values(kernel, points, own)
    sample = _Sample(kernel, points, own, rows_by_value(points), execution)
    candidates = _candidates(sample.order)
    goal, rank = tolerance, 0
    while True:
        most = min(max_rank, len(candidates))
        chosen = low_rank_factor(kernel, points[candidates], goal, most)
        found = _factored(sample, candidates[chosen.pivots], chosen.factor[chosen.pivots])
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


def _check_values(
    kernel: Kernel, points: Float[np.ndarray, "n d"], own: Float[np.ndarray, " n"]
) -> None:
    """Refuse a kernel of which no share of the trace can be found."""
    with np.errstate(over="ignore"):
        trace = float(own.sum())
    if not math.isfinite(trace):
        raise DataError(
            f"the kernel {kernel!r} is not finite on these conditioning values, or its sum over "
            "them is not."
        )
    if not trace > 0:
        raise SaturatedModelError(
            f"the kernel {kernel!r} is zero on these conditioning values, so that it sees nothing "
            "of the residuals."
        )
    tried = np.linspace(0, len(points) - 1, N_TRIED).astype(int)
    again = np.diag(gram.cross(kernel, points[tried], points[tried]))
    if np.abs(again - own[tried]).max() > CANCELLING * own[tried].max():
        raise DataError(
            f"the kernel {kernel!r} is so narrow beside the spread of the conditioning values "
            'that its values cancel in a low-rank factor; use method="exact".'
        )


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """What a factor is made of: its rows, diag(K), and their order by value."""

    kernel: Kernel
    points: Float[np.ndarray, "n d"]
    own: Float[np.ndarray, " n"]
    order: Int[np.ndarray, " n"]
    execution: Execution


def _factored(
    sample: _Sample, landmarks: Int[np.ndarray, " r"], triangle: Float[np.ndarray, "r r"]
) -> LowRankGram:
    kernel, points, own, execution = sample.kernel, sample.points, sample.own, sample.execution
    n, layout, largest = len(points), execution.layout(len(points)), float(own.max())
    inverse = solve_triangular(triangle, np.eye(len(triangle)), lower=True)
    held, computed, error = _arithmetic(inverse, largest, _number(n, execution))
    rows, shared = _operands(kernel, points, landmarks, inverse.astype(computed))
    tiles = placed(rows, layout, execution)
    per_row = len(shared[1]) * (KERNEL_COST + len(shared[1]))
    operands = (*shared, held), tiles, layout, execution, per_row
    factor, explained = pass_over_rows(visit_factor, *operands).rows
    residual = own - fetched(explained, layout, n)
    share = float(np.maximum(residual, 0.0).sum() / own.sum())
    held_rows = kernel, points, execution, factor, layout, own, residual
    return LowRankGram(*held_rows, points[landmarks], share, 2 * error * largest, sample.order)


def _arithmetic(
    inverse: Float[np.ndarray, "r r"], largest: float, number: type[np.floating]
) -> tuple[np.ndarray, type[np.floating], float]:
    """Return how F is held and computed, and its error in units of sqrt(max k).

    Errors of kernel values reach F times |L^-1|: where pivots are small, F is computed in double
    precision and rounded once.
    """
    if number is np.float32 and not in_range(np.array([largest])).all():
        raise OptionError(
            f"kernel values reach {largest:g}, which a low-rank factor in single precision cannot "
            'hold; divide the kernel by a constant, or pass `precision="double"`.'
        )
    growth = KERNEL_UNITS * float(np.linalg.norm(inverse)) * largest**0.5
    held, rounding = np.zeros(0, number), float(np.finfo(number).eps)
    if growth * rounding <= UNSTABLE:
        return held, number, growth * rounding
    return held, np.float64, rounding + growth * float(np.finfo(np.float64).eps)


def _operands(
    kernel: Kernel,
    points: Float[np.ndarray, "n d"],
    landmarks: Int[np.ndarray, " r"],
    inverse: Float[np.ndarray, "r r"],
) -> tuple[dict[str, np.ndarray], tuple[Any, np.ndarray, np.ndarray]]:
    """Return points, and kernel, landmarks and L^-1, filled up to a rounded number of columns."""
    fill = bucket(len(landmarks), COLUMN_ROUNDING) - len(landmarks)
    precision: Precision = "double" if inverse.dtype == np.float64 else "single"
    lower, moved, _ = in_precision(kernel, points, precision)
    filled = moved[np.pad(landmarks, (0, fill), mode="edge")]
    return {"x": moved}, (lower, filled, np.pad(inverse, (0, fill)))


@jax.jit
def _rows_at(
    factor: Float[Array, "t r k"], tile: Int[Array, " s"], row: Int[Array, " s"]
) -> Float[Array, "s k"]:
    return factor[tile, row].astype(jnp.float64)


def visit_factor(shared: Any, tile: dict[str, Array]) -> Sums:
    """Return a tile of F = K_nm L^-T, and of diag(F F')."""
    kernel, landmarks, inverse, held = shared
    factor = kernel.cross(tile["x"], landmarks).astype(inverse.dtype) @ inverse.T
    factor = factor.astype(held.dtype)
    return Sums((), (factor, jnp.sum(factor.astype(jnp.float64) ** 2, axis=1)))


def visit_inner(shared: Any, tile: dict[str, Array]) -> Sums:
    """Add up F'V."""
    return Sums(tile["factor"].astype(jnp.float64).T @ tile["v"], ())


def visit_outer(inner: Float[Array, "r m"], tile: dict[str, Array]) -> Sums:
    """Return a tile of F A."""
    return Sums((), tile["factor"].astype(jnp.float64) @ inner)


def visit_sums_by_label(room: Float[Array, "m z"], tile: dict[str, Array]) -> Sums:
    """Add up the rows of F, each times v, that carry the same label; `room` has a row for each."""
    rows = tile["factor"].astype(jnp.float64) * tile["v"][:, None]
    return Sums(jax.ops.segment_sum(rows, tile["labels"], num_segments=len(room)), ())
