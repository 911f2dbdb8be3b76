"""One tile of a Gram matrix, in double or single precision."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Float64, Int

from kcm.gram.execution import Precision, double_arithmetic
from kcm.gram.tiles import bucket
from kcm.kernels import AnchoredKernel, Kernel

__all__ = ["gram_block", "in_precision", "in_range", "largest_value"]

# Points that are farthest from the centre, and as many others, on which single precision is tried.
N_TRIED = 64
# Points of the sample that each of them is paired with.
N_OTHERS = 4_096
# |x|^2 + |y|^2 - 2x'y is off by the rounding of |x|^2: distances of its root, so many times the
# rounding of x, are lost.
CANCELLATION = 2**13
# Largest error of a kernel value, relative to the largest, at which single precision is used.
SINGLE_ERROR = 2e-5
# Numbers of these sizes are held in single precision as they are, and so are their squares.
SMALLEST, LARGEST = 1e-15, 1e15

Kernels = tuple[Kernel, ...]
Tried = tuple[Kernels, Any, Any]  # and the points of either side


def gram_block(
    kernel: Kernel, x: Float[Array, "r d"], y: Float[Array, "s d"], same: bool
) -> Float[Array, "r s"]:
    """Return k(x_a, y_b) of two tiles; `same` tells that they are one tile.

    The diagonal is taken from the definition: a fast `cross` gives k(x, x) only up to rounding,
    which is large where the bandwidth is far smaller than the spread of the points.
    """
    values = kernel.cross(x, y)
    if not same:
        return values
    return jnp.where(jnp.eye(len(x), dtype=bool), kernel.diagonal(x)[:, None], values)


def in_precision(
    kernel: Any, x: Float[np.ndarray, "n d"], precision: Precision
) -> tuple[Any, Float[np.ndarray, "n d"], Precision]:
    """Return a kernel (or a family) and points for tiles in a precision, if they can be.

    Single precision needs points near zero, and they can be moved there only if the kernel does
    not change; where a kernel compares them with points of its own, they stay. Both are tried, on
    the points farthest from the centre and some others, each with many points: where a value is
    off by more than 2e-5 of the largest one, or rounding could make one of two points that the
    kernel tells apart, kernel and points stay in double precision. The precision returned is one
    that can hold the values.
    """
    if precision == "double":
        return kernel, x, precision
    with np.errstate(all="ignore"):
        middle, anchored = _middle(x), _has_anchors(kernel)
        centred = _rounded(x, middle)
        rows, columns = _tried(centred), _others(len(x), N_TRIED if anchored else N_OTHERS)
        lower, moved = jax.tree.map(_single, kernel), x.astype(np.float32) if anchored else centred
        exact = _kernels(kernel), x[rows], x[columns]
        single = _kernels(lower), moved[rows], moved[columns]
        kept = x[rows] - middle
        near = kept if anchored else kept + CANCELLATION * (centred[rows] - kept)
        error, largest = _errors(exact, single, (rows, columns), (kept, near))
    held: Precision = "single" if in_range(largest).all() else "double"
    return (lower, moved, held) if (error <= SINGLE_ERROR * largest).all() else (kernel, x, held)


def largest_value(kernel: Kernel, x: Float[np.ndarray, "n d"]) -> float:
    """Return the largest |k| on the points farthest from the centre and some others."""
    with np.errstate(all="ignore"):
        points = x[_tried(_rounded(x, _middle(x)))]
        with double_arithmetic():
            return float(np.abs(_matrices((kernel,), points)).max())


def in_range(largest: Float[np.ndarray, " k"]) -> Bool[np.ndarray, " k"]:
    """Tell whether single precision holds numbers of this size, and their squares."""
    return (largest > SMALLEST) & (largest < LARGEST)


def _kernels(kernel: Any) -> Kernels:
    return (kernel,) if isinstance(kernel, Kernel) else kernel.evaluated


def _has_anchors(kernel: Any) -> bool:
    def anchored(node: Any) -> bool:
        return isinstance(node, AnchoredKernel)

    return any(map(anchored, jax.tree.leaves(kernel, is_leaf=anchored)))


def _single(leaf: Any) -> Any:
    return leaf.astype(np.float32) if hasattr(leaf, "astype") else leaf


def _middle(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
    return np.median(x[:: max(1, len(x) // 1_000)], axis=0)


def _rounded(
    x: Float[np.ndarray, "n d"], middle: Float[np.ndarray, " d"]
) -> Float32[np.ndarray, "n d"]:
    """Move points near zero, and only then round them."""
    return np.subtract(x, middle, out=np.empty(x.shape, np.float32), casting="same_kind")


def _tried(centred: Float32[np.ndarray, "n d"]) -> Int[np.ndarray, " m"]:
    n, half = len(centred), N_TRIED // 2
    columns = np.abs(np.ascontiguousarray(centred.T))
    spread = columns.max(axis=1, keepdims=True)
    columns /= np.where(spread > 0, spread, 1)
    distance = columns.max(axis=0)
    far = np.argpartition(distance, max(n - half, 0))[-half:] if n > half else np.arange(n)
    chosen = np.append(far, np.linspace(0, n - 1, N_TRIED - len(far)).astype(int))
    return np.resize(chosen, N_TRIED)


def _others(n: int, size: int) -> Int[np.ndarray, " s"]:
    """Return places over the whole sample, their number rounded up by repeating some."""
    chosen = np.linspace(0, n - 1, min(n, size)).astype(int)
    return np.resize(chosen, bucket(len(chosen)))


def _errors(*tried: Any) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
    """Return the largest error of each kernel in single precision, and its largest value."""
    with double_arithmetic():
        return jax.tree.map(np.asarray, _compared(*tried))


@jax.jit
def _compared(
    exact: Tried,
    single: Tried,
    places: tuple[Int[Array, " m"], Int[Array, " s"]],
    pairs: tuple[Float[Array, "m d"], Float[Array, "m d"]],
) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    same = places[0][:, None] == places[1][None]  # a tile takes its diagonal from the definition
    values, own = _values(*exact), _stacked([k.diagonal(exact[1]) for k in exact[0]])
    largest = jnp.maximum(jnp.abs(values).max(axis=(1, 2)), jnp.abs(own).max(axis=1))
    error = jnp.abs(_values(*single) - values)
    error = jnp.where(jnp.isnan(error), jnp.inf, jnp.where(same, 0, error)).max(axis=(1, 2))
    return jnp.where(_told_apart(exact[0], *pairs) > largest / 2, jnp.inf, error), largest


def _values(
    kernels: Kernels, x: Float[Array, "m d"], y: Float[Array, "s d"]
) -> Float64[Array, "k m s"]:
    return _stacked([gram_block(k, x, y, False) for k in kernels])


def _told_apart(
    kernels: Kernels, x: Float[Array, "m d"], y: Float[Array, "m d"]
) -> Float64[Array, " k"]:
    """Return how much less each kernel sees of points in others than in themselves."""
    own, other = (_stacked([jax.vmap(k)(x, z) for k in kernels]) for z in (x, y))
    return jnp.abs(other - own).max(axis=1)


@jax.jit
def _matrices(kernels: Kernels, x: Float[Array, "m d"]) -> Float64[Array, "k m m"]:
    """Return the values of some kernels on one tile."""
    return _stacked([gram_block(k, x, x, True) for k in kernels])


def _stacked(values: list[Array]) -> Float64[Array, "k ..."]:
    return jnp.stack([value.astype(jnp.float64) for value in values])
