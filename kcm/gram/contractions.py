"""Quadratic forms and products with a Gram matrix, in one pass for many columns and kernels."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from kcm._arrays import view_float_columns
from kcm._options import check_option
from kcm.exceptions import DataError, OptionError
from kcm.gram.blocks import gram_block, in_precision, in_range
from kcm.gram.execution import Execution, Precision
from kcm.gram.family import Family, family_of
from kcm.gram.matrices import check_kernel
from kcm.gram.passes import pass_over_pairs
from kcm.gram.traversal import Found
from kcm.kernels import Kernel

__all__ = ["matvec", "product", "quadratic_form", "quadratic_forms"]

# Rows of a block below which a product costs more than its operations.
SMALLEST_HALF = 128


def quadratic_form(
    kernel: Kernel,
    x: Any,
    v: Any,
    precision: Precision = "double",
    memory_limit: Any = None,
    device: Any = None,
    mesh: Any = None,
    progress: bool = True,
) -> Float[np.ndarray, " m"]:
    """Return diag(V' K V), one quadratic form per column of V.

    Parameters
    ----------
    kernel : Kernel
        A bandwidth rule is resolved on `x`.
    x : array_like of shape (n, d)
        Points.
    v : array_like of shape (n,) or (n, m)
        Coefficients.
    precision : {"double", "single"}
        Of the tiles. Sums across tiles are always in double precision. Default "double".
    memory_limit, device, mesh, progress
        As in `kcm.gram.Execution`.

    Returns
    -------
    ndarray of shape (m,)
        sum_ij v_i k(x_i, x_j) v_j for each column.

    Raises
    ------
    DataError
        When `x` and `v` differ in length or hold values that are not finite.
    OptionError
        When an option is not valid, or `memory_limit` too small for one tile.

    Notes
    -----
    n(n + t)/2 kernel evaluations, t the tile size. In single precision kernel values are within
    2e-5 of the largest one; where they would not be (points far apart relative to the bandwidth,
    a kernel that is not invariant to shifts) they are computed in double and rounded.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> quadratic_form(Gaussian(1.0), np.array([0.0, 1.0]), np.array([1.0, -1.0])).round(6)
    array([0.786939])
    """
    check_kernel(kernel)
    execution = Execution(memory_limit, device, mesh, progress)
    return quadratic_forms([kernel], x, v, precision, execution)[0]


def quadratic_forms(
    kernels: Any,
    x: Any,
    v: Any,
    precision: Precision = "double",
    execution: Any = None,
) -> Float[np.ndarray, "k m"]:
    """Return diag(V' K V) for several kernels in one pass.

    Parameters
    ----------
    kernels : list of Kernel
        Bandwidth rules are resolved on `x`. A kernel that is a whole power of another one, as a
        Gaussian at half the squared bandwidth is the other's square, costs a few products and no
        evaluation.
    x, v, precision
        As in `quadratic_form`.
    execution : Execution, optional
        Its `precision` is that of a test, and not looked at here.

    Returns
    -------
    ndarray of shape (k, m)
        One row per kernel.

    Raises
    ------
    DataError, OptionError
        As in `quadratic_form`.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> kernels = [Gaussian(1.0), Gaussian(0.5)]
    >>> quadratic_forms(kernels, np.array([0.0, 1.0]), np.array([1.0, -1.0])).round(6).ravel()
    array([0.786939, 1.729329])
    """
    kernels, points, columns = _inputs(kernels, x, v)
    check_option(precision, ("double", "single"), "precision")
    execution = Execution() if execution is None else execution
    if not isinstance(execution, Execution):
        raise OptionError(f"`execution` must be a kcm.gram.Execution; got {execution!r}.")
    family, points, held = in_precision(family_of(kernels), points, precision)
    size, scaled = _scaled_columns(columns, held)
    parts = [
        pass_over_pairs(visit_forms, family, {"x": points, "v": part}, execution).total
        for part in _split(scaled, execution)
    ]
    return np.concatenate(parts, axis=1) * size**2


def matvec(
    kernel: Kernel,
    x: Any,
    v: Any,
    precision: Precision = "double",
    memory_limit: Any = None,
    device: Any = None,
    mesh: Any = None,
    progress: bool = True,
) -> Float[np.ndarray, "n m"]:
    """Return K V for all columns of V in one pass over the tiles.

    Parameters
    ----------
    kernel : Kernel
        A bandwidth rule is resolved on `x`.
    x : array_like of shape (n, d)
        Points.
    v : array_like of shape (n,) or (n, m)
        Coefficients.
    precision : {"double", "single"}
        Of the tiles. Sums across tiles are always in double precision. Default "double".
    memory_limit, device, mesh, progress
        As in `kcm.gram.Execution`.

    Returns
    -------
    ndarray of shape (n, m)
        sum_j k(x_i, x_j) v_j.

    Raises
    ------
    DataError
        When `x` and `v` differ in length or hold values that are not finite.
    OptionError
        When an option is not valid, or `memory_limit` too small for one tile.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> matvec(Gaussian(1.0), np.array([0.0, 1.0]), np.array([1.0, 1.0])).round(4).ravel()
    array([1.6065, 1.6065])
    """
    check_kernel(kernel)
    return product(kernel, x, v, precision, Execution(memory_limit, device, mesh, progress))


def product(
    kernel: Kernel, x: Any, v: Any, precision: Precision, execution: Execution
) -> Float[np.ndarray, "n m"]:
    """Return K V; `matvec` with its options in one record."""
    (kernel,), points, columns = _inputs([kernel], x, v)
    check_option(precision, ("double", "single"), "precision")
    kernel, points, held = in_precision(kernel, points, precision)
    size, scaled = _scaled_columns(columns, held)
    parts = [
        pass_over_pairs(visit_products, kernel, {"x": points, "v": part}, execution).rows
        for part in _split(scaled, execution)
    ]
    return np.concatenate(parts, axis=1) * size


def visit_forms(family: Family, a: dict[str, Array], b: dict[str, Array], same: bool) -> Found:
    """Add v_a' K_ab v_b, twice where the tiles differ, for each kernel and column."""
    blocks = [block.astype(a["v"].dtype) for block in family.blocks(a["x"], b["x"], same)]
    if same:
        return Found(jnp.stack([_symmetric_form(block, a["v"]) for block in blocks]))
    return Found(2 * jnp.stack([_form(block, a["v"], b["v"]) for block in blocks]))


def visit_products(kernel: Kernel, a: dict[str, Array], b: dict[str, Array], same: bool) -> Found:
    """Add K_ab v_b to the first tile's rows and, where they differ, K_ba v_a to the other's."""
    block = gram_block(kernel, a["x"], b["x"], same).astype(a["v"].dtype)
    second = jnp.zeros_like(a["v"]) if same else _times_transposed(block, a["v"])
    return Found((), block @ b["v"], second)


def _symmetric_form(block: Float[Array, "r r"], v: Float[Array, "r m"]) -> Float[Array, " m"]:
    """Return v' block v; products below the diagonal of a symmetric block are not made again."""
    half = len(v) // 2
    if v.shape[1] == 1 or half < SMALLEST_HALF:
        return _form(block, v, v)
    own = _symmetric_form(block[:half, :half], v[:half])
    other = _symmetric_form(block[half:, half:], v[half:])
    return own + other + 2 * _form(block[:half, half:], v[:half], v[half:])


def _form(
    block: Float[Array, "r s"], left: Float[Array, "r m"], right: Float[Array, "s m"]
) -> Float[Array, " m"]:
    if left.shape[1] == 1:
        products = left[:, 0] * _times_column(block, right[:, 0])
        return jnp.sum(products, dtype=jnp.float64)[None]
    return jnp.sum(left * (block @ right), axis=0).astype(jnp.float64)


def _times_column(block: Float[Array, "r s"], column: Float[Array, " s"]) -> Float[Array, " r"]:
    """Return block @ column; doubles, too many for the near cache, are summed as they arise."""
    if block.dtype == jnp.float64:
        return jnp.sum(block * column[None], axis=1)
    return block @ column


def _times_transposed(block: Float[Array, "r s"], v: Float[Array, "r m"]) -> Float[Array, "s m"]:
    """Return block' v as (v' block)'; XLA, unless kept from it, makes the slower product of it."""
    return lax.optimization_barrier(v.T @ block).T


def _inputs(
    kernels: Any, x: Any, v: Any
) -> tuple[list[Kernel], Float[np.ndarray, "n d"], Float[np.ndarray, "n m"]]:
    if not isinstance(kernels, list | tuple) or not kernels:
        raise OptionError(f"`kernels` must be a list of one kernel or more; got {kernels!r}.")
    for kernel in kernels:
        check_kernel(kernel)
    points, columns = view_float_columns(x, "x"), view_float_columns(v, "v")
    if len(points) != len(columns):
        raise DataError(f"`v` has {len(columns)} rows and `x` has {len(points)}; they must match.")
    return [kernel.resolve(points) for kernel in kernels], points, columns


def _scaled_columns(
    columns: Float[np.ndarray, "n m"], precision: Precision
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "n m"]]:
    """Return sizes and columns divided by them, which single precision can hold."""
    if precision == "double":
        return np.ones(columns.shape[1]), columns
    with np.errstate(over="ignore", under="ignore"):
        rounded = columns.astype(np.float32)
    largest = np.maximum(rounded.max(axis=0), -rounded.min(axis=0))
    if in_range(largest).all():
        return np.ones(columns.shape[1]), rounded
    largest = np.maximum(columns.max(axis=0), -columns.min(axis=0))
    size = np.where(largest > 0, largest, 1.0)
    return size, (columns / size).astype(np.float32)


def _split(columns: Float[np.ndarray, "n m"], execution: Execution) -> list[np.ndarray]:
    n, m = columns.shape
    width = max(1, min(execution.columns(n, columns.itemsize), m))
    return [columns[:, start : start + width] for start in range(0, max(m, 1), width)]
