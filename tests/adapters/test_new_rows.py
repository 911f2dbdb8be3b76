"""A fit on rows that it has not used. Referees: predict of the fit's own library, differences."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from linearmodels.iv import IV2SLS
from statsmodels.sandbox.regression import gmm

import kcm
from kcm.adapters import fitted_moment
from kcm.exceptions import DataError, DependenceWarning, OptionError, UnsupportedModelError
from kcm.gram import matrix
from kcm.kernels import Gaussian
from kcm.moments import scaled_influence

KERNEL = Gaussian(1.0)


def frame(n, seed):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n)})
    data["g"] = rng.choice(list("abc"), n)
    data["w"] = 1.5 * data["z"] + rng.normal(size=n)
    data["y"] = 1 + data["x"] + data["w"] + (data["g"] == "b") + rng.normal(size=n)
    data["b"] = (data["x"] + rng.logistic(size=n) > 0).astype(float)
    data["k"] = rng.poisson(np.exp(0.3 * data["x"]))
    data["e"] = rng.uniform(0.5, 2, n)
    data["firm"] = np.arange(n) // 4
    return data


TRAIN, TEST = frame(150, 1), frame(120, 2)

FITS = {
    "ols": (smf.ols("y ~ center(x) + C(g) + w", TRAIN).fit(), "y"),
    "wls": (smf.wls("y ~ x + w", TRAIN, weights=TRAIN["e"]).fit(), "y"),
    "glm": (smf.glm("k ~ x", TRAIN, family=sm.families.Poisson()).fit(), "k"),
    "logit": (smf.logit("b ~ x + z", TRAIN).fit(disp=0), "b"),
    "probit": (smf.probit("b ~ x + z", TRAIN).fit(disp=0), "b"),
    "poisson": (smf.poisson("k ~ standardize(x)", TRAIN).fit(disp=0), "k"),
    "negative binomial": (smf.negativebinomial("k ~ x + z", TRAIN).fit(disp=0, maxiter=200), "k"),
}


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", FITS)
def test_residuals_and_jacobian_are_those_of_predict(name):
    fit, outcome = FITS[name]
    moment = fitted_moment(fit, "x", data=TEST)
    np.testing.assert_allclose(
        moment.residuals[:, 0], TEST[outcome] - fit.predict(TEST), atol=1e-10
    )
    params, exog = (
        np.asarray(fit.params, float),
        np.asarray(fit._results._transform_predict_exog(TEST)[0]),
    )
    step = 1e-6
    for j in range(len(params)):
        up, down = (params + step * s * (np.arange(len(params)) == j) for s in (1, -1))
        slope = (fit.model.predict(up, exog) - fit.model.predict(down, exog)) / (2 * step)
        np.testing.assert_allclose(moment.jacobian[:, 0, j], -slope, atol=1e-7)
    np.testing.assert_allclose(
        moment.covariance, _covariance(fitted_moment(fit, "x")), rtol=1e-9, atol=1e-300
    )
    assert moment.labels.theta.startswith("estimated on another sample of 150 rows: ")


def _covariance(moment):
    influence = scaled_influence(moment)
    return influence.T @ influence / len(influence) ** 2


def test_the_law_is_that_of_both_samples():
    """Referee: the eigenvalues of E'K_0 E, E = [diag(psi), S L_1'/n_1] with all training rows."""
    fit = smf.ols("y ~ x + w", TRAIN).fit()
    result = kcm.specification_test(fit, data=TEST, kernel=KERNEL)
    x, n = TEST[["x", "w"]].to_numpy(), len(TEST)
    exog = sm.add_constant(x)
    psi = TEST["y"].to_numpy() - exog @ fit.params.to_numpy()
    influence = scaled_influence(fitted_moment(fit))
    values = matrix(KERNEL, x) - np.eye(n)
    both = np.hstack([np.diag(psi), -exog @ influence.T / 150])
    form = both.T @ values @ both / (n - 1)
    mean = np.trace(form)
    form[np.arange(n), np.arange(n)] = 0
    weights = np.linalg.eigvalsh(form)
    assert result.statistic == pytest.approx(psi @ values @ psi / (n - 1))
    draws = np.random.default_rng(0).chisquare(1, (40_000, len(weights))) - 1
    simulated = mean + draws @ weights
    share = np.mean(simulated >= result.statistic)
    assert result.pvalue == pytest.approx(share, abs=4 * np.sqrt(share / 40_000) + 1e-3)


def test_a_quantile_keeps_its_sign_of_the_jacobian():
    fit = smf.quantreg("y ~ x + w", TRAIN).fit(q=0.4)
    moment = fitted_moment(fit, data=TEST)
    below = TEST["y"] <= fit.predict(TEST)
    np.testing.assert_allclose(moment.residuals[:, 0], below - 0.4)
    assert (moment.jacobian[:, 0, 0] > 0).all()


@pytest.mark.parametrize("as_table", [True, False])
def test_arrays_and_tables_say_the_same_as_a_formula(as_table):
    formula = smf.ols("y ~ x + w", TRAIN).fit()
    arrays = sm.OLS(TRAIN["y"], sm.add_constant(TRAIN[["x", "w"]])).fit()
    given = TEST if as_table else (TEST["y"], sm.add_constant(TEST[["w", "x"]]))
    found = kcm.specification_test(arrays, data=given, kernel=KERNEL)
    expected = kcm.specification_test(formula, data=TEST, kernel=KERNEL)
    assert found.pvalue == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.conditioning_names == ("x", "w")


def test_an_exposure_comes_with_the_rows():
    exog = sm.add_constant(TRAIN[["x"]])
    fit = sm.Poisson(TRAIN["k"], exog, exposure=TRAIN["e"]).fit(disp=0)
    new = {"endog": TEST["k"], "exog": sm.add_constant(TEST[["x"]]), "exposure": TEST["e"]}
    moment = fitted_moment(fit, data=new)
    expected = TEST["k"] - fit.predict(new["exog"], exposure=TEST["e"])
    np.testing.assert_allclose(moment.residuals[:, 0], expected, atol=1e-10)
    with pytest.raises(DataError, match="exposure is missing"):
        fitted_moment(fit, data={"endog": TEST["k"], "exog": new["exog"]})


def test_shares_of_trials():
    rng = np.random.default_rng(3)
    for data in (TRAIN, TEST):
        data["s"] = rng.binomial(5, 0.4, len(data))
        data["f"] = 5 - data["s"]
    fit = smf.glm("s + f ~ x", TRAIN, family=sm.families.Binomial()).fit()
    moment = fitted_moment(fit, data=TEST)
    np.testing.assert_allclose(
        moment.residuals[:, 0], TEST["s"] / 5 - fit.predict(TEST), atol=1e-10
    )


def test_instruments_of_linearmodels_and_of_statsmodels():
    formula = IV2SLS.from_formula("y ~ 1 + x + [w ~ z]", TRAIN).fit()
    one = kcm.specification_test(formula, data=TEST, kernel=KERNEL)
    exog = sm.add_constant(TRAIN[["x"]])
    arrays = IV2SLS(TRAIN["y"], exog, TRAIN[["w"]], TRAIN[["z"]]).fit()
    new = {"dependent": TEST["y"], "exog": sm.add_constant(TEST[["x"]])}
    new |= {"endog": TEST[["w"]], "instruments": TEST[["z"]]}
    two = kcm.specification_test(arrays, data=new, kernel=KERNEL)
    parts = [
        (d["y"], sm.add_constant(d[["x", "w"]]), sm.add_constant(d[["x", "z"]]))
        for d in (TRAIN, TEST)
    ]
    sandbox = gmm.IV2SLS(*(np.asarray(part) for part in parts[0])).fit()
    new = tuple(np.asarray(part) for part in parts[1])
    three = kcm.specification_test(sandbox, data=new, kernel=KERNEL)
    assert one.pvalue == pytest.approx(two.pvalue, rel=1e-9)
    assert one.pvalue == pytest.approx(three.pvalue, rel=1e-9)
    assert one.conditioning_names == ("x", "z")
    assert one.theta == "estimated on another sample of 150 rows: IV2SLS"


@pytest.mark.parametrize("estimator", [kcm.MMR, kcm.VMM])
def test_an_estimate_of_this_library(estimator):
    results = estimator.from_formula("y ~ x + w | x + z", TRAIN).fit()
    moment = fitted_moment(results, data=TEST)
    expected = TEST["y"] - results.predict(TEST)
    np.testing.assert_allclose(moment.residuals[:, 0], expected, atol=1e-10)
    np.testing.assert_allclose(moment.covariance, _covariance(results.fitted_moment))
    test = kcm.specification_test(results, data=TEST)
    assert test.kernel == results.kernel
    assert test.theta == f"estimated on another sample of 150 rows: {results.estimator}"
    other = kcm.specification_test(results, data=TEST, conditioning=["z"], kernel=KERNEL)
    assert other.conditioning_names == ("z",)


def test_clusters_of_an_estimate_are_in_its_covariance():
    results = kcm.MMR.from_formula("y ~ x", TRAIN).fit(groups="firm")
    moment = fitted_moment(results, data=TEST)
    sums = np.add.reduceat(
        kcm.moments.scaled_moment(results.fitted_moment, results.groups).influence,
        np.arange(0, 150, 4),
    )
    np.testing.assert_allclose(moment.covariance, sums.T @ sums / 150**2)
    with pytest.warns(DependenceWarning):
        kcm.specification_test(results, data=TEST)


def test_a_robust_covariance_of_dependent_rows_is_the_fits_own():
    clustered = {"cov_type": "cluster", "cov_kwds": {"groups": TRAIN["firm"]}}
    fit = smf.ols("y ~ x", TRAIN).fit(**clustered)
    null = kcm.Asymptotic(groups="firm")
    assert kcm.specification_test(fit, data=TEST, null=null).pvalue <= 1
    np.testing.assert_allclose(fitted_moment(fit, data=TEST).covariance, fit.cov_params())


def test_missing_rows_are_left_out_and_counted():
    new = TEST.copy()
    new.loc[3, "x"] = np.nan
    new.loc[7, "y"] = np.nan
    fit = smf.ols("y ~ x + w", TRAIN).fit()
    result = kcm.specification_test(fit, data=new, kernel=KERNEL)
    assert (result.n_obs, result.n_dropped) == (118, 2)
    kept = kcm.specification_test(fit, data=new.drop(index=[3, 7]), kernel=KERNEL)
    assert result.pvalue == kept.pvalue
    groups = pd.Series(np.arange(120) // 4)[::-1]
    by_index = kcm.specification_test(
        fit, data=new, kernel=KERNEL, null=kcm.Asymptotic(groups=groups)
    )
    by_name = kcm.specification_test(
        fit, data=new, kernel=KERNEL, null=kcm.Asymptotic(groups="firm")
    )
    assert by_index.pvalue == by_name.pvalue
    arrays = sm.OLS(TRAIN["y"], sm.add_constant(TRAIN[["x", "w"]])).fit()
    assert kcm.specification_test(arrays, data=new, kernel=KERNEL).n_dropped == 2


def test_other_conditioning_is_taken_from_the_new_rows():
    fit = smf.ols("y ~ x", TRAIN).fit()
    named = kcm.specification_test(fit, ["x", "z"], KERNEL, data=TEST)
    table = kcm.specification_test(fit, TEST[["x", "z"]][::-1], KERNEL, data=TEST)
    assert named.pvalue == table.pvalue


def test_orthogonal_projection_of_new_rows():
    """Least squares refitted on the new rows has the same projected residuals."""
    fit = smf.ols("y ~ x + w", TRAIN).fit()
    elsewhere = kcm.specification_test(fit, kernel=KERNEL, data=TEST, projection="orthogonal")
    here = kcm.specification_test(smf.ols("y ~ x + w", TEST).fit(), kernel=KERNEL)
    assert elsewhere.pvalue == pytest.approx(here.pvalue, rel=1e-9)


def test_the_formulaic_engine(monkeypatch):
    import statsmodels.formula

    monkeypatch.setattr(statsmodels.formula.options, "formula_engine", "formulaic")
    fit = smf.ols("y ~ center(x) + C(g) + w", TRAIN).fit()
    moment = fitted_moment(fit, data=TEST)
    np.testing.assert_allclose(moment.residuals[:, 0], TEST["y"] - fit.predict(TEST), atol=1e-10)
    with pytest.raises(DataError, match="holds q"):
        fitted_moment(fit, data=TEST.assign(g="q"))


REFUSED = {
    "unseen level": ("y ~ x + C(g)", lambda: TEST.assign(g="q"), "column 'g' holds q"),
    "unseen number": ("y ~ C(k)", lambda: TEST.assign(k=99), "could not be evaluated on `data`"),
    "no column": ("y ~ x + w", lambda: TEST.drop(columns="w"), "has no column 'w'"),
    "no table": ("y ~ x + w", lambda: (TEST["y"], TEST["x"]), "must be a table"),
    "no rows": ("y ~ x + w", lambda: TEST.assign(x=np.nan), "0 complete rows"),
    "infinite": ("y ~ np.exp(x)", lambda: TEST.assign(x=TEST["x"] + 1e3), "infinite"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_rows_that_do_not_fit_are_refused(name):
    formula, data, words = REFUSED[name]
    with pytest.raises(DataError, match=words):
        kcm.specification_test(smf.ols(formula, TRAIN).fit(), data=data())


def test_arrays_of_another_layout_are_refused():
    fit = sm.OLS(TRAIN["y"].to_numpy(), sm.add_constant(TRAIN[["x", "w"]].to_numpy())).fit()
    for data, words in (
        ((TEST["y"], TEST[["x"]]), "1 columns and the fit 3"),
        ((TEST["y"], sm.add_constant(TEST[["x", "w"]])[:50]), "different numbers of rows"),
        (3, "in the layout of the fit; got int"),
        (TEST, "has no column"),
    ):
        with pytest.raises(DataError, match=words):
            kcm.specification_test(fit, data=data)


def test_fits_that_cannot_be_carried_over_say_so():
    offset = smf.poisson("k ~ x", TRAIN, offset=TRAIN["e"]).fit(disp=0)
    with pytest.raises(UnsupportedModelError, match="has an offset"):
        kcm.specification_test(offset, data=TEST)
    moments = gmm.LinearIVGMM(TRAIN["y"], TRAIN[["x", "w"]], TRAIN[["x", "z"]])
    fit = moments.fit(np.zeros(2), maxiter=2, optim_args={"disp": 0})
    with pytest.raises(UnsupportedModelError, match="on new rows are not known here"):
        kcm.specification_test(fit, data=TEST)
    splines = IV2SLS.from_formula("y ~ 1 + center(x) + [w ~ z]", TRAIN).fit()
    with pytest.raises(UnsupportedModelError, match="make the column before the fit"):
        kcm.specification_test(splines, data=TEST)
    centred = kcm.MMR.from_formula("y ~ center(x)", TRAIN).fit()
    with pytest.raises(UnsupportedModelError, match="make the column"):
        kcm.specification_test(centred, data=TEST)
    x, psi = np.random.default_rng(0).normal(size=(2, 30))
    with pytest.raises(OptionError, match="holds its own rows"):
        kcm.specification_test(kcm.FittedMoment(psi, x), data=TEST)
