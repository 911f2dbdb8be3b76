"""The kernel of projections on all directions."""

from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from kcm._typing import Columns, Point, Value
from kcm.kernels._anchored import AnchoredKernel, counts

__all__ = ["Projection"]

# Of the polynomial for the angles, which is then exact to some 14 digits.
DEGREE = 22


def _arcsine_coefficients() -> list[float]:
    """Interpolate arcsin(sqrt(s)) / sqrt(s) in t = 4 s - 1 at the Chebyshev points of [-1, 1]."""

    def ratio(t: Any) -> Any:
        root = np.sqrt((t + 1) / 4)
        return np.arcsin(root) / root

    found = np.polynomial.chebyshev.chebinterpolate(ratio, DEGREE)
    return [float(number) for number in np.polynomial.chebyshev.cheb2poly(found)]


ARCSINE = _arcsine_coefficients()


@final
class Projection(AnchoredKernel):
    r"""The kernel of residuals cumulated along all directions.

    .. math:: k(x, y) = \frac1m \sum_{r=1}^m P\bigl(b'x \le b'z_r, \; b'y \le b'z_r\bigr)
        = \frac1m \sum_{r=1}^m \Bigl(\frac12 - \frac{\theta_r}{2 \pi}\Bigr),

    where z are the points of the sample, b has the uniform law on the unit sphere, and
    :math:`\theta_r` is the angle between x - z_r and y - z_r; a term is 1/2 where exactly one of
    the two is zero, and 1 where both are. `Orthant` compares along the axes, which leaves few
    points comparable in many columns; here every direction counts, and there is still no bandwidth.
    With ``statistic="V"`` the statistic is that of Escanciano, divided by :math:`2 \pi` and his
    constant, on which no p-value depends.

    A rotation of the columns changes nothing, but their units do: divide them by their standard
    deviations where they have different ones.

    Parameters
    ----------
    points : array_like of shape (m, d), optional
        z. Default: the points of the sample, which `resolve` stores.

    Raises
    ------
    DataError
        When `points` holds missing or infinite values.
    OptionError
        When `resolve` meets another number of columns.

    Notes
    -----
    One column takes O(1) a value, from ranks; several take m angles a value, hence O(n^3) a test,
    in the memory of one tile: on one processor core some 5 seconds for 500 observations, 30 for
    1,000. The points travel with the result of a test: 8 m d bytes.

    References
    ----------
    Escanciano (2006), A consistent diagnostic test for regression models using projections,
    Econometric Theory 22.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> kernel = Projection([[0.0, 0.0]])
    >>> float(kernel(jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])))
    0.25
    """

    def __call__(self, x: Point, y: Point) -> Value:
        anchors, n_points = self.known(x)
        return _sum_of_shares(anchors, n_points, x[None], y[None])[0, 0] / n_points

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        anchors, n_points = self.known(x)
        if x.shape[1] > 1:
            return _sum_of_shares(anchors, n_points, x, y) / n_points
        below, upto = (
            [counts(anchors, points, side).astype(x.dtype) for points in (x, y)]
            for side in ("left", "right")
        )
        between = jnp.maximum(below[0][:, None], below[1][None])
        between -= jnp.minimum(upto[0][:, None], upto[1][None])
        return (n_points - between) / (2 * n_points)


@jax.jit
def _sum_of_shares(
    anchors: Float[Array, "r d"], n_points: Float[Array, ""], x: Columns, y: Float[Array, "m d"]
) -> Float[Array, "n m"]:
    """Return the sum over the anchors of the shares of directions, in the memory of the result."""
    # one column is sorted, so that the rows that fill up come first
    first = len(anchors) - n_points.astype(jnp.int32) if x.shape[1] == 1 else 0

    def add(step: Array, total: Float[Array, "n m"]) -> Float[Array, "n m"]:
        anchor = anchors[first + step][None]
        return total + _shares(x - anchor, y - anchor)

    zero = jnp.zeros((len(x), len(y)), x.dtype)
    return lax.fori_loop(0, n_points.astype(jnp.int32), add, zero)


def _shares(x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """Return the share of directions b with b'x <= 0 and b'y <= 0."""
    (u, x_is_zero), (v, y_is_zero) = _units(x), _units(y)
    either = x_is_zero[:, None] | y_is_zero[None]
    both = x_is_zero[:, None] & y_is_zero[None]
    angle = jnp.where(either, 0, _angles(u, v))
    return (1 + both.astype(x.dtype)) / 2 - angle / (2 * np.pi)


def _units(x: Columns) -> tuple[Columns, Bool[Array, " n"]]:
    """Return vectors divided by their lengths, and which of them are zero."""
    largest = jnp.max(jnp.abs(x), axis=1, keepdims=True)
    scaled = x / jnp.where(largest > 0, largest, 1)
    norm = jnp.sqrt(jnp.sum(scaled**2, axis=1, keepdims=True))
    return scaled / jnp.where(largest > 0, norm, 1), largest[:, 0] == 0


def _angles(u: Columns, v: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """Return the angles between unit vectors, exact also where they are close to 0 or pi.

    The arc cosine of an inner product would lose half of the digits there.
    """
    apart, along = jnp.zeros((2, len(u), len(v)), u.dtype)
    for a, b in zip(u.T, v.T, strict=True):
        apart += (a[:, None] - b[None]) ** 2
        along += (a[:, None] + b[None]) ** 2
    half = _arcsine_of_root(jnp.minimum(apart, along) / 4)
    return jnp.where(apart <= along, 2 * half, np.pi - 2 * half)


def _arcsine_of_root(square: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return arcsin(sqrt(s)) for 0 <= s <= 1/2 to full accuracy, by additions and products.

    XLA's own inverse functions take ten times as long on processors.
    """
    t, value = 4 * square - 1, jnp.zeros_like(square)
    for coefficient in ARCSINE[::-1]:
        value = value * t + coefficient
    return value * jnp.sqrt(square)
