"""The result record, its null laws and its refusals."""

import dataclasses
import json
import math
import pickle

import jax
import numpy as np
import pytest
from refusals import messages
from scipy import stats

import kcm
from kcm.exceptions import DataError, OptionError
from kcm.gram import TiledGram
from kcm.kernels import Gaussian, Kernel
from kcm.null import BootstrapDistribution, PearsonIII, asymptotic
from kcm.null.multipliers import MULTIPLIERS
from kcm.reporting.tables import Summary
from kcm.statistic import form
from kcm.statistic.contraction import contract

NULLS = {
    "asymptotic": kcm.Asymptotic(),
    "cumulants": kcm.Asymptotic(method="cumulants"),
    "bootstrap": kcm.MultiplierBootstrap(99),
}
everywhere = pytest.mark.parametrize("null", NULLS.values(), ids=NULLS.keys())


@pytest.fixture
def moment(rng):
    x = rng.normal(size=80)
    return kcm.FittedMoment(0.3 * x**2 + rng.normal(size=80), x)


@everywhere
def test_pickles_without_device_arrays(moment, null):
    result = kcm.KCMTest(null=null).run(moment, rng=0)
    copy = pickle.loads(pickle.dumps(result))
    assert copy.to_dict() == result.to_dict()
    assert copy.null_distribution.pvalue(0.0) == result.null_distribution.pvalue(0.0)
    fields = [getattr(result, f.name) for f in dataclasses.fields(result)]
    assert not any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(fields))


@everywhere
def test_pvalue_and_critical_value_agree_with_the_law(moment, null):
    result = kcm.KCMTest(null=null).run(moment, rng=0)
    law = result.null_distribution
    assert result.pvalue == law.pvalue(result.statistic)
    for level in (0.1, 0.05, 0.02):
        critical = law.critical_value(level)
        assert law.pvalue(critical + 1e-7 * abs(critical)) <= level + 1e-6
        assert (result.pvalue <= level) == (result.statistic > critical)


def test_mmr_is_the_statistic_over_n(moment):
    result = kcm.KCMTest().run(moment)
    assert result.mmr == pytest.approx(result.statistic / 80)


def test_plain_numbers_and_words(moment):
    result = kcm.KCMTest().run(moment)
    assert json.loads(json.dumps(result.to_dict())) == result.to_dict()
    frame = result.to_frame()
    assert frame.shape == (1, 20)
    assert frame.loc[0, "pvalue"] == result.pvalue
    assert "\n" not in repr(result)
    assert "0x" not in repr(result)


def test_summary_in_text_html_and_latex(moment):
    result = kcm.KCMTest().run(moment)
    summary = result.summary(level=0.01)
    assert "E[psi | x1] = 0" in str(summary)
    assert "Critical value (0.01)" in str(summary)
    assert summary.as_html().count("<tr>") == len(summary.rows)
    assert result._repr_html_() == result.summary().as_html()
    assert r"E[psi \textbar{} x1]" in summary.as_latex()


def test_special_characters_are_escaped():
    summary = Summary("a_b", (("x<y", "5 % & {1}"),))
    assert "x&lt;y" in summary.as_html()
    assert r"a\_b" in summary.as_latex()
    assert r"5 \% \& \{1\}" in summary.as_latex()


@pytest.mark.parametrize("pvalue", [0.2, 1e-9])
def test_the_verdict_follows_the_pvalue(moment, pvalue):
    result = dataclasses.replace(kcm.KCMTest().run(moment), pvalue=pvalue)
    assert ("Not rejected" in str(result.summary())) == (pvalue > 0.05)


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, float("nan")])
def test_a_level_outside_the_unit_interval_is_refused(moment, level):
    result = kcm.KCMTest().run(moment)
    with pytest.raises(OptionError, match="`level` must lie strictly between 0 and 1"):
        result.summary(level)


def test_bootstrap_pvalue_is_that_of_a_slow_loop_and_never_zero(rng):
    draws = rng.normal(size=199)
    law = BootstrapDistribution(draws, "rademacher")
    for t in (-1.0, 0.3, draws.max()):
        assert law.pvalue(t) == (1 + sum(d >= t for d in draws)) / 200
    assert law.pvalue(1e9) == 1 / 200
    assert law.critical_value(0.001) == math.inf


def test_draws_equal_to_the_statistic_up_to_rounding_count(rng):
    draws = np.array([1.0, 1.0 - 1e-15, 0.5])
    assert BootstrapDistribution(draws, "rademacher").pvalue(1.0) == 3 / 4


@pytest.mark.parametrize("skewness", [-1.5, -0.02, 0.0, 1e-6, 0.01, 0.8, 3.0])
def test_pearson_is_that_of_scipy(skewness):
    referee = stats.pearson3(skewness, loc=2.0, scale=3.0)
    law = PearsonIII(mean=2.0, sd=3.0, skewness=skewness)
    t = np.linspace(-10, 16, 27)
    np.testing.assert_allclose([law.pvalue(value) for value in t], referee.sf(t), rtol=1e-8)
    for level in (0.5, 0.05, 1e-4):
        assert law.critical_value(level) == pytest.approx(referee.isf(level), rel=1e-6)
        assert law.pvalue(law.critical_value(level)) == pytest.approx(level, rel=1e-8)


@pytest.mark.parametrize("name", MULTIPLIERS)
def test_multipliers_have_mean_zero_and_variance_one(name, rng):
    draws = MULTIPLIERS[name](rng, 2_000, 100)
    assert draws.shape == (2_000, 100)
    assert abs(draws.mean()) < 5 / np.sqrt(draws.size)
    variance = {"multinomial": 1 - 1 / 100}.get(name, 1.0)
    assert draws.var() == pytest.approx(variance, abs=0.03)
    third = {"mammen": 1.0, "multinomial": 0.97}.get(name, 0.0)
    assert (draws**3).mean() == pytest.approx(third, abs=0.1)


WRONG = {
    'kcm.KCMTest(statistic="W")': "`statistic` must be one of 'U', 'V'; got 'W'",
    'kcm.KCMTest(kernel="gaussian")': "`kernel` must be a kernel such as",
    'kcm.KCMTest(null="bootstrap")': "`null` must be kcm.Asymptotic()",
    'kcm.KCMTest().run("fit")': "call kcm.specification_test(fit)",
    'kcm.Asymptotic(method="exact")': "`method` must be one of 'auto'",
    'kcm.MultiplierBootstrap(weights="normal")': "`weights` must be one of 'rademacher'",
    "kcm.MultiplierBootstrap(0)": "must be at least 1 and at most 1,000,000,000; got 0",
    "kcm.MultiplierBootstrap(9.5)": "`n_resamples` must be an int; got 9.5",
    "kcm.MultiplierBootstrap(True)": "`n_resamples` must be an int; got True",
}


def test_wrong_options_are_refused_in_words():
    found = messages(WRONG, "OptionError")
    assert len(found) == len(WRONG)
    assert all(text in line for text, line in zip(WRONG.values(), found, strict=True)), found


def test_multinomial_weights_need_a_known_theta(rng):
    x, psi = rng.normal(size=(2, 30))
    estimated = kcm.FittedMoment(psi, x, x, x * psi)
    null = kcm.MultiplierBootstrap(weights="multinomial")
    with pytest.raises(OptionError, match="valid only when theta is known"):
        kcm.KCMTest(null=null).run(estimated)


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        (np.arange(79), DataError, r"expected one label per observation, \(80,\)"),
        (np.zeros(80), DataError, "1 clusters; the null law needs at least 3"),
        (np.array([None] + ["a"] * 79, dtype=object), DataError, "missing labels"),
        ("town", OptionError, "a FittedMoment has no columns"),
    ],
)
@pytest.mark.parametrize("make", [kcm.Asymptotic, kcm.MultiplierBootstrap])
def test_wrong_groups_are_refused_in_words(moment, make, groups, error, message):
    with pytest.raises(error, match=message):
        kcm.KCMTest(null=make(groups=groups)).run(moment)


def test_groups_of_one_are_no_groups(moment):
    labels = np.array([f"town {i}" for i in range(80)])
    alone = kcm.KCMTest(null=kcm.Asymptotic(groups=labels)).run(moment)
    assert alone.pvalue == pytest.approx(kcm.KCMTest().run(moment).pvalue, rel=1e-9)


def test_a_whole_cluster_moves_with_one_multiplier(moment, rng):
    groups = np.repeat(np.arange(16), 5)
    null = kcm.MultiplierBootstrap(50, groups=groups)
    draws = kcm.KCMTest(null=null, kernel=Gaussian(1.0)).run(moment, rng=4).null_distribution.draws
    w = MULTIPLIERS["rademacher"](np.random.default_rng(4), 50, 16)[:, groups]
    slow = [
        kcm.KCMTest(kernel=Gaussian(1.0))
        .run(kcm.FittedMoment(signs * moment.residuals[:, 0], moment.conditioning))
        .statistic
        for signs in w
    ]
    np.testing.assert_allclose(draws, slow, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("statistic", ["U", "V"])
def test_a_model_saturated_in_the_conditioning_variable_is_refused(statistic, rng):
    cell = np.repeat(np.arange(8.0), 10)
    y = rng.normal(size=80)
    means = np.bincount(cell.astype(int), y)[cell.astype(int)] / 10
    saturated = kcm.FittedMoment(y - means, cell)
    with pytest.raises(DataError, match="saturated in the conditioning variables"):
        kcm.KCMTest(statistic=statistic).run(saturated)


NULLS = [
    kcm.Asymptotic(),
    kcm.Asymptotic(method="cumulants"),
    kcm.MultiplierBootstrap(99),
    kcm.StudentizedNormal(),
]


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("kernel", [Gaussian(1e-9), 0.0 * Gaussian(1.0) + 1e-9 * Gaussian(1e-9)])
def test_a_kernel_that_connects_no_pair_is_refused(moment, kernel, null):
    with pytest.raises(DataError, match="no pair of observations is within reach"):
        kcm.KCMTest(kernel, null=null, precision="double").run(moment, rng=0)


def test_a_very_narrow_kernel_gives_a_statistic_of_zero(moment):
    tiles = TiledGram(Gaussian(1e-9), moment.conditioning)
    assert abs(contract(moment, tiles, "U").statistic) < 1e-15


def test_one_far_point_does_not_spoil_the_others(rng):
    x = rng.normal(size=80)
    psi = rng.normal(size=80) * (np.arange(80) > 0)
    far = np.where(np.arange(80) > 0, x, 1e10)
    results = [kcm.KCMTest(Gaussian(1.0)).run(kcm.FittedMoment(psi, c)) for c in (x, far)]
    assert results[1].statistic == pytest.approx(results[0].statistic, rel=1e-9)


def test_few_clusters_are_warned_about(moment):
    null = kcm.Asymptotic(groups=np.arange(80) // 8)
    with pytest.warns(kcm.FewClustersWarning, match="10 clusters rejects too often"):
        kcm.KCMTest(null=null).run(moment)


def test_more_eigenvalues_than_memory_holds_are_refused(moment, monkeypatch):
    monkeypatch.setattr(asymptotic, "MOST_EIGENVALUES", 50)
    with pytest.raises(OptionError, match="holds a matrix of 80 x 80"):
        kcm.KCMTest(null=kcm.Asymptotic(method="eigenvalues")).run(moment)


def test_clusters_too_large_for_the_tiles_are_refused(moment, monkeypatch):
    monkeypatch.setattr(asymptotic, "MAX_EIGENVALUES", 20)
    monkeypatch.setattr(form, "MAX_CLUSTER", 10)
    groups = np.maximum(np.arange(80) - 20, 0)
    with pytest.raises(OptionError, match="use MultiplierBootstrap"):
        kcm.KCMTest(null=kcm.Asymptotic(groups=groups)).run(moment)


def test_residuals_of_zero_are_refused(moment):
    with pytest.raises(DataError, match="all `residuals` are zero"):
        kcm.KCMTest().run(kcm.FittedMoment(np.zeros(80), moment.conditioning))


@pytest.mark.parametrize("size", [1e160, 1e200])
def test_residuals_too_large_to_be_squared_are_refused(moment, size):
    large = np.where(np.arange(80) == 3, size, moment.residuals[:, 0])
    with pytest.raises(DataError, match="too large to be squared"):
        kcm.KCMTest().run(kcm.FittedMoment(large, moment.conditioning))


def test_a_kernel_that_is_not_finite_is_refused(moment):
    class Broken(Kernel):
        def __call__(self, x, y):
            return jax.numpy.log(-jax.numpy.sum((x - y) ** 2))

    with pytest.raises(DataError, match="is not finite on these conditioning values"):
        kcm.KCMTest(kernel=Broken()).run(moment)
