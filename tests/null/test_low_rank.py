"""The low-rank test and its certificate. Referee: the exact test, and dense matrices."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

import kcm
from kcm import gram
from kcm.exceptions import DataError, OptionError, SaturatedModelError
from kcm.gram import TiledGram, landmarks
from kcm.gram import low_rank as low_rank_gram
from kcm.kernels import Constant, Gaussian, InverseMultiquadric, Laplace, Linear
from kcm.moments.clusters import group_codes
from kcm.null import (
    LeadingSpectrum,
    PearsonIII,
    WeightedChiSquare,
    asymptotic,
    certificate,
    certified,
)
from kcm.null.certificate import chaos_tail, normal_tail, pvalue_interval
from kcm.null.residual_bounds import ResidualBounds, residual_bounds
from kcm.statistic import form
from kcm.statistic.contraction import contract
from kcm.statistic.low_rank import low_rank_draws, low_rank_form, low_rank_sums

KERNELS = {"gaussian": Gaussian(), "laplace": Laplace(), "imq": InverseMultiquadric()}


def ols_moment(rng, n, d, signal=0.0):
    """Residuals of a linear fit to a quadratic truth, with their jacobian and influence."""
    x = rng.normal(size=(n, d))
    design = np.column_stack([np.ones(n), x])
    y = signal * (x[:, 0] ** 2 - 1) + rng.normal(size=n) * np.sqrt(0.5 + x[:, 0] ** 2 / 2)
    gain = design @ np.linalg.inv(design.T @ design / n)
    psi = y - design @ (gain.T @ y) / n
    scale = np.sqrt(1 - np.sum(gain * design, axis=1) / n)
    return kcm.FittedMoment(psi, x, -design, gain * psi[:, None], scale)


def made_up(rng, n, q):
    jacobian = rng.normal(size=(n, q, 3)) + 1.0
    return kcm.FittedMoment(
        rng.normal(size=(n, q)), rng.normal(size=(n, 2)), jacobian, rng.normal(size=(n, q, 3))
    )


@pytest.mark.parametrize("n", [100, 1_500])
def test_products_and_forms_are_those_of_the_factor_and_the_exact_diagonal(n, rng):
    x, v = rng.normal(size=(n, 2)), rng.normal(size=(n, 3))
    approximate = low_rank_gram.low_rank_gram(Gaussian(1.0), x, 0.05)
    factor = approximate.factor_at(np.arange(n))
    matrix = factor @ factor.T + np.diag(approximate.residual)
    exact = gram.matrix(Gaussian(1.0), x)
    np.testing.assert_allclose(np.diag(matrix), np.diag(exact), rtol=1e-12)
    assert np.linalg.eigvalsh(exact - factor @ factor.T).min() > -1e-10
    np.testing.assert_allclose(approximate.product(v), matrix @ v, atol=1e-10)
    forms = approximate.forms(v, "double")
    np.testing.assert_allclose(forms, np.einsum("ic,ij,jc->c", v, matrix, v), rtol=1e-10)
    share = np.trace(exact - factor @ factor.T) / np.trace(exact)
    assert approximate.residual_share == pytest.approx(share, abs=1e-12)
    assert share <= 0.05


@pytest.mark.parametrize("double_rows", [100, 10_000])
def test_a_refined_factor_keeps_its_columns_and_is_nystroems(double_rows, rng, monkeypatch):
    """Referee: K_nm K_mm^-1 K_mn of all landmarks, dense."""
    monkeypatch.setattr(landmarks, "DOUBLE_ROWS", double_rows)
    x, v = rng.normal(size=(1_300, 2)), rng.normal(size=(1_300, 2))
    coarse = low_rank_gram.low_rank_gram(Gaussian(1.0), x, 0.05)
    fine = low_rank_gram.refined(coarse, 0.002, 500)
    assert fine.residual_share <= 0.002 < coarse.residual_share <= 0.05
    assert fine.factor[0] is coarse.factor[0]
    assert fine.rank > coarse.rank
    rows = fine.landmarks.rows
    assert np.array_equal(rows[: coarse.rank], coarse.landmarks.rows)
    exact = gram.matrix(Gaussian(1.0), x)
    dense = exact[:, rows] @ np.linalg.solve(exact[np.ix_(rows, rows)], exact[rows])
    factor = fine.factor_at(np.arange(1_300))
    error = {100: 1e-4, 10_000: 1e-9}[double_rows]
    np.testing.assert_allclose(factor @ factor.T, dense, atol=error)
    np.testing.assert_allclose(fine.residual, 1 - np.diag(dense), atol=error)
    whole = dense + np.diag(fine.residual)
    np.testing.assert_allclose(fine.product(v), whole @ v, atol=100 * error)
    assert np.abs(exact - factor @ factor.T).max() <= fine.bound().max()


def test_a_refined_factor_is_the_one_of_the_lower_tolerance(rng):
    x = rng.normal(size=(900, 2))
    coarse = low_rank_gram.low_rank_gram(Gaussian(1.0), x, 0.05)
    again = low_rank_gram.refined(coarse, 0.002, 500)
    # all rows are candidates, so that the lower tolerance is met at once
    fine = low_rank_gram.low_rank_gram(Gaussian(1.0), x, 0.95 * 0.002)
    np.testing.assert_allclose(again.residual, fine.residual, atol=1e-10)
    moment = kcm.FittedMoment(rng.normal(size=900), x)
    laws = [
        low_rank_sums(low_rank_form(contract(moment, g, "U")), np.arange(900))
        for g in (again, fine)
    ]
    assert laws[0].squares == pytest.approx(laws[1].squares, rel=1e-8)
    assert laws[0].cubes == pytest.approx(laws[1].cubes, rel=1e-4)


@pytest.mark.parametrize("statistic", ["U", "V"])
@pytest.mark.parametrize("groups", [None, 3])
@pytest.mark.parametrize("q", [1, 2])
def test_traces_and_matrix_of_the_form_are_those_of_dense_matrices(statistic, groups, q, rng):
    moment = made_up(rng, 400, q)
    codes = group_codes(None if groups is None else np.arange(400) // groups, 400)
    approximate = low_rank_gram.low_rank_gram(Gaussian(0.7), moment.conditioning, 0.02)
    contraction = contract(moment, approximate, statistic)
    dense = form.form_matrix(contraction, codes)
    factor = approximate.factor_at(np.arange(400))
    kept = factor @ factor.T + np.diag(approximate.residual - contraction.removed)
    influence = contraction.scaled_influence
    blocks = [
        np.diag(moment.residuals[:, c]) + moment.jacobian[:, c] @ influence.T / 400
        for c in range(q)
    ]
    indicator = np.eye(codes.max() + 1)[codes]
    slow = contraction.factor * sum(a.T @ kept @ a for a in blocks)
    np.testing.assert_allclose(dense, indicator.T @ slow @ indicator, atol=1e-11)
    free = dense - np.diag(np.diag(dense))
    split = low_rank_form(contraction)
    sums = low_rank_sums(split, codes)
    unit = split.unit**2
    assert unit * sums.trace == pytest.approx(np.trace(dense), rel=1e-10, abs=1e-12)
    assert unit**2 * sums.squares == pytest.approx(np.sum(free**2), rel=1e-10)
    skewness = 8 * unit**3 * sums.cubes / (2 * np.sum(free**2)) ** 1.5
    exact = 8 * np.trace(free @ free @ free) / (2 * np.sum(free**2)) ** 1.5
    assert skewness == pytest.approx(exact, abs=1e-5)
    w = rng.normal(size=(5, len(dense)))
    drawn = np.einsum("bi,ij,bj->b", w, dense, w)
    np.testing.assert_allclose(low_rank_draws(split, codes, w), drawn, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("exact_statistic", [True, False])
@pytest.mark.parametrize("groups", [None, 5, 40])
def test_what_the_factor_leaves_out_is_within_its_bounds(exact_statistic, groups, rng):
    for q, kernel in ((1, Gaussian(1.0)), (2, Laplace(2.0)), (1, InverseMultiquadric(0.5))):
        moment = made_up(rng, 600, q)
        codes = group_codes(None if groups is None else np.arange(600) // groups, 600)
        exact = contract(moment, TiledGram(kernel, moment.conditioning), "U")
        approximate = low_rank_gram.low_rank_gram(kernel, moment.conditioning, 0.02)
        low = contract(moment, approximate, "U")
        low = dataclasses.replace(exact, gram=approximate) if exact_statistic else low
        unscaled = (None, None) if exact_statistic else (moment.residuals, moment.jacobian)
        bounds = residual_bounds(low, codes, *unscaled)
        left_out = form.form_matrix(exact, codes) - form.form_matrix(low, codes)
        assert np.linalg.norm(left_out) <= bounds.norm
        assert np.linalg.norm(left_out, 2) <= bounds.largest <= bounds.norm
        # another shift moves the diagonal and the offset
        moved = np.trace(left_out) + exact.offset - low.offset
        assert abs(moved) <= bounds.trace + 1e-12
        assert exact.statistic >= low.statistic - bounds.below - 1e-12
        assert bounds.norm < 0.1 * np.linalg.norm(form.form_matrix(exact, codes))


@pytest.mark.study
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("d", range(1, 7))
def test_the_exact_pvalue_lies_within_the_certificate_in_216_problems(name, d):
    within_the_certificate(name, d, 12)


@pytest.mark.parametrize(("name", "d"), [("gaussian", 1), ("laplace", 3), ("imq", 6)])
def test_the_exact_pvalue_lies_within_the_certificate(name, d):
    within_the_certificate(name, d, 3)


def within_the_certificate(name, d, n_replications):
    rng = np.random.default_rng(100 * d + len(name))
    for replication in range(n_replications):
        moment = ols_moment(rng, 500, d, signal=0.05 * (replication % 4))
        tolerance = (0.05, 0.01, 0.002)[replication % 3]
        test = kcm.KCMTest(KERNELS[name], method="low-rank", tolerance=tolerance)
        certificate = test.run(moment).certificate
        exact = kcm.KCMTest(KERNELS[name], method="exact").run(moment).pvalue
        low, high = certificate.pvalue_interval
        assert low <= exact <= high
        assert certificate.residual_share <= tolerance
        assert certificate.statistic_exact


@pytest.mark.parametrize("exact_statistic", [True, False])
def test_the_certificate_holds_where_the_law_comes_from_cumulants(exact_statistic, monkeypatch):
    monkeypatch.setattr(asymptotic, "MAX_EIGENVALUES", 300)
    monkeypatch.setattr(certified, "EXACT_WORK", 1e12 if exact_statistic else 0)
    rng = np.random.default_rng(3)
    widths = []
    for d in (1, 2, 4):
        for _ in range(3):
            moment = ols_moment(rng, 600, d, signal=0.05)
            exact = kcm.KCMTest(method="exact").run(moment)
            low_rank = kcm.KCMTest(method="low-rank").run(moment)
            assert isinstance(low_rank.null_distribution, LeadingSpectrum)
            low, high = low_rank.certificate.pvalue_interval
            assert low_rank.certificate.statistic_exact is exact_statistic
            assert low <= exact.pvalue <= high
            widths.append(high - low)
    assert np.median(widths) < (0.04 if exact_statistic else 0.4)


@pytest.mark.parametrize("weights", ["rademacher", "gaussian", "mammen", "webb"])
@pytest.mark.parametrize("groups", [None, np.arange(400) // 4])
def test_the_certificate_holds_for_draws(weights, groups):
    null = kcm.MultiplierBootstrap(199, weights=weights, groups=groups)
    rng = np.random.default_rng(5)
    for _ in range(2):
        moment = ols_moment(rng, 400, 2, signal=0.1)
        exact = kcm.KCMTest(null=null, method="exact").run(moment, rng=1).pvalue
        certificate = kcm.KCMTest(null=null, method="low-rank").run(moment, rng=1).certificate
        low, high = certificate.pvalue_interval
        assert low <= exact <= high


def test_tails_of_forms_in_normal_and_rademacher_variables_are_below_the_bound(rng):
    form_matrix = rng.normal(size=(6, 6))
    form_matrix = form_matrix + form_matrix.T
    form_matrix -= np.diag(np.diag(form_matrix))
    sd = np.sqrt(2 * np.sum(form_matrix**2))
    for law in (rng.normal(size=(400_000, 6)), rng.choice([-1.0, 1.0], size=(400_000, 6))):
        size = np.abs(np.einsum("bi,bi->b", law @ form_matrix, law)) / sd
        for reach in (1.0, 3.0, 6.0, 9.0):
            assert np.mean(size >= reach) <= chaos_tail(np.array([reach]))[0]


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.6, 1.0])
def test_tails_of_forms_with_small_eigenvalues_are_below_their_bound(ratio):
    """Referee: the law itself, of as many equal eigenvalues as the ratio allows, by inversion."""
    k = int(1 / ratio**2)
    law = WeightedChiSquare(np.full(k, 1.0), -float(k))
    for reach in (1.0, 2.0, 4.0, 8.0, 16.0):
        bound = normal_tail(np.array([reach]), 1 / np.sqrt(k))[0]
        exact = law.pvalue(reach * np.sqrt(2 * k))
        assert exact <= bound
        assert np.log(bound) > 1.3 * np.log(exact) - 0.7


def test_signs_have_no_heavier_tails_than_the_bound_for_them(rng):
    form_matrix = rng.normal(size=(12, 12))
    form_matrix = form_matrix + form_matrix.T
    form_matrix -= np.diag(np.diag(form_matrix))
    norm, largest = np.linalg.norm(form_matrix), np.linalg.norm(form_matrix, 2)
    bounds = ResidualBounds(norm, largest, 0.0, 0.0, True)
    signs = rng.choice([-1.0, 1.0], size=(400_000, 12))
    drawn = np.abs(np.einsum("bi,bi->b", signs @ form_matrix, signs))
    for risk in (0.1, 1e-2, 1e-3):
        assert np.mean(drawn > certificate._reach(risk, "rademacher", bounds)) <= risk


@pytest.mark.parametrize("skewness", [0.02, 0.5, 1.6, 2.7, -0.8])
@pytest.mark.parametrize("norm", [1e-3, 0.05, 0.3])
def test_no_cumulants_within_their_bounds_give_a_pvalue_outside_the_interval(skewness, norm):
    """Referee: scipy's Pearson III law of random cumulants within the bounds."""
    rng = np.random.default_rng(0)
    law, bounds = PearsonIII(0.0, np.sqrt(2), skewness), ResidualBounds(norm, norm, 0.05, 0.0, True)
    b, d, e, mean = rng.uniform(-1, 1, size=(4, 4_000))
    cubes = skewness / np.sqrt(8) + d * (3 * norm + 3 * norm**2 + norm**3)
    bounded = np.clip(np.sqrt(8) * cubes / (1 + b * norm) ** 3, -np.sqrt(8), np.sqrt(8))
    referee = stats.pearson3(bounded + 0.024 * e, 0.05 * mean, np.sqrt(2) * (1 + b * norm))
    for t in (-1.5, -0.6, 0.0, 0.9, 2.3, 4.0, 9.0):
        low, high = pvalue_interval(law, t, bounds)
        pvalues = referee.sf(t)
        assert low <= pvalues.min() + 1e-5
        assert high >= pvalues.max() - 1e-5
        # the bounds are reached: four thousand random cumulants come close to them
        assert high - low < 1.5 * np.ptp(pvalues) + 0.025


def test_a_law_of_which_nothing_is_known_has_no_certificate():
    class Unknown(kcm.null.NullDistribution):
        pvalue = critical_value = describe = None

    bounds = ResidualBounds(0.1, 0.1, 0.0, 0.0, True)
    assert pvalue_interval(Unknown(), 1.0, bounds) == (0.0, 1.0)


class Blocks(kcm.null.Null):
    """Draws with one sign for each ten rows: multipliers that depend on each other."""

    def distribution(self, contraction, rng):
        signs = np.repeat(rng.choice([-1.0, 1.0], size=(99, contraction.n_obs // 10)), 10, axis=1)
        drawn = low_rank_draws(low_rank_form(contraction), np.arange(contraction.n_obs), signs)
        return kcm.null.BootstrapDistribution(drawn, "signs of blocks")


def test_multipliers_that_may_depend_on_each_other_have_no_certificate_and_a_note(rng):
    moment = ols_moment(rng, 400, 1)
    result = kcm.KCMTest(null=Blocks(), method="low-rank").run(moment, rng=0)
    assert result.certificate.pvalue_interval == (0.0, 1.0)
    assert "is not known for this factor and law (signs of blocks" in str(result.summary())


def test_rows_in_another_order_give_the_same_low_rank_test(rng):
    moment = ols_moment(rng, 3_000, 3)
    order = rng.permutation(3_000)
    moved = kcm.FittedMoment(
        *(a[order] for a in (moment.residuals, moment.conditioning, moment.jacobian)),
        moment.influence[order],
        moment.scale[order],
    )
    one, other = (kcm.KCMTest(method="low-rank").run(m) for m in (moment, moved))
    assert other.pvalue == pytest.approx(one.pvalue, rel=1e-8)
    assert other.certificate.pvalue_interval == pytest.approx(
        one.certificate.pvalue_interval, rel=1e-6
    )


class TestAbsorbed:
    """Theta takes nearly all that the kernel sees: what is left is small beside what is summed."""

    KERNELS = (Gaussian(30.0), Gaussian(100.0), (1 + Linear()) ** 3)

    @pytest.mark.parametrize("statistic", ["U", "V"])
    @pytest.mark.parametrize("kernel", KERNELS)
    @pytest.mark.parametrize("null", [None, kcm.MultiplierBootstrap(99)])
    def test_the_pvalue_is_that_of_the_exact_test(self, kernel, statistic, null, rng):
        moment = ols_moment(rng, 2_100, 1)
        exact, low_rank = (
            kcm.KCMTest(kernel, statistic=statistic, null=null, method=method).run(moment, rng=0)
            for method in ("exact", "low-rank")
        )
        low, high = low_rank.certificate.pvalue_interval
        assert low <= exact.pvalue <= high
        assert high - low < 0.03
        assert low_rank.pvalue == pytest.approx(exact.pvalue, abs=1e-5 if null is None else 0.011)

    def test_mixed_draws_that_cancel_are_verified(self, rng):
        moment = ols_moment(rng, 300, 1)
        kernel, null = Constant(1e6) + Gaussian(0.3), kcm.MultiplierBootstrap(99)
        double, mixed = (
            kcm.KCMTest(kernel, statistic="V", null=null, precision=precision).run(moment, rng=0)
            for precision in ("double", "mixed")
        )
        assert mixed.pvalue == double.pvalue

    def test_single_precision_that_sees_only_rounding_is_refused(self, rng):
        test = kcm.KCMTest(Gaussian(100.0), precision="single")
        with pytest.raises(SaturatedModelError, match="rounding in single precision"):
            test.run(ols_moment(rng, 300, 1))


class TestMissedTolerance:
    """Rank 64 where hundreds are needed: a narrow kernel in three dimensions."""

    @staticmethod
    def run(moment, method="low-rank", null=None):
        limit = 2 * moment.n_obs * 8 * 64
        how = {"method": method} if method == "exact" else {"method": method, "memory_limit": limit}
        return kcm.KCMTest(Gaussian(0.15), null=null, **how).run(moment, rng=0)

    def test_statistic_and_law_leave_out_the_same_and_the_result_says_so(self, rng):
        result = self.run(ols_moment(rng, 4_000, 3))
        assert not result.certificate.statistic_exact
        assert result.certificate.residual_share > 0.5
        assert "more than the tolerance 0.01" in result.certificate.notes[0]
        assert "more than the tolerance" in str(result.summary())

    @pytest.mark.study
    @pytest.mark.parametrize("null", [None, kcm.MultiplierBootstrap(99)])
    def test_a_right_model_is_rejected_no_more_often_than_it_should(self, null):
        """60 samples at 5 %: more than 9 rejections have a chance of 1e-3."""
        rng = np.random.default_rng(0)
        moments = (ols_moment(rng, 2_500, 3) for _ in range(60))
        assert sum(self.run(moment, null=null).pvalue <= 0.05 for moment in moments) <= 9

    def test_the_certificate_holds(self):
        rng = np.random.default_rng(1)
        for _ in range(2):
            moment = ols_moment(rng, 2_500, 3)
            low, high = self.run(moment).certificate.pvalue_interval
            assert low <= self.run(moment, "exact").pvalue <= high

    def test_a_bound_beyond_the_law_itself_says_nothing(self):
        law = PearsonIII(mean=0.0, sd=1.0, skewness=1.0)
        assert pvalue_interval(law, 2.0, ResidualBounds(1.0, 1.0, 0.0, 0.0, True)) == (0.0, 1.0)


def test_a_kernel_too_narrow_for_a_factor_is_refused(rng):
    with pytest.raises(DataError, match=r"within reach|so narrow"):
        kcm.KCMTest(Gaussian(1e-8), method="low-rank").run(ols_moment(rng, 100, 2))


def test_rows_beside_the_candidates_do_not_hold_the_search_up(rng, monkeypatch):
    """Candidates that are nearly all equal are exhausted while other rows are not explained."""
    monkeypatch.setattr(landmarks, "MOST_CANDIDATES", 100)
    x = np.where(np.arange(3_000) < 2_700, 0.0, rng.normal(size=3_000) * 100)[:, None]
    found = low_rank_gram.low_rank_gram(Gaussian(0.1), x, 0.01)
    assert found.rank < 100
    assert found.residual_share > 0.01


class TestRoad:
    def test_small_samples_are_exact(self, rng):
        certificate = kcm.KCMTest().run(ols_moment(rng, 200, 1)).certificate
        assert (certificate.method, certificate.rank, certificate.residual_share) == (
            "exact",
            None,
            0.0,
        )

    def test_beyond_the_documented_work_the_law_is_low_rank(self, rng, monkeypatch):
        moment = ols_moment(rng, 2_500, 1)
        monkeypatch.setattr(certified, "EXACT_WORK", 2_500**2 * 100)
        result = kcm.KCMTest().run(moment)
        assert result.certificate.method == "low-rank"
        assert result.certificate.statistic_exact
        exact = kcm.KCMTest(method="exact").run(moment)
        assert result.statistic == pytest.approx(exact.statistic, rel=1e-12)
        assert "rank" in str(result.summary())
        told = result.to_dict()
        assert told["exact_pvalue_low"] <= exact.pvalue <= told["exact_pvalue_high"]

    def test_an_open_decision_is_refined(self, monkeypatch):
        moment = ols_moment(np.random.default_rng(0), 2_500, 2, signal=0.1)
        exact = kcm.KCMTest(method="exact").run(moment)
        monkeypatch.setattr(certified, "EXACT_WORK", 2_500**2 * 100)
        monkeypatch.setattr(certified, "LEVELS", (exact.pvalue,))
        certificate = kcm.KCMTest(tolerance=0.05).run(moment).certificate
        assert "tolerance lowered to 0.025" in certificate.notes[0]
        assert certificate.method == "exact"
        assert certificate.notes[-1].endswith("computed exactly")

    def test_a_decision_that_cannot_be_settled_says_so(self, monkeypatch):
        moment = ols_moment(np.random.default_rng(0), 2_500, 2, signal=0.1)
        exact = kcm.KCMTest(method="exact").run(moment)
        monkeypatch.setattr(certified, "EXACT_WORK", 2_500**2 * 100)
        monkeypatch.setattr(certified, "VERIFYING_WORK", 0)
        monkeypatch.setattr(certified, "LEVELS", (exact.pvalue,))
        result = kcm.KCMTest().run(moment)
        assert 'method="exact" settles it' in result.certificate.notes[-1]
        assert 'method="exact" settles it' in str(result.summary())

    def test_refining_draws_takes_the_same_multipliers(self, monkeypatch):
        moment = ols_moment(np.random.default_rng(0), 2_500, 2, signal=0.02)
        null = kcm.MultiplierBootstrap(199)
        once = kcm.KCMTest(null=null, method="exact").run(moment, rng=4)
        monkeypatch.setattr(certified, "EXACT_WORK", 2_500**2 * 60)
        monkeypatch.setattr(certified, "LEVELS", (once.pvalue,))
        again = kcm.KCMTest(null=null).run(moment, rng=4)
        assert again.certificate.notes
        assert again.pvalue == once.pvalue


class TestPrecision:
    @pytest.mark.parametrize("weights", ["rademacher", "mammen"])
    def test_mixed_draws_have_the_pvalue_of_double_draws(self, weights, rng):
        null = kcm.MultiplierBootstrap(399, weights=weights)
        for n in (30, 150, 700):
            moment = ols_moment(rng, n, 2)
            double, mixed = (
                kcm.KCMTest(null=null, precision=precision).run(moment, rng=2)
                for precision in ("double", "mixed")
            )
            assert mixed.pvalue == double.pvalue
            assert mixed.statistic == double.statistic
            drawn = mixed.null_distribution.draws
            np.testing.assert_allclose(drawn, double.null_distribution.draws, atol=2e-5)
            assert not np.array_equal(drawn, double.null_distribution.draws)

    @pytest.mark.parametrize("statistic", ["U", "V"])
    @pytest.mark.parametrize("groups", [None, np.arange(60) % 6])
    @pytest.mark.parametrize("stop", [None, "besag-clifford"])
    def test_draws_in_single_precision_tie_as_in_double(self, statistic, groups, stop):
        """Few multipliers, or few values: signs that are all equal give the statistic again."""
        rng = np.random.default_rng(0)
        null = kcm.MultiplierBootstrap(999, groups=groups, stop=stop)
        for _ in range(5):
            n = 6 if groups is None else 60
            moment = kcm.FittedMoment(rng.normal(size=n) + 0.5, rng.normal(size=n))
            double, single = (
                kcm.KCMTest(Gaussian(2.0), statistic, null, precision=precision).run(moment, rng=3)
                for precision in ("double", "single")
            )
            assert single.pvalue == double.pvalue > 0.02
            critical = single.null_distribution.critical_value(0.02)
            assert not single.statistic > critical

    def test_single_changes_statistic_and_pvalue_in_the_fifth_digit_at_most(self, rng):
        for n in (200, 2_200):
            moment = ols_moment(rng, n, 2)
            double, single = (
                kcm.KCMTest(precision=precision).run(moment) for precision in ("double", "single")
            )
            scale = double.null_distribution.critical_value(0.05)
            scale -= double.null_distribution.critical_value(0.5)
            assert abs(single.statistic - double.statistic) < 1e-5 * scale
            assert single.statistic != double.statistic
            assert single.pvalue == pytest.approx(double.pvalue, abs=1e-5)

    @pytest.mark.parametrize("precision", ["single", "mixed", "double"])
    @pytest.mark.parametrize("method", ["exact", "low-rank"])
    @pytest.mark.parametrize("null", [None, kcm.MultiplierBootstrap(49)])
    def test_units_do_not_matter(self, precision, method, null, rng):
        moment = ols_moment(rng, 2_200, 2)
        test = kcm.KCMTest(null=null, method=method, precision=precision)
        expected = test.run(moment, rng=0).pvalue
        for units in (1e-14, 1e12):
            theta = np.array([1.0, 1e9, 1e-9])
            other = kcm.FittedMoment(
                moment.residuals * units,
                moment.conditioning,
                moment.jacobian * units / theta,
                moment.influence * theta,
                moment.scale,
            )
            assert test.run(other, rng=0).pvalue == pytest.approx(expected, abs=2e-5)

    @pytest.mark.parametrize("null", [None, kcm.MultiplierBootstrap(99)])
    @pytest.mark.parametrize("width", [1.0, 3.0])
    def test_a_smooth_kernel_in_single_precision_agrees_with_double(self, width, null, rng):
        moment = ols_moment(rng, 700, 1)
        double, single = (
            kcm.KCMTest(Gaussian(width), null=null, **how).run(moment, rng=0)
            for how in ({"method": "exact"}, {"method": "low-rank", "precision": "single"})
        )
        assert single.pvalue == pytest.approx(double.pvalue, abs=1e-4)

    @pytest.mark.parametrize("null", [None, kcm.MultiplierBootstrap(99)])
    @pytest.mark.parametrize("method", ["exact", "low-rank"])
    @pytest.mark.parametrize("factor", [1e-60, 1e60])
    def test_kernel_values_beyond_single_precision_are_in_double(self, factor, method, null, rng):
        moment = ols_moment(rng, 300, 1)
        one, other = (
            kcm.KCMTest(kernel, null=null, method=method).run(moment, rng=0)
            for kernel in (Gaussian(1.0), factor * Gaussian(1.0))
        )
        assert other.pvalue == pytest.approx(one.pvalue, rel=1e-6)

    def test_a_factor_in_single_precision_refuses_them(self, rng):
        test = kcm.KCMTest(1e60 * Gaussian(1.0), method="low-rank", precision="single")
        with pytest.raises(OptionError, match="divide the kernel by a constant"):
            test.run(ols_moment(rng, 300, 1))

    def test_a_large_factor_in_single_precision_agrees_with_double(self, rng, monkeypatch):
        moment = ols_moment(rng, 2_600, 2)
        double = kcm.KCMTest(method="low-rank").run(moment)
        monkeypatch.setattr(landmarks, "DOUBLE_ROWS", 2_000)
        single = kcm.KCMTest(method="low-rank").run(moment)
        assert single.pvalue == pytest.approx(double.pvalue, abs=2e-5)
        assert single.certificate.residual_share == pytest.approx(
            double.certificate.residual_share, abs=1e-6
        )


def test_a_tolerance_below_rounding_is_refused(rng, monkeypatch):
    monkeypatch.setattr(landmarks, "DOUBLE_ROWS", 100)
    with pytest.raises(OptionError, match="smallest for 200 rows is 1e-05"):
        kcm.KCMTest(method="low-rank", tolerance=1e-7).run(ols_moment(rng, 200, 1))


@pytest.mark.parametrize("kernel", [Constant(0.0), 0.0 * Gaussian(1.0)])
@pytest.mark.parametrize("method", ["exact", "low-rank"])
def test_a_kernel_that_is_zero_is_refused(kernel, method, rng):
    with pytest.raises(SaturatedModelError, match="sees nothing of the residuals"):
        kcm.KCMTest(kernel, method=method).run(ols_moment(rng, 60, 1))


@pytest.mark.parametrize("method", ["exact", "low-rank"])
def test_a_kernel_that_is_not_finite_is_refused(method, rng):
    with pytest.raises(DataError, match="is not finite on these conditioning values"):
        kcm.KCMTest(1e308 * Gaussian(1.0), method=method).run(ols_moment(rng, 60, 1))


def test_a_memory_limit_bounds_the_rank_and_too_small_a_one_is_refused(rng):
    moment = ols_moment(rng, 4_000, 3)
    test = kcm.KCMTest(Gaussian(0.3), method="low-rank", memory_limit=2 * 4_000 * 8 * 64)
    certificate = test.run(moment).certificate
    assert certificate.rank <= 64
    assert certificate.residual_share > 0.01
    with pytest.raises(OptionError, match="smallest that works for a low-rank factor"):
        kcm.KCMTest(method="low-rank", memory_limit=1_500_000).run(moment)
