"""The energy kernel."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from kcm._typing import Columns, Point, Value
from kcm.exceptions import OptionError
from kcm.kernels._distances import column_sums, safe_root, squared_distance
from kcm.kernels._scaled import BandwidthKernel
from kcm.kernels.bandwidth import numbers

__all__ = ["Energy"]


@final
class Energy(BandwidthKernel):
    r"""The energy kernel, minus a power of the distance.

    .. math:: k(x, y) = -\bigl(\textstyle\sum_j (x_j - y_j)^2 / h_j^2\bigr)^{\beta / 2}

    Free of a scale: another h in all columns multiplies the statistic and leaves the p-value as it
    is, so in one column there is nothing to choose. With it the squared maximum moment restriction
    is the martingale difference divergence, which is zero only where E[psi | X] is constant. Take
    it where departures may have any length, with residuals that sum to zero.

    Positive semi-definite only on weights that sum to zero (`conditionally_positive`). A test takes
    it where the equations that estimated theta make the residuals and each of their multiplier
    draws do so, as least squares and canonical generalised linear models with a constant do, and
    refuses it otherwise. It has no low-rank factor, serves no estimation, and enters no product.

    Parameters
    ----------
    bandwidth : float, array_like of shape (d,), or BandwidthRule
        The lengths h, which weigh the columns against each other. Default `MedianHeuristic()`,
        whose result does not depend on the units of the columns; 1.0 is the plain distance.
    exponent : float
        beta, strictly between 0 and 2. Default 1.

    Raises
    ------
    OptionError
        When a bandwidth is not positive and finite, or `exponent` is not between 0 and 2.

    Notes
    -----
    The U statistic equals (n / (n - 1) times) the V statistic, because k(x, x) = 0.

    References
    ----------
    Shao and Zhang (2014), Martingale difference correlation and its use in high-dimensional
    variable screening, Journal of the American Statistical Association 109. Sejdinovic,
    Sriperumbudur, Gretton and Fukumizu (2013), Equivalence of distance-based and RKHS-based
    statistics in hypothesis testing, Annals of Statistics 41.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> float(Energy(1.0)(jnp.array([0.0, 0.0]), jnp.array([3.0, 4.0])))
    -5.0
    """

    exponent: float | int = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        if isinstance(self.exponent, bool) or not isinstance(self.exponent, float | int):
            raise OptionError(f"`exponent` must be a number; got {self.exponent!r}.")
        if not 0 < self.exponent < 2:
            raise OptionError(
                f"`exponent` must lie strictly between 0 and 2; got {self.exponent}. With an "
                "exponent of 2 only linear departures are seen: use kcm.kernels.Linear()."
            )

    def __call__(self, x: Point, y: Point) -> Value:
        squares = squared_distance(x, y, numbers(self.bandwidth))
        return -safe_root(squares, self.exponent / 2)

    # The root of a square that a product gives is off by the root of its rounding.
    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        squares = column_sums(jnp.square, x, y, numbers(self.bandwidth))
        return -safe_root(squares, self.exponent / 2)

    @property
    def conditionally_positive(self) -> bool:
        return True
