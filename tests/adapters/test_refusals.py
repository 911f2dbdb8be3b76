"""Fits that are refused. Referee: the sentence that the user reads."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from linearmodels.iv import IVLIML, AbsorbingLS
from linearmodels.panel import PanelOLS
from linearmodels.system import SUR
from sklearn.linear_model import LinearRegression
from statsmodels.miscmodels.ordinal_model import OrderedModel
from statsmodels.sandbox.regression import gmm as sandbox

import kcm
from kcm.adapters import align_to_fit, fit_column, fitted_moment
from kcm.adapters.estimate import inverse_information

poisson = sm.families.Poisson()


def frame(n: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    data = pd.DataFrame(rng.normal(size=(n, 3)), columns=["x", "w", "y"])
    data["count"] = rng.poisson(np.exp(0.3 + 0.3 * data.x))
    data["binary"] = (data.y > 0).astype(int)
    data["group"] = np.arange(n) % 8
    data["level"] = np.arange(n) % 3
    data["one"] = 1.0
    data["zeros"] = np.where(rng.uniform(size=n) < 0.3, 0, data["count"])
    return data


DATA = frame()
DESIGN = DATA[["one", "x"]]

UNSUPPORTED: dict[str, Callable[[], Any]] = {
    "MixedLMResults of the statsmodels model MixedLM": lambda: smf.mixedlm(
        "y ~ x", DATA.assign(y=DATA.y + DATA.group), groups=DATA.group
    ).fit(),
    "RLMResults of the statsmodels model RLM": lambda: smf.rlm("y ~ x", DATA).fit(),
    "RegressionResults of the statsmodels model GLSAR": lambda: sm.GLSAR(DATA.y, DESIGN).fit(),
    "RegularizedResults of the statsmodels model OLS": lambda: smf.ols(
        "y ~ x", DATA
    ).fit_regularized(alpha=0.1),
    "RegularizedResults of the statsmodels model GLM": lambda: smf.glm(
        "count ~ x", DATA, family=poisson
    ).fit_regularized(alpha=0.1),
    "L1BinaryResults of the statsmodels model Logit": lambda: smf.logit(
        "binary ~ x", DATA
    ).fit_regularized(disp=0),
    "L1PoissonResults of the statsmodels model Poisson": lambda: smf.poisson(
        "count ~ x", DATA
    ).fit_regularized(disp=0),
    "MultinomialResults of the statsmodels model MNLogit": lambda: smf.mnlogit(
        "level ~ x", DATA
    ).fit(disp=0),
    "OrderedResults of the statsmodels model OrderedModel": lambda: OrderedModel(
        DATA.level, DATA[["x"]]
    ).fit(disp=0),
    "ZeroInflatedPoissonResults of the statsmodels model ZeroInflatedPoisson": (
        lambda: sm.ZeroInflatedPoisson(DATA.zeros, DESIGN).fit(disp=0, maxiter=200)
    ),
    "PHRegResults of the statsmodels model PHReg": lambda: sm.PHReg(
        np.exp(DATA.y), DATA[["x"]]
    ).fit(),
    "GEEResults of the statsmodels model GEE": lambda: sm.GEE(
        DATA["count"], DESIGN, groups=DATA.group, family=poisson
    ).fit(),
    "PanelEffectsResults of the linearmodels model PanelOLS": lambda: PanelOLS(
        *(DATA.set_index(["group", DATA.index])[c] for c in ("y", ["one", "x"]))
    ).fit(),
    "AbsorbingLSResults of the linearmodels model AbsorbingLS": lambda: AbsorbingLS(
        DATA.y, DATA[["x"]], absorb=DATA[["group"]].astype("category")
    ).fit(),
    "SystemResults of the linearmodels model SUR": lambda: SUR(
        {"a": {"dependent": DATA.y, "exog": DESIGN}, "b": {"dependent": DATA.w, "exog": DESIGN}}
    ).fit(),
}


class TestUnsupported:
    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("told", UNSUPPORTED)
    def test_type_and_alternatives_are_named(self, told: str):
        with pytest.raises(kcm.UnsupportedModelError) as error:
            fitted_moment(UNSUPPORTED[told]())
        assert str(error.value).startswith(f"`fit` ({told}) is not supported. Supported are ")
        assert "IVGMM" in str(error.value)
        assert "build a kcm.FittedMoment" in str(error.value)

    @pytest.mark.parametrize("use", [fit_column, lambda fit, name: align_to_fit(fit, [1], name)])
    def test_helpers_refuse_alike(self, use: Callable[[Any, str], Any]):
        with pytest.raises(kcm.UnsupportedModelError, match=r"model GLSAR"):
            use(sm.GLSAR(DATA.y, DESIGN).fit(), "groups")

    @pytest.mark.parametrize("thing", ["y ~ x", None, 3, np.ones(3), DATA, sm.families])
    def test_what_is_no_fit(self, thing: Any):
        with pytest.raises(
            kcm.UnsupportedModelError,
            match=rf"must be a fitted result or a kcm.FittedMoment; got {type(thing).__name__}",
        ):
            fitted_moment(thing)

    @pytest.mark.parametrize(
        ("model", "name"),
        [
            (smf.ols("y ~ x", DATA), "OLS"),
            (smf.logit("binary ~ x", DATA), "Logit"),
            (IVLIML(DATA.y, DESIGN, None, None), "IVLIML"),
        ],
    )
    def test_model_that_is_not_fitted(self, model: Any, name: str):
        with pytest.raises(kcm.UnsupportedModelError, match=rf"\({name}\).*call \.fit\(\)"):
            fitted_moment(model)

    def test_scikit_learn(self):
        fit = LinearRegression().fit(DATA[["x"]], DATA.y)
        with pytest.raises(
            kcm.UnsupportedModelError,
            match=r"scikit-learn estimator LinearRegression.*kcm.FittedMoment.*`covariance=`",
        ):
            fitted_moment(fit)

    def test_conditioning_with_a_fitted_moment(self):
        moment = fitted_moment(smf.ols("y ~ x", DATA).fit())
        with pytest.raises(kcm.OptionError, match=r"cannot be given together with a FittedMoment"):
            fitted_moment(moment, "x")


class TestRestricted:
    def test_refit_of_selected_variables(self):
        fit = smf.ols("y ~ x", DATA).fit_regularized(alpha=0.001, refit=True)
        with pytest.raises(kcm.UnsupportedModelError, match=r"model OLS.* is regularised.*sel"):
            fitted_moment(fit)

    @pytest.mark.parametrize("kind", ["glm", "poisson"])
    def test_constrained_parameters(self, kind: str):
        given = {"family": poisson} if kind == "glm" else {}
        fit = getattr(smf, kind)("count ~ x", DATA, **given).fit_constrained("x = 0.1")
        with pytest.raises(kcm.UnsupportedModelError, match=r"constrained parameters.*an offset"):
            fitted_moment(fit)

    def test_correlated_errors(self):
        sigma = np.eye(80)
        sigma[0, 1] = sigma[1, 0] = 0.5
        fit = sm.GLS(DATA.y, DESIGN, sigma=sigma).fit()
        with pytest.raises(kcm.UnsupportedModelError, match=r"correlated errors.*pass `groups`"):
            fitted_moment(fit)

    def test_fractional_frequencies(self):
        weights = 1 + DATA.group / 10
        fit = smf.glm("count ~ x", DATA, family=poisson, freq_weights=weights).fit()
        with pytest.raises(kcm.UnsupportedModelError, match=r"not whole numbers.*`var_weights`"):
            fitted_moment(fit)

    def test_fixed_kappa(self):
        fit = IVLIML(DATA.y, DATA[["one"]], DATA[["x"]], DATA[["w"]], kappa=0.5).fit()
        with pytest.raises(kcm.UnsupportedModelError, match=r"fixed kappa of 0\.5.*IVLIML"):
            fitted_moment(fit)


class TestNotIdentified:
    """Referee: the null law does not depend on the coordinates of the regressors."""

    instruments = np.column_stack([np.ones(80), DATA[["w", "group", "level"]]])

    def sandbox(self, *regressors: Any, instruments: Any = None) -> Any:
        chosen = self.instruments if instruments is None else instruments
        exog = np.column_stack([np.ones(80), *regressors])
        model = sandbox.IV2SLS(DATA.y.to_numpy(), exog, chosen)
        # fit() itself stops at a singular matrix; rounding decides whether it sees one
        bread = np.linalg.pinv(projection(chosen) @ exog)
        return sandbox.IVRegressionResults(model, bread @ DATA.y.to_numpy(), np.eye(exog.shape[1]))

    def test_collinear_regressors_change_nothing(self):
        x = DATA.x
        plain, collinear = (
            fitted_moment(self.sandbox(*columns), DATA[["x", "w"]])
            for columns in ((x,), (x, 3.3 * x + 0.7, 1e-6 * x))
        )
        np.testing.assert_allclose(collinear.residuals, plain.residuals, atol=1e-8)
        results = [kcm.specification_test(moment) for moment in (plain, collinear)]
        assert results[1].statistic == pytest.approx(results[0].statistic, rel=1e-6)
        assert results[1].pvalue == pytest.approx(results[0].pvalue, rel=1e-6)

    def test_instruments_that_do_not_identify(self):
        repeated = np.column_stack([self.instruments[:, :2], 2.2 * DATA.w + 1])
        with pytest.raises(kcm.DataError, match=r"instruments do not identify the coefficients"):
            fitted_moment(self.sandbox(DATA.x, DATA.level, instruments=repeated))

    def test_instrument_orthogonal_to_the_regressor(self):
        design = np.column_stack([np.ones(80), DATA.x])
        w = DATA.w - projection(design) @ DATA.w
        with pytest.raises(kcm.DataError, match=r"instruments do not identify the coefficients"):
            fitted_moment(self.sandbox(DATA.x, instruments=np.column_stack([np.ones(80), w])))


def projection(columns: np.ndarray) -> np.ndarray:
    return columns @ np.linalg.pinv(columns)


class TestUnusable:
    @pytest.mark.parametrize(
        "fit",
        [
            lambda: smf.ols("y ~ x", DATA).fit(),
            lambda: smf.glm("count ~ x", DATA, family=poisson).fit(),
            lambda: smf.logit("binary ~ x", DATA).fit(disp=0),
            lambda: smf.quantreg("y ~ x", DATA).fit(),
        ],
        ids=["OLS", "GLM", "Logit", "QuantReg"],
    )
    def test_data_removed(self, fit: Callable[[], Any]):
        result = fit()
        result.remove_data()
        with pytest.raises(kcm.DataError, match=r"no data any more \(`remove_data\(\)`"):
            fitted_moment(result)

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize(
        "fit",
        [
            lambda: smf.glm("count ~ x", DATA, family=poisson).fit(maxiter=1),
            lambda: smf.glm("count ~ x", DATA, family=poisson).fit(
                method="bfgs", maxiter=1, max_start_irls=0
            ),
            lambda: smf.logit("binary ~ x", DATA).fit(disp=0, maxiter=1),
            lambda: smf.negativebinomial("count ~ x", DATA).fit(disp=0, maxiter=1),
        ],
        ids=["GLM", "GLM by BFGS", "Logit", "NegativeBinomial"],
    )
    def test_not_converged(self, fit: Callable[[], Any]):
        with pytest.raises(kcm.DataError, match=r"did not converge.*refit with more iterations"):
            fitted_moment(fit())

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize(
        "fit",
        [
            lambda: smf.ols("y ~ copy", DATA.assign(copy=2 * DATA.y)).fit(),
            lambda: sm.OLS(DATA.y[:4], np.random.default_rng(0).normal(size=(4, 4))).fit(),
            lambda: sm.OLS(0 * DATA.y, DESIGN).fit(),
            lambda: smf.glm("big ~ x", DATA.assign(big=3 + 2 * DATA.x)).fit(),
            lambda: smf.glm(
                "b ~ x", DATA.assign(b=(DATA.x > 0) * 1.0), family=sm.families.Binomial()
            ).fit(),
            lambda: smf.quantreg("y ~ copy", DATA.assign(copy=2 * DATA.y)).fit(),
            lambda: IVLIML(3 * DATA.x, DATA[["one"]], DATA[["x"]], DATA[["w"]], kappa=1).fit(),
        ],
        ids=["copy", "saturated", "zero", "GLM", "separated", "QuantReg", "IV"],
    )
    def test_exact_fit(self, fit: Callable[[], Any]):
        with pytest.raises(kcm.DataError, match=r"fits exactly: .* nothing to test"):
            fitted_moment(fit())

    @pytest.mark.parametrize(
        "information", [np.diag([1.0, -0.1]), np.diag([1.0, np.nan]), np.diag([1e-9, -1e9])]
    )
    def test_likelihood_that_is_not_concave(self, information: np.ndarray):
        with pytest.raises(kcm.DataError, match=r"not concave.*dispersion parameter at its bound"):
            inverse_information(information)

    def test_singular_information_has_a_generalised_inverse(self):
        information = np.array([[2.0, 2e6], [2e6, 2e12]])
        inverse = inverse_information(information)
        np.testing.assert_allclose(information @ inverse @ information, information, rtol=1e-9)
