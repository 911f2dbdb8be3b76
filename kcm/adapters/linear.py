"""Least squares of statsmodels: OLS, WLS and GLS with diagonal weights."""

from typing import Any

import numpy as np
from jaxtyping import Float

from kcm.adapters.estimate import (
    Estimate,
    check_has_data,
    check_not_exact,
    check_solved,
    orthonormal_basis,
    reciprocal,
)
from kcm.adapters.weights import square_weights
from kcm.exceptions import DataError, UnsupportedModelError

__all__ = ["least_squares"]

# Residuals of a direct solution: some hundred units in the last place.
_ROUNDING = 1e-12
# A share of the regressors in the residuals that is rounding of a solution that did its best.
_LEFT = 1e-6


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
    weights = square_weights(model)
    used = weights != 0
    if not used.any():
        raise DataError("`fit`: every weight is zero, so that no row is an observation; fit again.")
    exog, outcome, weights = exog[used], outcome[used], weights[used]
    index = exog @ np.asarray(fit.params, float)
    residuals = outcome - index
    check_not_exact(residuals, outcome, _ROUNDING)
    scores = (weights * residuals)[:, None] * exog
    check_solved(scores, residuals, exog, model.exog_names)
    gain, basis = _gain(exog, weights)
    if basis.shape[1] < exog.shape[1]:  # the fit has chosen among the solutions
        gain = weights[:, None] * exog @ (len(exog) * np.asarray(fit.normalized_cov_params, float))
    residuals = _solved(residuals, basis, np.sqrt(weights))
    return Estimate(
        residuals=residuals,
        jacobian=-exog,
        gain=gain,
        influence=gain * residuals[:, None],
        moment=f"{model.endog_names} - x'b",
        estimator=type(model).__name__,
        variance=reciprocal(weights),
        exogenous=True,
        index=index,
    )


def _gain(
    exog: Float[np.ndarray, "n p"], weights: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "n p"], Float[np.ndarray, "n r"]]:
    """Return n W X (X'WX)^+, and an orthonormal basis of the columns of W^(1/2) X.

    From the basis: (X'WX)^+ of the fit has lost the square of the digits that X keeps, and counts
    as collinear what is of another unit.
    """
    roots = np.sqrt(weights)[:, None]
    basis = orthonormal_basis(roots * exog)
    return len(exog) * (roots * (basis.vectors @ basis.inverse)), basis.vectors


def _solved(
    residuals: Float[np.ndarray, " n"],
    basis: Float[np.ndarray, "n r"],
    roots: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Return residuals without what rounding in the fit has left of the regressors in them."""
    left = basis @ (basis.T @ (roots * residuals))
    if np.abs(left).max() > _LEFT * np.abs(roots * residuals).max():
        return residuals
    return residuals - np.divide(left, roots, out=np.zeros_like(left), where=roots > 0)
