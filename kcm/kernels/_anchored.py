"""What kernels share that are averages over the points of the sample."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from kcm._arrays import as_float_columns
from kcm._typing import Columns
from kcm.exceptions import OptionError
from kcm.kernels._parameters import Numbers
from kcm.kernels.base import Kernel

__all__ = ["CHUNK", "AnchoredKernel", "counts", "in_order"]

# The number of anchors is rounded up to a multiple of this, so that samples of nearly the same size
# share a compiled program.
CHUNK = 256


def _as_anchors(value: Any) -> Numbers | None:
    """Return points below which rows of -inf fill up the last chunk; one column is sorted."""
    if value is None or isinstance(value, jax.Array):
        return value
    points = as_float_columns(value, "points")
    filled = np.full((-(-len(points) // CHUNK) * CHUNK, points.shape[1]), -np.inf)
    filled[: len(points)] = points
    anchors = np.sort(filled, axis=0) if points.shape[1] == 1 else filled
    anchors.flags.writeable = False
    return anchors


class AnchoredKernel(Kernel):
    """A kernel that is an average over points, those of the sample unless others are given."""

    anchors: Numbers | None = eqx.field(converter=_as_anchors)

    def __init__(self, points: Any = None) -> None:
        self.anchors = points

    def __repr__(self) -> str:
        if self.anchors is None or isinstance(self.anchors, jax.core.Tracer):
            return f"{type(self).__name__}()"
        n_points = np.isfinite(np.asarray(self.anchors)[:, 0]).sum()
        return f"{type(self).__name__}({n_points:,} points)"

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        if self.anchors is None:
            return type(self)(x)
        if self.anchors.shape[1] != x.shape[1]:
            raise OptionError(
                f"`points` has {self.anchors.shape[1]} columns for {x.shape[1]} conditioning "
                "columns; they must match. Leave it out to take the points of the sample."
            )
        return self

    def known(self, like: Float[Array, "..."]) -> tuple[Columns, Float[Array, ""]]:
        """Return the anchors and how many there are, in the precision of other values."""
        if self.anchors is None:
            raise OptionError(f"{self!r} has not met any data; call `kernel.resolve(X)` first.")
        anchors = jnp.asarray(self.anchors, like.dtype)
        return anchors, jnp.sum(jnp.isfinite(anchors[:, 0]).astype(like.dtype))


def counts(anchors: Float[Array, "r d"], x: Columns, side: str) -> Int[Array, " n"]:
    """Return how many anchors lie below each point of one column, or at and below ("right")."""
    return jnp.searchsorted(in_order(anchors[:, 0]), in_order(x[:, 0]), side=side)


def in_order(values: Float[Array, "..."]) -> Int[Array, "..."]:
    """Return whole numbers in the order of the values: their bits, mirrored below zero.

    Arithmetic on many machines, comparisons included, takes numbers below 2e-308 for zero.
    """
    whole = jnp.int64 if values.dtype == jnp.float64 else jnp.int32
    bits = lax.bitcast_convert_type(values, whole)
    return jnp.where(bits < 0, jnp.iinfo(whole).min - bits, bits)
