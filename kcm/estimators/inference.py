"""From the minimum of an objective to the results of an estimation."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from kcm.estimators.first_stage import estimate_strength
from kcm.estimators.fitdata import FitData
from kcm.estimators.fitted import covariance, moment_at
from kcm.estimators.options import Box
from kcm.estimators.results import EstimationResults
from kcm.estimators.search import Minimum
from kcm.exceptions import BoundaryWarning, ConvergenceWarning
from kcm.kernels import Kernel
from kcm.moments import BoundMoment, FittedMoment

__all__ = ["estimation_results"]


def estimation_results(
    model: Any,
    bound: BoundMoment,
    kernel: Kernel,
    minimum: Minimum,
    cov_type: str,
    groups: Int[np.ndarray, " n"] | None,
    box: Box,
    notes: Sequence[str] = (),
) -> EstimationResults:
    """Assemble the results of an estimator.

    Warns
    -----
    ConvergenceWarning
        When the search stopped before it reached a minimum.
    BoundaryWarning
        When a parameter ended at a bound.
    """
    labels, name = list(bound.tree.labels), type(model).__name__
    moment = moment_at(bound, minimum, name)
    return EstimationResults(
        params=pd.Series(minimum.theta, index=labels, name="params"),
        covariance=_labelled_covariance(minimum, moment, cov_type, groups, labels),
        cov_type=cov_type,
        nobs=bound.n_obs,
        estimator=name,
        kernel=kernel,
        convergence=minimum.convergence,
        first_stage=estimate_strength(bound, kernel, minimum, groups),
        notes=(
            *_told_of_convergence(minimum),
            *_told_of_bounds(minimum, labels),
            *_described(bound, kernel),
            *notes,
        ),
        data=FitData(
            fitted_moment=moment,
            resid=bound.labelled(minimum.values.residuals),
            fittedvalues=_fitted(bound, minimum),
            kept=bound.kept,
            groups=groups,
            fingerprint=bound.fingerprint,
            params=bound.tree.tree(minimum.theta),
            box=box,
        ),
        model=model,
    )


def _labelled_covariance(
    minimum: Minimum,
    moment: FittedMoment,
    cov_type: str,
    groups: Int[np.ndarray, " n"] | None,
    labels: list[str],
) -> pd.DataFrame:
    if cov_type == "efficient":
        own = minimum.expansion.inverse / moment.n_obs
    else:
        own = covariance(minimum.expansion.influence(moment.residuals), groups)
    full = np.full((len(labels), len(labels)), np.nan)
    full[np.ix_(minimum.free, minimum.free)] = own
    return pd.DataFrame(full, index=labels, columns=labels)


def _fitted(bound: BoundMoment, minimum: Minimum) -> pd.Series | pd.DataFrame | None:
    if bound.response is None:
        return None
    return bound.labelled(bound.response - minimum.values.residuals)


def _described(bound: BoundMoment, kernel: Kernel) -> list[str]:
    names = bound.conditioning_names
    words = f"E[{bound.name} | {', '.join(names)}] = 0, kernel {kernel.describe(names)}."
    told = [words]
    if bound.n_dropped:
        told.append(f"{bound.n_dropped} rows with missing values were left out.")
    return told


def _told_of_convergence(minimum: Minimum) -> list[str]:
    ended = minimum.convergence
    if ended.converged:
        return []
    left = f"a step of {ended.step:.3g} standard errors is left"
    warnings.warn(
        f"the search did not reach a minimum: {left} after {ended.n_iterations} iterations "
        f"({ended.message}); use another `start`, several of them (`n_starts`), or a larger "
        "`maxiter`.",
        ConvergenceWarning,
        stacklevel=4,
    )
    return [f"Not converged: {left} ({ended.message})."]


def _told_of_bounds(minimum: Minimum, labels: list[str]) -> list[str]:
    held = [label for label, free in zip(labels, minimum.free, strict=True) if not free]
    if not held:
        return []
    names = ", ".join(held)
    warnings.warn(
        f"{names} ended at a bound and is treated as known there: it has no standard error, and "
        "those of the others do not account for it.",
        BoundaryWarning,
        stacklevel=4,
    )
    return [f"At a bound, without a standard error: {names}."]
