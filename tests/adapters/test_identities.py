"""Numbers of the adapters.

Referees: the robust covariances of statsmodels and linearmodels, finite differences, statsmodels'
leverages and variances, fits with one observation left out.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from dense_law import powers
from linearmodels.iv import IV2SLS, IVGMM, IVGMMCUE, IVLIML
from linearmodels.iv.model import _OLS
from statsmodels.sandbox.regression import gmm as sandbox
from statsmodels.tools.numdiff import approx_fprime, approx_hess

from kcm import FittedMoment
from kcm.adapters import fitted_moment

families, links = sm.families, sm.families.links


def frame(n: int = 250) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    x, u = rng.normal(size=(2, n))
    w = rng.uniform(1, 2, size=n)
    data = pd.DataFrame({"x": x, "w": w, "z": rng.normal(size=n) + u, "k": rng.integers(0, 3, n)})
    data["y"] = 1 + x + (0.3 + w) * rng.normal(size=n)
    data["endogenous"] = data.z + u + 0.3 * rng.normal(size=n)
    data["q"] = 1 + x - data.endogenous + u + rng.normal(size=n)
    data["count"] = rng.poisson(np.exp(0.4 + 0.3 * x) * rng.gamma(1.0, 1.0, n))
    data["binary"] = (data.y > 1).astype(int)
    data["positive"] = np.exp(0.2 + 0.3 * x) * rng.gamma(2.0, 0.5, n)
    data["trials"] = rng.integers(1, 6, n)
    data["successes"] = rng.binomial(data.trials, 1 / (1 + np.exp(-x)))
    data["failures"] = data.trials - data.successes
    return data


DATA = frame()
DESIGN = sm.add_constant(DATA[["x"]])


def quiet(fit: Callable[[], Any]) -> Any:
    """Fit without the warnings of statsmodels about links, weights and information matrices."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit()


def glm(formula: str, family: Any, **given: Any) -> Any:
    model = quiet(lambda: smf.glm(formula, DATA, family=family, **given))
    return quiet(lambda: model.fit(tol=1e-13, maxiter=300, cov_type="HC0"))


def count(model: type, **given: Any) -> Any:
    return quiet(
        lambda: model(DATA["count"], DESIGN, **given).fit(
            disp=0, maxiter=500, gtol=1e-8, cov_type="HC0"
        )
    )


def linear(model: type, **given: Any) -> Any:
    return model(DATA.y, DESIGN, **given).fit(cov_type="HC0")


STATSMODELS = {
    "OLS": lambda: smf.ols("y ~ x + I(x**2) + C(k)", DATA).fit(cov_type="HC0"),
    "OLS of a rank-deficient design": lambda: quiet(
        lambda: smf.ols("y ~ x + I(2 * x)", DATA).fit(cov_type="HC0")
    ),
    "WLS": lambda: smf.wls("y ~ x", DATA, weights=DATA.w).fit(cov_type="HC0"),
    "WLS with one weight": lambda: linear(sm.WLS, weights=2.0),
    "GLS": lambda: linear(sm.GLS, sigma=DATA.w),
    "GLS with a diagonal matrix": lambda: linear(sm.GLS, sigma=np.diag(DATA.w)),
    "GLS without sigma": lambda: linear(sm.GLS),
    "GLM Gaussian": lambda: glm("y ~ x", families.Gaussian()),
    "GLM Poisson": lambda: glm("count ~ x", families.Poisson()),
    "GLM Poisson sqrt": lambda: glm("count ~ x", families.Poisson(links.Sqrt())),
    "GLM Poisson offset": lambda: glm(
        "count ~ x", families.Poisson(), offset=DATA.z, exposure=DATA.w
    ),
    "GLM Poisson var_weights": lambda: glm("count ~ x", families.Poisson(), var_weights=DATA.w),
    "GLM Binomial": lambda: glm("binary ~ x", families.Binomial()),
    "GLM Binomial probit": lambda: glm("binary ~ x", families.Binomial(links.Probit())),
    "GLM Binomial cloglog": lambda: glm("binary ~ x", families.Binomial(links.CLogLog())),
    "GLM Binomial trials": lambda: glm("successes + failures ~ x", families.Binomial()),
    "GLM Gamma": lambda: glm("positive ~ x", families.Gamma(links.Log())),
    "GLM Gamma inverse": lambda: glm("positive ~ w", families.Gamma(links.InversePower())),
    "GLM inverse Gaussian": lambda: glm("positive ~ x", families.InverseGaussian(links.Log())),
    "GLM NegativeBinomial": lambda: glm("count ~ x", families.NegativeBinomial(alpha=0.7)),
    "GLM Tweedie": lambda: glm("positive ~ x", families.Tweedie(links.Log(), var_power=1.5)),
    "Logit": lambda: smf.logit("binary ~ x", DATA).fit(disp=0, cov_type="HC0"),
    "Logit offset": lambda: smf.logit("binary ~ x", DATA, offset=DATA.w).fit(
        disp=0, cov_type="HC0"
    ),
    "Probit": lambda: smf.probit("binary ~ x", DATA).fit(disp=0, cov_type="HC0"),
    "Poisson": lambda: count(sm.Poisson),
    "Poisson exposure": lambda: count(sm.Poisson, exposure=DATA.w, offset=DATA.z),
    "NB1": lambda: count(sm.NegativeBinomial, loglike_method="nb1"),
    "NB2": lambda: count(sm.NegativeBinomial, loglike_method="nb2", exposure=DATA.w),
    "geometric": lambda: count(sm.NegativeBinomial, loglike_method="geometric"),
    "NB-P, P = 1": lambda: count(sm.NegativeBinomialP, p=1),
    "NB-P, P = 2": lambda: count(sm.NegativeBinomialP, p=2, offset=DATA.w),
    "GP-1": lambda: count(sm.GeneralizedPoisson, p=1),
    "GP-2": lambda: count(sm.GeneralizedPoisson, p=2, exposure=DATA.w),
}

LIKELIHOOD = [name for name in STATSMODELS if name.split()[0] not in ("OLS", "WLS", "GLS")]


def instrumental(model: type, weights: Any = None, fit: Any = None, **given: Any) -> Any:
    fitted = model(DATA.q, DESIGN, DATA[["endogenous"]], DATA[["z", "w"]], weights=weights, **given)
    return fitted.fit(cov_type="robust", debiased=False, **(fit or {}))


LINEARMODELS = {
    "IV2SLS": lambda: instrumental(IV2SLS),
    "IV2SLS weights": lambda: instrumental(IV2SLS, DATA.positive),
    "IV2SLS without endogenous": lambda: IV2SLS(DATA.y, DESIGN, None, None).fit(),
    "OLS": lambda: _OLS(DATA.y, DESIGN, weights=DATA.w).fit(),
    "IVLIML": lambda: instrumental(IVLIML),
    "IVLIML weights": lambda: instrumental(IVLIML, DATA.positive),
    "IVLIML Fuller": lambda: instrumental(IVLIML, fuller=1),
    "IVLIML kappa = 1": lambda: instrumental(IVLIML, kappa=1.0),
    "IVGMM": lambda: instrumental(IVGMM),
    "IVGMM weights": lambda: instrumental(IVGMM, DATA.positive),
    "IVGMM one step": lambda: instrumental(IVGMM, fit={"iter_limit": 1}),
    "IVGMM iterated": lambda: instrumental(IVGMM, fit={"iter_limit": 50}),
    "IVGMMCUE": lambda: instrumental(IVGMMCUE),
}


def covariance(moment: FittedMoment) -> np.ndarray:
    """(1/n^2) sum of l l' with scale 1."""
    influence = moment.influence.sum(axis=1)
    return influence.T @ influence / moment.n_obs**2


def assert_same_covariance(moment: FittedMoment, expected: Any, tolerance: float = 1e-8):
    expected = np.asarray(expected)
    size = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(covariance(moment) / size, expected / size, atol=tolerance)


class TestCovariance:
    @pytest.mark.parametrize("name", STATSMODELS)
    def test_influence_gives_hc0_of_statsmodels(self, name: str):
        fit = STATSMODELS[name]()
        assert_same_covariance(fitted_moment(fit), fit.cov_params())

    @pytest.mark.parametrize("name", LINEARMODELS)
    def test_influence_gives_robust_covariance_of_linearmodels(self, name: str):
        fit = LINEARMODELS[name]()
        assert_same_covariance(fitted_moment(fit), fit.cov)

    def test_sandbox_iv2sls_agrees_with_linearmodels(self):
        exog = DESIGN.assign(endogenous=DATA.endogenous)
        fit = sandbox.IV2SLS(DATA.q, exog, DESIGN.assign(z=DATA.z, w=DATA.w)).fit()
        assert_same_covariance(fitted_moment(fit), instrumental(IV2SLS).cov)

    def test_covariance_option_of_the_fit_does_not_matter(self):
        plain, robust = (
            fitted_moment(smf.ols("y ~ x", DATA).fit(cov_type=kind))
            for kind in ("nonrobust", "HC3")
        )
        np.testing.assert_array_equal(plain.influence, robust.influence)

    def test_optimiser_of_a_glm_does_not_matter(self):
        family = quiet(lambda: families.Poisson(links.Sqrt()))
        model = quiet(lambda: smf.glm("count ~ x", DATA, family=family))
        fit = quiet(lambda: model.fit(method="newton", optim_hessian="eim", maxiter=100))
        assert_same_covariance(
            fitted_moment(fit), STATSMODELS["GLM Poisson sqrt"]().cov_params(), 1e-6
        )


class TestNegativeBinomialP:
    """The closed form Hessian of statsmodels is wrong unless P is 1 or 2."""

    def test_influence_agrees_with_a_numerical_hessian(self):
        fit = count(sm.NegativeBinomialP, p=1.5)
        params = np.asarray(fit.params)
        bread = np.linalg.inv(approx_hess(params, fit.model.loglike))
        scores = fit.model.score_obs(params)
        assert_same_covariance(fitted_moment(fit), bread @ (scores.T @ scores) @ bread, 1e-5)


class TestEstimatingEquation:
    @pytest.mark.parametrize("name", STATSMODELS)
    def test_influence_has_mean_zero(self, name: str):
        assert_mean_zero(fitted_moment(STATSMODELS[name]()))

    @pytest.mark.parametrize("name", [name for name in LINEARMODELS if name[:3] != "IVL"])
    def test_influence_has_mean_zero_for_iv(self, name: str):
        assert_mean_zero(fitted_moment(LINEARMODELS[name]()), 0.02 if "CUE" in name else 1e-4)

    @pytest.mark.parametrize("name", [name for name in LINEARMODELS if name[:3] == "IVL"])
    def test_liml_differs_from_its_first_order_equation_by_less_than_a_standard_error(
        self, name: str
    ):
        assert_mean_zero(fitted_moment(LINEARMODELS[name]()), 0.1)


def assert_mean_zero(moment: FittedMoment, tolerance: float = 1e-4):
    """The mean of l, in standard errors; likelihood fits stop before the last digit."""
    error = np.sqrt(np.diag(covariance(moment)))
    assert np.abs(moment.influence.sum(axis=1).mean(axis=0) / error).max() < tolerance


class TestJacobian:
    @pytest.mark.parametrize("name", STATSMODELS)
    def test_residuals_are_outcome_minus_mean(self, name: str):
        fit = STATSMODELS[name]()
        expected = fit.model.endog - fit.model.predict(fit.params)
        np.testing.assert_allclose(fitted_moment(fit).residuals[:, 0], expected, atol=1e-10)

    @pytest.mark.parametrize("name", STATSMODELS)
    def test_jacobian_is_the_derivative_of_the_residual(self, name: str):
        fit = STATSMODELS[name]()
        slope = approx_fprime(np.asarray(fit.params), fit.model.predict, centered=True)
        np.testing.assert_allclose(fitted_moment(fit).jacobian[:, 0], -slope, atol=2e-7)

    @pytest.mark.parametrize("name", LINEARMODELS)
    def test_iv_residuals_are_unweighted(self, name: str):
        fit = LINEARMODELS[name]()
        moment = fitted_moment(fit)
        np.testing.assert_allclose(moment.residuals[:, 0], fit.resids, atol=1e-10)
        fitted = fit.model.dependent.ndarray - moment.residuals
        np.testing.assert_allclose(
            -moment.jacobian[:, 0] @ np.asarray(fit.params), fitted[:, 0], atol=1e-10
        )


class TestGain:
    @pytest.mark.parametrize(
        "name", ["Logit", "Probit", "Poisson", "NB1", "NB2", "geometric", "GP-1", "GP-2"]
    )
    def test_variance_is_that_of_statsmodels(self, name: str):
        """L_i A is d mu_i / V_i; Bartlett's identity makes V the model's Var(y | x)."""
        fit = STATSMODELS[name]()
        assert_variance(fit, fit.predict(which="var"))

    @pytest.mark.parametrize("power", [1, 2, 1.5])
    def test_variance_of_nb_p(self, power: float):
        fit = count(sm.NegativeBinomialP, p=power)
        distribution = fit.get_distribution()
        assert_variance(fit, distribution.var())

    @pytest.mark.parametrize("name", [name for name in LIKELIHOOD if name[:3] == "GLM"])
    def test_influence_of_a_glm_is_gain_times_residual(self, name: str):
        moment, gain = moment_and_gain(STATSMODELS[name]())
        np.testing.assert_allclose(gain * moment.residuals, moment.influence[:, 0], atol=1e-9)


def moment_and_gain(fit: Any) -> tuple[FittedMoment, np.ndarray]:
    from kcm.adapters.registry import recognised

    result, adapter = recognised(fit)
    return fitted_moment(fit), adapter.estimate(result).gain


def assert_variance(fit: Any, expected: Any):
    moment, gain = moment_and_gain(fit)
    params = np.asarray(fit.params)
    information = -approx_fprime(params, fit.model.score, centered=True) / moment.n_obs
    variance = -moment.jacobian[:, 0, 0] / (gain @ information)[:, 0]
    np.testing.assert_allclose(variance, np.asarray(expected), rtol=1e-5)


class TestScale:
    def test_ols_scale_is_that_of_the_hat_matrix(self):
        fit = smf.ols("y ~ x + I(x**2)", DATA).fit()
        expected = powers(1 - fit.get_influence().hat_matrix_diag)
        np.testing.assert_allclose(fitted_moment(fit).scale[:, 0], expected, rtol=1e-10)

    def test_wls_scale_is_that_of_the_weighted_hat_matrix(self):
        fit = STATSMODELS["WLS"]()
        whitened = sm.OLS(fit.model.wendog, fit.model.wexog).fit()
        expected = powers(1 - whitened.get_influence().hat_matrix_diag)
        np.testing.assert_allclose(fitted_moment(fit).scale[:, 0], expected, rtol=1e-10)

    @pytest.mark.parametrize(
        ("name", "family"),
        [("Logit", sm.families.Binomial()), ("Poisson", sm.families.Poisson())],
    )
    def test_likelihood_scale_is_that_of_the_glm_hat_matrix(self, name: str, family: Any):
        fit = STATSMODELS[name]()
        glm = sm.GLM(fit.model.endog, fit.model.exog, family=family).fit(tol=1e-14)
        expected = powers(1 - glm.get_influence().hat_matrix_diag)
        np.testing.assert_allclose(fitted_moment(fit).scale[:, 0], expected, rtol=1e-6)
        np.testing.assert_allclose(fitted_moment(glm).scale[:, 0], expected, rtol=1e-6)

    @pytest.mark.parametrize("name", ["WLS", "Logit", "GP-2"])
    def test_scale_is_made_of_the_variance_left_by_the_projection(self, name: str):
        from kcm.adapters.registry import recognised

        moment, gain = moment_and_gain(STATSMODELS[name]())
        fit, adapter = recognised(STATSMODELS[name]())
        v = adapter.estimate(fit).variance
        projection = np.eye(moment.n_obs) + moment.jacobian[:, 0] @ gain.T / moment.n_obs
        left = np.diag(projection @ np.diag(v) @ projection.T) / v
        np.testing.assert_allclose(moment.scale[:, 0], powers(left), rtol=1e-9)

    def test_units_of_a_regressor_do_not_matter(self):
        scaled = smf.logit("binary ~ s", DATA.assign(s=1e7 * DATA.x)).fit(disp=0, method="newton")
        expected = fitted_moment(STATSMODELS["Logit"]())
        np.testing.assert_allclose(fitted_moment(scaled).scale, expected.scale, rtol=1e-7)


class TestFrequencyWeights:
    @pytest.fixture
    def weighted(self) -> Any:
        model = smf.glm(
            "count ~ x", DATA, family=families.Poisson(), freq_weights=DATA.k, offset=DATA.w
        )
        return model.fit(tol=1e-13)

    @pytest.fixture
    def repeated(self) -> Any:
        rows = DATA.loc[DATA.index.repeat(DATA.k)]
        model = smf.glm("count ~ x", rows, family=families.Poisson(), offset=rows.w)
        return model.fit(tol=1e-13)

    @pytest.mark.parametrize(
        "part", ["residuals", "conditioning", "jacobian", "influence", "scale"]
    )
    def test_weights_stand_for_repeated_rows(self, weighted: Any, repeated: Any, part: str):
        got, expected = (getattr(fitted_moment(fit), part) for fit in (weighted, repeated))
        np.testing.assert_allclose(got, expected, atol=1e-9)

    def test_binomial_with_frequencies_and_trials(self):
        given = {"family": families.Binomial()}
        fit = smf.glm("successes + failures ~ x", DATA, freq_weights=DATA.k + 1, **given).fit()
        rows = DATA.loc[DATA.index.repeat(DATA.k + 1)]
        expected = smf.glm("successes + failures ~ x", rows, **given).fit()
        np.testing.assert_allclose(
            fitted_moment(fit).influence, fitted_moment(expected).influence, atol=1e-8
        )


def leave_out(fit: Callable[[pd.DataFrame], Any], rows: range) -> np.ndarray:
    full = np.asarray(fit(DATA).params)
    return np.array([full - np.asarray(fit(DATA.drop(index=i)).params) for i in rows])


def iv(model: type) -> Callable[[pd.DataFrame], Any]:
    return lambda data: model(
        data.q, DESIGN.loc[data.index], data[["endogenous"]], data[["z", "w"]]
    ).fit()


class TestLeaveOneOut:
    """The influence of an observation is close to n times the change when it is left out."""

    @pytest.mark.parametrize(
        "fit",
        [
            pytest.param(lambda data: smf.probit("binary ~ x", data).fit(disp=0), id="Probit"),
            pytest.param(
                lambda data: quiet(
                    lambda: sm.GeneralizedPoisson(data["count"], DESIGN.loc[data.index]).fit(
                        disp=0, maxiter=300
                    )
                ),
                id="GP",
            ),
            pytest.param(iv(IVLIML), id="LIML"),
            pytest.param(iv(IVGMM), id="GMM"),
            pytest.param(iv(IVGMMCUE), id="CUE"),
        ],
    )
    def test_change_is_predicted(self, fit: Callable[[pd.DataFrame], Any]):
        rows = range(5, 250, 25)
        change = leave_out(fit, rows)
        predicted = fitted_moment(fit(DATA)).influence[rows, 0] / len(DATA)
        assert np.linalg.norm(change - predicted) < 0.1 * np.linalg.norm(change)
