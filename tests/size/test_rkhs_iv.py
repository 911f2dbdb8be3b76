"""RKHSIV by simulation: its error against other estimators, and the size of a residual test.

Designs of Bennett, Kallus and Schnabel (2019). Results are printed (pytest -rP).
"""

import numpy as np
import pytest
from linearmodels.iv import IV2SLS
from performance.memory import numbers_of, on_linux
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV

import kcm
from kcm.estimators.rkhs_iv import RKHSIV
from kcm.kernels import Gaussian, MedianHeuristic

slow = pytest.mark.slow
# In full, as the docs have it, and few of them.
FULL = pytest.param(True, marks=pytest.mark.study, id="full")
FEW = pytest.param(False, marks=slow, id="few")
FUNCTIONS = {
    "sin": np.sin,
    "abs": np.abs,
    "step": lambda x: (x >= 0).astype(float),
    "linear": lambda x: x,
}


def sample(rng, g, n):
    """Z ~ U[-3, 3]^2, X = Z_1 + e + gamma, Y = g(X) + e + delta: X is endogenous through e."""
    z, e = rng.uniform(-3, 3, (n, 2)), rng.normal(size=n)
    x = z[:, 0] + e + rng.normal(0, np.sqrt(0.1), n)
    return x[:, None], g(x) + e + rng.normal(0, np.sqrt(0.1), n), z


def rkhs(x, y, z, new):
    return RKHSIV().fit(x, y, z).predict(new)


def two_stage(x, y, z, new):
    one = np.ones((len(y), 1))
    constant, slope = IV2SLS(y, one, x, z).fit().params
    return constant + slope * new[:, 0]


def naive(x, y, z, new):
    """Kernel ridge regression of Y on X, cross-validated; it ignores that X is endogenous."""
    grid = {"alpha": [0.1, 1.0, 10.0], "gamma": [0.03, 0.3, 3.0]}
    return GridSearchCV(KernelRidge(kernel="rbf"), grid, cv=2).fit(x, y).predict(new)


ESTIMATORS = {"RKHSIV": rkhs, "2SLS": two_stage, "kernel ridge": naive}


def mean_squared_errors(g, n_replications, n=2_000):
    errors = {name: [] for name in ESTIMATORS}
    for replication in range(n_replications):
        rng = np.random.default_rng([n, replication])
        data, (new, _, _) = sample(rng, g, n), sample(rng, g, n)
        for name, estimator in ESTIMATORS.items():
            errors[name].append(np.mean((estimator(*data, new) - g(new[:, 0])) ** 2))
    means = {name: float(np.mean(values)) for name, values in errors.items()}
    print({name: round(value, 4) for name, value in means.items()})
    return means


@pytest.mark.parametrize("in_full", [FEW, FULL])
@pytest.mark.parametrize("name", ["sin", "abs", "step"])
def test_nonlinear_functions_are_found_better_than_by_others(name, in_full):
    means = mean_squared_errors(FUNCTIONS[name], 20 if in_full else 6)
    assert means["RKHSIV"] < means["2SLS"]
    assert means["RKHSIV"] < means["kernel ridge"]


@pytest.mark.parametrize("in_full", [FEW, FULL])
def test_a_linear_function_is_left_to_two_stage_least_squares(in_full):
    means = mean_squared_errors(FUNCTIONS["linear"], 10 if in_full else 6)
    assert means["2SLS"] < means["RKHSIV"] < means["kernel ridge"]


def rejection_rates(g, n, n_replications):
    """Share of replications rejected at 5 %, at lam as chosen and at a tenth of it."""
    rejected = {"chosen": [], "chosen, narrow": [], "tenth": [], "tenth, narrow": []}
    for replication in range(n_replications):
        x, y, z = sample(np.random.default_rng([n, replication, 1]), g, n)
        chosen = RKHSIV().fit(x, y, z)
        tenth = RKHSIV(chosen.kernel_, None, chosen.regularization_ / 10).fit(x, y, z)
        narrow = Gaussian(MedianHeuristic()(z) / 2)
        for name, fit in {"chosen": chosen, "tenth": tenth}.items():
            moment = fit.fitted_moment()
            rejected[name].append(kcm.KCMTest().run(moment).pvalue <= 0.05)
            rejected[f"{name}, narrow"].append(kcm.KCMTest(narrow).run(moment).pvalue <= 0.05)
    rates = {name: float(np.mean(values)) for name, values in rejected.items()}
    print(f"n = {n}: {rates}")
    return rates


@pytest.mark.filterwarnings("ignore::kcm.exceptions.RegularizationBiasWarning")
@pytest.mark.parametrize("in_full", [FEW, FULL])
@pytest.mark.parametrize("name", ["sin", "step"])
def test_size_is_roughly_right(name, in_full):
    """Nominal 5 %: regularisation bias is not accounted for, and it shows."""
    rates = rejection_rates(FUNCTIONS[name], 200, 300 if in_full else 150)
    assert 0.02 <= rates["chosen"] <= 0.12, rates
    assert 0.02 <= rates["tenth"] <= 0.10, rates
    assert rates["chosen, narrow"] <= 0.2, rates
    assert rates["tenth, narrow"] <= 0.15, rates


LARGE = """
import numpy as np
from kcm.estimators.rkhs_iv import RKHSIV
rng = np.random.default_rng(0)
z, e = rng.uniform(-3, 3, (20_000, 2)), rng.normal(size=20_000)
x = z[:, :1] + e[:, None] + rng.normal(0, 0.3, (20_000, 1))
y = np.abs(x[:, 0]) + e
fit = RKHSIV().fit(x, y, z)
print(memory("VmHWM") / 1e9)
print(np.mean((fit.predict(x) - np.abs(x[:, 0])) ** 2))
"""


@slow
@on_linux
def test_twenty_thousand_rows_need_no_matrix_of_that_size():
    gigabytes, error = numbers_of(LARGE)
    assert gigabytes < 1.5  # K alone takes 3.2
    assert error < 0.1
