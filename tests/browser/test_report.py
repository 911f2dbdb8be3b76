"""The report of a test as a reader meets it. Referee: Chromium."""

from pathlib import Path
from typing import Any

import pytest
import statsmodels.formula.api as smf

import kcm

WIDTHS = (380, 1_400)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a report with every section: two variables, one of them a category."""
    data = kcm.datasets.load("fair").sample(150, random_state=1).reset_index(drop=True)
    data["devout"] = data["religious"] > 2
    fit = smf.ols("rate_marriage ~ age + devout", data=data).fit()
    path = tmp_path_factory.mktemp("report") / "report.html"
    table = kcm.compare_tests(fit, ["KCM", "RESET", "White specification", "Sargan"], rng=0)
    kcm.specification_test(fit).report(path, table, "kcm.specification_test(fit)")
    return Path(path).as_uri()


def column(page: Any, number: int) -> list[str]:
    return page.locator(f"table.sortable tbody td:nth-child({number})").all_inner_texts()


def test_fits_and_shows_its_pictures(report, visit):
    visited = visit(report)
    assert [visited.overflow(width) for width in WIDTHS] == [0, 0]
    assert not visited.broken_images()
    images = visited.page.get_by_role("img")
    # the kernels, the number, the contributions; the category is fitted exactly
    assert images.count() == 3
    assert all(image.get_attribute("alt") for image in images.all())


@pytest.mark.parametrize("width", WIDTHS)
def test_pictures_are_as_wide_as_each_other(report, visit, width: int):
    page = visit(report).page
    page.set_viewport_size({"width": width, "height": 900})
    shown = "all => all.map(i => [i.getBoundingClientRect().width, i.naturalWidth])"
    sizes = page.eval_on_selector_all("img", shown)
    assert len(sizes) == 3
    # letters are then equally large: the same number of them goes into an inch of each file
    assert len({(round(shown), pixels) for shown, pixels in sizes}) == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_captions_of_tables_are_read_without_scrolling(report, visit, width: int):
    page = visit(report).page
    page.set_viewport_size({"width": width, "height": 900})
    ends = """all => all.map(caption => {
        const words = document.createRange();
        words.selectNodeContents(caption);
        return [words.getBoundingClientRect().right,
                caption.closest(".wide").getBoundingClientRect().right];
    })"""
    found = page.eval_on_selector_all(".wide caption", ends)
    assert len(found) >= 5
    assert all(words <= frame for words, frame in found), found


def test_a_click_on_a_heading_sorts_and_a_second_one_turns(report, visit):
    page = visit(report).page
    before = column(page, 2)
    heading = page.get_by_role("button", name="p-value")
    heading.click()
    upwards = column(page, 2)
    assert upwards == sorted(before, key=float)
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("p-value")
    heading.click()
    assert column(page, 2) == upwards[::-1]
    page.get_by_role("button", name="Test").click()
    assert column(page, 1) == ["KCM", "RESET", "White specification"]


def test_reads_in_the_frame_of_a_notebook(report, visit, tmp_path):
    outer = tmp_path / "notebook.html"
    outer.write_text(
        f'<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><title>n</title>'
        f'<iframe src="{report}" title="report" width="100%" height="800"></iframe></html>'
    )
    frame = visit(outer.as_uri()).page.frame_locator("iframe")
    assert frame.get_by_role("heading", name="The answer").is_visible()
    frame.get_by_role("button", name="Statistic").click()
    assert frame.locator("th[aria-sort=ascending]").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_reads_in_light_and_dark(report, visit, scheme: str):
    page = visit(report, color_scheme=scheme).page
    ink, paper = (
        page.evaluate(f"getComputedStyle(document.body).{name}.match(/\\d+/g).map(Number)")
        for name in ("color", "backgroundColor")
    )
    assert (sum(ink) > sum(paper)) == (scheme == "dark")
    assert abs(sum(ink) - sum(paper)) > 450


def test_prints(report, visit, tmp_path):
    page = visit(report).page
    page.emulate_media(media="print")
    page.pdf(path=str(tmp_path / "report.pdf"), format="A4")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
