"""A kernel of some of the columns."""

from collections.abc import Sequence
from typing import final

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from kcm._typing import Columns, Point, Value
from kcm.exceptions import OptionError
from kcm.kernels._parameters import as_positions
from kcm.kernels.base import Kernel, check_part

__all__ = ["Subspace"]


@final
class Subspace(Kernel):
    """A kernel that looks at some columns only.

    Parameters
    ----------
    kernel : Kernel
    columns : int or sequence of int
        Positions of the columns, from 0.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from kcm.kernels import Gaussian
    >>> kernel = Subspace(Gaussian(1.0), 1)
    >>> float(kernel(jnp.array([0.0, 5.0]), jnp.array([9.0, 5.0])))
    1.0
    """

    kernel: Kernel
    columns: tuple[int, ...] = eqx.field(static=True, converter=as_positions)

    def __check_init__(self) -> None:
        check_part(self.kernel, "a kernel of some columns")
        if not self.columns or min(self.columns) < 0:
            raise OptionError(
                f"`columns` must be one or more positions counted from 0; got {self.columns}."
            )

    def __call__(self, x: Point, y: Point) -> Value:
        chosen = np.asarray(self.columns)
        return self.kernel(x[chosen], y[chosen])

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        chosen = np.asarray(self.columns)
        return self.kernel.cross(x[:, chosen], y[:, chosen])

    @property
    def conditionally_positive(self) -> bool:
        return self.kernel.conditionally_positive

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        if max(self.columns) >= x.shape[1]:
            raise OptionError(
                f"`columns` {self.columns} reach beyond the {x.shape[1]} conditioning columns."
            )
        return Subspace(self.kernel.resolve(x[:, list(self.columns)]), self.columns)

    def describe(self, names: Sequence[str]) -> str:
        return self.kernel.describe([names[j] for j in self.columns])
