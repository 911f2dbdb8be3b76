"""Weights, solutions, clusters and panels of a fit. Referees: fits on the rows, columns by hand."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from linearmodels.iv import IV2SLS

import kcm
from kcm.adapters import fit_panel, fitted_moment
from kcm.exceptions import DataError, DependenceWarning


@pytest.fixture
def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 150
    data = pd.DataFrame({"x": rng.uniform(-2, 2, n), "g": rng.choice(list("abc"), n)})
    data["y"] = 1 + data.x + 4 * np.maximum(data.x - 0.7, 0) + 0.3 * rng.normal(size=n)
    data["w"] = np.maximum(0, 1 - data.x.abs() / 0.7)
    data["firm"] = np.arange(n) // 5
    return data


def pvalue(fit: Any, **options: Any) -> float:
    return kcm.specification_test(fit, kernel=kcm.kernels.Gaussian(), **options).pvalue


class TestWeightsOfZero:
    """Referee: the fit on the rows that have a weight."""

    @pytest.mark.parametrize("kind", ["kernel", "mask"])
    def test_least_squares(self, data: pd.DataFrame, kind: str):
        w = data.w if kind == "kernel" else (data.w > 0) * 1.0
        on = w > 0
        result = kcm.specification_test(smf.wls("y ~ x", data, weights=w).fit())
        expected = kcm.specification_test(smf.wls("y ~ x", data[on], weights=w[on]).fit())
        assert result.n_obs == expected.n_obs == on.sum()
        assert result.pvalue == pytest.approx(expected.pvalue, rel=1e-9)
        assert f"{(~on).sum()} rows of weight zero are left out." in result.summary().as_text()

    def test_generalised_linear_model(self, data: pd.DataFrame):
        on = data.w > 0
        mask = on * 1.0
        weighted = smf.glm("y ~ x", data, var_weights=mask).fit()
        assert pvalue(weighted) == pytest.approx(pvalue(smf.glm("y ~ x", data[on]).fit()), rel=1e-9)

    def test_both_weights(self, data: pd.DataFrame):
        on, twice = data.w > 0, np.where(data.x > 0, 2, 1)
        family = sm.families.Gaussian()
        given = {"family": family, "freq_weights": twice, "var_weights": on * 1.0}
        rows = data[on].loc[np.repeat(data.index[on], twice[on])]
        expected = pvalue(smf.glm("y ~ x", rows, family=family).fit())
        assert pvalue(smf.glm("y ~ x", data, **given).fit()) == pytest.approx(expected, rel=1e-9)

    @pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.SingularMatrixWarning")
    def test_dummy_of_these_rows_alone(self, data: pd.DataFrame):
        on = data.g != "a"
        y = data.y + 5 * ~on
        fit = smf.wls("y ~ x + C(g, Treatment('b'))", data.assign(y=y), weights=on * 1.0).fit()
        expected = smf.ols("y ~ x + C(g)", data[on]).fit()
        assert pvalue(fit) == pytest.approx(pvalue(expected), rel=1e-9)

    def test_groups_and_other_tests(self, data: pd.DataFrame):
        on = data.w > 0
        fit = smf.wls("y ~ x", data, weights=on * 1.0).fit()
        alone = smf.ols("y ~ x", data[on]).fit()
        laws = [kcm.Asymptotic(groups="firm") for _ in range(2)]
        first, second = (pvalue(f, null=law) for f, law in zip((fit, alone), laws, strict=True))
        assert first == pytest.approx(second, rel=1e-9)
        names = ["KCM", "RESET", "Harvey-Collier"]
        tables = [kcm.compare_tests(f, names, rng=0) for f in (fit, alone)]
        values = [[row.pvalue for row in table.rows] for table in tables]
        np.testing.assert_allclose(*values, rtol=1e-6)


class TestUnsolvedEquations:
    def test_column_that_a_pseudo_inverse_lost(self):
        rng = np.random.default_rng(0)
        n = 200
        data = pd.DataFrame(
            {"gdp": rng.lognormal(30, 1, n), "rate": 0.01 + rng.normal(0, 0.003, n)}
        )
        data["y"] = 2 + 1e-13 * data.gdp + 300 * data.rate + rng.normal(0, 0.5, n)
        with pytest.warns(UserWarning, match="rank-deficient"):
            fit = smf.ols("y ~ gdp + rate", data).fit()
        assert abs(fit.params["rate"]) < 1  # 300 is right
        with pytest.raises(kcm.DataError, match="rescale `gdp`, for example divide it by 1e\\+13"):
            fitted_moment(fit)
        scaled = data.assign(gdp=data.gdp / 1e13)
        assert pvalue(smf.ols("y ~ gdp + rate", scaled).fit()) > 0.01

    def test_constant_that_a_pseudo_inverse_lost(self):
        x = np.linspace(1.9e15, 2.5e15, 120)
        y = np.linspace(1, 0, 120) + 0.05 * np.random.default_rng(0).normal(size=120)
        fit = _quietly(lambda: sm.OLS(y, sm.add_constant(x)).fit())
        with pytest.raises(kcm.DataError, match="rescale `x1`"):
            fitted_moment(fit)

    @pytest.mark.parametrize("formula", ["y ~ t", "y ~ x + t", "y ~ t + I(t**2)"])
    def test_seconds_of_an_hour(self, data: pd.DataFrame, formula: str):
        rng = np.random.default_rng(1)
        data["t"] = 1.7e9 + rng.uniform(0, 3600, len(data))
        data["y"] = 1 + (data.t - 1.7e9) / 3600 + 0.3 * rng.normal(size=len(data))
        fit = _quietly(lambda: smf.ols(formula, data).fit())
        with pytest.raises(kcm.DataError, match=r"size only.*subtract the mean of `t`"):
            fitted_moment(fit)
        with pytest.raises(kcm.DataError, match="subtract the mean of `t`"):
            kcm.compare_tests(fit)
        centred = data.assign(t=(data.t - data.t.mean()) / data.t.std())
        assert pvalue(smf.ols(formula, centred).fit()) > 0.01

    def test_seconds_of_a_year(self, data: pd.DataFrame):
        data["t"] = 1.7e9 + np.random.default_rng(1).uniform(0, 3e7, len(data))
        data["y"] = 1 + np.sin((data.t - 1.7e9) / 1e7) + data.y / 10
        centred = data.assign(t=(data.t - 1.7e9) / 1e7)
        expected = pvalue(smf.ols("y ~ t", centred).fit())
        assert pvalue(smf.ols("y ~ t", data).fit()) == pytest.approx(expected, rel=1e-5)
        square = _quietly(lambda: smf.ols("y ~ t + I(t**2)", data).fit())
        with pytest.raises(kcm.DataError, match="subtract the mean of `t`"):
            fitted_moment(square)

    @pytest.mark.parametrize("model", ["logit", "poisson", "glm", "iv"])
    def test_estimates_that_are_off(self, data: pd.DataFrame, model: str):
        data["b"] = (data.y > 1).astype(int)
        fit = {
            "logit": lambda: smf.logit("b ~ x", data).fit(disp=0),
            "poisson": lambda: smf.poisson("b ~ x", data).fit(disp=0),
            "glm": lambda: smf.glm("y ~ x", data).fit(),
            "iv": lambda: IV2SLS(data.y, data[["x"]], None, None).fit(),
        }[model]()
        fitted_moment(fit)
        inner = getattr(fit, "_results", fit)
        setattr(inner, "_params" if model == "iv" else "params", np.asarray(fit.params) + 0.5)
        with pytest.raises(kcm.DataError, match="do not solve their own equations"):
            fitted_moment(fit)

    def test_dummy_of_one_row_is_no_fault(self, data: pd.DataFrame):
        data["d"] = (data.index == 7) * 1.0
        assert pvalue(smf.ols("y ~ x + d", data).fit()) >= 0

    @pytest.mark.parametrize("bad", [np.nan, -np.inf])
    def test_outcome_of_an_array(self, data: pd.DataFrame, bad: float):
        y = data.y.to_numpy().copy()
        y[17] = bad
        fit = _quietly(lambda: sm.OLS(y, sm.add_constant(data.x.to_numpy())).fit())
        with pytest.raises(kcm.DataError, match=r"the outcome is .* in row 17 \(counted from 0\)"):
            fitted_moment(fit)


def _quietly(call: Any) -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return call()


class TestChangedFrames:
    @pytest.mark.parametrize("formula", ["np.log(w) ~ np.exp(x)", "y ~ C(k)", "I(y**3) ~ I(x**3)"])
    def test_sorted_in_place(self, data: pd.DataFrame, formula: str):
        data = data[["x", "y"]].assign(w=np.exp(data.y / 10), k=data.firm % 4)
        fit = smf.ols(formula, data).fit()
        data[:] = data.sort_values("x").to_numpy()
        with pytest.raises(kcm.DataError, match="changed since the model was fitted"):
            fitted_moment(fit)

    def test_scalars_of_the_caller_may_change(self, data: pd.DataFrame):
        fits = [smf.ols("y ~ np.power(x, power)", data).fit() for power in (2, 3)]
        assert [fitted_moment(fit).labels.conditioning for fit in fits] == [("x",), ("x",)]


class TestClusters:
    """Referee: the same labels passed to the law."""

    def test_clusters_of_the_covariance(self, data: pd.DataFrame):
        model = smf.ols("y ~ x", data)
        expected = pvalue(model.fit(), null=kcm.Asymptotic(groups=data.firm))
        fit = model.fit(cov_type="cluster", cov_kwds={"groups": data.firm})
        result = kcm.specification_test(fit, kernel=kcm.kernels.Gaussian())
        assert result.pvalue == expected
        assert "one multiplier for each of 30 clusters." in result.summary().as_text()

    def test_laws_without_groups_of_their_own(self, data: pd.DataFrame):
        model = smf.ols("y ~ x", data)
        fit = model.fit(cov_type="cluster", cov_kwds={"groups": data.firm})
        law = kcm.MultiplierBootstrap(199)
        given = kcm.MultiplierBootstrap(199, groups=data.firm)
        assert pvalue(fit, null=law, rng=1) == pvalue(model.fit(), null=given, rng=1)

    def test_linearmodels(self, data: pd.DataFrame):
        model = IV2SLS(data.y, data.assign(one=1.0)[["one", "x"]], None, None)
        fit = model.fit(cov_type="clustered", clusters=data.firm)
        assert pvalue(fit) == pvalue(model.fit(), null=kcm.Asymptotic(groups=data.firm))

    def test_two_ways_are_warned_of(self, data: pd.DataFrame):
        groups = np.column_stack([data.firm, np.arange(len(data)) % 7])
        fit = smf.ols("y ~ x", data).fit(cov_type="cluster", cov_kwds={"groups": groups})
        with pytest.warns(DependenceWarning, match="within clusters") as caught:
            pvalue(fit)
        assert len(caught) == 1

    def test_serial_correlation_is_told_what_to_do(self, data: pd.DataFrame):
        fit = smf.ols("y ~ x", data).fit(cov_type="HAC", cov_kwds={"maxlags": 2})
        with pytest.warns(DependenceWarning, match="blocks of rows that follow each other"):
            pvalue(fit)


class TestPanels:
    @pytest.fixture
    def panel(self) -> pd.DataFrame:
        rng = np.random.default_rng(1)
        panel = pd.DataFrame({"idcode": np.repeat(np.arange(30), 4), "year": np.tile(range(4), 30)})
        return panel.assign(x=rng.normal(size=120), y=rng.normal(size=120))

    @pytest.mark.parametrize("where", ["columns", "index"])
    def test_one_warning(self, panel: pd.DataFrame, where: str):
        given = panel.set_index(["idcode", "year"]) if where == "index" else panel
        fit = smf.ols("y ~ x", given).fit()
        with pytest.warns(DependenceWarning, match="each 'idcode' is observed several") as caught:
            pvalue(fit)
        assert len(caught) == 1
        assert pvalue(fit, null=kcm.Asymptotic(groups="idcode")) > 0

    def test_one_warning_of_a_comparison(self, panel: pd.DataFrame):
        with pytest.warns(DependenceWarning) as caught:
            kcm.compare_tests(smf.ols("y ~ x", panel).fit(), ["KCM", "ICM", "RESET"], rng=0)
        assert len(caught) == 1

    def test_linearmodels_by_its_index(self, panel: pd.DataFrame):
        given = panel.set_index(["idcode", "year"])
        assert fit_panel(IV2SLS(given.y, given[["x"]], None, None).fit()) == "idcode"

    @pytest.mark.parametrize(
        "change",
        [
            lambda p: p.drop(columns="year"),
            lambda p: p.assign(idcode=np.arange(120)),
            lambda p: p.assign(year=0),
        ],
    )
    def test_other_data(self, panel: pd.DataFrame, change: Any):
        assert fit_panel(smf.ols("y ~ x", change(panel)).fit()) is None


class TestNoWeight:
    def test_an_infinite_variance_is_a_weight_of_zero(self, rng):
        x = sm.add_constant(rng.normal(size=60))
        y, used = x @ [1.0, 2.0] + rng.normal(size=60), np.arange(60) % 3 > 0
        fit = sm.GLS(y, x, sigma=np.where(used, 1.0, np.inf)).fit()
        found, expected = (kcm.specification_test(f) for f in (fit, sm.OLS(y[used], x[used]).fit()))
        assert found.n_obs == 40
        assert found.pvalue == pytest.approx(expected.pvalue, rel=1e-9)

    def test_no_row_is_an_observation(self, rng):
        x = sm.add_constant(rng.normal(size=30))
        fit = _quietly(lambda: sm.WLS(rng.normal(size=30), x, weights=np.zeros(30)).fit())
        with pytest.raises(DataError, match="every weight is zero"):
            kcm.specification_test(fit)
