"""A kernel of one column, summed over the columns."""

import dataclasses
from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kcm._typing import Columns, Point, Value
from kcm.exceptions import OptionError
from kcm.kernels._distances import over_columns
from kcm.kernels._parameters import Numbers
from kcm.kernels._scaled import BandwidthKernel, everywhere_by_differences
from kcm.kernels.bandwidth import BandwidthRule, numbers, resolve_bandwidth
from kcm.kernels.base import Kernel
from kcm.kernels.stationary import Gaussian

__all__ = ["Additive"]


@final
class Additive(Kernel):
    r"""The sum over the columns of a kernel of one column.

    .. math:: k(x, y) = \textstyle\sum_j k_1(x_j, y_j)

    It looks for departures that are sums of functions of one column each. In many columns a
    kernel of all of them compares hardly any pairs, and this one compares as many as in one; it is
    blind to interactions that no column shows by itself.

    Parameters
    ----------
    kernel : Kernel with a bandwidth
        k_1: `Gaussian`, `Laplace`, `Matern` and others that take a `bandwidth`. Numbers are used
        as given, one or one per column; a rule finds the bandwidth of each column by itself.
        Default ``Gaussian()``, with the median heuristic column by column.

    Raises
    ------
    OptionError
        When `kernel` takes no bandwidth, or `resolve` meets another number of columns.

    Notes
    -----
    A value takes as many evaluations of k_1 as there are columns.

    References
    ----------
    Duvenaud, Nickisch and Rasmussen (2011), Additive Gaussian processes, NeurIPS.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> kernel = Additive(Gaussian([1.0, 2.0]))
    >>> round(float(kernel(jnp.zeros(2), jnp.array([1.0, 2.0]))), 4)
    1.2131
    """

    kernel: BandwidthKernel = eqx.field(default_factory=Gaussian)

    def __check_init__(self) -> None:
        if not isinstance(self.kernel, BandwidthKernel):
            raise OptionError(
                "`kernel` must be a kernel with a bandwidth, such as kcm.kernels.Gaussian() or "
                f"kcm.kernels.Laplace(); got {self.kernel!r}."
            )

    def __call__(self, x: Point, y: Point) -> Value:
        def of_one(a: Value, b: Value, length: Value) -> Value:
            return _with_bandwidth(self.kernel, length)(a[None], b[None])

        return jnp.sum(jax.vmap(of_one)(x, y, self._lengths(x)))

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        """Return all values in the memory of one column's."""
        return _sums(self.kernel, x, y, self._lengths(x))

    @property
    def conditionally_positive(self) -> bool:
        return self.kernel.conditionally_positive

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        rule = self.kernel.bandwidth
        lengths = (
            np.concatenate([rule(column[:, None]) for column in x.T])
            if isinstance(rule, BandwidthRule)
            else resolve_bandwidth(rule, x)
        )
        # what else the kernel finds, it finds on one column
        of_one: Any = _with_bandwidth(self.kernel, np.ravel(lengths)[:1]).resolve(x[:, :1])
        return Additive(_with_bandwidth(of_one, lengths))

    def describe(self, names: Sequence[str]) -> str:
        return f"sum of one-column kernels, {self.kernel.describe(names)}"

    def _lengths(self, like: Float[Array, "..."]) -> Float[Array, " d"]:
        lengths = jnp.asarray(numbers(self.kernel.bandwidth), like.dtype)
        return jnp.broadcast_to(lengths, like.shape[-1:])


@eqx.filter_jit
def _sums(
    kernel: BandwidthKernel, x: Columns, y: Float[Array, "m d"], lengths: Float[Array, " d"]
) -> Float[Array, "n m"]:
    """Add the values of one column after the other.

    By differences, which keep the digits of far points: in one column a product of matrices is not
    faster.
    """

    def of_one(a: Array, b: Array, length: Array) -> Array:
        one = everywhere_by_differences(_with_bandwidth(kernel, length))
        return one.cross(a[:, None], b[:, None])

    return over_columns(of_one, x, y, lengths)


def _with_bandwidth(kernel: BandwidthKernel, bandwidth: Numbers) -> BandwidthKernel:
    return dataclasses.replace(kernel, bandwidth=bandwidth)
