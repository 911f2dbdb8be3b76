"""A Gram matrix as a low-rank factor and an exact diagonal, for samples of any size."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.linalg import solve_triangular

from kcm.exceptions import OptionError
from kcm.gram import Execution, GramOperator
from kcm.gram.blocks import in_precision, in_range
from kcm.gram.execution import Precision, double_arithmetic
from kcm.gram.landmarks import COLUMN_ROUNDING, MOST_RANK, Landmarks, choose_landmarks, number_type
from kcm.gram.operator import Contracted
from kcm.gram.passes import KERNEL_COST, fetched, pass_over_rows, placed
from kcm.gram.tiles import Layout, bucket
from kcm.gram.traversal import Sums
from kcm.kernels import Kernel

__all__ = ["LowRankGram", "factored", "low_rank_gram", "refined", "whole_factor"]

# What the blocks of F are called among other rows, with their numbers.
FACTOR = "factor"
# Further landmarks aim at this share of the tolerance, so that one more pass is enough.
AIM = 0.95
# Rounding units in a kernel value, and the error of F in units of sqrt(max k) above which a factor
# held in single precision is computed in double.
KERNEL_UNITS = 4
UNSTABLE = 1e-3


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
    factor : tuple of Array of shape (tiles, rows, columns)
        Blocks of columns of F, cut into tiles where they were made; columns beyond the rank of a
        block are zero.
    layout : Layout
        How the rows of F are cut.
    own : ndarray of shape (n,)
        diag(K).
    residual : ndarray of shape (n,)
        R.
    landmarks : Landmarks
        Points in whose columns F F' is exact.
    residual_share : float
        tr(K - F F') / tr K.
    rounding : float
        |K - F F'|_ij is at most sqrt(R_ii R_jj) of R = K - F F' + rounding, with R_ii at least
        `rounding`.

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
    factor: tuple[Float[Array, "tiles rows _"], ...]
    layout: Layout
    own: Float[np.ndarray, " n"]
    residual: Float[np.ndarray, " n"]
    landmarks: Landmarks
    residual_share: float
    rounding: float

    @property
    def rank(self) -> int:
        """Number of landmarks."""
        return self.landmarks.chosen.rank

    @property
    def columns(self) -> int:
        """Number of columns of F, with those that are zero."""
        return sum(block.shape[2] for block in self.factor)

    @property
    def dtype(self) -> Any:
        """Type of the numbers in F."""
        return self.factor[0].dtype

    @property
    def order(self) -> Int[np.ndarray, " n"]:
        """The rows in the order of their values, for what is drawn from them."""
        return self.landmarks.order

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
        self.check_grouped(m, self.columns)
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
        found = self.over_rows(visit_outer, inner, self.with_factor({}), inner.shape[1])
        return fetched(found.rows, self.layout, len(self.points))

    def with_factor(self, rows: dict[str, np.ndarray]) -> dict[str, Array]:
        """Cut rows like the factor and put them beside it."""
        blocks = {f"{FACTOR}{k}": block for k, block in enumerate(self.factor)}
        return placed(rows, self.layout, self.execution) | blocks

    def over_rows(self, visit: Any, shared: Any, tiles: dict[str, Array], width: int) -> Sums:
        """Pass over tiles of rows cut like the factor, whose columns meet `width` others."""
        per_row = self.columns * width
        return pass_over_rows(visit, shared, tiles, self.layout, self.execution, per_row)

    def factor_at(self, rows: Int[np.ndarray, " k"]) -> Float[np.ndarray, "k columns"]:
        """Return some rows of F in double precision."""
        per_shard = self.layout.count * self.layout.rows
        room = self.layout.capacity * self.layout.rows
        places = rows // per_shard * room + rows % per_shard
        tile, row = np.divmod(places, self.layout.rows)
        with double_arithmetic():
            return np.hstack([np.asarray(_rows_at(block, tile, row)) for block in self.factor])


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
    of all rows; where it is above the tolerance landmarks are added, and their columns of F. The
    factor is held: with `precision="mixed"` in double up to 131,072 rows and in single above.
    """
    landmarks = choose_landmarks(kernel, points, tolerance, max_rank, execution)
    return factored(landmarks, tolerance, max_rank)


def factored(landmarks: Landmarks, tolerance: float, max_rank: int) -> LowRankGram:
    """Return the approximation that landmarks span, with more of them where it needs them."""
    block = _block_of(landmarks, 0)
    residual = landmarks.own - block.explained
    found = _with_block(landmarks, (), block, residual, 0.0)
    return refined(found, tolerance, max_rank)


def refined(found: LowRankGram, tolerance: float, max_rank: int) -> LowRankGram:
    """Add landmarks, and their columns of F, until the residual trace is small.

    The triangle L of more landmarks begins with that of those that are there, so that their columns
    of F stay as they are: neither are they computed again nor copied.

    Parameters
    ----------
    found : LowRankGram
    tolerance : float
    max_rank : int
        As in `low_rank_gram`.
    """
    while found.residual_share > tolerance and found.rank < max_rank:
        # candidates, landmarks among them, are explained better than other rows
        ratio = min(found.landmarks.chosen.residual_share / found.residual_share, 1.0)
        landmarks = found.landmarks.more(AIM * ratio * tolerance, max_rank)
        if landmarks.chosen.rank == found.rank:  # the candidates are explained, other rows are not
            break
        found = _widened(found, landmarks)
    return found


def _widened(found: LowRankGram, landmarks: Landmarks) -> LowRankGram:
    block = _block_of(landmarks, found.rank)
    residual = found.residual - block.explained
    return _with_block(landmarks, found.factor, block, residual, found.rounding)


class _Block(NamedTuple):
    """Columns of F, the diagonal of their products, and a bound on the rounding of the products."""

    columns: Float[Array, "tiles rows k"]
    explained: Float[np.ndarray, " n"]
    rounding: float


def _block_of(landmarks: Landmarks, first: int) -> _Block:
    """Return the columns of F from `first` on."""
    points, execution = landmarks.points, landmarks.execution
    n, layout, largest = len(points), execution.layout(len(points)), float(landmarks.own.max())
    triangle = landmarks.triangle()
    inverse = solve_triangular(triangle, np.eye(len(triangle)), lower=True)[first:]
    held, computed, error = _arithmetic(inverse, largest, number_type(n, execution))
    rows, shared = _operands(landmarks.kernel, points, landmarks.rows, inverse.astype(computed))
    tiles = placed(rows, layout, execution)
    per_row = len(shared[1]) * (KERNEL_COST + len(shared[2]))
    operands = (*shared, held), tiles, layout, execution, per_row
    columns, explained = pass_over_rows(visit_factor, *operands).rows
    return _Block(columns, fetched(explained, layout, n), 2 * error * largest)


def _with_block(
    landmarks: Landmarks,
    before: tuple[Array, ...],
    block: _Block,
    residual: Float[np.ndarray, " n"],
    rounding: float,
) -> LowRankGram:
    own, points, execution = landmarks.own, landmarks.points, landmarks.execution
    share = float(np.maximum(residual, 0.0).sum() / own.sum())
    sample = landmarks.kernel, points, execution
    factor = (*before, block.columns), execution.layout(len(points))
    return LowRankGram(*sample, *factor, own, residual, landmarks, share, rounding + block.rounding)


def _arithmetic(
    inverse: Float[np.ndarray, "k r"], largest: float, number: type[np.floating]
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
    inverse: Float[np.ndarray, "k r"],
) -> tuple[dict[str, np.ndarray], tuple[Any, np.ndarray, np.ndarray]]:
    """Return points, and kernel, landmarks and rows of L^-1, filled up to rounded numbers."""
    more, fill = (bucket(size, COLUMN_ROUNDING) - size for size in inverse.shape)
    precision: Precision = "double" if inverse.dtype == np.float64 else "single"
    lower, moved, _ = in_precision(kernel, points, precision)
    filled = moved[np.pad(landmarks, (0, fill), mode="edge")]
    return {"x": moved}, (lower, filled, np.pad(inverse, ((0, more), (0, fill))))


@jax.jit
def _rows_at(
    factor: Float[Array, "t r k"], tile: Int[Array, " s"], row: Int[Array, " s"]
) -> Float[Array, "s k"]:
    return factor[tile, row].astype(jnp.float64)


def whole_factor(tile: dict[str, Array]) -> Float[Array, "r k"]:
    """Return a tile of F from its blocks of columns."""
    blocks = sorted((name for name in tile if name.startswith(FACTOR)), key=_number_of)
    return jnp.hstack([tile[name] for name in blocks])


def _number_of(block: str) -> int:
    return int(block.removeprefix(FACTOR))


def visit_factor(shared: Any, tile: dict[str, Array]) -> Sums:
    """Return a tile of columns of F = K_nm L^-T, and the diagonal of their products."""
    kernel, landmarks, inverse, held = shared
    factor = kernel.cross(tile["x"], landmarks).astype(inverse.dtype) @ inverse.T
    factor = factor.astype(held.dtype)
    return Sums((), (factor, jnp.sum(factor.astype(jnp.float64) ** 2, axis=1)))


def visit_inner(shared: Any, tile: dict[str, Array]) -> Sums:
    """Add up F'V."""
    return Sums(whole_factor(tile).astype(jnp.float64).T @ tile["v"], ())


def visit_outer(inner: Float[Array, "r m"], tile: dict[str, Array]) -> Sums:
    """Return a tile of F A."""
    return Sums((), whole_factor(tile).astype(jnp.float64) @ inner)


def visit_sums_by_label(room: Float[Array, "m z"], tile: dict[str, Array]) -> Sums:
    """Add up the rows of F, each times v, that carry the same label; `room` has a row for each."""
    rows = whole_factor(tile).astype(jnp.float64) * tile["v"][:, None]
    return Sums(jax.ops.segment_sum(rows, tile["labels"], num_segments=len(room)), ())
