"""Tails of weighted chi-square sums.

Referees: 50-digit quadrature, scipy, closed forms, mpmath along another path, simulation.
"""

import math
import pickle

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kcm.exceptions import DataError, OptionError
from kcm.null.base import NullDistribution
from kcm.null.weighted_chi_square import WeightedChiSquare, upper_tail

# Arguments in standard deviations from the mean.
DISTANCES = (-1.5, -0.5, 0.0, 0.01, 1.0, 3.0, 8.0, 20.0)

mixtures = st.lists(st.floats(-1, 1).filter(lambda w: abs(w) > 1e-6), min_size=1, max_size=40).map(
    np.array
)


def mean_and_sd(weights):
    return weights.sum(), math.sqrt(2 * weights @ weights)


def relative_error(p, expected):
    return abs(float(p / expected) - 1)


def sum_over_pairs(weights, negative, x):
    """P(Q > x), x >= 0, by partial fractions: each positive weight occurs twice, all distinct.

    A pair of weights a is an exponential variable of mean 2 a, and the negative part N enters as
    E exp(-N / (2 a)).
    """
    a = np.asarray(weights)
    others = 1 - a[None, :] / a[:, None] + np.eye(len(a))
    damping = np.prod((1 + np.abs(negative)[None, :] / a[:, None]) ** -0.5, axis=1)
    return float(np.sum(np.exp(-x / (2 * a)) * damping / np.prod(others, axis=1)))


def average_over_angles(a, b, negative, x):
    """P(Q > x), x >= 0, for two positive weights, to 25 digits.

    In polar coordinates the two normal variables have half their squared radius exponential, which
    leaves the average over the angle of exp(-x / (2 g)) prod (1 + |w| / g)^(-1/2).
    """
    largest = max(a, b)

    def value(angle):
        g = a * mpmath.cos(angle) ** 2 + b * mpmath.sin(angle) ** 2
        damping = mpmath.fprod(mpmath.sqrt(1 + abs(w) / g) for w in negative)
        return mpmath.exp(x / (2 * largest) - x / (2 * g)) / damping

    with mpmath.workdps(25):
        angles = mpmath.linspace(0, mpmath.pi / 2, 9)
        scale = mpmath.exp(-mpmath.mpf(x) / (2 * largest)) * 2 / mpmath.pi
        return mpmath.quad(value, angles) * scale


def integral_along_a_ray(weights, x):
    """P(Q > x) for x > 0, to 25 digits: the inversion integral along a ray at 60 degrees."""
    with mpmath.workdps(30):
        start = mpmath.mpf(1) / (4 * max(weights))
        direction = mpmath.expjpi(mpmath.mpf(1) / 3)

        def value(r):
            s = start + r * direction
            logs = mpmath.fsum(mpmath.log(1 - 2 * mpmath.mpf(w) * s) for w in weights)
            return (mpmath.exp(-logs / 2 - s * x) / s * direction).imag

        return (
            mpmath.quad(value, [0, start, 4 * start, 20 * start, 100 * start, mpmath.inf])
            / mpmath.pi
        )


def zero_diagonal_weights(n, d, rng):
    """Eigenvalues of residuals_i k(x_i, x_j) residuals_j without its diagonal, k Gaussian."""
    x, residuals = rng.standard_normal((n, d)), rng.standard_normal(n)
    squared = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    form = np.exp(-squared / np.median(squared)) * np.outer(residuals, residuals) / n
    np.fill_diagonal(form, 0)
    return np.linalg.eigvalsh(form)


# Tables and other software


def test_fifty_digit_quadrature(reference):
    weights = {name: np.array(w) for name, w in reference("chi2/weights.json").items()}
    table = reference("chi2/tails.csv")
    p = np.array([upper_tail(weights[row.weights], row.x) for row in table.itertuples()])
    assert len(p) == 38
    np.testing.assert_allclose(p, table["upper_tail_50_digit_quadrature"], rtol=1e-13)


@pytest.mark.parametrize("df", [1, 2, 5, 40, 400, 2_000])
def test_equal_weights_are_a_chi_square(df):
    weights = np.full(df, 0.37)
    x = df + math.sqrt(2 * df) * np.array(DISTANCES)
    p = [upper_tail(weights, 0.37 * value) for value in x]
    np.testing.assert_allclose(p, stats.chi2.sf(x, df), rtol=2e-12)


@pytest.mark.parametrize("df", [1, 2, 5, 40, 400])
@pytest.mark.parametrize("fraction", [0.9, 0.5, 0.1, 0.02])
def test_lower_tail_of_negative_weights(df, fraction):
    p = upper_tail(np.full(df, -2.0), -2.0 * fraction * df)
    assert relative_error(p, stats.chi2.cdf(fraction * df, df)) < 2e-12


# Closed forms


@pytest.mark.parametrize("x", [1e-9, 0.1, 1.0, 7.0, 60.0, 300.0])
@pytest.mark.parametrize(
    ("positive", "negative"),
    [
        ([1.0], []),
        ([1.0, 0.5], []),
        ([1.0, 0.6, 0.2], []),
        ([1.0], [-1.0, -1.0]),
        ([1.0, 0.25], [-3.0, -3.0, -0.1]),
        ([1e-4], [-1.0]),
        ([1.0], [-1e-9] * 500),
        ([1.0], np.linspace(-0.01, -0.4, 300)),
        ([1.0, 0.3], -np.geomspace(1e-8, 10, 100)),
    ],
)
def test_pairs_of_positive_weights(positive, negative, x):
    weights = np.concatenate([np.repeat(positive, 2), negative])
    expected = sum_over_pairs(positive, np.asarray(negative), x)
    # below 1e-290 doubles lose digits
    assert upper_tail(weights, x) == pytest.approx(expected, rel=1e-12, abs=1e-290)


@pytest.mark.parametrize("x", [-300.0, -5.0, -1e-12, 0.0, 1e-12, 5.0, 300.0])
def test_difference_of_exponentials(x):
    law = stats.laplace_asymmetric(kappa=math.sqrt(3 / 2), scale=math.sqrt(24))
    p = upper_tail(np.array([2.0, 2.0, -3.0, -3.0]), x)  # means 4 and 6
    assert relative_error(p, law.sf(x)) < 1e-13


def test_deep_tail_keeps_its_digits():
    p = upper_tail(np.array([1.0, 1.0, -2.0]), 93.4)
    assert 2.5e-21 < p < 3.5e-21
    assert relative_error(p, math.exp(-46.7) / math.sqrt(3)) < 2e-14


@pytest.mark.parametrize("small", [1.0, 1e-3, 1e-10, 1e-25])
def test_probability_of_a_positive_sum(small):
    p = upper_tail(np.array([small, -1.0]), 0.0)
    assert relative_error(p, 2 / math.pi * math.atan(math.sqrt(small))) < 1e-13


@pytest.mark.parametrize("m", [1, 2, 7, 300])
def test_symmetric_weights(m, rng):
    half = rng.standard_normal(m)
    assert abs(upper_tail(np.concatenate([half, -half]), 0.0) - 0.5) < 1e-14


def test_many_tiny_weights_keep_their_sum():
    # 10,000 weights of 1e-12 are a shift by 1e-8, up to a variance of 1e-20
    weights = np.concatenate([[1.0, 1.0], np.full(10_000, 1e-12)])
    assert relative_error(upper_tail(weights, 30.0), math.exp(-(30.0 - 1e-8) / 2)) < 2e-14


# High precision along another path


@pytest.mark.parametrize("x", [1e-3, 0.7, 4.0, 25.0, 120.0])
@pytest.mark.parametrize(
    ("a", "b", "negative"),
    [
        (1.0, 0.31, (-0.4, -0.22)),
        (0.9, 0.05, ()),
        (0.2, 0.11, (-1.0, -0.7, -0.03)),
        (1, 0.5, (-4,)),
    ],
)
def test_two_positive_weights(a, b, negative, x):
    p = upper_tail(np.array([a, b, *negative], dtype=float), x)
    assert relative_error(p, average_over_angles(a, b, negative, x)) < 1e-13


@pytest.mark.parametrize("x", [0.3, 2.0, 40.0])
@pytest.mark.parametrize("m", [3, 8, 20])
def test_random_mixed_signs(m, x, rng):
    weights = np.append(rng.uniform(-1, 1, m - 1), 0.8)
    assert relative_error(upper_tail(weights, x), integral_along_a_ray(weights, x)) < 1e-13


# Properties


@given(mixtures, st.floats(-4, 9), st.floats(0.01, 3))
def test_monotone(weights, distance, more):
    mean, sd = mean_and_sd(weights)
    first = upper_tail(weights, mean + distance * sd)
    assert upper_tail(weights, mean + (distance + more) * sd) <= first + 1e-15


@given(mixtures, st.floats(-4, 9), st.floats(-200, 200))
def test_scale_equivariant(weights, distance, exponent):
    mean, sd = mean_and_sd(weights)
    x, scale = mean + distance * sd, 10.0**exponent
    expected = upper_tail(weights, x)
    assert upper_tail(scale * weights, scale * x) == pytest.approx(expected, rel=1e-11, abs=0)


@given(mixtures, st.floats(-4, 9))
def test_complement(weights, distance):
    mean, sd = mean_and_sd(weights)
    x = mean + distance * sd
    assert abs(upper_tail(weights, x) + upper_tail(-weights, -x) - 1) < 1e-14


@given(mixtures, st.integers(0, 5))
def test_order_and_zeros_change_nothing(weights, zeros):
    mean, sd = mean_and_sd(weights)
    padded = np.concatenate([np.zeros(zeros), weights[::-1]])
    expected = upper_tail(weights, mean + sd)
    assert upper_tail(padded, mean + sd) == pytest.approx(expected, rel=1e-12, abs=0)


# Boundaries


@pytest.mark.parametrize(
    ("weights", "x", "expected"),
    [
        ([-1.0, -0.2], 0.0, 0.0),
        ([-1.0, -0.2], 3.0, 0.0),
        ([1.0, 0.2], 0.0, 1.0),
        ([1.0, 0.2], -3.0, 1.0),
        ([0.0, 0.0], 0.0, 0.0),
        ([0.0], -1e-300, 1.0),
        ([], 1.0, 0.0),
        ([1.0, -1.0], np.inf, 0.0),
        ([1.0, -1.0], -np.inf, 1.0),
        ([1.0], 1e300, 0.0),
        ([1.0], 5e-324, 1.0),
    ],
)
def test_exact_values(weights, x, expected):
    assert upper_tail(np.array(weights), x) == expected


def test_memory_is_bounded():
    import tracemalloc

    weights = np.random.default_rng(1).standard_normal(200_000)
    tracemalloc.start()
    upper_tail(weights, weights.sum())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30 * 2**20  # 200,000 weights times 48 nodes would be 77 MB an array


@pytest.mark.parametrize("weights", [[[1.0, 2.0]], [1.0, np.nan], [np.inf], ["a"], [1j]])
def test_unusable_weights_are_refused(weights):
    with pytest.raises(DataError, match="`weights`"):
        WeightedChiSquare(weights)


def test_nan_is_refused():
    with pytest.raises(DataError, match="`x`"):
        upper_tail(np.array([1.0]), math.nan)
    with pytest.raises(DataError, match="`shift`"):
        WeightedChiSquare([1.0], math.inf)


# The law


def test_moments():
    law = WeightedChiSquare([3.0, -1.0, 0.0], shift=-2.0)
    assert law.mean == 0.0
    assert law.variance == 20.0
    assert isinstance(law, NullDistribution)
    assert "2 weights" in law.describe()


def test_shift_moves_the_law():
    weights = np.array([1.0, 0.5, -0.3])
    assert WeightedChiSquare(weights, 2.5).pvalue(4.0) == upper_tail(weights, 1.5)


def test_weights_are_a_read_only_copy():
    weights = np.array([1.0, 2.0])
    law = WeightedChiSquare(weights)
    weights[0] = 5.0
    assert law.weights.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        law.weights[0] = 0.0


def test_pickle():
    law = WeightedChiSquare([1.0, -0.5], shift=1.0)
    assert pickle.loads(pickle.dumps(law)).pvalue(2.0) == law.pvalue(2.0)


@pytest.mark.parametrize("weights", [[], [0.0, 0.0]])
def test_degenerate_law(weights):
    law = WeightedChiSquare(weights, shift=1.5)
    assert [law.pvalue(t) for t in (1.0, 1.5, 1.5 + 1e-12)] == [1.0, 1.0, 0.0]
    assert law.critical_value(0.05) == 1.5


@pytest.mark.parametrize("level", [1e-30, 1e-6, 0.01, 0.05, 0.5, 0.9, 0.999999])
@pytest.mark.parametrize(
    "weights",
    [[1.0], [-1.0], [1.0, -1.0], [1.0, 0.2, -0.7], [-1.0, -0.4, 1e-3], [1e-200, 5e-201]],
)
def test_critical_value_inverts_the_pvalue(weights, level):
    law = WeightedChiSquare(weights)
    assert law.pvalue(law.critical_value(level)) == pytest.approx(level, rel=1e-9, abs=0)


@pytest.mark.parametrize("level", [0.001, 0.05, 0.5, 0.95])
@pytest.mark.parametrize("df", [1, 6, 200])
def test_critical_value_of_equal_weights(df, level):
    critical = WeightedChiSquare(np.ones(df), shift=0.25).critical_value(level)
    assert critical == pytest.approx(0.25 + stats.chi2.isf(level, df), rel=1e-10, abs=0)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_level_outside_zero_one_is_refused(level):
    with pytest.raises(OptionError, match="`level`"):
        WeightedChiSquare([1.0]).critical_value(level)


# Simulation


def exceedances(weights, x, rng, draws=200_000, block=2_000):
    """Number of draws of Q above x."""
    count = 0
    for _ in range(draws // block):
        normal = rng.standard_normal((block, weights.size), dtype=np.float32)
        count += int(np.count_nonzero(normal**2 @ weights > x))
    return count


def assert_within_five_standard_errors(p, count, draws=200_000):
    # three more draws, for probabilities of less than one expected draw
    assert abs(count - draws * p) < 5 * math.sqrt(draws * p * (1 - p)) + 3


@pytest.mark.parametrize("distance", [-1.0, 0.0, 0.5, 2.0])
@pytest.mark.parametrize(("n", "d"), [(60, 1), (150, 5)])
def test_diagonal_free_kernel_matrix_by_simulation(n, d, distance, rng):
    weights = zero_diagonal_weights(n, d, rng)
    x = distance * mean_and_sd(weights)[1]
    count = exceedances(weights, x, rng, draws=40_000)
    assert_within_five_standard_errors(upper_tail(weights, x), count, draws=40_000)


@pytest.mark.parametrize(("n", "d"), [(300, 1), (300, 10), (600, 3)])
def test_diagonal_free_kernel_matrix_to_ten_digits(n, d, rng):
    # Two positive weights on top make the law exponential far out; the rest enters exactly.
    weights = zero_diagonal_weights(n, d, rng)
    negative, top = weights[weights < 0], weights.max()
    expected = sum_over_pairs([top], negative, 2 * top)
    assert relative_error(upper_tail(np.append(negative, [top, top]), 2 * top), expected) < 1e-12


def random_mixture(rng):
    """Up to 400 weights of both signs, spread over up to 8 decades, and -3 to 8 sd for x."""
    m = int(np.exp(rng.uniform(0, math.log(400))))
    spread = rng.choice([0.0, 1.0, 4.0, 8.0])
    sizes = 10 ** rng.uniform(-spread, 0, m) * rng.uniform(0.5, 1, m)
    weights = sizes * np.where(rng.random(m) < rng.choice([0.0, 0.2, 0.5, 1.0]), -1.0, 1.0)
    mean, sd = mean_and_sd(weights)
    return weights, mean + sd * rng.uniform(-3, 8)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(300))
def test_random_mixture_by_simulation(seed):
    rng = np.random.default_rng(seed)
    weights, x = random_mixture(rng)
    count = exceedances(weights, x, rng)
    assert_within_five_standard_errors(upper_tail(weights, x), count)
