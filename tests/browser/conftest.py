"""A headless Chromium, and the built site on a port of this machine.

Debian's `chromium` and the extra "browser" are needed, else the tests are skipped. The tests of the
site read the folder that the environment variable KCM_SITE names; nothing is built here.
"""

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True, slots=True)
class Visit:
    """An open page, and what it complained about."""

    page: Any
    errors: list[str] = field(default_factory=list)

    def overflow(self, width: int) -> int:
        """Pixels by which the page is wider than a window of this width."""
        self.page.set_viewport_size({"width": width, "height": 900})
        return self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def broken_images(self) -> list[str]:
        """Addresses of images without pixels or without an accessible name."""
        return self.page.eval_on_selector_all(
            "img",
            "all => all.filter(i => !i.complete || !i.naturalWidth || !i.hasAttribute('alt'))"
            ".map(i => i.outerHTML.slice(0, 200))",
        )


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Start the browser once."""
    api = pytest.importorskip("playwright.sync_api", reason='no extra "browser" (Playwright)')
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("no browser: install Debian's chromium")
    with api.sync_playwright() as playwright:
        # the sandbox of Chromium does not work for root, as which containers run
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Visit]]:
    """Open an address; the test fails if a page logs an error or asks another host."""
    visits: list[Visit] = []

    def opened(address: str, **context: Any) -> Visit:
        page = chromium.new_page(viewport={"width": 1400, "height": 900}, **context)
        visited = Visit(page)
        visits.append(visited)
        _listen(visited, address)
        page.goto(address, wait_until="load")
        return visited

    yield opened
    for visited in visits:
        visited.page.close()
    assert not [error for visited in visits for error in visited.errors]


def _listen(visited: Visit, address: str) -> None:
    host = "/".join(address.split("/")[:3])

    def on_message(message: Any) -> None:
        if message.type in ("error", "warning"):
            visited.errors.append(f"{address}: {message.text}")

    def on_request(request: Any) -> None:
        if not request.url.startswith((host, "data:", "blob:", "about:")):
            visited.errors.append(f"{address} asks for {request.url}")

    page = visited.page
    page.on("console", on_message)
    page.on("pageerror", lambda error: visited.errors.append(f"{address}: {error}"))
    page.on("requestfailed", lambda request: visited.errors.append(f"{request.url} failed"))
    page.on("request", on_request)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture(scope="session")
def site_folder() -> Path:
    """Folder of the built site."""
    if "KCM_SITE" not in os.environ:
        pytest.skip("no site: set KCM_SITE to the folder that Sphinx wrote")
    return Path(os.environ["KCM_SITE"])


@pytest.fixture(scope="session")
def site(site_folder: Path) -> Iterator[str]:
    """Address of the built site."""
    handler = functools.partial(_Quiet, directory=str(site_folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
