"""The law from leading eigenvalues and cumulants of the rest.

Referees: the law of all eigenvalues, SciPy's chi-square and gamma laws, repeated weights, dense
matrices.
"""

import numpy as np
import pytest
import scipy
import statsmodels.api as sm

import kcm
from kcm.adapters import fitted_moment
from kcm.exceptions import DataError
from kcm.kernels import Gaussian, Laplace
from kcm.null import LeadingSpectrum, WeightedChiSquare, asymptotic, leading_spectrum
from kcm.null.weighted_chi_square import saddle_point
from kcm.reporting.words import pvalue_words
from kcm.statistic import tiled
from kcm.statistic.form import apply_form
from kcm.statistic.krylov import krylov_spectrum, products_with, spectrum_of, with_probes
from kcm.statistic.spectrum import Spectrum

TAILS = (1.0, 1.6, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)


class TestDegrees:
    @pytest.mark.parametrize("degrees", [0.3, 1.0, 2.5, 40.0])
    @pytest.mark.parametrize("x", [0.1, 1.0, 8.0, 60.0, 300.0])
    def test_one_weight_is_a_chi_square(self, degrees, x):
        law = WeightedChiSquare([1.7], degrees=[degrees])
        assert law.pvalue(x) == pytest.approx(scipy.stats.chi2.sf(x / 1.7, degrees), rel=1e-11)

    @pytest.mark.parametrize("x", [-30.0, -2.0, 0.5, 3.0, 30.0, 200.0])
    def test_whole_degrees_are_repeated_weights(self, x):
        once = WeightedChiSquare([1.0, 0.4, -0.7], 0.5, [2, 5, 3])
        repeated = WeightedChiSquare(np.repeat([1.0, 0.4, -0.7], [2, 5, 3]), 0.5)
        assert once.pvalue(x) == pytest.approx(repeated.pvalue(x), rel=1e-11)
        assert once.mean == pytest.approx(repeated.mean)
        assert once.variance == pytest.approx(repeated.variance)
        assert once.third_cumulant == pytest.approx(repeated.third_cumulant)

    def test_the_critical_value_is_that_of_repeated_weights(self):
        once = WeightedChiSquare([1.0, 0.4], 0.5, [2, 5])
        repeated = WeightedChiSquare(np.repeat([1.0, 0.4], [2, 5]), 0.5)
        assert once.critical_value(0.03) == pytest.approx(repeated.critical_value(0.03))

    def test_many_degrees_of_a_small_weight_are_normal(self):
        a = 1e-4
        law = WeightedChiSquare([a], -1 / (2 * a), [1 / (2 * a**2)])
        for x in (-2.0, 0.5, 3.0):
            assert law.pvalue(x) == pytest.approx(scipy.stats.norm.sf(x), rel=3e-3)

    @pytest.mark.parametrize("degrees", [[1.0], [1.0, 0.0], [1.0, -2.0]])
    def test_wrong_degrees_are_refused(self, degrees):
        with pytest.raises(DataError, match="`degrees` must hold one positive, finite number"):
            WeightedChiSquare([1.0, 2.0], degrees=degrees)

    def test_the_saddle_point_is_the_zero_of_the_derivative(self):
        law, t = WeightedChiSquare([2.0, 1.0, -0.5], 1.0, [1, 3, 2]), 25.0
        s = saddle_point(law, t)

        def phi(s):
            logs = np.log1p(-2 * law.weights * s)
            return float(-0.5 * law.degrees @ logs) - s * (t - law.shift) - np.log(s)

        grid = np.linspace(0.02, 0.98, 4_801) * 0.25
        assert s == pytest.approx(grid[np.argmin([phi(each) for each in grid])], rel=0.03)


def decaying(rng, n=400, power=1.5):
    values = np.arange(1, n + 1) ** -power * np.where(rng.random(n) < 0.3, -1, 1)
    vectors = np.linalg.qr(rng.normal(size=(n, n)))[0]
    return values, (vectors * values) @ vectors.T


@pytest.mark.parametrize("power", [0.6, 1.5, 4.0])
def test_krylov_values_are_eigenvalues_within_their_errors(power, rng):
    values, matrix = decaying(rng, power=power)
    probes = rng.normal(size=(400, 64))
    found = krylov_spectrum(lambda v: matrix @ v, probes, float(np.sum(values**2)), 32)
    nearest = np.abs(found.leading[:, None] - values).min(axis=1)
    assert (nearest <= found.errors + 1e-12).all()
    assert found.largest_rest >= np.sort(np.abs(values))[::-1][len(found.leading)]
    assert found.cubes == pytest.approx(np.sum(values**3), abs=4 * found.cubes_error + 1e-12)


@pytest.mark.parametrize("power", [0.6, 1.5])
def test_probes_that_are_added_are_those_of_all_at_once(power, rng):
    """Referee: all probes at once."""
    values, matrix = decaying(rng, power=power)
    directions, probes = rng.normal(size=(2, 400, 32))
    squares, columns = float(np.sum(values**2)), []

    def apply(v):
        columns.append(v.shape[1])
        return matrix @ v

    few = products_with(apply, directions, probes[:, :12])
    found = spectrum_of(with_probes(apply, few, probes[:, 12:]), squares)
    n_columns = sum(columns)
    every = krylov_spectrum(apply, np.hstack([directions, probes]), squares, 32)
    assert n_columns == sum(columns) - n_columns
    np.testing.assert_allclose(found.leading, every.leading, rtol=1e-10)
    assert found.cubes == pytest.approx(every.cubes, rel=1e-10)
    assert found.cubes_error == pytest.approx(every.cubes_error, rel=1e-8)
    assert found.fourths_rest == pytest.approx(every.fourths_rest, rel=1e-8)


@pytest.mark.parametrize("power", [0.6, 1.0, 2.0])
def test_the_tail_is_that_of_all_eigenvalues_within_its_interval(power, rng):
    values, matrix = decaying(rng, power=power)
    probes = rng.normal(size=(400, 128))
    spectrum = krylov_spectrum(lambda v: matrix @ v, probes, float(np.sum(values**2)), 64)
    law, exact = LeadingSpectrum(spectrum, 3.0, 2.0), WeightedChiSquare(values, -values.sum())
    assert law.sd == pytest.approx(2 * exact.sd)
    for z in TAILS:
        p, t = exact.pvalue(z * exact.sd), 3.0 + 2.0 * z * exact.sd
        low, high = law.computation_interval(t, law.pvalue(t))
        assert low <= p <= high
        assert law.pvalue(t) == pytest.approx(p, rel=0.1)


def test_a_spectrum_that_is_known_has_an_interval_of_no_width():
    values = np.array([1.0, 0.5])
    law = LeadingSpectrum(Spectrum(values, np.zeros(2), 1.25, 1.125, 0.0, 0.0, 0.0), 0.0, 1.0)
    for t in (-0.5, 0.0, 3.0):
        assert law.computation_interval(t, law.pvalue(t)) == pytest.approx((law.pvalue(t),) * 2)
    assert law.pvalue(law.critical_value(0.2)) == pytest.approx(0.2)


def test_an_unknown_tail_is_bounded_by_a_nearer_one():
    """Eigenvalues of the rest of up to the largest one: far out nothing is known of them."""
    spectrum = Spectrum(np.array([1.0]), np.zeros(1), 2.0, 1.5, 0.0, 0.5, 1.0)
    law = LeadingSpectrum(spectrum, 0.0, 1.0)
    low, high = law.computation_interval(40.0, law.pvalue(40.0))
    assert low < 0.7 * law.pvalue(40.0)
    assert 1.4 * law.pvalue(40.0) < high < law.pvalue(4.0)


def fit(rng, n, d):
    x = rng.normal(size=(n, d))
    y = x.sum(axis=1) + rng.normal(size=n) * np.sqrt(0.5 + 0.5 * x[:, 0] ** 2)
    return fitted_moment(sm.OLS(y, sm.add_constant(x)).fit())


CASES = [(1, Gaussian()), (5, Gaussian()), (5, Laplace()), (2, Gaussian(0.3))]


def compare(moment, kernel, groups=None, rtol=0.1):
    leading = kcm.KCMTest(kernel, null=kcm.Asymptotic(groups=groups)).run(moment)
    every = kcm.KCMTest(kernel, null=kcm.Asymptotic("eigenvalues", groups)).run(moment)
    law, exact = leading.null_distribution, every.null_distribution
    assert isinstance(law, LeadingSpectrum)
    assert law.mean == pytest.approx(exact.mean, rel=1e-9, abs=1e-9 * exact.sd)
    assert law.sd == pytest.approx(exact.sd, rel=1e-9)
    for z in TAILS:
        t = exact.mean + z * exact.sd
        p, (low, high) = exact.pvalue(t), law.computation_interval(t, law.pvalue(t))
        assert low <= p <= high
        if p > 1e-85:
            assert law.pvalue(t) == pytest.approx(p, rel=rtol)
    assert leading.certificate.pvalue_interval == law.computation_interval(
        leading.statistic, law.pvalue(leading.statistic)
    )


@pytest.mark.parametrize(("d", "kernel"), CASES)
@pytest.mark.parametrize("groups", [None, np.arange(700) // 2])
def test_by_tiles_the_law_is_that_of_all_eigenvalues(d, kernel, groups, rng, monkeypatch):
    monkeypatch.setattr(asymptotic, "MAX_EIGENVALUES", 100)
    compare(fit(rng, 700, d), kernel, groups)


@pytest.mark.parametrize(("tolerated", "n_passes"), [(0.1, 3), (1e-9, 5)])
def test_more_probes_are_taken_where_few_leave_the_pvalue_open(
    tolerated, n_passes, rng, monkeypatch
):
    calls = []

    def counted(contraction, codes, v):
        calls.append(v.shape[1])
        return apply_form(contraction, codes, v)

    monkeypatch.setattr(asymptotic, "MAX_EIGENVALUES", 100)
    monkeypatch.setattr(tiled, "apply_form", counted)
    monkeypatch.setattr(leading_spectrum, "KNOWN", tolerated)
    kcm.KCMTest(Gaussian(1.0)).run(fit(rng, 700, 2))
    assert len(calls) == n_passes
    assert sum(calls) == 3 * 64 + 2 * (16 if n_passes == 3 else 64)


@pytest.mark.slow
@pytest.mark.parametrize(("d", "kernel"), CASES[1:3])
def test_at_2500_the_law_is_that_of_all_eigenvalues(d, kernel, rng):
    compare(fit(rng, 2_500, d), kernel, rtol=0.02)


@pytest.mark.study
@pytest.mark.parametrize(("d", "kernel"), CASES)
def test_at_5000_the_law_is_that_of_all_eigenvalues(d, kernel, rng):
    compare(fit(rng, 5_000, d), kernel, rtol=0.1)


def test_the_low_rank_law_is_that_of_its_own_eigenvalues(rng, monkeypatch):
    moment = fit(rng, 700, 1)
    every = kcm.KCMTest(Gaussian(), null=kcm.Asymptotic("eigenvalues")).run(moment)
    monkeypatch.setattr(asymptotic, "MAX_EIGENVALUES", 100)
    found = kcm.KCMTest(Gaussian(), method="low-rank", tolerance=1e-9).run(moment)
    law, exact = found.null_distribution, every.null_distribution
    assert isinstance(law, LeadingSpectrum)
    for z in TAILS:
        t = exact.mean + z * exact.sd
        low, high = law.computation_interval(t, law.pvalue(t))
        assert low * (1 - 1e-6) <= exact.pvalue(t) <= high * (1 + 1e-6)


def test_the_summary_names_the_law_and_prints_a_bound(rng, monkeypatch):
    monkeypatch.setattr(asymptotic, "MAX_EIGENVALUES", 100)
    result = kcm.KCMTest(Gaussian()).run(fit(rng, 300, 1))
    assert "leading eigenvalues and three cumulants of the rest" in str(result.summary())
    assert pvalue_words(0.02, "exact", (0.0195, 0.0205)) == "0.0200"
    assert pvalue_words(0.02, "exact", (0.0, 0.0301)) == "< 0.0301"
