"""What the pictures share."""

from typing import Any

from kcm._optional import optional_module

__all__ = ["BAND", "DIVERGING", "LINE", "MARKED", "SIZE", "new_axes"]

LINE = "black"
BAND = "0.8"
# Of what is told apart from the rest: bars and marks of small p-values.
MARKED = "0.35"
# From below zero to above, white at zero: told apart with any kind of colour vision, and both
# ends are equally dark.
DIVERGING = "RdBu_r"
# Inches.
SIZE = (6.4, 4.4)


def new_axes(ax: Any, size: tuple[float, float] = SIZE) -> Any:
    """Return the axes given, or those of a new figure.

    Raises
    ------
    OptionError
        When matplotlib is not installed.
    """
    pyplot = optional_module("matplotlib.pyplot", "plots", "a plot")
    return pyplot.subplots(figsize=size, layout="constrained")[1] if ax is None else ax
