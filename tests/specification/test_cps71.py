"""The wage data, end to end, against an independent dense program."""

import numpy as np
import pytest
import statsmodels.api as sm

import kcm
from kcm import gram
from kcm.adapters import fitted_moment
from kcm.statistic.contraction import contract

CASES = [(degree, statistic) for degree in (1, 2, 4, 5) for statistic in "UV"]
everywhere = pytest.mark.parametrize(("degree", "statistic"), CASES)


@pytest.fixture
def expected(reference, degree, statistic):
    table = reference("cps71_expected.csv")
    return table[(table.degree == degree) & (table.statistic == statistic)].iloc[0]


@pytest.fixture
def fit(degree):
    data = kcm.datasets.load_cps71()
    age = (data.age - data.age.mean()) / data.age.std()
    design = np.column_stack([age**power for power in range(degree + 1)])
    return sm.OLS(data.logwage, design).fit()


def run(fit, statistic, null=None):
    data = kcm.datasets.load_cps71()
    kernel = kcm.kernels.Gaussian()
    return kcm.specification_test(fit, data[["age"]], kernel, statistic, null, rng=71)


@everywhere
def test_statistic_and_asymptotic_pvalue(fit, statistic, expected):
    result = run(fit, statistic)
    assert result.statistic == pytest.approx(expected["T"], rel=1e-8, abs=0)
    assert result.pvalue == pytest.approx(expected.p_eigenvalues, rel=1e-3, abs=0)
    assert float(result.kernel.bandwidth[0]) == pytest.approx(expected.bandwidth, rel=1e-12)


@everywhere
def test_pvalue_by_cumulants(fit, statistic, expected):
    result = run(fit, statistic, kcm.Asymptotic(method="cumulants"))
    assert result.pvalue == pytest.approx(expected.p_cumulants, rel=1e-6, abs=0)


@everywhere
def test_the_law_is_shifted_by_the_regression_on_the_identity(fit, statistic, expected):
    moment = fitted_moment(fit, kcm.datasets.load_cps71()[["age"]])
    kernel = kcm.kernels.Gaussian(expected.bandwidth)
    form = contract(moment, gram.TiledGram(kernel, moment.conditioning), statistic)
    assert form.shift.value == pytest.approx(expected["shift"], rel=1e-8)


@everywhere
def test_rademacher_bootstrap(fit, statistic, expected):
    n_draws = 9_999
    result = run(fit, statistic, kcm.MultiplierBootstrap(n_draws))
    p = expected.p_rademacher
    error = np.hypot(np.sqrt(p * (1 - p) / n_draws), expected.mc_se)
    # the reference p adds one to both counts of 200,000 draws, ours to 9,999
    assert abs(result.pvalue - p) < 3 * error + 1 / (n_draws + 1)


@pytest.mark.parametrize(("degree", "rejected"), [(1, True), (2, True), (4, False), (5, False)])
def test_the_quadratic_is_rejected_and_the_quartic_is_not(fit, rejected):
    assert (run(fit, "U").pvalue < 0.05) is rejected
