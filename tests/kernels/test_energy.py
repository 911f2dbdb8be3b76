"""The energy kernel. Referees: distances of SciPy, the centred kernel, and simulated sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

import kcm
from kcm import gram
from kcm.adapters import fitted_moment
from kcm.exceptions import OptionError, SaturatedModelError
from kcm.gram.pivoted_cholesky import low_rank_factor
from kcm.kernels import Constant, Energy, Gaussian, Precomputed, Subspace
from kcm.moments import check_spans_constant

EXPONENTS = (0.5, 1.0, 1.7)
everywhere = pytest.mark.parametrize("exponent", EXPONENTS)


@pytest.fixture
def data(rng):
    x, z, e = rng.normal(size=(3, 120))
    chosen = 1.0 * (rng.uniform(size=120) < 1 / (1 + np.exp(-x)))
    y = 1 + x + 0.4 * x**2 + e
    return pd.DataFrame({"x": x, "z": z, "y": y, "chosen": chosen, "w": 0.5 + z**2})


def centred(kernel, x):
    """Gram matrix of the positive semi-definite kernel that does the same to sums of zero."""
    k = gram.matrix(kernel, x)
    return k - k[:, :1] - k[:1, :] + k[0, 0]


@everywhere
def test_values_are_distances(exponent, rng):
    x, h = rng.normal(size=(17, 3)), np.array([0.5, 1.0, 3.0])
    found = gram.matrix(Energy(h, exponent), x)
    np.testing.assert_allclose(found, -(cdist(x / h, x / h) ** exponent), rtol=1e-12)
    np.testing.assert_array_equal(np.diag(found), 0)


@given(st.sampled_from(EXPONENTS), st.integers(1, 4), st.integers(0, 10_000))
def test_positive_on_weights_that_sum_to_zero(exponent, d, seed):
    x = np.random.default_rng(seed).normal(size=(12, d))
    matrix = centred(Energy(1.0, exponent), x)
    assert np.linalg.eigvalsh(matrix).min() > -1e-10
    assert np.linalg.eigvalsh(gram.matrix(Energy(1.0, exponent), x)).min() < -0.1


@everywhere
def test_gradients_at_equal_points_are_finite(exponent):
    point = jnp.array([0.3, -0.2])
    slope = jax.grad(lambda a: Energy(1.0, exponent)(a, point))(point)
    np.testing.assert_array_equal(slope, 0)


def test_equal_rows_far_from_zero_have_no_distance():
    x = np.repeat([[1e6 + 0.1], [1e6 + 0.7]], 2, axis=0)
    found = gram.cross(Energy(1.0), x, x)
    np.testing.assert_array_equal(found[::2, 1::2], found[::2, ::2])


def test_which_kernels_are_conditionally_positive():
    assert not Gaussian(1.0).conditionally_positive
    for kernel in (
        Energy(),
        Energy() + Gaussian(1.0),
        1.0 + Energy(),
        2.0 * Energy(),
        Subspace(Energy() + Constant(1.0), 0),
    ):
        assert kernel.conditionally_positive


@pytest.mark.parametrize("statistic", ["U", "V"])
def test_the_statistic_is_the_martingale_difference_divergence(statistic, data):
    fit = smf.ols("y ~ x", data).fit()
    found = kcm.specification_test(fit, kernel=Energy(1.0), statistic=statistic)
    psi, x, n = fit.resid.to_numpy(), data.x.to_numpy(), len(data)
    divergence = -np.mean(np.outer(psi, psi) * np.abs(np.subtract.outer(x, x)))
    expected = divergence * n * (n / (n - 1) if statistic == "U" else 1)
    np.testing.assert_allclose(found.statistic, expected, rtol=1e-9)


@pytest.mark.parametrize("null", [kcm.Asymptotic(), kcm.MultiplierBootstrap(199)])
@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize(
    "fit",
    [
        lambda d: smf.ols("y ~ x + z", d).fit(),
        lambda d: smf.logit("chosen ~ x + z", d).fit(disp=0),
        lambda d: smf.glm("chosen ~ x + z", d, family=sm.families.Binomial()).fit(),
    ],
)
def test_a_test_is_that_of_the_centred_kernel(null, exponent, fit, data):
    moment = fitted_moment(fit(data))
    kernel = Energy(1.0, exponent)
    found = kcm.KCMTest(kernel, "V", null, precision="double").run(moment, rng=2)
    referee = kcm.FittedMoment(
        moment.residuals, np.arange(120), moment.jacobian, moment.influence, moment.scale
    )
    same = Precomputed(centred(kernel, moment.conditioning))
    expected = kcm.KCMTest(same, "V", null, precision="double").run(referee, rng=2)
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-7)
    np.testing.assert_allclose(found.pvalue, expected.pvalue, rtol=1e-5)


def test_units_of_the_columns_do_not_matter(data):
    first = kcm.specification_test(smf.ols("y ~ x + z", data).fit(), kernel=Energy())
    scaled = data.assign(x=1e4 * data.x, z=data.z - 7)
    second = kcm.specification_test(smf.ols("y ~ x + z", scaled).fit(), kernel=Energy())
    np.testing.assert_allclose(second.pvalue, first.pvalue, rtol=1e-6)


def test_a_curve_is_found_and_a_line_is_not(data, rng):
    assert kcm.specification_test(smf.ols("y ~ x", data).fit(), kernel=Energy()).pvalue < 0.01
    line = data.assign(y=1 + data.x + rng.normal(size=120))
    assert kcm.specification_test(smf.ols("y ~ x", line).fit(), kernel=Energy()).pvalue > 0.05


def test_two_stage_least_squares_with_a_constant_is_taken(data, rng):
    from linearmodels.iv import IV2SLS

    iv = data.assign(p=data.z + data.x + rng.normal(size=120))
    fit = IV2SLS.from_formula("y ~ 1 + x + [p ~ z]", iv).fit()
    check_spans_constant(fitted_moment(fit))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: kcm.FittedMoment(d.y - d.y.mean(), d.x), "with theta known nothing makes"),
        (lambda d: fitted_moment(smf.ols("y ~ x - 1", d).fit()), "residuals of this fit do not"),
        (
            lambda d: fitted_moment(smf.wls("y ~ x", d, weights=d.w).fit()),
            "residuals of this fit do not.*constant.*kcm.kernels.Gaussian",
        ),
        (
            lambda d: fitted_moment(smf.probit("chosen ~ x", d).fit(disp=0)),
            "residuals of this fit do not",
        ),
        (
            lambda d: kcm.FittedMoment(d.y - d.y.mean(), d.x, np.ones(120), d.x - d.x.mean()),
            "multiplier draws of this fit do not",
        ),
    ],
)
def test_residuals_that_do_not_sum_to_zero_are_refused(make, message, data):
    with pytest.raises(OptionError, match=message):
        kcm.KCMTest(Energy()).run(make(data))
    with pytest.raises(OptionError, match=message):
        kcm.KCMTest(Energy() + Gaussian()).run(make(data))


def test_each_component_is_checked(data):
    good = fitted_moment(smf.ols("y ~ x", data).fit())
    bad = fitted_moment(smf.ols("z ~ x - 1", data).fit(), data[["x"]])
    check_spans_constant(kcm.stack_equations(good, good))
    with pytest.raises(OptionError, match="residuals of this fit do not"):
        check_spans_constant(kcm.stack_equations(good, bad))


def test_a_saturated_model_is_recognised(rng):
    cell = rng.integers(0, 3, 90)
    data = pd.DataFrame({"y": rng.normal(size=90), "x": 1e3 + cell})
    fit = smf.ols("y ~ C(x)", data).fit()
    with pytest.raises(SaturatedModelError, match="sees nothing of the residuals"):
        kcm.specification_test(fit, data[["x"]], kernel=Energy())


def test_there_is_no_low_rank_factor(data, monkeypatch):
    fit = smf.ols("y ~ x", data).fit()
    message = "a low-rank factor needs a positive semi-definite kernel.*Gaussian"
    with pytest.raises(OptionError, match=message):
        kcm.specification_test(fit, kernel=Energy(), method="low-rank")
    with pytest.raises(OptionError, match=message):
        low_rank_factor(Energy(), data[["x"]])
    monkeypatch.setattr("kcm.null.certified.EXACT_WORK", 0.0)
    exact = kcm.specification_test(fit, kernel=Energy()).certificate
    low_rank = kcm.specification_test(fit, kernel=Gaussian()).certificate
    assert (exact.method, low_rank.method) == ("exact", "low-rank")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Energy() * Gaussian(1.0), "a product of kernels needs a positive semi-definite"),
        (lambda: Gaussian(1.0) * (1.0 + Energy()), "a product of kernels needs"),
        (lambda: Energy() ** 2, "a power of a kernel needs"),
        (lambda: Energy(0.0), "`bandwidth` must be finite and positive"),
        (lambda: Energy(1.0, 2.0), "`exponent` must lie strictly between 0 and 2; got 2.0.*Linear"),
        (lambda: Energy(1.0, 0), "`exponent` must lie strictly between 0 and 2; got 0"),
        (
            lambda: kcm.MMR.from_formula("y ~ x", {"y": [1], "x": [1]}, kernel=Energy()),
            "estimation",
        ),
        (lambda: kcm.RKHSIV(instrument_kernel=Energy()).fit([[1.0], [2]], [1, 2]), "estimation"),
    ],
)
def test_what_the_kernel_cannot_do_is_refused(make, message):
    with pytest.raises(OptionError, match=message):
        make()


@pytest.mark.slow
@pytest.mark.parametrize("null", [kcm.Asymptotic(), kcm.MultiplierBootstrap(199)])
def test_size(null):
    rng = np.random.default_rng(20200802)
    pvalues = []
    for _ in range(400):
        x, e = rng.normal(size=(2, 100))
        fit = sm.OLS(1 + x + e * (0.5 + np.abs(x) / 2), sm.add_constant(x)).fit()
        pvalues.append(kcm.specification_test(fit, kernel=Energy(), null=null, rng=rng).pvalue)
    assert 0.02 < np.mean(np.array(pvalues) < 0.05) < 0.085
