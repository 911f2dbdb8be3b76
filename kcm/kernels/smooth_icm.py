"""The kernel of the smooth integrated conditional moment test."""

from typing import Any, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from kcm._options import check_int, check_option
from kcm._typing import Columns, Point, Value
from kcm.exceptions import OptionError
from kcm.kernels._directions import MOST_DIRECTIONS, as_directions, drawn_directions
from kcm.kernels._distances import centre_of
from kcm.kernels._parameters import Numbers, show
from kcm.kernels._scaled import BandwidthKernel, MatrixDistances
from kcm.kernels._shapes import SHAPES, density
from kcm.kernels.bandwidth import Bandwidth, RuleOfThumb, as_bandwidth, numbers, resolve_bandwidth
from kcm.kernels.base import Kernel

__all__ = ["SmoothICM"]

# Differences of projections lose what rounds them, not its square as squared distances do.
FARTHEST_ALONG = 1e5


@final
class SmoothICM(MatrixDistances, BandwidthKernel):
    r"""The kernel of smooth tests in single directions, averaged over directions.

    .. math:: k(x, y) = \frac1m \sum_{b \in B} f\bigl(b'd\bigr), \qquad d_j = (x_j - y_j) / h_j,

    f a density of mean zero and variance one, B a set of m unit vectors. Each direction smooths in
    one dimension, so the bandwidth shrinks as n^(-1/5) whatever the number of columns: in many
    columns `Smooth` hardly compares any pairs. With ``statistic="U"`` the statistic is the smooth
    integrated conditional moment of Lavergne and Patilea (2012). With one direction of your own it
    looks for departures along that one only.

    Parameters
    ----------
    bandwidth : float, array_like of shape (d,), or BandwidthRule
        The lengths h in the units of the data, used as given. Default
        ``RuleOfThumb(1.06, dimension=1)``, 1.06 sd n^(-1/5).
    directions : array_like of shape (m, d), optional
        B, scaled to length one, in the space of the columns divided by h. Default: drawn uniformly
        from the sphere by `resolve`; in one column there is one direction.
    shape : {"gaussian", "laplace", "triangular"}
        f, as in `Smooth`. Default "gaussian".
    n_directions : int, optional
        m where directions are drawn. Default 20 times the whole root of d.
    seed : int
        Of the drawn directions: the same seed and number of columns give the same directions.
        Default 0.

    Raises
    ------
    OptionError
        When an argument is outside its range, or `resolve` meets another number of columns than
        `directions` have.
    DataError
        When `directions` are not finite.

    Notes
    -----
    `kcm.PenalizedMaximum` with `kcm.kernels.single_directions` chooses one direction by the
    penalised maximum of Lavergne and Patilea (2008).

    With drawn directions the order of the columns matters a little.

    References
    ----------
    Lavergne and Patilea (2012), One for all and all for one: regression checks with many
    regressors, Journal of Business and Economic Statistics 30.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> kernel = SmoothICM(1.0, directions=[[1.0, 0.0], [0.0, 1.0]])
    >>> round(float(kernel(jnp.zeros(2), jnp.array([1.0, 0.0]))), 4)
    0.3205
    """

    bandwidth: Bandwidth = eqx.field(
        converter=as_bandwidth, default_factory=lambda: RuleOfThumb(1.06, dimension=1)
    )
    directions: Numbers | None = eqx.field(converter=as_directions, default=None)
    shape: Literal["gaussian", "laplace", "triangular"] = eqx.field(static=True, default="gaussian")
    n_directions: int | None = eqx.field(static=True, default=None)
    seed: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        check_option(self.shape, tuple(SHAPES), "shape")
        check_int(self.seed, "seed", least=0)
        if self.n_directions is not None:
            check_int(self.n_directions, "n_directions", most=MOST_DIRECTIONS)

    def __repr__(self) -> str:
        if self.directions is None:
            return super().__repr__()
        m = len(self.directions)
        told = show(self.directions[0]) if m == 1 else f"<{m} directions>"
        return (
            f"SmoothICM(bandwidth={show(self.bandwidth)}, directions={told}, shape={self.shape!r})"
        )

    def __call__(self, x: Point, y: Point) -> Value:
        directions = self._known(x)
        return jnp.mean(density(self.shape, directions @ ((x - y) / numbers(self.bandwidth))))

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        directions, lengths, centre = self._known(x), numbers(self.bandwidth), centre_of(y)
        if self._by_differences:
            return _mean_by_differences(self.shape, directions, (x, y), lengths)
        a, b = (
            jax.vmap(lambda p: (p - centre) / lengths)(points) @ directions.T for points in (x, y)
        )

        def add(total: Float[Array, "n m"], along: Any) -> tuple[Float[Array, "n m"], None]:
            return total + density(self.shape, along[0][:, None] - along[1][None]), None

        zero = jnp.zeros((len(x), len(y)), x.dtype)
        return lax.scan(add, zero, (a.T, b.T))[0] / len(directions)

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        directions = self.directions
        if directions is None:
            directions = drawn_directions(x.shape[1], self.n_directions, self.seed)
        if directions.shape[1] != x.shape[1]:
            raise OptionError(
                f"`directions` have {directions.shape[1]} entries for {x.shape[1]} conditioning "
                "columns; they must match."
            )
        bandwidth = resolve_bandwidth(self.bandwidth, x)
        # how they were drawn is left out: every seed would have a compiled program of its own
        resolved = SmoothICM(bandwidth, directions, self.shape)
        return self._with_digits(resolved, x, bandwidth, FARTHEST_ALONG)

    def _known(self, like: Float[Array, "..."]) -> Float[Array, "m d"]:
        if self.directions is None:
            raise OptionError(f"{self!r} has not met any data; call `kernel.resolve(X)` first.")
        return jnp.asarray(self.directions, like.dtype)


def _mean_by_differences(
    shape: str,
    directions: Float[Array, "k d"],
    points: tuple[Columns, Float[Array, "m d"]],
    lengths: Numbers,
) -> Float[Array, "n m"]:
    """Return the mean density over directions, of differences that are projected one by one."""
    x, y = points
    h = jnp.broadcast_to(jnp.asarray(lengths, x.dtype), x.shape[1:])

    def add(total: Float[Array, "n m"], b: Float[Array, " d"]) -> tuple[Float[Array, "n m"], None]:
        along = jnp.zeros_like(total)
        for j in range(x.shape[1]):
            along += b[j] * ((x[:, j][:, None] - y[:, j][None]) / h[j])
        return total + density(shape, along), None

    zero = jnp.zeros((len(x), len(y)), x.dtype)
    return lax.scan(add, zero, directions)[0] / len(directions)
