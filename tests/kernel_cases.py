"""The kernels that every property of a kernel is tested on."""

from kcm.kernels import (
    Constant,
    Gaussian,
    InverseMultiquadric,
    Laplace,
    Linear,
    Matern,
    Polynomial,
    RationalQuadratic,
    Subspace,
)

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
    "constant": Constant(0.4),
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
KERNELS = STATIONARY | LINEAR
