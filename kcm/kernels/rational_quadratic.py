"""The rational quadratic kernel."""

from functools import partial
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from kcm.kernels._exponential import exponential
from kcm.kernels._parameters import Parameter, as_parameter, as_scalar, check_positive
from kcm.kernels._scaled import DistanceKernel

__all__ = ["RationalQuadratic"]


@final
class RationalQuadratic(DistanceKernel):
    r"""The rational quadratic kernel.

    .. math:: k(x, y) = \bigl(1 + \tfrac{1}{2\alpha}
        \textstyle\sum_j (x_j - y_j)^2 / h_j^2\bigr)^{-\alpha}

    A mixture of Gaussians of many bandwidths around h, the wider the smaller alpha is; the Gaussian
    for alpha to infinity. Integrally strictly positive definite. Take it where departures may be
    fast in one region and slow in another. `InverseMultiquadric` is the same family with another
    length: h there is sqrt(2 alpha) h here.

    Parameters
    ----------
    bandwidth : float, array_like of shape (d,), or BandwidthRule
        The length h in the units of the data, used as given. Default `MedianHeuristic()`.
    alpha : float
        Positive. Default 1.

    Raises
    ------
    OptionError
        When a bandwidth or `alpha` is not positive and finite.

    References
    ----------
    Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, section 4.2.1.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> round(float(RationalQuadratic(2.0, alpha=1.0)(jnp.zeros(1), jnp.full(1, 2.0))), 4)
    0.6667
    """

    alpha: Parameter = eqx.field(converter=partial(as_scalar, argument="alpha"), default=1.0)

    def __check_init__(self) -> None:
        check_positive(self.alpha, "alpha")

    def of_half_squares(self, half_squares: Float[Array, "..."]) -> Float[Array, "..."]:
        alpha = as_parameter(self.alpha)
        return exponential(jnp.multiply(-alpha, jnp.log(1 - half_squares / alpha)))
