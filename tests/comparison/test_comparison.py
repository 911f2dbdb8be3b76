"""The table of tests: its rows, words, picture and what it leaves alone.

Referees: `specification_test` and the packages for the numbers; for the rest the promises that the
docstrings make.
"""

import pickle
import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from linearmodels.iv import IV2SLS
from matplotlib import pyplot
from refusals import messages
from statsmodels.sandbox.regression import gmm

import kcm
from kcm.adapters import fitted_moment
from kcm.comparison import names, registry
from kcm.comparison.entry import Entry

COLUMNS = (
    "name",
    "null_hypothesis",
    "concerns",
    "statistic",
    "distribution",
    "pvalue",
    "consistent",
    "seconds",
    "reason",
)
REGRESSION = [
    "RESET",
    "RESET classical",
    "rainbow",
    "Harvey-Collier",
    "White specification",
    "Breusch-Pagan",
]
TWO_STAGE = ["Sargan", "Wooldridge"]
CLASSICAL = [*REGRESSION, "Hansen J", *TWO_STAGE]
SEED = int(np.random.default_rng(0).integers(2**63))  # drawn first from `rng=0`
# Kernel and statistic of the tests that compare numbers.
KERNELS = {
    "ICM": (kcm.kernels.ICM(transform="arctan"), "V"),
    "Stute": (kcm.kernels.Orthant(), "V"),
    "Escanciano": (kcm.kernels.Projection(), "V"),
    "Zheng": (kcm.kernels.Smooth(), "U"),
    "Lavergne-Patilea": (kcm.kernels.SmoothICM(seed=SEED), "U"),
}


def arrays(rng, n=100):
    x, z = rng.normal(size=(2, n))
    return 1 + x - z + rng.normal(size=n), sm.add_constant(np.column_stack([x, z]))


def ols(rng):
    return sm.OLS(*arrays(rng)).fit()


def wls(rng):
    y, x = arrays(rng)
    return sm.WLS(y, x, weights=np.exp(x[:, 1])).fit()


def glm(rng):
    y, x = arrays(rng)
    return sm.GLM(rng.poisson(np.exp(y / 3)), x, family=sm.families.Poisson()).fit()


def logit(rng):
    y, x = arrays(rng)
    return sm.Logit(1.0 * (y > 1), x).fit(disp=0)


def poisson(rng):
    y, x = arrays(rng)
    return sm.Poisson(rng.poisson(np.exp(y / 3)), x).fit(disp=0)


def quantile(rng):
    return sm.QuantReg(*arrays(rng)).fit()


def endogenous(rng):
    z, u, e = rng.normal(size=(3, 100, 2))
    x = z.sum(axis=1) + u[:, 0]
    return 1 + x + u[:, 0] + e[:, 0], x, z


def iv_of_linearmodels(rng):
    y, x, z = endogenous(rng)
    return IV2SLS(y, np.ones(100), x, z).fit()


def iv_of_statsmodels(rng):
    y, x, z = endogenous(rng)
    return gmm.IV2SLS(y, sm.add_constant(x), sm.add_constant(z)).fit()


def mmr(rng):
    y, x = arrays(rng)
    return kcm.MMR.from_formula("y ~ x + z", {"y": y, "x": x[:, 1], "z": x[:, 2]}).fit()


def moment(rng):
    return kcm.FittedMoment(rng.normal(size=100), rng.normal(size=(100, 2)))


# Fit -> the classical tests that it has.
FITS = {
    ols: REGRESSION,
    wls: ["RESET", "RESET classical", "rainbow", "Harvey-Collier", "Breusch-Pagan"],
    glm: [],
    logit: [],
    poisson: [],
    quantile: [],
    iv_of_linearmodels: TWO_STAGE,
    iv_of_statsmodels: TWO_STAGE,
    mmr: [],
    moment: [],
}
SENTENCE = re.compile(r"^[A-Z].*\.$")


@pytest.fixture(scope="module", params=FITS, ids=lambda make: make.__name__)
def compared(request):
    """Return a fit of each kind, its table, and the classical tests that it has."""
    fit = request.param(np.random.default_rng(20200802))
    return fit, kcm.compare_tests(fit, rng=0), FITS[request.param]


class TestEveryKindOfFit:
    def test_each_row_is_a_number_or_a_sentence(self, compared):
        _, table, _ = compared
        assert tuple(row.name for row in table.rows) == names()
        for row in table.rows:
            assert row.computed == bool(np.isfinite([row.statistic, row.pvalue]).all())
            assert row.computed == bool(row.distribution)
            assert row.computed or SENTENCE.match(row.reason)
            assert not row.computed or 0 <= row.pvalue <= 1

    def test_classical_tests_are_made_where_they_apply(self, compared):
        _, table, expected = compared
        assert [name for name in CLASSICAL if table[name].computed] == expected

    def test_kernel_tests_are_made_of_every_fit(self, compared):
        _, table, _ = compared
        made = [row.name for row in table.rows if row.consistent and row.computed]
        assert set(made) == {"KCM", "KCM adaptive", *KERNELS, "Hsiao-Li-Racine"}

    @pytest.mark.parametrize(
        ("name", "kernel"), [("KCM", kcm.kernels.Gaussian()), ("KCM adaptive", "adaptive")]
    )
    def test_the_first_rows_are_the_specification_test(self, compared, name, kernel):
        fit, table, _ = compared
        row, result = table[name], kcm.specification_test(fit, kernel=kernel)
        assert (row.statistic, row.pvalue) == (result.statistic, result.pvalue)
        assert row.null_hypothesis == result.null_hypothesis
        assert row.distribution == result.null_distribution.describe()

    @pytest.mark.parametrize("name", KERNELS)
    def test_kernel_rows_are_the_test_with_their_kernel(self, compared, name):
        fit, table, _ = compared
        moment, (kernel, statistic) = fitted_moment(fit), KERNELS[name]
        # of the five only Escanciano's test depends on units, and none beside it changes with them
        unit = moment.conditioning / moment.conditioning.std(axis=0)
        by_unit = kcm.FittedMoment(
            moment.residuals, unit, moment.jacobian, moment.influence, moment.scale
        )
        result = kcm.KCMTest(kernel, statistic, kcm.Asymptotic()).run(by_unit)
        assert table[name].pvalue == pytest.approx(result.pvalue, rel=1e-6)

    def test_frame(self, compared):
        frame = compared[1].to_frame()
        told = [name for name in frame if pd.api.types.is_string_dtype(frame[name])]
        assert tuple(frame) == COLUMNS
        assert told == ["name", "null_hypothesis", "concerns", "distribution", "reason"]
        assert frame[["statistic", "pvalue", "seconds"]].dtypes.unique().tolist() == [np.float64]
        assert frame["consistent"].dtype == bool
        assert not frame.drop(columns=["statistic", "pvalue"]).isna().any(axis=None)
        assert frame["pvalue"].isna().equals(frame["reason"] != "")

    def test_pickle(self, compared):
        table = compared[1]
        copy = pickle.loads(pickle.dumps(table))
        assert repr(copy) == repr(table)
        pd.testing.assert_frame_equal(copy.to_frame(), table.to_frame())


class TestKernelRows:
    def test_stute_by_a_loop(self, rng):
        """The residuals are cumulated below each observation and the sums squared."""
        fit = ols(rng)
        x, residuals = fit.model.exog[:, 1:], fit.resid
        sums = [residuals[(x <= corner).all(axis=1)].sum() for corner in x]
        row = kcm.compare_tests(fit, "Stute")["Stute"]
        assert row.statistic == pytest.approx(np.sum(np.square(sums)) / 100**2, rel=1e-9)

    @pytest.mark.parametrize("make", [ols, logit])
    def test_dominguez_lobato_by_a_loop(self, rng, make):
        """As Stute, below each fitted value."""
        fit = make(rng)
        fitted = fit.predict()
        residuals = fit.model.endog - fitted
        sums = np.cumsum(residuals[np.argsort(fitted)])
        row = kcm.compare_tests(fit, "Dominguez-Lobato")["Dominguez-Lobato"]
        assert row.statistic == pytest.approx(np.sum(sums**2) / 100**2, rel=1e-9)
        assert row.null_hypothesis.endswith("| fitted value] = 0")

    def test_dominguez_lobato_repeats_rows_with_frequencies(self, rng):
        y, x = arrays(rng, 60)
        counts = rng.integers(1, 4, size=60)
        weighted = sm.GLM(y, x, freq_weights=counts).fit()
        repeated = sm.GLM(np.repeat(y, counts), np.repeat(x, counts, axis=0)).fit()
        rows = [kcm.compare_tests(f, "Dominguez-Lobato").rows[0] for f in (weighted, repeated)]
        assert rows[0].pvalue == pytest.approx(rows[1].pvalue, rel=1e-6)

    @pytest.mark.parametrize("make", [iv_of_linearmodels, iv_of_statsmodels, mmr, moment])
    def test_dominguez_lobato_needs_exogenous_fitted_values(self, rng, make):
        row = kcm.compare_tests(make(rng), "Dominguez-Lobato")["Dominguez-Lobato"]
        assert "fitted values of exogenous regressors" in row.reason

    def test_escanciano_does_not_depend_on_units(self, rng):
        y, x = arrays(rng)
        scaled = sm.OLS(y, x * [1.0, 1000.0, 0.01]).fit()
        rows = [kcm.compare_tests(f, "Escanciano").rows[0] for f in (sm.OLS(y, x).fit(), scaled)]
        assert rows[0].pvalue == pytest.approx(rows[1].pvalue, rel=1e-6)

    def test_cubic_tests_say_why_in_a_large_sample(self, rng):
        table = kcm.compare_tests(sm.OLS(*arrays(rng, 5_000)).fit(), ["Stute", "Escanciano"])
        assert all("up to" in row.reason and "5,000" in row.reason for row in table.rows)

    def test_categories_without_an_order_go_to_the_kernels_that_take_them(self, rng):
        fit = smf.ols("y ~ x + town + owner", mixed(rng)).fit()
        table = kcm.compare_tests(fit)
        of_categories = ["KCM", "KCM adaptive", "Hsiao-Li-Racine", "Dominguez-Lobato"]
        numeric = [name for name in names() if name not in [*of_categories, *CLASSICAL]]
        assert numeric == list(KERNELS)
        assert all("town holds categories" in table[name].reason for name in numeric)
        assert all(table[name].computed for name in of_categories)

    def test_two_levels_are_numbers(self, rng):
        data = mixed(rng)
        owners = smf.ols("y ~ x + owner", data).fit()
        as_numbers = smf.ols("y ~ x + owner", data.assign(owner=1.0 * data["owner"])).fit()
        tables = [kcm.compare_tests(fit, list(KERNELS), rng=0) for fit in (owners, as_numbers)]
        pvalues = [table.to_frame()["pvalue"] for table in tables]
        assert pvalues[0].notna().all()
        pd.testing.assert_series_equal(*pvalues)


def mixed(rng, n=120):
    x, z = rng.normal(size=(2, n))
    town = rng.choice(["Bern", "Genf", "Basel"], size=n)
    school = pd.Categorical(rng.choice(["low", "mid", "high"], n), ["low", "mid", "high"], True)
    owner = rng.random(n) < 0.4
    y = 1 + x + 0.5 * owner + (town == "Bern") + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "z": z, "town": town, "owner": owner, "school": school})


CONDITIONING = ["x", "z", "town", "owner", "school"]


class TestData:
    def test_a_frame_of_many_types_is_left_as_it_was(self, rng):
        data = mixed(rng)
        before = data.copy(deep=True)
        fit = smf.ols("y ~ x + town + owner + C(school)", data).fit()
        result = kcm.specification_test(fit, conditioning=CONDITIONING)
        kernel = kcm.kernels.for_frame(data[CONDITIONING])
        alone = kcm.specification_test(fit, conditioning=CONDITIONING, kernel=kernel)
        table = kcm.compare_tests(fit, conditioning=CONDITIONING, rng=0)
        pd.testing.assert_frame_equal(data, before)
        assert (table["KCM"].pvalue, table["KCM adaptive"].pvalue) == (alone.pvalue, result.pvalue)
        assert table["KCM"].null_hypothesis == f"E[y - x'b | {', '.join(CONDITIONING)}] = 0"
        assert table["RESET"].computed

    def test_a_frame_as_conditioning_is_left_as_it_was(self, rng):
        data = mixed(rng)
        fit, conditioning = smf.ols("y ~ x", data).fit(), data[CONDITIONING][::-1]
        before = conditioning.copy(deep=True)
        by_frame = kcm.compare_tests(fit, "KCM", conditioning)
        pd.testing.assert_frame_equal(conditioning, before)
        assert by_frame["KCM"].pvalue == kcm.compare_tests(fit, "KCM", CONDITIONING)["KCM"].pvalue

    def test_classical_rows_do_not_look_at_the_conditioning(self, rng):
        fit = smf.ols("y ~ x", mixed(rng)).fit()
        frames = [kcm.compare_tests(fit, CLASSICAL, c).to_frame() for c in (None, CONDITIONING)]
        compared = ["statistic", "pvalue", "reason"]
        pd.testing.assert_frame_equal(*(frame[compared] for frame in frames))

    def test_dependence_is_warned_of_once(self, rng):
        fit = smf.ols("y ~ x", mixed(rng)).fit()
        robust = fit.get_robustcov_results("cluster", groups=np.arange(120) // 6)
        with pytest.warns(kcm.DependenceWarning, match="specification_test") as caught:
            kcm.compare_tests(robust, ["KCM", "RESET"])
        assert len(caught) == 1


class TestRandomness:
    def frame(self, fit, rng, tests="all"):
        return kcm.compare_tests(fit, tests, rng=rng).to_frame().drop(columns="seconds")

    def test_the_same_seed_gives_the_same_table(self, rng):
        fit = ols(rng)
        pd.testing.assert_frame_equal(self.frame(fit, 7), self.frame(fit, 7))

    def test_another_seed_draws_other_directions_and_changes_nothing_else(self, rng):
        fit = ols(rng)
        one, other = (self.frame(fit, seed).set_index("name")["statistic"] for seed in (7, 8))
        differing = (one != other) & one.notna()
        assert list(one[differing].index) == ["Lavergne-Patilea"]

    def test_a_row_does_not_depend_on_the_others(self, rng):
        fit, backwards = ols(rng), list(names())[::-1]
        whole = self.frame(fit, 7).set_index("name")
        pd.testing.assert_frame_equal(
            self.frame(fit, 7, backwards).set_index("name"), whole.loc[backwards]
        )

    def test_a_generator_moves_on(self, rng):
        generator = np.random.default_rng(1)
        kcm.compare_tests(ols(rng), "RESET", rng=generator)
        assert generator.integers(1000) != np.random.default_rng(1).integers(1000)


class TestNames:
    def test_rows_come_in_the_order_asked_for_and_once(self, rng):
        table = kcm.compare_tests(ols(rng), ("rainbow", "KCM", "rainbow"))
        assert [row.name for row in table.rows] == ["rainbow", "KCM"]
        assert len(table) == 2

    def test_unknown_names_are_refused_with_the_list(self, rng):
        with pytest.raises(kcm.OptionError) as caught:
            kcm.compare_tests(ols(rng), ["KCM", "Reset "])
        assert "did you mean 'RESET'" in str(caught.value)
        assert all(name in str(caught.value) for name in names())

    def test_a_row_that_is_not_there(self, rng):
        with pytest.raises(kcm.OptionError, match="Its rows are KCM"):
            kcm.compare_tests(ols(rng), "KCM")["RESET"]

    def test_options_are_refused_in_a_sentence(self):
        fit = "kcm.FittedMoment([1.0, -1.0, 2.0], [0.0, 1.0, 2.0])"
        calls = [f"kcm.compare_tests({fit}, {tests})" for tests in ("[]", "3", "None", "[3]")]
        told = messages(calls, "OptionError")
        assert len(told) == len(calls)
        assert all(line.startswith("`tests`") and "Breusch-Pagan" in line for line in told)

    def test_what_is_no_fit_is_refused(self):
        with pytest.raises(kcm.UnsupportedModelError, match="must be a fitted result"):
            kcm.compare_tests(3)


class TestFailures:
    """A test that breaks has a row that says so, whatever it raises."""

    def table(self, monkeypatch, rng, compute):
        entry = Entry("nothing", "mean", False, compute)
        monkeypatch.setattr(registry, "REGISTRY", {"RESET": entry})
        return kcm.compare_tests(ols(rng), "RESET")

    def test_an_error_of_another_package(self, monkeypatch, rng):
        def compute(subject):
            raise np.linalg.LinAlgError("Singular\nmatrix")

        row = self.table(monkeypatch, rng, compute)["RESET"]
        assert row.reason == "The computation failed with LinAlgError: Singular matrix."

    def test_a_statistic_that_is_no_number(self, monkeypatch, rng):
        row = self.table(monkeypatch, rng, lambda subject: registry.Finding(np.nan, 1.0, "F"))
        assert "came out as nan" in row["RESET"].reason
        assert row["RESET"].distribution == ""


@pytest.fixture
def table():
    fit = smf.ols("logwage ~ age + I(age**2)", data=kcm.datasets.load_cps71()).fit()
    return kcm.compare_tests(fit, rng=0)


class TestSummary:
    def test_computed_rows_are_in_the_table_and_others_below(self, table):
        body, notes = str(table.summary()).rsplit("=" * 20, 1)
        assert all(row.computed == (row.name in body) for row in table.rows)
        assert "Not computed, Hansen J, Sargan, Wooldridge:" in notes.replace("\n  ", " ")
        assert "Breusch-Pagan *" in body

    def test_numbers_are_those_of_the_rows(self, table):
        line = next(t for t in str(table.summary()).splitlines() if t.startswith("KCM "))
        assert line.split()[1:4] == ["0.0051", "yes", f"{table['KCM'].statistic:.6g}"]

    def test_html_and_latex(self, table):
        page, text = table.summary().as_html(), table.summary().as_latex()
        assert page == table._repr_html_()
        assert page.count("<tr>") == 1 + sum(row.computed for row in table.rows)
        assert "<td style='text-align:left'>Breusch-Pagan *</td>" in page
        assert text.startswith("\\begin{tabular}{llllll}")

    def test_nothing_computed(self, rng):
        summary = kcm.compare_tests(logit(rng), REGRESSION).summary()
        assert "Not computed, RESET, RESET classical, rainbow" in str(summary)
        assert summary.as_html()
        assert summary.as_latex()


class TestPlot:
    def test_marks_stand_at_the_pvalues(self, table):
        ax = table.plot()
        pyplot.close(ax.figure)
        drawn = {
            (round(float(y)), float(x))
            for line in ax.get_lines()
            if line.get_linestyle() == "None"
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
        }
        expected = {(k, row.pvalue) for k, row in enumerate(table.rows) if row.computed}
        assert drawn == expected
        assert ax.get_xscale() == "log"
        assert [t.get_text() for t in ax.get_yticklabels()] == [row.name for row in table.rows]

    def test_levels_are_marked_in_black_and_told_apart_by_their_dashes(self, table):
        ax = table.plot()
        pyplot.close(ax.figure)
        levels = [line for line in ax.get_lines() if line.get_label().startswith("level ")]
        assert [line.get_xdata()[0] for line in levels] == [0.01, 0.05, 0.10]
        assert len({line.get_linestyle() for line in levels}) == 3
        assert {line.get_color() for line in ax.get_lines()} == {"black"}

    def test_axes_are_taken_and_settings_left_alone(self, table):
        figure, ax = pyplot.subplots()
        before = dict(mpl.rcParams)
        assert table.plot(ax=ax) is ax
        pyplot.close(figure)
        assert dict(mpl.rcParams) == before

    def test_what_was_not_computed_says_so(self, table):
        ax = table.plot()
        pyplot.close(ax.figure)
        missing = [k for k, row in enumerate(table.rows) if not row.computed]
        assert [text.get_position()[1] for text in ax.texts] == missing

    def test_tiny_pvalues_keep_a_mark(self, rng):
        x = rng.normal(size=300)
        fit = sm.OLS(x**2 + 0.1 * rng.normal(size=300), sm.add_constant(x)).fit()
        table = kcm.compare_tests(fit, ["KCM", "RESET"])
        assert max(row.pvalue for row in table.rows) < 1e-6
        ax = table.plot()
        ax.figure.canvas.draw()
        pyplot.close(ax.figure)
        low, high = ax.get_xlim()
        marks = [line for line in ax.get_lines() if line.get_marker() == 8]
        assert [round(float(line.get_ydata()[0])) for line in marks] == [0, 1]
        assert all(low < line.get_xdata()[0] < high for line in marks)
