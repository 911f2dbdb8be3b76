"""The kernel of the integrated conditional moment test."""

import dataclasses
from functools import partial
from typing import Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kcm._options import check_option
from kcm._typing import Columns, Point, Value
from kcm._variation import units_of
from kcm.exceptions import OptionError
from kcm.kernels._distances import half_squares, squared_distance
from kcm.kernels._exponential import exponential
from kcm.kernels._parameters import (
    Numbers,
    Parameter,
    as_optional,
    as_parameter,
    as_scalar,
    check_positive,
)
from kcm.kernels._scaled import MatrixDistances
from kcm.kernels.bandwidth import sample_deviations
from kcm.kernels.base import Kernel

__all__ = ["ICM"]


@final
class ICM(MatrixDistances):
    r"""The kernel of Bierens' integrated conditional moment test.

    .. math:: k(x, y) = \int \cos(t'd) \, \mathrm d \mu(t), \qquad d = \Phi(x) - \Phi(y),

    psi is correlated with all sines and cosines of Phi(x), whose frequencies t have
    the law mu. With mu uniform on :math:`[-c, c]^d`, and with mu normal of standard deviation s,

    .. math:: k = \prod_j \frac{\sin(c\, d_j)}{c\, d_j}, \qquad k = \exp(-s^2 |d|^2 / 2).

    Phi divides each column by its standard deviation, or takes besides the arc tangent of the
    standardised column, which bounds it: a far point then has no weight of its own. With
    ``statistic="V"`` the statistic is psi'K psi / n. The larger `spread` is, the faster the
    departures that are looked for; the normal weights are the `Gaussian` kernel at the bandwidth
    sd / s.

    Parameters
    ----------
    weight : {"uniform", "gaussian"}
        mu. Default "uniform".
    spread : float
        c or s, in radians a standard deviation of the column. Default 1.
    transform : {"identity", "arctan"}
        Phi. Default "identity".
    location, scale : float or array_like of shape (d,), optional
        What columns are standardised by. Default: the mean and the sample standard deviation
        (divisor n - 1), which `resolve` fixes. Without the arc tangent `location` has no effect.

    Raises
    ------
    OptionError
        When an argument is outside its range.
    DataError
        When `resolve` meets a column that does not vary.

    References
    ----------
    Bierens (1982), Consistent model specification tests, Journal of Econometrics 20. Bierens and
    Ploberger (1997), Asymptotic theory of integrated conditional moment tests, Econometrica 65.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> kernel = ICM(spread=2.0, location=0.0, scale=1.0)
    >>> round(float(kernel(jnp.zeros(1), jnp.full(1, 0.5))), 4)
    0.8415
    """

    weight: Literal["uniform", "gaussian"] = eqx.field(static=True, default="uniform")
    spread: Parameter = eqx.field(converter=partial(as_scalar, argument="spread"), default=1.0)
    transform: Literal["identity", "arctan"] = eqx.field(static=True, default="identity")
    location: Parameter | None = eqx.field(
        converter=partial(as_optional, argument="location"), default=None
    )
    scale: Parameter | None = eqx.field(
        converter=partial(as_optional, argument="scale"), default=None
    )

    def __check_init__(self) -> None:
        check_option(self.weight, ("uniform", "gaussian"), "weight")
        check_option(self.transform, ("identity", "arctan"), "transform")
        check_positive(self.spread, "spread")
        if self.scale is not None:
            check_positive(self.scale, "scale")

    def __call__(self, x: Point, y: Point) -> Value:
        u, v, unit = self._moved(x), self._moved(y), self._unit()
        if self.weight == "gaussian":
            return exponential(-squared_distance(u, v, unit) / 2)
        return jnp.prod(_sinc((u - v) / unit))

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        if self.weight == "uniform":
            return Kernel.cross(self, x, y)
        u, v = jax.vmap(self._moved)(x), jax.vmap(self._moved)(y)
        how = self._by_differences
        return exponential(half_squares(u, v, self._unit(), by_differences=how))

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        for name in ("location", "scale"):
            _check_length(getattr(self, name), name, x.shape[1])
        location = _means(x) if self.location is None else self.location
        scale = sample_deviations(x) if self.scale is None else self.scale
        resolved = dataclasses.replace(self, location=location, scale=scale)
        if self.transform != "identity":
            return resolved
        return self._with_digits(resolved, x, resolved._unit())

    def _moved(self, x: Point) -> Point:
        """Return Phi(x), in the units of x where it only divides."""
        if self.transform == "identity":
            return x
        return jnp.arctan((x - self._known(self.location)) / self._known(self.scale))

    def _unit(self) -> Numbers:
        """Return the length of 1 radian."""
        length = self._known(self.scale) if self.transform == "identity" else 1.0
        return as_parameter(length / as_parameter(self.spread))

    def _known(self, value: Parameter | None) -> Numbers:
        if value is None:
            raise OptionError(f"{self!r} has not met any data; call `kernel.resolve(X)` first.")
        return as_parameter(value)


def _means(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
    unit = units_of(x)
    return unit * np.mean(x / unit, axis=0)


def _sinc(t: Float[Array, " d"]) -> Float[Array, " d"]:
    return jnp.sinc(t / np.pi)


def _check_length(value: Parameter | None, argument: str, n_columns: int) -> None:
    if value is not None and (np.ndim(value) > 1 or np.size(value) not in (1, n_columns)):
        raise OptionError(
            f"`{argument}` has {np.size(value)} entries for {n_columns} conditioning columns; "
            "pass one number, or one per column."
        )
