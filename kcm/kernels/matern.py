"""The Matern kernels."""

from numbers import Real
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from kcm._typing import Columns
from kcm.exceptions import OptionError
from kcm.kernels._distances import column_sums, safe_root
from kcm.kernels._exponential import exponential
from kcm.kernels._scaled import DistanceKernel
from kcm.kernels.bandwidth import numbers

__all__ = ["Matern"]

SMOOTHNESS = (0.5, 1.5, 2.5)


@final
class Matern(DistanceKernel):
    r"""The Matern kernel of smoothness 1/2, 3/2 or 5/2.

    .. math:: k = e^{-r}, \qquad k = (1 + \sqrt3 r) e^{-\sqrt3 r}, \qquad
        k = (1 + \sqrt5 r + \tfrac53 r^2) e^{-\sqrt5 r},

    for nu = 0.5, 1.5, 2.5, with :math:`r^2 = \sum_j (x_j - y_j)^2 / h_j^2`. Integrally strictly
    positive definite; between `Laplace` (rough) and `Gaussian` (nu to infinity) in the weight on
    fast variation. Take it where the Gaussian seems too smooth. In one column nu = 0.5 is the
    Laplace kernel; in several it depends on the Euclidean distance.

    Parameters
    ----------
    bandwidth : float, array_like of shape (d,), or BandwidthRule
        The length h in the units of the data, used as given. Default `MedianHeuristic()`.
    nu : {0.5, 1.5, 2.5}
        Smoothness. Default 1.5.

    Raises
    ------
    OptionError
        When a bandwidth is not positive and finite, or `nu` is not one of the three.

    References
    ----------
    Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, section 4.2.1.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> round(float(Matern(2.0, nu=1.5)(jnp.zeros(1), jnp.full(1, 2.0))), 4)
    0.4834
    """

    nu: float = eqx.field(static=True, default=1.5)

    def __check_init__(self) -> None:
        if not isinstance(self.nu, Real) or self.nu not in SMOOTHNESS:
            raise OptionError(f"`nu` must be 0.5, 1.5 or 2.5; got {self.nu!r}.")

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        if self.nu != SMOOTHNESS[0]:
            return super().cross(x, y)
        # the root of a square that is rounded is off by the root of the rounding: pairs of equal
        # points would lose half of the digits
        squares = column_sums(jnp.square, x, y, numbers(self.bandwidth))
        return self.of_half_squares(-squares / 2)

    def of_half_squares(self, half_squares: Float[Array, "..."]) -> Float[Array, "..."]:
        squares = -4 * self.nu * half_squares
        r = safe_root(squares)
        if self.nu == SMOOTHNESS[0]:
            return exponential(-r)
        if self.nu == SMOOTHNESS[1]:
            return (1 + r) * exponential(-r)
        return (1 + r + squares / 3) * exponential(-r)
