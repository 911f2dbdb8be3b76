"""Kernels that weigh the directions of another kernel alike."""

from functools import partial
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kcm._typing import Columns, Point, Value
from kcm._variation import rows_by_value
from kcm.exceptions import DataError, OptionError
from kcm.kernels._parameters import Numbers, Parameter, as_scalar, check_positive, show
from kcm.kernels.base import Kernel, check_definite

__all__ = ["Spectral"]

# Points that the operator is an average over, and the seed of their choice among more rows.
MAX_POINTS = 1_024
SUBSAMPLE_SEED = 20_200_720
# Added to the Gram matrix of the points where it is inverted, relative to its largest entry.
RIDGE = 1e-12


class _Operator(eqx.Module):
    """Points, R with R'R = (K + m lambda I)^-1, and lambda."""

    points: Numbers
    inverse_root: Numbers
    penalty: Numbers


@final
class Spectral(Kernel):
    r"""A kernel whose small eigenvalues are lifted: spectral regularisation.

    .. math:: k_\lambda(x, y) = \langle k_x, (C + \lambda)^{-1} k_y \rangle
        = \tfrac1\lambda \bigl(k(x, y) - k(x, Z) (K + m\lambda I)^{-1} k(Z, y)\bigr),

    with C the covariance operator over m points Z, K the Gram matrix of k on them. Over all rows
    of the sample the Gram matrix is K (K / n + lambda)^-1. An eigenvalue l of K / n becomes
    l / (l + lambda): departures along directions in which k varies much less than in others, such
    as a fast wiggle, weigh as much as those along smooth ones, as far as lambda reaches.

    Parameters
    ----------
    kernel : Kernel
        k, positive semi-definite, with its rules.
    penalty : float
        lambda over the largest eigenvalue of the centred Gram matrix over m, so that units and
        constants do not matter: positive. The smaller, the more alike. Default 0.1.
    operator : optional
        (C + lambda)^-1 on the points of a sample, as `resolve` stores it.

    Raises
    ------
    OptionError
        When `penalty` is not positive and finite, or the kernel is not positive semi-definite.
    DataError
        When the kernel does not vary on the sample.

    Notes
    -----
    Z are the rows of the sample, up to 1,024 of them and so many drawn with a fixed seed beyond,
    which do not depend on the order of rows. `resolve` takes O(m^3), a tile O(m) a row and O(m) a
    pair; the operator travels with the result of a test, 8 m (m + d) bytes.

    References
    ----------
    Hagrass, Sriperumbudur and Li (2024), Spectral regularized kernel two-sample tests, Annals of
    Statistics 52.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm import gram
    >>> from kcm.kernels import Gaussian
    >>> x = np.linspace(0, 1, 50)[:, None]
    >>> gram.matrix(Spectral(Gaussian(), 1.0), x).shape
    (50, 50)
    """

    kernel: Kernel
    penalty: Parameter = eqx.field(converter=partial(as_scalar, argument="penalty"), default=0.1)
    operator: _Operator | None = None

    def __check_init__(self) -> None:
        check_positive(self.penalty, "penalty")
        check_definite(self.kernel, "spectral regularisation")

    def __repr__(self) -> str:
        return f"Spectral({self.kernel!r}, penalty={show(self.penalty)})"

    def __call__(self, x: Point, y: Point) -> Value:
        return self.cross(x[None], y[None])[0, 0]

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        if self.operator is None:
            raise OptionError(f"{self!r} has not met any data; call `kernel.resolve(X)` first.")
        points, root, penalty = (
            jnp.asarray(part, x.dtype)
            for part in (self.operator.points, self.operator.inverse_root, self.operator.penalty)
        )
        left, right = (self.kernel.cross(side, points) @ root.T for side in (x, y))
        return (self.kernel.cross(x, y) - left @ right.T) / penalty

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        if self.operator is not None:
            _check_columns(self.operator.points, x)
            return self
        kernel, points = self.kernel.resolve(x), _points(x)
        with jax.enable_x64(True):
            matrix = np.asarray(kernel.matrix(jnp.asarray(points)))
        penalty = float(np.asarray(self.penalty)) * _largest_eigenvalue(matrix)
        root = _inverse_root(matrix, len(points) * penalty)
        return Spectral(kernel, self.penalty, _Operator(points, root, np.asarray(penalty)))


def _points(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "m d"]:
    """Return the rows, or some of them that their order does not change."""
    if len(x) <= MAX_POINTS:
        return np.array(x)
    chosen = np.random.default_rng(SUBSAMPLE_SEED).choice(len(x), MAX_POINTS, replace=False)
    return np.asarray(x[rows_by_value(x)[chosen]])


def _largest_eigenvalue(matrix: Float[np.ndarray, "m m"]) -> float:
    """Return that of the centred matrix, over the number of rows."""
    means = matrix.mean(axis=0)
    centred = matrix - means - means[:, None] + means.mean()
    largest = float(np.linalg.eigvalsh(centred)[-1]) / len(matrix)
    if not largest > RIDGE * np.abs(matrix).max():
        raise DataError(
            "with kcm.kernels.Spectral the kernel must vary over the conditioning variables; it is "
            "constant on this sample. Use another bandwidth."
        )
    return largest


def _inverse_root(matrix: Float[np.ndarray, "m m"], added: float) -> Float[np.ndarray, "m m"]:
    """Return R with R'R the inverse of the matrix plus a multiple of the identity."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors.T / np.sqrt(np.maximum(values, 0) + added)[:, None])


def _check_columns(points: Numbers, x: Float[np.ndarray, "n d"]) -> None:
    if points.shape[1] != x.shape[1]:
        raise OptionError(
            f"`kernel` was resolved on {points.shape[1]} columns and meets {x.shape[1]} "
            "conditioning columns; they must match."
        )
