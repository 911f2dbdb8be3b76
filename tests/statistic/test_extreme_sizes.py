"""Residuals and weights of any size. Referee: the same numbers in common units."""

import warnings
from typing import Any

import numpy as np
import pytest

import kcm
from kcm.kernels import Gaussian
from kcm.null import WeightedChiSquare
from kcm.statistic.border import covariance_root

X = np.random.default_rng(0).normal(size=40)
PSI = 0.5 * X**2 + np.random.default_rng(1).normal(size=40)
TESTS: dict[str, dict[str, Any]] = {
    "one kernel": {"kernel": Gaussian()},
    "adaptive": {"kernel": "adaptive"},
    "bootstrap": {"kernel": Gaussian(), "null": kcm.MultiplierBootstrap(99)},
    "studentized": {"kernel": Gaussian(), "null": kcm.MultiplierBootstrap(99, studentize=True)},
    "normal": {"kernel": Gaussian(0.3), "null": kcm.StudentizedNormal()},
    "penalized": {"kernel": kcm.PenalizedMaximum([Gaussian(), Gaussian(0.5)])},
    "penalized draws": {
        "kernel": kcm.PenalizedMaximum([Gaussian(), Gaussian(0.5)]),
        "null": kcm.MultiplierBootstrap(99),
    },
}


def pvalue(name: str, factor: float) -> float:
    return kcm.KCMTest(**TESTS[name]).run(kcm.FittedMoment(factor * PSI, X), rng=0).pvalue


@pytest.mark.parametrize("name", TESTS)
@pytest.mark.parametrize("factor", [1e-69, 1e-30, 1e30, 1e69])
def test_units_of_residuals(name: str, factor: float):
    assert pvalue(name, factor) == pytest.approx(pvalue(name, 1.0), rel=1e-9)


@pytest.mark.parametrize("name", TESTS)
@pytest.mark.parametrize(
    ("factor", "told"), [(1e-100, "multiply them, or the outcome"), (1e100, "divide them, or")]
)
def test_beyond_is_refused(name: str, factor: float, told: str):
    with pytest.raises(kcm.DataError, match=told):
        pvalue(name, factor)


def test_cumulants_of_large_weights():
    one, large = WeightedChiSquare([3.0, -1.0]), WeightedChiSquare([3e200, -1e200])
    assert large.sd == pytest.approx(1e200 * one.sd)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert large.variance == np.inf


def test_root_of_a_covariance_does_not_move_with_rounding():
    """Referee: the definition. Eigenvectors of equal eigenvalues have no order and no sign."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        matrix = np.eye(3) + 1e-14 * rng.normal(size=(3, 3))
        root = covariance_root((matrix + matrix.T) / 2)
        np.testing.assert_allclose(root, np.eye(3), atol=1e-12)
    matrix = np.cov(rng.normal(size=(4, 50)) * np.array([[1e-6], [1.0], [1e3], [1e9]]))
    root = covariance_root(matrix)
    np.testing.assert_allclose(root.T @ root, matrix, rtol=1e-9)
