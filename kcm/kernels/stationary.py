"""Kernels of the distance between two points."""

from functools import partial
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kcm._typing import Columns, Point, Value
from kcm.kernels._distances import column_sums
from kcm.kernels._exponential import exponential
from kcm.kernels._parameters import Numbers, Parameter, as_parameter, as_scalar, check_positive
from kcm.kernels._scaled import BandwidthKernel, DistanceKernel
from kcm.kernels.bandwidth import numbers
from kcm.kernels.base import Kernel

__all__ = ["Gaussian", "InverseMultiquadric", "Laplace"]

# A power's rounding grows with its exponent.
LARGEST_POWER = 64
RATIO_ERROR = 1e-14


@final
class Gaussian(DistanceKernel):
    r"""The Gaussian kernel.

    .. math:: k(x, y) = \exp\bigl(-\tfrac12 \textstyle\sum_j (x_j - y_j)^2 / h_j^2\bigr)

    Integrally strictly positive definite, smooth: the default of `KCMTest`.

    Parameters
    ----------
    bandwidth : float, array_like of shape (d,), or BandwidthRule
        The length h in the units of the data, used as given. Default `MedianHeuristic()`.

    Raises
    ------
    OptionError
        When a bandwidth is not positive and finite.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> round(float(Gaussian(2.0)(jnp.zeros(1), jnp.full(1, 2.0))), 4)
    0.6065
    """

    def of_half_squares(self, half_squares: Float[Array, "..."]) -> Float[Array, "..."]:
        return exponential(half_squares)

    def power_of(self, other: Kernel) -> int | None:
        if not isinstance(other, Gaussian):
            return None
        return _whole_ratio(numbers(other.bandwidth), numbers(self.bandwidth), 2)


@final
class Laplace(BandwidthKernel):
    r"""The Laplace kernel.

    .. math:: k(x, y) = \exp\bigl(-\textstyle\sum_j |x_j - y_j| / h_j\bigr)

    Integrally strictly positive definite, with a kink at zero: more weight than the Gaussian on
    fast variation.

    Parameters
    ----------
    bandwidth : float, array_like of shape (d,), or BandwidthRule
        The length h in the units of the data, used as given. Default `MedianHeuristic()`.

    Raises
    ------
    OptionError
        When a bandwidth is not positive and finite.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> round(float(Laplace(2.0)(jnp.zeros(1), jnp.full(1, 2.0))), 4)
    0.3679
    """

    def __call__(self, x: Point, y: Point) -> Value:
        return exponential(-jnp.sum(jnp.abs(x - y) / numbers(self.bandwidth)))

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        return exponential(-column_sums(jnp.abs, x, y, numbers(self.bandwidth)))

    def power_of(self, other: Kernel) -> int | None:
        if not isinstance(other, Laplace):
            return None
        return _whole_ratio(numbers(other.bandwidth), numbers(self.bandwidth), 1)


@final
class InverseMultiquadric(DistanceKernel):
    r"""The inverse multiquadric kernel.

    .. math:: k(x, y) = \bigl(1 + \textstyle\sum_j (x_j - y_j)^2 / h_j^2\bigr)^{-\gamma}

    Integrally strictly positive definite, with polynomial tails: distant points still interact.

    Parameters
    ----------
    bandwidth : float, array_like of shape (d,), or BandwidthRule
        The length h in the units of the data, used as given. Default `MedianHeuristic()`.
    exponent : float
        gamma > 0. Default 0.5.

    Raises
    ------
    OptionError
        When a bandwidth or the exponent is not positive and finite.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> round(float(InverseMultiquadric(2.0)(jnp.zeros(1), jnp.full(1, 2.0))), 4)
    0.7071
    """

    exponent: Parameter = eqx.field(converter=partial(as_scalar, argument="exponent"), default=0.5)

    def __check_init__(self) -> None:
        check_positive(self.exponent, "exponent")

    def of_half_squares(self, half_squares: Float[Array, "..."]) -> Float[Array, "..."]:
        logarithm = jnp.log(1 - 2 * half_squares)
        return exponential(jnp.multiply(-as_parameter(self.exponent), logarithm))


def _whole_ratio(large: Numbers, small: Numbers, power: int) -> int | None:
    """Return (large / small)^power where it is one whole number, up to rounding."""
    ratios = np.ravel(np.asarray(large / small)) ** power
    whole = round(float(ratios[0]))
    close = np.abs(ratios - whole) <= RATIO_ERROR * ratios
    return whole if 1 <= whole <= LARGEST_POWER and close.all() else None
