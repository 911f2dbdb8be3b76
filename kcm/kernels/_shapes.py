"""Densities that smooth tests weigh differences by: mean zero, variance one, positive definite."""

from collections.abc import Callable
from types import MappingProxyType

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["SHAPES", "density"]

Numbers = Float[Array, "..."]


def density(shape: str, t: Numbers) -> Numbers:
    """Return the values of the density of a name."""
    return SHAPES[shape](t)


def _gaussian(t: Numbers) -> Numbers:
    return jnp.exp(-(t**2) / 2) / np.sqrt(2 * np.pi)


def _laplace(t: Numbers) -> Numbers:
    return jnp.exp(-np.sqrt(2.0) * jnp.abs(t)) / np.sqrt(2.0)


def _triangular(t: Numbers) -> Numbers:
    return jnp.maximum(1 - jnp.abs(t) / np.sqrt(6.0), 0) / np.sqrt(6.0)


SHAPES: MappingProxyType[str, Callable[[Numbers], Numbers]] = MappingProxyType(
    {"gaussian": _gaussian, "laplace": _laplace, "triangular": _triangular}
)
