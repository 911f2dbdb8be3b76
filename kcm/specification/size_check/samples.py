"""From errors to the fitted moment that they lead to: the refit as a projection."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from kcm.moments import Correction, FittedMoment, TwoStages, leverage_scale

__all__ = ["simulated"]


def simulated(
    moment: FittedMoment, errors: Float[np.ndarray, "n k"], correction: Correction | None
) -> FittedMoment:
    """Return the moment that a fit to a right model with these errors has.

    Parameters
    ----------
    moment : FittedMoment
        With its gain, where theta is estimated.
    errors : ndarray of shape (n, q), or (n, 1 + p) of both stages
    correction : str or None
        What the scale of `moment` was made with.
    """
    if moment.jacobian is None or moment.gain is None:
        return replace(moment, residuals=errors)
    if isinstance(moment.outcomes, TwoStages):
        return _refitted(moment, moment.jacobian[:, 0], moment.outcomes, errors, correction)
    change = np.einsum("icp,ic->p", moment.gain, errors) / len(errors)
    psi = errors + moment.jacobian @ change
    return replace(moment, residuals=psi, influence=moment.gain * psi[:, :, None])


def _refitted(
    moment: FittedMoment,
    jacobian: Float[np.ndarray, "n p"],
    stages: TwoStages,
    errors: Float[np.ndarray, "n k"],
    correction: Correction | None,
) -> FittedMoment:
    """Return two-stage least squares with new regressors: the first stage and its new errors."""
    basis = np.linalg.qr(stages.instruments)[0]
    # S = -X: the sample's first stage is P_Z X
    regressors = basis @ (basis.T @ -jacobian) + errors[:, 1:]
    fitted = basis @ (basis.T @ regressors)
    gain = fitted @ np.linalg.pinv(fitted.T @ regressors / len(errors))
    psi = errors[:, 0] - regressors @ (gain.T @ errors[:, 0]) / len(errors)
    scale = moment.scale
    if correction is not None:
        scale = leverage_scale(-regressors, gain, moment.variance, correction=correction)
    return replace(
        moment,
        residuals=psi[:, None],
        jacobian=-regressors[:, None],
        gain=gain[:, None],
        influence=(gain * psi[:, None])[:, None],
        scale=scale,
    )
