"""The conditional moment embedding: norm, witness, band, distance, contributions.

Referees: dense loops over the definitions, refits that leave observations out, statsmodels for
Holm's rule.
"""

import pickle

import dense_law
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from hypothesis import given
from hypothesis import strategies as st
from linearmodels.iv import IV2SLS
from refusals import messages
from statsmodels.stats.multitest import multipletests

import kcm
from kcm.adapters import fitted_moment
from kcm.embedding import ConditionalMomentEmbedding, NormEstimate
from kcm.exceptions import DataError, OptionError
from kcm.kernels import Energy, Gaussian, Linear
from kcm.moments import (
    combined_moment,
    marginal_moment,
    scaled_influence,
    scaled_moment,
    scaled_residuals,
)
from kcm.null.multipliers import rademacher

N = 120
GRID = np.linspace(-1.5, 1.5, 7)


def regression(rng, n=N, d=1):
    x = rng.normal(size=(n, d))
    y = 1 + x.sum(axis=1) + 0.5 * (x[:, 0] ** 2 - 1) + rng.normal(size=n)
    return x, y, sm.OLS(y, sm.add_constant(x)).fit()


@pytest.fixture(scope="module")
def moment():
    return fitted_moment(regression(np.random.default_rng(1))[2])


@pytest.fixture(scope="module")
def system():
    """Two equations with three parameters each, the influence split by component."""
    rng = np.random.default_rng(2)
    x, first, second = rng.normal(size=(N, 2)), *rng.normal(size=(2, N))
    fits = [
        sm.OLS(x[:, 0] + own, sm.add_constant(x)).fit() for own in (first, second + x[:, 1] ** 2)
    ]
    return kcm.stack_equations(*(fitted_moment(fit, x) for fit in fits))


@pytest.fixture(scope="module")
def embedding(moment):
    return ConditionalMomentEmbedding(moment, Gaussian(0.7))


def gaussian(x, y, h=0.7):
    return np.exp(-np.sum((x[:, None] - y[None]) ** 2, axis=2) / (2 * h**2))


def dense_mean(moment, h=0.7):
    """Mean of the law of the U statistic as it is defined: tr (B - c B_I) + f c psi'psi."""
    kernel = gaussian(moment.conditioning, moment.conditioning, h)
    scaled = scaled_residuals(moment), moment.jacobian, scaled_influence(moment)
    form, offset, _ = dense_law.law(kernel, moment.residuals, *scaled, "U")
    return np.trace(form) + offset


class TestNorm:
    def test_value_is_the_u_statistic_less_the_trace(self, moment, system):
        for own in (moment, system):
            norm = ConditionalMomentEmbedding(own, Gaussian(0.7)).norm
            kernel = gaussian(own.conditioning, own.conditioning)
            np.fill_diagonal(kernel, 0)
            raw = sum(psi @ kernel @ psi for psi in own.residuals.T) / N / (N - 1)
            assert norm.uncorrected == pytest.approx(raw, rel=1e-10)
            assert norm.value == pytest.approx(raw - dense_mean(own) / N, rel=1e-10)

    def test_uncorrected_is_the_mmr_of_the_test(self, moment):
        result = kcm.KCMTest().run(moment)
        assert result.embedding.norm.uncorrected == pytest.approx(result.mmr, rel=1e-12)

    def test_known_theta_has_no_bias(self, moment):
        known = kcm.FittedMoment(moment.residuals, moment.conditioning)
        norm = ConditionalMomentEmbedding(known, Gaussian(0.7)).norm
        assert norm.value == pytest.approx(norm.uncorrected, rel=1e-12)

    def test_standard_error_is_that_of_refits_that_leave_one_out(self):
        rng = np.random.default_rng(3)
        x = rng.exponential(size=N)
        y = 1 + x + 0.4 * x**2 + rng.normal(size=N)

        def u_statistic(kept):
            design = sm.add_constant(x[kept])
            psi = y[kept] - design @ np.linalg.lstsq(design, y[kept], rcond=None)[0]
            kernel = gaussian(x[kept, None], x[kept, None])
            n = len(psi)
            return (psi @ kernel @ psi - psi @ psi) / n / (n - 1)

        every = np.arange(N)
        left_out = np.array([u_statistic(np.delete(every, i)) for i in every])
        jackknife = np.sqrt((N - 1) / N * np.sum((left_out - left_out.mean()) ** 2))
        fit = sm.OLS(y, sm.add_constant(x)).fit()
        error = ConditionalMomentEmbedding(fitted_moment(fit), Gaussian(0.7)).norm.std_error
        assert error == pytest.approx(jackknife, rel=0.1)
        known = kcm.FittedMoment(fit.resid, x)
        ignored = ConditionalMomentEmbedding(known, Gaussian(0.7)).norm.std_error
        assert abs(ignored - jackknife) > 2 * abs(error - jackknife)

    def test_clusters_of_copies_are_as_good_as_one_of_each(self, moment):
        groups = np.repeat(np.arange(N), 2)
        twice = kcm.FittedMoment(
            *(
                np.repeat(part, 2, axis=0)
                for part in (moment.residuals, moment.conditioning, moment.jacobian)
            ),
            np.repeat(moment.influence, 2, axis=0),
        )
        single = kcm.FittedMoment(
            moment.residuals, moment.conditioning, moment.jacobian, moment.influence
        )
        clustered = ConditionalMomentEmbedding(twice, Gaussian(0.7), groups).norm
        expected = ConditionalMomentEmbedding(single, Gaussian(0.7)).norm
        assert clustered.std_error == pytest.approx(expected.std_error, rel=0.1)
        assert clustered.value == pytest.approx(expected.value, rel=0.1)
        assert clustered.growth == pytest.approx(expected.growth, rel=0.2)

    def test_interval_is_not_negative_and_holds_the_estimate(self, embedding):
        low, high = embedding.norm.conf_int(0.9)
        assert 0 <= low < embedding.norm.value < high
        assert embedding.norm.conf_int(0.99)[1] > high
        with pytest.raises(OptionError, match="level"):
            embedding.norm.conf_int(95.0)

    @pytest.mark.parametrize("own", ["moment", "system"])
    def test_growth_is_that_of_a_sample_with_weights(self, own, request):
        """Referee: differences in t of M^2 and s^2 with weights 1 + t h, by their definitions."""
        own = request.getfixturevalue(own)
        influence = own.influence.sum(axis=1)
        kernel = gaussian(own.conditioning, own.conditioning) / (N - 1)
        np.fill_diagonal(kernel, 0)

        def parts(t, h):
            weights = 1 + t * h
            psi = own.residuals + t * own.jacobian @ (influence.T @ h / N)
            witness = kernel @ (weights[:, None] * psi)
            slope = np.einsum("i,iqp,iq->p", weights, own.jacobian, witness) / N
            terms = np.sum(psi * witness, axis=1)
            errors = terms + influence @ slope
            return terms, errors - weights @ errors / N, weights / N

        h = parts(0.0, np.zeros(N))[1]
        (terms, up, more), (others, down, less) = parts(1e-4, h), parts(-1e-4, h)
        assert more @ terms - less @ others == pytest.approx(2e-4 * 2 * np.mean(h**2), rel=1e-6)
        bend = (more @ up**2 - less @ down**2) / 2e-4
        norm = ConditionalMomentEmbedding(own, Gaussian(0.7)).norm
        expected = norm.value * bend / (4 * np.mean(h**2) ** 2)
        assert norm.growth == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize("unit", [1e-60, 1e60])
    def test_growth_has_no_unit(self, moment, embedding, unit):
        parts = moment.residuals, moment.conditioning, moment.jacobian, moment.influence
        scaled = unit * parts[0], parts[1], unit * parts[2], parts[3], moment.scale
        other = kcm.FittedMoment(*scaled)
        norm = ConditionalMomentEmbedding(other, Gaussian(0.7)).norm
        assert norm.growth == pytest.approx(embedding.norm.growth, rel=1e-9)

    def test_interval_is_that_of_the_root_and_of_the_power_of_constant_error(self):
        half, whole = (NormEstimate(0.04, 0.01, 0.04, g).conf_int() for g in (0.5, 1.0))
        z = 1.959963984540054
        assert half == pytest.approx(((0.2 - z / 40) ** 2, (0.2 + (z + 1 / 16) / 40) ** 2))
        assert whole[0] == half[0]
        assert whole[1] == pytest.approx(0.04 * np.exp((z + 1 / 8) / 4), rel=0.01)

    @given(st.floats(-2, 6), st.floats(-1, 3), st.floats(0.5, 0.999))
    def test_interval_has_no_jumps(self, value, growth, level):
        low, high = NormEstimate(value, 1.0, value, growth).conf_int(level)
        assert 0 <= low <= max(value, 0) <= high
        more = NormEstimate(value + 1e-12, 1.0, value, growth).conf_int(level)
        assert low <= more[0]
        assert more[1] == pytest.approx(high, abs=1e-4)
        assert high <= NormEstimate(value, 1.0, value, growth + 0.1).conf_int(level)[1] * (1 + 1e-9)

    def test_effect_size_has_no_unit(self, moment, embedding):
        larger = kcm.FittedMoment(
            100 * moment.residuals,
            moment.conditioning,
            100 * moment.jacobian,
            moment.influence,
            moment.scale,
        )
        other = ConditionalMomentEmbedding(larger, 3.0 * Gaussian(0.7)).effect_size()
        effect = embedding.effect_size()
        assert other.value == pytest.approx(effect.value, rel=1e-9)
        assert other.std_error == pytest.approx(effect.std_error, rel=1e-9)
        assert 0 < effect.value < 1

    def test_effect_size_of_a_residual_that_is_a_constant_is_one(self):
        x = np.linspace(0, 1, 40)
        wide = ConditionalMomentEmbedding(kcm.FittedMoment(np.full(40, 2.0), x), Gaussian(1e4))
        assert wide.effect_size().value == pytest.approx(1, abs=1e-6)

    def test_effect_size_needs_a_definite_kernel(self, moment):
        with pytest.raises(OptionError, match="effect size"):
            ConditionalMomentEmbedding(moment, Energy()).effect_size()


class TestWitness:
    def test_values_are_sums_over_the_sample(self, system):
        embedding = ConditionalMomentEmbedding(system, Gaussian(0.7))
        points = np.random.default_rng(4).normal(size=(9, 2))
        kernel = gaussian(points, system.conditioning)
        assert np.allclose(embedding.witness(points), kernel @ system.residuals / N, rtol=1e-12)
        mean = kernel @ system.residuals / kernel.sum(axis=1, keepdims=True)
        assert np.allclose(embedding.local_mean(points), mean, rtol=1e-10)
        assert np.allclose(embedding.density(points), kernel.mean(axis=1), rtol=1e-12)

    def test_norm_is_the_mean_of_witness_times_residual(self, moment, embedding):
        v = float(np.mean(moment.residuals * embedding.witness(moment.conditioning)))
        own = float(np.mean(moment.residuals**2))
        u = (N * v - own) / (N - 1)
        assert embedding.norm.uncorrected == pytest.approx(u, rel=1e-10)

    def test_memory_does_not_change_values(self, moment, embedding):
        small = ConditionalMomentEmbedding(moment, Gaussian(0.7), memory_limit=8 * 6 * 7 * 20)
        assert np.allclose(small.witness(GRID), embedding.witness(GRID), rtol=1e-12)
        first, second = small.band(GRID, rng=5), embedding.band(GRID, rng=5)
        assert first.critical_value == pytest.approx(second.critical_value, rel=1e-12)
        assert np.allclose(first.lower, second.lower, rtol=1e-10)

    def test_no_data_within_reach_is_not_a_number(self, embedding):
        assert np.isnan(embedding.local_mean([1e3])).all()
        assert embedding.witness([1e3]).item() == 0

    def test_tables_are_read_by_name_and_level(self):
        table = _mixed(np.random.default_rng(6))
        fit = smf.ols("y ~ a", table).fit()
        moment = fitted_moment(fit, table[["a", "city", "grade"]])
        assert moment.labels.levels == ((), ("Bern", "Lyon", "Turin"), ("low", "mid", "high"))
        embedding = kcm.KCMTest().run(moment).embedding
        rows = table.iloc[:5][["grade", "city", "a"]]
        by_code = embedding.witness(moment.conditioning[:5])
        assert np.array_equal(embedding.witness(rows), by_code)
        with pytest.raises(DataError, match="levels Oslo"):
            embedding.witness(rows.assign(city="Oslo"))
        with pytest.raises(DataError, match=r"lacks city; .* and got a, grade"):
            embedding.witness(rows[["a", "grade"]])
        with pytest.raises(DataError, match="has 2 columns"):
            embedding.witness(np.zeros((1, 2)))

    def test_a_kernel_with_negative_sums_has_no_local_mean(self, moment):
        embedding = ConditionalMomentEmbedding(moment, Linear())
        with pytest.raises(OptionError, match="less than zero"):
            embedding.local_mean([-100.0, 100.0])


class TestBand:
    @pytest.mark.parametrize("clustered", [False, True])
    def test_draws_are_those_of_the_definition(self, system, clustered):
        groups = np.arange(N) // 3 if clustered else None
        codes = np.arange(N) if groups is None else groups
        embedding = ConditionalMomentEmbedding(system, Gaussian(0.7), groups)
        points = np.random.default_rng(7).normal(size=(5, 2))
        band = embedding.band(points, 0.9, rng=8, n_resamples=99)
        kernel = gaussian(points, system.conditioning)
        r, own = scaled_moment(system, codes)
        multipliers = rademacher(np.random.default_rng(8), int(codes.max()) + 1, 99)[codes]

        def draw(w):
            v = w[:, None] * r + system.jacobian @ (own.T @ w / N)
            return kernel @ v / N

        def part(cluster):
            return draw((codes == cluster).astype(float))

        sd = np.sqrt(sum(part(cluster) ** 2 for cluster in range(codes.max() + 1)))
        suprema = np.sort([np.max(np.abs(draw(w)) / sd) for w in multipliers.T])
        assert band.critical_value == pytest.approx(suprema[89], rel=1e-10)
        assert np.allclose(band.upper - band.values, suprema[89] * sd, rtol=1e-9)
        assert np.allclose(band.values - band.lower, suprema[89] * sd, rtol=1e-9)
        assert np.array_equal(band.values, embedding.witness(points))

    def test_of_the_local_mean_is_over_the_density(self, embedding):
        band = embedding.band(GRID, rng=0, n_resamples=99)
        mean = band.over_density()
        assert np.allclose(mean.values, embedding.local_mean(GRID))
        assert np.array_equal(mean.excludes_zero, band.excludes_zero)
        assert mean.to_frame().shape == (7, 5)
        assert list(mean.to_frame())[:2] == [embedding.moment.labels.conditioning[0], "component"]

    def test_same_rng_same_band(self, embedding):
        first, second = (embedding.band(GRID, rng=3, n_resamples=99) for _ in range(2))
        assert first.critical_value == second.critical_value

    def test_higher_levels_are_wider(self, embedding):
        low, high = (embedding.band(GRID, level, 3, 199).critical_value for level in (0.8, 0.95))
        assert low < high

    def test_refusals(self, embedding):
        for options in ({"level": 95.0}, {"n_resamples": 0}, {"rng": "x"}):
            with pytest.raises(OptionError):
                embedding.band(GRID, **options)

    def test_where_the_model_absorbs_everything_nothing_is_claimed(self, rng):
        cell = np.repeat([0.0, 1.0], 30)
        fit = sm.OLS(cell + rng.normal(size=60), np.column_stack([1 - cell, cell])).fit()
        moment = fitted_moment(fit, cell)
        narrow = ConditionalMomentEmbedding(moment, Gaussian(1e-3))
        assert not narrow.band([0.0, 1.0], rng=0).excludes_zero.any()


@pytest.fixture(scope="module")
def models():
    x, y, fit = regression(np.random.default_rng(9))
    square = sm.OLS(y, sm.add_constant(np.column_stack([x, x**2]))).fit()
    moments = [fitted_moment(one, x) for one in (fit, square)]
    return [ConditionalMomentEmbedding(one, Gaussian(0.7)) for one in moments]


class TestTwoModels:
    def test_distance_is_that_of_the_residuals(self, models):
        first, second = models
        found = first.distance(second)
        psi = (first.moment.residuals - second.moment.residuals)[:, 0]
        kernel = gaussian(first.moment.conditioning, first.moment.conditioning)
        raw = (psi @ kernel @ psi - psi @ psi) / N / (N - 1)
        assert found.norm.uncorrected == pytest.approx(raw, rel=1e-9)
        assert found.statistic == pytest.approx(N * raw, rel=1e-9)
        assert found.pvalue < 0.01
        assert second.distance(first).pvalue == pytest.approx(found.pvalue, rel=1e-6)
        assert "Squared distance" in str(found)
        assert found.as_html()
        assert found.as_latex()

    def test_it_is_the_test_of_the_difference(self, models):
        first, second = models
        difference = combined_moment(first.moment, second.moment, -1)
        result = kcm.KCMTest(Gaussian(0.7)).run(difference)
        assert first.distance(second).pvalue == pytest.approx(result.pvalue, rel=1e-9)
        assert difference.n_params == 5

    def test_inner_product_with_oneself_is_the_norm(self, models):
        first, _ = models
        inner, norm = first.inner(first), first.norm
        # of two moments no residual has a scale, so that the bias is another one
        assert inner.value == pytest.approx(norm.value, rel=0.03)
        assert inner.std_error == pytest.approx(norm.std_error, rel=0.05)

    def test_polarisation(self, models):
        first, second = models
        squares = first.norm.value + second.norm.value - 2 * first.inner(second).value
        assert first.distance(second).norm.value == pytest.approx(squares, rel=0.05)

    def test_a_known_and_an_estimated_theta(self, models):
        first, _ = models
        known = kcm.FittedMoment(first.moment.residuals + 0.1, first.moment.conditioning)
        difference = combined_moment(first.moment, known, -1)
        assert difference.n_params == 2
        assert difference.labels.theta == "estimated: OLS"

    def test_refusals(self, models, system):
        first, _ = models
        with pytest.raises(DataError, match="same residuals"):
            first.distance(first)
        with pytest.raises(DataError, match="same equations"):
            first.distance(ConditionalMomentEmbedding(system, Gaussian(0.7)))
        moved = kcm.FittedMoment(first.moment.residuals, first.moment.conditioning + 1)
        with pytest.raises(DataError, match="conditioning"):
            first.inner(ConditionalMomentEmbedding(moved, Gaussian(0.7)))


@pytest.fixture(scope="module")
def found():
    fit = regression(np.random.default_rng(10), d=3)[2]
    result = kcm.specification_test(fit)
    return result, result.embedding.contributions()


class TestContributions:
    def test_observations_add_up_to_the_norm(self, found):
        result, table = found
        total = table.observations["contribution"].sum()
        assert total == pytest.approx(N * result.embedding.norm.value, rel=1e-9)
        assert table.observations["share"].sum() == pytest.approx(1)

    def test_variables_are_tested_alone_and_left_out(self, found):
        result, table = found
        moment = result.moment
        for j, name in enumerate(result.conditioning_names):
            others = [k for k in range(3) if k != j]
            alone = kcm.KCMTest().run(marginal_moment(moment, [j])).pvalue
            without = kcm.KCMTest().run(marginal_moment(moment, others)).pvalue
            row = table.variables.loc[name]
            assert row["pvalue"] == pytest.approx(alone, rel=1e-9)
            assert row["pvalue_without"] == pytest.approx(without, rel=1e-9)
        assert table.variable == result.conditioning_names[0]
        assert table.variables["share"].sum() == pytest.approx(1)

    def test_adjusted_by_holms_rule(self, found):
        table = found[1].variables
        for column in ("pvalue", "pvalue_without"):
            expected = multipletests(table[column], method="holm")[1]
            assert np.allclose(table[f"{column}_adjusted"], expected, rtol=1e-12)

    def test_one_variable_has_no_others(self, moment):
        table = ConditionalMomentEmbedding(moment, Gaussian()).contributions()
        assert np.isnan(table.variables["pvalue_without"]).all()
        assert "Variable" in repr(table)
        assert table._repr_html_()

    def test_a_kernel_of_ones_own(self, found):
        result, _ = found
        own = result.embedding.contributions(Gaussian(0.5))
        alone = kcm.KCMTest(Gaussian(0.5)).run(marginal_moment(result.moment, [0])).pvalue
        assert own.variables["pvalue"].iloc[0] == pytest.approx(alone, rel=1e-9)


def _mixed(rng):
    data = pd.DataFrame(
        {
            "a": rng.normal(size=N),
            "city": rng.choice(["Bern", "Lyon", "Turin"], size=N),
            "grade": pd.Categorical.from_codes(
                rng.integers(3, size=N), ["low", "mid", "high"], ordered=True
            ),
        }
    )
    data["y"] = 1 + data["a"] + (data["city"] == "Lyon") + rng.normal(size=N)
    return data


def _count(rng):
    x = rng.normal(size=N)
    return sm.Poisson(rng.poisson(np.exp(0.3 + 0.3 * x**2)), sm.add_constant(x)).fit(disp=0)


def _binary(rng):
    x = rng.normal(size=N)
    y = (rng.random(N) < 1 / (1 + np.exp(1 - x**2))).astype(float)
    return sm.Logit(y, sm.add_constant(x)).fit(disp=0)


def _instrumental(rng):
    z, u, e = rng.normal(size=(3, N))
    return IV2SLS(1 + z + u + e + 0.5 * z**2, np.ones(N), z + u, z).fit()


@pytest.mark.parametrize("fit", [_count, _binary, _instrumental], ids=lambda f: f.__name__[1:])
def test_models_of_other_packages(fit):
    result = kcm.specification_test(fit(np.random.default_rng(11)))
    embedding = result.embedding
    assert 0 < embedding.norm.value < embedding.norm.conf_int()[1]
    assert embedding.band(GRID, rng=0).excludes_zero.any()


class TestWhereItComesFrom:
    def test_of_a_combined_test_it_is_that_of_the_leading_kernel(self, moment):
        result = kcm.KCMTest("adaptive").run(moment)
        assert repr(result.embedding.kernel) == repr(result.kernel)
        assert result.mmr == pytest.approx(result.embedding.norm.uncorrected, rel=1e-9)

    def test_groups_of_the_null_are_kept(self, moment):
        groups = np.repeat(["a", "b", "c", "d"], 30)
        with pytest.warns(kcm.FewClustersWarning):
            result = kcm.KCMTest(null=kcm.Asymptotic(groups=groups)).run(moment)
        assert np.array_equal(result.embedding.groups, np.repeat(np.arange(4), 30))

    def test_results_pickle_and_can_drop_their_data(self, moment):
        result = kcm.KCMTest().run(moment)
        copy = pickle.loads(pickle.dumps(result))
        assert copy.embedding.norm == result.embedding.norm
        lean = result.remove_data()
        assert lean.to_dict() == result.to_dict()
        assert len(pickle.dumps(lean)) < len(pickle.dumps(result)) - 8 * N * 4
        with pytest.raises(DataError, match="remove_data"):
            _ = lean.embedding

    def test_of_estimation_results(self):
        x, y, _ = regression(np.random.default_rng(12))
        data = {"y": y, "x": x[:, 0], "w": y - x[:, 0]}
        results = kcm.MMR.from_formula("y ~ x", data).fit()
        embedding = results.embedding()
        assert repr(embedding.kernel) == repr(results.kernel)
        assert np.array_equal(embedding.moment.residuals[:, 0], results.resid.to_numpy())

    def test_options_are_checked(self, moment):
        with pytest.raises(DataError, match="groups"):
            ConditionalMomentEmbedding(moment, Gaussian(), groups=[1, 2])
        with pytest.raises(OptionError, match="not conditioned on"):
            ConditionalMomentEmbedding(moment, Gaussian()).marginal("age")
        with pytest.raises(OptionError, match="empty"):
            ConditionalMomentEmbedding(moment, Gaussian()).marginal([])
        assert "E[y - x'b | x1]" in repr(ConditionalMomentEmbedding(moment, Gaussian()))


def test_what_is_no_embedding_or_result_is_refused():
    """Referee: the sentences, in an interpreter without the checks of the tests."""
    made = "kcm.FittedMoment([1.0, -1.0, 2.0, 0.5], [0.0, 1.0, 2.0, 3.0])"
    embedding = f"kcm.ConditionalMomentEmbedding({made}, kcm.kernels.Gaussian())"
    told = messages(
        [
            "kcm.ConditionalMomentEmbedding([1.0], kcm.kernels.Gaussian())",
            f"kcm.ConditionalMomentEmbedding({made}, 'gaussian')",
            f"{embedding}.distance({made})",
            f"{embedding}.band([0.0], level=95)",
            f"kcm.power({made}, 100)",
            f"{embedding}.plot_witness(component=1)",
        ],
        "OptionError",
    )
    starts = ("`moment` must", "`kernel` must", "`other` must", "`level` must", "`result` must")
    starts = (*starts, "`component` must")
    assert all(a.startswith(b) for a, b in zip(told, starts, strict=True)), told


class TestPower:
    def test_is_that_of_the_form_in_normal_variables(self, moment):
        """Referee: draws of n |mu + e|^2, e normal with the covariance of the embedding."""
        result = kcm.KCMTest(Gaussian(0.7)).run(moment)
        weak = kcm.FittedMoment(
            moment.residuals, moment.conditioning, moment.jacobian, moment.influence, moment.scale
        )
        kernel = gaussian(weak.conditioning, weak.conditioning)
        scaled = scaled_residuals(weak), weak.jacobian, scaled_influence(weak)
        form, offset, _ = dense_law.law(kernel, weak.residuals, *scaled, "U")
        np.fill_diagonal(kernel, 0)
        psi = weak.residuals[:, 0]
        witness = kernel @ psi / (N - 1)
        slope = weak.jacobian[:, 0].T @ witness / N
        h = psi * witness + weak.influence[:, 0] @ slope
        w = np.random.default_rng(13).normal(size=(20_000, N))
        w -= w.mean(axis=1, keepdims=True)
        noise = offset + np.einsum("bi,bi->b", w @ form, w)
        critical = result.null_distribution.critical_value(0.05)
        for n in (30, 60):
            draws = n * result.embedding.norm.value + 2 * np.sqrt(n / N) * w @ h + noise
            expected = np.mean(draws > critical)
            assert kcm.power(result, n) == pytest.approx(expected, abs=0.08)

    def test_grows_from_the_level_to_one(self, moment):
        result = kcm.KCMTest().run(moment)
        powers = [kcm.power(result, n) for n in (10, 40, 160, 640)]
        assert powers == sorted(powers)
        assert powers[-1] > 0.99
        assert kcm.power(result, 40, level=0.01) < kcm.power(result, 40)

    def test_no_departure_has_the_power_of_the_level(self):
        signs = np.resize([1.0, -1.0], N)
        moment = kcm.FittedMoment(signs, np.linspace(0, 5, N))
        result = kcm.KCMTest(Gaussian(0.7)).run(moment)
        assert result.embedding.norm.value < 0
        assert kcm.power(result, 200, 0.1) == 0.1
        with pytest.raises(OptionError, match="billion"):
            kcm.sample_size(result)

    @pytest.mark.parametrize(
        "null",
        [kcm.Asymptotic(method="cumulants"), kcm.MultiplierBootstrap(999)],
        ids=["cumulants", "bootstrap"],
    )
    def test_null_laws_agree(self, moment, null):
        first = kcm.KCMTest().run(moment)
        second = kcm.KCMTest(null=null).run(moment, rng=0)
        assert kcm.power(second, 40) == pytest.approx(kcm.power(first, 40), abs=0.05)

    def test_v_statistic(self, moment):
        first, second = (kcm.KCMTest(statistic=name).run(moment) for name in "UV")
        assert kcm.power(second, 60) == pytest.approx(kcm.power(first, 60), abs=0.05)

    def test_sample_size_is_where_power_is_reached(self, moment):
        result = kcm.KCMTest().run(moment)
        n = kcm.sample_size(result, 0.8)
        assert kcm.power(result, n) >= 0.8 > kcm.power(result, n - 1)

    def test_refusals(self, moment):
        result = kcm.KCMTest().run(moment)
        with pytest.raises(OptionError, match="n_obs"):
            kcm.power(result, 2)
        with pytest.raises(OptionError, match="level"):
            kcm.power(result, 100, 5.0)
        with pytest.raises(OptionError, match="above `level`"):
            kcm.sample_size(result, 0.04)
        with pytest.raises(OptionError, match="several kernels"):
            kcm.power(kcm.KCMTest("adaptive").run(moment), 100)
        with pytest.raises(OptionError, match="normal"):
            kcm.power(kcm.KCMTest(null=kcm.StudentizedNormal()).run(moment), 100)
        stopped = kcm.MultiplierBootstrap(999, stop="besag-clifford")
        with pytest.raises(OptionError, match="null law"):
            kcm.power(kcm.KCMTest(null=stopped).run(moment, rng=0), 100)
