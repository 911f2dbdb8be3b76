"""What records share: they print in one line, and their arrays stay as they are."""

import dataclasses
from typing import Any

import numpy as np

__all__ = ["fix_arrays", "fixed", "one_line"]

# Longest text of a field that is printed whole, and longest sequence.
LONGEST, MOST = 200, 8


def one_line(record: Any) -> str:
    """Return a record as a call in one line, arrays by their shapes.

    Examples
    --------
    >>> from kcm.null import BootstrapDistribution
    >>> one_line(BootstrapDistribution(np.zeros(99), "webb")).partition(", rule")[0]
    "BootstrapDistribution(draws=<array of shape (99,)>, multipliers='webb'"
    """
    fields = (field.name for field in dataclasses.fields(record) if field.repr)
    shown = ", ".join(f"{name}={_brief(getattr(record, name))}" for name in fields)
    return f"{type(record).__name__}({shown})"


def _brief(value: Any) -> str:
    if np.ndim(value) and hasattr(value, "shape"):
        kind = "array" if isinstance(value, np.ndarray) else type(value).__name__
        return f"<{kind} of shape {tuple(value.shape)}>"
    if isinstance(value, list | tuple) and len(value) > MOST:
        return f"<{len(value):,} entries>"
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST else f"<{type(value).__name__}>"


def fixed(values: Any) -> Any:
    """Return a copy of an array that cannot be written to, or of a Series or list; others as is.

    Examples
    --------
    >>> labels = np.arange(3)
    >>> kept = fixed(labels)
    >>> labels[0] = 7
    >>> kept.tolist(), kept.flags.writeable
    ([0, 1, 2], False)
    """
    if isinstance(values, np.ndarray):
        copy = values.copy()
        copy.flags.writeable = False
        return copy
    if isinstance(values, list | tuple):
        return tuple(values)
    is_series = type(values).__module__.startswith("pandas") and hasattr(values, "copy")
    return values.copy() if is_series else values


def fix_arrays(record: Any) -> None:
    """Put copies that cannot be written to in the place of the arrays of a frozen dataclass."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, np.ndarray):
            object.__setattr__(record, field.name, fixed(value))
