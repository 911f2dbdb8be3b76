"""Fitted results of statsmodels and linearmodels, turned into a `kcm.FittedMoment`.

Neither library is imported here: a fit is recognised by the name of its class.
"""

from kcm.adapters.dispatch import align_to_fit, fit_column, fit_name, fitted_moment
from kcm.adapters.estimate import DEPENDENT
from kcm.adapters.estimation import own_groups, own_kernel

__all__ = [
    "DEPENDENT",
    "align_to_fit",
    "fit_column",
    "fit_name",
    "fitted_moment",
    "own_groups",
    "own_kernel",
]
