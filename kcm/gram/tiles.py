"""How rows are cut into tiles: equal tiles, in few sizes, so that few shapes are compiled."""

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Shaped

__all__ = ["Layout", "bucket", "layout_of", "padded_points", "tiled", "untiled"]

# Most rows of a tile: a block of a million values stays in the processor's last cache. With a power
# of two the rows of a block would share the same few lines of the first.
TILE = 1_000
# Up to this many rows one tile holds all; above it, symmetry saves more than a second tile costs.
ONE_TILE = 512
# Sizes are rounded up to a multiple of this.
ROUNDING = 64
# Bytes of which the address of an array must be a multiple for JAX to use its memory as it is.
ALIGNMENT = 64


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """Where the rows of a sample lie: `shards` devices, `count` tiles each, `rows` rows a tile.

    Parameters
    ----------
    rows : int
        Rows of a tile.
    count : int
        Tiles of a device that are visited.
    capacity : int
        Tiles of a device that are allocated: `count` rounded up.
    shards : int
        Devices.

    Examples
    --------
    >>> layout_of(3_000)
    Layout(rows=1000, count=3, capacity=3, shards=1)
    """

    rows: int
    count: int
    capacity: int
    shards: int = 1


def layout_of(n: int, most_rows: int = TILE, shards: int = 1) -> Layout:
    """Return the layout of n rows in tiles of at most `most_rows` rows."""
    wanted = most_rows if n > 2 * TILE or n <= ONE_TILE else min(most_rows, TILE // 2)
    per_shard = -(-n // shards)
    count = -(-per_shard // wanted)
    rows = min(bucket(-(-per_shard // count)), wanted)
    return Layout(rows, count, bucket(count, 1), shards)


def bucket(size: int, unit: int = ROUNDING) -> int:
    """Round a size up to a multiple of `unit` with at most three significant bits.

    Nearby sizes then share one compiled program, at the cost of at most a quarter more room.
    """
    units = -(-size // unit)
    step = 2 ** max(0, units.bit_length() - 3)
    return unit * step * -(-units // step)


def tiled(
    values: Shaped[np.ndarray, "n ..."], layout: Layout, *, repeat_last: bool = False
) -> Shaped[np.ndarray, "tiles rows ..."]:
    """Cut values into tiles, filled up with zeros or with copies of the last row.

    A copied point, unlike zero, is always in the kernel's domain and near the other points.
    """
    shards, room = layout.shards, layout.capacity * layout.rows
    per_shard, shape = layout.count * layout.rows, values.shape[1:]
    filled = _aligned((shards, room, *shape), values.dtype)
    for shard in range(shards):
        held = values[shard * per_shard : (shard + 1) * per_shard]
        filled[shard, : len(held)] = held
        filled[shard, len(held) :] = values[-1] if repeat_last else 0
    return filled.reshape(shards * layout.capacity, layout.rows, *shape)


def _aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Return an empty array where JAX takes it over without a copy."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def untiled(
    tiles: Shaped[np.ndarray, "tiles rows ..."], layout: Layout, n: int
) -> Shaped[np.ndarray, "n ..."]:
    """Put the rows of tiles below each other again, without what was filled up."""
    shards, room, shape = layout.shards, layout.capacity * layout.rows, tiles.shape[2:]
    per_shard = layout.count * layout.rows
    held = tiles.reshape(shards, room, *shape)[:, :per_shard]
    return held.reshape(shards * per_shard, *shape)[:n]


def padded_points(points: Shaped[np.ndarray, "n d"]) -> Shaped[np.ndarray, "m d"]:
    """Fill points up to a rounded number of rows with copies of the last point."""
    return np.pad(points, ((0, bucket(len(points)) - len(points)), (0, 0)), mode="edge")
