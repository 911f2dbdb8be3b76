"""Reports. Referees: dense linear algebra, an HTML parser, the result's own numbers."""

import base64
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

import kcm
from kcm.cli import main
from kcm.exceptions import DataError, OptionError
from kcm.moments import FittedMoment
from kcm.reporting.words import CHOSEN, frequency, limits, verdict

CODE = "kcm.specification_test(fit) < 1"
TESTS = ["KCM", "RESET", "Sargan"]
FORMULA = "logwage ~ age + I(age**2)"
SECTIONS = ["question", "verdict", "summary", "where", "limits", "comparison", "data", "code"]


class Reader(HTMLParser):
    """Sections, pictures, addresses and words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.sections += [str(values["id"])] if tag == "section" else []
        self.images += [values] if tag == "img" else []
        self.addresses += [str(values[key]) for key in ("src", "href") if key in values]

    def handle_data(self, data: str) -> None:
        self.words += data


def read(path: Path) -> Reader:
    return Reader(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def fit() -> Any:
    return smf.ols(FORMULA, data=kcm.datasets.load_cps71()).fit()


@pytest.fixture(scope="module")
def result(fit) -> Any:
    return kcm.specification_test(fit)


@pytest.fixture(scope="module")
def table(fit) -> Any:
    return kcm.compare_tests(fit, TESTS, rng=0)


@pytest.fixture(scope="module")
def written(result, table, tmp_path_factory) -> Path:
    return result.report(tmp_path_factory.mktemp("report") / "report.html", table, CODE)


@pytest.fixture(scope="module")
def mixed() -> Any:
    """Test a number and a category, of which the number's square is missing, in clusters."""
    rng = np.random.default_rng(1)
    x, town = rng.normal(size=120), rng.choice(["left", "right <b>"], 120)
    frame = pd.DataFrame({"x": x, "town": town, "y": x + x**2 + rng.normal(size=120)})
    null = kcm.Asymptotic(groups=np.repeat(np.arange(30), 4))
    return kcm.specification_test(smf.ols("y ~ x + town", frame).fit(), null=null)


@pytest.fixture(scope="module")
def moment() -> FittedMoment:
    """Make a vector moment with a jacobian of three columns, of which two are the same."""
    rng = np.random.default_rng(2)
    x, psi = rng.normal(size=(60, 2)), rng.normal(size=(60, 2))
    slopes = np.stack([np.ones((60, 2)), x, x], axis=2)
    return FittedMoment(psi, x, jacobian=slopes, influence=rng.normal(size=(60, 2, 3)))


class TestFile:
    def test_holds_every_section_and_needs_nothing_else(self, result, table, written):
        page = read(written)
        assert page.sections == SECTIONS
        assert all(address.startswith("data:") for address in page.addresses)
        assert f"p = {result.pvalue:.4f}" in page.words
        assert CODE in page.words
        assert table["Sargan"].reason in page.words

    def test_pictures_are_images_with_words(self, written):
        images = read(written).images
        assert len(images) == 2
        for image in images:
            data = base64.b64decode(str(image["src"]).removeprefix("data:image/png;base64,"))
            assert data.startswith(b"\x89PNG")
            assert "age" in str(image["alt"])

    def test_writes_the_same_again_and_leaves_matplotlib_alone(
        self, result, table, written, tmp_path
    ):
        before, figures = dict(mpl.rcParams), plt.get_fignums()
        again = result.report(tmp_path / "report.html", table, CODE)
        assert again.read_bytes() == written.read_bytes()
        assert (dict(mpl.rcParams), plt.get_fignums()) == (before, figures)

    def test_a_number_and_a_category_in_clusters(self, mixed, tmp_path):
        page = read(mixed.report(tmp_path / "report.html"))
        # the kernels, the number, the contributions; the category is fitted exactly
        assert len(page.images) == 3
        assert "By town: this variable's cells are fitted exactly" in page.words
        assert "Observations of different clusters (30) are taken as independent." in page.words
        assert "categories, unordered" in page.words
        # a dummy for each town leaves nothing of the residuals given the town
        shares = mixed.embedding.contributions().variables
        assert shares.loc["town", ["share", "pvalue"]].tolist() == [0.0, 1.0]
        assert "<b>" not in page.words  # a level of the data, which is in pictures only

    def test_a_vector_moment_has_a_picture_by_variable_and_equation(self, moment, tmp_path):
        result = kcm.KCMTest(null=kcm.MultiplierBootstrap(99)).run(moment, 0)
        page = read(result.report(tmp_path / "report.html"))
        assert len(page.images) == 1 + 2 * 2 + 1
        assert "By x2, equation 2." in page.words

    def test_a_kernel_that_was_chosen_by_looking_is_said_to_be(self, fit, written, tmp_path):
        alone = kcm.specification_test(fit, kernel=kcm.kernels.Gaussian())
        assert CHOSEN in read(written).words
        assert CHOSEN not in read(alone.report(tmp_path / "report.html")).words

    def test_the_energy_kernel_has_the_picture_of_the_gaussian(self, fit, tmp_path):
        result = kcm.specification_test(fit, kernel=kcm.kernels.Energy(), statistic="V")
        page = read(result.report(tmp_path / "report.html"))
        alone = kcm.specification_test(fit, kernel=kcm.kernels.Gaussian())
        expected = read(alone.report(tmp_path / "gaussian.html"))
        assert page.images[1] == expected.images[1]
        assert "(by variance)" not in page.words

    def test_text_of_the_data_is_escaped(self, tmp_path):
        x, psi = np.random.default_rng(0).normal(size=(2, 40))
        result = kcm.KCMTest().run(FittedMoment(psi, pd.DataFrame({"<script>": x})))
        text = result.report(tmp_path / "report.html").read_text(encoding="utf-8")
        assert text.count("<script>") == 1
        assert "By &lt;script&gt;." in text

    def test_refusals(self, result, tmp_path):
        with pytest.raises(DataError, match="`path`: there is no folder"):
            result.report(tmp_path / "none" / "report.html")
        with pytest.raises(OptionError, match="`level`"):
            result.report(tmp_path / "report.html", level=5.0)
        with pytest.raises(OptionError, match="`comparison` must be the table"):
            result.report(tmp_path / "report.html", "RESET")
        with pytest.raises(DataError, match="remove_data"):
            result.remove_data().report(tmp_path / "report.html")


class TestAbsorbedShare:
    def test_agrees_with_dense_projections(self, moment):
        kernel = kcm.kernels.Gaussian(1.3)
        gram = np.kron(kcm.gram.matrix(kernel, moment.conditioning), np.eye(2))
        slopes = moment.jacobian.reshape(120, 3)
        rest = np.eye(120) - slopes @ np.linalg.pinv(slopes)
        expected = 1 - np.trace(rest @ gram @ rest) / np.trace(gram)
        embedding = kcm.ConditionalMomentEmbedding(moment, kernel)
        assert embedding.absorbed_share() == pytest.approx(expected, rel=1e-10)

    def test_is_the_share_of_random_functions_in_the_span(self, moment):
        gram = kcm.gram.matrix(kcm.kernels.Gaussian(1.0), moment.conditioning)
        values, vectors = np.linalg.eigh(gram)
        noise = np.random.default_rng(0).normal(size=(60, 4_000))
        functions = vectors @ (np.sqrt(np.maximum(values, 0))[:, None] * noise)
        slopes = moment.jacobian[:, 0]
        fitted = slopes @ np.linalg.pinv(slopes) @ functions
        first = FittedMoment(moment.residuals[:, 0], moment.conditioning, slopes, slopes)
        embedding = kcm.ConditionalMomentEmbedding(first, kcm.kernels.Gaussian(1.0))
        expected = np.sum(fitted**2) / np.sum(functions**2)
        assert embedding.absorbed_share() == pytest.approx(expected, abs=0.02)

    def test_nothing_is_absorbed_when_theta_is_known(self, moment):
        known = FittedMoment(moment.residuals, moment.conditioning)
        embedding = kcm.ConditionalMomentEmbedding(known, kcm.kernels.Gaussian())
        assert embedding.absorbed_share() == 0

    def test_a_kernel_that_is_not_definite_is_refused(self, moment):
        embedding = kcm.ConditionalMomentEmbedding(moment, kcm.kernels.Energy())
        with pytest.raises(OptionError, match="the absorbed share needs"):
            embedding.absorbed_share()


class TestWords:
    @pytest.mark.parametrize(
        ("pvalue", "told"),
        [
            (1.0, "about 100 of 100"),
            (0.5, "about 50 of 100"),
            (0.049, "about 49 of 1,000"),
            (0.001, "about 1 of 1,000"),
            (0.0003, "about 3 of 10,000"),
            (0.00002, "fewer than 1 of 10,000"),
            (0.0, "fewer than 1 of 10,000"),
        ],
    )
    def test_probabilities_are_counts(self, pvalue: float, told: str):
        assert frequency(pvalue) == told

    def test_the_verdict_turns_at_the_level(self):
        assert verdict(0.05, 0.05, ["a", "b"])[0].endswith("for some values of a and b.")
        assert verdict(0.051, 0.05, ["a"])[0].startswith("Nothing in these data")

    def test_shares_are_told_where_there_are_any(self):
        assert "25 %" in limits(0.25, None, ["a"])[1]
        assert "No parameter was estimated" in limits(0.0, None, ["a"])[1]
        assert len(limits(None, 12, ["a"])) == len(limits(0.25, None, ["a"])) - 1


class TestCommand:
    def test_writes_what_python_writes(self, written, tmp_path, capsys):
        output = tmp_path / "report.html"
        words = ["report", FORMULA, "--data", "cps71", "--tests", ",".join(TESTS)]
        words += ["--output", str(output)]
        assert main(words) == 0
        assert capsys.readouterr().out.strip() == str(output)
        assert read(output).sections == read(written).sections
        assert read(output).images == read(written).images
        assert f"kcm {shlex.join(words)}" in read(output).words

    def test_a_folder_that_is_not_there_is_one_line(self, tmp_path, capsys):
        words = ["report", FORMULA, "--data", "cps71", "--tests", "RESET"]
        assert main([*words, "--output", str(tmp_path / "no" / "report.html")]) == 2
        assert capsys.readouterr().err.startswith("kcm: error: `--output`: there is no folder")
