"""One kernel chosen of several. Referees: R SpeTestNP, a slow loop, the kernels alone, size."""

import math

import numpy as np
import pytest
import scipy
import statsmodels.api as sm
from refusals import messages

import kcm
from kcm.adapters import fitted_moment
from kcm.exceptions import DataError, OptionError
from kcm.kernels import Gaussian, SmoothICM, single_directions
from kcm.null import BootstrapDistribution, NullDistribution
from kcm.null.normal import NormalLaw
from kcm.specification.combination.penalized_maximum import UnionBound, _by_draws

PREFERRED = np.array([1.0, 0.5, 0.0])


@pytest.fixture
def moment(rng):
    """A departure along the last column, to which the preferred direction is orthogonal."""
    x = rng.normal(size=(150, 3))
    y = x.sum(axis=1) + np.sin(3 * x[:, 2]) + rng.normal(size=150)
    return fitted_moment(sm.OLS(y, sm.add_constant(x)).fit())


def standardised(one):
    law = one.null_distribution
    return (one.statistic - law.mean) / math.sqrt(law.variance)


@pytest.mark.parametrize("penalty", [0.0, 2.0, None, 1e6])
def test_the_statistic_is_the_penalised_maximum(moment, penalty):
    kernels = single_directions(PREFERRED, n_directions=6)
    results = [kcm.KCMTest(kernel).run(moment) for kernel in kernels]
    paid = math.sqrt(2 * math.log(150)) if penalty is None else penalty
    scores = [standardised(one) - paid * (k > 0) for k, one in enumerate(results)]
    found = kcm.KCMTest(kcm.PenalizedMaximum(kernels, penalty)).run(moment)
    leading = int(np.argmax(scores))
    assert (leading == 0) == (penalty == 1e6)
    assert found.statistic == pytest.approx(scores[leading], rel=1e-12)
    assert repr(found.kernel) == repr(results[leading].kernel)
    assert found.mmr == results[leading].mmr
    assert found.certificate.pvalue_interval == (found.pvalue, found.pvalue)


def test_the_pvalue_is_the_sum_of_tails(moment):
    kernels = single_directions(PREFERRED, n_directions=4)
    found = kcm.KCMTest(kcm.PenalizedMaximum(kernels, 2.0)).run(moment)
    tails = 0.0
    for k, kernel in enumerate(kernels):
        law = kcm.KCMTest(kernel).run(moment).null_distribution
        least = law.mean + math.sqrt(law.variance) * (found.statistic + 2.0 * (k > 0))
        tails += law.pvalue(least)
    assert found.pvalue == pytest.approx(tails, rel=1e-10)
    assert 0 < found.pvalue < 0.05


def test_an_infinitely_dear_choice_is_the_preferred_kernel(moment):
    kernels = single_directions(PREFERRED)
    found = kcm.KCMTest(kcm.PenalizedMaximum(kernels, 1e9)).run(moment)
    assert found.pvalue == pytest.approx(kcm.KCMTest(kernels[0]).run(moment).pvalue, rel=1e-12)


def test_the_bound_of_normal_laws():
    """Referee: the normal law of SciPy."""
    bound = UnionBound([NormalLaw(0.0, 1.0), NormalLaw(5.0, 2.0), NormalLaw(-1.0, 0.1)], 1.5)
    for t in (-3.0, 0.0, 1.0, 4.0, 9.0):
        expected = scipy.stats.norm.sf(t) + 2 * scipy.stats.norm.sf(t + 1.5)
        assert bound.pvalue(t) == pytest.approx(min(1, expected), rel=1e-10)
    for level in (1e-300, 1e-12, 0.001, 0.05, 0.5, 0.999):
        assert bound.pvalue(bound.critical_value(level)) == pytest.approx(level, rel=1e-8)
    dear = UnionBound([NormalLaw(0.0, 1.0)] * 21, 1e9)
    assert dear.critical_value(0.05) == pytest.approx(scipy.stats.norm.isf(0.05), rel=1e-10)
    with pytest.raises(DataError, match="`t` must be a number"):
        bound.pvalue(math.nan)
    with pytest.raises(OptionError, match="strictly between 0 and 1"):
        bound.critical_value(1.0)


def test_draws_repeat_the_choice(moment):
    null, kernels = kcm.MultiplierBootstrap(199), single_directions(PREFERRED, n_directions=5)
    found = kcm.KCMTest(kcm.PenalizedMaximum(kernels, 1.0), null=null).run(moment, rng=3)
    rows = []
    for k, kernel in enumerate(kernels):
        alone = kcm.KCMTest(kernel, null=null).run(moment, rng=3)
        draws = alone.null_distribution.draws
        values = np.array([alone.statistic, *draws])
        rows.append((values - values.mean()) / values.std() - 1.0 * (k > 0))
    statistic, *maxima = np.max(rows, axis=0)
    assert found.statistic == pytest.approx(statistic, rel=1e-10)
    assert found.pvalue == (1 + np.sum(np.array(maxima) >= statistic)) / 200


def test_few_draws_hold_the_level(rng):
    """Referee: 2,000 samples of 22 independent kernels; the standard error of .05 is .005."""
    rejected = 0
    for _ in range(2_000):
        values = rng.chisquare(1, size=(22, 20))
        drawn = [BootstrapDistribution(row[1:], "rademacher") for row in values]
        scores, law = _by_draws(values[:, 0], drawn, 1.0)
        rejected += law.pvalue(float(scores.max())) <= 0.05
    assert rejected / 2_000 <= 0.065


@pytest.mark.parametrize("statistic", ["U", "V"])
@pytest.mark.parametrize(
    "null",
    [
        None,
        kcm.Asymptotic(method="cumulants"),
        kcm.MultiplierBootstrap(99),
        kcm.MultiplierBootstrap(1),
    ],
)
def test_a_kernel_that_sees_no_pair_is_refused(statistic, null, rng):
    moment = kcm.FittedMoment(rng.normal(size=60), rng.normal(size=(60, 2)))
    tiny = SmoothICM(1e-9, [1.0, 0.0], "triangular")
    for kernel in (tiny, kcm.PenalizedMaximum([Gaussian(1.0), tiny])):
        if statistic == "U" and null is not None and getattr(null, "n_resamples", 99) == 1:
            continue  # one draw says nothing of its spread
        if kernel is tiny and getattr(null, "n_resamples", 99) == 1:
            continue
        with pytest.raises(DataError, match="no pair of observations is within reach"):
            kcm.KCMTest(kernel, statistic, null).run(moment, rng=0)


# The direction that R SpeTestNP 1.1.0 chooses (type "pala") ---------------------------------------


@pytest.mark.parametrize("kernel", ["normal", "triangle", "logistic"])
def test_the_direction_of_spetestnp(reference, kernel):
    """They take the largest absolute value of T, which is that of T where it is positive.

    Without a penalty, as in theirs, whose preferred direction is never among those drawn.
    """
    frame = reference("spetestnp/quad_k3.csv")
    x, psi = frame.filter(regex="^x").to_numpy(), frame.resid.to_numpy()
    rows = reference("spetestnp/statistics.csv").query("type == 'pala' and dataset == 'quad_k3'")
    (row,) = rows.query("ker == @kernel and norma == 'naive' and knorm == 'sq'").itertuples()
    height = {"normal": 1 / (2 * np.sqrt(np.pi)), "triangle": 2 / 3 / np.sqrt(6)}
    width = row.cch * height.get(kernel, np.sqrt(2) / 4) * x.std(axis=0, ddof=1)
    shape = {"normal": "gaussian", "triangle": "triangular", "logistic": "laplace"}[kernel]
    directions = reference("spetestnp/directions_k3.csv").to_numpy()
    kernels = [SmoothICM(width, b, shape) for b in directions]
    test = kcm.KCMTest(kcm.PenalizedMaximum(kernels, 0.0), null=kcm.StudentizedNormal())
    assert test.run(kcm.FittedMoment(psi, x)).statistic == pytest.approx(row.stat, rel=1e-10)


# Surroundings -------------------------------------------------------------------------------------


def test_directions():
    kernels = single_directions([3.0, 0.0, 4.0], n_directions=3, seed=2, shape="laplace")
    np.testing.assert_allclose(kernels[0].directions, [[0.6, 0.0, 0.8]])
    drawn = SmoothICM(n_directions=3, seed=2).resolve(np.eye(3)).directions
    np.testing.assert_array_equal(np.vstack([k.directions for k in kernels[1:]]), drawn)
    assert {k.shape for k in kernels} == {"laplace"}
    assert len(single_directions([2.0])) == 1
    for large in (1e308, 1e-300):
        assert single_directions([large, large])[0].directions[0, 0] == pytest.approx(0.5**0.5)
    assert len(single_directions(np.ones(5))) == 1 + 40
    assert repr(single_directions([0.0, -2.0], bandwidth=0.5)[0]) == (
        "SmoothICM(bandwidth=0.5, directions=[0, -1], shape='gaussian')"
    )


def test_the_summary_says_which_kernel_was_chosen(moment):
    kernels = single_directions(PREFERRED, n_directions=3)
    result = kcm.KCMTest(kcm.PenalizedMaximum(kernels)).run(moment)
    text = str(result.summary())
    assert text.count("(chosen)") == 1
    assert "penalised maximum, in sd" in text
    assert "union bound over 4 kernels, penalty 3.17" in text
    result.plot_null().figure.clear()
    assert repr(result.embedding.kernel) == repr(result.kernel)


def test_it_is_a_value(moment):
    given = single_directions(PREFERRED, n_directions=2)
    kernel = kcm.PenalizedMaximum(given, 2.5)
    given.clear()
    assert len(kernel.kernels) == 3
    twice = kcm.KCMTest(kcm.PenalizedMaximum([Gaussian(1.0)] * 2)).run(moment)
    assert str(twice.summary()).count("(chosen)") == 1


def test_a_fit_takes_it(rng):
    x = rng.normal(size=(80, 2))
    fit = sm.OLS(x.sum(axis=1) + rng.normal(size=80), sm.add_constant(x)).fit()
    bandwidths = kcm.PenalizedMaximum([Gaussian(scale) for scale in (4.0, 1.0, 0.25)])
    result = kcm.specification_test(fit, kernel=bandwidths)
    assert len(result.kernel_tests) == 3
    assert result.pvalue >= result.kernel_tests[0].pvalue


def test_a_low_rank_choice_has_no_bound(rng):
    moment = kcm.FittedMoment(rng.normal(size=300), rng.normal(size=(300, 2)))
    kernel = kcm.PenalizedMaximum([Gaussian(2.0), Gaussian(1.0)])
    exact = kcm.KCMTest(kernel).run(moment)
    result = kcm.KCMTest(kernel, method="low-rank", tolerance=1e-6).run(moment)
    assert result.certificate.method == "low-rank"
    assert result.certificate.pvalue_interval == (0.0, 1.0)
    assert result.pvalue == pytest.approx(exact.pvalue, rel=0.05)


class UntoldLaw(NullDistribution):
    def pvalue(self, t):
        return 0.5

    def critical_value(self, level):
        return 0.0

    def describe(self):
        return "untold"


class Untold(kcm.null.Null):
    def distribution(self, contraction, rng):
        return UntoldLaw()


def test_a_law_without_moments_is_refused(moment):
    kernels = kcm.PenalizedMaximum(single_directions(PREFERRED))
    with pytest.raises(OptionError, match="a law of the type UntoldLaw does not tell"):
        kcm.KCMTest(kernels, null=Untold()).run(moment)


def test_draws_that_stop_are_refused(moment):
    null = kcm.MultiplierBootstrap(999, stop="confidence")
    kernels = kcm.PenalizedMaximum(single_directions(PREFERRED))
    with pytest.raises(OptionError, match="leave `stop` out"):
        kcm.KCMTest(kernels, null=null).run(moment, rng=0)


def test_what_cannot_be_chosen_from_is_refused():
    given = {
        "kcm.PenalizedMaximum([])": "kcm.kernels.single_directions([1.0, 0.0]); got a list.",
        "kcm.PenalizedMaximum(kcm.kernels.Gaussian())": "`kernels` must be a list of kernels",
        "kcm.PenalizedMaximum(['adaptive'])": "got a list of str.",
        "kcm.PenalizedMaximum(kcm.PenalizedMaximum([kcm.kernels.Gaussian()]))": "got a Penal",
        "kcm.PenalizedMaximum([kcm.kernels.Gaussian()], -1.0)": "`penalty` must be a finite number",
        "kcm.PenalizedMaximum([kcm.kernels.Gaussian()], True)": "`penalty` must be a finite number",
        "kcm.PenalizedMaximum([kcm.kernels.Gaussian()], float('inf'))": "`penalty` must be a",
        "kcm.kernels.single_directions(1.0)": "`preferred` must be one direction",
        "kcm.kernels.single_directions([[1.0]])": "`preferred` must be one direction",
        "kcm.kernels.single_directions([])": "`preferred` must be one direction",
        "kcm.kernels.single_directions([0.0, 0.0])": "`preferred` must be one or",
        "kcm.PenalizedMaximum([kcm.kernels.Gaussian()], 10**400)": "`penalty` must be a",
        "kcm.PenalizedMaximum([kcm.kernels.Gaussian()], float('nan'))": "`penalty` must be a",
        "kcm.kernels.single_directions([1.0, 0.0], n_directions=0)": "`n_directions` must be",
        "kcm.kernels.single_directions([1.0, 0.0], seed=-1)": "`seed` must be",
    }
    told = messages(list(given), "OptionError")
    assert len(told) == len(given)
    for line, expected in zip(told, given.values(), strict=True):
        assert expected in line
