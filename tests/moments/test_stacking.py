"""Systems of equations, against their equations one by one."""

import numpy as np
import pytest

from kcm import FittedMoment, KCMTest, MomentLabels
from kcm.exceptions import DataError
from kcm.moments.stacking import stack_equations


def test_stacked_equations_are_block_diagonal(rng):
    x = rng.normal(size=15)
    first = FittedMoment(rng.normal(size=15), x, rng.normal(size=(15, 2)), np.ones((15, 2)))
    second = FittedMoment(rng.normal(size=15), x, rng.normal(size=(15, 1)), np.ones((15, 1)))
    both = stack_equations(first, second)
    assert (both.n_components, both.n_params) == (2, 3)
    np.testing.assert_array_equal(both.jacobian[:, 0, :2], first.jacobian[:, 0])
    np.testing.assert_array_equal(both.jacobian[:, 1, 2:], second.jacobian[:, 0])
    assert not both.jacobian[:, 0, 2:].any()
    assert not both.influence[:, 1, :2].any()


def test_the_statistic_of_a_system_is_the_sum_over_equations(rng):
    x, u, v = rng.normal(size=(3, 40))
    both = KCMTest().run(stack_equations(FittedMoment(u, x), FittedMoment(v, x)))
    single = [KCMTest().run(FittedMoment(r, x)).statistic for r in (u, v)]
    assert both.statistic == pytest.approx(sum(single), rel=1e-12)


def test_equations_on_other_rows_are_refused(rng):
    x, u, v = rng.normal(size=(3, 40))
    with pytest.raises(DataError, match="equation 2 has other conditioning variables"):
        stack_equations(FittedMoment(u, x), FittedMoment(v, x[::-1]))
    with pytest.raises(DataError, match="theta is known in one and estimated in the other"):
        stack_equations(FittedMoment(u, x), FittedMoment(v, x, x, x))
    with pytest.raises(DataError, match="at least one equation"):
        stack_equations()


def test_influence_in_total_cannot_be_stacked(rng):
    x, u, s = rng.normal(size=(3, 40))
    one = FittedMoment(u, x, s, s)
    two = FittedMoment(rng.normal(size=(40, 2)), x, rng.normal(size=(40, 2, 1)), s)
    with pytest.raises(DataError, match="`influence` of equation 2 must be split by component"):
        stack_equations(one, two)


def test_words_of_a_system_join_those_of_its_equations(rng):
    x, u, s = rng.normal(size=(3, 40))
    labels = [
        MomentLabels("q - d'b", ("w",), "estimated: OLS", 1),
        MomentLabels("q - s'b", ("w",), "estimated: 2SLS", 3),
    ]
    both = stack_equations(*[FittedMoment(u, x, s, s, labels=each) for each in labels])
    theta = "estimated: OLS and estimated: 2SLS"
    words = "(q - d'b, q - s'b)", ("w",), theta, 3, ("continuous",)
    assert both.labels == MomentLabels(*words, levels=((),))
