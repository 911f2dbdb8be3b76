"""Conversion and checks of kernel parameters."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from kcm.exceptions import OptionError

__all__ = ["Numbers", "Parameter", "as_columns", "as_parameter", "check_positive", "show"]

# What a parameter is after conversion, and what a caller may give.
Numbers = Float[np.ndarray, "..."] | Float[jax.Array, "..."]
Parameter = Numbers | float | int | Sequence[float]


def as_parameter(value: Any) -> Numbers:
    """Return a number or vector as a float64 array; arrays that JAX traces pass unchanged."""
    if isinstance(value, jax.Array):
        return value
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(f"a kernel parameter must be a number; got {value!r}.") from error


def as_columns(value: int | Sequence[int]) -> tuple[int, ...]:
    """Return one or several column positions as a tuple of int."""
    return tuple(int(column) for column in np.atleast_1d(np.asarray(value)))


def check_positive(value: Parameter, argument: str, *, allow_zero: bool = False) -> None:
    """Refuse values that are not positive and finite; traced values cannot be looked at."""
    if isinstance(value, jax.core.Tracer):
        return
    array = np.asarray(value)
    if not np.isfinite(array).all() or (array < 0).any() or (not allow_zero and (array == 0).any()):
        expected = "finite and not negative" if allow_zero else "finite and positive"
        raise OptionError(f"`{argument}` must be {expected}; got {array.tolist()}.")


def show(value: Any) -> str:
    """Write a parameter with the digits that a reader needs."""
    if not isinstance(value, np.ndarray):
        return repr(value)
    if value.ndim == 0:
        return f"{value:.6g}"
    return "[" + ", ".join(f"{entry:.6g}" for entry in value) + "]"
