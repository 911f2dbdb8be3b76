"""Kernel conditional moment tests of fitted models, and estimation from conditional moments.

>>> import statsmodels.formula.api as smf
>>> import kcm
>>> fit = smf.ols("logwage ~ age", data=kcm.datasets.load_cps71()).fit()
>>> kcm.specification_test(fit).pvalue < 0.05
True
"""

from importlib import import_module
from pkgutil import resolve_name
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kcm.exceptions import (
    BoundaryWarning,
    ConvergenceWarning,
    DataError,
    DependenceWarning,
    FewClustersWarning,
    ForkedProcessError,
    IdentificationError,
    KCMError,
    MissingRowsWarning,
    MomentError,
    OptionError,
    RegularizationBiasWarning,
    SaturatedModelError,
    TiedDistancesWarning,
    UnsupportedModelError,
    WeakInstrumentsWarning,
)

if TYPE_CHECKING:
    from kcm import datasets, gram, kernels, simulation
    from kcm.adapters import first_stage_strength
    from kcm.comparison import ComparisonRow, ComparisonTable, compare_tests
    from kcm.embedding import ConditionalMomentEmbedding
    from kcm.estimators import MMR, VMM, ConfidenceSet, EstimationResults
    from kcm.estimators.rkhs_iv import RKHSIV
    from kcm.moments import (
        ConditionalMoment,
        FirstStageStrength,
        FittedMoment,
        MomentLabels,
        leverage_scale,
        stack_equations,
    )
    from kcm.null import Asymptotic, MultiplierBootstrap, StudentizedNormal
    from kcm.specification import (
        KCMTest,
        KCMTestResult,
        PenalizedMaximum,
        power,
        sample_size,
        specification_test,
    )

__all__ = [
    "MMR",
    "RKHSIV",
    "VMM",
    "Asymptotic",
    "BoundaryWarning",
    "ComparisonRow",
    "ComparisonTable",
    "ConditionalMoment",
    "ConditionalMomentEmbedding",
    "ConfidenceSet",
    "ConvergenceWarning",
    "DataError",
    "DependenceWarning",
    "EstimationResults",
    "FewClustersWarning",
    "FirstStageStrength",
    "FittedMoment",
    "ForkedProcessError",
    "IdentificationError",
    "KCMError",
    "KCMTest",
    "KCMTestResult",
    "MissingRowsWarning",
    "MomentError",
    "MomentLabels",
    "MultiplierBootstrap",
    "OptionError",
    "PenalizedMaximum",
    "RegularizationBiasWarning",
    "SaturatedModelError",
    "StudentizedNormal",
    "TiedDistancesWarning",
    "UnsupportedModelError",
    "WeakInstrumentsWarning",
    "compare_tests",
    "datasets",
    "first_stage_strength",
    "gram",
    "kernels",
    "leverage_scale",
    "power",
    "sample_size",
    "simulation",
    "specification_test",
    "stack_equations",
]

# Everything but the exceptions is imported when it is first asked for, so that no call waits for
# what it does not use.
_PLACES: MappingProxyType[str, str] = MappingProxyType(
    {
        "MMR": "kcm.estimators:MMR",
        "RKHSIV": "kcm.estimators.rkhs_iv:RKHSIV",
        "VMM": "kcm.estimators:VMM",
        "Asymptotic": "kcm.null:Asymptotic",
        "ComparisonRow": "kcm.comparison:ComparisonRow",
        "ComparisonTable": "kcm.comparison:ComparisonTable",
        "ConditionalMoment": "kcm.moments:ConditionalMoment",
        "ConditionalMomentEmbedding": "kcm.embedding:ConditionalMomentEmbedding",
        "ConfidenceSet": "kcm.estimators:ConfidenceSet",
        "EstimationResults": "kcm.estimators:EstimationResults",
        "FirstStageStrength": "kcm.moments:FirstStageStrength",
        "FittedMoment": "kcm.moments:FittedMoment",
        "KCMTest": "kcm.specification:KCMTest",
        "KCMTestResult": "kcm.specification:KCMTestResult",
        "MomentLabels": "kcm.moments:MomentLabels",
        "MultiplierBootstrap": "kcm.null:MultiplierBootstrap",
        "PenalizedMaximum": "kcm.specification:PenalizedMaximum",
        "StudentizedNormal": "kcm.null:StudentizedNormal",
        "compare_tests": "kcm.comparison:compare_tests",
        "datasets": "kcm.datasets",
        "first_stage_strength": "kcm.adapters:first_stage_strength",
        "gram": "kcm.gram",
        "kernels": "kcm.kernels",
        "leverage_scale": "kcm.moments:leverage_scale",
        "power": "kcm.specification:power",
        "sample_size": "kcm.specification:sample_size",
        "simulation": "kcm.simulation",
        "specification_test": "kcm.specification:specification_test",
        "stack_equations": "kcm.moments:stack_equations",
    }
)


# Packages of which the reference has a name, as in kcm.comparison.names().
_PACKAGES = frozenset(
    {
        "adapters",
        "comparison",
        "data",
        "embedding",
        "estimators",
        "moments",
        "null",
        "reporting",
        "specification",
        "statistic",
    }
)


def __getattr__(name: str) -> Any:
    """Import a public name, or a package, when it is asked for."""
    if name in _PACKAGES:
        return import_module(f"{__name__}.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return resolve_name(_PLACES[name])


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
