"""The null law of a fitted model: leverage, clusters, the shift of the kernel.

Referees: loops over entries and dense eigenvalues (`dense_law`), refits on simulated errors.
"""

import numpy as np
import pytest
import statsmodels.api as sm
from dense_law import form as form_of
from dense_law import law, powers, shift

import kcm
from kcm import gram
from kcm.adapters import fitted_moment
from kcm.gram.held import held_grams
from kcm.gram.low_rank import low_rank_gram
from kcm.kernels import Gaussian, Laplace, Polynomial
from kcm.moments import scaled_moment
from kcm.statistic import form
from kcm.statistic.contraction import contract

statistics = pytest.mark.parametrize("statistic", ["U", "V"])
GRAMS = {
    "tiled": lambda kernel, x: gram.TiledGram(kernel, x),
    "held": lambda kernel, x: held_grams([kernel], [x])[0],
    "low-rank": lambda kernel, x: low_rank_gram(kernel, x, 1e-12),
}


def skewed_fit(rng, n=90, d=3):
    x = np.exp(rng.normal(size=(n, d)))
    y = 1 + x.sum(axis=1) + x[:, 0] * rng.normal(size=n)
    return sm.OLS(y, sm.add_constant(x)).fit()


@statistics
@pytest.mark.parametrize("kind", GRAMS)
@pytest.mark.parametrize("kernel", [Gaussian(1.5), Laplace(2.0), Polynomial(2, scale=0.1)])
@pytest.mark.parametrize("groups", [None, "pairs", "uneven"])
def test_the_form_is_that_of_a_dense_loop(statistic, kind, kernel, groups, rng):
    moment = fitted_moment(skewed_fit(rng))
    n = moment.n_obs
    codes = {None: None, "pairs": np.arange(n) // 2, "uneven": np.arange(n) ** 2 // 300}[groups]
    if codes is not None:
        codes = np.unique(codes, return_inverse=True)[1]
    scaled = scaled_moment(moment, codes)
    values = gram.matrix(kernel, moment.conditioning)
    expected, offset, c = law(
        values,
        moment.residuals,
        scaled.residuals,
        moment.jacobian,
        scaled.influence,
        statistic,
        codes,
    )
    found = contract(moment, GRAMS[kind](kernel, moment.conditioning), statistic, codes)
    assert found.shift.value == pytest.approx(c, rel=1e-7)
    assert found.offset == pytest.approx(offset, rel=1e-7)
    matrix = form.form_matrix(found, np.arange(n) if codes is None else codes)
    np.testing.assert_allclose(matrix, expected, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("size", [2, 5, 18])
def test_cluster_residuals_are_powers_of_the_blocks_of_the_projection(size, rng):
    """(I - H_gg)^(-delta/2) u_g, from all eigenvalues of every block."""
    fit = skewed_fit(rng)
    n, codes = 90, np.arange(90) // size
    hat = fit.model.exog @ np.linalg.pinv(fit.model.exog)
    blocks = [hat[np.ix_(codes == g, codes == g)] for g in range(codes.max() + 1)]
    parts = [np.linalg.eigh(block) for block in blocks]
    leverages = np.concatenate([values[values > 1e-9] for values, _ in parts])
    scale = iter(powers(1 - leverages))
    expected = np.empty(n)
    for g, (values, vectors) in enumerate(parts):
        resid = fit.resid[codes == g]
        factors = [1 / next(scale) if value > 1e-9 else 1.0 for value in values]
        expected[codes == g] = vectors @ (np.array(factors) * (vectors.T @ resid))
    found = scaled_moment(fitted_moment(fit), codes)
    np.testing.assert_allclose(found.residuals[:, 0], expected, rtol=1e-8)
    gain = n * fit.model.exog @ np.linalg.inv(fit.model.exog.T @ fit.model.exog)
    np.testing.assert_allclose(found.influence, gain * expected[:, None], rtol=1e-7, atol=1e-9)


def test_a_cluster_for_each_row_changes_nothing(rng):
    moment = fitted_moment(skewed_fit(rng))
    alone, clustered = (scaled_moment(moment, codes) for codes in (None, np.arange(90)))
    np.testing.assert_array_equal(alone.residuals, clustered.residuals)


def test_weighted_least_squares_in_clusters_is_least_squares_of_weighted_data(rng):
    """Working variances: the blocks of WLS are those of OLS on y and x over sd."""
    x, w, codes = (
        sm.add_constant(rng.normal(size=(60, 2))),
        rng.uniform(0.2, 3, 60),
        np.arange(60) // 4,
    )
    y = rng.normal(size=60)
    weighted = fitted_moment(sm.WLS(y, x, weights=w).fit())
    whitened = fitted_moment(
        sm.OLS(np.sqrt(w) * y, np.sqrt(w)[:, None] * x).fit(), conditioning=x[:, 1:]
    )
    found = scaled_moment(weighted, codes).residuals[:, 0] * np.sqrt(w)
    np.testing.assert_allclose(found, scaled_moment(whitened, codes).residuals[:, 0], rtol=1e-8)


def test_no_shift_without_an_estimate(rng):
    x, psi = rng.normal(size=(2, 80))
    moment = kcm.FittedMoment(psi, x)
    found = contract(moment, gram.TiledGram(Gaussian(1.0), moment.conditioning), "U")
    assert found.shift.value == 0
    assert found.offset == 0


def test_units_and_collinear_parameters_change_nothing(rng):
    age = rng.uniform(20, 60, size=150)
    y = np.sin(age / 8) + rng.normal(size=150)
    raw = np.column_stack([age**k for k in range(4)])
    standard = np.column_stack([((age - 40) / 12) ** k for k in range(4)])
    first, second = (
        fitted_moment(sm.OLS(y, design).fit(), age[:, None]) for design in (raw, standard)
    )
    twice = [
        np.concatenate([part, factor * part[:, :, 1:2]], axis=2)
        for part, factor in ((second.jacobian, 1e4), (second.influence, 0.0), (second.gain, 0.0))
    ]
    repeated = kcm.FittedMoment(
        second.residuals, second.conditioning, *twice[:2], second.scale, gain=twice[2]
    )
    pvalues = [kcm.KCMTest(Gaussian()).run(m).pvalue for m in (first, second, repeated)]
    np.testing.assert_allclose(pvalues, pvalues[1], rtol=1e-6)


def test_u_and_v_have_one_pvalue_where_the_diagonal_is_constant(rng):
    moment = fitted_moment(skewed_fit(rng))
    u, v = (kcm.KCMTest(Gaussian(), statistic).run(moment) for statistic in "UV")
    assert v.pvalue == pytest.approx(u.pvalue, rel=1e-9)


def test_the_shift_is_the_constant_of_a_kernel(rng):
    """Adding c to the diagonal of K is no other test: kernels k and k + c 1(i = j) at V."""
    moment = fitted_moment(skewed_fit(rng))
    x = moment.conditioning
    values = gram.matrix(Gaussian(1.5), x)
    laws = [
        contract(moment, gram.TiledGram(Gaussian(1.5), x), statistic).shift.value
        for statistic in "UV"
    ]
    assert laws[1] - laws[0] == pytest.approx(1.0, rel=1e-9)
    assert np.diag(values) == pytest.approx(1.0)


def test_few_rows_that_decide_the_estimate_do_not_shift_the_law(rng):
    """Weights e^-2x: the regression of B on B_I would take most of both for common."""
    x = rng.normal(size=100)
    y = 1 + x + rng.normal(size=100)
    moment = fitted_moment(sm.WLS(y, sm.add_constant(x), weights=np.exp(-2 * x)).fit())
    points = moment.conditioning
    values = gram.matrix(Gaussian(1.0), points)
    scaled = scaled_moment(moment, None)
    whole = form_of(values, scaled.residuals, moment.jacobian, scaled.influence, "U")
    identity = form_of(np.eye(100), scaled.residuals, moment.jacobian, scaled.influence, "V")
    assert shift(whole, identity) > 0
    assert contract(moment, gram.TiledGram(Gaussian(1.0), points), "U").shift.value == 0
    assert contract(moment, gram.TiledGram(Gaussian(1.0), points), "V").shift.value == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("regressors", "d"),
    [(np.asarray, 1), (np.exp, 5), (np.asarray, 20)],
    ids=["normal-d1", "lognormal-d5", "normal-d20"],
)
def test_the_law_is_that_of_refits_on_simulated_errors(regressors, d):
    """20,000 samples of errors of equal size, each refitted by least squares.

    With scaled residuals of equal size the form knows the variances exactly, so that its law is
    that of T - f c (u'u - its mean), u the residuals of a refit. The standard error of the share
    above a critical value is at most .0021.
    """
    rng, n = np.random.default_rng(5), 200
    x = regressors(rng.normal(size=(n, d)))
    design = sm.add_constant(x)
    maker = np.eye(n) - design @ np.linalg.pinv(design)
    signs = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    gain = n * design @ np.linalg.inv(design.T @ design)
    moment = kcm.FittedMoment(signs, x, -design, gain * signs[:, None])
    kernel = Gaussian().resolve(moment.conditioning)
    contraction = contract(moment, gram.TiledGram(kernel, x), "U")
    law_of_fit = kcm.Asymptotic().distribution(contraction, rng)
    values = gram.matrix(kernel, x)
    np.fill_diagonal(values, 0)
    errors = np.where(rng.random((20_000, n)) < 0.5, -1.0, 1.0)
    u = errors @ maker
    squares = np.sum(u**2, axis=1)
    drawn = contraction.factor * (np.sum((u @ values) * u, axis=1))
    drawn -= contraction.factor * contraction.shift.value * (squares - n)
    for quantile in (0.9, 0.95, 0.99):
        share = np.mean(drawn > law_of_fit.critical_value(1 - quantile))
        error = np.sqrt(quantile * (1 - quantile) / len(drawn))
        assert abs(share - (1 - quantile)) < 3 * error


def test_the_double_loop_is_the_regression(rng):
    left, right = rng.normal(size=(2, 6, 6))
    off = ~np.eye(6, dtype=bool)
    slope = np.linalg.lstsq(right[off][:, None], left[off], rcond=None)[0][0]
    assert shift(left, right) == pytest.approx(slope)
