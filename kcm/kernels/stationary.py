"""Kernels of the distance between two points."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kcm._typing import Columns, Point, Value
from kcm.kernels._distances import half_squares, squared_distance
from kcm.kernels._parameters import Numbers, Parameter, as_parameter, as_scalar, check_positive
from kcm.kernels.bandwidth import (
    Bandwidth,
    MedianHeuristic,
    as_bandwidth,
    check_bandwidth,
    numbers,
    resolve_bandwidth,
)
from kcm.kernels.base import Kernel

__all__ = ["Gaussian", "InverseMultiquadric", "Laplace"]

# A power's rounding grows with its exponent.
LARGEST_POWER = 64
RATIO_ERROR = 1e-14


@final
class Gaussian(Kernel):
    r"""The Gaussian kernel.

    .. math:: k(x, y) = \exp\bigl(-\tfrac12 \textstyle\sum_j (x_j - y_j)^2 / h_j^2\bigr)

    Integrally strictly positive definite, smooth: the default of the library.

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

    bandwidth: Bandwidth = eqx.field(converter=as_bandwidth, default_factory=MedianHeuristic)

    def __check_init__(self) -> None:
        check_bandwidth(self.bandwidth)

    def __call__(self, x: Point, y: Point) -> Value:
        return jnp.exp(-squared_distance(x, y, numbers(self.bandwidth)) / 2)

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        return jnp.exp(half_squares(x, y, numbers(self.bandwidth)))

    def power_of(self, other: Kernel) -> int | None:
        if not isinstance(other, Gaussian):
            return None
        return _whole_ratio(numbers(other.bandwidth), numbers(self.bandwidth), 2)

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        return Gaussian(resolve_bandwidth(self.bandwidth, x))


@final
class Laplace(Kernel):
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

    bandwidth: Bandwidth = eqx.field(converter=as_bandwidth, default_factory=MedianHeuristic)

    def __check_init__(self) -> None:
        check_bandwidth(self.bandwidth)

    def __call__(self, x: Point, y: Point) -> Value:
        return jnp.exp(-jnp.sum(jnp.abs(x - y) / numbers(self.bandwidth)))

    def power_of(self, other: Kernel) -> int | None:
        if not isinstance(other, Laplace):
            return None
        return _whole_ratio(numbers(other.bandwidth), numbers(self.bandwidth), 1)

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        return Laplace(resolve_bandwidth(self.bandwidth, x))


@final
class InverseMultiquadric(Kernel):
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

    bandwidth: Bandwidth = eqx.field(converter=as_bandwidth, default_factory=MedianHeuristic)
    exponent: Parameter = eqx.field(converter=as_scalar, default=0.5)

    def __check_init__(self) -> None:
        check_bandwidth(self.bandwidth)
        check_positive(self.exponent, "exponent")

    def __call__(self, x: Point, y: Point) -> Value:
        return (1 + squared_distance(x, y, numbers(self.bandwidth))) ** -as_parameter(self.exponent)

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        squares = -2 * half_squares(x, y, numbers(self.bandwidth))
        return (1 + squares) ** -as_parameter(self.exponent)

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        return InverseMultiquadric(resolve_bandwidth(self.bandwidth, x), self.exponent)


def _whole_ratio(large: Numbers, small: Numbers, power: int) -> int | None:
    """Return (large / small)^power where it is one whole number, up to rounding."""
    ratios = np.ravel(np.asarray(large / small)) ** power
    whole = round(float(ratios[0]))
    close = np.abs(ratios - whole) <= RATIO_ERROR * ratios
    return whole if 1 <= whole <= LARGEST_POWER and close.all() else None
