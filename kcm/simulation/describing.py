"""Words for what a study is made of, the same in every process."""

import dataclasses
import functools
import hashlib
import inspect
import sys
from typing import Any

import numpy as np

from kcm.exceptions import OptionError

__all__ = ["described"]


def described(thing: Any, argument: str) -> str:
    """Return words that change when the thing does.

    A record is told by its fields, a function by its name, a digest of its source, and what it
    closes over.

    Raises
    ------
    OptionError
        When the thing only has an address to be told by.
    """
    if isinstance(thing, functools.partial):
        parts = (thing.func, thing.args, sorted(thing.keywords.items()))
        return f"partial({', '.join(described(part, argument) for part in parts)})"
    if isinstance(thing, tuple | list):
        return f"[{', '.join(described(one, argument) for one in thing)}]"
    if inspect.isroutine(inspect.unwrap(thing) if callable(thing) else thing):
        return _function(inspect.unwrap(thing), argument)
    if dataclasses.is_dataclass(thing):
        fields = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}
        told = ", ".join(f"{name}={described(one, argument)}" for name, one in fields.items())
        return f"{type(thing).__name__}({told})"
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
        words = repr(thing)
    if " at 0x" in words:
        raise OptionError(
            f"`{argument}` with a `store` must be told apart from others, and {words} has no "
            "words of its own; use a function or a dataclass."
        )
    return words


def _function(function: Any, argument: str) -> str:
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""
    closed = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    name = f"{function.__module__}.{function.__qualname__}"
    return f"{name} {digest} {described(closed, argument)}"
