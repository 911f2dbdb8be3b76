"""One tile of a Gram matrix, in double or single precision."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from kcm.gram.execution import Precision, double_arithmetic
from kcm.kernels import Kernel

__all__ = ["gram_block", "in_precision"]

# Points that are farthest from the centre, and as many others, on which single precision is tried.
N_TRIED = 64
# Largest error of a kernel value, relative to the largest, at which single precision is used.
SINGLE_ERROR = 2e-5


def gram_block(
    kernel: Kernel, x: Float[Array, "r d"], y: Float[Array, "s d"], same: Bool[Array, ""] | bool
) -> Float[Array, "r s"]:
    """Return k(x_a, y_b) of two tiles; `same` tells that they are one tile.

    The diagonal is taken from the definition: a fast `cross` gives k(x, x) only up to rounding,
    which is large where the bandwidth is far smaller than the spread of the points.
    """
    if same is False:
        return kernel.cross(x, y)
    own = same & jnp.eye(len(x), len(y), dtype=bool)
    return jnp.where(own, kernel.diagonal(x)[:, None], kernel.cross(x, y))


def in_precision(
    kernel: Any, x: Float[np.ndarray, "n d"], precision: Precision
) -> tuple[Any, Float[np.ndarray, "n d"]]:
    """Return a kernel (or a family) and points for tiles in a precision, if they can be.

    Single precision needs points near zero, and they can be moved there only if the kernel does
    not change. Both are tried, on the points farthest from the centre and some others: where a
    value is off by more than 2e-5 of the largest one, kernel and points stay in double precision.
    """
    if precision == "double":
        return kernel, x
    with double_arithmetic(), np.errstate(all="ignore"):
        lower = jax.tree.map(_single, kernel)
        moved = (x - np.median(x[:: max(1, len(x) // 1_000)], axis=0)).astype(np.float32)
        chosen = _tried(moved)
        exact = np.asarray(_values(_kernels(kernel), x[chosen]), np.float64)
        tried = np.asarray(_values(_kernels(lower), moved[chosen]), np.float64)
    error = np.abs(tried - exact).max(axis=(1, 2))
    close = error <= SINGLE_ERROR * np.abs(exact).max(axis=(1, 2))
    return (lower, moved) if close.all() else (kernel, x)


def _kernels(kernel: Any) -> tuple[Kernel, ...]:
    return (kernel,) if isinstance(kernel, Kernel) else kernel.evaluated


def _single(leaf: Any) -> Any:
    return leaf.astype(np.float32) if hasattr(leaf, "astype") else leaf


def _tried(moved: Float[np.ndarray, "n d"]) -> np.ndarray:
    n, half = len(moved), N_TRIED // 2
    spread = np.abs(moved).max(axis=0)
    distance = np.abs(moved / np.where(spread > 0, spread, 1)).max(axis=1)
    far = np.argpartition(distance, max(n - half, 0))[-half:] if n > half else np.arange(n)
    chosen = np.append(far, np.linspace(0, n - 1, N_TRIED - len(far)).astype(int))
    return np.resize(chosen, N_TRIED)


@jax.jit
def _values(kernels: tuple[Kernel, ...], x: Float[Array, "m d"]) -> Float[Array, "k m m"]:
    return jnp.stack([gram_block(kernel, x, x, jnp.array(True)) for kernel in kernels])
