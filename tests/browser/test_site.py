"""The documentation site as a reader meets it. Referee: Chromium, and the files on disk."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

WIDTHS = (380, 1_400)
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
PAGES = [path.stem for path in sorted((Path(__file__).parents[2] / "docs").glob("*.md"))]
MORE = ["gallery/index", "gallery/cps71", "generated/kcm.KCMTest", "genindex"]


class Reader(HTMLParser):
    """Names that a page can be entered at, and the addresses that it points to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.names |= {values[key] or "" for key in ("id", "name") if key in values}
        self.links |= {values[key] or "" for key in ("href", "src") if key in values}


def broken(file: Path, links: set[str], names: dict[Path, set[str]]) -> list[str]:
    """Links to this site that lead to no file, or to no place in it."""
    found = []
    for link in links:
        parts = urlsplit(link)
        target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
        is_ours = not parts.scheme and not parts.netloc
        missing = parts.fragment and unquote(parts.fragment) not in names.get(target, set())
        if is_ours and (not target.is_file() or (target.suffix == ".html" and missing)):
            found.append(f"{file.name} -> {link}")
    return found


def test_no_internal_link_is_broken(site_folder: Path):
    root = site_folder.resolve()
    files = [file for file in sorted(root.rglob("*.html")) if "_static" not in file.parts]
    pages = {file: Reader(file) for file in files}
    assert len(pages) > len(PAGES)
    names = {file: page.names for file, page in pages.items()}
    assert not [link for file, page in pages.items() for link in broken(file, page.links, names)]


@pytest.mark.parametrize("name", PAGES + MORE)
def test_page_fits_and_logs_no_error(site, visit, name: str):
    visited = visit(f"{site}/{name}.html")
    assert visited.page.locator("h1").first.is_visible()
    assert [visited.overflow(width) for width in WIDTHS] == [0, 0]
    assert not visited.broken_images()


def test_search_finds_a_page_and_a_name(site, visit):
    page = visit(f"{site}/search.html?q=bandwidth").page
    expected = ["/kernels.html", "/generated/kcm.kernels.Gaussian.html"]
    # results come one after the other
    found = page.wait_for_function(
        """expected => {
            const links = [...document.querySelectorAll('#search-results li a')];
            const found = expected.filter(one => links.some(a => a.pathname === one));
            return found.length === expected.length && found;
        }""",
        arg=expected,
        timeout=20_000,
    )
    assert found.json_value() == expected


def test_gallery_shows_a_picture_of_each_example(site, visit):
    page = visit(f"{site}/gallery/index.html").page
    shown = page.locator(".sphx-glr-thumbcontainer img")
    shown.first.wait_for()
    sizes = shown.evaluate_all("all => all.map(i => [i.naturalWidth, i.alt])")
    assert len(sizes) == len(EXAMPLES)
    assert all(width > 100 for width, _ in sizes)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_start_page_reads_in_light_and_dark(site, visit, scheme: str):
    page = visit(f"{site}/index.html", color_scheme=scheme).page
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(255, 255, 255)") == (scheme == "light")
