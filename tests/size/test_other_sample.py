"""Size and power of the test of a fit on rows that it has not used. Referee: simulation.

500 replications a cell; rates are printed (pytest -rP -s).
"""

import numpy as np
import pytest
import statsmodels.api as sm

import kcm
from kcm.kernels import Gaussian

TESTS = {
    "asymptotic": {"kernel": Gaussian()},
    "rademacher": {"kernel": Gaussian(), "null": kcm.MultiplierBootstrap(199)},
    "adaptive": {},
}


def ols(d, square=0.0, spread="equal"):
    """Least squares on d normal regressors, a square of the first one left out."""

    def design(rng, n):
        x = rng.normal(size=(n, d))
        sd = np.ones(n) if spread == "equal" else np.sqrt(0.1 + 0.9 * x[:, 0] ** 2)
        y = 1 + x.sum(axis=1) + square * (x[:, 0] ** 2 - 1) + sd * rng.normal(size=n)
        return y, sm.add_constant(x), sm.OLS

    return design


def logit(rng, n):
    x = rng.normal(size=(n, 2))
    index = 0.3 + 0.5 * x[:, 0] - 0.5 * x[:, 1]
    return (
        (rng.uniform(size=n) < 1 / (1 + np.exp(-index))).astype(float),
        sm.add_constant(x),
        sm.Logit,
    )


def rates(design, n_fit, n_test, names, n_replications=500):
    """Share of replications rejected at 5 %, each fitted on n_fit rows and tested on others."""
    rejected = dict.fromkeys(names, 0)
    for seed in range(n_replications):
        y, exog, model = design(np.random.default_rng([seed, n_fit, n_test]), n_fit + n_test)
        fit = model(y[:n_fit], exog[:n_fit]).fit(**({"disp": 0} if model is sm.Logit else {}))
        for name in names:
            result = kcm.specification_test(
                fit, data=(y[n_fit:], exog[n_fit:]), rng=seed, **TESTS[name]
            )
            rejected[name] += result.pvalue <= 0.05
    found = {name: count / n_replications for name, count in rejected.items()}
    print(f"fit on {n_fit}, test on {n_test}: {found}", flush=True)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("d", "n_fit", "n_test"), [(1, 200, 200), (5, 100, 300)])
def test_a_right_model_is_rejected_as_often_as_the_level_says(d, n_fit, n_test):
    found = rates(ols(d), n_fit, n_test, ["asymptotic"], 300)
    assert 0.02 <= found["asymptotic"] <= 0.08, found


@pytest.mark.study
@pytest.mark.parametrize("d", [1, 5])
@pytest.mark.parametrize(("n_fit", "n_test"), [(200, 200), (100, 300), (400, 100)])
def test_size_of_least_squares(d, n_fit, n_test):
    found = rates(ols(d), n_fit, n_test, ["asymptotic", "rademacher"])
    assert all(0.03 <= rate <= 0.07 for rate in found.values()), found


@pytest.mark.study
def test_size_of_the_adaptive_test():
    found = rates(ols(1), 200, 200, ["adaptive"])
    assert 0.03 <= found["adaptive"] <= 0.07, found


@pytest.mark.study
def test_size_where_the_variance_is_at_the_leverage():
    found = rates(ols(1, spread="leverage"), 200, 200, ["asymptotic", "rademacher"])
    assert all(0.03 <= rate <= 0.07 for rate in found.values()), found


@pytest.mark.study
def test_size_of_a_logit():
    found = rates(logit, 200, 200, ["asymptotic", "rademacher"])
    assert all(0.03 <= rate <= 0.07 for rate in found.values()), found


@pytest.mark.study
@pytest.mark.parametrize("d", [1, 5])
def test_power_against_an_omitted_square(d):
    found = rates(ols(d, 0.4), 200, 200, ["asymptotic", "rademacher"])
    assert all(rate >= 0.6 for rate in found.values()), found


@pytest.mark.study
def test_a_theta_that_is_taken_as_known_is_rejected_too_often():
    """docs/estimated_theta.md: the reason why the error of theta is in the law."""
    rejected = 0
    for seed in range(500):
        y, exog, _ = ols(5)(np.random.default_rng(seed), 400)
        params = sm.OLS(y[:200], exog[:200]).fit().params
        moment = kcm.FittedMoment(y[200:] - exog[200:] @ params, exog[200:, 1:])
        rejected += kcm.KCMTest(Gaussian()).run(moment).pvalue <= 0.05
    print(rejected / 500)
    assert rejected / 500 > 0.2
