"""Passes over rows that lie on several devices.

Each device holds its own rows, and the rows of the others travel round a ring, so that each pair of
devices meets once. What a device has found so far stays with it until the last piece is done.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec
from jaxtyping import Array

from kcm._progress import progress_bar
from kcm.gram.execution import Execution
from kcm.gram.pieces import in_pieces
from kcm.gram.tiles import Layout
from kcm.gram.traversal import (
    LineVisit,
    Pair,
    Sums,
    Visit,
    Walk,
    walk_diagonal,
    walk_line,
    walk_rectangle,
    walk_triangle,
    zero_line,
    zero_sums,
)

__all__ = ["CUT", "LABEL", "LINE_LABEL", "line_of_devices", "one_row", "ring_of_devices"]

AXIS = "shards"
LABEL, LINE_LABEL = "Gram matrix", "Low rank"
# A value that every device has, and one that is cut into a part for each.
ALL, CUT = PartitionSpec(), PartitionSpec(AXIS)
Rows = dict[str, Array]


class Travel(NamedTuple):
    """What each device holds on the way.

    Parameters
    ----------
    total : pytree of arrays of shape (1, ...)
        Found by this device.
    own, away : pytree of arrays of shape (tiles, ...)
        What belongs to its own rows, and to the rows that are with it.
    others : dict of arrays
        The rows that are with it.
    pair : pair of arrays of shape (1,)
        The next pair of tiles.
    """

    total: Any
    own: Any
    away: Any
    others: Rows
    pair: Pair


class Leg(NamedTuple):
    """A part of the way: the rows of the device `hop` places on are here.

    With an even number of devices the last two meet twice, and either takes every second pair of
    tiles (`stride`).
    """

    hop: int
    stride: int
    n_pairs: int


class RingPrograms(NamedTuple):
    """Compiled steps of a pass over pairs."""

    start: Callable[..., Travel]
    on_diagonal: Callable[..., Travel]
    among_own: Callable[..., Travel]
    with_others: Callable[..., Travel]
    turn: Callable[..., Travel]
    finish: Callable[..., Sums]


class LinePrograms(NamedTuple):
    """Compiled steps of a pass over rows."""

    start: Callable[..., Sums]
    advance: Callable[..., Sums]
    finish: Callable[..., Any]


def one_row(mesh: jax.sharding.Mesh) -> jax.sharding.Mesh:
    """Return the devices of a mesh in one row."""
    return jax.sharding.Mesh(mesh.devices.ravel(), (AXIS,))


def ring_of_devices(
    visit: Visit, kernel: Any, tiles: Rows, layout: Layout, cost: float, execution: Execution
) -> Sums:
    """Visit all pairs among the rows of all devices; every process gets all sums.

    Parameters
    ----------
    visit : Visit
    kernel : pytree
    tiles : dict of str to Array
        Placed on the mesh.
    layout : Layout
    cost : float
        Products that a pair of tiles takes.
    execution : Execution
        With a mesh.
    """
    programs = _ring_programs(visit, execution.mesh)
    legs, count = _legs(layout.count, execution.n_devices), layout.count
    work = (count + sum(leg.n_pairs for leg in legs)) * cost
    on_diagonal = partial(programs.on_diagonal, kernel, tiles)
    with progress_bar(work, *_bar(LABEL, execution)) as done:
        start = programs.start(kernel, tiles, count)
        state = in_pieces(on_diagonal, start, count, cost, done)
        for leg in legs:
            state = programs.turn(state, count, leg) if leg.hop else state
            advance = partial(_advance, programs, kernel, tiles, count, leg)
            state = in_pieces(advance, state, leg.n_pairs, cost, done)
    return programs.finish(state)


def line_of_devices(
    visit: LineVisit, shared: Any, tiles: Rows, layout: Layout, cost: float, execution: Execution
) -> Sums:
    """Visit each tile of all devices once; what belongs to rows stays where they are.

    Parameters
    ----------
    visit : LineVisit
    shared : pytree
    tiles : dict of str to Array
        Placed on the mesh.
    layout : Layout
    cost : float
        Products that a tile takes.
    execution : Execution
        With a mesh.
    """
    programs = _line_programs(visit, execution.mesh)
    advance = partial(programs.advance, shared, tiles)
    with progress_bar(layout.count * cost, *_bar(LINE_LABEL, execution)) as done:
        sums = in_pieces(advance, programs.start(shared, tiles), layout.count, cost, done)
    return Sums(programs.finish(sums.total), sums.rows)


def _bar(label: str, execution: Execution) -> tuple[str, bool]:
    """Return the label, and whether a bar is shown: by the first of several processes."""
    return label, bool(execution.progress) and jax.process_index() == 0


def _legs(n_tiles: int, size: int) -> list[Leg]:
    legs = [Leg(0, 1, n_tiles * (n_tiles - 1) // 2)]
    for hop in range(1, size // 2 + 1):
        stride = 2 if 2 * hop == size else 1
        legs.append(Leg(hop, stride, n_tiles * -(-n_tiles // stride)))
    return legs


def _advance(
    programs: RingPrograms,
    kernel: Any,
    tiles: Rows,
    n_tiles: int,
    leg: Leg,
    state: Travel,
    first: int,
    last: int,
) -> Travel:
    if leg.hop:
        return programs.with_others(kernel, tiles, state, n_tiles, last - first, leg)
    return programs.among_own(kernel, tiles, state, n_tiles, last - first)


@lru_cache(maxsize=64)
def _ring_programs(visit: Visit, mesh: jax.sharding.Mesh) -> RingPrograms:
    def start(kernel: Any, rows: Rows, n_tiles: Array) -> Travel:
        total, own = zero_sums(visit, kernel, rows)
        return Travel(_lifted(total), own, own, rows, _lifted(Walk(n_tiles).first()))

    def on_diagonal(kernel: Any, rows: Rows, state: Travel, first: Array, last: Array) -> Travel:
        before = Sums(_lowered(state.total), state.own)
        total, own = walk_diagonal(visit, kernel, rows, before, first, last)
        return state._replace(total=_lifted(total), own=own)

    def among_own(kernel: Any, rows: Rows, state: Travel, n_tiles: Array, n_pairs: Array) -> Travel:
        before = Sums(_lowered(state.total), state.own), _lowered(state.pair)
        (total, own), pair = walk_triangle(visit, kernel, rows, before, n_tiles, n_pairs)
        return state._replace(total=_lifted(total), own=own, pair=_lifted(pair))

    def with_others(
        kernel: Any, rows: Rows, state: Travel, n_tiles: Array, n_pairs: Array, leg: Leg
    ) -> Travel:
        before = (_lowered(state.total), state.own, state.away), _lowered(state.pair)
        both = rows, state.others
        sums, pair = walk_rectangle(visit, kernel, both, before, _walk(n_tiles, leg), n_pairs)
        total, own, away = sums
        return Travel(_lifted(total), own, away, state.others, _lifted(pair))

    def turn(state: Travel, n_tiles: Array, leg: Leg) -> Travel:
        others, away = _pass_on((state.others, state.away), -1)
        pair = _lifted(_walk(n_tiles, leg).first())
        return state._replace(others=others, away=away, pair=pair)

    def finish(state: Travel) -> Sums:
        back = _pass_on(state.away, lax.axis_size(AXIS) // 2)
        by_row = jax.tree.map(jnp.add, state.own, back)
        whole = partial(lax.all_gather, axis_name=AXIS, tiled=True)
        return Sums(lax.psum(_lowered(state.total), AXIS), jax.tree.map(whole, by_row))

    return RingPrograms(
        _compiled(start, mesh, (ALL, CUT, ALL), CUT),
        _compiled(on_diagonal, mesh, (ALL, CUT, CUT, ALL, ALL), CUT),
        _compiled(among_own, mesh, (ALL, CUT, CUT, ALL, ALL), CUT),
        _compiled(with_others, mesh, (ALL, CUT, CUT, ALL, ALL, ALL), CUT),
        _compiled(turn, mesh, (CUT, ALL, ALL), CUT),
        _compiled(finish, mesh, (CUT,), ALL),
    )


@lru_cache(maxsize=64)
def _line_programs(visit: LineVisit, mesh: jax.sharding.Mesh) -> LinePrograms:
    def start(shared: Any, rows: Rows) -> Sums:
        total, by_row = zero_line(visit, shared, rows)
        return Sums(_lifted(total), by_row)

    def advance(shared: Any, rows: Rows, sums: Sums, first: Array, last: Array) -> Sums:
        before = Sums(_lowered(sums.total), sums.rows)
        total, by_row = walk_line(visit, shared, rows, before, first, last)
        return Sums(_lifted(total), by_row)

    def finish(total: Any) -> Any:
        return lax.psum(_lowered(total), AXIS)

    return LinePrograms(
        _compiled(start, mesh, (ALL, CUT), CUT),
        _compiled(advance, mesh, (ALL, CUT, CUT, ALL, ALL), CUT),
        _compiled(finish, mesh, (CUT,), ALL),
    )


def _compiled(
    program: Callable[..., Any], mesh: jax.sharding.Mesh, ins: tuple[Any, ...], out: Any
) -> Callable[..., Any]:
    mapped = jax.shard_map(
        program, mesh=one_row(mesh), in_specs=ins, out_specs=out, check_vma=False
    )
    return jax.jit(mapped)


def _walk(n_tiles: Array | int, leg: Leg) -> Walk:
    """Return the order in which this device visits the pairs of a leg."""
    second = (lax.axis_index(AXIS) >= leg.hop).astype(jnp.int32)
    return Walk(n_tiles, upper=False, step=leg.stride, parity=second)


def _lifted(values: Any) -> Any:
    """Give values that each device has for itself an axis along the devices."""
    return jax.tree.map(lambda value: value[None], values)


def _lowered(values: Any) -> Any:
    return jax.tree.map(lambda value: value[0], values)


def _pass_on(values: Any, by: int) -> Any:
    """Pass values round the ring: what device k holds goes to device k + by."""
    size = lax.axis_size(AXIS)
    pairs = [(k, (k + by) % size) for k in range(size)]
    return jax.tree.map(lambda leaf: lax.ppermute(leaf, AXIS, pairs), values)
