"""One pass over the Gram matrix of a sample: from arrays of the host to sums on the host."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from kcm._progress import progress_bar
from kcm._tiles import Layout, tiled, untiled
from kcm.gram.execution import Execution, as_device, double_arithmetic
from kcm.gram.traversal import (
    AXIS,
    LineVisit,
    Sums,
    Visit,
    Walk,
    walk_line,
    walk_ring,
    walk_triangle,
    zero_line,
    zero_sums,
)

__all__ = ["KERNEL_COST", "fetched", "pass_over_pairs", "pass_over_rows", "placed"]

# Time of one kernel value in units of a product with it.
KERNEL_COST = 32
# Work between two looks at the progress bar, and chances to interrupt: about half a second.
CHUNK = 2.5e10


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
    layout = layout or execution.layout(n, itemsize)
    with double_arithmetic():
        tiles = placed(rows, layout, execution)
        if execution.mesh is None:
            sums = _on_one_device(visit, kernel, tiles, layout, execution)
        else:
            sums = _ring(visit, execution.mesh)(kernel, tiles, jnp.int32(layout.count))
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
    with double_arithmetic():
        if execution.mesh is None:
            return _line_on_one_device(
                visit, shared, tiles, layout, execution, layout.rows * per_row
            )
        return _line_of_devices(visit, execution.mesh)(shared, tiles, jnp.int32(layout.count))


def placed(rows: dict[str, np.ndarray], layout: Layout, execution: Execution) -> dict[str, Array]:
    """Cut rows into tiles and put them where they are used."""
    cut = {name: tiled(v, layout, repeat_last=name == "x") for name, v in rows.items()}
    with double_arithmetic():
        if execution.mesh is None:
            return jax.device_put(cut, as_device(execution.device))
        sharding = NamedSharding(_line(execution.mesh), PartitionSpec(AXIS))
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


def _on_one_device(
    visit: Visit,
    kernel: Any,
    tiles: dict[str, Array],
    layout: Layout,
    execution: Execution,
) -> Sums:
    n_pairs = layout.count * (layout.count + 1) // 2
    n_columns = sum(value[0, 0].size for name, value in tiles.items() if name != "x")
    cost = float(layout.rows**2 * (n_columns + KERNEL_COST))
    if n_pairs * cost <= CHUNK:
        return _whole(visit, kernel, tiles, layout.count)

    def advance(state: Any, first: int, last: int) -> Any:
        return _advance(visit, kernel, tiles, state, layout.count, last - first)

    start = _start(visit, kernel, tiles)
    return _in_pieces(advance, start, n_pairs, cost, "Gram matrix", execution)[0]


def _in_pieces(
    advance: Callable[[Any, int, int], Any],
    state: Any,
    count: int,
    cost: float,
    label: str,
    execution: Execution,
) -> Any:
    """Advance a state by pieces of work, between which a bar moves and the user may interrupt."""
    step = max(1, int(CHUNK / cost))
    with progress_bar(count * cost, label, execution.progress) as done:
        for first in range(0, count, step):
            last = min(first + step, count)
            state = jax.block_until_ready(advance(state, first, last))
            done((last - first) * cost)
    return state


@partial(jax.jit, static_argnames="visit")
def _whole(visit: Visit, kernel: Any, tiles: dict[str, Array], n_tiles: Any) -> Sums:
    start = zero_sums(visit, kernel, tiles), Walk(n_tiles).first()
    return walk_triangle(visit, kernel, tiles, start, n_tiles)[0]


@partial(jax.jit, static_argnames="visit")
def _start(visit: Visit, kernel: Any, tiles: dict[str, Array]) -> Any:
    return zero_sums(visit, kernel, tiles), Walk(1).first()


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
    execution: Execution,
    cost: int,
) -> Sums:
    if layout.count * cost <= CHUNK:
        return _line_whole(visit, shared, tiles, layout.count)
    advance = partial(_line_advance, visit, shared, tiles)
    start = _line_start(visit, shared, tiles)
    sums: Sums = _in_pieces(advance, start, layout.count, cost, "Low rank", execution)
    return sums


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


@lru_cache(maxsize=64)
def _line_of_devices(visit: LineVisit, mesh: jax.sharding.Mesh) -> Callable[..., Sums]:
    """Return the compiled pass in which each device visits its own tiles."""

    def summed(shared: Any, rows: dict[str, Array], n_tiles: Array) -> Sums:
        zeros = zero_line(visit, shared, rows)
        total, by_row = walk_line(visit, shared, rows, zeros, 0, n_tiles)
        return Sums(lax.psum(total, AXIS), by_row)

    return _over_devices(summed, mesh, Sums(PartitionSpec(), PartitionSpec(AXIS)))


@lru_cache(maxsize=64)
def _ring(visit: Visit, mesh: jax.sharding.Mesh) -> Callable[..., Sums]:
    """Return the compiled ring over the devices of a mesh; every process gets all sums."""

    def gathered(kernel: Any, rows: dict[str, Array], n_tiles: Array) -> Sums:
        total, by_row = walk_ring(visit, kernel, rows, n_tiles)
        whole = partial(lax.all_gather, axis_name=AXIS, tiled=True)
        return Sums(total, jax.tree.map(whole, by_row))

    return _over_devices(gathered, mesh, PartitionSpec())


def _over_devices(
    program: Callable[..., Sums], mesh: jax.sharding.Mesh, results: Any
) -> Callable[..., Sums]:
    """Compile a program of (shared values, rows, number of tiles) for rows cut among devices."""
    everywhere, rows = PartitionSpec(), PartitionSpec(AXIS)
    specs = {"in_specs": (everywhere, rows, everywhere), "out_specs": results}
    return jax.jit(jax.shard_map(program, mesh=_line(mesh), check_vma=False, **specs))


def _line(mesh: jax.sharding.Mesh) -> jax.sharding.Mesh:
    """Return the devices of a mesh in one row."""
    return jax.sharding.Mesh(mesh.devices.ravel(), (AXIS,))
