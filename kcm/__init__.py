"""Kernel conditional moment tests of fitted models, and estimation from conditional moments.

>>> import statsmodels.formula.api as smf
>>> import kcm
>>> fit = smf.ols("logwage ~ age", data=kcm.datasets.load_cps71()).fit()
>>> kcm.specification_test(fit).pvalue < 0.05
True
"""

from typing import TYPE_CHECKING, Any

from kcm import datasets, gram, kernels
from kcm.estimators import MMR, VMM, ConfidenceSet, EstimationResults
from kcm.exceptions import (
    BoundaryWarning,
    ConvergenceWarning,
    DataError,
    DependenceWarning,
    FewClustersWarning,
    IdentificationError,
    KCMError,
    MissingRowsWarning,
    MomentError,
    OptionError,
    RegularizationBiasWarning,
    SaturatedModelError,
    TiedDistancesWarning,
    UnsupportedModelError,
)
from kcm.leverage import leverage_scale
from kcm.moments import ConditionalMoment, FittedMoment, MomentLabels
from kcm.null import Asymptotic, MultiplierBootstrap
from kcm.omnibus import KCMTest
from kcm.results import KCMTestResult
from kcm.specification import specification_test
from kcm.systems import stack_equations

if TYPE_CHECKING:
    from kcm.estimators.rkhs_iv import RKHSIV

__all__ = [
    "MMR",
    "RKHSIV",
    "VMM",
    "Asymptotic",
    "BoundaryWarning",
    "ConditionalMoment",
    "ConfidenceSet",
    "ConvergenceWarning",
    "DataError",
    "DependenceWarning",
    "EstimationResults",
    "FewClustersWarning",
    "FittedMoment",
    "IdentificationError",
    "KCMError",
    "KCMTest",
    "KCMTestResult",
    "MissingRowsWarning",
    "MomentError",
    "MomentLabels",
    "MultiplierBootstrap",
    "OptionError",
    "RegularizationBiasWarning",
    "SaturatedModelError",
    "TiedDistancesWarning",
    "UnsupportedModelError",
    "datasets",
    "gram",
    "kernels",
    "leverage_scale",
    "specification_test",
    "stack_equations",
]


def __getattr__(name: str) -> Any:
    """Import what needs scikit-learn when it is asked for."""
    if name == "RKHSIV":
        from kcm.estimators.rkhs_iv import RKHSIV

        return RKHSIV
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
