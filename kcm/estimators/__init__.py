"""Estimators: from a conditional moment and data to parameters and a `kcm.FittedMoment`.

`RKHSIV` needs scikit-learn, which is imported with it and not before.
"""

from kcm.estimators.base import Estimator
from kcm.estimators.confidence import ConfidenceSet
from kcm.estimators.convergence import Convergence
from kcm.estimators.fixed import FixedParameters
from kcm.estimators.mmr import MMR
from kcm.estimators.results import EstimationResults
from kcm.estimators.vmm import VMM
from kcm.estimators.wald import WaldTestResult

__all__ = [
    "MMR",
    "VMM",
    "ConfidenceSet",
    "Convergence",
    "EstimationResults",
    "Estimator",
    "FixedParameters",
    "WaldTestResult",
]
