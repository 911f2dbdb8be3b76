"""The linear kernel."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kcm._typing import Columns, Point, Value
from kcm.kernels._scaled import BandwidthKernel
from kcm.kernels.bandwidth import Bandwidth, as_bandwidth, numbers

__all__ = ["Linear"]


@final
class Linear(BandwidthKernel):
    r"""The linear kernel.

    .. math:: k(x, y) = \textstyle\sum_j x_j y_j / h_j^2

    Not integrally strictly positive definite: ``1.0 + Linear()`` sees the moments E[psi] and
    E[psi x_j] and nothing else. With it minimum-MMR estimation is two-stage least squares where
    the parameters are just identified. Centre columns that lie far from zero: their products leave
    few digits for what varies.

    Parameters
    ----------
    bandwidth : float, array_like of shape (d,), or BandwidthRule
        The length h in the units of the data. Default 1.

    Raises
    ------
    OptionError
        When a bandwidth is not positive and finite.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> float((1.0 + Linear())(jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0])))
    12.0
    """

    bandwidth: Bandwidth = eqx.field(converter=as_bandwidth, default=1.0)

    def __call__(self, x: Point, y: Point) -> Value:
        h = numbers(self.bandwidth)
        return jnp.sum((x / h) * (y / h))

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        h = numbers(self.bandwidth)
        a, b = (jax.vmap(lambda point: point / h)(points) for points in (x, y))
        return a @ b.T
