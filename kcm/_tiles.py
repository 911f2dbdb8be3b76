"""Tiles of a Gram matrix: how rows are cut, which pairs are visited, and one tile's values."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from kcm.kernels import Kernel

__all__ = ["gram_block", "padded_points", "point_tiles", "rounded", "tile_pairs", "tiles"]

# Most rows of a tile: a 1,024 x 1,024 block of doubles (8 MB) stays near the processor.
TILE = 1_024
# Tiles are rounded up to this many rows so that few sizes compile.
ROUNDING = 64


def tiles(columns: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "tiles rows m"]:
    """Cut coefficients into equal tiles, the last one filled up with zeros."""
    n_rows, n_missing = _tile_shape(len(columns))
    filled = np.pad(columns, ((0, n_missing), (0, 0)))
    return filled.reshape(len(filled) // n_rows, n_rows, columns.shape[1])


def point_tiles(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "tiles rows d"]:
    """Cut points into equal tiles, the last one filled up with copies of the last point.

    A copy, unlike zero, is always in the kernel's domain and near the other points.
    """
    n_rows, n_missing = _tile_shape(len(points))
    filled = np.pad(points, ((0, n_missing), (0, 0)), mode="edge")
    return filled.reshape(len(filled) // n_rows, n_rows, points.shape[1])


def padded_points(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "m d"]:
    """Fill points up to a rounded number of rows with copies of the last point."""
    return np.pad(points, ((0, rounded(len(points)) - len(points)), (0, 0)), mode="edge")


def rounded(n: int) -> int:
    """Round a size up, so that nearby sizes share one compiled program."""
    return ROUNDING * -(-n // ROUNDING)


def tile_pairs(n_tiles: int) -> tuple[Int[Array, " p"], Int[Array, " p"]]:
    """Return the tile pairs (i, j), i <= j, of the upper triangle; for use in compiled code."""
    first, second = np.triu_indices(n_tiles)
    return jnp.asarray(first, jnp.int32), jnp.asarray(second, jnp.int32)


def gram_block(
    kernel: Kernel, x: Float[Array, "r d"], y: Float[Array, "r d"], same: Bool[Array, ""]
) -> Float[Array, "r r"]:
    """Return k(x_a, y_b) of two tiles; `same` tells that they are one tile.

    The diagonal is taken from the definition: a fast `cross` gives k(x, x) only up to rounding,
    which is large where the bandwidth is far smaller than the spread of the points.
    """
    own = same & jnp.eye(len(x), dtype=bool)
    return jnp.where(own, kernel.diagonal(x)[:, None], kernel.cross(x, y))


def _tile_shape(n: int) -> tuple[int, int]:
    """Return the rows of a tile and the rows missing to fill the last one."""
    n_tiles = -(-n // TILE)
    n_rows = rounded(-(-n // n_tiles))
    return n_rows, n_tiles * n_rows - n
