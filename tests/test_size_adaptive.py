"""Size of the adaptive test beyond one regressor: nominal 5 %, n = 200, 1,000 replications a cell.

Referee: simulation. The Monte Carlo standard error of a rate of .05 is .007; rates are printed
(pytest -rP).
"""

import pytest
from size_designs import DESIGNS, mixed
from test_size import ADAPTIVE, rejection_rates

pytestmark = pytest.mark.study

NAMES = ("ols-d5-heteroskedastic", "logit", "2sls-over-identified")
CELLS = {name: DESIGNS[name] for name in NAMES} | {"mixed": mixed}


@pytest.mark.parametrize("design", CELLS.values(), ids=CELLS.keys())
def test_size(design):
    rates = rejection_rates(design, 200, ADAPTIVE)
    assert all(0.03 <= rate <= 0.07 for rate in rates.values()), rates
