"""What the pictures share."""

from typing import Any

from kcm._optional import optional_module

__all__ = ["BAND", "LINE", "legend", "new_axes"]

LINE = "black"
BAND = "0.8"


def new_axes(ax: Any, size: tuple[float, float] = (6.4, 4.2)) -> Any:
    """Return the axes given, or those of a new figure.

    Raises
    ------
    OptionError
        When matplotlib is not installed.
    """
    pyplot = optional_module("matplotlib.pyplot", "plots", "a plot")
    return pyplot.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def legend(ax: Any, place: str = "best") -> None:
    """Explain the marks in a box through which lines are hardly seen."""
    ax.legend(loc=place, fontsize="small", framealpha=0.9, edgecolor="none")
