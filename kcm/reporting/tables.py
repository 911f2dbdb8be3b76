"""Small tables that print as text, HTML and LaTeX."""

import abc
import html
from dataclasses import dataclass
from itertools import zip_longest
from textwrap import wrap
from typing import final

__all__ = ["Grid", "Printed", "Summary", "escape_latex"]

# Longer values take several lines of a text.
TEXT_WIDTH = 100

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


class Printed(abc.ABC):
    """What prints as text, and in a notebook as HTML.

    Examples
    --------
    >>> isinstance(Summary("A test", (("p-value", "0.04"),)), Printed)
    True
    """

    __slots__ = ()

    @abc.abstractmethod
    def as_text(self) -> str:
        """Return the table as plain text."""

    @abc.abstractmethod
    def as_html(self) -> str:
        """Return the table as an HTML fragment."""

    @abc.abstractmethod
    def as_latex(self) -> str:
        """Return the table as a LaTeX tabular."""

    def __str__(self) -> str:
        return self.as_text()

    def __repr__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        return self.as_html()


@final
@dataclass(frozen=True, slots=True, repr=False)
class Summary(Printed):
    """A title, labelled rows and notes.

    Parameters
    ----------
    title : str
    rows : tuple of (str, str)
        Label and value.
    notes : tuple of str
        Sentences below the table.

    Examples
    --------
    >>> print(Summary("A test", (("p-value", "0.04"),), ("One note.",)))
    ==============
        A test
    ==============
    p-value   0.04
    ==============
    One note.
    """

    title: str
    rows: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    def as_text(self) -> str:
        """Return the table as plain text."""
        width = max(len(label) for label, _ in self.rows) + 3
        lines = [line for row in self.rows for line in _lines(*row, width)]
        total = max(len(line) for line in (*lines, self.title))
        rule = "=" * total
        heading = self.title.center(total).rstrip()
        return "\n".join([rule, heading, rule, *lines, rule, *self.notes])

    def as_html(self) -> str:
        """Return the table as an HTML fragment."""
        rows = "".join(
            f"<tr><th scope='row' style='text-align:left'>{html.escape(label)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for label, value in self.rows
        )
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        caption = f"<caption>{html.escape(self.title)}</caption>"
        return f"<table class='kcm-summary'>{caption}<tbody>{rows}</tbody></table>{notes}"

    def as_latex(self) -> str:
        """Return the table as a LaTeX tabular."""
        rows = "\n".join(f"{escape_latex(a)} & {escape_latex(b)} \\\\" for a, b in self.rows)
        notes = "".join(f"\n\n{escape_latex(note)}" for note in self.notes)
        heading = f"\\multicolumn{{2}}{{c}}{{{escape_latex(self.title)}}} \\\\"
        body = f"\\hline\n{heading}\n\\hline\n{rows}\n\\hline"
        return f"\\begin{{tabular}}{{ll}}\n{body}\n\\end{{tabular}}{notes}"


@final
@dataclass(frozen=True, slots=True, repr=False)
class Grid(Printed):
    """A title, rows of several columns under headers, and notes.

    Parameters
    ----------
    title : str
    headers : tuple of str
    rows : tuple of tuple of str
        As many cells as headers.
    notes : tuple of str
        Sentences below the table.

    Examples
    --------
    >>> print(Grid("Two tests", ("Test", "p"), (("RESET", "0.04"), ("J", "0.5")), ("A note.",)))
    ===========
     Two tests
    ===========
    Test   p
    -----------
    RESET  0.04
    J      0.5
    ===========
    A note.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def as_text(self) -> str:
        """Return the table as plain text."""
        columns = zip(self.headers, *self.rows, strict=True)
        widths = [max(map(len, column)) for column in columns]
        head, *body = [_joined(cells, widths) for cells in (self.headers, *self.rows)]
        total = max(len(line) for line in (head, *body, self.title))
        rule, heading = "=" * total, self.title.center(total).rstrip()
        notes = [line for note in self.notes for line in _note(note, total)]
        return "\n".join([rule, heading, rule, head, "-" * total, *body, rule, *notes])

    def as_html(self) -> str:
        """Return the table as an HTML fragment."""
        head = "".join(f"<th scope='col'>{html.escape(cell)}</th>" for cell in self.headers)
        rows = "".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in self.rows)
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        caption = f"<caption>{html.escape(self.title)}</caption>"
        body = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
        return f"<table class='kcm-summary'>{caption}{body}</table>{notes}"

    def as_latex(self) -> str:
        """Return the table as a LaTeX tabular."""
        head, *body = [
            " & ".join(map(escape_latex, cells)) + r" \\" for cells in (self.headers, *self.rows)
        ]
        n, rows = len(self.headers), "\n".join(body)
        heading = f"\\multicolumn{{{n}}}{{c}}{{{escape_latex(self.title)}}} \\\\"
        table = f"\\hline\n{heading}\n\\hline\n{head}\n\\hline\n{rows}\n\\hline"
        notes = "".join(f"\n\n{escape_latex(note)}" for note in self.notes)
        return f"\\begin{{tabular}}{{{'l' * n}}}\n{table}\n\\end{{tabular}}{notes}"


def _joined(cells: tuple[str, ...], widths: list[int]) -> str:
    pairs = zip(cells, widths, strict=True)
    return "  ".join(f"{cell:<{width}}" for cell, width in pairs).rstrip()


def _note(note: str, width: int) -> list[str]:
    room = max(width, 60)
    return wrap(note, room, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _html_cell(cell: str) -> str:
    return f"<td style='text-align:left'>{html.escape(cell)}</td>"


def _lines(label: str, value: str, width: int) -> list[str]:
    """Write a row, a long value below itself."""
    parts = wrap(value, TEXT_WIDTH - width, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{start:<{width}}{part}" for start, part in zip_longest([label], parts, fillvalue="")]


def escape_latex(text: str) -> str:
    """Write a text so that LaTeX prints it as it is."""
    return "".join(_LATEX.get(character, character) for character in text)
