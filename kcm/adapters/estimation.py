"""Results of the library's own estimators: their moment is ready as it is."""

from dataclasses import replace
from typing import Any

import numpy as np

from kcm.adapters.conditioning import choose_conditioning
from kcm.adapters.rows import FitRows
from kcm.data import as_table
from kcm.moments import FittedMoment

__all__ = ["estimation_rows", "is_estimation", "own_groups", "own_kernel", "own_moment"]


def is_estimation(fit: Any) -> bool:
    """Tell whether a fit is a `kcm.EstimationResults`, which stands above this module."""
    cls = type(fit)
    return f"{cls.__module__}.{cls.__qualname__}" == "kcm.estimators.results.EstimationResults"


def own_moment(fit: Any, conditioning: Any) -> FittedMoment:
    """Return the fitted moment, conditioned on other variables where they are given."""
    moment: FittedMoment = fit.fitted_moment
    if conditioning is None:
        return moment
    (values, names, kinds, levels), _ = choose_conditioning(estimation_rows(fit), conditioning)
    labels = replace(moment.labels, conditioning=names, kinds=kinds, levels=levels)
    return replace(moment, conditioning=values, labels=labels)


def own_groups(fit: Any) -> Any:
    """Clusters of the covariance of the fit, one per observation; None for independent rows."""
    return fit.groups if is_estimation(fit) else None


def own_kernel(fit: Any) -> Any:
    """Kernel of the estimate; None for fits of other libraries."""
    return fit.kernel if is_estimation(fit) else None


def estimation_rows(fit: Any) -> FitRows:
    """Rows of the data that the estimate used."""
    bound = fit.bound("conditioning")
    table, index = as_table(fit.model.data, "data")
    kept = np.zeros(len(table), bool)
    kept[bound.kept] = True
    return FitRows(
        n_rows=bound.n_obs,
        n_dropped=bound.n_dropped,
        index=bound.index,
        frame=table if index is None else table.set_axis(index, axis=0),
        kept=kept,
    )
