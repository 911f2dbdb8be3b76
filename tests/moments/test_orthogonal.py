"""The orthogonal projection. Referees: dense matrices, draws by a slow loop, least squares."""

import numpy as np
import pytest
import statsmodels.api as sm
from dense_law import powers
from linearmodels.iv import IV2SLS, IVGMM
from refusals import messages

import kcm
from kcm import gram
from kcm.adapters import fitted_moment
from kcm.exceptions import OptionError, SaturatedModelError
from kcm.kernels import Gaussian
from kcm.moments import orthogonal_moment
from kcm.statistic.contraction import contract
from kcm.statistic.form import form_matrix

NULLS = {"asymptotic": kcm.Asymptotic(), "draws": kcm.MultiplierBootstrap(99)}


def sample(rng, n=80):
    x = rng.normal(size=(n, 2))
    return x, sm.add_constant(x)


def logit_fit(rng, n=80):
    x, design = sample(rng, n)
    return sm.Logit((rng.random(n) < 1 / (1 + np.exp(-x.sum(axis=1)))) * 1.0, design).fit(disp=0)


def system(rng, n=40):
    """Moment of two components that share their parameters, with units far apart."""
    jacobian = rng.normal(size=(n, 2, 3)) * [1.0, 1e-6, 1e4]
    return kcm.FittedMoment(
        rng.normal(size=(n, 2)), rng.normal(size=(n, 1)), jacobian, rng.normal(size=(n, 3))
    )


def dense_projection(moment):
    """I - S (S'S)^-1 S' in units of theta in which S'S can be inverted."""
    stacked = moment.jacobian.reshape(-1, moment.n_params) / [1.0, 1e-6, 1e4]
    return np.eye(len(stacked)) - stacked @ np.linalg.solve(stacked.T @ stacked, stacked.T)


@pytest.mark.parametrize("null", NULLS.values(), ids=NULLS.keys())
@pytest.mark.parametrize("statistic", ["U", "V"])
def test_least_squares_does_not_change(null, statistic, rng):
    x, design = sample(rng)
    fit = sm.OLS(x.sum(axis=1) + rng.normal(size=80) * (1 + x[:, 0] ** 2), design).fit()
    first, second = (
        kcm.specification_test(fit, statistic=statistic, null=null, rng=1, projection=projection)
        for projection in ("estimator", "orthogonal")
    )
    assert second.statistic == pytest.approx(first.statistic, rel=1e-10)
    assert second.pvalue == pytest.approx(first.pvalue, rel=1e-10)
    level = first.null_distribution.critical_value(0.1)
    assert second.null_distribution.critical_value(0.1) == pytest.approx(level, rel=1e-10)


def test_residuals_scale_and_draws_are_those_of_the_dense_projection(rng):
    moment = system(rng)
    n, q = moment.residuals.shape
    projection = dense_projection(moment)
    projected = orthogonal_moment(moment)
    psi = projection @ moment.residuals.ravel()
    left = np.diag(projection).reshape(n, q)
    scale = np.column_stack([powers(left[:, c]) for c in range(q)]).ravel()
    np.testing.assert_allclose(projected.residuals.ravel(), psi, atol=1e-9)
    np.testing.assert_allclose(projected.scale.ravel(), scale, rtol=1e-9)
    kernel = Gaussian(1.0)
    contraction = contract(projected, gram.TiledGram(kernel, moment.conditioning), "V")
    found, c = form_matrix(contraction, np.arange(n)), contraction.shift.value
    values = np.kron(gram.matrix(kernel, moment.conditioning), np.eye(q))
    for w in rng.normal(size=(5, n)):
        draw = projection @ (np.repeat(w, q) * psi / scale)
        shifted = draw @ (values - c * np.eye(n * q)) @ draw / n
        assert w @ found @ w == pytest.approx(shifted, rel=1e-8)


def test_collinear_regressors_change_nothing(rng):
    design = sample(rng)[1]
    moment = fitted_moment(sm.OLS(rng.normal(size=80), design).fit())
    doubled = kcm.FittedMoment(
        moment.residuals,
        moment.conditioning,
        np.concatenate([moment.jacobian, 1e3 * moment.jacobian], axis=2),
        np.concatenate([moment.influence, moment.influence], axis=2),
    )
    once, twice = orthogonal_moment(moment), orthogonal_moment(doubled)
    np.testing.assert_allclose(twice.residuals, once.residuals, atol=1e-12)
    np.testing.assert_allclose(twice.scale, once.scale, atol=1e-12)


def test_the_estimator_need_not_be_least_squares(rng):
    """P psi does not depend on where in the span of S the estimate lies."""
    x, design = sample(rng)
    y = x.sum(axis=1) + rng.normal(size=80)
    fits = sm.OLS(y, design).fit(), sm.WLS(y, design, weights=rng.uniform(1, 9, 80)).fit()
    first, second = (kcm.specification_test(f, projection="orthogonal") for f in fits)
    assert second.pvalue == pytest.approx(first.pvalue, rel=1e-9)


def test_the_summary_says_so(rng):
    result = kcm.specification_test(logit_fit(rng), projection="orthogonal")
    assert result.theta == "estimated: Logit; orthogonal projection"
    assert "orthogonal projection" in str(result.summary())


def endogenous(rng, n=80):
    z, h, e = rng.normal(size=(3, n))
    return 1 + z + h + e, z + h, z


@pytest.mark.parametrize("estimator", [IV2SLS, IVGMM])
def test_endogenous_regressors_are_refused(estimator, rng):
    y, x, z = endogenous(rng)
    fit = estimator(y, np.ones((80, 1)), x, z).fit()
    with pytest.raises(OptionError, match=f"this fit .estimated: {estimator.__name__}. is not"):
        kcm.specification_test(fit, projection="orthogonal")
    stacked = kcm.stack_equations(fitted_moment(fit), fitted_moment(fit))
    assert stacked.labels.exogenous is False


def test_instruments_for_nothing_are_least_squares(rng):
    x, design = sample(rng)
    fit = IV2SLS(x.sum(axis=1) + rng.normal(size=80), design, None, None).fit()
    result = kcm.specification_test(fit, projection="orthogonal")
    assert result.pvalue == pytest.approx(kcm.specification_test(fit).pvalue, rel=1e-9)


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.IterationLimitWarning")
def test_quantile_regression_is_refused(rng):
    x, design = sample(rng)
    fit = sm.QuantReg(x.sum(axis=1) + rng.normal(size=80), design).fit()
    with pytest.raises(OptionError, match="exogenous variables"):
        kcm.specification_test(fit, projection="orthogonal")


def test_theta_known_is_refused(rng):
    x, psi = rng.normal(size=(2, 30))
    with pytest.raises(OptionError, match="theta is known"):
        kcm.KCMTest(projection="orthogonal").run(kcm.FittedMoment(psi, x))


def test_a_jacobian_that_varies_where_conditioning_does_not_is_refused_unless_vouched_for(rng):
    x, slope, psi = np.arange(40.0) // 2, rng.normal(size=(40, 1)), rng.normal(size=40)
    arrays = psi, x, slope, slope * psi[:, None]
    with pytest.raises(OptionError, match="equal conditioning variables have different ones"):
        kcm.KCMTest(projection="orthogonal").run(kcm.FittedMoment(*arrays))
    vouched = kcm.FittedMoment(*arrays, labels=kcm.MomentLabels(exogenous=True))
    assert 0 < kcm.KCMTest(projection="orthogonal").run(vouched).pvalue <= 1


def test_as_many_parameters_as_rows_are_refused(rng):
    psi = rng.normal(size=5)
    slopes = rng.normal(size=(5, 5))
    with pytest.raises(SaturatedModelError, match="span of the jacobian"):
        orthogonal_moment(kcm.FittedMoment(psi, np.arange(5.0), slopes, slopes))


def test_what_is_no_projection_is_refused():
    (told,) = messages(["kcm.KCMTest(projection='oblique')"], "OptionError")
    assert "`projection`" in told
