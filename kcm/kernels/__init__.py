"""Kernels on the conditioning variables.

A kernel is a function of two points; kernels combine by ``+``, ``*``, ``**`` and scaling. Every
bandwidth is a length in the units of the data, or a rule that finds one.
"""

from kcm.kernels.additive import Additive
from kcm.kernels.bandwidth import (
    BandwidthRule,
    CityBlockMedian,
    CoordinatewiseMedian,
    MedianHeuristic,
    RuleOfThumb,
)
from kcm.kernels.base import Constant, Kernel, Power, Product, Scaled, Sum
from kcm.kernels.discrete import AitchisonAitken, Kronecker, WangVanRyzin
from kcm.kernels.energy import Energy
from kcm.kernels.frames import for_frame
from kcm.kernels.hsiao_li_racine import HsiaoLiRacine
from kcm.kernels.icm import ICM
from kcm.kernels.linear import Linear
from kcm.kernels.linear_index import LinearIndex
from kcm.kernels.matern import Matern
from kcm.kernels.orthant import Orthant
from kcm.kernels.polynomial import Polynomial
from kcm.kernels.precomputed import Precomputed
from kcm.kernels.projection import Projection
from kcm.kernels.rational_quadratic import RationalQuadratic
from kcm.kernels.single_directions import single_directions
from kcm.kernels.smooth import Smooth
from kcm.kernels.smooth_icm import SmoothICM
from kcm.kernels.spectral import Spectral
from kcm.kernels.stationary import Gaussian, InverseMultiquadric, Laplace
from kcm.kernels.subspace import Subspace
from kcm.kernels.translation import from_sklearn

__all__ = [
    "ICM",
    "Additive",
    "AitchisonAitken",
    "BandwidthRule",
    "CityBlockMedian",
    "Constant",
    "CoordinatewiseMedian",
    "Energy",
    "Gaussian",
    "HsiaoLiRacine",
    "InverseMultiquadric",
    "Kernel",
    "Kronecker",
    "Laplace",
    "Linear",
    "LinearIndex",
    "Matern",
    "MedianHeuristic",
    "Orthant",
    "Polynomial",
    "Power",
    "Precomputed",
    "Product",
    "Projection",
    "RationalQuadratic",
    "RuleOfThumb",
    "Scaled",
    "Smooth",
    "SmoothICM",
    "Spectral",
    "Subspace",
    "Sum",
    "WangVanRyzin",
    "for_frame",
    "from_sklearn",
    "single_directions",
]

# for the other rooms
from kcm.kernels._anchored import AnchoredKernel as AnchoredKernel
from kcm.kernels._scaled import everywhere_by_differences as everywhere_by_differences
from kcm.kernels._scaled import measures_distances as measures_distances
from kcm.kernels.base import check_definite as check_definite
from kcm.kernels.frames import for_kinds as for_kinds
from kcm.kernels.frames import scales_for_kinds as scales_for_kinds
