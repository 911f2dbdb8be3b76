"""Fitted results of statsmodels and linearmodels, turned into a `kcm.FittedMoment`.

Neither library is imported here: a fit is recognised by the name of its class.
"""

from kcm.adapters.dependence import fit_clusters, fit_panel
from kcm.adapters.dispatch import align_to_fit, fit_column, fit_name, fitted_moment
from kcm.adapters.estimate import CLUSTERED, SERIAL
from kcm.adapters.estimation import is_estimation, own_groups, own_kernel
from kcm.adapters.first_stage import first_stage_strength

__all__ = [
    "CLUSTERED",
    "SERIAL",
    "align_to_fit",
    "first_stage_strength",
    "fit_clusters",
    "fit_column",
    "fit_name",
    "fit_panel",
    "fitted_moment",
    "is_estimation",
    "own_groups",
    "own_kernel",
]

# for the other rooms
from kcm.adapters.bar import bar_position as bar_position
