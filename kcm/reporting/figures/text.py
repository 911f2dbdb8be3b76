"""Words in pictures: letter by letter as they are, and within the picture."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from kcm._optional import optional_module
from kcm.reporting.tables import escape_latex

__all__ = ["legend", "literal", "name_axes", "name_places", "set_title", "shortened"]

TITLE_LINES = 3
# Of all titles, one line or several.
TITLE_SIZE = "medium"
# Of the width of axes before their names of rows narrow them: what these names take at most, and
# what is then left for a title.
ROWS_SHARE, BESIDE_ROWS = 0.54, 0.66
# Points between names on the horizontal axis below which they stand upright.
UPRIGHT = 14.0
# Letters of the end that a name of a row keeps where it is cut: bandwidths stand there.
ROW_END = 8
# Points between the words of an axis and the legend below them.
GAP = 4.0


def literal(text: str) -> str:
    """Return a text so that matplotlib draws it letter by letter, on one line.

    Where the settings leave all text to TeX its special characters are escaped, and otherwise
    dollar signs, between which matplotlib sees a formula.
    """
    flat = re.sub(r"\s", " ", text)
    settings = optional_module("matplotlib", "plots", "a plot").rcParams
    return escape_latex(flat) if settings["text.usetex"] else flat.replace("$", r"\$")


def shortened(text: str, room: float, size: Any, n_lines: int = 1, n_end: int = 0) -> str:
    """Return a text in lines no wider than `room` points.

    Where it is cut the last line has dots, before the last `n_end` letters.
    """
    words = re.sub(r"\s", " ", text)
    lines = list(_lines(words, room, size))
    if len(lines) > n_lines:
        last = " ".join(lines[n_lines - 1 :])
        lines = [*lines[: n_lines - 1], _cut(last, room, size, n_end)]
    return "\n".join(literal(line) for line in lines)


def set_title(ax: Any, *lines: str, beside_rows: bool = False) -> None:
    """Give axes a title within the picture; the first line may take three.

    Parameters
    ----------
    ax : matplotlib Axes
    *lines : str
    beside_rows : bool
        Whether names of rows stand to the left of the axes and narrow them.
    """
    first, rest = lines[0], lines[1:]
    room = 72 * _inches(ax)[0] * (BESIDE_ROWS if beside_rows else 1.0)
    told = [shortened(first, room, TITLE_SIZE, TITLE_LINES)]
    told += [shortened(line, room, TITLE_SIZE, 2) for line in rest]
    ax.set_title("\n".join(told), fontsize=TITLE_SIZE)


def name_axes(ax: Any, x: str, y: str | None = None) -> None:
    """Say what the axes show, no longer than they are."""
    size = optional_module("matplotlib", "plots", "a plot").rcParams["axes.labelsize"]
    width, height = _inches(ax)
    ax.set_xlabel(shortened(x, 1.1 * width * 72, size, 2))
    if y is not None:
        ax.set_ylabel(shortened(y, 1.1 * height * 72, size, 2))


def name_places(ax: Any, which: str, places: Any, names: Sequence[str], size: Any = None) -> None:
    """Name the rows, or the places on the horizontal axis, tilted where they would overlap."""
    font = optional_module("matplotlib", "plots", "a plot").rcParams[f"{which}tick.labelsize"]
    size = font if size is None else size
    if which == "y":
        room = ROWS_SHARE * _inches(ax)[0] * 72
        told = [shortened(name, room, size, 2, ROW_END) for name in names]
        ax.set_yticks(places, told, fontsize=size)
        return
    room = 0.9 * _inches(ax)[0] * 72 / max(len(names), 1)
    fits = all(_width(name, size) <= room for name in names)
    most = room if fits else 0.5 * _inches(ax)[1] * 72
    tilted = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    style = {} if fits else tilted if room > UPRIGHT else {"rotation": 90}
    ax.set_xticks(places, [shortened(name, most, size) for name in names], fontsize=size, **style)


def legend(ax: Any, n_columns: int = 2, *, beside_rows: bool = False) -> None:
    """Explain the marks below the axes, or inside where the user has laid the figure out."""
    style: dict[str, Any] = {"fontsize": "small", "framealpha": 0.9, "edgecolor": "none"}
    if ax.figure.get_layout_engine() is not None:
        corner, x = ("upper right", 1.0) if beside_rows else ("upper center", 0.5)
        style |= {"loc": corner, "bbox_to_anchor": (x, 0.0), "borderaxespad": _depth(ax)}
    ax.legend(ncols=n_columns, **style)


def _depth(ax: Any) -> float:
    """Return how far the words below axes reach down, in heights of the letters of a legend."""
    fonts = optional_module("matplotlib.font_manager", "plots", "a plot")
    letters = fonts.FontProperties(size="small").get_size_in_points()
    box = ax.xaxis.get_tightbbox()
    pixels = 0.0 if box is None else ax.bbox.y0 - box.y0
    return (72 * pixels / ax.figure.dpi + GAP) / float(letters)


def _inches(ax: Any) -> tuple[float, float]:
    """Return width and height of axes."""
    box, (width, height) = ax.get_position(original=True), ax.figure.get_size_inches()
    return box.width * width, box.height * height


def _width(text: str, size: Any) -> float:
    """Return the width of a text in points."""
    fonts = optional_module("matplotlib.font_manager", "plots", "a plot")
    measured = optional_module("matplotlib.textpath", "plots", "a plot").text_to_path
    properties = fonts.FontProperties(size=size)
    return float(measured.get_text_width_height_descent(text, properties, ismath=False)[0])


def _lines(text: str, room: float, size: Any) -> Iterator[str]:
    """Yield lines of whole words; a word that is longer takes several lines."""
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if not line or _width(longer, size) <= room:
            line = longer
        else:
            yield line
            line = word
        while _width(line, size) > room and len(line) > 1:
            start = _fitting(line, room, size)
            yield line[:start]
            line = line[start:]
    yield line


def _fitting(text: str, room: float, size: Any) -> int:
    """Return how many letters of a text fit, at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = _width(text[:middle], size) <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _cut(text: str, room: float, size: Any, n_end: int) -> str:
    if _width(text, size) <= room:
        return text
    end = f"...{text[-n_end:]}" if n_end else "..."
    return text[: _fitting(text, room - _width(end, size), size)].rstrip() + end
