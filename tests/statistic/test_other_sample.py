"""Theta from another sample. Referee: the form with a row per training row, in a dense loop."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

import kcm
from kcm.exceptions import DataError, OptionError
from kcm.gram import Execution, TiledGram, matrix
from kcm.gram.low_rank import low_rank_gram
from kcm.kernels import Gaussian
from kcm.moments import combined_moment
from kcm.moments.clusters import group_codes
from kcm.null import MultiplierBootstrap
from kcm.null.asymptotic import cumulant_law, low_rank_cumulant_law, tiled_cumulant_law
from kcm.null.residual_bounds import residual_bounds
from kcm.statistic.contraction import contract
from kcm.statistic.draws import drawer
from kcm.statistic.form import form_matrix
from kcm.statistic.low_rank import size_of

pytestmark = pytest.mark.many_calls

KERNEL = Gaussian(1.0)


def split_moment(q=1, n=60, n_other=90, p=3, seed=0, with_scale=False):
    """A moment at a theta from another sample, and the influence of the rows of that sample."""
    rng = np.random.default_rng(seed)
    influence = rng.normal(size=(n_other, p)) * np.array([1.0, 30.0, 0.01])[:p]
    jacobian = rng.normal(size=(n, q, p)) / np.array([1.0, 30.0, 0.01])[:p]
    scale = rng.uniform(0.8, 1.2, (n, q)) if with_scale else None
    residuals, x = rng.normal(size=(n, q)), rng.normal(size=(n, 2))
    moment = kcm.FittedMoment(residuals, x, jacobian, scale=scale, influence_sample=influence)
    return moment, influence


def dense_form(moment, influence, statistic):
    """F E'K_0 E with E = [diag(r), S L_1'/n_1], component by component."""
    n, q = moment.residuals.shape
    values = matrix(KERNEL, moment.conditioning)
    if statistic == "U":
        values = values - np.diag(np.diag(values))
    r = moment.residuals if moment.scale is None else moment.residuals / moment.scale
    form = 0.0
    for c in range(q):
        moved = np.hstack([np.diag(r[:, c]), moment.jacobian[:, c] @ influence.T / len(influence)])
        form = form + moved.T @ values @ moved
    return form / (n - 1 if statistic == "U" else n)


def joined(form, n, codes):
    """Add up the first n rows and columns within clusters."""
    indicator = np.zeros((codes.max() + 1, n))
    indicator[codes, np.arange(n)] = 1
    rest = len(form) - n
    both = np.block(
        [[indicator, np.zeros((len(indicator), rest))], [np.zeros((rest, n)), np.eye(rest)]]
    )
    return both @ form @ both.T


@pytest.mark.parametrize("statistic", ["U", "V"])
@pytest.mark.parametrize("q", [1, 2])
@pytest.mark.parametrize("clusters", [False, True])
@pytest.mark.parametrize("with_scale", [False, True])
def test_the_law_is_that_of_a_row_for_each_training_row(statistic, q, clusters, with_scale):
    moment, influence = split_moment(q, with_scale=with_scale)
    n = moment.n_obs
    codes = np.arange(n) % 25 if clusters else np.arange(n)
    gram = TiledGram(KERNEL, moment.conditioning)
    found = contract(moment, gram, statistic, codes)
    dense, m = joined(dense_form(moment, influence, statistic), n, codes), codes.max() + 1
    values = matrix(KERNEL, moment.conditioning)
    kept = values if statistic == "V" else values - np.diag(np.diag(values))
    expected = found.factor * np.sum(moment.residuals * (kept @ moment.residuals))
    assert found.statistic == pytest.approx(expected, rel=1e-10)
    # the diagonal of the first m is fixed, the rest is normal: cumulants from the eigenvalues
    free = dense.copy()
    free[np.arange(m), np.arange(m)] = 0
    weights = np.linalg.eigvalsh(free)
    mean, variance, third = np.trace(dense), 2 * np.sum(weights**2), 8 * np.sum(weights**3)
    null = kcm.Asymptotic(groups=codes if clusters else None)
    law = null.distribution(found, np.random.default_rng())
    np.testing.assert_allclose(law.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(law.variance, variance, rtol=1e-9)
    few = cumulant_law(form_matrix(found, codes), size_of(found) ** 2, 0.0, 3)
    np.testing.assert_allclose(few.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(few.sd**2, variance, rtol=1e-9)
    np.testing.assert_allclose(few.skewness, third / variance**1.5, rtol=1e-8)
    # with fewer multipliers than directions the sketch of the cube is exact
    many = tiled_cumulant_law(found, codes)
    np.testing.assert_allclose(many.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(many.sd**2, variance, rtol=1e-9)
    np.testing.assert_allclose(many.skewness, third / variance**1.5, rtol=1e-6)
    low = low_rank_gram(KERNEL, moment.conditioning, 1e-12, n, Execution())
    for source in (gram, low):
        approximate = dataclasses.replace(contract(moment, source, statistic, codes), gram=low)
        small = low_rank_cumulant_law(approximate, codes)
        np.testing.assert_allclose(small.mean, mean, rtol=1e-6)
        np.testing.assert_allclose(small.sd**2, variance, rtol=1e-6)
        np.testing.assert_allclose(small.skewness, third / variance**1.5, rtol=1e-4)


@pytest.mark.parametrize("clusters", [False, True])
@pytest.mark.parametrize("low_rank", [False, True])
def test_a_draw_moves_theta_by_a_normal_error(clusters, low_rank):
    moment, _ = split_moment(2)
    n = moment.n_obs
    codes = np.arange(n) % 25 if clusters else np.arange(n)
    gram = TiledGram(KERNEL, moment.conditioning)
    if low_rank:
        gram = low_rank_gram(KERNEL, moment.conditioning, 1e-12, n, Execution())
    found = contract(moment, gram, "U", codes)
    rng = np.random.default_rng(1)
    w, z = rng.choice([-1.0, 1.0], (4, codes.max() + 1)), rng.normal(size=(4, 3))
    draws = drawer(found, codes)(np.hstack([w, z]))
    root, values = found.border.root, matrix(KERNEL, moment.conditioning)
    values = values - np.diag(np.diag(values))
    np.testing.assert_allclose(root.T @ root, moment.covariance, rtol=1e-9)
    for row, normal, drawn in zip(w[:, codes], z, draws, strict=True):
        v = row[:, None] * moment.residuals + moment.jacobian @ (root.T @ normal)
        assert drawn == pytest.approx(np.sum(v * (values @ v)) / (n - 1), rel=1e-6)


def test_draws_have_the_law_of_the_eigenvalues():
    moment, _ = split_moment()
    test = kcm.KCMTest(KERNEL, null=MultiplierBootstrap(20_000))
    drawn, exact = test.run(moment, 0), kcm.KCMTest(KERNEL).run(moment)
    draws = drawn.null_distribution.draws
    law = exact.null_distribution
    assert draws.mean() == pytest.approx(law.mean, abs=4 * draws.std() / np.sqrt(20_000))
    assert draws.std() == pytest.approx(np.sqrt(law.variance), rel=0.05)
    assert drawn.pvalue == pytest.approx(exact.pvalue, abs=0.03)


def test_blocks_and_stops_do_not_change_draws():
    moment, _ = split_moment()
    whole = kcm.KCMTest(KERNEL, null=MultiplierBootstrap(999)).run(moment, 3)
    stopped = kcm.KCMTest(KERNEL, null=MultiplierBootstrap(999, stop="besag-clifford")).run(
        moment, 3
    )
    first = stopped.null_distribution.draws
    np.testing.assert_allclose(whole.null_distribution.draws[: len(first)], first, rtol=1e-5)


def test_bounds_of_a_factor_hold_for_the_border():
    moment, _ = split_moment(n=200)
    codes = np.arange(200)
    exact = contract(moment, TiledGram(KERNEL, moment.conditioning), "U")
    low = low_rank_gram(KERNEL, moment.conditioning, 0.02, 20, Execution())
    found = contract(moment, low, "U")
    bounds = residual_bounds(found, codes, moment.residuals, moment.jacobian)
    left_out = form_matrix(exact, codes) - form_matrix(found, codes)
    assert np.linalg.norm(left_out) <= bounds.norm
    assert abs(np.trace(left_out)) <= bounds.trace
    assert np.linalg.norm(left_out) > 0


def test_a_sure_theta_is_a_known_one():
    moment, _ = split_moment()
    known = kcm.FittedMoment(moment.residuals, moment.conditioning)
    sure = dataclasses.replace(moment, covariance=np.zeros((3, 3)))
    for null in (kcm.Asymptotic(), kcm.Asymptotic(method="cumulants"), kcm.StudentizedNormal()):
        one, two = (kcm.KCMTest(KERNEL, null=null).run(each).pvalue for each in (known, sure))
        assert one == pytest.approx(two, rel=1e-9)


def test_covariance_and_influence_say_the_same():
    moment, influence = split_moment()
    parts = moment.residuals, moment.conditioning, moment.jacobian
    given = kcm.FittedMoment(*parts, covariance=influence.T @ influence / len(influence) ** 2)
    assert kcm.KCMTest().run(given).pvalue == pytest.approx(kcm.KCMTest().run(moment).pvalue)
    assert moment.labels.theta == "estimated on another sample of 90 rows"
    assert given.labels.theta == "estimated on another sample"
    assert not given.theta_known


def test_the_error_of_theta_is_in_the_band_and_in_the_norm():
    """Referee: a mean of 40 rows, whose error moves the residuals of 60 others together."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(400):
        other, y, x = rng.normal(size=40), rng.normal(size=60) + 1.0, rng.normal(size=60)
        psi, one = y - other.mean(), np.ones((60, 1))
        moment = kcm.FittedMoment(psi, x, -one, influence_sample=other[:, None] - other.mean())
        embedding = kcm.ConditionalMomentEmbedding(moment, KERNEL)
        found.append((embedding.norm.value, embedding.norm.std_error))
    values, errors = np.array(found).T
    # with 60 rows the standard error is about an eighth too small
    assert values.std() == pytest.approx(errors.mean(), rel=0.2)


def test_a_band_covers_the_error_of_theta():
    rng, covered = np.random.default_rng(6), 0
    for k in range(200):
        other, y, x = rng.normal(size=40), rng.normal(size=60), rng.normal(size=60)
        psi, one = y - other.mean(), np.ones((60, 1))
        moment = kcm.FittedMoment(psi, x, -one, influence_sample=other[:, None] - other.mean())
        band = kcm.ConditionalMomentEmbedding(moment, KERNEL).band([-1.0, 0.0, 1.0], rng=k)
        covered += not band.excludes_zero.any()
    assert covered >= stats.binom.ppf(0.001, 200, 0.95)


def test_the_pictures_and_the_report_come_with_it(tmp_path):
    moment, _ = split_moment()
    result = kcm.KCMTest().run(moment)
    assert result.embedding.effect_size().std_error > 0
    assert result.embedding.absorbed_share() == 0.0
    result.report(tmp_path / "page.html")
    assert "another sample of 90 rows" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"influence_sample": np.ones((5, 3)), "influence": np.ones((60, 3))}, "on others"),
        ({"influence_sample": np.ones((5, 3)), "covariance": np.eye(3)}, "both tell the error"),
        ({"influence_sample": np.ones((5, 2))}, r"shape \(2, 2\)"),
        ({"covariance": np.diag([1.0, 1.0, -1.0])}, "no|without negative"),
        ({"covariance": np.triu(np.ones((3, 3)))}, "symmetric"),
        ({"covariance": np.eye(3), "jacobian": None}, "was given without `jacobian`"),
        ({"covariance": np.eye(3), "gain": np.ones((60, 3))}, "leave `gain` out"),
        ({}, "was given without `influence`"),
    ],
)
def test_contradictions_are_refused(given, words):
    moment, _ = split_moment()
    parts = {"jacobian": moment.jacobian} | given
    with pytest.raises(DataError, match=words):
        kcm.FittedMoment(moment.residuals, moment.conditioning, **parts)


def test_what_has_no_error_of_another_sample_says_so():
    moment, _ = split_moment()
    with pytest.raises(DataError, match="comparison of two moments"):
        combined_moment(moment, moment, 1)
    with pytest.raises(DataError, match="stack_equations"):
        kcm.stack_equations(moment, moment)
    with pytest.raises(OptionError, match="nothing is refitted"):
        kcm.KCMTest(KERNEL, null=MultiplierBootstrap(99, studentize=True)).run(moment, 0)
    with pytest.raises(OptionError, match="only when theta is known"):
        kcm.KCMTest(KERNEL, null=MultiplierBootstrap(99, weights="multinomial")).run(moment, 0)
    with pytest.raises(OptionError, match="another sample"):
        kcm.KCMTest(kcm.kernels.Energy()).run(moment)


def test_groups_are_those_of_the_test_rows():
    moment, _ = split_moment()
    assert len(group_codes(np.arange(60) % 20, moment.n_obs)) == 60
    result = kcm.KCMTest(KERNEL, null=kcm.Asymptotic(groups=np.arange(60) % 20)).run(moment)
    assert 0 < result.pvalue <= 1
