"""Several kernels in one test. Referees: SciPy's Cauchy law, slow loops, size checks."""

import numpy as np
import pytest
import scipy
import statsmodels.api as sm
from refusals import messages

import kcm
from kcm.combination import CauchyCombination
from kcm.exceptions import OptionError
from kcm.kernels import AitchisonAitken, Gaussian, Laplace, MedianHeuristic


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
    "draws that stop": {"null": kcm.MultiplierBootstrap(99, stop="besag-clifford"), "rng": 0},
    "a law of narrow kernels": {"null": kcm.StudentizedNormal()},
    "a factor": {"method": "low-rank"},
}


@pytest.mark.parametrize("options", ONE_KERNEL.values(), ids=ONE_KERNEL.keys())
def test_one_kernel_is_the_default_where_five_cannot_be_had(fit, options):
    result = kcm.specification_test(fit, **options)
    alone = kcm.specification_test(fit, kernel=Gaussian(), **options)
    assert result.to_dict() == alone.to_dict()


def test_one_kernel_is_the_default_where_five_take_too_long(fit, monkeypatch):
    """A pair takes 100 products with each kernel: value, statistic and jacobian, law."""
    for work, n_kernels in ((5 * 100 * 150**2, 5), (5 * 100 * 150**2 - 1, 1)):
        monkeypatch.setattr("kcm.computation.EXACT_WORK", work)
        assert len(kcm.specification_test(fit).kernel_tests) == n_kernels
