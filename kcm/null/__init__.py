"""Null laws: how large the statistic gets when the model is right."""

from kcm.null.asymptotic import Asymptotic
from kcm.null.base import Null, NullDistribution
from kcm.null.bootstrap import BootstrapDistribution, MultiplierBootstrap
from kcm.null.leading_spectrum import LeadingSpectrum
from kcm.null.normal import NormalLaw
from kcm.null.pearson import PearsonIII
from kcm.null.studentized import StudentizedNormal
from kcm.null.weighted_chi_square import WeightedChiSquare

__all__ = [
    "Asymptotic",
    "BootstrapDistribution",
    "LeadingSpectrum",
    "MultiplierBootstrap",
    "NormalLaw",
    "Null",
    "NullDistribution",
    "PearsonIII",
    "StudentizedNormal",
    "WeightedChiSquare",
]
