"""Unit vectors, given or drawn."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from kcm._arrays import as_float_columns
from kcm.exceptions import OptionError
from kcm.kernels._parameters import Numbers

# Directions drawn by default: so many times the whole root of the number of columns.
N_DIRECTIONS = 20
# And so many at most.
MOST_DIRECTIONS = 1_000_000


def as_directions(value: Any) -> Numbers | None:
    """Return directions of length one; arrays of JAX and None pass."""
    if value is None or isinstance(value, jax.Array):
        return value
    return unit_rows(value, "directions")


def unit_rows(value: Any, argument: str) -> Float[np.ndarray, "m d"]:
    """Return rows divided by their lengths."""
    rows = as_float_columns(np.atleast_2d(np.asarray(value)), argument)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    if not len(rows) or (largest == 0).any():
        raise OptionError(f"`{argument}` must be one or more rows that are not zero.")
    rows = rows / largest
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    unit.flags.writeable = False
    return unit


def drawn_directions(d: int, n_directions: int | None, seed: int) -> Float[np.ndarray, "m d"]:
    """Return unit vectors with the uniform law on the sphere; in one column the only one."""
    if d == 1:
        return np.ones((1, 1))
    m = n_directions or N_DIRECTIONS * int(np.sqrt(d))
    rows = np.random.default_rng(seed).normal(size=(m, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
