"""The matrix of the multiplier form, its trace and the sum of its squares, by tiles.

B[g, h] = f sum_{i in g, j in h} [K_0 o (r r') + D l' + l D']_ij, with one row per multiplier: an
observation, or a cluster of them. The matrix comes with the border of a theta from another sample
(`kcm.statistic.border`), the sums and products without.
"""

from dataclasses import dataclass
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from kcm import gram
from kcm.exceptions import OptionError
from kcm.gram import (
    Found,
    HeldGram,
    Layout,
    LowRankGram,
    bucket,
    gram_block,
    in_precision,
    pass_over_pairs,
)
from kcm.gram import tiles as _tiles
from kcm.statistic.border import bordered
from kcm.statistic.contraction import Contraction
from kcm.statistic.low_rank import form_factor, low_rank_form, low_rank_matrix, rows_in_units

__all__ = ["FormSums", "apply_form", "form_matrix", "form_sums"]

# Rows of a large matrix that are worked on in one call.
ROWS = 1_000
# Largest cluster for which the tiles can hold whole clusters.
MAX_CLUSTER = 4_096


@final
@dataclass(frozen=True, slots=True, eq=False)
class FormSums:
    """Diagonal of B and the sum of the squares of its other entries.

    Attributes
    ----------
    diagonal : ndarray of shape (m,)
    off_diagonal_squares : float
    """

    diagonal: Float[np.ndarray, " m"]
    off_diagonal_squares: float


def form_matrix(contraction: Contraction, codes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "l l"]:
    """Return B with its border, for few multipliers: m^2 doubles."""
    return bordered(_matrix_of_rows(contraction, codes), contraction.border, codes)


def _matrix_of_rows(
    contraction: Contraction, codes: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "m m"]:
    if isinstance(contraction.gram, LowRankGram):
        return low_rank_matrix(low_rank_form(contraction), codes)
    m = int(codes.max()) + 1
    if m == len(codes):
        return _in_order(_dense_form(contraction), np.argsort(codes))
    if isinstance(contraction.gram, HeldGram):
        return _sum_groups(codes, _sum_groups(codes, _dense_form(contraction)).T)
    kernel, rows = _lowered(contraction, _arrays(contraction))
    rows["labels"] = codes.astype(np.int32)
    room = np.zeros((bucket(m), 0))
    total = pass_over_pairs(visit_matrix, (kernel, room), rows, contraction.gram.execution).total
    return total[:m, :m] * form_factor(contraction)


def _dense_form(contraction: Contraction) -> Float[np.ndarray, "n n"]:
    c = contraction
    values = (
        c.gram.values if isinstance(c.gram, HeldGram) else gram.matrix(c.kernel, c.conditioning)
    )
    form = values.copy()
    np.fill_diagonal(form, np.diag(values) - c.removed)
    for first in range(0, len(form), ROWS):  # an interrupt is heard between two blocks
        rows = slice(first, first + ROWS)
        form[rows] *= c.scaled_residuals[rows] @ c.scaled_residuals.T
        form[rows] += c.projection[rows] @ c.scaled_influence.T
        form[rows] += c.scaled_influence[rows] @ c.projection.T
        form[rows] *= c.factor
    return form


def _in_order(
    form: Float[np.ndarray, "m m"], order: Int[np.ndarray, " m"]
) -> Float[np.ndarray, "m m"]:
    """Return rows and columns in another order; the matrix itself where that is its own."""
    is_sorted = np.array_equal(order, np.arange(len(order)))
    return form if is_sorted else form[np.ix_(order, order)]


def form_sums(contraction: Contraction, codes: Int[np.ndarray, " n"]) -> FormSums:
    """Return the diagonal of B and its off-diagonal sum of squares without holding B."""
    factor, m = form_factor(contraction), int(codes.max()) + 1
    layout, kept = None, np.argsort(codes)
    rows = _arrays(contraction)
    if m < len(codes):
        rows, layout, kept = _whole_group_rows(contraction, codes)
    kernel, rows = _lowered(contraction, rows)
    sums = pass_over_pairs(visit_sums, kernel, rows, contraction.gram.execution, layout)
    return FormSums(sums.rows[kept] * factor, float(sums.total) * factor**2)


def _lowered(
    contraction: Contraction, rows: dict[str, np.ndarray]
) -> tuple[Any, dict[str, np.ndarray]]:
    """Bring kernel, points and coefficients to the precision of the statistic."""
    precision = contraction.gram.execution.of_statistic
    kernel, points, held = in_precision(contraction.kernel, rows["x"], precision)
    number = np.float32 if held == "single" else np.float64
    numbers = {k: v.astype(number) for k, v in rows.items() if k not in ("x", "labels")}
    return kernel, rows | numbers | {"x": points}


def apply_form(
    contraction: Contraction, codes: Int[np.ndarray, " n"], v: Float[np.ndarray, "m k"]
) -> Float[np.ndarray, "m k"]:
    """Return B V, B without its border, by one pass over the Gram matrix."""
    c, w = contraction, v[codes]
    columns = np.hstack([r[:, None] * w for r in c.scaled_residuals.T])
    smoothed = c.gram.product(columns) - c.removed[:, None] * columns
    blocks = np.split(smoothed, c.scaled_residuals.shape[1], axis=1)
    product = sum(r[:, None] * block for r, block in zip(c.scaled_residuals.T, blocks, strict=True))
    product = (
        product
        + c.projection @ (c.scaled_influence.T @ w)
        + c.scaled_influence @ (c.projection.T @ w)
    )
    return _sum_groups(codes, c.factor * product)


def _sum_groups(
    codes: Int[np.ndarray, " n"], values: Float[np.ndarray, "n k"]
) -> Float[np.ndarray, "m k"]:
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return np.add.reduceat(values[order], starts, axis=0)


def _arrays(contraction: Contraction) -> dict[str, np.ndarray]:
    rows = rows_in_units(contraction)
    return rows | {"x": contraction.conditioning, "removed": contraction.removed}


def _whole_group_rows(
    contraction: Contraction, codes: Int[np.ndarray, " n"]
) -> tuple[dict[str, np.ndarray], Layout, Int[np.ndarray, " m"]]:
    """Return rows in tiles of whole clusters with their labels, and the places of the clusters."""
    order, labels, starts = _whole_groups(codes)
    n_tiles, n_rows = labels.shape
    rows = {name: value[order.ravel()] for name, value in _arrays(contraction).items()}
    for name in rows.keys() - {"x"}:
        rows[name][labels.ravel() < 0] = 0.0
    sizes = np.diff(starts, append=codes.max() + 1)
    places = [np.arange(size) + tile * n_rows for tile, size in enumerate(sizes)]
    shards = contraction.gram.execution.n_devices
    count = -(-n_tiles // shards)
    layout = Layout(n_rows, count, bucket(count, 1), shards)
    rows["labels"] = np.maximum(labels, 0).ravel()
    return rows, layout, np.concatenate(places)


def _whole_groups(
    codes: Int[np.ndarray, " n"],
) -> tuple[Int[np.ndarray, "t r"], Int[np.ndarray, "t r"], Int[np.ndarray, " t"]]:
    """Lay the rows out in tiles that hold whole clusters.

    Returns the row at each place, the cluster's number within its tile (-1 where the place is a
    filler), and the first cluster of each tile.
    """
    sizes = np.bincount(codes)
    if sizes.max() > MAX_CLUSTER:
        raise OptionError(
            f"the asymptotic law of {len(sizes):,} clusters of up to {sizes.max():,} rows is not "
            f"available (at most {MAX_CLUSTER:,} rows a cluster); use MultiplierBootstrap."
        )
    n_rows = _tiles.TILE * -(-int(sizes.max()) // _tiles.TILE)
    tile_of_group, starts = _assign_tiles(sizes, n_rows)
    order = np.argsort(codes, kind="stable")
    tile = tile_of_group[codes[order]]
    place = np.arange(len(codes)) - np.searchsorted(tile, tile)
    rows = np.zeros((len(starts), n_rows), dtype=np.intp)
    labels = np.full((len(starts), n_rows), -1, dtype=np.int32)
    rows[tile, place] = order
    labels[tile, place] = codes[order] - starts[tile]
    # fillers repeat a row of their own tile: near the other points, and in the kernel's domain
    return np.where(labels < 0, rows[:, :1], rows), labels, starts


def _assign_tiles(
    sizes: Int[np.ndarray, " m"], n_rows: int
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " t"]]:
    ends, starts = np.cumsum(sizes), [0]
    assigned: list[np.ndarray] = []
    while True:
        used = 0 if starts[-1] == 0 else ends[starts[-1] - 1]
        stop = int(np.searchsorted(ends, used + n_rows, side="right"))
        assigned.append(np.full(stop - starts[-1], len(assigned)))
        if stop == len(sizes):
            return np.concatenate(assigned), np.array(starts)
        starts.append(stop)


def _block(
    kernel: Any, a: dict[str, Array], b: dict[str, Array], same: bool
) -> Float[Array, "r r"]:
    """Return one tile of the n x n form before clusters are summed, without its factor."""
    values = gram_block(kernel, a["x"], b["x"], same).astype(a["removed"].dtype)
    kept = values - jnp.diag(a["removed"]) if same else values
    return (
        kept * (a["residuals"] @ b["residuals"].T)
        + a["projection"] @ b["influence"].T
        + a["influence"] @ b["projection"].T
    )


def visit_sums(kernel: Any, a: dict[str, Array], b: dict[str, Array], same: bool) -> Found:
    """Add the squares off the diagonal to the total, and the diagonal to the rows."""
    block = _block(kernel, a, b, same)
    if "labels" in a:
        block = _sum_labels(block, a["labels"], b["labels"], *block.shape)
    squares, none = jnp.sum(block**2, dtype=jnp.float64), jnp.zeros_like(block[0])
    if not same:
        return Found(2 * squares, none, none)
    own = jnp.diagonal(block)
    return Found(squares - jnp.sum(own**2, dtype=jnp.float64), own, none)


def visit_matrix(
    kernel_and_room: Any, a: dict[str, Array], b: dict[str, Array], same: bool
) -> Found:
    """Add a tile, and its mirror image, to the m x m matrix; `room` has m rows."""
    kernel, room = kernel_and_room
    m = len(room)
    summed = _sum_labels(_block(kernel, a, b, same), a["labels"], b["labels"], m, m)
    return Found(summed if same else summed + summed.T)


def _sum_labels(
    block: Float[Array, "r s"], first: Int[Array, " r"], second: Int[Array, " s"], m: int, k: int
) -> Float[Array, "m k"]:
    """Add up the rows and columns of a block that carry the same label."""
    by_row = jax.ops.segment_sum(block, first, num_segments=m)
    return jax.ops.segment_sum(by_row.T, second, num_segments=k).T
