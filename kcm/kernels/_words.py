"""Names, lists of columns and numbers in the words of a kernel."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np

from kcm.kernels._parameters import Numbers, show

__all__ = ["kernel_name", "lengths_text", "listed_columns", "number_text"]

# Of more columns the first ones and the last one are named.
MOST_NAMES = 6
FIRST_NAMES = 3
# Numbers of more digits than three are written without a point up to here.
LARGEST_PLAIN = 1e6


def kernel_name(kernel: eqx.Module) -> str:
    """Return the name of a kernel with the options that are not the default ones."""
    options = [
        f"{field.name} = {show(getattr(kernel, field.name))}"
        for field in dataclasses.fields(kernel)
        if field.repr and field.name != "bandwidth" and _differs(field, getattr(kernel, field.name))
    ]
    name = type(kernel).__name__
    return f"{name} ({', '.join(options)})" if options else name


def _differs(field: Any, value: Any) -> bool:
    if value is None or np.ndim(value) > 0 or isinstance(value, eqx.Module):
        return False
    return field.default is dataclasses.MISSING or not np.array_equal(value, field.default)


def lengths_text(bandwidth: Numbers, names: Sequence[str]) -> str:
    """Return columns with the length of each."""
    lengths = np.ravel(np.asarray(bandwidth))
    if len(names) > MOST_NAMES:
        ends = " to ".join(dict.fromkeys(map(number_text, (lengths.min(), lengths.max()))))
        return f"{listed_columns(names)} ({ends})"
    if len(lengths) == 1:
        each = "" if len(names) == 1 else " each"
        return f"{listed_columns(names)} ({number_text(lengths[0])}{each})"
    pairs = zip(names, lengths, strict=True)
    return ", ".join(f"{name} ({number_text(length)})" for name, length in pairs)


def listed_columns(names: Sequence[str]) -> str:
    """Return all names, or the first ones and the last one with their number."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:FIRST_NAMES])}, ..., {names[-1]}, {len(names)} columns"


def number_text(value: Any) -> str:
    """Write a number with three digits, or all that it has before the point."""
    number = float(value)
    return f"{number:.0f}" if 100 <= abs(number) < LARGEST_PLAIN else f"{number:.3g}"
