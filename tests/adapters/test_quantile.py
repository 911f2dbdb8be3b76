"""Quantile regression.

Referees: its optimality condition, a linear program, the normal density, false rejections.
"""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import norm

import kcm
from kcm.adapters import fitted_moment
from kcm.adapters.quantile import conditional_density, subgradient_residuals
from kcm.exceptions import DataError


def sample(seed: int, n: int = 120, scale: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"a": rng.normal(size=n), "b": rng.uniform(size=n)})
    return data.assign(y=scale * (1 + data.a - data.b + rng.standard_t(4, size=n)))


def quantile_by_linear_program(y: np.ndarray, exog: np.ndarray, tau: float) -> np.ndarray:
    """Minimise tau u + (1 - tau) v subject to y = x'b + u - v."""
    n, p = exog.shape
    cost = np.r_[np.zeros(p), np.full(n, tau), np.full(n, 1 - tau)]
    bounds = [(None, None)] * p + [(0, None)] * (2 * n)
    equal = np.hstack([exog, np.eye(n), -np.eye(n)])
    return linprog(cost, A_eq=equal, b_eq=y, bounds=bounds).x[:p]


def exact(seed: int, tau: float) -> tuple[np.ndarray, np.ndarray]:
    data = sample(seed, n=40)
    exog = np.column_stack([np.ones(40), data.a, data.b])
    y = data.y.to_numpy()
    return y - exog @ quantile_by_linear_program(y, exog, tau), exog


class TestSubgradientResiduals:
    @given(seed=st.integers(0, 10_000), tau=st.floats(0.05, 0.95))
    def test_optimum_solves_the_estimating_equation(self, seed: int, tau: float):
        errors, exog = exact(seed, tau)
        psi = subgradient_residuals(errors, exog, tau)
        np.testing.assert_allclose(exog.T @ psi, 0, atol=1e-6)

    @given(seed=st.integers(0, 10_000), tau=st.floats(0.05, 0.95))
    def test_only_interpolated_observations_differ_from_the_indicator(self, seed: int, tau: float):
        errors, exog = exact(seed, tau)
        changed = subgradient_residuals(errors, exog, tau) != (errors <= 0) - tau
        assert changed.sum() <= exog.shape[1]
        assert (np.abs(errors[changed]) < 1e-8).all()

    def test_collinear_regressors_are_allowed(self):
        errors, exog = exact(3, 0.4)
        doubled = np.column_stack([exog, exog[:, 1]])
        np.testing.assert_allclose(
            subgradient_residuals(errors, doubled, 0.4),
            subgradient_residuals(errors, exog, 0.4),
            atol=1e-10,
        )

    def test_regressors_of_the_smallest_errors_need_not_span(self):
        exog = np.column_stack([np.ones(6), [0, 0, 0, 1, 1, 1]])
        errors = np.array([0.0, 1e-9, -1.0, 0.0, 2.0, -2.0])
        psi = subgradient_residuals(errors, exog, 0.5)
        np.testing.assert_allclose(exog.T @ psi, 0, atol=1e-12)

    def test_ties_in_the_outcome_are_shared(self):
        errors = np.repeat([-1.0, 0.0, 1.0], [1, 7, 2]) + 1e-12 * np.tile([1, -1], 5)
        psi = subgradient_residuals(errors, np.ones((10, 1)), 0.5)
        assert psi.sum() == pytest.approx(0, abs=1e-12)


class TestConditionalDensity:
    @pytest.mark.parametrize("tau", [0.1, 0.5, 0.8])
    def test_mean_is_the_density_at_the_quantile(self, tau: float):
        z = norm.ppf(tau)
        errors = np.random.default_rng(1).normal(size=200_000) - z
        assert conditional_density(errors, tau).mean() == pytest.approx(norm.pdf(z), rel=0.03)

    @pytest.mark.parametrize("tau", [0.01, 0.99])
    def test_bandwidth_stays_inside_the_unit_interval(self, tau: float):
        errors = np.random.default_rng(1).normal(size=30)
        assert np.isfinite(conditional_density(errors, tau)).all()

    def test_density_has_the_units_of_one_over_the_outcome(self):
        errors = np.random.default_rng(1).normal(size=200)
        np.testing.assert_allclose(
            conditional_density(1000 * errors, 0.3) * 1000, conditional_density(errors, 0.3)
        )


class TestMoment:
    def test_influence_has_mean_zero(self):
        moment = fitted_moment(smf.quantreg("y ~ a + b", sample(0, scale=100)).fit(q=0.3))
        np.testing.assert_allclose(moment.influence.mean(axis=(0, 1)), 0, atol=1e-8)

    def test_labels(self):
        labels = fitted_moment(smf.quantreg("y ~ a + b", sample(0)).fit(q=0.25)).labels
        assert labels.moment == "1{y <= x'b} - 0.25"
        assert labels.conditioning == ("a", "b")
        assert labels.theta == "estimated: QuantReg"

    def test_covariance_is_the_sandwich_of_powell(self):
        """Powell: tau (1 - tau) A^-1 (X'X/n) A^-1 / n, up to sampling error of psi^2."""
        fit = smf.quantreg("y ~ a + b", sample(4, n=4000, scale=10)).fit(q=0.5)
        moment = fitted_moment(fit)
        exog = fit.model.exog
        bread = np.linalg.inv(moment.jacobian[:, 0].T @ exog)
        expected = 0.25 * bread @ (exog.T @ exog) @ bread
        influence = moment.influence[:, 0]
        np.testing.assert_allclose(
            influence.T @ influence / 4000**2, expected, rtol=0.01, atol=1e-3
        )

    def test_units_of_the_outcome_do_not_matter(self):
        one, other = (
            fitted_moment(smf.quantreg("y ~ a", sample(2, scale=c)).fit(q=0.5)) for c in (1e2, 1e5)
        )
        np.testing.assert_allclose(one.residuals, other.residuals, atol=1e-6)
        np.testing.assert_allclose(one.scale, other.scale, rtol=1e-3)

    def test_fit_stopped_early_by_small_units_is_refused(self):
        fit = smf.quantreg("y ~ a + b", sample(0, scale=1e-5)).fit(q=0.5)
        with pytest.raises(kcm.DataError, match=r"did not converge.*divided by its standard dev"):
            fitted_moment(fit)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Maximum number of iterations:UserWarning")
@pytest.mark.parametrize(("tau", "n"), [(0.75, 100), (0.5, 200)])
def test_size_at_five_percent(tau: float, n: int):
    """Six parameters, sd rising in one regressor."""
    rng = np.random.default_rng(11)
    rejected = []
    for _ in range(400):
        x = rng.uniform(0, 2, size=(n, 5))
        y = 1 + x.sum(axis=1) + (1 + 0.7 * x[:, 0]) * (rng.normal(size=n) - norm.ppf(tau))
        data = pd.DataFrame(x, columns=list("abcde")).assign(y=100 * y)
        fit = smf.quantreg("y ~ a + b + c + d + e", data).fit(q=tau)
        rejected.append(kcm.specification_test(fit).pvalue <= 0.05)
    assert 0.015 <= np.mean(rejected) <= 0.08


@pytest.mark.parametrize("center", [1e4, 1e6])
def test_a_slope_lost_beside_the_constant_is_no_estimate(center):
    """Statsmodels finds 1e-4 for the slope 1 of a regressor far from zero; the equations say so."""
    rng = np.random.default_rng(4)
    x, b = rng.normal(size=(2, 200))
    y = 1 + x + b + 0.5 * rng.normal(size=200)
    kcm.specification_test(sm.QuantReg(y, sm.add_constant(np.c_[x, b])).fit())
    far = sm.QuantReg(y, sm.add_constant(np.c_[x + center, b])).fit()
    assert abs(far.params[1] - 1) > 0.5
    with pytest.raises(DataError, match="each regressor less its mean"):
        kcm.specification_test(far)
