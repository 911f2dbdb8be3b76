"""Several kernels in one test. Referees: SciPy's Cauchy law, slow loops, size checks."""

import numpy as np
import pytest
import scipy
import statsmodels.api as sm
from refusals import messages

import kcm
from kcm.exceptions import OptionError
from kcm.kernels import AitchisonAitken, Gaussian, Laplace, MedianHeuristic
from kcm.specification import members
from kcm.specification.combination import CauchyCombination


@pytest.fixture
def fit(rng):
    x = rng.normal(size=(150, 2))
    y = 1.0 + x.sum(axis=1) + 0.4 * np.sin(4 * x[:, 0]) + rng.normal(size=150)
    return sm.OLS(y, sm.add_constant(x)).fit()


def test_the_members_are_the_tests_with_five_kernels(fit):
    result = kcm.specification_test(fit, kernel="adaptive")
    median = MedianHeuristic()(fit.model.exog[:, 1:])
    gaussians = [Gaussian(multiple * median) for multiple in (0.25, 1.0, 2.0)]
    kernels = [*gaussians, Laplace(), Laplace(2 * median)]
    for one, kernel in zip(result.kernel_tests, kernels, strict=True):
        alone = kcm.specification_test(fit, kernel=kernel)
        assert one.pvalue == alone.pvalue
        assert one.statistic == alone.statistic
        assert repr(one.kernel) == repr(alone.kernel)


def test_the_pvalue_is_the_cauchy_combination(fit):
    result = kcm.specification_test(fit, kernel="adaptive")
    pvalues = np.array([one.pvalue for one in result.kernel_tests])
    combined = 0.5 - np.arctan(np.mean(np.tan((0.5 - pvalues) * np.pi))) / np.pi
    assert result.pvalue == pytest.approx(combined, rel=1e-10)
    assert result.certificate.pvalue_interval == (result.pvalue, result.pvalue)
    leading = result.kernel_tests[int(np.argmin(pvalues))]
    assert result.kernel is leading.kernel
    assert result.mmr == leading.statistic / result.n_obs


def test_the_combined_law_is_the_standard_cauchy():
    law = CauchyCombination(3)
    for t in (-30.0, 0.0, 2.0, 1e6, 1e12):
        assert law.pvalue(t) == pytest.approx(scipy.stats.cauchy.sf(t), rel=1e-12)
    for level in (1e-6, 0.05, 0.5, 0.99):
        assert law.pvalue(law.critical_value(level)) == pytest.approx(level, rel=1e-12)


def test_draws_give_the_smallest_pvalue_its_own_law(fit):
    null = kcm.MultiplierBootstrap(199)
    kernels = [Gaussian(), Laplace()]
    result = kcm.specification_test(fit, kernel=kernels, null=null, rng=3)
    values = []
    for kernel in kernels:
        alone = kcm.specification_test(fit, kernel=kernel, null=null, rng=3)
        values.append([alone.statistic, *alone.null_distribution.draws])
    values = np.array(values)
    smallest = [
        min(np.mean(row >= row[b] - 1e-9 * np.abs(row).max()) for row in values) for b in range(200)
    ]
    expected = np.mean([least <= smallest[0] + 1e-12 for least in smallest])
    assert result.pvalue == pytest.approx(expected, abs=1e-12)
    assert result.statistic == pytest.approx(-np.log10(smallest[0]))
    assert result.null_distribution.pvalue_interval(result.statistic) is not None


def test_a_list_of_one_kernel_is_that_kernel(fit):
    one, alone = (kcm.specification_test(fit, kernel=k) for k in ([Laplace()], Laplace()))
    assert one.to_dict() == alone.to_dict()


def test_the_summary_and_the_table_show_each_kernel(fit):
    result = kcm.specification_test(fit, kernel="adaptive")
    text = str(result.summary())
    assert text.count("Kernel ") >= 5
    assert text.count("(smallest p)") == 1
    assert len(result.to_dict()["kernel_tests"]) == 5
    assert len(result.to_frame()) == 1


def test_categories_keep_their_kernel_in_each_member(rng):
    import pandas as pd

    frame = pd.DataFrame({"x": rng.normal(size=90), "city": np.resize(["a", "b", "c"], 90)})
    fit = sm.OLS(rng.normal(size=90), np.ones((90, 1))).fit()
    result = kcm.specification_test(fit, conditioning=frame, kernel="adaptive")
    assert len(result.kernel_tests) == 5
    assert all("AitchisonAitken" in repr(one.kernel) for one in result.kernel_tests)
    only = kcm.specification_test(fit, conditioning=frame[["city"]], kernel="adaptive")
    assert len(only.kernel_tests) == 1
    assert isinstance(only.kernel, AitchisonAitken)


def test_low_rank_members_have_a_joint_certificate(rng):
    x = rng.normal(size=(400, 2))
    moment = kcm.FittedMoment(rng.normal(size=400), x)
    exact = kcm.KCMTest("adaptive").run(moment)
    certificate = kcm.KCMTest("adaptive", method="low-rank").run(moment).certificate
    low, high = certificate.pvalue_interval
    assert low <= exact.pvalue <= high
    assert certificate.method == "low-rank"


def test_what_is_no_kernel_is_refused():
    given = ["'gaussian'", "[]", "[kcm.kernels.Gaussian(), 'laplace']", "3", "sys.path"]
    told = messages([f"kcm.KCMTest({kernel})" for kernel in given], "OptionError")
    assert len(told) == len(given)
    assert all("`kernel` must be a kernel such as" in line for line in told)


def test_draws_that_stop_are_refused_with_several_kernels(fit):
    null = kcm.MultiplierBootstrap(999, stop="confidence")
    with pytest.raises(OptionError, match="leave `stop` out"):
        kcm.specification_test(fit, kernel="adaptive", null=null, rng=0)


def test_it_is_the_default_of_a_fitted_model(fit):
    result = kcm.specification_test(fit)
    assert result.to_dict() == kcm.specification_test(fit, kernel="adaptive").to_dict()
    drawn, same = (
        kcm.specification_test(fit, kernel=kernel, null=kcm.MultiplierBootstrap(99), rng=0)
        for kernel in (None, "adaptive")
    )
    assert drawn.to_dict() == same.to_dict()


ONE_KERNEL = {
    "draws that `stop`": {"null": kcm.MultiplierBootstrap(99, stop="besag-clifford"), "rng": 0},
    "StudentizedNormal": {"null": kcm.StudentizedNormal()},
}


@pytest.mark.parametrize("name", ONE_KERNEL)
def test_one_kernel_is_the_default_where_five_cannot_be_combined_and_a_note_says_so(fit, name):
    result = kcm.specification_test(fit, **ONE_KERNEL[name])
    alone = kcm.specification_test(fit, kernel=Gaussian(), **ONE_KERNEL[name])
    assert result.to_dict() == alone.to_dict()
    (note,) = result.certificate.notes
    assert name in note
    assert "one kernel was taken" in str(result.summary())
    assert alone.certificate.notes == ()


def test_without_numbers_there_is_one_kernel_and_no_note(rng):
    import pandas as pd

    frame = pd.DataFrame({"city": np.resize(["a", "b", "c"], 90)})
    fit = sm.OLS(rng.normal(size=90), np.ones((90, 1))).fit()
    null = kcm.MultiplierBootstrap(99, stop="besag-clifford")
    result = kcm.specification_test(fit, conditioning=frame, null=null, rng=0)
    assert result.certificate.notes == ()


class TestBeyondTheBudget:
    """A pair takes 100 products with each kernel of 150 rows, 60 products for its statistic alone.

    Referee: the exact test.
    """

    @pytest.mark.parametrize(
        ("work", "n_exact"), [(5 * 100, 5), (5 * 100 - 1, 4), (3 * 100 + 2 * 36, 3), (0, 0)]
    )
    def test_as_many_kernels_are_exact_as_the_work_allows(self, fit, work, n_exact, monkeypatch):
        expected = kcm.specification_test(fit)
        monkeypatch.setattr("kcm.null.certified.EXACT_WORK", work * 150**2)
        monkeypatch.setattr("kcm.null.certified.VERIFYING_WORK", 0)
        result = kcm.specification_test(fit)
        methods = [one.certificate.method for one in result.kernel_tests]
        assert methods.count("exact") == n_exact
        for one, alone in zip(result.kernel_tests, expected.kernel_tests, strict=True):
            assert repr(one.kernel) == repr(alone.kernel)
            assert one.pvalue == pytest.approx(alone.pvalue, abs=0.02)
        low, high = result.certificate.pvalue_interval
        assert low <= expected.pvalue <= high
        told = " ".join(result.certificate.notes)
        assert told.count(": all pairs") == n_exact % 5
        assert told.count("left out") == 5 - n_exact

    def test_the_kernels_that_need_most_rank_are_the_exact_ones(self, fit, monkeypatch):
        monkeypatch.setattr("kcm.null.certified.EXACT_WORK", (3 * 100 + 2 * 36) * 150**2)
        monkeypatch.setattr("kcm.null.certified.VERIFYING_WORK", 0)
        result = kcm.specification_test(fit)
        exact = [k for k, t in enumerate(result.kernel_tests) if t.certificate.method == "exact"]
        assert exact == [0, 3, 4]  # the narrow Gaussian and the Laplace kernels

    def test_an_open_decision_is_computed_exactly_where_the_work_allows(self, fit, monkeypatch):
        expected = kcm.specification_test(fit)
        monkeypatch.setattr("kcm.null.certified.EXACT_WORK", 0)
        monkeypatch.setattr("kcm.null.certified.LEVELS", (expected.pvalue,))
        result = kcm.specification_test(fit)
        assert result.pvalue == expected.pvalue
        assert result.certificate.method == "exact"
        assert result.certificate.notes[0].endswith("all computed exactly")
        monkeypatch.setattr("kcm.null.certified.VERIFYING_WORK", 0)
        result = kcm.specification_test(fit)
        assert 'method="exact" settles it' in str(result.summary())

    @pytest.mark.parametrize("null", [None, kcm.MultiplierBootstrap(99)])
    def test_a_kernel_of_which_the_factor_sees_nothing_is_left_out_by_name(self, null):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(1_500, 5))
        moment = kcm.FittedMoment(rng.normal(size=1_500), x)
        test = kcm.KCMTest("adaptive", null=null, method="low-rank", memory_limit=1_500 * 16 * 64)
        result = test.run(moment, rng=0)
        narrow = Gaussian(MedianHeuristic()(x) / 4)
        assert len(result.kernel_tests) == 4
        assert all(repr(one.kernel) != repr(narrow) for one in result.kernel_tests)
        (note,) = [n for n in result.certificate.notes if "is not part of this test" in n]
        assert note.startswith(f"the kernel Gaussian on x1 ({narrow.bandwidth[0]:.3g}), x2 (")
        assert "is not part of this test" in str(result.summary())
        assert "of 4 kernels" in result.null_distribution.describe() or null is not None

    def test_one_kernel_at_least_remains(self):
        shares = {0: 0.99, 1: 0.95, 2: 0.97}
        assert members._left_out(shares, 3) == {0, 2}
        assert members._left_out(shares, 4) == {0, 1, 2}

    def test_low_rank_draws_have_no_certificate_and_say_so(self, fit):
        null = kcm.MultiplierBootstrap(99)
        certificate = kcm.specification_test(fit, null=null, method="low-rank", rng=0).certificate
        assert certificate.pvalue_interval == (0.0, 1.0)
        assert any("is not known" in note for note in certificate.notes)

    def test_a_fast_sine_is_found_by_low_rank_as_by_all_pairs(self, monkeypatch):
        rng = np.random.default_rng(0)
        x = rng.uniform(0, 3, 2_500)
        fit = sm.OLS(x + 0.2 * np.sin(6 * x) + rng.normal(size=2_500), sm.add_constant(x)).fit()
        exact = kcm.specification_test(fit)
        one = kcm.specification_test(fit, kernel=Gaussian())
        monkeypatch.setattr("kcm.null.certified.EXACT_WORK", 0)
        found = kcm.specification_test(fit)
        assert found.certificate.method == "low-rank"
        assert found.pvalue < 1e-6 < 1e-3 < one.pvalue
        assert np.log(found.pvalue) == pytest.approx(np.log(exact.pvalue), rel=0.05)

    @pytest.mark.slow
    def test_the_test_is_the_same_on_both_sides_of_the_budget(self):
        """.12 sin 6x, of which one wide Gaussian sees nothing at 14,000 observations."""
        rng = np.random.default_rng(1)
        x = rng.normal(size=14_000)
        y = x + 0.12 * np.sin(6 * x) + rng.normal(size=14_000)
        found = []
        for n in (12_500, 14_000):
            fit = sm.OLS(y[:n], sm.add_constant(x[:n])).fit()
            found.append(kcm.specification_test(fit, progress=False))
        within, beyond = found
        assert within.certificate.notes == ()
        assert beyond.certificate.notes
        assert [type(t.kernel) for t in within.kernel_tests] == [
            type(t.kernel) for t in beyond.kernel_tests
        ]
        assert within.pvalue < 1e-5
        assert beyond.pvalue < 1e-5
