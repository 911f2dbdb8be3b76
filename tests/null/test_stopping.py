"""Draws that stop.

Referees: slow loops with exact fractions, all orders of a few numbers, exact enumeration of every
path, simulations of exchangeable numbers, and scipy's own binomial intervals.
"""

import itertools
import math
import pickle
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import statsmodels.formula.api as smf
from refusals import messages
from scipy import stats

import kcm
from kcm.exceptions import OptionError
from kcm.null import BootstrapDistribution, bootstrap
from kcm.null.stopping import AllDraws, BesagClifford, ConfidenceSequence, exceeds, log_evidence

STOPS = ("besag-clifford", "confidence")


def slow_besag_clifford(statistic, draws, h):
    """Number of draws and p-value, as published: h / l, else (g + 1) / (B + 1)."""
    count = 0
    for drawn, value in enumerate(draws, start=1):
        count += value >= statistic
        if count == h:
            return drawn, Fraction(h, drawn)
    return len(draws), Fraction(count + 1, len(draws) + 1)


def slow_confidence(exceeding, level, risk):
    """Return the first n with (n + 1) C(n, s) p^s (1 - p)^(n - s) <= risk, in fractions."""
    count = 0
    for n, above in enumerate(exceeding, start=1):
        count += int(above)
        likelihood = math.comb(n, count) * level**count * (1 - level) ** (n - count)
        if (n + 1) * likelihood <= risk:
            return n
    return None


def stopped(rule, draws, statistic):
    """Return the law of the draws up to the stop."""
    stop = rule.stops_at(exceeds(draws, statistic))
    return BootstrapDistribution(draws[:stop], "rademacher", rule, len(draws))


@pytest.fixture(scope="module")
def moments():
    """A model that is right, one that is a little wrong and one that is clearly wrong."""
    rng = np.random.default_rng(3)
    x, noise = rng.normal(size=(2, 100))
    return {size: kcm.FittedMoment(size * x + noise, x) for size in (0.0, 0.25, 1.0)}


def run(moment, rng=0, **options):
    return kcm.KCMTest(null=kcm.MultiplierBootstrap(**options)).run(moment, rng=rng)


class TestBesagClifford:
    @pytest.mark.parametrize("h", [1, 3, 10])
    def test_formula_is_that_of_a_slow_loop(self, h, rng):
        for numbers in rng.normal(size=(200, 60)):
            law = stopped(BesagClifford(h), numbers[1:], numbers[0])
            drawn, pvalue = slow_besag_clifford(numbers[0], numbers[1:], h)
            assert (len(law.draws), law.pvalue(numbers[0])) == (drawn, float(pvalue))

    @pytest.mark.parametrize("h", [1, 2, 3, 5])
    def test_exactly_uniform_over_all_orders_of_six_numbers(self, h):
        rule, counts = BesagClifford(h), Counter()
        for numbers in itertools.permutations(range(6)):
            draws, t = np.array(numbers[1:], dtype=float), float(numbers[0])
            counts[Fraction(stopped(rule, draws, t).pvalue(t)).limit_denominator(60)] += 1
        for value in counts:
            assert sum(c for p, c in counts.items() if p <= value) == value * math.factorial(6)

    def test_size_among_exchangeable_numbers(self):
        """20,000 replications; dependent numbers, as of draws given the same data."""
        rng, n, rule = np.random.default_rng(1991), 20_000, BesagClifford(10)
        numbers = rng.standard_normal((n, 1)) + rng.standard_normal((n, 400)) ** 3
        pvalues = np.array([stopped(rule, row[1:], row[0]).pvalue(row[0]) for row in numbers])
        for level in (10 / 399, 0.05, 0.1, 0.25, 0.5):
            rate, error = np.mean(pvalues <= level), math.sqrt(level * (1 - level) / n)
            print(f"level {level:.4f}: {rate:.4f} (standard error {error:.4f})")
            assert abs(rate - level) < 4 * error

    def test_decision_is_that_of_the_first_draws(self, rng):
        """At level a, of the first h / a - 1 draws: 199 at .05."""
        for numbers in rng.normal(size=(300, 1_000)) + 0.1 * rng.normal(size=(300, 1)):
            t = numbers[0] + 1.5
            law, first = stopped(BesagClifford(10), numbers[1:], t), numbers[1:200]
            whole = BootstrapDistribution(first, "rademacher")
            assert (law.pvalue(t) <= 0.05) == (whole.pvalue(t) <= 0.05)

    def test_with_level_times_draws_the_decision_is_that_of_all(self, rng):
        for numbers in rng.normal(size=(300, 1_000)):
            t = numbers[0] + 1.5
            law = stopped(BesagClifford(50), numbers[1:], t)
            whole = BootstrapDistribution(numbers[1:], "rademacher")
            assert (law.pvalue(t) <= 0.05) == (whole.pvalue(t) <= 0.05)

    def test_other_values_of_t_are_those_of_a_slow_loop_or_refused(self, rng):
        draws = rng.normal(size=500)
        law = stopped(BesagClifford(10), draws, 1.0)
        assert 10 < len(law.draws) < 500
        for t in (-1.0, 0.0, 0.9, 1.0):
            assert law.pvalue(t) == float(slow_besag_clifford(t, draws, 10)[1])
        for ask in (law.pvalue, law.pvalue_interval):
            with pytest.raises(OptionError, match=r"stopped after \d+ of 500 draws, and only"):
                ask(2.5)

    @pytest.mark.parametrize("level", [0.3, 0.1, 0.05, 10 / 49.5, 10 / 499.5, 0.011, 0.001])
    def test_critical_value_parts_what_a_slow_loop_rejects(self, level, rng):
        for draws in rng.normal(size=(50, 499)):
            law = BootstrapDistribution(draws, "rademacher", BesagClifford(10), 499)
            critical = law.critical_value(level)
            above = np.append(np.sort(draws), np.inf).searchsorted(critical, side="right")
            around = [*np.sort(draws)[max(above - 2, 0) : above + 1] + 1e-9]
            rejected = [slow_besag_clifford(t, draws, 10)[1] <= level for t in around]
            assert rejected == [t > critical for t in around]

    def test_critical_value_is_unknown_where_the_draws_stopped_before(self, rng):
        draws = rng.normal(size=5_000)
        law = stopped(BesagClifford(10), draws, 1.0)
        assert law.pvalue(1.0) > 0.05
        assert math.isnan(law.critical_value(0.05))
        whole = BootstrapDistribution(draws, "rademacher", BesagClifford(10), 5_000)
        assert law.critical_value(0.3) == whole.critical_value(0.3)

    @pytest.mark.parametrize("p", [0.01, 0.1, 0.3, 0.5, 0.8, 0.99])
    def test_interval_covers_by_enumeration(self, p):
        """All outcomes of h = 3 and at most 40 draws, with their probabilities."""
        h, asked, covered = 3, 40, 0.0
        binomial = stats.binom(asked, p)
        outcomes = {(h, n): stats.nbinom(h, p).pmf(n - h) for n in range(h, asked + 1)}
        outcomes |= {(count, asked): binomial.pmf(count) for count in range(h)}
        assert sum(outcomes.values()) == pytest.approx(1)
        for (count, n), chance in outcomes.items():
            exceeding = np.arange(n) >= n - count
            low, high = BesagClifford(h).interval(exceeding, asked, 0.9)
            covered += chance * (low <= p <= high)
        print(f"p = {p}: {covered:.4f}")
        assert covered >= 0.9


class TestConfidenceSequence:
    @pytest.mark.parametrize("p", [0.0, 0.02, 0.05, 0.09, 0.5, 1.0])
    def test_stop_is_that_of_a_slow_loop(self, p, rng):
        rule = ConfidenceSequence(level=0.05, risk=0.001)
        for exceeding in rng.random((5, 600)) < p:
            expected = slow_confidence(exceeding, Fraction(1, 20), Fraction(1, 1000))
            assert rule.stops_at(exceeding) == expected

    @pytest.mark.parametrize("p", [0.04, 0.0499, 0.05, 0.0501, 0.06])
    def test_wrong_side_within_the_risk_by_enumeration(self, p):
        """Every path of up to 1,000 draws, exactly, for a risk of .05."""
        n, level, risk, wrong = 1_000, 0.05, 0.05, 0.0
        alive = np.array([1.0])
        for drawn in range(1, n + 1):
            alive = np.append(alive * (1 - p), 0) + np.append(0, alive * p)
            counts = np.arange(drawn + 1)
            stops = log_evidence(counts, drawn, level) >= -math.log(risk)
            wrong_side = (counts > level * drawn) if p <= level else (counts < level * drawn)
            wrong += alive[stops & wrong_side].sum()
            alive = np.where(stops, 0.0, alive)
        print(f"p = {p}: wrong side with probability {wrong:.5f}")
        assert 0 < wrong <= risk

    def test_printed_pvalue_is_on_the_side_of_the_stop(self, rng):
        rule, sides = ConfidenceSequence(level=0.05, risk=0.001), set()
        for p in rng.random(400) ** 3:
            exceeding = rng.random(3_000) < p
            stop = rule.stops_at(exceeding)
            if stop is not None:
                low, high = rule.interval(exceeding[:stop], 3_000, 0.999)
                printed = rule.pvalue(exceeding[:stop], 3_000)
                assert low < printed
                assert (printed <= 0.05) == (high <= 0.05 + 1e-9)
                assert (printed > 0.05) == (low >= 0.05 - 1e-9)
                sides.add(printed <= 0.05)
        assert sides == {True, False}

    def test_critical_value_is_unknown_only_where_the_draws_stopped_before(self):
        rule, draws = ConfidenceSequence(0.05, 0.001), np.arange(6.0)
        assert math.isnan(BootstrapDistribution(draws, "webb", rule, 999).critical_value(0.05))
        assert BootstrapDistribution(draws, "webb", rule, 999).critical_value(0.3) == 4.0
        assert BootstrapDistribution(draws, "webb", rule, 6).critical_value(0.05) == math.inf

    @pytest.mark.parametrize(("count", "n"), [(0, 10), (10, 10), (1, 1), (3, 200), (50, 60)])
    def test_interval_is_that_of_a_fine_grid(self, count, n):
        grid = np.linspace(0, 1, 200_001)
        inside = grid[(n + 1) * stats.binom.pmf(count, n, grid) > 0.05]
        exceeding = np.arange(n) < count
        found = ConfidenceSequence(0.05, 0.001).interval(exceeding, n, 0.95)
        np.testing.assert_allclose(found, (inside[0], inside[-1]), atol=1e-5)

    def test_interval_covers_at_every_draw_at_once_by_enumeration(self):
        """Every path of up to 40 draws at p = .1, stopped as soon as the interval misses p."""
        rule, p, missed, alive = ConfidenceSequence(0.05, 0.001), 0.1, 0.0, np.array([1.0])
        for n in range(1, 41):
            alive = np.append(alive * (1 - p), 0) + np.append(0, alive * p)
            ends = [rule.interval(np.arange(n) < count, n, 0.9) for count in range(n + 1)]
            outside = np.array([not low <= p <= high for low, high in ends])
            missed += alive[outside].sum()
            alive[outside] = 0.0
        print(f"missed at some draw with probability {missed:.4f}, allowed .1")
        assert 0 < missed <= 0.1


@pytest.mark.parametrize(("count", "n"), [(0, 99), (99, 99), (1, 1), (7, 999)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_interval_of_all_draws_is_clopper_pearson_as_in_scipy(count, n, confidence):
    draws = np.where(np.arange(n) < count, 2.0, 0.0)
    law = BootstrapDistribution(draws, "rademacher")
    expected = stats.binomtest(count, n).proportion_ci(confidence, method="exact")
    np.testing.assert_allclose(law.pvalue_interval(1.0, confidence), expected, atol=1e-12)


def test_ties_do_not_depend_on_later_draws():
    draws = np.array([1.0 - 1e-15, 1.0 - 1e-6, 1e12])
    expected = [True, False, True]
    assert exceeds(draws, 1.0).tolist() == expected
    assert exceeds(draws[:2], 1.0).tolist() == expected[:2]


class TestBootstrap:
    @pytest.mark.parametrize("weights", ["rademacher", "mammen", "gaussian", "webb", "multinomial"])
    @pytest.mark.parametrize("stop", STOPS)
    @pytest.mark.parametrize("size", [0.0, 0.25])
    def test_blocks_of_any_size_stop_at_the_same_draw(
        self, moments, monkeypatch, stop, size, weights
    ):
        """The draws are the first of those without a stop, and so is what the generator gave."""
        options = {"n_resamples": 2_000, "weights": weights}
        whole = run(moments[size], **options)
        generators, laws = [], []
        for first, most in ((100, 2**25), (1, 700), (7, 1_700), (1_999, 2**25)):
            monkeypatch.setattr(bootstrap, "FIRST_BLOCK", first)
            monkeypatch.setattr(bootstrap, "BLOCK_SIZE", most)
            generators.append(np.random.default_rng(0))
            laws.append(run(moments[size], generators[-1], stop=stop, **options).null_distribution)
        n = len(laws[0].draws)
        assert 10 <= n < 2_000
        for law in laws:
            expected = whole.null_distribution.draws[:n]
            # single precision: the last digits depend on how many draws are computed together
            np.testing.assert_allclose(law.draws, expected, rtol=1e-5, atol=2e-6)
            assert law.pvalue(whole.statistic) == laws[0].pvalue(whole.statistic)
        assert len({generator.random() for generator in generators}) == 1

    @pytest.mark.parametrize("size", [0.0, 0.25, 1.0])
    def test_stops_are_those_of_slow_loops_over_all_draws(self, moments, size):
        whole = run(moments[size], n_resamples=2_000)
        draws, t = whole.null_distribution.draws, whole.statistic
        found = run(moments[size], n_resamples=2_000, stop="besag-clifford", exceedances=4)
        drawn, pvalue = slow_besag_clifford(t, draws, 4)
        assert (len(found.null_distribution.draws), found.pvalue) == (drawn, float(pvalue))
        found = run(moments[size], n_resamples=2_000, stop="confidence", level=0.1)
        drawn = slow_confidence(draws >= t, Fraction(1, 10), Fraction(1, 1000)) or 2_000
        assert len(found.null_distribution.draws) == drawn
        assert found.pvalue == (1 + np.sum(draws[:drawn] >= t)) / (1 + drawn)

    def test_clear_cases_need_few_of_99_999_draws(self, moments):
        """Both rules where the model is right; a sequence also where it is clearly wrong."""
        right = [run(moments[0.0], n_resamples=99_999, stop=stop) for stop in STOPS]
        wrong = run(moments[1.0], n_resamples=99_999, stop="confidence")
        drawn = [len(result.null_distribution.draws) for result in (*right, wrong)]
        print(f"draws: {drawn}, p-values: {[r.pvalue for r in (*right, wrong)]}")
        assert max(drawn[:2]) < 100
        assert drawn[2] == 242
        assert wrong.pvalue == 1 / 243

    @pytest.mark.parametrize("stop", STOPS)
    def test_pvalue_is_never_zero(self, moments, stop):
        result = run(moments[1.0], n_resamples=99, stop=stop)
        assert result.pvalue == 1 / 100
        assert "all 99 draws" in result.null_distribution.describe()
        low, high = result.null_distribution.pvalue_interval(result.statistic)
        assert low == 0 < result.pvalue < high

    @pytest.mark.parametrize("stop", STOPS)
    def test_clusters_by_the_name_of_a_column(self, stop):
        """The rule survives the alignment of groups. Referee: the draws without a stop."""
        data = kcm.datasets.load_cps71().assign(town=np.arange(205) // 5)
        fit = smf.ols("logwage ~ age", data=data).fit()
        options = {"n_resamples": 999, "groups": "town"}
        nulls = (kcm.MultiplierBootstrap(**options, stop=s) for s in (None, stop))
        kernel = kcm.kernels.Gaussian()
        whole, short = (kcm.specification_test(fit, kernel=kernel, null=n, rng=1) for n in nulls)
        law = short.null_distribution
        assert law.rule.name == stop
        expected = whole.null_distribution.draws[: len(law.draws)]
        np.testing.assert_allclose(law.draws, expected, rtol=1e-9)

    @pytest.mark.parametrize("stop", STOPS)
    def test_summary_and_record_show_draws_and_interval(self, moments, stop):
        result = run(moments[0.0], n_resamples=99_999, stop=stop)
        law = result.null_distribution
        text, record = " ".join(str(result.summary()).split()), result.to_dict()
        assert f"{len(law.draws)} of 99,999 draws (stopped: {stop})" in text
        assert "p-value, 95 % interval" in text
        ends = law.pvalue_interval(result.statistic)
        assert (record["pvalue_lower"], record["pvalue_upper"]) == ends
        assert ends[0] < result.pvalue < ends[1]
        assert pickle.loads(pickle.dumps(result)).to_dict() == record

    @pytest.mark.parametrize("stop", STOPS)
    def test_summary_says_which_critical_value_is_unknown(self, moments, stop):
        text = str(run(moments[0.0], stop=stop).summary(level=0.01))
        assert "unknown: the draws stopped before" in text
        assert "Not rejected" in text
        assert "nan" not in text

    def test_a_computed_law_has_no_interval(self, moments):
        result = kcm.KCMTest().run(moments[0.0])
        assert result.null_distribution.pvalue_interval(result.statistic) is None
        assert result.to_dict()["pvalue_lower"] is None
        assert "interval" not in str(result.summary())


WRONG = {
    'stop="early"': "`stop` must be one of 'besag-clifford', 'confidence'; got 'early'",
    "stop=True": "`stop` must be one of 'besag-clifford', 'confidence'; got True",
    "level=0.05": '`level` is an option of `stop="confidence"`, and here `stop` is None',
    "exceedances=10": '`exceedances` is an option of `stop="besag-clifford"`, and here `stop`',
    "resampling_risk=0.01": '`resampling_risk` is an option of `stop="confidence"`',
    'stop="besag-clifford", level=0.05': "here `stop` is 'besag-clifford'; leave `level` out",
    'stop="besag-clifford", resampling_risk=0.1': "leave `resampling_risk` out or pass",
    'stop="confidence", exceedances=10': "here `stop` is 'confidence'; leave `exceedances` out",
    'stop="besag-clifford", exceedances=0': "`exceedances` must be an int, at least 1; got 0",
    'stop="besag-clifford", exceedances=2.5': "must be an int, at least 1; got 2.5",
    'stop="besag-clifford", exceedances=True': "must be an int, at least 1; got True",
    'stop="besag-clifford", exceedances=1000': "must be at most `n_resamples`",
    'n_resamples=5, stop="besag-clifford"': "`exceedances` is 10 and `n_resamples` 5",
    'stop="confidence", level=5': "`level` must lie strictly between 0 and 1; got 5",
    'stop="confidence", level="5 %"': "`level` must lie strictly between 0 and 1; got '5 %'",
    'stop="confidence", resampling_risk=0.0': "`resampling_risk` must lie strictly between 0",
}


def test_wrong_options_are_refused_in_words():
    found = messages([f"kcm.MultiplierBootstrap({words})" for words in WRONG], "OptionError")
    assert len(found) == len(WRONG)
    assert all(text in line for text, line in zip(WRONG.values(), found, strict=True)), found


@pytest.mark.parametrize("rule", [AllDraws(), BesagClifford(1), ConfidenceSequence(0.05, 0.001)])
@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_outside_the_unit_interval_is_refused(rule, confidence):
    law = BootstrapDistribution(np.ones(3), "rademacher", rule)
    with pytest.raises(OptionError, match="`confidence` must lie strictly between 0 and 1"):
        law.pvalue_interval(0.0, confidence)
