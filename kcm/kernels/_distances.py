"""Distances between points, scaled by a bandwidth."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from kcm._typing import Columns, Point, Value
from kcm.kernels._parameters import Numbers

__all__ = [
    "centre_of",
    "column_sums",
    "half_squares",
    "over_columns",
    "reach",
    "safe_root",
    "squared_distance",
]

CENTRE_POINTS = 9


def squared_distance(x: Point, y: Point, bandwidth: Numbers) -> Value:
    """Return the scaled squared distance of two points."""
    return jnp.sum(((x - y) / bandwidth) ** 2)


def half_squares(
    x: Columns, y: Float[Array, "m d"], bandwidth: Numbers, *, by_differences: bool = False
) -> Float[Array, "n m"]:
    """Return minus half of all scaled squared distances, as one product of two thin matrices.

    x'y - |x|^2 / 2 - |y|^2 / 2 is the inner product of (x, -|x|^2 / 2, 1) and (y, 1, -|y|^2 / 2).
    It cancels badly for points far from the origin, so both sides are centred first. A product
    leaves the rounding of the largest square in all distances, which differences do not.
    """
    if by_differences:
        return -column_sums(jnp.square, x, y, bandwidth) / 2
    centre = centre_of(y)
    a = jax.vmap(lambda point: (point - centre) / bandwidth)(x)
    b = jax.vmap(lambda point: (point - centre) / bandwidth)(y)
    left = jnp.hstack([a, _half_norms(a), jnp.ones_like(a[:, :1])])
    right = jnp.hstack([b, jnp.ones_like(b[:, :1]), _half_norms(b)])
    return jnp.minimum(left @ right.T, 0)


@partial(jax.jit, static_argnums=0)
def column_sums(
    term: Callable[[Array], Array], x: Columns, y: Float[Array, "m d"], bandwidth: Numbers
) -> Float[Array, "n m"]:
    """Return sum_j term((x_j - y_j) / h_j) for all pairs of points, zeros where they are equal.

    One column after the other for all pairs: XLA takes up to ten times as long over the sums of
    one pair after the other.
    """
    lengths = jnp.broadcast_to(bandwidth, x.shape[1:])
    return over_columns(lambda a, b, length: term((a[:, None] - b[None]) / length), x, y, lengths)


def over_columns(
    of_one: Callable[[Array, Array, Array], Array],
    x: Columns,
    y: Float[Array, "m d"],
    lengths: Float[Array, " d"],
) -> Float[Array, "n m"]:
    """Return the sum over columns of what is made of a column of x, one of y, and its length."""
    columns = x.T, y.T, lengths
    first = of_one(*(column[0] for column in columns))
    if x.shape[1] == 1:  # without compilation JAX cannot go over no further column
        return first

    def add(total: Array, column: tuple[Array, Array, Array]) -> tuple[Array, None]:
        return total + of_one(*column), None

    rest = jax.tree.map(lambda column: column[1:], columns)
    return lax.scan(add, first, rest)[0]


def reach(x: Float[np.ndarray, "n d"], bandwidth: Any) -> float:
    """Return the scaled diagonal of the box around the points, which no distance exceeds."""
    if isinstance(bandwidth, jax.core.Tracer):
        return 0.0
    with np.errstate(over="ignore", under="ignore"):
        sides = (x.max(axis=0) - x.min(axis=0)) / np.asarray(bandwidth)
        return float(np.sqrt(np.sum(sides**2)))


def centre_of(points: Columns) -> Point:
    """Return a middle one of a few points: a mean would be dragged away by one far point.

    It is the median of three medians of three, which needs no sorting.
    """
    chosen = points[np.arange(CENTRE_POINTS) * len(points) // CENTRE_POINTS]
    return _middle(*_middle(chosen[:3], chosen[3:6], chosen[6:]))


def _middle(
    a: Float[Array, "*shape"], b: Float[Array, "*shape"], c: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    return jnp.maximum(jnp.minimum(a, b), jnp.minimum(jnp.maximum(a, b), c))


def _half_norms(points: Columns) -> Float[Array, "n 1"]:
    return -jnp.sum(points**2, axis=1, keepdims=True) / 2


def safe_root(squares: Float[Array, "..."], exponent: float = 0.5) -> Float[Array, "..."]:
    """Return squares ** exponent; its derivative at zero, which may not exist, is taken as zero."""
    positive = squares > 0
    return jnp.where(positive, jnp.where(positive, squares, 1) ** exponent, 0)
