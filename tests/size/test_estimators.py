"""Estimators by simulation: coverage, size, power and efficiency.

1,000 replications a cell unless said otherwise: the Monte Carlo standard error of a rate of .05 or
.95 is .007. Results are printed (pytest -rP); docs/size.md shows them.
"""

import numpy as np
import pytest
import statsmodels.api as sm
from estimation_designs import (
    EXPONENTIAL,
    NONLINEAR,
    SIMEQ,
    draw_heteroskedastic,
    draw_homoskedastic,
    draw_instrumental,
)

import kcm

pytestmark = pytest.mark.study

N_REPLICATIONS = 1_000
LINEAR = "y ~ x | z"


def generators(n, n_replications=N_REPLICATIONS):
    """One generator a replication; seeds depend on the replication and the sample size only."""
    return (np.random.default_rng([n, r]) for r in range(n_replications))


def covers(results, truth):
    interval = results.conf_int()
    values = np.array([truth[name] for name in results.params.index])
    return (interval["lower"] <= values) & (values <= interval["upper"])


@pytest.mark.parametrize("name", NONLINEAR)
def test_intervals_cover(name):
    design = NONLINEAR[name]
    hits = np.mean([covers(design.fit(rng, 400), design.truth) for rng in generators(400)], axis=0)
    print(f"{name}, n = 400: {dict(zip(design.truth, hits.round(3), strict=True))}")
    assert ((hits >= 0.93) & (hits <= 0.97)).all(), hits


def fit_linear(rng, n, **options):
    return kcm.MMR.from_formula(LINEAR, draw_instrumental(rng, n, **options)).fit()


FITS = {
    "linear": fit_linear,
    "exponential": EXPONENTIAL.fit,
    "simeq": SIMEQ.fit,
}
NULLS = {"asymptotic": None, "rademacher": kcm.MultiplierBootstrap(199)}


def rejection_rates(fit, n, n_replications=N_REPLICATIONS):
    rejected = []
    for replication, rng in enumerate(generators(n, n_replications)):
        results = fit(rng, n)
        pvalues = [results.test(null=null, rng=replication).pvalue for null in NULLS.values()]
        rejected.append(np.array(pvalues) <= 0.05)
    return dict(zip(NULLS, np.mean(rejected, axis=0), strict=True))


@pytest.mark.parametrize("name", FITS)
def test_size(name):
    rates = rejection_rates(FITS[name], 200)
    print(f"{name}, n = 200: {rates}")
    assert all(0.03 <= rate <= 0.07 for rate in rates.values()), rates


def test_size_of_efficient_estimates():
    def fit(rng, n):
        return kcm.VMM.from_formula(LINEAR, draw_instrumental(rng, n)).fit()

    rates = rejection_rates(fit, 200)
    print(f"VMM, linear, n = 200: {rates}")
    assert all(0.03 <= rate <= 0.07 for rate in rates.values()), rates


def test_size_of_a_hypothesis_with_known_theta():
    def fit(rng, n):
        model = kcm.MMR(EXPONENTIAL.moment, EXPONENTIAL.draw(rng, n))
        return model.at(EXPONENTIAL.truth)

    rates = rejection_rates(fit, 200)
    print(f"known theta, n = 200: {rates}")
    assert all(0.03 <= rate <= 0.07 for rate in rates.values()), rates


def test_power_against_a_wrong_functional_form():
    """The outcome is 1 + 2 x + .5 x^2 + u, x endogenous; the model is linear in x."""

    def fit(rng, n):
        return fit_linear(rng, n, curvature=0.5)

    rates = rejection_rates(fit, 200, n_replications=500)
    print(f"a square left out, n = 200: {rates}")
    assert all(rate > 0.8 for rate in rates.values()), rates


def test_efficient_estimates_with_unequal_variances():
    errors, hits = [], []
    for rng in generators(400):
        data = draw_heteroskedastic(rng, 400)
        first, second = (e.from_formula("y ~ x", data).fit() for e in (kcm.MMR, kcm.VMM))
        errors.append([first.bse["x"], second.bse["x"]])
        hits.append(covers(second, {"Intercept": 1.0, "x": 1.0}))
    mmr, vmm = np.mean(errors, axis=0)
    coverage = np.mean(hits, axis=0)
    print(f"mean standard errors of MMR and VMM: {mmr:.4f}, {vmm:.4f}; VMM covers {coverage}")
    assert vmm < 0.8 * mmr
    assert ((coverage >= 0.93) & (coverage <= 0.97)).all(), coverage


def test_efficient_estimates_with_equal_variances():
    estimates, hits = [], []
    for rng in generators(1_000):
        data = draw_homoskedastic(rng, 1_000)
        efficient = kcm.VMM.from_formula("y ~ x", data).fit()
        squares = sm.OLS(data["y"], sm.add_constant(data["x"])).fit()
        estimates.append([efficient.params["x"], squares.params[1]])
        hits.append(covers(efficient, {"Intercept": 1.0, "x": 1.0}))
    vmm, ols = np.var(estimates, axis=0)
    print(f"variance of VMM over that of OLS: {vmm / ols:.3f}; VMM covers {np.mean(hits, axis=0)}")
    assert vmm < 1.1 * ols


def draw_steep(rng, n):
    """Draw errors of sd .1 + x^2, x uniform on (0, 2): next to none at zero."""
    x = rng.uniform(0, 2, size=n)
    return {"y": 1 + x + (0.1 + x**2) * rng.normal(size=n), "x": x}


@pytest.mark.parametrize("draw", [draw_steep, draw_homoskedastic])
def test_efficient_intervals_at_their_worst_are_reported(draw):
    """N = 400, 500 replications."""
    truth = {"Intercept": 1.0, "x": 1.0}
    data = (draw(rng, 400) for rng in generators(400, 500))
    hits = [covers(kcm.VMM.from_formula("y ~ x", d).fit(), truth) for d in data]
    print(f"{draw.__name__}, n = 400: VMM covers {np.mean(hits, axis=0)}")
    assert (np.abs(np.mean(hits, axis=0) - 0.95) < 0.04).all()


def first_stage(data):
    return sm.OLS(data["x"], sm.add_constant(data["z"])).fit().fvalue


def test_confidence_sets_with_weak_instruments():
    """First-stage F of about 2, n = 100."""
    kept, wald, strength = [], [], []
    for rng in generators(100):
        data = draw_instrumental(rng, 100, strength=0.1)
        results = kcm.MMR.from_formula(LINEAR, data).fit()
        kept.append(results.test_at({"x": 2.0}).pvalue > 0.05)
        wald.append(covers(results, {"Intercept": 1.0, "x": 2.0})["x"])
        strength.append(first_stage(data))
    print(
        f"mean F {np.mean(strength):.2f}; set covers {np.mean(kept):.3f}, "
        f"Wald interval {np.mean(wald):.3f}"
    )
    assert 1.5 < np.mean(strength) < 2.5
    assert np.mean(kept) >= 0.93
    assert np.mean(wald) < np.mean(kept)


def test_confidence_sets_of_a_wrong_model_are_empty():
    """z^2 enters the outcome; the kernel sees it. 50 replications, n = 150."""
    regions = [fit_linear(rng, 150, wrong=1.5).confidence_set("x") for rng in generators(150, 50)]
    share = np.mean([region.is_empty for region in regions])
    print(f"empty in {share:.2f} of the replications")
    assert share > 0.5
