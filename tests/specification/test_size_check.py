"""The size check. Referees: refits of statsmodels and linearmodels, moments of families, loops."""

import json
from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from linearmodels.iv import IV2SLS

import kcm
from kcm.adapters import fitted_moment
from kcm.cli import main
from kcm.exceptions import DataError, OptionError
from kcm.gram import TiledGram
from kcm.gram.held import held_grams
from kcm.kernels import Gaussian
from kcm.moments import outcomes
from kcm.specification.size_check import SizeCheck, SizeRate, Subject, check, laws, screen
from kcm.specification.size_check.errors import error_laws, residual_errors
from kcm.specification.size_check.samples import simulated
from kcm.specification.size_check.subject import correction_of, few_rows, on_rows, with_gain
from kcm.statistic.contraction import contract
from kcm.statistic.form import form_matrix

KERNEL = Gaussian(1.0)


def skewed(rng, n):
    x = rng.lognormal(size=n)
    return sm.OLS(1 + x + x * rng.normal(size=n), sm.add_constant(x)).fit()


def with_old_scale(moment):
    scale = kcm.leverage_scale(moment.jacobian, moment.gain, correction="HC2")
    return replace(moment, scale=scale)


def subject_of(fit, codes=None):
    result = kcm.specification_test(fit, kernel=KERNEL)
    return Subject(with_gain(result.moment), (KERNEL,), result.settings, codes)


class TestSamples:
    def test_least_squares_is_refitted_exactly(self, rng):
        fit = skewed(rng, 60)
        moment, errors = fitted_moment(fit), rng.normal(size=60)
        found = simulated(moment, errors[:, None], correction_of(moment))
        again = fitted_moment(sm.OLS(fit.fittedvalues + errors, fit.model.exog).fit())
        np.testing.assert_allclose(found.residuals, again.residuals, atol=1e-10)
        np.testing.assert_allclose(found.influence, again.influence, atol=1e-8)

    def test_two_stage_least_squares_is_refitted_exactly(self, rng):
        z, h = rng.normal(size=(80, 3)), rng.normal(size=80)
        x = z.sum(axis=1) + h
        one = np.ones((80, 1))
        moment = fitted_moment(IV2SLS(1 + x + h, one, x, z).fit())
        u, v = rng.normal(size=(2, 80))
        errors = np.column_stack([u, np.zeros(80), v])
        found = simulated(moment, errors, correction_of(moment))
        first = sm.OLS(x, np.hstack([one, z])).fit().fittedvalues + v
        again = fitted_moment(IV2SLS(3 - first + u, one, first, z).fit(), z)
        for name in ("residuals", "jacobian", "gain", "influence", "scale"):
            expected = getattr(again, name)
            np.testing.assert_allclose(getattr(found, name), expected, atol=1e-8)

    def test_some_rows_are_those_of_a_fit_to_them(self, rng):
        fit = skewed(rng, 700)
        whole = subject_of(fit)
        rows = few_rows(whole, rng)
        part = on_rows(whole, rows).moment
        assert len(np.unique(rows)) == 500
        alone = fitted_moment(sm.OLS(fit.model.endog[rows], fit.model.exog[rows]).fit())
        np.testing.assert_allclose(part.gain, alone.gain, rtol=1e-8)
        np.testing.assert_allclose(part.scale, alone.scale, rtol=1e-8)

    def test_clusters_stay_whole(self, rng):
        codes = np.repeat(np.arange(30), 50)
        rows = few_rows(subject_of(skewed(rng, 1_500), codes), rng)
        assert len(rows) == 1_000
        assert set(np.bincount(codes[rows], minlength=30)) == {0, 50}

    def test_a_scale_of_the_callers_own_is_kept(self, rng):
        moment = replace(fitted_moment(skewed(rng, 60)), scale=np.full((60, 1), 2.0))
        assert correction_of(moment) is None
        assert correction_of(with_old_scale(moment)) == "HC2"


class TestErrors:
    def test_signs_are_those_of_clusters(self, rng):
        moment, codes = fitted_moment(skewed(rng, 60)), np.repeat(np.arange(20), 3)
        shown = residual_errors(moment)
        signs = error_laws(moment, shown, codes)[0].draw(rng) / shown
        assert {abs(sum(signs[codes == g, 0])) for g in range(20)} == {3.0}

    def test_normal_errors_have_the_correlation_of_the_clusters(self, rng):
        codes = np.repeat(np.arange(400), 5)
        error = rng.normal(size=400)[codes] + rng.normal(size=2_000)
        moment = kcm.FittedMoment(error, rng.normal(size=2_000))
        law = error_laws(moment, residual_errors(moment), codes)[1]
        pairs = [law.draw(rng).reshape(400, 5)[:, :2] for _ in range(20)]
        assert np.corrcoef(np.vstack(pairs).T)[0, 1] == pytest.approx(0.5, abs=0.06)

    def test_equations_keep_their_covariance(self, rng):
        psi = rng.multivariate_normal([0, 0], [[1.0, 0.8], [0.8, 2.0]], size=500)
        moment = kcm.FittedMoment(psi, rng.normal(size=500))
        law = error_laws(moment, residual_errors(moment), None)[1]
        drawn = np.vstack([law.draw(rng) for _ in range(100)])
        np.testing.assert_allclose(drawn.T @ drawn / 50_000, psi.T @ psi / 500, atol=0.05)

    def test_families_have_their_mean_and_variance(self, rng):
        mean, ones = np.full(40_000, 2.0), np.ones(40_000)
        cases = {
            outcomes.BinomialOutcomes(mean / 8, 8 * ones): 0.25 * 0.75 / 8,
            outcomes.BinomialOutcomes(mean / 8, 8 * ones).overdispersed(): 0.1875 / 8 * 2.4,
            outcomes.CountOutcomes(mean, 0 * ones): 2.0,
            outcomes.CountOutcomes(mean, 0 * ones).overdispersed(): 4.0,
            outcomes.GeneralizedPoissonOutcomes(mean, 1.3 * ones): 2 * 1.3**2,
            outcomes.GammaOutcomes(mean, 0.5 * ones): 2.0,
            outcomes.InverseGaussianOutcomes(mean, 0.1 * ones): 0.8,
        }
        for law, variance in cases.items():
            errors = law.errors(rng)
            assert abs(errors.mean()) < 5 * np.sqrt(variance / 40_000)
            assert errors.var() == pytest.approx(variance, rel=0.08)

    @pytest.mark.parametrize(
        ("family", "expected"),
        [
            (sm.families.Poisson(), ["Poisson", "negative binomial"]),
            (sm.families.Gamma(sm.families.links.Log()), ["gamma"]),
            (sm.families.Gaussian(), []),
        ],
    )
    def test_a_fit_brings_its_family(self, rng, family, expected):
        x = rng.normal(size=60)
        y = 1 + rng.poisson(np.exp(1 + 0.2 * x))
        moment = fitted_moment(sm.GLM(y, sm.add_constant(x), family=family).fit())
        names = [law.name for law in error_laws(moment, residual_errors(moment), None)]
        assert [name for name in names if "outcomes" in name] == [f"{e} outcomes" for e in expected]


class TestVerdicts:
    def test_they_are_those_of_refits(self, rng):
        fit = skewed(rng, 60)
        subject = subject_of(fit)
        moment, law = subject.moment, laws.law_used(subject, 0.5)
        grams = held_grams([KERNEL], [moment.conditioning])
        drawn = error_laws(moment, residual_errors(moment), None)[0]
        for k in range(10):
            errors = drawn.draw(rng)
            sample = simulated(moment, errors, correction_of(moment))
            seed = np.random.SeedSequence(k)
            found = laws.verdict(law, subject.settings, sample, grams, seed, 0.5)
            again = sm.OLS(fit.fittedvalues + errors[:, 0], fit.model.exog).fit()
            assert found.rejected == (kcm.specification_test(again, kernel=KERNEL).pvalue <= 0.5)

    @pytest.mark.parametrize("statistic", ["U", "V"])
    def test_scores_of_all_samples_are_those_of_their_forms(self, rng, statistic):
        moment = with_gain(fitted_moment(skewed(rng, 50)))
        (gram,) = held_grams([KERNEL], [moment.conditioning])
        drawn = error_laws(moment, residual_errors(moment), None)[2]
        samples = [simulated(moment, drawn.draw(rng), "HC4-relative") for _ in range(10)]
        loop = screen.scores_one_by_one(samples, gram, statistic)
        np.testing.assert_allclose(screen.scores(samples, gram, statistic), loop, rtol=1e-6)

    @pytest.mark.parametrize("version", [lambda moment: moment, with_old_scale])
    def test_no_sample_near_its_mean_is_rejected(self, rng, version):
        subject = subject_of(version(fitted_moment(skewed(rng, 40))))
        grams = held_grams([KERNEL], [subject.moment.conditioning])
        used, correction = laws.law_used(subject, 0.05), correction_of(subject.moment)
        drawn = error_laws(subject.moment, residual_errors(subject.moment), None)[0]
        samples = [simulated(subject.moment, drawn.draw(rng), correction) for _ in range(150)]
        possible = screen.may_reject(subject, samples, grams, 0.05)
        seed = np.random.SeedSequence(0)
        rejected = np.array(
            [laws.verdict(used, subject.settings, s, grams, seed, 0.05).rejected for s in samples]
        )
        assert 0 < possible.sum() < 75
        assert not rejected[~possible].any()
        assert rejected.any()

    def test_the_form_of_clusters_is_that_of_tiles(self, rng):
        moment, codes = fitted_moment(skewed(rng, 60)), rng.permutation(np.repeat(np.arange(20), 3))
        (held,) = held_grams([KERNEL], [moment.conditioning])
        forms = [
            form_matrix(contract(moment, gram, "U", codes), codes)
            for gram in (held, TiledGram(KERNEL, moment.conditioning))
        ]
        np.testing.assert_allclose(*forms, rtol=1e-9, atol=1e-12)


class TestRecord:
    def test_the_same_seed_gives_the_same_rates(self, rng):
        result = kcm.specification_test(skewed(rng, 40), kernel=KERNEL)
        assert result.size_check(20, rng=3).rates == result.size_check(20, rng=3).rates

    def test_it_prints_and_draws(self, rng):
        found = kcm.specification_test(skewed(rng, 40), kernel=KERNEL).size_check(20)
        assert found.sentence.startswith("On data like these a right model is rejected at 5 % in")
        assert "Size check" in str(found.summary())
        assert len(found.to_frame()) == len(found.rates) >= 5
        assert json.loads(json.dumps(found.to_dict())) == found.to_dict()
        assert len(found.plot().get_yticklabels()) == len(found.rates)

    def test_a_rate_is_a_share_with_its_error(self, rng):
        found = kcm.specification_test(skewed(rng, 40), kernel=KERNEL).size_check(20, level=0.5)
        first = found.used[0]
        assert 0.1 < first.rate < 0.9
        assert first.bse == pytest.approx(np.sqrt(first.rate * (1 - first.rate) / 20))

    @pytest.mark.parametrize(
        ("used", "other", "words"),
        [
            (0.05, 0.05, "Keep the law"),
            (0.16, 0.06, "Use null=other"),
            (0.16, 0.15, "No other law"),
            (0.0, 0.04, "null=other rejects 4 %"),
            (0.0, 0.0, "less power"),
        ],
    )
    def test_the_recommendation_follows_the_rates(self, used, other, words):
        rates = (
            SizeRate("law", "a", used, 0.005, 1_000),
            SizeRate("other law", "a", other, 0.005, 1_000, "other"),
        )
        assert words in SizeCheck(0.05, 100, rates).recommendation

    def test_clusters_are_compared_with_webb_draws(self, rng):
        codes = np.repeat(np.arange(30), 2)
        null = kcm.Asymptotic(groups=codes)
        found = kcm.specification_test(skewed(rng, 60), kernel=KERNEL, null=null).size_check(20)
        assert "Webb draws" in {rate.law for rate in found.rates}

    def test_a_part_of_the_rows_is_named(self, rng):
        found = kcm.specification_test(skewed(rng, 520), kernel=KERNEL).size_check(20)
        assert found.n_obs == 500
        assert "500 of the 520 rows" in found.notes[0]


class TestRefusals:
    def test_after_remove_data(self, rng):
        result = kcm.specification_test(skewed(rng, 40), kernel=KERNEL).remove_data()
        with pytest.raises(DataError, match="`remove_data` was called"):
            result.size_check()

    def test_theta_from_another_sample(self, rng):
        psi, x, other = rng.normal(size=(3, 40))
        one = np.ones((40, 1))
        moment = kcm.FittedMoment(psi, x, -one, influence_sample=other[:, None])
        with pytest.raises(OptionError, match="this theta is from another sample"):
            kcm.KCMTest(KERNEL).run(moment).size_check()

    def test_influence_in_total(self, rng):
        psi, x, slopes = rng.normal(size=(40, 2)), rng.normal(size=40), np.ones((40, 2, 1))
        moment = kcm.FittedMoment(psi, x, slopes, psi.sum(axis=1)[:, None])
        with pytest.raises(OptionError, match="in total for 2 components"):
            kcm.KCMTest(KERNEL).run(moment).size_check()

    @pytest.mark.parametrize(
        ("options", "words"),
        [({"n_replications": 5}, "at least 20"), ({"level": 2.0}, "strictly between 0 and 1")],
    )
    def test_options_out_of_range(self, rng, options, words):
        result = kcm.specification_test(skewed(rng, 40), kernel=KERNEL)
        with pytest.raises(OptionError, match=words):
            result.size_check(**options)


def test_the_command_prints_the_check(capsys):
    words = ("test", "logwage ~ age", "--data", "cps71", "--kernel", "gaussian", "--json")
    assert main([*words, "--size-check", "20"]) == 0
    found = json.loads(capsys.readouterr().out)["size_check"]
    assert found["level"] == 0.05
    assert {"rate", "bse", "law", "errors"} <= set(found["rates"][0])


@pytest.mark.slow
def test_the_rates_are_those_of_new_errors_of_the_design(monkeypatch):
    """Means over ten samples, beside those of the errors that the samples were drawn with."""
    monkeypatch.setattr(check, "alternatives", lambda *_: ())
    rng, test, found = np.random.default_rng(1), kcm.KCMTest(Gaussian()), {}
    fits = [skewed(rng, 100) for _ in range(10)]
    for name, version in {"HC2": with_old_scale, "default": lambda moment: moment}.items():
        results = [test.run(version(fitted_moment(fit))) for fit in fits]
        rates = [[rate.rate for rate in result.size_check(60).used] for result in results]
        truth = [rate_of_design(result, np.random.default_rng(2)) for result in results]
        found[name] = np.mean(truth), *np.mean(rates, axis=0)
        print(name, "truth, residuals, equal, growing:", np.round(found[name], 3))
    truth, shown, _, growing = found["HC2"]
    assert truth > 0.12
    # the difference of two means of 600 samples has a standard error of .02
    assert abs(shown - truth) < 0.05 + 0.04
    assert abs(growing - truth) < 0.05 + 0.04
    truth, *rates = found["default"]
    assert 0.02 < truth < 0.07
    assert max(abs(rate - truth) for rate in rates) < 0.04


def rate_of_design(result, rng):
    """Return the rate for y = 1 + x + x z with these x, fitted exactly."""
    moment, x = result.moment, result.moment.conditioning
    subject = Subject(moment, (result.kernel,), result.settings, None)
    grams, used = held_grams([result.kernel], [x]), laws.law_used(subject, 0.05)
    samples = [simulated(moment, x * rng.normal(size=(100, 1)), None) for _ in range(60)]
    seed = np.random.SeedSequence(0)
    verdicts = [laws.verdict(used, subject.settings, s, grams, seed, 0.05) for s in samples]
    return np.mean([one.rejected for one in verdicts])
