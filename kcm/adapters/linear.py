"""Least squares of statsmodels: OLS, WLS and GLS with diagonal weights."""

from typing import Any

import numpy as np
from jaxtyping import Float

from kcm.adapters.estimate import (
    Estimate,
    check_has_data,
    check_not_exact,
    check_solved,
    reciprocal,
)
from kcm.exceptions import UnsupportedModelError

__all__ = ["least_squares"]

# Residuals of a direct solution: some hundred units in the last place.
_ROUNDING = 1e-12


def least_squares(fit: Any) -> Estimate:
    r"""Residuals, jacobian, gain and influence of weighted least squares.

    Notes
    -----
    :math:`\psi_i = y_i - x_i'\hat b`, :math:`S_i = -x_i`,
    :math:`L_i = (X'WX/n)^+ w_i x_i`, :math:`l_i = L_i\psi_i`. The mean of :math:`l_il_i'` over n
    is the HC0 covariance. Rows of weight zero are no observations, and left out.
    """
    model = fit.model
    check_has_data(model)
    exog = np.asarray(model.exog, float)
    outcome = np.asarray(model.endog, float)
    if outcome.ndim != 1:
        raise UnsupportedModelError(
            f"`fit` explains {outcome.shape[1]} outcomes at once; fit one equation per outcome and "
            "join their moments with kcm.stack_equations."
        )
    weights = _weights(model)
    used = weights != 0
    exog, outcome, weights = exog[used], outcome[used], weights[used]
    residuals = outcome - exog @ np.asarray(fit.params, float)
    check_not_exact(residuals, outcome, _ROUNDING)
    scores = (weights * residuals)[:, None] * exog
    check_solved(scores, residuals, exog, model.exog_names)
    bread = len(exog) * np.asarray(fit.normalized_cov_params, float)
    gain = weights[:, None] * exog @ bread
    return Estimate(
        residuals=residuals,
        jacobian=-exog,
        gain=gain,
        influence=gain * residuals[:, None],
        moment=f"{model.endog_names} - x'b",
        estimator=type(model).__name__,
        variance=reciprocal(weights),
        exogenous=True,
    )


def _weights(model: Any) -> Float[np.ndarray, " n"]:
    """Weights of the squares: 1 for OLS, `weights` for WLS, 1/sigma for GLS."""
    n = len(model.endog)
    if getattr(model, "weights", None) is not None:
        return np.broadcast_to(np.asarray(model.weights, float), (n,))
    if getattr(model, "sigma", None) is not None:
        return np.broadcast_to(1 / _variances(np.asarray(model.sigma, float)), (n,))
    return np.ones(n)


def _variances(sigma: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    if sigma.ndim < 2:
        return sigma
    diagonal = np.diag(sigma)
    if np.count_nonzero(sigma - np.diag(diagonal)):
        raise UnsupportedModelError(
            "`fit` is a GLS fit with correlated errors (`sigma` has off-diagonal entries); the "
            "test treats observations as independent. Supported is GLS with a diagonal `sigma`; "
            "for correlation within clusters fit OLS and pass `groups` to the null."
        )
    return diagonal
