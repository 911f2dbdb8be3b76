"""Identities that tie the fast formulas to their definitions."""

import dataclasses

import dense_law
import numpy as np
import pytest
import statsmodels.api as sm

import kcm
from kcm import gram
from kcm.adapters import fitted_moment
from kcm.gram import tiles as _tiles
from kcm.gram.blocks import largest_value
from kcm.kernels import Gaussian, Laplace
from kcm.moments import scaled_influence, scaled_residuals
from kcm.moments.clusters import group_codes
from kcm.null import asymptotic
from kcm.null.multipliers import MULTIPLIERS
from kcm.statistic import form
from kcm.statistic.contraction import contract
from kcm.statistic.draws import draw

statistics = pytest.mark.parametrize("statistic", ["U", "V"])


@pytest.fixture
def system(rng):
    """Residuals, jacobian, influence and scale of a made-up system: n = 200, q = 2, p = 3."""
    n, q, p = 200, 2, 3
    return kcm.FittedMoment(
        rng.normal(size=(n, q)),
        rng.normal(size=(n, 2)),
        rng.normal(size=(n, q, p)),
        rng.normal(size=(n, q, p)),
        rng.uniform(0.5, 1, size=(n, q)),
    )


def exactly(kernel, moment):
    """The Gram matrix with all draws in double precision."""
    return gram.TiledGram(kernel, moment.conditioning, gram.Execution(precision="double"))


def dense_form(moment, kernel, statistic, codes=None):
    """B less the shift, and the offset that belongs to it."""
    gram_matrix = gram.matrix(kernel, moment.conditioning)
    scaled = scaled_residuals(moment), moment.jacobian, scaled_influence(moment)
    return dense_law.law(gram_matrix, moment.residuals, *scaled, statistic, codes)[:2]


def draws_of(contraction, codes, multipliers):
    largest = largest_value(contraction.kernel, contraction.conditioning)
    return draw(contraction, codes, largest, multipliers)


def groupings(n):
    shuffled = np.random.default_rng(1).permutation(n)
    return {
        "none": None,
        "even": shuffled % 60,
        "uneven": (shuffled**2 // 40) % 17,
        "larger-than-a-tile": np.maximum(shuffled - 80, 0) // 2,
    }


@statistics
@pytest.mark.parametrize("groups", ["none", "even", "uneven", "larger-than-a-tile"])
@pytest.mark.parametrize("rows", [64, 1_024])
def test_form_trace_squares_products_and_draws(system, statistic, groups, rows, rng, monkeypatch):
    monkeypatch.setattr(_tiles, "TILE", rows)
    kernel = Gaussian(1.2)
    codes = group_codes(groupings(200)[groups], 200)
    unscaled = dataclasses.replace(system, scale=None)
    moment = system if groups == "none" else unscaled
    dense, offset = dense_form(moment, kernel, statistic, codes)
    contraction = contract(moment, exactly(kernel, moment), statistic, codes)
    np.testing.assert_allclose(form.form_matrix(contraction, codes), dense, atol=1e-12)
    sums = form.form_sums(contraction, codes)
    np.testing.assert_allclose(sums.diagonal, np.diag(dense), atol=1e-12)
    squares = np.sum((dense - np.diag(np.diag(dense))) ** 2)
    assert sums.off_diagonal_squares == pytest.approx(squares, rel=1e-11)
    v = rng.normal(size=(len(dense), 3))
    np.testing.assert_allclose(form.apply_form(contraction, codes, v), dense @ v, atol=1e-11)
    np.testing.assert_allclose(
        draws_of(contraction, codes, v.T),
        offset + np.einsum("gb,gh,hb->b", v, dense, v),
        atol=1e-11,
    )


@statistics
@pytest.mark.parametrize("weights", ["rademacher", "mammen", "gaussian"])
def test_the_ols_draw_is_the_refitting_wild_bootstrap(statistic, weights, rng):
    n, kernel = 50, Gaussian(0.9)
    x = sm.add_constant(rng.normal(size=(n, 2)))
    fit = sm.OLS(x.sum(axis=1) + rng.normal(size=n), x).fit()
    multipliers = MULTIPLIERS[weights](rng, 20, n)
    scaled = fit.resid / dense_law.powers(1 - fit.get_influence().hat_matrix_diag)
    refits = [sm.OLS(fit.fittedvalues + w * scaled, x).fit().resid for w in multipliers]
    test = kcm.KCMTest(kernel, statistic)
    refitted = [test.run(kcm.FittedMoment(resid, x[:, 1:])).statistic for resid in refits]
    moment = fitted_moment(fit)
    contraction = contract(moment, exactly(kernel, moment), statistic)
    drawn = draws_of(contraction, np.arange(n), multipliers)
    # with K - c I the sum of squares of the refit goes, and comes back as that of the sample
    squares = np.sum(np.square(refits), axis=1) - np.sum(fit.resid**2)
    shifted = np.array(refitted) - contraction.factor * contraction.shift.value * squares
    np.testing.assert_allclose(drawn, shifted, rtol=1e-9, atol=1e-12)


def test_v_and_u_differ_by_the_diagonal(system):
    n, kernel = system.n_obs, Laplace(1.0)
    u, v = (kcm.KCMTest(kernel, s).run(system).mmr for s in "UV")
    diagonal = np.sum(gram.diagonal(kernel, system.conditioning)[:, None] * system.residuals**2)
    assert v == pytest.approx((n - 1) / n * u + diagonal / n**2, rel=1e-12)


@statistics
def test_asymptotic_law_is_that_of_gaussian_draws_of_the_diagonal_free_form(statistic, rng):
    n = 120
    x = rng.normal(size=(n, 2))
    y = x.sum(axis=1) + rng.normal(size=n) * (1 + x[:, 0] ** 2)
    moment = fitted_moment(sm.OLS(y, sm.add_constant(x)).fit())
    law = kcm.KCMTest(statistic=statistic).run(moment).null_distribution
    kernel = Gaussian().resolve(moment.conditioning)
    dense, offset = dense_form(moment, kernel, statistic)
    free = dense - np.diag(np.diag(dense))
    w = rng.normal(size=(100_000, n))
    draws = offset + np.trace(dense) + np.einsum("bi,bi->b", w @ free, w) - np.trace(free)
    for level in (0.5, 0.1, 0.05, 0.01):
        t = law.critical_value(level)
        assert abs(np.mean(draws >= t) - law.pvalue(t)) < 0.005


def test_the_asymptotic_law_shares_three_cumulants_with_the_rademacher_bootstrap(system):
    contraction = contract(system, exactly(Gaussian(1.2), system), "U")
    dense, offset = dense_form(system, Gaussian(1.2), "U")
    free = dense - np.diag(np.diag(dense))
    rng = np.random.default_rng(0)
    draws = draws_of(contraction, np.arange(200), MULTIPLIERS["rademacher"](rng, 50_000, 200))
    mean, variance = offset + np.trace(dense), 2 * np.sum(free**2)
    third = 8 * np.trace(free @ free @ free)
    error = np.sqrt(np.array([variance, 3 * variance**2, 200 * variance**3]) / 50_000)
    centred = draws - mean
    found = np.array([centred.mean(), (centred**2).mean() - variance, (centred**3).mean() - third])
    assert (np.abs(found) < 5 * error).all()


@pytest.mark.parametrize("kernel", [Gaussian(), Gaussian(0.2), Laplace()])
@pytest.mark.parametrize("groups", [None, np.arange(600) // 2])
def test_cumulants_by_tiles_equal_those_of_the_dense_form(kernel, groups, rng, monkeypatch):
    n = 600
    x = rng.normal(size=(n, 3))
    moment = fitted_moment(sm.OLS(rng.normal(size=n), sm.add_constant(x)).fit())
    test = kcm.KCMTest(kernel, null=kcm.Asymptotic(method="cumulants", groups=groups))
    dense = test.run(moment).null_distribution
    monkeypatch.setattr(asymptotic, "MAX_EIGENVALUES", 100)
    tiled = test.run(moment).null_distribution
    assert (tiled.mean, tiled.sd) == pytest.approx((dense.mean, dense.sd), rel=1e-10)
    # three of the standard errors that the documentation states
    assert tiled.skewness == pytest.approx(dense.skewness, abs=0.025)
    t = dense.critical_value(0.05)
    assert tiled.pvalue(t) == pytest.approx(0.05, abs=1e-3)
