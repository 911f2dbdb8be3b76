"""Designs. Referees: the truth that each states, and the moments of what it draws."""

import numpy as np
import pytest

import kcm
from kcm.adapters import fitted_moment
from kcm.simulation import Design, SimulationStudy, designs
from kcm.simulation.designs.errors import ERRORS
from kcm.simulation.findings import finding_of
from kcm.simulation.subjects import subject_of

SIZED = [name for name in designs.names() if "size" in designs.load(name).settings]


@pytest.mark.parametrize("name", designs.names())
def test_every_design_says_what_is_true_and_draws_a_sample(name, rng):
    design = designs.load(name)
    assert design.draw.__doc__
    assert isinstance(design.null_is_true(), bool)
    assert design.null != "not stated"
    moment = subject_of(design(rng, 80), True).known_moment()
    assert moment.n_obs == 80
    assert moment.theta_known == (name in ("reg-hom", "reg-het", "simeq"))


@pytest.mark.parametrize("name", SIZED)
def test_the_model_is_right_where_the_departure_is_zero(name):
    design = designs.load(name)
    assert design.null_is_true(size=0.0)
    assert not design.null_is_true(size=0.3)


@pytest.mark.parametrize("name", ["linear", "logit", "poisson", "instrumental"])
def test_estimates_are_near_the_truth(name, rng):
    design = designs.load(name)
    for one in finding_of(design(rng, 4_000)).estimates:
        assert abs(one.estimate - design.parameters()[one.parameter]) < 4.5 * one.bse


@pytest.mark.parametrize("name", ERRORS)
def test_errors_have_mean_zero_given_the_regressors(name, rng):
    x = rng.standard_normal((20_000, 1))
    errors = ERRORS[name](rng, x)
    for weight in (1, x[:, 0], np.sin(2 * x[:, 0])):
        terms = errors * weight
        assert abs(terms.mean()) < 4 * terms.std() / np.sqrt(len(terms))


def test_the_published_noise_is_that_of_the_code(rng):
    assert designs.load("reg-hom")(rng, 4_000).residuals.std() == pytest.approx(0.05, rel=0.06)
    printed = designs.load("reg-hom")(rng, 4_000, noise_sd=1.0, intercept=False)
    assert printed.residuals.std() == pytest.approx(1.0, rel=0.06)
    het = designs.load("reg-het")(rng, 8_000)
    expected = 0.05 * np.sqrt(0.1 + 0.1 * np.sum(het.conditioning**2, axis=1))
    assert (het.residuals[:, 0] / expected).std() == pytest.approx(1.0, rel=0.05)


def test_demand_and_supply_have_the_covariance_of_the_paper(rng):
    """At the true theta the residuals are v1 + v2 and v1 - v2."""
    psi = designs.load("simeq")(rng, 20_000).residuals
    v1, v2 = (psi[:, 0] + psi[:, 1]) / 2, (psi[:, 0] - psi[:, 1]) / 2
    assert np.var(v1) == pytest.approx(1e-3, rel=0.05)
    assert np.var(v2) == pytest.approx(1e-3, rel=0.05)
    assert np.cov(v1, v2)[0, 1] == pytest.approx(1e-3 / np.sqrt(2), rel=0.05)


def test_the_perturbation_is_drawn_anew(rng):
    draws = [designs.load("reg-hom")(rng, 200, delta=1.0).residuals for _ in range(200)]
    # the intercept's change has the mean of a sample's residuals, less noise
    spread = np.std([draw.mean() for draw in draws])
    assert spread == pytest.approx(np.sqrt(1 + 5 / 200), rel=0.25)


def test_clusters_and_categories_are_kept(rng):
    fit = designs.load("clustered")(rng, 60)
    groups = kcm.Asymptotic(groups="firm")
    with pytest.warns(kcm.FewClustersWarning):
        assert 0 <= kcm.specification_test(fit, null=groups).pvalue <= 1
    moment = subject_of(designs.load("mixed")(rng, 60), True).known_moment()
    assert moment.labels.kinds == ("continuous", "unordered", "ordered")


def test_weak_instruments_are_weak(rng):
    fit = designs.load("instrumental")(rng, 400, strength=0.05)
    moment = fitted_moment(fit)
    x, z = fit.model.exog[:, 1], moment.conditioning
    assert np.abs(np.corrcoef(x, z.T)[0, 1:]).max() < 0.25


def test_settings_are_checked_with_a_suggestion():
    with pytest.raises(kcm.OptionError, match="no setting 'sise'; did you mean 'size'"):
        SimulationStudy("logit", ["RESET"], 50, {"sise": 1.0})
    with pytest.raises(kcm.OptionError, match="did you mean 'logit'"):
        designs.load("lgit")


def test_a_design_of_ones_own_may_say_nothing():
    own = Design("own", lambda rng, n_obs, a=1, **rest: None)
    own.check_settings(["anything"])
    assert own.null_is_true(a=2) is None
    assert own.parameters() == {}
    assert dict(own.settings) == {"a": 1}
