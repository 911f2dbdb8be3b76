"""Studentised laws. Referees: slow loops, refitting by statsmodels, dense matrices, SciPy."""

import dense_law
import numpy as np
import pytest
import scipy
import statsmodels.api as sm
from refusals import messages

import kcm
from kcm import gram
from kcm.adapters import fitted_moment
from kcm.exceptions import DataError, OptionError
from kcm.gram import tiles as _tiles
from kcm.kernels import Gaussian
from kcm.moments import scaled_influence, scaled_residuals
from kcm.null import NormalLaw, bootstrap
from kcm.null.multipliers import MULTIPLIERS
from kcm.statistic.contraction import contract
from kcm.statistic.studentized_form import studentized_drawer

DRAWS = kcm.MultiplierBootstrap(199, studentize=True)
statistics = pytest.mark.parametrize("statistic", ["U", "V"])


def zheng(psi, x, h):
    """T / sd by the loop of Zheng (1996), his formula (3.5) without what cancels."""
    value = squares = 0.0
    for i in range(len(psi)):
        for j in range(len(psi)):
            if i != j:
                k = np.exp(-np.sum((x[i] - x[j]) ** 2) / (2 * h**2))
                value += psi[i] @ psi[j] * k
                squares += (psi[i] @ psi[j]) ** 2 * k**2
    return value / np.sqrt(2 * squares)


class TestStudentizedNormal:
    @statistics
    @pytest.mark.parametrize("q", [1, 2])
    def test_the_statistic_is_that_of_zheng(self, statistic, q, rng):
        n, h = 60, 0.4
        x, psi = rng.normal(size=(n, 2)), rng.normal(size=(n, q)) * [1e3, 1e-2][:q]
        result = kcm.KCMTest(Gaussian(h), statistic, kcm.StudentizedNormal()).run(
            kcm.FittedMoment(psi, x)
        )
        law, expected = result.null_distribution, zheng(psi, x, h)
        assert (result.statistic - law.mean) / law.sd == pytest.approx(expected, rel=1e-10)
        assert result.pvalue == pytest.approx(scipy.stats.norm.sf(expected), rel=1e-9)

    def test_neither_influence_nor_scale_enters(self, rng):
        x = rng.normal(size=(80, 1))
        moment = fitted_moment(sm.OLS(rng.normal(size=80), sm.add_constant(x)).fit())
        test = kcm.KCMTest(Gaussian(0.3), null=kcm.StudentizedNormal())
        alone = kcm.FittedMoment(moment.residuals, moment.conditioning)
        assert test.run(moment).pvalue == pytest.approx(test.run(alone).pvalue, rel=1e-12)

    def test_clusters_by_a_slow_loop(self, rng):
        n, h = 48, 0.5
        x, psi, groups = rng.normal(size=(n, 1)), rng.normal(size=n), np.arange(n) // 3
        null = kcm.StudentizedNormal(groups=groups)
        law = kcm.KCMTest(Gaussian(h), null=null).run(kcm.FittedMoment(psi, x)).null_distribution
        k = np.exp(-((x - x.T) ** 2) / (2 * h**2)) * np.outer(psi, psi) / (n - 1)
        np.fill_diagonal(k, 0)
        cells = {(g, e): k[groups == g][:, groups == e].sum() for g in range(16) for e in range(16)}
        assert law.mean == pytest.approx(sum(cells[g, g] for g in range(16)))
        squares = sum(value**2 for (g, e), value in cells.items() if g != e)
        assert law.sd == pytest.approx(np.sqrt(2 * squares), rel=1e-10)

    def test_several_bandwidths_are_combined(self, rng):
        x, psi = rng.normal(size=(2, 90))
        kernels = [Gaussian(0.2), Gaussian(0.4)]
        result = kcm.KCMTest(kernels, null=kcm.StudentizedNormal()).run(kcm.FittedMoment(psi, x))
        assert "Cauchy" in result.null_distribution.describe()

    def test_the_summary_tells_the_law(self, rng):
        x, psi = rng.normal(size=(2, 90))
        test = kcm.KCMTest(Gaussian(0.3), null=kcm.StudentizedNormal())
        assert "normal, mean 0, sd" in str(test.run(kcm.FittedMoment(psi, x)).summary())

    def test_a_kernel_that_reaches_no_pair_is_refused(self, rng):
        psi, x = rng.normal(size=30), 1e3 * np.arange(30.0)
        with pytest.raises(DataError, match="within reach"):
            kcm.KCMTest(Gaussian(1.0), null=kcm.StudentizedNormal()).run(kcm.FittedMoment(psi, x))


def test_the_normal_law_is_that_of_scipy():
    law = NormalLaw(1.0, 2.0)
    for t in (-8.0, 0.0, 3.0, 30.0):
        assert law.pvalue(t) == pytest.approx(scipy.stats.norm.sf(t, 1, 2), rel=1e-12)
    assert law.critical_value(0.01) == pytest.approx(scipy.stats.norm.isf(0.01, 1, 2))
    with pytest.raises(OptionError, match="positive"):
        NormalLaw(0.0, 0.0)


def studentised(form, value):
    """(T - tr B) / sd."""
    free = form - np.diag(np.diag(form))
    return (value - np.trace(form)) / np.sqrt(2 * np.sum(free**2))


def exactly(moment, kernel, statistic):
    return contract(moment, gram.TiledGram(kernel, moment.conditioning), statistic)


def dense_gram(moment, kernel, statistic):
    values, n = gram.matrix(kernel, moment.conditioning), moment.n_obs
    if statistic == "U":
        return (values - np.diag(np.diag(values))) / (n - 1)
    return values / n


def expected_draws(moment, kernel, statistic, multipliers):
    """The draws by their definition: B from scratch, of the residuals of each draw."""
    n, q, _ = moment.jacobian.shape
    factor = 1 / (n - 1) if statistic == "U" else 1 / n
    scaled = scaled_residuals(moment), moment.jacobian, scaled_influence(moment)
    values = gram.matrix(kernel, moment.conditioning)
    _, offset, c = dense_law.law(values, moment.residuals, *scaled, statistic)
    kept, s = dense_gram(moment, kernel, statistic) - factor * c * np.eye(n), moment.scale
    gain = moment.influence / moment.residuals[:, :, None]

    def form_of(r):
        influence = np.einsum("icp,ic->ip", gain, r)
        blocks = [np.diag(r[:, c]) + moment.jacobian[:, c] @ influence.T / n for c in range(q)]
        return sum(block.T @ kept @ block for block in blocks)

    found = []
    for w in multipliers:
        change = w @ scaled_influence(moment) / n
        v = w[:, None] * scaled_residuals(moment) + moment.jacobian @ change
        found.append(studentised(form_of(v / s), np.sum(v * (kept @ v))))
    sample = form_of(moment.residuals / s)
    sd = np.sqrt(2 * np.sum((sample - np.diag(np.diag(sample))) ** 2))
    return offset + np.trace(sample) + sd * np.array(found)


class TestDraws:
    @statistics
    @pytest.mark.parametrize(("q", "rows"), [(1, 64), (1, 1_024), (2, 1_024), (3, 64)])
    def test_draws_are_those_of_their_definition(self, statistic, q, rows, rng, monkeypatch):
        monkeypatch.setattr(_tiles, "TILE", rows)
        n, p = 150, 3
        psi = rng.normal(size=(n, q))
        moment = kcm.FittedMoment(
            psi,
            rng.normal(size=(n, 2)),
            rng.normal(size=(n, q, p)),
            rng.normal(size=(n, q, p)) * psi[:, :, None],
            rng.uniform(0.5, 1, size=(n, q)),
        )
        kernel, w = Gaussian(1.2), MULTIPLIERS["mammen"](rng, 7, n)
        found = studentized_drawer(exactly(moment, kernel, statistic))(w)
        np.testing.assert_allclose(found, expected_draws(moment, kernel, statistic, w), rtol=1e-9)

    @statistics
    def test_a_draw_is_the_sample_of_refitted_data(self, statistic, rng):
        """(T* - tr B*) / sd* is what the test finds on the data that statsmodels refits."""
        n, kernel = 50, Gaussian(0.9)
        x = sm.add_constant(rng.normal(size=(n, 2)))
        fit = sm.OLS(x.sum(axis=1) + rng.normal(size=n) * (0.2 + x[:, 1] ** 2), x).fit()
        scale = dense_law.powers(1 - fit.get_influence().hat_matrix_diag)
        multipliers = MULTIPLIERS["rademacher"](rng, 5, n)
        contraction = exactly(fitted_moment(fit), kernel, statistic)
        unit = contraction.factor * contraction.shift.value * np.eye(n)
        kept = dense_gram(fitted_moment(fit), kernel, statistic) - unit
        maker = np.eye(n) - x @ np.linalg.solve(x.T @ x, x.T)

        def found_on(refit):
            r = refit.resid / scale
            form = maker @ kept @ maker * np.outer(r, r)
            return form, studentised(form, refit.resid @ kept @ refit.resid)

        form, own = found_on(fit)
        drawer = studentized_drawer(contraction)
        sd = np.sqrt(2 * np.sum((form - np.diag(np.diag(form))) ** 2))
        mean = contraction.offset + np.trace(form)
        draws = (drawer(multipliers) - mean) / sd
        wild = [fit.fittedvalues + w * fit.resid / scale for w in multipliers]
        expected = [found_on(sm.OLS(y, x).fit())[1] for y in wild]
        np.testing.assert_allclose(draws, expected, rtol=1e-8)
        statistic = kcm.KCMTest(kernel, statistic).run(fitted_moment(fit)).statistic
        assert (statistic - mean) / sd == pytest.approx(own, rel=1e-9)

    def test_with_theta_known_squares_of_signs_change_nothing(self, rng):
        moment = kcm.FittedMoment(rng.normal(size=90), rng.normal(size=(90, 2)))
        plain, other = (
            kcm.KCMTest(null=kcm.MultiplierBootstrap(199, studentize=on)).run(moment, rng=0)
            for on in (False, True)
        )
        assert other.pvalue == plain.pvalue
        assert other.statistic == plain.statistic
        np.testing.assert_allclose(
            other.null_distribution.draws, plain.null_distribution.draws, rtol=1e-4, atol=1e-4
        )

    def test_draws_depend_on_the_seed_alone(self, rng, monkeypatch):
        x = rng.normal(size=(120, 1))
        fit = sm.OLS(rng.normal(size=120), sm.add_constant(x)).fit()
        whole = kcm.specification_test(fit, null=DRAWS, rng=5).null_distribution.draws
        monkeypatch.setattr(bootstrap, "BLOCK_SIZE", 120 * 17)
        monkeypatch.setattr(_tiles, "TILE", 64)
        parts = kcm.specification_test(fit, null=DRAWS, rng=5, memory_limit="300 KB")
        np.testing.assert_allclose(parts.null_distribution.draws, whole, rtol=1e-9)
        assert "rademacher multiplier bootstrap, studentised, 199" in str(parts.summary())

    @pytest.mark.parametrize("stop", ["besag-clifford", "confidence"])
    def test_draws_that_stop_are_the_first_of_all_draws(self, stop, rng):
        x = rng.normal(size=(100, 1))
        fit = sm.OLS(rng.normal(size=100), sm.add_constant(x)).fit()
        kernel = kcm.kernels.Gaussian()
        stopped, every = (
            kcm.specification_test(fit, kernel=kernel, null=null, rng=2).null_distribution.draws
            for null in (
                kcm.MultiplierBootstrap(299, studentize=True, stop=stop),
                kcm.MultiplierBootstrap(299, studentize=True),
            )
        )
        assert 0 < len(stopped) < 299
        np.testing.assert_allclose(stopped, every[: len(stopped)], rtol=1e-9)

    @pytest.mark.parametrize("unit", [1e-60, 1e60])
    def test_the_unit_of_the_residuals_does_not_matter(self, unit, rng):
        x = rng.normal(size=(60, 1))
        y = rng.normal(size=60)
        first, second = (
            kcm.specification_test(sm.OLS(u * y, sm.add_constant(x)).fit(), null=DRAWS, rng=1)
            for u in (1.0, unit)
        )
        assert second.pvalue == first.pvalue

    def test_the_adaptive_test_takes_the_smallest_pvalue(self, rng):
        x = rng.normal(size=(80, 1))
        fit = sm.OLS(rng.normal(size=80), sm.add_constant(x)).fit()
        result = kcm.specification_test(fit, kernel="adaptive", null=DRAWS, rng=4)
        alone = [
            kcm.specification_test(fit, kernel=one.kernel, null=DRAWS, rng=4)
            for one in result.kernel_tests
        ]
        assert [one.pvalue for one in result.kernel_tests] == [one.pvalue for one in alone]
        assert result.statistic_name == "-log10 of the smallest p"
        assert "studentised" in result.null_distribution.describe()

    def test_a_total_influence_of_several_components_is_refused(self, rng):
        moment = kcm.FittedMoment(
            rng.normal(size=(40, 2)),
            rng.normal(size=40),
            rng.normal(size=(40, 2, 1)),
            rng.normal(size=(40, 1)),
        )
        with pytest.raises(DataError, match="split by component"):
            kcm.KCMTest(null=DRAWS).run(moment)

    def test_a_kernel_that_reaches_no_pair_is_refused(self, rng):
        psi, x = rng.normal(size=30), 1e3 * np.arange(30.0)
        with pytest.raises(DataError, match="within reach"):
            kcm.KCMTest(Gaussian(1.0), null=DRAWS).run(kcm.FittedMoment(psi, x))


def test_what_has_no_studentised_form_is_refused():
    told = messages(
        [
            "kcm.MultiplierBootstrap(studentize=True, groups=[1, 1, 2, 3])",
            "kcm.MultiplierBootstrap(studentize=True, weights='multinomial')",
            "kcm.MultiplierBootstrap(studentize='yes')",
            "kcm.KCMTest(null=kcm.MultiplierBootstrap(studentize=True), method='low-rank')",
            "kcm.KCMTest(null=kcm.StudentizedNormal(), method='low-rank')",
        ],
        "OptionError",
    )
    expected = (
        "for clusters",
        "independent multipliers",
        "True or False",
        "all pairs",
        "all pairs",
    )
    assert len(told) == len(expected)
    assert all(words in line for words, line in zip(expected, told, strict=True))


@pytest.mark.parametrize("null", [DRAWS, kcm.StudentizedNormal()], ids=["draws", "normal"])
def test_large_samples_are_not_taken_to_a_low_rank_factor(null, rng, monkeypatch):
    monkeypatch.setattr(kcm.null.certified, "EXACT_WORK", 0)
    moment = kcm.FittedMoment(rng.normal(size=80), rng.normal(size=80))
    assert kcm.KCMTest(null=null).run(moment, rng=0).certificate.method == "exact"
