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

# for the other rooms
from kcm.null.asymptotic import MAX_EIGENVALUES as MAX_EIGENVALUES
from kcm.null.base import with_groups as with_groups
from kcm.null.certificate import Certificate as Certificate
from kcm.null.certificate import method_rows as method_rows
from kcm.null.certified import Computation as Computation
from kcm.null.certified import Method as Method
from kcm.null.certified import Outcome as Outcome
from kcm.null.certified import Problem as Problem
from kcm.null.certified import exact_outcome as exact_outcome
from kcm.null.certified import left_open as left_open
from kcm.null.certified import open_levels as open_levels
from kcm.null.certified import released as released
from kcm.null.digits import pvalue_text as pvalue_text
from kcm.null.leading_spectrum import KNOWN as KNOWN
from kcm.null.multipliers import rademacher as rademacher
from kcm.null.stopping import TIE as TIE
from kcm.null.stopping import AllDraws as AllDraws
