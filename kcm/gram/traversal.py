"""The walk over the tiles of the upper triangle: the one loop behind every contraction.

What happens at a pair of tiles is a `Visit`; the walk adds up what the visits return. On one
device the tiles of the diagonal and then the pairs (i, j), i < j, are walked in compiled loops; on
a mesh each device walks its own pairs, and pairs with the rows of others (`kcm.gram.ring`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int

__all__ = [
    "Found",
    "LineVisit",
    "Pair",
    "Sums",
    "Visit",
    "Walk",
    "walk_diagonal",
    "walk_line",
    "walk_rectangle",
    "walk_triangle",
    "zero_line",
    "zero_sums",
]

WHOLE = 2**31 - 1


class Found(NamedTuple):
    """What a visit to a pair of tiles returns.

    Parameters
    ----------
    total : pytree of arrays
        Added up over all pairs.
    first, second : pytree of arrays
        Of the same structure; added to the rows of the first and of the second tile.
    """

    total: Any
    first: Any = ()
    second: Any = ()


class Sums(NamedTuple):
    """What the visits add up to, in double precision: over all pairs, and row by row."""

    total: Any
    rows: Any


# kernel, rows of the first tile, rows of the second, whether they are the same tile
Visit = Callable[[Any, dict[str, Array], dict[str, Array], bool], Found]
LineVisit = Callable[[Any, dict[str, Array]], Sums]
Pair = tuple[Int[Array, ""], Int[Array, ""]]


class Walk(NamedTuple):
    """An order of tile pairs: row i starts after i (upper triangle) or at (i + parity) mod step."""

    n_tiles: Int[Array, ""] | int
    upper: bool = True
    step: Int[Array, ""] | int = 1
    parity: Int[Array, ""] | int = 0

    def start(self, i: Int[Array, ""]) -> Int[Array, ""]:
        return i + 1 if self.upper else (i + self.parity) % self.step

    def first(self) -> Pair:
        zero = jnp.zeros((), jnp.int32)
        return self._within(zero, self.start(zero))

    def after(self, pair: Pair) -> Pair:
        return self._within(pair[0], pair[1] + self.step)

    def n_rows(self) -> Int[Array, ""] | int:
        return self.n_tiles - 1 if self.upper else self.n_tiles

    def _within(self, i: Int[Array, ""], j: Int[Array, ""]) -> Pair:
        over = j >= self.n_tiles
        return jnp.where(over, i + 1, i), jnp.where(over, self.start(i + 1), j)


def zero_sums(visit: Visit, kernel: Any, rows: dict[str, Array]) -> Sums:
    """Return the sums before the first visit."""

    def visited(tile: dict[str, Array]) -> Found:
        return visit(kernel, tile, tile, False)

    n_tiles = next(iter(rows.values())).shape[0]
    shapes = jax.eval_shape(visited, _tile(rows, 0))
    total = jax.tree.map(lambda s: jnp.zeros(s.shape, jnp.float64), shapes.total)
    by_row = jax.tree.map(lambda s: jnp.zeros((n_tiles, *s.shape), jnp.float64), shapes.first)
    return Sums(total, by_row)


def walk_diagonal(
    visit: Visit,
    kernel: Any,
    rows: dict[str, Array],
    sums: Sums,
    first: Int[Array, ""] | int,
    last: Int[Array, ""] | int,
) -> Sums:
    """Visit tiles with themselves, and add to the sums."""

    def visit_tile(i: Array, sums: Sums) -> Sums:
        tile = _tile(rows, i)
        found = visit(kernel, tile, tile, True)
        by_row = _add_to(_add_to(sums.rows, i, found.first), i, found.second)
        return Sums(_add(sums.total, found.total), by_row)

    return lax.fori_loop(first, last, visit_tile, sums)


def walk_triangle(
    visit: Visit,
    kernel: Any,
    rows: dict[str, Array],
    state: tuple[Sums, Pair],
    n_tiles: Int[Array, ""] | int,
    n_pairs: Int[Array, ""] | int = WHOLE,
) -> tuple[Sums, Pair]:
    """Visit the next `n_pairs` pairs above the diagonal, and add to the sums."""
    walk = Walk(n_tiles)

    def visit_pair(state: tuple[Sums, Pair]) -> tuple[Sums, Pair]:
        sums, (i, j) = state
        found = visit(kernel, _tile(rows, i), _tile(rows, j), False)
        by_row = _add_to(_add_to(sums.rows, i, found.first), j, found.second)
        return Sums(_add(sums.total, found.total), by_row), walk.after((i, j))

    return _repeat(visit_pair, state, walk.n_rows(), n_pairs)


def walk_rectangle(
    visit: Visit,
    kernel: Any,
    both: tuple[dict[str, Array], dict[str, Array]],
    state: tuple[tuple[Any, Any, Any], Pair],
    walk: Walk,
    n_pairs: Int[Array, ""] | int = WHOLE,
) -> tuple[tuple[Any, Any, Any], Pair]:
    """Visit the next pairs of tiles of two sets; add to the total and to the rows of either set."""
    rows, others = both

    def visit_pair(state: tuple[Any, Pair]) -> tuple[Any, Pair]:
        (total, own, away), (i, j) = state
        found = visit(kernel, _tile(rows, i), _tile(others, j), False)
        sums = _add(total, found.total), _add_to(own, i, found.first)
        return (*sums, _add_to(away, j, found.second)), walk.after((i, j))

    return _repeat(visit_pair, state, walk.n_rows(), n_pairs)


def zero_line(visit: LineVisit, shared: Any, rows: dict[str, Array]) -> Sums:
    """Return the sums over no tile, with room for what belongs to rows."""
    shapes = jax.eval_shape(partial(visit, shared), _tile(rows, 0))
    total = jax.tree.map(lambda s: jnp.zeros(s.shape, jnp.float64), shapes.total)
    room = jax.tree.leaves(rows)[0].shape[0]
    by_row = jax.tree.map(lambda s: jnp.zeros((room, *s.shape), s.dtype), shapes.rows)
    return Sums(total, by_row)


def walk_line(
    visit: LineVisit,
    shared: Any,
    rows: dict[str, Array],
    sums: Sums,
    first: Int[Array, ""] | int,
    last: Int[Array, ""] | int,
) -> Sums:
    """Visit each tile once: totals are added up, what belongs to rows is kept as it is."""

    def step(i: Array, sums: Sums) -> Sums:
        found = visit(shared, _tile(rows, i))
        kept = jax.tree.map(lambda a, b: a.at[i].set(b), sums.rows, found.rows)
        return Sums(_add(sums.total, found.total), kept)

    return lax.fori_loop(first, last, step, sums)


def _repeat(
    visit_pair: Callable[[tuple[Any, Pair]], tuple[Any, Pair]],
    state: tuple[Any, Pair],
    n_rows: Int[Array, ""] | int,
    n_pairs: Int[Array, ""] | int,
) -> tuple[Any, Pair]:
    def unfinished(counted: tuple[tuple[Any, Pair], Array]) -> Array:
        (_, (i, _)), count = counted
        return (i < n_rows) & (count < n_pairs)

    def step(counted: tuple[tuple[Any, Pair], Array]) -> tuple[tuple[Any, Pair], Array]:
        return visit_pair(counted[0]), counted[1] + 1

    return lax.while_loop(unfinished, step, (state, jnp.zeros((), jnp.int32)))[0]


def _tile(rows: dict[str, Array], place: Array | int) -> dict[str, Array]:
    return {name: value[place] for name, value in rows.items()}


def _add(old: Any, new: Any) -> Any:
    return jax.tree.map(lambda a, b: a + b.astype(a.dtype), old, new)


def _add_to(rows: Any, place: Array, new: Any) -> Any:
    return jax.tree.map(lambda a, b: a.at[place].add(b.astype(a.dtype)), rows, new)
