"""Kernels of scikit-learn, translated."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

from kcm.exceptions import OptionError
from kcm.kernels.base import Constant, Kernel, Power
from kcm.kernels.linear import Linear
from kcm.kernels.matern import SMOOTHNESS, Matern
from kcm.kernels.rational_quadratic import RationalQuadratic
from kcm.kernels.stationary import Gaussian

__all__ = ["from_sklearn"]


def from_sklearn(kernel: Any) -> Kernel:
    """Translate a kernel of `sklearn.gaussian_process.kernels`.

    Parameters
    ----------
    kernel : sklearn kernel
        RBF, Matern with nu in {0.5, 1.5, 2.5, inf}, RationalQuadratic, ConstantKernel, DotProduct,
        and their sums, products and whole powers. Of a fitted Gaussian process, pass `kernel_`.

    Returns
    -------
    Kernel
        With the length scales as they are, as bandwidths in the units of the data.

    Raises
    ------
    OptionError
        For any other kernel.

    Examples
    --------
    >>> from sklearn.gaussian_process.kernels import RBF, ConstantKernel
    >>> from_sklearn(RBF(2.0) + ConstantKernel(0.5))
    Gaussian(bandwidth=2) + Constant(value=0.5)
    """
    cls = type(kernel)
    translate = _TRANSLATIONS.get(cls.__name__)
    if translate is None or cls.__module__ != "sklearn.gaussian_process.kernels":
        raise OptionError(
            f"`kernel` must be one of {', '.join(_TRANSLATIONS)} of scikit-learn; got "
            f"{cls.__name__}.{_REASONS.get(cls.__name__, '')}"
        )
    return translate(kernel)


def _matern(kernel: Any) -> Kernel:
    if np.isinf(kernel.nu):
        return Gaussian(kernel.length_scale)
    if kernel.nu not in SMOOTHNESS:
        raise OptionError(f"`kernel` is a Matern with nu = {kernel.nu}; take 0.5, 1.5, 2.5 or inf.")
    return Matern(kernel.length_scale, float(kernel.nu))


def _power(kernel: Any) -> Kernel:
    if kernel.exponent != int(kernel.exponent) or kernel.exponent < 1:
        raise OptionError(
            f"`kernel` has the exponent {kernel.exponent}; only powers of a whole exponent of at "
            "least 1 are sure to be positive semi-definite."
        )
    return Power(from_sklearn(kernel.kernel), int(kernel.exponent))


# By the name of the class, so that scikit-learn need not be imported.
_TRANSLATIONS: MappingProxyType[str, Callable[[Any], Kernel]] = MappingProxyType(
    {
        "RBF": lambda k: Gaussian(k.length_scale),
        "Matern": _matern,
        "RationalQuadratic": lambda k: RationalQuadratic(k.length_scale, k.alpha),
        "ConstantKernel": lambda k: Constant(k.constant_value),
        "DotProduct": lambda k: Linear() + Constant(k.sigma_0**2),
        "Sum": lambda k: from_sklearn(k.k1) + from_sklearn(k.k2),
        "Product": lambda k: from_sklearn(k.k1) * from_sklearn(k.k2),
        "Exponentiation": _power,
    }
)
_REASONS = MappingProxyType(
    {
        "WhiteKernel": " White noise relates no two observations to each other: leave it out.",
        "ExpSineSquared": " For a period condition on the sine and the cosine of the variable, "
        "with a Gaussian.",
    }
)
