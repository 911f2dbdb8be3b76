"""What sections are made of: paragraphs, lists, code, tables and pictures, as HTML."""

import base64
import html
import io
import math
from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType
from typing import Any

from kcm._optional import optional_module
from kcm.reporting.tables import Printed

__all__ = ["SIZE", "bullets", "code", "paragraphs", "picture", "sortable", "table"]

DOTS_PER_INCH = 200
# Inches: the width that the page shows, so that letters have the size of its small print. All
# pictures have this width and these letters, whatever the user's settings.
SIZE = (4.8, 3.7)
STYLE = MappingProxyType(
    {
        "font.size": 9.0,
        "axes.labelsize": 9.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.7,
        "legend.fontsize": 8.0,
    }
)


def paragraphs(*texts: str) -> str:
    """Return each text as a paragraph.

    Examples
    --------
    >>> paragraphs("p < .05")
    '<p>p &lt; .05</p>'
    """
    return "".join(f"<p>{html.escape(text)}</p>" for text in texts)


def bullets(texts: Iterable[str]) -> str:
    """Return the texts as a list.

    Examples
    --------
    >>> bullets(["one"])
    '<ul><li>one</li></ul>'
    """
    return f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in texts)}</ul>"


def code(text: str) -> str:
    """Return a text as it is typed.

    Examples
    --------
    >>> code("a < b")
    '<pre><code>a &lt; b</code></pre>'
    """
    return f"<pre><code>{html.escape(text.strip())}</code></pre>"


def table(printed: Printed) -> str:
    """Return a table that scrolls by itself where it is wider than the page."""
    return f'<div class="wide">{printed.as_html()}</div>'


def sortable(
    caption: str, headers: Sequence[str], rows: Sequence[Sequence[tuple[str, str | float]]]
) -> str:
    """Return a table whose columns sort the rows at a click.

    Parameters
    ----------
    caption : str
    headers : sequence of str
    rows : sequence of sequence of (str, str or float)
        Each cell as it is shown, and what it is sorted by; NaN goes last.

    Examples
    --------
    >>> sortable("Two", ["p"], [[("0.0400", 0.04)]])[-64:]
    '<tr><td data-value="0.04">0.0400</td></tr></tbody></table></div>'
    """
    head = "".join(
        f'<th scope="col"><button type="button">{html.escape(name)}</button></th>'
        for name in headers
    )
    body = "".join(f"<tr>{''.join(_cell(*cell) for cell in row)}</tr>" for row in rows)
    told = f"<caption>{html.escape(caption)}</caption>"
    inside = f"{told}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="wide"><table class="sortable">{inside}</table></div>'


def _cell(shown: str, value: str | float) -> str:
    missing = isinstance(value, float) and math.isnan(value)
    key = "" if missing else html.escape(str(value))
    return f'<td data-value="{key}">{html.escape(shown)}</td>'


def picture(
    draw: Callable[[Any], Any], words: str, caption: str, size: tuple[float, float] = SIZE
) -> str:
    """Return a picture inside the HTML.

    Parameters
    ----------
    draw : callable
        Draws on the matplotlib Axes that it is given.
    words : str
        What the picture shows, for those who do not see it.
    caption : str
    size : (float, float)
        Inches.

    Raises
    ------
    OptionError
        When matplotlib is not installed.
    """
    data = base64.b64encode(_drawn(draw, size)).decode("ascii")
    image = f'<img src="data:image/png;base64,{data}" alt="{html.escape(words)}">'
    return f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _drawn(draw: Callable[[Any], Any], size: tuple[float, float]) -> bytes:
    """Return a picture as a file, by matplotlib's own settings and those of the report."""
    styles, held = optional_module("matplotlib.style", "plots", "a report"), io.BytesIO()
    figures = optional_module("matplotlib.figure", "plots", "a report")
    with styles.context(["default", dict(STYLE)]):
        figure = figures.Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        figure.savefig(held, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return held.getvalue()
