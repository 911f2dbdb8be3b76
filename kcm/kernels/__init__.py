"""Kernels on the conditioning variables.

A kernel is a function of two points; kernels combine by ``+``, ``*``, ``**`` and scaling. Every
bandwidth is a length in the units of the data, or a rule that finds one.
"""

from kcm.kernels.bandwidth import BandwidthRule, CoordinatewiseMedian, MedianHeuristic
from kcm.kernels.base import Constant, Kernel, Power, Product, Scaled, Subspace, Sum
from kcm.kernels.linear import Linear
from kcm.kernels.stationary import Gaussian, InverseMultiquadric, Laplace

__all__ = [
    "BandwidthRule",
    "Constant",
    "CoordinatewiseMedian",
    "Gaussian",
    "InverseMultiquadric",
    "Kernel",
    "Laplace",
    "Linear",
    "MedianHeuristic",
    "Power",
    "Product",
    "Scaled",
    "Subspace",
    "Sum",
]
