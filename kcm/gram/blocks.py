"""One tile of a Gram matrix, in double or single precision."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Float64, Int

from kcm.gram.execution import Precision, double_arithmetic
from kcm.kernels import Kernel
from kcm.kernels._anchored import AnchoredKernel

__all__ = ["gram_block", "in_precision", "in_range", "largest_value"]

# Points that are farthest from the centre, and as many others, on which single precision is tried.
N_TRIED = 64
# Largest error of a kernel value, relative to the largest, at which single precision is used.
SINGLE_ERROR = 2e-5
# Numbers of these sizes are held in single precision as they are, and so are their squares.
SMALLEST, LARGEST = 1e-15, 1e15


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
    the points farthest from the centre and some others: where a value is off by more than 2e-5 of
    the largest one, kernel and points stay in double precision. The precision returned is one that
    can hold the values.
    """
    if precision == "double":
        return kernel, x, precision
    with np.errstate(all="ignore"):
        centred = _centred(x)
        moved = x.astype(np.float32) if _has_anchors(kernel) else centred
        lower, chosen = jax.tree.map(_single, kernel), _tried(centred)
        tiles = (kernel, x[chosen]), (lower, moved[chosen])
        exact, tried = _values([(_kernels(kernel), points) for kernel, points in tiles])
        error, largest = (np.abs(a).max(axis=(1, 2)) for a in (tried - exact, exact))
    held: Precision = "single" if in_range(largest).all() else "double"
    return (lower, moved, held) if (error <= SINGLE_ERROR * largest).all() else (kernel, x, held)


def largest_value(kernel: Kernel, x: Float[np.ndarray, "n d"]) -> float:
    """Return the largest |k| on the points farthest from the centre and some others."""
    with np.errstate(all="ignore"):
        (values,) = _values([((kernel,), x[_tried(_centred(x))])])
        return float(np.abs(values).max())


def in_range(largest: Float[np.ndarray, " k"]) -> Bool[np.ndarray, " k"]:
    """Tell whether single precision holds numbers of this size, and their squares."""
    return (largest > SMALLEST) & (largest < LARGEST)


def _kernels(kernel: Any) -> tuple[Kernel, ...]:
    return (kernel,) if isinstance(kernel, Kernel) else kernel.evaluated


def _has_anchors(kernel: Any) -> bool:
    def anchored(node: Any) -> bool:
        return isinstance(node, AnchoredKernel)

    return any(map(anchored, jax.tree.leaves(kernel, is_leaf=anchored)))


def _single(leaf: Any) -> Any:
    return leaf.astype(np.float32) if hasattr(leaf, "astype") else leaf


def _centred(x: Float[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
    """Move points near zero, and only then round them."""
    middle = np.median(x[:: max(1, len(x) // 1_000)], axis=0)
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


def _values(
    tiles: list[tuple[tuple[Kernel, ...], Float[np.ndarray, "m d"]]],
) -> list[Float64[np.ndarray, "k m m"]]:
    """Return the values of some kernels on one tile, for each of some kernels and tiles."""
    with double_arithmetic():
        return [np.asarray(values, np.float64) for values in _evaluated(tiles)]


@jax.jit
def _evaluated(
    tiles: list[tuple[tuple[Kernel, ...], Float[Array, "m d"]]],
) -> list[Float[Array, "k m m"]]:
    return [jnp.stack([gram_block(kernel, x, x, True) for kernel in ks]) for ks, x in tiles]
