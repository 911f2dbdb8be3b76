"""Densities that smooth tests weigh differences by: mean zero, variance one, positive definite."""

import math
from collections.abc import Callable
from types import MappingProxyType

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["SHAPES", "density"]

Numbers = Float[Array, "..."]


def density(shape: str, t: Numbers) -> Numbers:
    """Return the values of the density of a name."""
    return SHAPES[shape](t)


def _gaussian(t: Numbers) -> Numbers:
    return jnp.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)


def _laplace(t: Numbers) -> Numbers:
    return jnp.exp(-math.sqrt(2.0) * jnp.abs(t)) / math.sqrt(2.0)


def _triangular(t: Numbers) -> Numbers:
    return jnp.maximum(1 - jnp.abs(t) / math.sqrt(6.0), 0) / math.sqrt(6.0)


SHAPES: MappingProxyType[str, Callable[[Numbers], Numbers]] = MappingProxyType(
    {"gaussian": _gaussian, "laplace": _laplace, "triangular": _triangular}
)
