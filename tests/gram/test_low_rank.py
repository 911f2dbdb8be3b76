"""The low-rank factor. Referee: the dense Gram matrix and NumPy."""

import numpy as np
import pytest
from kernel_cases import KERNELS

from kcm import gram
from kcm.gram.pivoted_cholesky import extended, low_rank_factor
from kcm.kernels import Gaussian, Linear


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS.keys())
def test_factor_reproduces_the_gram_matrix(kernel, rng):
    x = rng.normal(size=(70, 3))
    dense = gram.matrix(kernel, x)
    found = low_rank_factor(kernel, x, tolerance=1e-13)
    error = dense - found.factor @ found.factor.T
    assert np.abs(error).max() <= 1e-11 * np.abs(dense).max()


def test_residual_share_is_that_of_the_trace(rng):
    x = rng.normal(size=(200, 2))
    found = low_rank_factor(Gaussian(1.0), x, max_rank=30)
    dense = gram.matrix(Gaussian(1.0), x)
    share = 1 - np.trace(found.factor @ found.factor.T) / np.trace(dense)
    assert found.rank == 30
    assert found.residual_share == pytest.approx(share, rel=1e-8)


def test_residual_is_positive_semidefinite(rng):
    x = rng.normal(size=(120, 2))
    found = low_rank_factor(Gaussian(1.0), x, max_rank=20)
    residual = gram.matrix(Gaussian(1.0), x) - found.factor @ found.factor.T
    assert np.linalg.eigvalsh(residual)[0] > -1e-12


def test_rank_grows_until_the_tolerance_is_met(rng):
    x = rng.normal(size=(300, 1))
    ranks = [low_rank_factor(Gaussian(1.0), x, tolerance=t) for t in (1e-2, 1e-5, 1e-9)]
    assert all(f.residual_share <= t for f, t in zip(ranks, (1e-2, 1e-5, 1e-9), strict=True))
    assert ranks[0].rank <= ranks[1].rank <= ranks[2].rank < 60


def test_factor_of_a_matrix_of_known_rank(rng):
    x = rng.normal(size=(90, 4))
    assert low_rank_factor(1.0 + Linear(), x).rank == 5


def test_factor_is_exact_at_its_pivots(rng):
    x = rng.normal(size=(100, 2))
    found = low_rank_factor(Gaussian(0.7), x, max_rank=25)
    columns = gram.cross(Gaussian(0.7), x, x[found.pivots])
    assert np.abs(found.factor @ found.factor[found.pivots].T - columns).max() < 1e-12


def test_repeated_points_add_no_rank(rng):
    x = np.repeat(rng.normal(size=(12, 2)), 5, axis=0)
    assert low_rank_factor(Gaussian(0.1), x).rank == 12


def test_same_factor_every_time(rng):
    x = rng.normal(size=(150, 3))
    first, second = (low_rank_factor(Gaussian(), x) for _ in range(2))
    assert np.array_equal(first.factor, second.factor)


def test_an_extended_factor_is_the_one_from_scratch_and_keeps_its_columns(rng):
    x = rng.normal(size=(300, 2))
    start = low_rank_factor(Gaussian(1.0), x, tolerance=1e-2)
    found = extended(start, Gaussian(1.0), x, 1e-6, 200)
    whole = low_rank_factor(Gaussian(1.0), x, tolerance=1e-6)
    assert np.array_equal(found.pivots, whole.pivots)
    assert np.array_equal(found.factor, whole.factor)
    assert np.array_equal(found.factor[:, : start.rank], start.factor)
    assert start.rank < found.rank
