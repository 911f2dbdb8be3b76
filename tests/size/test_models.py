"""Size with every kind of fit that has an adapter: nominal 5 %, n = 200, 1,000 replications a cell.

Referee: simulation. The Monte Carlo standard error of a rate of .05 is .007; rates are printed
(pytest -rP).
"""

import pytest
from rejection import TESTS, rejection_rates
from size_designs import OTHER_MODELS

pytestmark = pytest.mark.study


# statsmodels' quantile regression often stops at its iteration limit, at the optimum
@pytest.mark.filterwarnings("ignore:Maximum number of iterations")
@pytest.mark.filterwarnings("ignore::RuntimeWarning:statsmodels")
@pytest.mark.parametrize("design", OTHER_MODELS.values(), ids=OTHER_MODELS.keys())
def test_size_of_other_models(design):
    rates = rejection_rates(design, 200, TESTS)
    assert all(0.03 <= rate <= 0.07 for rate in rates.values()), rates
