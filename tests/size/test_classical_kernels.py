"""Size with the kernels of classical tests: nominal 5 %, n = 200, 1,000 replications a cell.

Referee: simulation. The Monte Carlo standard error of a rate of .05 is .007; rates are printed
(pytest -rP).
"""

import pytest
from rejection import BOUNDS, rejection_rates
from size_designs import DESIGNS

import kcm
from kcm.kernels import ICM, Orthant, Projection, Smooth, SmoothICM

pytestmark = pytest.mark.study

CLASSICAL = {
    "icm": {"kernel": ICM(), "statistic": "V"},
    "icm-arctan": {"kernel": ICM("uniform", 2.0, "arctan"), "statistic": "V"},
    "orthant": {"kernel": Orthant(), "statistic": "V"},
    "orthant-rademacher": {
        "kernel": Orthant(),
        "statistic": "V",
        "null": kcm.MultiplierBootstrap(199),
    },
    "smooth": {"kernel": Smooth()},
    "smooth-icm": {"kernel": SmoothICM()},
}
# Angles of all triples of rows take too long in several columns.
RANKED = {"projection": {"kernel": Projection(), "statistic": "V"}}


@pytest.mark.parametrize(
    ("name", "tests"),
    [("ols-d1-normal", CLASSICAL | RANKED), ("ols-d5-normal", CLASSICAL)],
)
def test_size_with_the_kernels_of_classical_tests(name, tests):
    low, high = BOUNDS[200]
    rates = rejection_rates(DESIGNS[name], 200, tests)
    assert all(low <= rate <= high for rate in rates.values()), rates
