"""Kernel conditional moment tests of fitted models.

>>> import statsmodels.formula.api as smf
>>> import kcm
>>> fit = smf.ols("logwage ~ age", data=kcm.datasets.load_cps71()).fit()
>>> kcm.specification_test(fit).pvalue < 0.05
True
"""

from kcm import datasets, gram, kernels
from kcm.exceptions import (
    DataError,
    DependenceWarning,
    FewClustersWarning,
    KCMError,
    MissingRowsWarning,
    OptionError,
    TiedDistancesWarning,
    UnsupportedModelError,
)
from kcm.leverage import leverage_scale
from kcm.moments import FittedMoment, MomentLabels
from kcm.null import Asymptotic, MultiplierBootstrap
from kcm.omnibus import KCMTest
from kcm.results import KCMTestResult
from kcm.specification import specification_test
from kcm.systems import stack_equations

__all__ = [
    "Asymptotic",
    "DataError",
    "DependenceWarning",
    "FewClustersWarning",
    "FittedMoment",
    "KCMError",
    "KCMTest",
    "KCMTestResult",
    "MissingRowsWarning",
    "MomentLabels",
    "MultiplierBootstrap",
    "OptionError",
    "TiedDistancesWarning",
    "UnsupportedModelError",
    "datasets",
    "gram",
    "kernels",
    "leverage_scale",
    "specification_test",
    "stack_equations",
]
