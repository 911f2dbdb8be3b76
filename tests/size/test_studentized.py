"""Size and power of studentised laws and of the orthogonal projection, beside the plain ones.

Referee: simulation. 1,000 replications a cell, power 500; rates are printed (pytest -rP). Those in
docs/size.md say of how many replications they are.
"""

import pytest
import statsmodels.api as sm
from rejection import rejection_rates
from size_designs import (
    DESIGNS,
    HEAVY_LEVERAGE,
    OTHER_MODELS,
    interaction,
    omitted_square,
    omitted_square_at_leverage,
)

import kcm
from kcm.kernels import Gaussian

pytestmark = pytest.mark.study

DRAWS = {
    "plain": {"null": kcm.MultiplierBootstrap(199)},
    "studentised": {"null": kcm.MultiplierBootstrap(199, studentize=True)},
}


@pytest.mark.parametrize("n", [50, 100, 200])
def test_size_of_draws_where_the_variance_is_at_the_leverage(n):
    rates = rejection_rates(HEAVY_LEVERAGE["ols"], n, DRAWS)
    assert 0.03 <= rates["studentised"] <= 0.08, rates
    assert rates["studentised"] < rates["plain"], rates


@pytest.mark.parametrize("n", [100, 200])
def test_size_of_draws_of_overdispersed_counts(n):
    rates = rejection_rates(HEAVY_LEVERAGE["poisson-overdispersed"], n, DRAWS)
    assert 0.03 <= rates["studentised"] <= 0.08, rates


@pytest.mark.parametrize(
    "name",
    ["ols-d1-normal", "ols-d1-heteroskedastic", "ols-d5-heteroskedastic", "logit", "simeq"],
)
def test_size_of_draws(name):
    rates = rejection_rates(DESIGNS[name], 100, DRAWS)
    assert 0.03 <= rates["studentised"] <= 0.075, rates


def test_size_is_reported_where_the_influence_is_not_proportional_to_the_residual():
    """The score of the dispersion enters the influence of a negative binomial: docs/size.md."""
    rates = rejection_rates(OTHER_MODELS["negative-binomial"], 200, DRAWS)
    assert 0.03 <= rates["studentised"] <= 0.1, rates


def test_size_of_the_adaptive_test_with_draws():
    tests = {name: {"kernel": "adaptive", **options} for name, options in DRAWS.items()}
    rates = rejection_rates(HEAVY_LEVERAGE["ols"], 100, tests)
    assert 0.03 <= rates["studentised"] <= 0.075, rates


@pytest.mark.parametrize(
    ("design", "n"),
    [(omitted_square_at_leverage, 100), (omitted_square, 200)],
    ids=["at-leverage", "equal-variances"],
)
def test_studentised_draws_keep_the_power(design, n):
    rates = rejection_rates(design, n, DRAWS, n_replications=500)
    assert rates["studentised"] >= rates["plain"] - 0.12, rates
    assert rates["studentised"] >= 0.5, rates


PROJECTIONS = {
    f"{projection}, {name}": {"projection": projection, "null": null}
    for projection in ("estimator", "orthogonal")
    for name, null in (
        ("asymptotic", kcm.Asymptotic()),
        ("rademacher", kcm.MultiplierBootstrap(199)),
    )
}


def test_size_of_the_orthogonal_projection():
    rates = rejection_rates(interaction(0.0), 200, PROJECTIONS)
    assert all(0.025 <= rate <= 0.07 for rate in rates.values()), rates


@pytest.mark.parametrize("name", ["poisson", "wls", "probit", "gamma-log"])
def test_size_of_the_orthogonal_projection_of_other_models(name):
    """Its scale takes variances as equal, which those of these models are not."""
    design = (DESIGNS | OTHER_MODELS)[name]
    rates = rejection_rates(design, 200, PROJECTIONS)
    assert all(0.025 <= rate <= 0.09 for rate in rates.values()), rates


def test_power_of_the_orthogonal_projection():
    rates = rejection_rates(interaction(0.6), 200, PROJECTIONS, n_replications=500)
    assert rates["orthogonal, asymptotic"] >= rates["estimator, asymptotic"] + 0.1, rates
    assert rates["orthogonal, rademacher"] >= 0.5, rates


SMOOTH = {
    "normal": {"kernel": Gaussian(1.06 * 200**-0.2), "null": kcm.StudentizedNormal()},
    "normal, half": {"kernel": Gaussian(0.53 * 200**-0.2), "null": kcm.StudentizedNormal()},
    "asymptotic": {"kernel": Gaussian(1.06 * 200**-0.2)},
}


def straight(rng, n):
    x = rng.normal(size=(n, 1))
    return sm.OLS(1 + x[:, 0] + rng.normal(size=n), sm.add_constant(x)).fit()


def test_size_of_the_smooth_test():
    """The normal law's is too small: the estimate takes a part of the mean away."""
    rates = rejection_rates(straight, 200, SMOOTH)
    assert rates["normal"] <= 0.06, rates
    assert 0.03 <= rates["asymptotic"] <= 0.07, rates
    assert 0.015 <= rates["normal, half"] <= 0.07, rates
