"""The orthant kernel."""

from functools import reduce
from operator import and_
from typing import final

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from kcm._typing import Columns, Point, Value
from kcm.kernels._anchored import CHUNK, AnchoredKernel, counts, in_order

__all__ = ["Orthant"]


@final
class Orthant(AnchoredKernel):
    r"""The kernel of cumulated residuals: how many points of the sample lie above both points.

    .. math:: k(x, y) = \frac1m \sum_{r=1}^m 1\{x \le z_r\} \, 1\{y \le z_r\},

    where z are the points of the sample and an inequality holds in every column. With
    ``statistic="V"`` the statistic is the Cramer-von Mises functional of the residual marked
    process, :math:`n^{-2} \sum_r (\sum_i \psi_i 1\{x_i \le z_r\})^2`, of Stute, of Delgado, and of
    Dominguez and Lobato.

    No bandwidth, and only the order of the values counts: a monotone transformation of a column
    changes nothing. Take it for few columns; in many, few points are comparable. It reads numbers
    in their order, so it is no kernel for categories without one.

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
    One column takes O(1) a value, from ranks; several take O(m d), by products of matrices of zeros
    and ones, hence O(n^3) a test, in the memory of one tile. The points travel with the result of a
    test: 8 m d bytes.

    References
    ----------
    Stute (1997), Nonparametric model checks for regression, Annals of Statistics 25. Delgado
    (1993), Testing the equality of nonparametric regression curves, Statistics and Probability
    Letters 17. Dominguez and Lobato (2004), Consistent estimation of models defined by conditional
    moment restrictions, Econometrica 72.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> kernel = Orthant([1.0, 2.0, 3.0, 4.0])
    >>> float(kernel(jnp.array([2.0]), jnp.array([3.0])))
    0.5
    """

    def __call__(self, x: Point, y: Point) -> Value:
        anchors, n_points = self.known(x)
        return _n_above(anchors, x[None], y[None])[0, 0] / n_points

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        anchors, n_points = self.known(x)
        if x.shape[1] > 1:
            return _n_above(anchors, x, y) / n_points
        above = [len(anchors) - counts(anchors, p, "left").astype(x.dtype) for p in (x, y)]
        return jnp.minimum(above[0][:, None], above[1][None]) / n_points


@jax.jit
def _n_above(
    anchors: Float[Array, "r d"], x: Columns, y: Float[Array, "m d"]
) -> Float[Array, "n m"]:
    """Return how many anchors lie above both points, in the memory of a few of the anchors."""
    chunks = anchors.reshape(-1, CHUNK, anchors.shape[1])

    def add(total: Float[Array, "n m"], z: Float[Array, "c d"]) -> tuple[Float[Array, "n m"], None]:
        return total + _below(x, z) @ _below(y, z).T, None

    return lax.scan(add, jnp.zeros((len(x), len(y)), x.dtype), chunks)[0]


def _below(x: Columns, anchors: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """Return 1 where a point is at most an anchor in every column, and 0 elsewhere."""
    pairs = zip(in_order(x).T, in_order(anchors).T, strict=True)
    return reduce(and_, (a[:, None] <= b[None] for a, b in pairs)).astype(x.dtype)
