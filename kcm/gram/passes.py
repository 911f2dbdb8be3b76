"""One pass over the Gram matrix of a sample: from arrays of the host to sums on the host."""

import math
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Array

from kcm._progress import progress_bar
from kcm.gram import pieces
from kcm.gram.cost import KERNEL_COST, most_rows, value_cost
from kcm.gram.execution import Execution, as_device, double_arithmetic
from kcm.gram.pieces import in_pieces
from kcm.gram.ring import CUT, LABEL, LINE_LABEL, line_of_devices, one_row, ring_of_devices
from kcm.gram.tiles import Layout, tiled, untiled
from kcm.gram.traversal import (
    LineVisit,
    Sums,
    Visit,
    Walk,
    walk_diagonal,
    walk_line,
    walk_triangle,
    zero_line,
    zero_sums,
)

__all__ = ["KERNEL_COST", "fetched", "pass_over_pairs", "pass_over_rows", "placed"]


def pass_over_pairs(
    visit: Visit,
    kernel: Any,
    rows: dict[str, np.ndarray],
    execution: Execution,
    layout: Layout | None = None,
) -> Sums:
    """Visit all tile pairs of the upper triangle and return the sums as NumPy arrays.

    Parameters
    ----------
    visit : Visit
        A module-level function: it names the compiled program.
    kernel : Kernel or tuple of Kernel
        Resolved.
    rows : dict of str to ndarray of shape (n, ...)
        "x", the points, and coefficients that are zero in rows filled up.
    execution : Execution
    layout : Layout, optional
        Where the rows lie, if that is not for this function to choose.
    """
    n, itemsize = len(rows["x"]), max(value.itemsize for value in rows.values())
    layout = layout or execution.layout(n, itemsize, most_rows(kernel))
    with double_arithmetic():
        tiles = placed(rows, layout, execution)
        if execution.mesh is None:
            sums = _on_one_device(visit, kernel, tiles, layout, execution)
        else:
            sums = ring_of_devices(
                visit, kernel, tiles, layout, _cost(kernel, tiles, layout), execution
            )
        total, by_row = jax.tree.map(np.asarray, sums)
    return Sums(total, jax.tree.map(lambda a: untiled(a, layout, n), by_row))


def pass_over_rows(
    visit: LineVisit,
    shared: Any,
    tiles: dict[str, Array],
    layout: Layout,
    execution: Execution,
    per_row: int,
) -> Sums:
    """Visit each tile of placed rows once; what is returned for rows stays on the devices.

    Parameters
    ----------
    visit : LineVisit
        A module-level function: it names the compiled program.
    shared : pytree
        What every tile needs.
    tiles : dict of str to Array
        From `placed`.
    layout : Layout
    execution : Execution
    per_row : int
        Products that a row takes.
    """
    walk = _line_on_one_device if execution.mesh is None else line_of_devices
    with double_arithmetic():
        return walk(visit, shared, tiles, layout, float(layout.rows * per_row), execution)


def placed(rows: dict[str, np.ndarray], layout: Layout, execution: Execution) -> dict[str, Array]:
    """Cut rows into tiles and put them where they are used."""
    cut = {name: tiled(v, layout, repeat_last=name == "x") for name, v in rows.items()}
    with double_arithmetic():
        if execution.mesh is None:
            return jax.device_put(cut, as_device(execution.device))
        sharding = NamedSharding(one_row(execution.mesh), CUT)
        return {
            name: jax.make_array_from_callback(v.shape, sharding, v.__getitem__)
            for name, v in cut.items()
        }


def fetched(tiles: Array, layout: Layout, n: int) -> np.ndarray:
    """Bring the rows of tiles back to the host; with several processes, to each of them."""
    if not tiles.is_fully_addressable:
        from jax.experimental.multihost_utils import process_allgather

        tiles = process_allgather(tiles, tiled=True)
    return untiled(np.asarray(tiles), layout, n)


def _cost(kernel: Any, tiles: dict[str, Array], layout: Layout) -> float:
    """Return the products that a pair of tiles takes."""
    n_columns = sum(math.prod(value.shape[2:]) for name, value in tiles.items() if name != "x")
    return float(layout.rows**2) * (n_columns + value_cost(kernel))


def _on_one_device(
    visit: Visit,
    kernel: Any,
    tiles: dict[str, Array],
    layout: Layout,
    execution: Execution,
) -> Sums:
    n_pairs, cost = layout.count * (layout.count - 1) // 2, _cost(kernel, tiles, layout)
    if (n_pairs + layout.count) * cost <= pieces.CHUNK:
        return _whole(visit, kernel, tiles, layout.count)

    def advance(state: Any, first: int, last: int) -> Any:
        return _advance(visit, kernel, tiles, state, layout.count, last - first)

    on_diagonal, start = partial(_on_diagonal, visit, kernel, tiles), _start(visit, kernel, tiles)
    with progress_bar((n_pairs + layout.count) * cost, LABEL, execution.progress) as done:
        sums = in_pieces(on_diagonal, start, layout.count, cost, done)
        state = sums, Walk(layout.count).first()
        state = in_pieces(advance, state, n_pairs, cost, done)
    return state[0]


@partial(jax.jit, static_argnames="visit")
def _whole(visit: Visit, kernel: Any, tiles: dict[str, Array], n_tiles: Any) -> Sums:
    sums = walk_diagonal(visit, kernel, tiles, zero_sums(visit, kernel, tiles), 0, n_tiles)
    if tiles["x"].shape[0] == 1:  # this program has no room for other tiles
        return sums
    return walk_triangle(visit, kernel, tiles, (sums, Walk(n_tiles).first()), n_tiles)[0]


@partial(jax.jit, static_argnames="visit")
def _start(visit: Visit, kernel: Any, tiles: dict[str, Array]) -> Sums:
    return zero_sums(visit, kernel, tiles)


@partial(jax.jit, static_argnames="visit", donate_argnames="sums")
def _on_diagonal(
    visit: Visit, kernel: Any, tiles: dict[str, Array], sums: Sums, first: Any, last: Any
) -> Sums:
    return walk_diagonal(visit, kernel, tiles, sums, first, last)


@partial(jax.jit, static_argnames="visit", donate_argnames="state")
def _advance(
    visit: Visit, kernel: Any, tiles: dict[str, Array], state: Any, n_tiles: Any, n_pairs: Any
) -> Any:
    return walk_triangle(visit, kernel, tiles, state, n_tiles, n_pairs)


def _line_on_one_device(
    visit: LineVisit,
    shared: Any,
    tiles: dict[str, Array],
    layout: Layout,
    cost: float,
    execution: Execution,
) -> Sums:
    if layout.count * cost <= pieces.CHUNK:
        return _line_whole(visit, shared, tiles, layout.count)
    advance = partial(_line_advance, visit, shared, tiles)
    with progress_bar(layout.count * cost, LINE_LABEL, execution.progress) as done:
        start = _line_start(visit, shared, tiles)
        return in_pieces(advance, start, layout.count, cost, done)


@partial(jax.jit, static_argnames="visit")
def _line_whole(visit: LineVisit, shared: Any, tiles: dict[str, Array], n_tiles: Any) -> Sums:
    return walk_line(visit, shared, tiles, zero_line(visit, shared, tiles), 0, n_tiles)


@partial(jax.jit, static_argnames="visit")
def _line_start(visit: LineVisit, shared: Any, tiles: dict[str, Array]) -> Sums:
    return zero_line(visit, shared, tiles)


@partial(jax.jit, static_argnames="visit", donate_argnames="sums")
def _line_advance(
    visit: LineVisit, shared: Any, tiles: dict[str, Array], sums: Sums, first: Any, last: Any
) -> Sums:
    return walk_line(visit, shared, tiles, sums, first, last)
