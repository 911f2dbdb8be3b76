"""Kernels of categories, held as whole numbers."""

import math
from collections.abc import Sequence
from functools import partial
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from kcm._typing import Point, Value
from kcm._variation import check_varies
from kcm.exceptions import DataError, OptionError
from kcm.kernels._parameters import Numbers, Parameter, as_optional, as_parameter, check_positive
from kcm.kernels._words import listed_columns
from kcm.kernels.bandwidth import CoordinatewiseMedian
from kcm.kernels.base import Kernel

__all__ = ["AitchisonAitken", "Kronecker", "WangVanRyzin"]

# Codes and the halves between them are exact in single precision up to here, also after a shift.
LARGEST_CODE = 2**22


@final
class Kronecker(Kernel):
    r"""The kernel that tells only whether two rows agree.

    .. math:: k(x, y) = \textstyle\prod_j 1\{x_j = y_j\}

    Only rows of the same cell are compared. Take it for few cells with many rows each; where cells
    are thin, `AitchisonAitken` also compares neighbouring ones. Relabelling the codes changes
    nothing.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> float(Kronecker()(jnp.array([1.0, 2.0]), jnp.array([1.0, 2.0])))
    1.0
    """

    def __call__(self, x: Point, y: Point) -> Value:
        return jnp.all(x == y).astype(x.dtype)

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        check_codes(x)
        return self

    def describe(self, names: Sequence[str]) -> str:
        return f"equal categories {listed_columns(names)}"


@final
class AitchisonAitken(Kernel):
    r"""The kernel of Aitchison and Aitken for categories without an order.

    .. math:: k(x, y) = \textstyle\prod_j \begin{cases} 1 - \lambda_j & x_j = y_j \\
        \lambda_j / (c_j - 1) & x_j \ne y_j \end{cases}

    with c_j the number of levels of column j: as published, where the values of a column sum to
    one over its levels. Positive semi-definite for 0 <= lambda <= (c - 1) / c; `Kronecker` at 0,
    constant at the upper end. Relabelling the codes changes nothing. Take it for region, sector,
    sex; combine it with other kernels by `Subspace`, or let `for_frame` do so.

    Parameters
    ----------
    smoothing : float or array_like of shape (d,), optional
        lambda. Default (c - 1) / (c - 1 + e): two levels then have 1/e of the value of one level,
        as a Gaussian has at its median distance.
    n_levels : int or array_like of shape (d,), optional
        c, at least 2. Default: the number of codes in the data.

    Raises
    ------
    OptionError
        When an argument is outside its range.
    DataError
        When `resolve` meets codes that are not whole numbers, or more than `n_levels`; one code
        only where a default is to be found.

    References
    ----------
    Aitchison and Aitken (1976), Multivariate binary discrimination by the kernel method, Biometrika
    63. Li and Racine (2007), Nonparametric Econometrics, chapter 4.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> float(AitchisonAitken(0.5, n_levels=3)(jnp.array([0.0]), jnp.array([2.0])))
    0.25
    """

    smoothing: Parameter | None = eqx.field(
        converter=partial(as_optional, argument="smoothing"), default=None
    )
    n_levels: Parameter | None = eqx.field(
        converter=partial(as_optional, argument="n_levels"), default=None
    )

    def __check_init__(self) -> None:
        if self.smoothing is not None:
            check_positive(self.smoothing, "smoothing", allow_zero=True)
        if self.n_levels is not None:
            _check_n_levels(self.n_levels)
        if self.smoothing is not None and self.n_levels is not None:
            _check_smoothing(self.smoothing, self.n_levels)

    def __call__(self, x: Point, y: Point) -> Value:
        smoothing, n_levels = _known(self.smoothing, self), _known(self.n_levels, self)
        return jnp.prod(jnp.where(x == y, 1 - smoothing, smoothing / (n_levels - 1)))

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        check_codes(x)
        n_levels = _levels(x, self.n_levels)
        if self.smoothing is None:
            return AitchisonAitken((n_levels - 1) / (n_levels - 1 + math.e), n_levels)
        _check_length(self.smoothing, "smoothing", x)
        return AitchisonAitken(self.smoothing, n_levels)

    def describe(self, names: Sequence[str]) -> str:
        return f"categories {listed_columns(names)}"


@final
class WangVanRyzin(Kernel):
    r"""The kernel of Wang and van Ryzin for ordered categories.

    .. math:: k(x, y) = \textstyle\prod_j \begin{cases} 1 - \lambda_j & x_j = y_j \\
        \tfrac12 (1 - \lambda_j) \lambda_j^{|x_j - y_j|} & x_j \ne y_j \end{cases}

    as published, where the values of a column sum to one over all whole numbers. It is
    :math:`\tfrac12 (1 - \lambda)` times the sum of :math:`\lambda^{|x - y|}` and `Kronecker`, both
    positive semi-definite, hence itself so for 0 <= lambda < 1. Take it for grades, income brackets
    and small counts, with codes in the order of the levels.

    Parameters
    ----------
    smoothing : float or array_like of shape (d,), optional
        lambda. Default exp(-1 / m), with m the median of the distances between codes that are not
        zero.

    Raises
    ------
    OptionError
        When `smoothing` is outside its range.
    DataError
        When `resolve` meets codes that are not whole numbers; one code only where a default is to
        be found.

    References
    ----------
    Wang and van Ryzin (1981), A class of smooth estimators for discrete distributions, Biometrika
    68. Li and Racine (2007), Nonparametric Econometrics, chapter 4.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> float(WangVanRyzin(0.5)(jnp.array([0.0]), jnp.array([2.0])))
    0.0625
    """

    smoothing: Parameter | None = eqx.field(
        converter=partial(as_optional, argument="smoothing"), default=None
    )

    def __check_init__(self) -> None:
        if self.smoothing is not None:
            check_positive(self.smoothing, "smoothing", allow_zero=True)
            if (np.asarray(self.smoothing) >= 1).any():
                raise OptionError(f"`smoothing` must be below 1; got {self.smoothing}.")

    def __call__(self, x: Point, y: Point) -> Value:
        smoothing, same = _known(self.smoothing, self), x == y
        # one exponential for all columns; a smoothing of zero has the logarithm -inf
        decay = jnp.where(same, 0, jnp.abs(x - y) * jnp.log(smoothing))
        return jnp.exp(jnp.sum(decay)) * jnp.prod((1 - smoothing) * jnp.where(same, 1, 0.5))

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        check_codes(x)
        if self.smoothing is None:
            return WangVanRyzin(np.exp(-1 / (np.sqrt(2.0) * CoordinatewiseMedian()(x))))
        _check_length(self.smoothing, "smoothing", x)
        return self

    def describe(self, names: Sequence[str]) -> str:
        return f"ordered categories {listed_columns(names)}"


def check_codes(x: Float[np.ndarray, "n d"]) -> None:
    """Refuse codes that are not whole numbers of moderate size."""
    if (x != np.round(x)).any() or np.abs(x).max() > LARGEST_CODE:
        raise DataError(
            f"codes of categories must be whole numbers of at most {LARGEST_CODE:,} in size; "
            "number the levels, for example with pandas.factorize, or pass them as a data frame "
            "and leave the kernel to its default."
        )


def _known(value: Parameter | None, kernel: Kernel) -> Numbers:
    if value is None:
        raise OptionError(f"{kernel!r} has not met any data; call `kernel.resolve(X)` first.")
    return as_parameter(value)


def _levels(x: Float[np.ndarray, "n d"], given: Parameter | None) -> Numbers:
    found = np.array([len(np.unique(column)) for column in x.T], np.float64)
    if given is None:
        check_varies(x, [f"x{j + 1}" for j in range(x.shape[1])])
        return found
    _check_length(given, "n_levels", x)
    if (found > np.asarray(given)).any():
        raise DataError(
            f"the columns hold {found.astype(int).tolist()} codes, more than `n_levels`, "
            f"{np.asarray(given).tolist()}."
        )
    return as_parameter(given)


def _check_length(value: Parameter, argument: str, x: Float[np.ndarray, "n d"]) -> None:
    if np.ndim(value) > 1 or (np.ndim(value) == 1 and np.size(value) != x.shape[1]):
        raise OptionError(
            f"`{argument}` has {np.size(value)} entries for {x.shape[1]} conditioning columns; "
            "pass one number, or one per column."
        )


def _check_n_levels(value: Parameter) -> None:
    levels = np.asarray(value)
    if (levels != np.round(levels)).any() or (levels < 2).any():
        raise OptionError(f"`n_levels` must be whole and at least 2; got {levels.tolist()}.")


def _check_smoothing(value: Parameter, n_levels: Parameter) -> None:
    smoothing, levels = np.asarray(value), np.asarray(n_levels)
    if (smoothing > (levels - 1) / levels * (1 + 1e-12)).any():
        raise OptionError(
            "`smoothing` must be at most (c - 1) / c for c levels, where the kernel is constant; "
            f"got {smoothing.tolist()} for {levels.tolist()} levels."
        )
