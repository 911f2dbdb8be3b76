"""A kernel of linear combinations of the columns."""

from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kcm._arrays import as_float_columns
from kcm._typing import Columns, Point, Value
from kcm.exceptions import OptionError
from kcm.kernels._parameters import Numbers
from kcm.kernels._words import listed_columns
from kcm.kernels.base import Kernel
from kcm.kernels.stationary import Gaussian

__all__ = ["LinearIndex"]


def _as_weights(value: Any) -> Numbers:
    """Return one row of weights per linear combination; arrays of JAX pass."""
    if isinstance(value, jax.Array):
        return value
    rows = as_float_columns(np.atleast_2d(np.asarray(value)), "weights").copy()
    if not len(rows) or not rows.any(axis=1).all():
        raise OptionError("`weights` must be one or more rows that are not zero.")
    rows.flags.writeable = False
    return rows


@final
class LinearIndex(Kernel):
    r"""A kernel of linear combinations of the columns, such as the index of a regression.

    .. math:: k(x, y) = k_0(Bx, By)

    With one row of weights b it looks for departures that are functions of b'x, and compares as
    many pairs as in one column, however many there are. With the weights at the estimate of a
    regression it is the omnibus relative of the RESET test; the adaptive test takes it from eight
    conditioning columns on.

    Parameters
    ----------
    weights : array_like of shape (d,) or (m, d)
        B, the weights of each column, in the inverse of its units. Only their directions matter
        where the kernel has a rule for its bandwidth.
    kernel : Kernel
        k_0, of m columns. Default ``Gaussian()``, with the median heuristic on the index.

    Raises
    ------
    OptionError
        When a row of weights is zero, or `resolve` meets another number of columns.
    DataError
        When `weights` are not finite numbers.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> kernel = LinearIndex([1.0, -1.0], Gaussian(2.0))
    >>> round(float(kernel(jnp.array([3.0, 1.0]), jnp.zeros(2))), 4)
    0.6065
    """

    weights: Numbers = eqx.field(converter=_as_weights)
    kernel: Kernel = eqx.field(default_factory=Gaussian)

    def __repr__(self) -> str:
        m, d = self.weights.shape
        rows = "" if m == 1 else f"{m} rows of "
        return f"LinearIndex(<{rows}{d} weights>, {self.kernel!r})"

    def __call__(self, x: Point, y: Point) -> Value:
        weights = jnp.asarray(self.weights, x.dtype)
        return self.kernel(weights @ x, weights @ y)

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        return self.kernel.cross(self._index(x), self._index(y))

    @property
    def conditionally_positive(self) -> bool:
        return self.kernel.conditionally_positive

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        if self.weights.shape[1] != x.shape[1]:
            raise OptionError(
                f"`weights` has {self.weights.shape[1]} entries for {x.shape[1]} conditioning "
                "columns; pass one per column."
            )
        return LinearIndex(self.weights, self.kernel.resolve(x @ np.asarray(self.weights).T))

    def _index(self, x: Columns) -> Float[Array, "n k"]:
        return x @ jnp.asarray(self.weights, x.dtype).T

    def describe(self, names: Sequence[str]) -> str:
        n_rows = len(self.weights)
        numbers = [""] if n_rows == 1 else [f" {k}" for k in range(1, n_rows + 1)]
        return self.kernel.describe([f"index{k} of {listed_columns(names)}" for k in numbers])
