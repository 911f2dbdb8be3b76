"""Size where the variance grows with skewed regressors, and with many regressors: nominal 5 %.

Referee: simulation, 1,000 replications a cell (`KCM_REPLICATIONS` sets another number): the
standard error of a rate of .05 is .007. Rates are printed (pytest -rP).
"""

import os

import numpy as np
import pytest
from rejection import rejection_rates
from skewed_designs import SKEWED, omitted_square
from unseen_designs import CLUSTERED_DESIGNS, UNSEEN

import kcm
from kcm.adapters import fitted_moment
from kcm.kernels import CityBlockMedian, Gaussian, Laplace

N_REPLICATIONS = int(os.environ.get("KCM_REPLICATIONS", "1000"))
FOUR = {
    "default": {"kernel": "adaptive"},
    "gaussian": {"kernel": Gaussian()},
    "default-rademacher": {"kernel": "adaptive", "null": kcm.MultiplierBootstrap(199)},
    "gaussian-rademacher": {"kernel": Gaussian(), "null": kcm.MultiplierBootstrap(199)},
}
# a rate that is right may be this far out in these many cells
SLACK = 0.01


@pytest.mark.study
@pytest.mark.parametrize("name", SKEWED)
def test_size_of_skewed_designs(name):
    design, n, (low, high) = SKEWED[name]
    rates = rejection_rates(design, n, FOUR, N_REPLICATIONS)
    assert all(low <= rate <= high for rate in rates.values()), rates


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lognormal-100", "normal-d50-200"])
def test_size_of_the_hardest_designs(name):
    design, n, (low, high) = SKEWED[name]
    rates = rejection_rates(design, n, {"gaussian": FOUR["gaussian"]}, 500)
    assert low - SLACK <= rates["gaussian"] <= high + SLACK


@pytest.mark.slow
def test_power_with_fifty_regressors():
    laplace = {"kernel": Laplace(CityBlockMedian())}
    rates = rejection_rates(omitted_square(50), 200, {"laplace": laplace}, 300)
    assert rates["laplace"] >= 0.45


@pytest.mark.study
@pytest.mark.parametrize("n", [100, 200])
@pytest.mark.parametrize("name", UNSEEN)
@pytest.mark.filterwarnings("ignore:Maximum number of iterations")
@pytest.mark.filterwarnings("ignore::RuntimeWarning:statsmodels")
def test_size_of_unseen_designs(name, n):
    rates = rejection_rates(UNSEEN[name], n, FOUR, N_REPLICATIONS)
    assert all(rate <= 0.09 for rate in rates.values()), rates


@pytest.mark.study
@pytest.mark.parametrize("n", [200, 400])
@pytest.mark.parametrize("name", CLUSTERED_DESIGNS)
def test_size_of_unseen_clusters(name, n):
    rejected = np.zeros(3)
    for replication in range(N_REPLICATIONS):
        data, draws = np.random.SeedSequence([n, replication]).spawn(2)
        fit, groups = CLUSTERED_DESIGNS[name](np.random.default_rng(data), n)
        moment = fitted_moment(fit)
        tests = (
            kcm.KCMTest("adaptive", null=kcm.Asymptotic(groups=groups)),
            kcm.KCMTest(Gaussian(), null=kcm.Asymptotic(groups=groups)),
            kcm.KCMTest(Gaussian(), null=kcm.MultiplierBootstrap(199, groups=groups)),
        )
        rng = np.random.default_rng(draws)
        rejected += [test.run(moment, rng).pvalue <= 0.05 for test in tests]
    print(f"n = {n}: default, Gaussian, Rademacher {rejected / N_REPLICATIONS}")
    assert (rejected / N_REPLICATIONS <= 0.09).all()
