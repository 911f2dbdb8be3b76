"""The classical rows of a comparison.

Referees: statsmodels, linearmodels and R on the same data (tests/reference/classical), published
numbers, and closed forms.
"""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from linearmodels.datasets import card, mroz
from linearmodels.iv import IV2SLS, IVGMM, IVGMMCUE, IVLIML
from statsmodels.sandbox.regression import gmm
from statsmodels.stats import diagnostic

import kcm

pytestmark = pytest.mark.many_calls

WAGE = "lwage ~ educ + exper + tenure"


@pytest.fixture
def wage(reference):
    return smf.ols(WAGE, reference("classical/wage1_lin.csv")).fit()


@pytest.fixture
def recorded(reference):
    """Records of another program by their call."""

    def read(file):
        return {one["call"]: one for one in reference(f"classical/{file}.json")["records"]}

    return read


def weighted_data(rng, n=120):
    x, z = rng.normal(size=(2, n))
    y = 1 + x + z + np.exp(x / 2) * rng.normal(size=n)
    return y, sm.add_constant(np.column_stack([x, z])), np.exp(-x)


IN_PYTHON = {
    "RESET": "linear_reset(res, power=3, test_type='fitted', use_f=True, cov_type='HC3')",
    "rainbow": "linear_rainbow(res, frac=0.5)",
    "White specification": "spec_white(res.resid, exog)",
    "Breusch-Pagan": "het_breuschpagan(res.resid, exog)",
}
IN_R = {
    "RESET": "lmtest::resettest(m,power=2:3,type='fitted',vcov=vcovHC(HC3))",
    "rainbow": "lmtest::raintest(m,fraction=0.5)",
    "Breusch-Pagan": "lmtest::bptest(m,studentize=TRUE)",
}
CALLS = [("python", *item) for item in IN_PYTHON.items()] + [("r", *item) for item in IN_R.items()]


@pytest.mark.parametrize(("file", "name", "call"), CALLS)
def test_recorded_numbers(wage, recorded, file, name, call):
    expected, row = recorded(file)[call], kcm.compare_tests(wage, name)[name]
    assert row.statistic == pytest.approx(expected["stat"], rel=1e-8)
    assert row.pvalue == pytest.approx(expected["pvalue"], rel=1e-8)


def test_laws_of_recorded_numbers(wage, recorded):
    table, r = kcm.compare_tests(wage), recorded("r")
    rainbow, breusch_pagan = (r[IN_R[name]]["df"] for name in ("rainbow", "Breusch-Pagan"))
    assert table["rainbow"].distribution == f"F({rainbow[0]}, {rainbow[1]})"
    assert table["Breusch-Pagan"].distribution == f"chi2({breusch_pagan})"
    assert table["White specification"].distribution == "chi2(9)"
    assert table["RESET"].distribution == "F(2, 520)"


def test_harvey_collier_says_why_where_other_programs_have_no_number(wage, recorded):
    assert recorded("r")["lmtest::harvtest(m)"]["stat"] is None
    row = kcm.compare_tests(wage, "Harvey-Collier")["Harvey-Collier"]
    assert "first 4 rows" in row.reason


def growth():
    """The regression of statsmodels' own tests, for which they record the output of R lmtest."""
    data = sm.datasets.macrodata.load_pandas().data
    growth = 400 * np.log(data[["realinv", "realgdp"]]).diff()[1:]
    return sm.OLS(
        growth["realinv"], sm.add_constant(growth[["realgdp"]].assign(r=data["realint"].shift()))
    ).fit()


def test_harvey_collier_and_rainbow_as_in_r():
    table = kcm.compare_tests(growth(), ["Harvey-Collier", "rainbow"])
    collier, rainbow = table.rows
    assert collier.statistic == pytest.approx(0.494432160939874, rel=1e-8)
    assert collier.pvalue == pytest.approx(0.6215491310408242, rel=1e-8)
    assert collier.distribution == "t(198)"
    assert rainbow.statistic == pytest.approx(0.6809600116739604, rel=1e-8)
    assert rainbow.pvalue == pytest.approx(0.971832843583418, rel=1e-8)
    assert rainbow.distribution == "F(101, 98)"


@pytest.mark.parametrize("n_regressors", [1, 2, 4])
def test_harvey_collier_by_a_loop(rng, n_regressors):
    """A t-test of one-step forecast errors, each forecast by a regression of its own."""
    x = sm.add_constant(rng.normal(size=(60, n_regressors)))
    y, p = x.sum(axis=1) + rng.normal(size=60), n_regressors + 1
    errors = []
    for t in range(p, 60):
        seen, now = x[:t], x[t]
        gap = y[t] - now @ np.linalg.lstsq(seen, y[:t])[0]
        errors.append(gap / np.sqrt(1 + now @ np.linalg.inv(seen.T @ seen) @ now))
    expected = np.mean(errors) / (np.std(errors, ddof=1) / np.sqrt(60 - p))
    row = kcm.compare_tests(sm.OLS(y, x).fit(), "Harvey-Collier")["Harvey-Collier"]
    assert row.statistic == pytest.approx(expected, rel=1e-8)
    assert row.distribution == f"t({60 - p - 1})"


def test_weights_are_used(rng):
    """Whitened data by hand: least squares of a WLS is that of its weighted columns."""
    y, x, weights = weighted_data(rng)
    root = np.sqrt(weights)
    by_hand = sm.OLS(root * y, root[:, None] * x).fit()
    fitted = x @ by_hand.params
    powers = root[:, None] * np.column_stack([fitted**2, fitted**3])
    augmented = sm.OLS(root * y, np.hstack([root[:, None] * x, powers])).fit(cov_type="HC3")
    reset = augmented.wald_test(np.eye(2, 5, k=3), use_f=True, scalar=True)
    table = kcm.compare_tests(sm.WLS(y, x, weights=weights).fit())
    assert table["RESET"].statistic == pytest.approx(reset.statistic, rel=1e-8)
    assert table["rainbow"].statistic == pytest.approx(diagnostic.linear_rainbow(by_hand)[0])
    collier = diagnostic.linear_harvey_collier(by_hand)  # right for three regressors
    assert table["Harvey-Collier"].statistic == pytest.approx(collier.statistic, rel=1e-8)
    expected = diagnostic.het_breuschpagan(by_hand.resid, x)
    assert table["Breusch-Pagan"].statistic == pytest.approx(expected[0], rel=1e-8)
    assert "unweighted" in table["White specification"].reason


def same(one, other, names):
    for name in names:
        assert one[name].statistic == pytest.approx(other[name].statistic, rel=1e-8)
        assert one[name].pvalue == pytest.approx(other[name].pvalue, rel=1e-8)


def test_one_regression_by_three_classes(rng):
    y, x, weights = weighted_data(rng)
    names = ["RESET", "rainbow", "Harvey-Collier", "Breusch-Pagan"]
    wls = kcm.compare_tests(sm.WLS(y, x, weights=weights).fit(), names)
    same(wls, kcm.compare_tests(sm.GLS(y, x, sigma=1 / weights).fit(), names), names)
    # linearmodels scales weights to mean 1
    same(wls, kcm.compare_tests(IV2SLS(y, x, None, None, weights=weights).fit(), names), names[:3])


def test_units_and_the_place_of_the_constant_do_not_matter(wage, reference):
    data = reference("classical/wage1_lin.csv").assign(constant=1.0)
    data["tenure"] *= 1e6
    moved = sm.OLS(1e5 * data["lwage"], data[["educ", "exper", "tenure", "constant"]]).fit()
    same(kcm.compare_tests(wage), kcm.compare_tests(moved), IN_PYTHON)


class TestRefusals:
    def reasons(self, fit):
        return kcm.compare_tests(fit).to_frame().set_index("name")["reason"]

    def test_harvey_collier_refuses_a_logit(self, rng):
        x = sm.add_constant(rng.normal(size=(100, 2)))
        fit = sm.Logit(1.0 * (rng.random(100) < 0.5), x).fit(disp=0)
        reason = "This test is for linear regressions by least squares; `fit` is statsmodels Logit."
        assert self.reasons(fit)["Harvey-Collier"] == reason

    def test_no_constant(self, rng):
        x = rng.normal(size=(80, 2))
        reasons = self.reasons(sm.OLS(x.sum(axis=1) + rng.normal(size=80), x).fit())
        assert "intercept" in reasons["Breusch-Pagan"]
        assert "intercept" in reasons["White specification"]
        assert not reasons[["RESET", "rainbow", "Harvey-Collier"]].any()

    @pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")
    def test_collinear_regressors(self, rng):
        x = rng.normal(size=80)
        y, design = x + rng.normal(size=80), np.column_stack([np.ones(80), x, 2 * x])
        table, names = kcm.compare_tests(sm.OLS(y, design).fit()), ["RESET", "rainbow"]
        assert "collinear" in table["Breusch-Pagan"].reason
        plain = kcm.compare_tests(sm.OLS(y, design[:, :2]).fit())
        same(table, plain, [*names, "Harvey-Collier", "White specification"])

    def test_saturated_in_a_dummy(self, rng):
        x = np.arange(80) % 2
        fit = sm.OLS(x + rng.normal(size=80), sm.add_constant(1.0 * x)).fit()
        assert "combinations of the regressors already" in self.reasons(fit)["RESET"]

    def test_an_observation_of_its_own(self, rng):
        x = rng.normal(size=80)
        own = 1.0 * (np.arange(80) == 7)
        fit = sm.OLS(x + rng.normal(size=80), np.column_stack([np.ones(80), x, own])).fit()
        assert "leverage 1" in self.reasons(fit)["RESET"]

    def test_more_products_than_observations(self, rng):
        x = sm.add_constant(rng.normal(size=(60, 10)))
        assert "65" in self.reasons(sm.OLS(rng.normal(size=60), x).fit())["White specification"]


@pytest.fixture
def mroz_data():
    return mroz.load().dropna(subset=["lwage"]).assign(constant=1.0)


EXOGENOUS, INSTRUMENTS = ["constant", "exper", "expersq"], ["motheduc", "fatheduc", "huseduc"]


def arguments(data, instruments=INSTRUMENTS):
    return data["lwage"], data[EXOGENOUS], data[["educ"]], data[instruments]


def test_sargan_as_published(mroz_data):
    """Wooldridge, Introductory Econometrics, example 15.8: n R2 is .378, p = .538."""
    fit = IV2SLS(*arguments(mroz_data, ["motheduc", "fatheduc"])).fit()
    row = kcm.compare_tests(fit, "Sargan")["Sargan"]
    assert (round(row.statistic, 3), round(row.pvalue, 3)) == (0.378, 0.539)


@pytest.mark.parametrize("model", [IV2SLS, IVLIML])
def test_sargan_by_its_formula(mroz_data, model):
    """N times the R2 of the residuals on all instruments, without centring."""
    fit = model(*arguments(mroz_data)).fit()
    residuals, instruments = fit.resids.to_numpy(), mroz_data[EXOGENOUS + INSTRUMENTS].to_numpy()
    explained = instruments @ np.linalg.lstsq(instruments, residuals)[0]
    row = kcm.compare_tests(fit, "Sargan")["Sargan"]
    assert row.statistic == pytest.approx(428 * np.sum(explained**2) / np.sum(residuals**2))
    assert row.distribution == "chi2(2)"


def test_wooldridge_by_its_formula(mroz_data):
    """N minus the squares left when 1 is regressed on residual times instrument, partialled out."""
    y, exogenous, endogenous, instruments = (np.asarray(a) for a in arguments(mroz_data))
    full = np.hstack([exogenous, instruments])
    first_stage = full @ np.linalg.lstsq(full, endogenous)[0]
    projected = np.hstack([exogenous, first_stage])
    params = np.linalg.lstsq(projected, y)[0]
    residuals = y - np.hstack([exogenous, endogenous]) @ params
    left = instruments[:, :2] - projected @ np.linalg.lstsq(projected, instruments[:, :2])[0]
    score = residuals[:, None] * left
    expected = np.sum(score @ np.linalg.lstsq(score, np.ones(428))[0])
    row = kcm.compare_tests(IV2SLS(*arguments(mroz_data)).fit(), "Wooldridge")["Wooldridge"]
    assert row.statistic == pytest.approx(expected, rel=1e-8)


def test_two_stage_least_squares_of_statsmodels(mroz_data):
    regressors, instruments = mroz_data[["educ", *EXOGENOUS]], mroz_data[EXOGENOUS + INSTRUMENTS]
    fit = gmm.IV2SLS(mroz_data["lwage"], regressors, instruments).fit()
    theirs = IV2SLS(*arguments(mroz_data)).fit()
    table = kcm.compare_tests(fit, ["Sargan", "Wooldridge"])
    assert table["Sargan"].statistic == pytest.approx(theirs.sargan.stat, rel=1e-8)
    expected = theirs.wooldridge_overid.stat
    assert table["Wooldridge"].statistic == pytest.approx(expected, rel=1e-8)


def gmm_of_statsmodels(data, **options):
    z = data[EXOGENOUS + INSTRUMENTS].to_numpy()
    model = gmm.LinearIVGMM(data["lwage"].to_numpy(), data[[*EXOGENOUS, "educ"]].to_numpy(), z)
    first = {"inv_weights": z.T @ z / len(z), "optim_args": {"disp": 0}, "maxiter": 2}
    first["wargs"] = {"centered": False}  # statsmodels centres all moments by one mean
    return model.fit(**first | options)


def test_j_by_its_formula_and_in_two_packages(mroz_data):
    fit = IVGMM(*arguments(mroz_data), center=False).fit(cov_type="robust")
    z = mroz_data[EXOGENOUS + INSTRUMENTS].to_numpy()
    mean = z.T @ fit.resids.to_numpy() / 428
    expected = 428 * mean @ fit.weight_matrix @ mean
    row = kcm.compare_tests(fit, "Hansen J")["Hansen J"]
    assert row.statistic == pytest.approx(expected, rel=1e-8)
    assert row.distribution == "chi2(2)"
    other = kcm.compare_tests(gmm_of_statsmodels(mroz_data), "Hansen J")["Hansen J"]
    assert other.statistic == pytest.approx(expected, rel=1e-8)


def test_j_tells_what_its_weights_assume(mroz_data):
    fit = IVGMM(*arguments(mroz_data), weight_type="unadjusted").fit()
    row = kcm.compare_tests(fit, "Hansen J")["Hansen J"]
    assert row.distribution == "chi2(2), weights for constant variance"


def test_j_of_continuous_updating(mroz_data):
    fit = IVGMMCUE(*arguments(mroz_data)).fit()
    assert kcm.compare_tests(fit, "Hansen J")["Hansen J"].statistic == fit.j_stat.stat


def test_one_step_has_no_j(mroz_data):
    one_step = (
        IVGMM(*arguments(mroz_data)).fit(iter_limit=1),
        gmm_of_statsmodels(mroz_data, maxiter=1),
    )
    rows = [kcm.compare_tests(fit, "Hansen J")["Hansen J"] for fit in one_step]
    assert all("a single step" in row.reason for row in rows)


def test_just_identified_models_have_nothing_to_test(recorded):
    """Records of linearmodels: the same estimate, and no number for any of the three tests."""
    records = recorded("python")
    call = "IV2SLS(y,[1,exog],endog,instr).fit(cov_type='unadjusted')"
    names = records[call]["names"]
    data = card.load().assign(const=1.0)
    exogenous = [name for name in names if name != "educ"]
    given = data["lwage"], data[exogenous], data[["educ"]], data[["nearc4"]]
    fit = IV2SLS(*given).fit(cov_type="unadjusted")
    assert fit.params[names].to_numpy() == pytest.approx(records[call]["params"], rel=1e-6)
    assert records[f"{call}.sargan"]["stat"] is None
    assert records[f"{call}.wooldridge_overid"]["stat"] is None
    small = data.sample(300, random_state=0)
    fits = [
        model(small["lwage"], small[exogenous[:4]], small[["educ"]], small[["nearc4"]]).fit()
        for model in (IV2SLS, IVGMM)
    ]
    two_stage = kcm.compare_tests(fits[0], ["Sargan", "Wooldridge"])
    rows = (*two_stage.rows, *kcm.compare_tests(fits[1], "Hansen J").rows)
    assert all("exactly identified" in row.reason for row in rows)


def test_a_frame_and_arrays_give_the_same(wage, reference):
    data = reference("classical/wage1_lin.csv")
    x = sm.add_constant(data[["educ", "exper", "tenure"]].to_numpy())
    arrays = kcm.compare_tests(sm.OLS(data["lwage"].to_numpy(), x).fit(), list(IN_PYTHON))
    formula = kcm.compare_tests(wage, list(IN_PYTHON))
    pvalues = [table.to_frame()["pvalue"] for table in (formula, arrays)]
    pd.testing.assert_series_equal(*pvalues)


@pytest.mark.parametrize(
    ("formula", "reset", "breusch_pagan"),
    [
        ("price ~ lotsize + sqrft + bdrms", (4.67, 0.012), (14.09, 0.0028)),
        (
            "np.log(price) ~ np.log(lotsize) + np.log(sqrft) + bdrms",
            (2.56, 0.084),
            (4.22, 0.239),
        ),
    ],
    ids=["levels", "logarithms"],
)
def test_published_house_prices(formula, reset, breusch_pagan, reference):
    """Wooldridge, Introductory Econometrics, examples 8.4 and 9.2; p of 2.56 is .083 or .084."""
    fit = smf.ols(formula, reference("classical/hprice1.csv")).fit()
    rows = kcm.compare_tests(fit, ["RESET classical", "Breusch-Pagan"]).rows
    for row, (statistic, pvalue) in zip(rows, (reset, breusch_pagan), strict=True):
        assert row.statistic == pytest.approx(statistic, abs=0.011)
        assert row.pvalue == pytest.approx(pvalue, abs=0.0011)
