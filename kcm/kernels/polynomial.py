"""The polynomial kernel."""

from functools import partial
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from kcm._options import check_int
from kcm._typing import Columns, Point, Value
from kcm.kernels._parameters import Parameter, as_parameter, as_scalar, check_positive
from kcm.kernels.base import Kernel

__all__ = ["Polynomial"]


@final
class Polynomial(Kernel):
    r"""The polynomial kernel.

    .. math:: k(x, y) = (a \, x'y + c)^m

    with scale a, intercept c and degree m. Not integrally strictly positive definite: it sees the
    moments of psi with the monomials of x up to degree m (of degree m alone where c = 0), nothing
    else. Take it for a test against polynomial departures of that degree; a `Gaussian` finds all.
    Centre columns that lie far from zero, and bring them to unit scale: powers grow fast.

    Parameters
    ----------
    degree : int
        m, at least 1. Default 2.
    scale : float
        a, positive, in the units of 1/x^2. Default 1.
    intercept : float
        c, not negative. Default 1.

    Raises
    ------
    OptionError
        When an argument is outside its range.

    Notes
    -----
    ``Polynomial(1, a, c)`` is ``a * Linear() + c``. In scikit-learn a is `gamma`, c `coef0`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> float(Polynomial(2)(jnp.array([1.0, 2.0]), jnp.array([3.0, 0.5])))
    25.0
    """

    degree: int = eqx.field(static=True, default=2)
    scale: Parameter = eqx.field(converter=partial(as_scalar, argument="scale"), default=1.0)
    intercept: Parameter = eqx.field(
        converter=partial(as_scalar, argument="intercept"), default=1.0
    )

    def __check_init__(self) -> None:
        check_int(self.degree, "degree")
        check_positive(self.scale, "scale")
        check_positive(self.intercept, "intercept", allow_zero=True)

    def __call__(self, x: Point, y: Point) -> Value:
        return self._of(jnp.sum(x * y))

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        return self._of(x @ y.T)

    def _of(self, products: Float[Array, "..."]) -> Float[Array, "..."]:
        scale, intercept = as_parameter(self.scale), as_parameter(self.intercept)
        return (products * scale + intercept) ** self.degree
