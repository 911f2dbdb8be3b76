"""Conversion and checks of kernel parameters."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from kcm.exceptions import OptionError

__all__ = [
    "Numbers",
    "Parameter",
    "as_optional",
    "as_parameter",
    "as_positions",
    "as_scalar",
    "check_positive",
    "show",
]

# What a parameter is after conversion, and what a caller may give.
Numbers = Float[np.ndarray, "..."] | Float[jax.Array, "..."]
Parameter = Numbers | float | int | Sequence[float]


def as_parameter(value: Any, argument: str = "parameter") -> Numbers:
    """Return a number or vector as a float64 array; arrays that JAX traces pass unchanged."""
    if isinstance(value, jax.Array):
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise OptionError(f"`{argument}` of a kernel must be a number; got {value!r}.")
    numbers = array.astype(np.float64)
    if numbers.ndim:
        numbers.flags.writeable = False
    return numbers


def as_optional(value: Any, argument: str = "parameter") -> Numbers | None:
    """Return None, for a value that the data decide, or a float64 array."""
    return None if value is None else as_parameter(value, argument)


def as_scalar(value: Any, argument: str = "parameter") -> Numbers:
    """Return one number as a float64 array without dimensions."""
    number = as_parameter(value, argument)
    if number.ndim:
        raise OptionError(f"`{argument}` of a kernel must be one number; got {value!r}.")
    return number


def as_positions(value: Any) -> tuple[int, ...]:
    """Return one or several column positions as a tuple of int."""
    positions = np.atleast_1d(np.asarray(value))
    if positions.size and positions.dtype.kind not in "iu":
        raise OptionError(f"`columns` must be positions, whole numbers from 0; got {value!r}.")
    return tuple(int(position) for position in positions)


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
