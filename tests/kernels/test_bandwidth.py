"""Bandwidth rules against slow loops, the authors' numbers and their invariances."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import pdist

from kcm.exceptions import DataError, TiedDistancesWarning
from kcm.kernels import CityBlockMedian, CoordinatewiseMedian, Gaussian, MedianHeuristic
from kcm.kernels._median import mean_positive_distance, median_distance
from kcm.kernels.bandwidth import MAX_ROWS


def slow_median_heuristic(x):
    z = x / x.std(axis=0)
    distances = [np.linalg.norm(a - b) for i, a in enumerate(z) for b in z[:i]]
    return x.std(axis=0) * np.median(distances) / np.sqrt(2)


def slow_coordinatewise_median(x):
    squares = [[(a - b) ** 2 for i, a in enumerate(c) for b in c[:i] if a != b] for c in x.T]
    return np.sqrt([np.median(s) / 2 for s in squares])


@pytest.mark.parametrize("d", [1, 2, 5])
def test_median_heuristic_equals_a_slow_loop(d, rng):
    x = rng.normal(size=(40, d)) * np.arange(1, d + 1)
    np.testing.assert_allclose(MedianHeuristic()(x), slow_median_heuristic(x), rtol=1e-13)


def test_median_heuristic_makes_the_median_pair_exp_minus_one(rng):
    x = rng.normal(size=(41, 3)) * [1, 10, 100]
    z = x / MedianHeuristic()(x)
    squares = ((z[:, None] - z[None]) ** 2).sum(axis=2)[np.triu_indices(41, 1)]
    # the median of an even number of distances is between two of them, so are the squares
    assert np.exp(-np.median(squares) / 2) == pytest.approx(np.exp(-1), rel=1e-4)


@given(arrays(float, (12, 2), elements=st.integers(-4, 4).map(float)))
def test_coordinatewise_median_equals_a_slow_loop_with_ties(x):
    x = np.vstack([x, [[-5.0, -5.0], [5.0, 5.0]]])
    np.testing.assert_allclose(CoordinatewiseMedian()(x), slow_coordinatewise_median(x), rtol=1e-12)


@pytest.mark.parametrize("n", [3, 4, 40, 41])
def test_coordinatewise_median_equals_a_slow_loop(n, rng):
    x = rng.normal(size=(n, 2))
    np.testing.assert_allclose(CoordinatewiseMedian()(x), slow_coordinatewise_median(x), rtol=1e-13)


@pytest.mark.parametrize("name", ["hom60", "het60", "simeq60"])
def test_coordinatewise_median_equals_the_authors(name, reference):
    columns = {"hom60": ["x1", "x2", "x3"], "het60": ["x1", "x2", "x3"], "simeq60": ["r", "w"]}
    x = reference(f"authors/{name}.csv")[columns[name]].to_numpy()
    values = reference("authors/values.csv")
    sigma = values[(values.dataset == name) & (values.test == "median_full")]
    expected = sigma[sigma.quantity.str.startswith("sigma")].value.to_numpy()
    np.testing.assert_allclose(CoordinatewiseMedian()(x), expected, rtol=1e-14)


@pytest.mark.parametrize("n", [40, 1_100])
def test_city_block_median_equals_a_slow_loop(n, rng):
    x = rng.normal(size=(n, 3)) * [1, 10, 100]
    z = x / x.std(axis=0)
    distances = [np.abs(z[i] - z[:i]).sum(axis=1) for i in range(n)]
    expected = x.std(axis=0) * np.median(np.concatenate(distances))
    np.testing.assert_allclose(CityBlockMedian()(x), expected, rtol=1e-13)


rules = pytest.mark.parametrize(
    "rule", [MedianHeuristic(), CityBlockMedian(), CoordinatewiseMedian()]
)


@rules
@pytest.mark.parametrize("n", [50, MAX_ROWS + 1])
def test_equivariant_to_shift_scale_and_order(rule, n, rng):
    x = rng.normal(size=(n, 2))
    h = rule(x)
    scale, shift = np.array([1e-9, 1e9]), np.array([1e-3, -1e15])
    np.testing.assert_allclose(rule(x * scale + shift) / scale, h, rtol=1e-6)
    np.testing.assert_allclose(rule(rng.permutation(x)), h, rtol=1e-12)
    np.testing.assert_allclose(rule(-x[:, ::-1])[::-1], h, rtol=1e-12)


def test_the_subsample_is_close_to_the_whole(rng):
    x = rng.normal(size=(MAX_ROWS + 500, 2))
    z = x / x.std(axis=0)
    pairs = rng.integers(len(x), size=(2, 400_000))
    whole = np.median(np.linalg.norm(z[pairs[0]] - z[pairs[1]], axis=1))
    np.testing.assert_allclose(MedianHeuristic()(x), x.std(axis=0) * whole / np.sqrt(2), rtol=0.02)


def test_ties_fall_back_to_the_mean_of_the_other_distances_and_say_so():
    x = np.array([[0.0]] * 8 + [[1.0], [3.0]])
    with pytest.warns(TiedDistancesWarning, match="mean of the distances that are not zero"):
        h = MedianHeuristic()(x)
    np.testing.assert_allclose(h, (8 * 1 + 8 * 3 + 2) / 17 / np.sqrt(2), rtol=1e-13)


@rules
@pytest.mark.parametrize("value", [0.0, 0.1, 1e17])
def test_a_constant_column_is_refused(rule, value, rng):
    x = np.column_stack([rng.normal(size=20), np.full(20, value)])
    with pytest.raises(DataError, match=r"'x1', 'x2' are the same in every row .*leave them out"):
        rule(np.ones((5, 2)))
    with pytest.raises(DataError, match="'x2' is the same in every row"):
        rule(x)


def test_a_number_is_used_as_given(rng):
    x = 1e6 * rng.normal(size=(20, 2))
    assert repr(Gaussian(3.0).resolve(x)) == "Gaussian(bandwidth=3)"


def _alternating(rng, n, d):
    """Every fourth row is far away: rows at equal distances are not like the others."""
    return 100.0 * (np.arange(n) % 4 == 3)[:, None] + 0.1 * rng.normal(size=(n, d))


SAMPLES = {
    "normal": lambda rng, n, d: rng.normal(size=(n, d)),
    "three values": lambda rng, n, d: rng.integers(0, 3, size=(n, d)).astype(float),
    "alternating": _alternating,
    "heavy tails": lambda rng, n, d: rng.standard_cauchy(size=(n, d)),
}


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
@pytest.mark.parametrize(("n", "d"), [(5, 1), (1_024, 3), (1_025, 2), (1_300, 5), (2_049, 1)])
def test_the_median_of_all_distances_is_found_by_blocks(n, d, sample, rng):
    """Referee: all distances at once, to the last bit."""
    points = sample(rng, n, d)
    distances = pdist(points)
    mean = distances[distances > 0].mean()
    assert median_distance(points) == np.median(distances)
    assert mean_positive_distance(points) == pytest.approx(mean, rel=1e-12)


def test_the_median_holds_few_of_the_distances(rng):
    """There are 67 MB of them."""
    points = rng.normal(size=(4_096, 5))
    tracemalloc.start()
    median_distance(points)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
