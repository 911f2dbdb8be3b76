"""The moment of a fit on rows that it has not used: theta comes from another sample."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from kcm.adapters.conditioning import choose_conditioning
from kcm.adapters.estimate import CLUSTERED, SERIAL, Estimate
from kcm.adapters.evaluation import Evaluation
from kcm.adapters.rows import FitRows
from kcm.data import Encoded, as_table, learns_from_rows
from kcm.exceptions import UnsupportedModelError
from kcm.moments import (
    BoundMoment,
    FittedMoment,
    LinearMoment,
    MomentLabels,
    leverage_scale,
    scaled_moment,
)

__all__ = ["covariance_of_fit", "estimation_new_rows", "estimation_on_new_rows", "moment_elsewhere"]


def moment_elsewhere(
    estimate: Estimate,
    found: Evaluation,
    rows: FitRows,
    conditioning: Any,
    covariance: Float[np.ndarray, "p p"],
) -> FittedMoment:
    """Return the moment on new rows, theta with its covariance.

    Parameters
    ----------
    estimate : Estimate
        Of the rows of the fit.
    found : Evaluation
        Of the new rows.
    rows : FitRows
        The new rows.
    conditioning : data frame, str, list of str, array_like or None
        As for `kcm.specification_test`, on the new rows.
    covariance : ndarray of shape (p, p)
    """
    (values, names, kinds, levels), notes = choose_conditioning(rows, conditioning)
    theta = _theta(len(estimate.influence), estimate.estimator)
    told = estimate.moment, names, theta, rows.n_dropped, kinds, estimate.exogenous, levels, notes
    return FittedMoment(
        found.residuals,
        values,
        found.jacobian,
        labels=MomentLabels(*told),
        covariance=covariance,
        index=found.predictor,
    )


def _theta(n_rows: int, estimator: str) -> str:
    return f"estimated on another sample of {n_rows:,} rows: {estimator}"


def covariance_of_fit(fit: Any, estimate: Estimate) -> Float[np.ndarray, "p p"]:
    """Return the covariance of theta: from scaled influences, or the fit's own for dependent rows.

    The influences are recomputed from residuals at the size of errors, as in a test on the rows of
    the fit.
    """
    if getattr(fit, "cov_type", None) in CLUSTERED | SERIAL:
        own = fit.cov_params() if hasattr(fit, "cov_params") else fit.cov
        return np.asarray(own, float)
    jacobian, gain = estimate.jacobian[:, None, :], estimate.gain[:, None, :]
    influence = estimate.influence / leverage_scale(jacobian, gain, estimate.variance)
    return influence.T @ influence / len(influence) ** 2


def estimation_on_new_rows(fit: Any, data: Any, conditioning: Any) -> FittedMoment:
    """Return the moment of `kcm.EstimationResults` on new rows."""
    bound, rows = _bound(fit, data), estimation_new_rows(fit, data)
    chosen, notes = (
        (_own_conditioning(bound), ())
        if conditioning is None
        else choose_conditioning(rows, conditioning)
    )
    values, names, kinds, levels = chosen
    values_at, before = bound.evaluate(bound.start), fit.fitted_moment
    theta = _theta(before.n_obs, fit.estimator)
    labels = MomentLabels(bound.name, names, theta, bound.n_dropped, kinds, None, levels, notes)
    index = bound.prediction(values_at.residuals)
    if before.jacobian is None:
        return FittedMoment(values_at.residuals, values, labels=labels, index=index)
    free = ~np.isnan(np.diag(fit.covariance.to_numpy()))
    return FittedMoment(
        values_at.residuals,
        values,
        values_at.jacobian[:, :, free],
        labels=labels,
        covariance=_covariance(before, fit.groups),
        index=index,
    )


def _own_conditioning(bound: BoundMoment) -> Encoded:
    names = bound.conditioning_names
    return Encoded(bound.conditioning, names, ("continuous",) * len(names), ((),) * len(names))


def _covariance(
    moment: FittedMoment, codes: Int[np.ndarray, " n"] | None
) -> Float[np.ndarray, "p p"]:
    """Return n^-2 sum l l' of scaled influences, l summed within clusters."""
    influence = scaled_moment(moment, codes).influence
    if codes is not None:
        influence = np.stack([np.bincount(codes, column) for column in influence.T], axis=1)
    return influence.T @ influence / moment.n_obs**2


def estimation_new_rows(fit: Any, data: Any) -> FitRows:
    """Rows of new data for an estimate of this library."""
    bound = _bound(fit, data)
    table, index = as_table(data, "data")
    kept = np.zeros(len(table), bool)
    kept[bound.kept] = True
    frame = table if index is None else table.set_axis(index, axis=0)
    return FitRows(bound.n_obs, bound.n_dropped, bound.index, frame, kept)


def _bound(fit: Any, data: Any) -> BoundMoment:
    """Bind the moment of an estimate to new data, at the estimate."""
    fit.bound("data")  # speaks where the model or its data are gone, or changed
    moment = fit.model.moment
    if isinstance(moment, LinearMoment):
        for _, formula in moment.formulas:
            if learns_from_rows(formula):
                raise UnsupportedModelError(
                    f"the formula {formula!r} computes a column from all rows (a centre, a scale "
                    "or a spline), which would come out otherwise on `data`; make the column "
                    "before the fit."
                )
    bound: BoundMoment = moment.bind(data, fit.data.params, "params")
    return bound
