"""Gram matrices that are held: whole, between two sets of points, and the diagonal."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from kcm._arrays import as_float_columns
from kcm.exceptions import DataError, OptionError
from kcm.gram.blocks import gram_block
from kcm.gram.cost import most_rows, value_cost
from kcm.gram.execution import double_arithmetic
from kcm.gram.pieces import CHUNK
from kcm.gram.tiles import ROUNDING, padded_points
from kcm.kernels import Kernel, everywhere_by_differences

__all__ = ["check_kernel", "cross", "cross_block", "diagonal", "matrix", "pairwise"]

# Of the work of a piece: values that are held take longer, for the memory they need.
SHARE = 0.04
# Rows of a tile of such a matrix.
HELD_ROWS = 2_048
# So many ranges of the sample outside of it, a point is far away.
MUCH = 4


def diagonal(kernel: Kernel, x: Any) -> Float[np.ndarray, " n"]:
    """Return k(x_i, x_i) for every row of x.

    Parameters
    ----------
    kernel : Kernel
        A bandwidth rule is resolved on `x`.
    x : array_like of shape (n, d)
        Points.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Laplace
    >>> diagonal(Laplace(1.0), np.arange(3.0))
    array([1., 1., 1.])
    """
    check_kernel(kernel)
    points = as_float_columns(x, "x")
    with double_arithmetic():
        values = _diagonal(kernel.resolve(points), padded_points(points))
    return np.array(values)[: len(points)]


def matrix(kernel: Kernel, x: Any) -> Float[np.ndarray, "n n"]:
    """Return the whole Gram matrix, for samples small enough to hold it.

    Parameters
    ----------
    kernel : Kernel
        A bandwidth rule is resolved on `x`.
    x : array_like of shape (n, d)
        Points.

    Returns
    -------
    ndarray of shape (n, n)
        k(x_i, x_j), 8 n^2 bytes.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> matrix(Gaussian(1.0), np.array([0.0, 1.0])).round(4)
    array([[1.    , 0.6065],
           [0.6065, 1.    ]])
    """
    check_kernel(kernel)
    points = as_float_columns(x, "x")
    resolved = kernel.resolve(points)
    with double_arithmetic():
        if _is_long(resolved, points, points):
            return _symmetric_by_tiles(resolved, points)
        values = _matrix(resolved, padded_points(points))
    return np.array(values)[: len(points), : len(points)]


def cross(kernel: Kernel, x: Any, y: Any) -> Float[np.ndarray, "n m"]:
    """Return the matrix of kernel values between two sets of points.

    Parameters
    ----------
    kernel : Kernel
        A bandwidth rule is resolved on `x`.
    x : array_like of shape (n, d)
        Points.
    y : array_like of shape (m, d)
        Points.

    Returns
    -------
    ndarray of shape (n, m)
        k(x_i, y_j), 8 n m bytes, in double precision.

    Raises
    ------
    DataError
        When `x` and `y` differ in their number of columns or hold values that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> cross(Gaussian(1.0), np.array([0.0, 1.0]), np.array([0.0])).round(4)
    array([[1.    ],
           [0.6065]])
    """
    check_kernel(kernel)
    rows, columns = as_float_columns(x, "x"), as_float_columns(y, "y")
    if rows.shape[1] != columns.shape[1]:
        raise DataError(
            f"`y` has {columns.shape[1]} columns and `x` has {rows.shape[1]}; they must match."
        )
    return np.array(cross_block(kernel.resolve(rows), rows, columns))


def cross_block(
    kernel: Kernel, x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]
) -> Float[np.ndarray, "n m"]:
    """Return k(x_i, y_j) in double precision; the kernel is resolved."""
    if _reaches_beyond(x, y):
        kernel = everywhere_by_differences(kernel)
    with double_arithmetic():
        if _is_long(kernel, x, y):
            return _by_tiles(kernel, x, y)
        values = _cross(kernel, padded_points(x), padded_points(y))
    return np.asarray(values)[: len(x), : len(y)]


def _is_long(kernel: Kernel, x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> bool:
    """Tell whether one call would keep an interrupt waiting."""
    work = len(x) * len(y) * value_cost(kernel)
    return work > SHARE * CHUNK and max(len(x), len(y)) > _most_held_rows(kernel)


def _most_held_rows(kernel: Kernel) -> int:
    return min(HELD_ROWS, most_rows(kernel))


def _tile_rows(kernel: Kernel, n: int) -> int:
    """Return the rows of equal tiles, as few of them as there may be."""
    count = -(-n // _most_held_rows(kernel))
    return -(-n // (count * ROUNDING)) * ROUNDING


def _by_tiles(
    kernel: Kernel, x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]
) -> Float[np.ndarray, "n m"]:
    rows, values = _tile_rows(kernel, max(len(x), len(y))), np.empty((len(x), len(y)))
    for i in range(0, len(x), rows):
        for j in range(0, len(y), rows):
            a, b = x[i : i + rows], y[j : j + rows]
            values[i : i + rows, j : j + rows] = _tile(kernel, a, b, rows)
    return values


def _symmetric_by_tiles(kernel: Kernel, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    rows, values = _tile_rows(kernel, len(x)), np.empty((len(x), len(x)))
    for i in range(0, len(x), rows):
        for j in range(i, len(x), rows):
            tile = _tile(kernel, x[i : i + rows], x[j : j + rows], rows)
            values[j : j + rows, i : i + rows] = tile.T
            values[i : i + rows, j : j + rows] = tile
    np.fill_diagonal(values, np.asarray(_diagonal(kernel, padded_points(x)))[: len(x)])
    return values


def _tile(
    kernel: Kernel, x: Float[np.ndarray, "r d"], y: Float[np.ndarray, "s d"], rows: int
) -> Float[np.ndarray, "r s"]:
    """Return a tile, computed in one size whatever is left at an edge."""
    a, b = (np.pad(part, ((0, rows - len(part)), (0, 0)), mode="edge") for part in (x, y))
    return np.asarray(_cross(kernel, a, b))[: len(x), : len(y)]


def _reaches_beyond(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> bool:
    """Tell whether points lie far outside of those that the kernel was resolved on."""
    low, high = x.min(axis=0), x.max(axis=0)
    beyond = np.maximum(low - y.min(axis=0), y.max(axis=0) - high)
    return bool((beyond > MUCH * (high - low)).any())


def check_kernel(kernel: Any) -> None:
    """Refuse what is not a kernel."""
    if not isinstance(kernel, Kernel):
        raise OptionError(
            f"`kernel` must be a kernel such as kcm.kernels.Gaussian(); got {kernel!r}."
        )


@jax.jit
def _diagonal(kernel: Kernel, x: Float[Array, "n d"]) -> Float[Array, " n"]:
    return kernel.diagonal(x)


@jax.jit
def _matrix(kernel: Kernel, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
    return gram_block(kernel, x, x, True)


@jax.jit
def _cross(kernel: Kernel, x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    return kernel.cross(x, y)


def pairwise(
    kernel: Kernel, x: Float[np.ndarray, "s d"], y: Float[np.ndarray, "s d"]
) -> Float[np.ndarray, " s"]:
    """Return k(x_a, y_a) for pairs of points, in double precision; the kernel is resolved."""
    with double_arithmetic():
        return np.asarray(_pairwise(kernel, x, y))


@jax.jit
def _pairwise(kernel: Kernel, x: Float[Array, "s d"], y: Float[Array, "s d"]) -> Float[Array, " s"]:
    return jax.vmap(kernel)(x, y)
