"""Size of the adaptive test, the default: nominal 5 %, 1,000 replications a cell.

Referee: simulation. The Monte Carlo standard error of a rate of .05 is .007; rates are printed
(pytest -rP).
"""

import numpy as np
import pytest
from rejection import ADAPTIVE, BOUNDS, rejection_rates
from size_designs import DESIGNS, OTHER_MODELS, clustered, mixed

import kcm

pytestmark = pytest.mark.study

ALL_MODELS = DESIGNS | OTHER_MODELS
WITH_DRAWS = {
    "mixed": mixed,
    **{name: DESIGNS[name] for name in ("ols-d5-heteroskedastic", "logit", "2sls-over-identified")},
}
CAUCHY = {"cauchy": ADAPTIVE["cauchy"]}


@pytest.mark.parametrize("design", WITH_DRAWS.values(), ids=WITH_DRAWS.keys())
def test_size_with_draws(design):
    rates = rejection_rates(design, 200, ADAPTIVE)
    assert all(0.03 <= rate <= 0.07 for rate in rates.values()), rates


# statsmodels' quantile regression often stops at its iteration limit, at the optimum
@pytest.mark.filterwarnings("ignore:Maximum number of iterations")
@pytest.mark.filterwarnings("ignore::RuntimeWarning:statsmodels")
@pytest.mark.parametrize("design", ALL_MODELS.values(), ids=ALL_MODELS.keys())
def test_size_of_every_model(design):
    rates = rejection_rates(design, 200, CAUCHY)
    assert 0.03 <= rates["cauchy"] <= 0.07, rates


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS.keys())
def test_size_in_small_samples(design):
    low, high = BOUNDS[100]
    rates = rejection_rates(design, 100, CAUCHY)
    assert low <= rates["cauchy"] <= high, rates


def test_size_in_clusters():
    null = kcm.Asymptotic(groups=np.arange(200) // 5)
    rates = rejection_rates(clustered(5), 200, {"cauchy": {"kernel": "adaptive", "null": null}})
    assert 0.03 <= rates["cauchy"] <= 0.07, rates
