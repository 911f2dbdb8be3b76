"""The kernel of smooth specification tests."""

from typing import Literal, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kcm._options import check_option
from kcm._typing import Columns, Point, Value
from kcm.kernels._distances import half_squares
from kcm.kernels._exponential import exponential
from kcm.kernels._scaled import BandwidthKernel, MatrixDistances, with_lengths
from kcm.kernels._shapes import SHAPES, density
from kcm.kernels.bandwidth import Bandwidth, RuleOfThumb, as_bandwidth, numbers, resolve_bandwidth
from kcm.kernels.base import Kernel

__all__ = ["Smooth"]


@final
class Smooth(MatrixDistances, BandwidthKernel):
    r"""The kernel of smooth tests, a product of densities with a bandwidth that shrinks.

    .. math:: k(x, y) = \prod_j f\bigl((x_j - y_j) / h_j\bigr),

    f a density of mean zero and variance one. It is not divided by the bandwidths, which no p-value
    depends on. With ``statistic="U"`` (the default: no terms i = j) the statistic is that of Zheng,
    of Fan and Li, and of Li and Wang, which estimates E[psi E(psi | X) p(X)], p the density of X,
    up to a factor.

    Take it where departures may be narrow, with few columns: fewer and fewer pairs are compared as
    the sample grows. Against departures of a fixed form kernels with a fixed bandwidth have more
    power; in many columns take `SmoothICM`.

    Parameters
    ----------
    bandwidth : float, array_like of shape (d,), or BandwidthRule
        The lengths h in the units of the data, used as given. Default `RuleOfThumb()`, sd times
        n^(-1/(4+d)).
    shape : {"gaussian", "laplace", "triangular"}
        f: normal, ``exp(-sqrt(2) |t|) / sqrt(2)``, or ``max(1 - |t| / sqrt(6), 0) / sqrt(6)``. All
        have positive Fourier transforms, so that the kernel is positive semi-definite. Default
        "gaussian".

    Raises
    ------
    OptionError
        When a bandwidth is not positive and finite, or `shape` is not one of the three.

    References
    ----------
    Zheng (1996), A consistent test of functional form via nonparametric estimation techniques,
    Journal of Econometrics 75. Fan and Li (1996), Consistent model specification tests,
    Econometrica 64. Li and Wang (1998), A simple consistent bootstrap test for a parametric
    regression function, Journal of Econometrics 87.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> round(float(Smooth(0.5)(jnp.zeros(1), jnp.full(1, 0.5))), 4)
    0.242
    """

    bandwidth: Bandwidth = eqx.field(converter=as_bandwidth, default_factory=RuleOfThumb)
    shape: Literal["gaussian", "laplace", "triangular"] = eqx.field(static=True, default="gaussian")

    def __check_init__(self) -> None:
        check_option(self.shape, tuple(SHAPES), "shape")

    def __call__(self, x: Point, y: Point) -> Value:
        return jnp.prod(density(self.shape, (x - y) / numbers(self.bandwidth)))

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        if self.shape != "gaussian":
            return Kernel.cross(self, x, y)
        peak = density("gaussian", jnp.zeros((), x.dtype)) ** x.shape[1]
        bandwidth, how = numbers(self.bandwidth), self._by_differences
        return peak * exponential(half_squares(x, y, bandwidth, by_differences=how))

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        bandwidth = resolve_bandwidth(self.bandwidth, x)
        return self._with_digits(with_lengths(self, bandwidth), x, bandwidth)
