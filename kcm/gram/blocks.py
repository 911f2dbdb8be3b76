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

Kernels = tuple[Kernel, ...]


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
    the largest one, or a point so far from itself when rounded, kernel and points stay in double
    precision. The precision returned is one that can hold the values.
    """
    if precision == "double":
        return kernel, x, precision
    with np.errstate(all="ignore"):
        middle = _middle(x)
        centred = _rounded(x, middle)
        lower, chosen = jax.tree.map(_single, kernel), _tried(centred)
        anchored = _has_anchors(kernel)  # its points are rounded with those it compares them with
        moved = x.astype(np.float32) if anchored else centred
        tiles = (_kernels(kernel), x[chosen]), (_kernels(lower), moved[chosen])
        pairs = () if anchored else (x[chosen] - middle, centred[chosen].astype(float))
        error, largest = _errors(*tiles, pairs)
    held: Precision = "single" if in_range(largest).all() else "double"
    return (lower, moved, held) if (error <= SINGLE_ERROR * largest).all() else (kernel, x, held)


def largest_value(kernel: Kernel, x: Float[np.ndarray, "n d"]) -> float:
    """Return the largest |k| on the points farthest from the centre and some others."""
    with np.errstate(all="ignore"):
        chosen = _tried(_rounded(x, _middle(x)))
        with double_arithmetic():
            return float(np.abs(_values((kernel,), x[chosen])).max())


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


def _errors(
    exact: tuple[Kernels, Float[np.ndarray, "m d"]],
    single: tuple[Kernels, Float[np.ndarray, "m d"]],
    pairs: tuple[Float[np.ndarray, "m d"], ...],
) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
    """Return the largest error of each kernel in single precision, and its largest value."""
    with double_arithmetic():
        return jax.tree.map(np.asarray, _compared(exact, single, pairs))


@jax.jit
def _compared(
    exact: tuple[Kernels, Float[Array, "m d"]],
    single: tuple[Kernels, Float[Array, "m d"]],
    pairs: tuple[Float[Array, "m d"], ...],
) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    values = _values(*exact)
    error = jnp.abs(_values(*single) - values).max(axis=(1, 2))
    if pairs:
        error = jnp.maximum(error, _told_apart(exact[0], *pairs))
    return error, jnp.abs(values).max(axis=(1, 2))


@jax.jit
def _values(kernels: Kernels, x: Float[Array, "m d"]) -> Float64[Array, "k m m"]:
    """Return the values of some kernels on one tile."""
    return jnp.stack([gram_block(k, x, x, True).astype(jnp.float64) for k in kernels])


def _told_apart(
    kernels: Kernels, x: Float[Array, "m d"], rounded: Float[Array, "m d"]
) -> Float[Array, " k"]:
    """Return how much less each kernel sees of points in what they are rounded to."""
    apart = [jax.vmap(k)(x, rounded) - k.diagonal(x) for k in kernels]
    return jnp.abs(jnp.stack(apart)).max(axis=1)
