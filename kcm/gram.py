"""Contractions with a Gram matrix that is never stored.

The only hot path of the library. The matrix is visited in tiles, the upper triangle only
(k(x, y) = k(y, x)), inside one compiled loop; each tile serves all columns at once. Everything is
computed in double precision, whatever JAX's ambient setting, which is left alone.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from kcm._tiles import gram_block, padded_points, point_tiles, tile_pairs, tiles
from kcm._validation import as_float_columns
from kcm.exceptions import DataError, OptionError
from kcm.kernels import Kernel

__all__ = ["cross", "diagonal", "matrix", "matvec", "quadratic_form"]


def quadratic_form(kernel: Kernel, x: Any, v: Any) -> Float[np.ndarray, " m"]:
    """Return diag(V' K V), one quadratic form per column of V.

    Parameters
    ----------
    kernel : Kernel
        A bandwidth rule is resolved on `x`.
    x : array_like of shape (n, d)
        Points.
    v : array_like of shape (n,) or (n, m)
        Coefficients.

    Returns
    -------
    ndarray of shape (m,)
        sum_ij v_i k(x_i, x_j) v_j for each column, in double precision.

    Raises
    ------
    DataError
        When `x` and `v` differ in length or hold values that are not finite.

    Notes
    -----
    n(n + t)/2 kernel evaluations, t the tile size, and the memory of one tile.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> quadratic_form(Gaussian(1.0), np.array([0.0, 1.0]), np.array([1.0, -1.0])).round(6)
    array([0.786939])
    """
    kernel, points, columns = _inputs(kernel, x, v)
    with jax.enable_x64(True):
        return np.array(_quadratic_form(kernel, point_tiles(points), tiles(columns)))


def matvec(kernel: Kernel, x: Any, v: Any) -> Float[np.ndarray, "n m"]:
    """Return K V for all columns of V in one pass over the tiles.

    Parameters
    ----------
    kernel : Kernel
        A bandwidth rule is resolved on `x`.
    x : array_like of shape (n, d)
        Points.
    v : array_like of shape (n,) or (n, m)
        Coefficients.

    Returns
    -------
    ndarray of shape (n, m)
        sum_j k(x_i, x_j) v_j, in double precision.

    Raises
    ------
    DataError
        When `x` and `v` differ in length or hold values that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> matvec(Gaussian(1.0), np.array([0.0, 1.0]), np.array([1.0, 1.0])).round(4).ravel()
    array([1.6065, 1.6065])
    """
    kernel, points, columns = _inputs(kernel, x, v)
    with jax.enable_x64(True):
        product = np.array(_matvec(kernel, point_tiles(points), tiles(columns)))
    return product.reshape(-1, columns.shape[1])[: len(points)]


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
    points = as_float_columns(x, "x")
    with jax.enable_x64(True):
        values = _diagonal(kernel.resolve(points), point_tiles(points))
    return np.array(values).ravel()[: len(points)]


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
    points = as_float_columns(x, "x")
    with jax.enable_x64(True):
        return np.array(_matrix(kernel.resolve(points), points))


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
    _check_kernel(kernel)
    rows, columns = as_float_columns(x, "x"), as_float_columns(y, "y")
    if rows.shape[1] != columns.shape[1]:
        raise DataError(
            f"`y` has {columns.shape[1]} columns and `x` has {rows.shape[1]}; they must match."
        )
    with jax.enable_x64(True):
        values = _cross(kernel.resolve(rows), padded_points(rows), padded_points(columns))
    return np.array(values)[: len(rows), : len(columns)]


def _inputs(
    kernel: Kernel, x: Any, v: Any
) -> tuple[Kernel, Float[np.ndarray, "n d"], Float[np.ndarray, "n m"]]:
    _check_kernel(kernel)
    points, columns = as_float_columns(x, "x"), as_float_columns(v, "v")
    if len(points) != len(columns):
        raise DataError(f"`v` has {len(columns)} rows and `x` has {len(points)}; they must match.")
    return kernel.resolve(points), points, columns


def _check_kernel(kernel: Any) -> None:
    if not isinstance(kernel, Kernel):
        raise OptionError(
            f"`kernel` must be a kernel such as kcm.kernels.Gaussian(); got {kernel!r}."
        )


@jax.jit
def _quadratic_form(
    kernel: Kernel, x: Float[Array, "t r d"], v: Float[Array, "t r m"]
) -> Float[Array, " m"]:
    def visit(total: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        i, j = pair
        block = gram_block(kernel, x[i], x[j], i == j)
        weight = jnp.where(i == j, 1.0, 2.0)
        return total + weight * jnp.sum(v[i] * (block @ v[j]), axis=0), None

    return lax.scan(visit, jnp.zeros_like(v[0, 0]), tile_pairs(len(x)))[0]


@jax.jit
def _matvec(
    kernel: Kernel, x: Float[Array, "t r d"], v: Float[Array, "t r m"]
) -> Float[Array, "t r m"]:
    def visit(product: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        i, j = pair
        block = gram_block(kernel, x[i], x[j], i == j)
        product = product.at[i].add(block @ v[j])
        mirrored = lax.cond(i == j, jnp.zeros_like, lambda w: block.T @ w, v[i])
        return product.at[j].add(mirrored), None

    return lax.scan(visit, jnp.zeros_like(v), tile_pairs(len(x)))[0]


@jax.jit
def _diagonal(kernel: Kernel, x: Float[Array, "t r d"]) -> Float[Array, "t r"]:
    return jax.vmap(kernel.diagonal)(x)


@jax.jit
def _matrix(kernel: Kernel, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
    return gram_block(kernel, x, x, jnp.array(True))


@jax.jit
def _cross(kernel: Kernel, x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    return kernel.cross(x, y)
