"""Words, colours and panels of pictures.

Referees: matplotlib's own rule for formulas and its renderer, means by pandas, the definition of an
empirical law, and the simulation of dichromats by Vienot, Brettel and Mollon (1999).
"""

import base64
import re
import struct
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from matplotlib import cbook, pyplot

import kcm
from kcm import kernels
from kcm.reporting.figures.shares import draw_shares
from kcm.reporting.figures.size_rates import draw_rates
from kcm.reporting.figures.text import literal, set_title, shortened
from kcm.reporting.figures.words import residual_words
from kcm.simulation import SimulationStudy

HOSTILE = ["price ($)", "$x_1^2$"]
LEVELS = ["$0-$25k", "$25k-$50k", r">$50k \alpha"]
LONG = "a_regressor_with_an_exceedingly_long_name_that_somebody_took_from_a_questionnaire_in_1987"


@pytest.fixture(autouse=True)
def _close():
    yield
    pyplot.close("all")


def texts(figure):
    """What stands in a figure once it is drawn, by artist."""
    figure.canvas.draw()
    found = figure.findobj(mpl.text.Text)
    return [one for one in found if one.get_visible() and one.get_text().strip()]


def numbers(figure):
    """Numbers beside the axes, which may be powers of ten, and lie beyond the ends."""
    plain = mpl.ticker.ScalarFormatter, mpl.ticker.LogFormatter, mpl.ticker.StrMethodFormatter
    axes = [axis for one in figure.axes for axis in (one.xaxis, one.yaxis)]
    axes = [one for one in axes if isinstance(one.get_major_formatter(), plain)]
    return {id(label) for one in axes for label in one.get_ticklabels(which="both")}


def as_drawn(text):
    """What matplotlib makes of a text that is no formula."""
    assert not cbook.is_math_text(text), text
    return text.replace(r"\$", "$")


def sample(names, n=120):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, 2)), columns=names)
    frame["bracket ($)"] = rng.choice(LEVELS, n)
    frame["y ($)"] = frame[names[0]] ** 2 + rng.normal(size=n)
    return frame


def examined(frame, **options):
    first, second, category = frame.columns[:3]
    fit = smf.ols(f"Q('y ($)') ~ Q('{first}') + Q('{second}')", frame).fit()
    return fit, kcm.specification_test(fit, list((first, second, category)), **options)


@pytest.fixture(scope="module")
def hostile():
    return examined(sample(HOSTILE))


@pytest.fixture(scope="module")
def absorbed():
    """Fit the mean in every cell of two dummies and of a category."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"town": rng.choice(["Bern", "Lyon", "Turin"], 205)})
    data["a"], data["b"] = rng.integers(0, 2, (2, 205))
    data["x"] = rng.normal(size=205)
    data["y"] = data["x"] ** 2 + data["a"] + rng.normal(size=205)
    return data


class TestLiteral:
    def test_names_and_levels_are_drawn_letter_by_letter(self, hostile):
        fit, result = hostile
        table = kcm.compare_tests(fit, ["RESET", "White specification"], rng=0)
        pictures = {
            "null": result.plot_null,
            "line": lambda: result.plot_witness(HOSTILE[1]),
            "map": lambda: result.plot_witness(HOSTILE),
            "bars": lambda: result.plot_witness("bracket ($)"),
            "shares": result.plot_contributions,
            "comparison": table.plot,
        }
        told = {name: self.words(draw()) for name, draw in pictures.items()}
        assert set(LEVELS) <= set(told["bars"])
        assert {*HOSTILE, "bracket ($)"} <= set(told["shares"])
        assert HOSTILE[1] in told["line"]
        assert "residual of y ($)" in told["line"]
        assert set(HOSTILE) <= set(told["map"])
        assert any(f"Gaussian on {HOSTILE[0]} (" in words for words in told["null"])

    @staticmethod
    def words(ax):
        ours = [one for one in texts(ax.figure) if id(one) not in numbers(ax.figure)]
        return [" ".join(as_drawn(one.get_text()).split("\n")) for one in ours]

    def test_one_law_and_draws(self):
        frame, one = sample(HOSTILE), kernels.Subspace(kernels.Gaussian(), 1)
        for options in ({"kernel": one}, {"null": kcm.MultiplierBootstrap(99)}):
            told = self.words(examined(frame, **options)[1].plot_null())
            assert any(HOSTILE[1] in words for words in told)

    def test_of_a_study_and_of_rates(self):
        names = {"$a$": kcm.KCMTest(kernels.Gaussian()), "$b$": kcm.KCMTest(kernels.Laplace())}
        settings = {r"$\sigma$": ["$low$", "$high$"], "$n$": [1, 2]}
        study = SimulationStudy(noise, names, [20], settings, n_replications=5)
        results = study.run(rng=0, n_jobs=1, progress=False)
        told = self.words(results.plot_power())
        assert "$n$" in told
        assert r"$a$, $\sigma$ = $low$" in told
        told = self.words(results.plot_pvalues()[0])
        assert r"$\sigma$ = $high$, $n$ = 2" in told
        assert {"$a$", "$b$"} <= set(told)
        told = self.words(draw_rates(["$a$: b"], [0.1], [0.02], [True], 0.05))
        assert "$a$: b" in told

    def test_tex_gets_its_own_escapes(self):
        assert literal("a\n$b_c$ 5 %") == r"a \$b_c\$ 5 %"
        with mpl.rc_context({"text.usetex": True}):
            assert literal("a_b 5 %") == r"a\_b 5 \%"

    def test_nothing_is_cut_off(self):
        """Referee: the renderer's boxes."""
        names = [LONG, f"second_{LONG}"]
        frame = sample(names).rename(columns={"bracket ($)": f"category_{LONG}"})
        _, result = examined(frame)
        category = f"category_{LONG}"
        axes = [
            result.plot_null(),
            result.plot_contributions(),
            result.plot_witness(LONG),
            result.plot_witness(names),
            result.plot_witness(category),
        ]
        for ax in axes:
            shown = [one for one in texts(ax.figure) if id(one) not in numbers(ax.figure)]
            page = ax.figure.bbox
            for one in shown:
                box = one.get_window_extent()
                assert box.x0 > page.x0 - 1, one.get_text()
                assert box.x1 < page.x1 + 1, one.get_text()
                assert box.y0 > page.y0 - 1, one.get_text()
                assert box.y1 < page.y1 + 1, one.get_text()
            explained = ax.get_legend()
            if explained is not None:
                below = ax.xaxis.get_tightbbox().y0
                assert explained.get_window_extent().y1 <= below + 1
            assert ax.bbox.width > page.width / 3
            assert ax.bbox.height > page.height / 3

    def test_a_text_is_cut_at_the_width_with_dots(self):
        lines = shortened(f"Mean of {LONG} and of {LONG}", 150.0, 10.0, 2).split("\n")
        assert len(lines) == 2
        assert lines[1].endswith("...")
        assert shortened("short", 150.0, 10.0) == "short"


class TestMarks:
    """What the words and the ticks of a picture say of its marks."""

    def test_a_title_is_broken_only_where_it_is_wider_than_the_axes(self):
        figure, ax = pyplot.subplots(figsize=(4.4, 3.0))
        text = "Mean residual of wage given educ and exper"
        set_title(ax, text, "a note")
        assert ax.get_title() == f"{text}\na note"
        # the referee: the width that the renderer gives the line
        figure.canvas.draw()
        assert ax.title.get_window_extent().width <= ax.bbox.width
        set_title(ax, f"{text} and {LONG}", "a note")
        assert ax.get_title().count("\n") > 1

    def test_shares_have_no_ticks_beyond_all_of_it(self):
        ax = draw_shares(["a", "b"], np.array([1.0, 0.0]), np.array([0.01, 1.0]), np.zeros(2, bool))
        assert max(ax.get_xticks()) == 1.0
        assert ax.get_xlim()[1] > 1.0

    def test_the_legend_of_a_size_check_says_what_each_mark_is(self):
        ax = draw_rates(["a", "b", "c"], [0.1, 0.04, 0.06], [0.02] * 3, [True, False, True], 0.05)
        entries = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
        assert list(entries) == ["law used", "another law", "two standard errors", "level 0.05"]
        colors = {name: entries[name].get_facecolor()[0].tolist() for name in list(entries)[:2]}
        assert colors == {"law used": [0, 0, 0, 1], "another law": [1, 1, 1, 1]}
        places = {name: entries[name].get_offsets().tolist() for name in colors}
        assert places == {"law used": [[0.1, 0], [0.06, 2]], "another law": [[0.04, 1]]}

    def test_without_another_law_the_legend_has_none(self):
        ax = draw_rates(["a"], [0.1], [0.02], [True], 0.05)
        assert "another law" not in ax.get_legend_handles_labels()[1]

    def test_a_comparison_names_the_residual_by_its_outcome(self):
        data = kcm.datasets.load_cps71().assign(wage=lambda d: np.exp(d["logwage"]))
        table = kcm.compare_tests(smf.ols("np.log(wage) ~ age", data).fit(), ["RESET"])
        assert table.plot().get_title() == "statsmodels OLS, residual of log wage"
        assert table.model == "statsmodels OLS, np.log(wage) - x'b"


class TestFittedExactly:
    def sentence(self, ax):
        assert not ax.patches
        assert not ax.collections
        assert not ax.lines
        (only,) = ax.texts
        return only.get_text()

    @pytest.mark.parametrize(
        ("formula", "variables"),
        [
            ("y ~ x + town", "town"),
            ("y ~ x + town + a", "a"),
            ("y ~ x + a * b", ["a", "b"]),
            ("y ~ x + I(1e6 * a)", "a"),
        ],
    )
    def test_is_said_instead_of_a_picture_of_rounding(self, absorbed, formula, variables):
        fit = smf.ols(formula, absorbed).fit()
        means = fit.resid.groupby([absorbed[name] for name in np.atleast_1d(variables)]).mean()
        assert np.abs(means).max() < 1e-10
        result = kcm.specification_test(fit, ["x", *np.atleast_1d(variables)])
        whose = "this variable's" if isinstance(variables, str) else "these variables'"
        expected = f"{whose} cells are fitted exactly"
        assert self.sentence(result.plot_witness(variables)) == expected

    def test_of_a_logit_and_a_poisson_model(self, absorbed):
        data = absorbed.assign(z=(absorbed["y"] > 1).astype(int))
        for model in (smf.logit, smf.poisson):
            fit = model("z ~ x + town", data).fit(disp=0)
            result = kcm.specification_test(fit, ["x", "town"])
            assert "fitted exactly" in self.sentence(result.plot_witness("town"))

    def test_of_some_levels_only_these_have_no_bar(self, absorbed):
        fit = smf.ols("y ~ x + I(town == 'Lyon')", absorbed).fit()
        result = kcm.specification_test(fit, ["x", "town"])
        ax = result.plot_witness("town", kernel=kernels.Kronecker())
        assert [round(bar.get_x() + bar.get_width() / 2) for bar in ax.patches] == [0, 2]
        assert [(one.get_position()[0], one.get_text()) for one in ax.texts] == [
            (1, "fitted\nexactly")
        ]
        means = fit.resid.groupby(absorbed["town"]).mean()
        heights = [bar.get_height() for bar in ax.patches]
        assert heights == pytest.approx(means[["Bern", "Turin"]].to_list())

    def test_contributions_have_no_bar_of_nothing(self, absorbed):
        result = kcm.specification_test(smf.ols("y ~ x + town", absorbed).fit())
        found = result.embedding.contributions()
        assert found.variables["fitted_exactly"].to_list() == [False, True]
        ax = found.plot()
        assert [bar.get_width() for bar in ax.patches] == [1.0]
        assert [one.get_text() for one in ax.texts][1] == "fitted exactly"
        assert "1.0000" not in str(found.summary())

    def test_the_report_says_so_without_a_picture(self, absorbed, tmp_path):
        result = kcm.specification_test(smf.ols("y ~ x + town", absorbed).fit())
        text = result.report(tmp_path / "report.html").read_text(encoding="utf-8")
        assert "By town: this variable&#x27;s cells are fitted exactly" in text
        assert "given town" not in text
        assert text.count("<img") == 3


class TestKernelWords:
    @pytest.mark.parametrize(
        ("kernel", "expected"),
        [
            (kernels.Gaussian([0.94, 4.6, 123.4]), "Gaussian on a (0.94), b (4.6), c (123)"),
            (kernels.Laplace(2.0), "Laplace on a, b, c (2 each)"),
            (kernels.Subspace(kernels.Matern(0.5, 2.5), 1), "Matern (nu = 2.5) on b (0.5)"),
            (
                kernels.Subspace(kernels.Gaussian(1.0), 2)
                * kernels.Subspace(kernels.AitchisonAitken(0.2, 3), [0, 1]),
                "Gaussian on c (1); categories a, b",
            ),
            (
                kernels.Subspace(kernels.Gaussian(1.0), 0) * kernels.Subspace(kernels.Linear(), 1)
                + 0.5 * kernels.Subspace(kernels.WangVanRyzin(0.2), 2),
                "(Gaussian on a (1); Linear on b (1)) + 0.5 x (ordered categories c)",
            ),
            (kernels.Orthant(), "Orthant on a, b, c"),
            (kernels.Polynomial(3), "Polynomial (degree = 3) on a, b, c"),
            (kernels.Gaussian(1.0) ** 2, "(Gaussian on a, b, c (1 each))^2"),
            (kernels.Constant(2.0), "constant 2"),
            (
                kernels.LinearIndex([1.0, 2.0, 3.0], kernels.Gaussian(0.7)),
                "Gaussian on index of a, b, c (0.7)",
            ),
            (
                kernels.Additive(kernels.Laplace([1.0, 2.0, 3.0])),
                "sum of one-column kernels, Laplace on a (1), b (2), c (3)",
            ),
        ],
    )
    def test_names_the_columns(self, kernel, expected):
        assert kernel.describe(["a", "b", "c"]) == expected

    def test_many_columns_are_counted(self):
        names = [f"x{k}" for k in range(1, 51)]
        told = kernels.Gaussian(np.linspace(1, 50, 50)).describe(names)
        assert told == "Gaussian on x1, x2, x3, ..., x50, 50 columns (1 to 50)"

    def test_summaries_have_no_nested_calls_and_records_keep_them(self, hostile):
        _, result = hostile
        told = str(result.summary())
        assert "Subspace" not in told
        assert told.count("categories bracket ($)") == 5
        length = result.kernel_tests[0].kernel.left.kernel.bandwidth[0]
        assert f"Gaussian on price ($) ({length:.3g})" in told
        assert repr(result.kernel) == result.to_dict()["kernel"]
        assert "Subspace(kernel=" in repr(result.kernel)

    def test_of_an_estimation(self):
        results = kcm.MMR.from_formula("logwage ~ age", kcm.datasets.load_cps71()).fit()
        assert re.search(r"kernel \w+ on age \([\d.]+\)", str(results.summary()))


class TestCombination:
    def test_members_stand_on_a_line_with_the_combined_pvalue(self, hostile):
        _, result = hostile
        ax = result.plot_null(0.1)
        assert ax.get_xscale() == "log"
        assert not ax.patches
        marks = [one for one in ax.lines if one.get_marker() == "o"]
        members, together = (mark.get_xdata() for mark in marks)
        assert members.tolist() == [test.pvalue for test in result.kernel_tests]
        assert together.tolist() == [result.pvalue]
        (level,) = (one for one in ax.lines if one.get_label() == "level 0.1")
        assert level.get_xdata()[0] == 0.1

    def test_of_a_penalised_maximum(self):
        data = kcm.datasets.load_cps71()
        kernel = kcm.PenalizedMaximum([kernels.Gaussian(), kernels.Laplace()])
        fit = smf.ols("logwage ~ age", data).fit()
        ax = kcm.specification_test(fit, kernel=kernel).plot_null()
        assert [len(one.get_xdata()) for one in ax.lines if one.get_marker() == "o"] == [2, 1]

    def test_a_pvalue_too_small_for_the_line_is_an_arrow(self):
        x = np.linspace(-1, 1, 205)
        result = kcm.KCMTest("adaptive").run(kcm.FittedMoment(x + 3, x))
        assert result.pvalue < 1e-13
        ax = result.plot_null()
        arrows = [one for one in ax.lines if one.get_marker() == 8]
        assert sum(len(one.get_xdata()) for one in arrows) == 6
        assert min(one.get_xdata().min() for one in arrows) >= ax.get_xlim()[0]


# Of linear red, green and blue: what protanopes and deuteranopes see (Vienot et al. 1999).
DICHROMATS = {
    "protan": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    "deutan": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
}


class TestMap:
    @pytest.fixture
    def mesh(self, hostile):
        ax = hostile[1].plot_witness(HOSTILE)
        return next(one for one in ax.collections if one.get_cmap().name == "RdBu_r")

    def test_colours_are_centred_at_zero(self, mesh):
        assert mesh.norm(0.0) == pytest.approx(0.5)
        assert mesh.levels[0] == -mesh.levels[-1]
        # the middle step, around zero, is white or nearly so
        middle = len(mesh.levels) // 2
        assert mesh.levels[middle - 1] < 0 < mesh.levels[middle]
        assert min(mesh.get_facecolor()[middle - 1][:3]) > 0.95

    def test_both_ends_are_told_apart_with_any_colour_vision_and_alike_in_grey(self, mesh):
        low, high = (linear(mesh.cmap(end)[:3]) for end in (0.05, 0.95))
        luminance = np.array([0.2126, 0.7152, 0.0722])
        assert abs(luminance @ low - luminance @ high) < 0.1
        for matrix in DICHROMATS.values():
            assert np.abs(matrix @ low - matrix @ high).max() > 0.15

    def test_below_zero_is_dashed_for_print(self, hostile):
        ax = hostile[1].plot_witness(HOSTILE)
        lines = next(one for one in ax.collections if one.get_linewidth()[0] == 0.5)
        dashed = [style[1] is not None for style in lines.get_linestyle()]
        assert dashed == [level < 0 for level in lines.levels]


def linear(color):
    c = np.array(color)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("np.log(wage) - x'b", "residual of log wage"),
        ("logwage - x'b", "residual of logwage"),
        ("np.log(y + 1) - x'b", "residual of log (y + 1)"),
        ("np.sqrt(y) - x'b", "residual of square root of y"),
        ("I(y / 100) - x'b", "residual of y / 100"),
        ('Q("price ($)") - x\'b', "residual of price ($)"),
        ("a - b - x'b", "residual of a - b"),
        ("y - P(y=1 | x'b)", "residual of y"),
        ("y - exp(x'b + log(exposure))", "residual of y"),
        ("1{y <= x'b} - 0.5", "residual of y at the quantile 0.5"),
        ("y - f(x)", "residual of y"),
        ("(y - x'b) - (z - x'b)", "(y - x'b) - (z - x'b)"),
        ("np.log(a) / np.log(b) - x'b", "residual of np.log(a) / np.log(b)"),
        ("psi", "psi"),
    ],
)
def test_residuals_are_named_by_their_outcome(moment, expected):
    assert residual_words(moment, 0, 1) == expected


def test_axes_say_which_residual_they_show():
    data = kcm.datasets.load_cps71().assign(wage=lambda d: np.exp(d["logwage"]))
    fit = smf.ols("np.log(wage) ~ age", data).fit()
    ax = kcm.specification_test(fit, kernel=kernels.Gaussian()).plot_witness()
    assert ax.get_ylabel() == "residual of log wage"
    assert ax.get_title() == "Mean residual of log wage given age"


class TestPanels:
    @pytest.fixture
    def results(self):
        tests = {name: kcm.KCMTest(kernels.Gaussian(k)) for k, name in enumerate("abc", start=1)}
        settings = [20, 30, 40], {"size": [0.0, 1.0]}
        study = SimulationStudy(bent, tests, *settings, n_replications=5)
        return study.run(rng=0, n_jobs=1, progress=False)

    def test_each_cell_has_a_panel_and_each_procedure_one_entry(self, results):
        axes = results.plot_pvalues()
        assert len(axes) == 6
        figure = axes[0].figure
        figure.canvas.draw()
        assert [one.get_text() for one in figure.legends[0].get_texts()] == ["a", "b", "c"]
        assert all(ax.get_legend() is None for ax in axes)
        assert axes[0].get_title() == "n_obs = 20, size = 0.0"
        frame = results.to_frame()
        own = frame[(frame.n_obs == 30) & (frame["size"] == 1.0) & (frame.procedure == "b")]
        (panel,) = (ax for ax in axes if ax.get_title() == "n_obs = 30, size = 1.0")
        (curve,) = (line for line in panel.lines if line.get_label() == "b")
        x, y = curve.get_data()
        for p in own.pvalue:
            assert y[np.searchsorted(x, p, side="right") - 1] == np.mean(own.pvalue <= p)
        assert len(panel.lines) == 4  # the diagonal, too

    def test_on_axes_of_the_user(self, results):
        given = pyplot.subplots(2, 3)[1]
        assert (results.plot_pvalues(given) == given.ravel()).all()
        with pytest.raises(kcm.OptionError, match="each of the 6 panels; got 1"):
            results.plot_pvalues(given[0, 0])

    def test_many_procedures_have_panels_of_their_own(self):
        tests = {f"test {k}": kcm.KCMTest(kernels.Gaussian(float(k))) for k in range(1, 8)}
        study = SimulationStudy(bent, tests, [20], {"size": [0.0]}, n_replications=5)
        axes = study.run(rng=0, n_jobs=1, progress=False).plot_pvalues()
        axes[0].figure.canvas.draw()
        assert [len(ax.lines) for ax in axes] == [2] * 7
        assert axes[6].get_title() == "procedure = test 7"


def bent(rng, n, size):
    x = rng.normal(size=n)
    return kcm.FittedMoment(size * np.sin(2 * x) + rng.normal(size=n), x)


def noise(rng, n, **settings):
    x, psi = rng.normal(size=(2, n))
    return kcm.FittedMoment(psi, x)


class TestReport:
    @staticmethod
    def pictures(path):
        found = re.findall(r"data:image/png;base64,([^\"]+)", path.read_text(encoding="utf-8"))
        return [base64.b64decode(one) for one in found]

    def test_pictures_have_one_width_and_letters_of_one_size(self, hostile, tmp_path):
        _, result = hostile
        given = self.pictures(result.report(tmp_path / "a.html"))
        # width and height stand behind the signature of a PNG and the name of its first chunk
        widths = {struct.unpack(">II", data[16:24])[0] for data in given}
        assert len(given) == 5
        assert len(widths) == 1
        with mpl.rc_context({"font.size": 22.0, "figure.facecolor": "black", "axes.grid": True}):
            assert self.pictures(result.report(tmp_path / "b.html")) == given


def test_every_name_of_the_reference_is_there_in_a_fresh_session():
    """Referee: docs/api.md, and an interpreter that has imported nothing else."""
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    names = re.findall(r"^   ([a-z_]+\.\w+)$", page, re.MULTILINE)
    assert "comparison.names" in names
    program = "import sys, kcm\nfor name in sys.argv[1:]: eval('kcm.' + name)"
    first = "import kcm; print(kcm.comparison.names()[0])"
    for one, words in ((program, names), (first, [])):
        run = subprocess.run(
            [sys.executable, "-c", one, *words], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "KCM"
