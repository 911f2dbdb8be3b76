"""The kernels that every property of a kernel is tested on."""

import numpy as np
import pytest

from kcm.kernels import (
    ICM,
    Additive,
    Constant,
    Gaussian,
    InverseMultiquadric,
    Laplace,
    Linear,
    LinearIndex,
    Matern,
    Orthant,
    Polynomial,
    Projection,
    RationalQuadratic,
    Smooth,
    SmoothICM,
    Spectral,
    Subspace,
)

# Points of another sample, of which some are tied and one lies above all others, and directions.
POINTS = np.random.default_rng(7).normal(size=(40, 3)).round(1)
POINTS[29] = 9.0
POINTS[30:] = POINTS[:10]
DIRECTIONS = POINTS[:7]

SINGLE = {
    "gaussian": Gaussian(1.3),
    "gaussian-ard": Gaussian([0.7, 1.3, 2.0]),
    "laplace": Laplace(1.3),
    "laplace-ard": Laplace([0.7, 1.3, 2.0]),
    "imq": InverseMultiquadric(1.3),
    "imq-exponent": InverseMultiquadric([0.7, 1.3, 2.0], exponent=1.5),
    "matern-1/2": Matern(1.3, nu=0.5),
    "matern-3/2": Matern(1.3),
    "matern-5/2-ard": Matern([0.7, 1.3, 2.0], nu=2.5),
    "rational-quadratic": RationalQuadratic(1.3),
    "rational-quadratic-alpha": RationalQuadratic([0.7, 1.3, 2.0], alpha=0.4),
    "icm": ICM(spread=1.5, scale=[0.7, 1.3, 2.0]),
    "icm-gaussian": ICM("gaussian", scale=1.3),
    "smooth": Smooth([0.7, 1.3, 2.0]),
    "smooth-laplace": Smooth(0.8, "laplace"),
    "smooth-triangular": Smooth([0.7, 1.3, 2.0], "triangular"),
    "smooth-icm": SmoothICM([0.7, 1.3, 2.0], DIRECTIONS),
    "smooth-icm-laplace": SmoothICM(0.8, DIRECTIONS, "laplace"),
    "constant": Constant(0.4),
    "additive": Additive(Gaussian([0.7, 1.3, 2.0])),
    "additive-laplace": Additive(Laplace(1.3)),
    "additive-matern-5/2": Additive(Matern([0.7, 1.3, 2.0], nu=2.5)),
    "additive-smooth": Additive(Smooth([0.7, 1.3, 2.0], "triangular")),
    "index": LinearIndex([1.0, -0.5, 2.0], Gaussian(1.3)),
    "index-two-rows": LinearIndex([[1.0, -0.5, 2.0], [0.0, 3.0, 1.0]], Laplace(1.3)),
}
COMPOSED = {
    "sum": Gaussian(1.3) + Laplace(0.8),
    "sum-number": Gaussian(1.3) + 1.0,
    "product": Gaussian(1.3) * InverseMultiquadric(2.0),
    "scaled": 2.5 * Laplace(1.3),
    "power": Gaussian(1.3) ** 3,
    "subspace": Subspace(Gaussian(1.3), [0, 2]),
    "nested": (Subspace(Laplace(0.8), 1) + 0.5 * Gaussian(1.3)) ** 2,
}
# These do not change when all points are shifted.
STATIONARY = SINGLE | COMPOSED
LINEAR = {
    "linear": Linear(1.3),
    "linear-ard": Linear([0.7, 1.3, 2.0]),
    "linear-affine": 1.0 + Linear(0.8),
    "polynomial": Polynomial(3, scale=0.5, intercept=2.0),
    "polynomial-homogeneous": Polynomial(intercept=0.0),
}
BOUNDED = {
    "icm-arctan": ICM(spread=0.9, transform="arctan", location=0.3, scale=[0.7, 1.3, 2.0]),
    "icm-arctan-gaussian": ICM("gaussian", 2.0, "arctan", location=[0.3, 0.0, -0.1], scale=1.3),
}
ANCHORED = {
    "orthant": Orthant(POINTS),
    "orthant-sum": 0.5 * Orthant(POINTS) + Gaussian(1.3),
    "projection": Projection(POINTS),
    "spectral": Spectral(Gaussian(1.3), 0.1).resolve(POINTS),
    "spectral-laplace": Spectral(Laplace([0.7, 1.3, 2.0]), 1.0).resolve(POINTS),
}
KERNELS = STATIONARY | LINEAR | BOUNDED | ANCHORED

# One of each construction: a kernel of each takes a program of its own.
FEW = {
    "gaussian-ard",
    "laplace",
    "imq-exponent",
    "matern-3/2",
    "rational-quadratic-alpha",
    "icm",
    "smooth-triangular",
    "smooth-icm",
    "additive",
    "index-two-rows",
    "sum",
    "nested",
    "polynomial",
    "icm-arctan",
    "orthant",
    "projection",
    "spectral-laplace",
}
# The checks take these, a study the others.
FEW_ALWAYS = [
    pytest.param(kernel, id=name, marks=[] if name in FEW else pytest.mark.study)
    for name, kernel in KERNELS.items()
]
