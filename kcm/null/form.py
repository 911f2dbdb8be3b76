"""The matrix of the multiplier form, its trace and the sum of its squares, by tiles.

B[g, h] = f sum_{i in g, j in h} [K_0 o (r r') + D l' + l D']_ij, with one row per multiplier: an
observation, or a cluster of them.
"""

from dataclasses import dataclass
from functools import partial
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from kcm import _tiles, gram
from kcm._tiles import gram_block, point_tiles, rounded, tile_pairs, tiles
from kcm.contraction import Contraction
from kcm.exceptions import OptionError
from kcm.kernels import Kernel

__all__ = ["FormSums", "apply_form", "form_matrix", "form_sums"]

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


def form_matrix(contraction: Contraction, codes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "m m"]:
    """Return B, for few multipliers: m^2 doubles, and tiles of the Gram matrix."""
    order = np.argsort(codes, kind="stable")
    n_groups = int(codes.max()) + 1
    rows = _tile_rows(_arrays(contraction, order))
    labels = tiles(codes[order].astype(float)[:, None])[..., 0].astype(np.int32)
    with jax.enable_x64(True):
        total = _form_matrix(contraction.kernel, rows, labels, rounded(n_groups))
    return np.array(total)[:n_groups, :n_groups] * contraction.factor


def form_sums(contraction: Contraction, codes: Int[np.ndarray, " n"]) -> FormSums:
    """Return the diagonal of B and its off-diagonal sum of squares without holding B."""
    factor, m = contraction.factor, int(codes.max()) + 1
    if m == len(codes):
        rows, labels, kept = _tile_rows(_arrays(contraction, np.argsort(codes))), None, np.arange(m)
    else:
        rows, labels, kept = _whole_group_rows(contraction, codes)
    with jax.enable_x64(True):
        diagonal, squares = _form_sums(contraction.kernel, rows, labels)
    return FormSums(np.array(diagonal).ravel()[kept] * factor, float(squares) * factor**2)


def apply_form(
    contraction: Contraction, codes: Int[np.ndarray, " n"], v: Float[np.ndarray, "m k"]
) -> Float[np.ndarray, "m k"]:
    """Return B V by one pass over the Gram matrix."""
    c, w = contraction, v[codes]
    columns = np.hstack([r[:, None] * w for r in c.scaled_residuals.T])
    smoothed = gram.matvec(c.kernel, c.conditioning, columns) - c.removed[:, None] * columns
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


def _arrays(
    contraction: Contraction, order: Int[np.ndarray, " n"] | slice
) -> dict[str, np.ndarray]:
    c = contraction
    return {
        "x": c.conditioning[order],
        "residuals": c.scaled_residuals[order],
        "influence": c.scaled_influence[order],
        "projection": c.projection[order],
        "removed": c.removed[order, None],
    }


def _tile_rows(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    points = {"x": point_tiles(rows["x"])}
    return points | {name: tiles(rows[name]) for name in rows if name != "x"}


def _whole_group_rows(
    contraction: Contraction, codes: Int[np.ndarray, " n"]
) -> tuple[dict[str, np.ndarray], Int[np.ndarray, "t r"], Int[np.ndarray, " m"]]:
    """Return tiles of whole clusters, labels within tiles, and the places of the clusters."""
    order, labels, starts = _whole_groups(codes)
    rows = {name: value[order] for name, value in _arrays(contraction, slice(None)).items()}
    for name in rows.keys() - {"x"}:
        rows[name][labels < 0] = 0.0
    sizes = np.diff(starts, append=codes.max() + 1)
    places = [np.arange(size) + tile * labels.shape[1] for tile, size in enumerate(sizes)]
    return rows, np.maximum(labels, 0), np.concatenate(places)


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


def _block(kernel: Kernel, rows: dict[str, Array], i: Array, j: Array) -> Float[Array, "r r"]:
    """Return one tile of the n x n form before clusters are summed, without its factor."""
    a = {name: value[i] for name, value in rows.items()}
    b = {name: value[j] for name, value in rows.items()}
    values = gram_block(kernel, a["x"], b["x"], i == j)
    removed = jnp.where(i == j, jnp.diag(a["removed"][:, 0]), 0.0)
    return (
        (values - removed) * (a["residuals"] @ b["residuals"].T)
        + a["projection"] @ b["influence"].T
        + a["influence"] @ b["projection"].T
    )


@jax.jit
def _form_sums(
    kernel: Kernel, rows: dict[str, Array], labels: Int[Array, "t r"] | None
) -> tuple[Float[Array, "t r"], Float[Array, ""]]:
    n_tiles, n_rows = rows["x"].shape[:2]

    def visit(
        carry: tuple[Array, Array], pair: tuple[Array, Array]
    ) -> tuple[tuple[Array, Array], None]:
        (diagonal, squares), (i, j) = carry, pair
        block = _block(kernel, rows, i, j)
        if labels is not None:
            block = _sum_labels(block, labels[i], labels[j], n_rows, n_rows)
        own = jnp.where(i == j, jnp.diagonal(block), 0.0)
        weight = jnp.where(i == j, 1.0, 2.0)
        return (diagonal.at[i].add(own), squares + weight * (jnp.sum(block**2) - own @ own)), None

    start = jnp.zeros((n_tiles, n_rows)), jnp.zeros(())
    return lax.scan(visit, start, tile_pairs(n_tiles))[0]


@partial(jax.jit, static_argnames="m")
def _form_matrix(
    kernel: Kernel, rows: dict[str, Array], labels: Int[Array, "t r"], m: int
) -> Float[Array, "m m"]:
    def visit(total: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        i, j = pair
        summed = _sum_labels(_block(kernel, rows, i, j), labels[i], labels[j], m, m)
        return total + summed + jnp.where(i == j, 0.0, summed.T), None

    return lax.scan(visit, jnp.zeros((m, m)), tile_pairs(len(labels)))[0]


def _sum_labels(
    block: Float[Array, "r s"], first: Int[Array, " r"], second: Int[Array, " s"], m: int, k: int
) -> Float[Array, "m k"]:
    """Add up the rows and columns of a block that carry the same label."""
    by_row = jax.ops.segment_sum(block, first, num_segments=m)
    return jax.ops.segment_sum(by_row.T, second, num_segments=k).T
