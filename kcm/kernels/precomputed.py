"""A Gram matrix of one's own."""

from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from kcm._typing import Columns, Point, Value
from kcm.exceptions import DataError, OptionError
from kcm.kernels._parameters import Numbers, as_parameter
from kcm.kernels.base import Kernel

__all__ = ["Precomputed"]

ASYMMETRY = 1e-10


def _as_matrix(value: Any) -> Numbers:
    """Return a read-only copy."""
    matrix = np.array(as_parameter(np.asarray(value), "matrix"))
    matrix.flags.writeable = False
    return matrix


@final
class Precomputed(Kernel):
    """The kernel of a Gram matrix that was computed elsewhere.

    .. math:: k(i, j) = K_{ij}

    Its points are row positions of K: the conditioning variable of the test is one column that
    holds 0, 1, ..., n - 1, or the positions of the rows that are tested. Take it for kernels of
    strings, graphs, curves or images.

    Parameters
    ----------
    matrix : array_like of shape (n, n)
        K, symmetric and positive semi-definite; that it is positive semi-definite is your promise,
        of which only the diagonal is checked. A copy is kept, read-only.

    Raises
    ------
    OptionError
        When the matrix is not square, finite and symmetric, or its diagonal has negative entries.
    DataError
        When `resolve` meets points that are not row positions.

    Notes
    -----
    The matrix travels with the kernel and hence with the result of a test: 8 n^2 bytes.

    Examples
    --------
    >>> import numpy as np
    >>> import kcm
    >>> psi, x = np.random.default_rng(0).normal(size=(2, 50))
    >>> kernel = Precomputed(np.minimum.outer(x - x.min(), x - x.min()))
    >>> moment = kcm.FittedMoment(psi, np.arange(50))
    >>> kcm.KCMTest(kernel).run(moment).pvalue > 0.05
    True
    """

    values: Numbers = eqx.field(converter=_as_matrix)

    def __init__(self, matrix: Any) -> None:
        self.values = matrix

    def __check_init__(self) -> None:
        _check_matrix(np.asarray(self.values))

    def __repr__(self) -> str:
        return f"Precomputed(<{len(self.values)} x {len(self.values)} matrix>)"

    def __call__(self, x: Point, y: Point) -> Value:
        return _entries(jnp.asarray(self.values), x[0], y[0])

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        return _entries(jnp.asarray(self.values), x[:, :1], y[:, :1].T)

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        n = len(self.values)
        whole = x.shape[1] == 1 and (x == np.round(x)).all()
        if not whole or x.min() < 0 or x.max() >= n:
            raise DataError(
                f"with kcm.kernels.Precomputed the conditioning variable must be one column of row "
                f"positions of the matrix, 0 to {n - 1}; pass numpy.arange(n)."
            )
        return self

    def describe(self, names: Sequence[str]) -> str:
        return repr(self)


def _entries(
    values: Float[Array, "n n"], rows: Float[Array, "*r"], columns: Float[Array, "*s"]
) -> Float[Array, "..."]:
    """Return entries of the matrix; NaN for what is no position, as one that was shifted."""
    found = values[rows.astype(jnp.int32), columns.astype(jnp.int32)]
    known = _is_position(rows, len(values)) & _is_position(columns, len(values))
    return jnp.where(known, found, jnp.nan)


def _is_position(column: Float[Array, "..."], n: int) -> Bool[Array, "..."]:
    return (column == jnp.round(column)) & (column >= 0) & (column < n)


def _check_matrix(matrix: np.ndarray) -> None:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise OptionError(f"`matrix` must have shape (n, n); got {matrix.shape}.")
    if not np.isfinite(matrix).all():
        raise OptionError("`matrix` must be finite; it holds missing or infinite values.")
    largest = np.abs(matrix).max(initial=0)
    if np.abs(matrix - matrix.T).max(initial=0) > ASYMMETRY * largest:
        raise OptionError("`matrix` must be symmetric; pass (K + K.T) / 2 if it is up to rounding.")
    if (np.diag(matrix) < 0).any() or not matrix.any():
        raise OptionError(
            "`matrix` must be positive semi-definite and not zero; its diagonal has negative "
            "entries, or all entries are zero."
        )
