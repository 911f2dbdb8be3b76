"""Sections to one HTML file that needs nothing else."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import final

__all__ = ["Section", "page"]

# Nothing may be loaded: pictures are in the file, style and script as well.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@final
@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report.

    Parameters
    ----------
    name : str
        One word, for links to it.
    title : str
    body : str
        HTML.

    Examples
    --------
    >>> Section("verdict", "The verdict", "<p>No.</p>").as_html()
    '<section id="verdict"><h2>The verdict</h2><p>No.</p></section>'
    """

    name: str
    title: str
    body: str

    def as_html(self) -> str:
        """Return the section with its heading."""
        return f'<section id="{self.name}"><h2>{html.escape(self.title)}</h2>{self.body}</section>'


def page(title: str, sections: Sequence[Section]) -> str:
    """Return a whole HTML document, style and script included.

    Parameters
    ----------
    title : str
    sections : sequence of Section

    Examples
    --------
    >>> page("A test", [Section("verdict", "The verdict", "<p>No.</p>")])[:15]
    '<!DOCTYPE html>'
    """
    body = "\n".join(section.as_html() for section in sections)
    told = html.escape(title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<link rel="icon" href="data:,">
<title>{told}</title>
<style>
{_resource("page.css")}</style>
</head>
<body>
<main>
<h1>{told}</h1>
{body}
</main>
<script>
{_resource("page.js")}</script>
</body>
</html>
"""


def _resource(name: str) -> str:
    return files("kcm.reporting").joinpath(name).read_text(encoding="utf-8")
