"""Kernels for many columns, and their place in the adaptive test. Referees: dense formulas."""

import pickle

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from refusals import messages

import kcm
from kcm import gram
from kcm.adapters import fitted_moment
from kcm.exceptions import DataError, OptionError
from kcm.kernels import (
    Additive,
    Energy,
    Gaussian,
    Laplace,
    LinearIndex,
    MedianHeuristic,
    Spectral,
    Subspace,
)
from kcm.kernels.frames import scales_for_kinds
from kcm.moments import marginal_moment

N = 60


def fit_of(d, rng, n=N):
    x = rng.normal(size=(n, d)) * np.arange(1, d + 1)
    return sm.OLS(x @ np.linspace(-1, 1, d) + rng.normal(size=n), sm.add_constant(x)).fit(), x


def test_additive_is_the_sum_over_columns_of_kernels_with_their_own_rule(rng):
    x = rng.normal(size=(40, 5)) * [1.0, 3.0, 0.1, 2.0, 7.0]
    expected = sum(gram.matrix(Laplace(), x[:, [j]]) for j in range(5))
    np.testing.assert_allclose(gram.matrix(Additive(Laplace()), x), expected, rtol=1e-12)
    subspaces = sum(Subspace(Gaussian(1.3), j) for j in range(5))
    found = gram.matrix(Additive(Gaussian(1.3)), x)
    np.testing.assert_allclose(found, gram.matrix(subspaces, x), rtol=1e-12)
    assert Additive(Energy()).conditionally_positive


def test_index_is_the_kernel_of_the_combinations(rng):
    x, weights = rng.normal(size=(40, 5)), rng.normal(size=(2, 5))
    found = gram.matrix(LinearIndex(weights), x)
    np.testing.assert_allclose(found, gram.matrix(Gaussian(), x @ weights.T), rtol=1e-11)
    turned = gram.matrix(LinearIndex(-3 * weights[0]), x)
    np.testing.assert_allclose(turned, gram.matrix(LinearIndex(weights[0]), x), rtol=1e-10)


@pytest.mark.parametrize("penalty", [1.0, 0.01])
def test_spectral_is_the_gram_matrix_times_its_regularised_inverse(penalty, rng):
    x = rng.normal(size=(N, 3))
    plain, centring = gram.matrix(Laplace(), x), np.eye(N) - 1 / N
    largest = np.linalg.eigvalsh(centring @ plain @ centring)[-1] / N
    expected = plain @ np.linalg.inv(plain / N + penalty * largest * np.eye(N))
    found = gram.matrix(Spectral(Laplace(), penalty), x)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_spectral_of_many_rows_takes_points_that_their_order_does_not_change(rng):
    x = rng.normal(size=(1_500, 2))
    first, second = (Spectral(Gaussian()).resolve(rows) for rows in (x, x[::-1]))
    assert first.operator.points.shape == (1_024, 2)
    np.testing.assert_array_equal(first.operator.points, second.operator.points)
    values = gram.matrix(first, x[:200])
    assert np.linalg.eigvalsh(values)[0] > -1e-9 * np.trace(values)


def test_low_rank_and_tiles_give_the_exact_test(rng):
    fit, _ = fit_of(3, rng, n=150)
    moment = fitted_moment(fit)
    kernels = [Additive(), LinearIndex(fit.params[1:]), Spectral(Gaussian(), 0.1)]
    exact = kcm.KCMTest(kernels, method="exact").run(moment)
    low = kcm.KCMTest(kernels, method="low-rank", tolerance=1e-6).run(moment)
    for one, other in zip(exact.kernel_tests, low.kernel_tests, strict=True):
        assert other.pvalue == pytest.approx(one.pvalue, abs=1e-3)
    copy = pickle.loads(pickle.dumps(exact))
    assert copy.to_dict() == exact.to_dict()


@pytest.mark.parametrize("d", [7, 8])
def test_kernels_for_many_columns_are_members_from_eight_on(d, rng):
    fit, x = fit_of(d, rng)
    moment = fitted_moment(fit)
    kernels = scales_for_kinds(moment.labels.kinds, x, moment.index)
    assert len(kernels) == (5 if d == 7 else 7)
    if d == 8:
        additive, index = kernels[5:]
        lengths = MedianHeuristic()(x) / np.sqrt(8)
        np.testing.assert_array_equal(additive.kernel.bandwidth, lengths)
        np.testing.assert_allclose(index.weights[0], fit.params[1:], rtol=1e-9)


def test_members_do_not_depend_on_the_units_of_columns(rng):
    fit, x = fit_of(8, rng)
    moment, units = fitted_moment(fit), 10.0 ** np.arange(-4, 4)
    kinds = moment.labels.kinds
    for one, other in zip(
        scales_for_kinds(kinds, x, moment.index)[5:],
        scales_for_kinds(kinds, x * units, -5 * moment.index + 3)[5:],
        strict=True,
    ):
        found = gram.matrix(other.resolve(x * units), x * units)
        np.testing.assert_allclose(found, gram.matrix(one.resolve(x), x), rtol=1e-7)


def test_index_of_variables_that_are_not_conditioned_on_is_left_out(rng):
    """Its mean given the conditioning columns is a function of these; the index itself is not."""
    fit, x = fit_of(9, rng)
    moment = fitted_moment(fit)
    outside = rng.normal(size=(N, 9))
    assert len(scales_for_kinds(("continuous",) * 9, outside, moment.index)) == 6
    eight = marginal_moment(moment, range(1, 9))
    index = scales_for_kinds(eight.labels.kinds, eight.conditioning, eight.index)[-1]
    centred = x[:, 1:] - x[:, 1:].mean(axis=0)
    slopes = np.linalg.lstsq(centred, fit.fittedvalues - fit.fittedvalues.mean(), rcond=None)[0]
    np.testing.assert_allclose(index.weights[0], slopes, rtol=1e-9)


def test_witness_of_the_index_kernel(rng):
    fit, x = fit_of(8, rng)
    moment = fitted_moment(fit)
    kernel = LinearIndex(fit.params[1:]).resolve(x)
    new = rng.normal(size=(5, 8))
    found = kcm.ConditionalMomentEmbedding(moment, kernel).witness(new)
    bandwidth = kernel.kernel.bandwidth
    apart = (new @ fit.params[1:])[:, None] - (x @ fit.params[1:])[None]
    expected = np.exp(-((apart / bandwidth) ** 2) / 2) @ moment.residuals[:, 0] / N
    np.testing.assert_allclose(np.ravel(found), expected, rtol=1e-9)


def test_adapters_give_the_linear_predictor(rng):
    x = rng.normal(size=(N, 2))
    design = sm.add_constant(x)
    counts = rng.poisson(np.exp(0.3 * x[:, 0]))
    offset = rng.normal(size=N) / 10
    poisson = sm.GLM(counts, design, sm.families.Poisson(), offset=offset).fit()
    linear = design @ poisson.params + offset
    np.testing.assert_allclose(fitted_moment(poisson).index[:, 0], linear, rtol=1e-9)
    logit = sm.Logit((counts > 0).astype(float), design).fit(disp=0)
    np.testing.assert_allclose(fitted_moment(logit).index[:, 0], design @ logit.params, rtol=1e-9)
    data = pd.DataFrame(x, columns=["a", "b"]).assign(y=counts.astype(float))
    moment = kcm.MMR(kcm.moments.LinearMoment("y ~ a + b"), data).fit().fitted_moment
    np.testing.assert_allclose(moment.index, data[["y"]] - moment.residuals, rtol=1e-12)


def test_new_rows_have_the_index_of_the_fit(rng):
    names = list("abcdefgh")
    data = pd.DataFrame(rng.normal(size=(2 * N, 8)), columns=names).assign(
        y=rng.poisson(1.0, 2 * N)
    )
    formula = "y ~ " + " + ".join(names)
    fit = smf.poisson(formula, data[:N]).fit(disp=0)
    new = data[N:]
    result = kcm.specification_test(fit, data=new)
    assert len(result.kernel_tests) == 7
    expected = fit.predict(new, which="linear")
    np.testing.assert_allclose(result.moment.index[:, 0], expected, rtol=1e-9)


def test_what_is_refused(rng):
    x = rng.normal(size=(N, 3))
    given = ["kcm.kernels.Additive(kcm.kernels.Additive())", "kcm.kernels.Additive(2.0)"]
    for line in messages(given, "OptionError"):
        assert "`kernel` must be a kernel with a bandwidth" in line
    with pytest.raises(OptionError, match="`weights` must be one or more rows that are not zero"):
        LinearIndex([[1.0, 2.0], [0.0, 0.0]])
    with pytest.raises(OptionError, match="`weights` has 2 entries for 3 conditioning columns"):
        LinearIndex([1.0, 2.0]).resolve(x)
    with pytest.raises(OptionError, match="`penalty` must be finite and positive"):
        Spectral(Gaussian(), 0.0)
    with pytest.raises(OptionError, match="spectral regularisation needs a positive"):
        Spectral(Energy())
    with pytest.raises(OptionError, match=r"call `kernel.resolve\(X\)` first"):
        Spectral(Gaussian(1.0))(jnp.zeros(1), jnp.zeros(1))
    with pytest.raises(OptionError, match="resolved on 3 columns and meets 2"):
        Spectral(Gaussian(1.0)).resolve(x).resolve(x[:, :2])
    with pytest.raises(DataError, match="`index` has 3 rows"):
        kcm.FittedMoment(x[:, 0], x, index=np.arange(3))
