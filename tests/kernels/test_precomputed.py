"""A Gram matrix of one's own. Referee: the kernel that it was computed with."""

import pickle

import jax.numpy as jnp
import numpy as np
import pytest

import kcm
from kcm import gram
from kcm.exceptions import DataError, OptionError
from kcm.gram.blocks import in_precision
from kcm.kernels import Gaussian, Precomputed

N = 60


@pytest.fixture
def x(rng):
    return rng.normal(size=(N, 2))


@pytest.fixture
def matrix(x):
    return gram.matrix(Gaussian(1.0), x)


def test_the_matrix_comes_back(matrix):
    np.testing.assert_array_equal(gram.matrix(Precomputed(matrix), np.arange(N)), matrix)
    np.testing.assert_array_equal(gram.diagonal(Precomputed(matrix), np.arange(N)), np.diag(matrix))


def test_any_rows_in_any_order(matrix, rng):
    rows, columns = rng.integers(0, N, 20), rng.integers(0, N, 7)
    found = gram.cross(Precomputed(matrix), rows, columns)
    np.testing.assert_array_equal(found, matrix[np.ix_(rows, columns)])


@pytest.mark.parametrize("method", ["exact", "low-rank"])
@pytest.mark.parametrize("statistic", ["U", "V"])
@pytest.mark.parametrize("precision", ["mixed", "single"])
@pytest.mark.parametrize("null", [kcm.Asymptotic(), kcm.MultiplierBootstrap(99)])
def test_a_test_is_that_of_the_kernel(matrix, x, rng, method, statistic, precision, null):
    psi = rng.normal(size=N)
    options = {"statistic": statistic, "null": null, "method": method, "precision": precision}
    expected = kcm.KCMTest(Gaussian(1.0), **options).run(kcm.FittedMoment(psi, x), rng=3)
    moment = kcm.FittedMoment(psi, np.arange(N))
    found = kcm.KCMTest(Precomputed(matrix), **options).run(moment, rng=3)
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(found.pvalue, expected.pvalue, atol=0.011)


def test_rows_left_out_of_the_test(matrix, x, rng):
    psi, kept = rng.normal(size=N), np.flatnonzero(rng.random(N) < 0.7)
    expected = kcm.KCMTest(Gaussian(1.0)).run(kcm.FittedMoment(psi[kept], x[kept]))
    found = kcm.KCMTest(Precomputed(matrix)).run(kcm.FittedMoment(psi[kept], kept))
    np.testing.assert_allclose(found.pvalue, expected.pvalue, rtol=1e-8)


@pytest.mark.parametrize("n", [N, N - 1])
def test_positions_are_not_moved_in_single_precision(n):
    # constant along its diagonals, so that a shift by a whole number would find other entries
    matrix = np.exp(-np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / 5)
    positions = np.arange(float(n))[:, None]
    kernel, points, _ = in_precision(Precomputed(matrix), positions, "single")
    assert points.dtype == np.float64
    np.testing.assert_array_equal(kernel.cross(jnp.asarray(points), jnp.asarray(points)).shape, n)


def test_what_is_no_position_is_not_a_number(matrix):
    points = jnp.array([[-1.0], [0.5], [float(N)], [0.0]])
    known = np.isfinite(np.diag(Precomputed(matrix).cross(points, points)))
    np.testing.assert_array_equal(known, [False, False, False, True])


def test_a_read_only_copy_is_kept(matrix):
    kernel = Precomputed(matrix)
    before = matrix.copy()
    matrix[:] = 0
    np.testing.assert_array_equal(kernel.values, before)
    with pytest.raises(ValueError, match="read-only"):
        kernel.values[0, 0] = 1
    assert repr(pickle.loads(pickle.dumps(kernel))) == "Precomputed(<60 x 60 matrix>)"


def test_sums_and_products(matrix):
    rows = np.arange(N)
    kernel = 2.0 * Precomputed(matrix) * Precomputed(matrix) + 1.0
    np.testing.assert_allclose(gram.matrix(kernel, rows), 2 * matrix**2 + 1, rtol=1e-14)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((2, 3)), r"must have shape \(n, n\); got \(2, 3\)"),
        (np.ones(3), r"must have shape \(n, n\); got \(3,\)"),
        ([[1.0, np.nan], [np.nan, 1.0]], "must be finite"),
        ([[1.0, 0.5], [0.4, 1.0]], "must be symmetric"),
        ([[-1.0, 0.0], [0.0, 1.0]], "its diagonal has negative entries"),
        (np.zeros((2, 2)), "or all entries are zero"),
        ([["a"]], "must be a number"),
    ],
)
def test_what_is_no_gram_matrix_is_refused(matrix, message):
    with pytest.raises(OptionError, match=message):
        Precomputed(matrix)


@pytest.mark.parametrize(
    "conditioning", [np.arange(1, N + 1), np.linspace(0, 1, N), np.ones((N, 2)).cumsum(axis=0) - 1]
)
def test_other_conditioning_variables_are_refused(matrix, conditioning, rng):
    moment = kcm.FittedMoment(rng.normal(size=N), conditioning)
    with pytest.raises(DataError, match="one column of row positions of the matrix, 0 to 59"):
        kcm.KCMTest(Precomputed(matrix)).run(moment)
