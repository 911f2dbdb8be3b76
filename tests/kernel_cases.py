"""The kernels that every property of a kernel is tested on."""

from kcm.kernels import Constant, Gaussian, InverseMultiquadric, Laplace, Linear, Subspace

SINGLE = {
    "gaussian": Gaussian(1.3),
    "gaussian-ard": Gaussian([0.7, 1.3, 2.0]),
    "laplace": Laplace(1.3),
    "laplace-ard": Laplace([0.7, 1.3, 2.0]),
    "imq": InverseMultiquadric(1.3),
    "imq-exponent": InverseMultiquadric([0.7, 1.3, 2.0], exponent=1.5),
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
}
KERNELS = STATIONARY | LINEAR
