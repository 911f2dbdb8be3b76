"""What an adapter hands over, and the checks that all adapters share."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float

from kcm.exceptions import DataError
from kcm.moments.outcomes import Outcomes, TwoStages

__all__ = [
    "DEPENDENT",
    "Estimate",
    "check_converged",
    "check_has_data",
    "check_not_exact",
    "inverse_information",
    "reciprocal",
    "unit_diagonal",
]

# Values of `cov_type` that allow for dependence, in statsmodels, then in linearmodels.
DEPENDENT = frozenset(
    {"cluster", "HAC", "hac-panel", "hac-groupsum", "nw-panel", "nw-groupsum"}
    | {"clustered", "kernel"}
)
# An eigenvalue this far below zero, relative to the largest, is not rounding.
_NEGATIVE_CURVATURE = 1e-8


@final
@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """Residuals of a fit and how they depend on its parameters, one row per observation.

    Parameters
    ----------
    residuals : ndarray of shape (n,)
        psi_i, in the units of the outcome and unweighted.
    jacobian : ndarray of shape (n, p)
        S_i = d psi_i / d theta.
    gain : ndarray of shape (n, p)
        L_i = d l_i / d psi_i.
    influence : ndarray of shape (n, p)
        l_i, so that theta_hat - theta is close to the mean of l_i.
    moment : str
        The residual in words.
    estimator : str
        Name of the estimator.
    variance : ndarray of shape (n,), optional
        Working variance of psi_i up to a constant; equal for all when None. Where the estimator
        gives an observation no weight any finite value serves.
    exogenous : bool, optional
        Whether S_i is a function of exogenous variables: not of an endogenous regressor, and not
        of the outcome. Default None, not known.
    instruments : ndarray of shape (n, m), optional
        Of an estimate by instruments, the exogenous regressors included; unweighted.
    outcomes : Outcomes or TwoStages, optional
        How the outcome is drawn when the model is right. Default: by errors of any law.
    index : ndarray of shape (n,), optional
        x'b, or the linear predictor with its offset; None where the model has none.
    """

    residuals: Float[np.ndarray, " n"]
    jacobian: Float[np.ndarray, "n p"]
    gain: Float[np.ndarray, "n p"]
    influence: Float[np.ndarray, "n p"]
    moment: str
    estimator: str
    variance: Float[np.ndarray, " n"] | None = None
    exogenous: bool | None = None
    instruments: Float[np.ndarray, "n m"] | None = None
    outcomes: Outcomes | TwoStages | None = None
    index: Float[np.ndarray, " n"] | None = None


def check_has_data(model: Any) -> None:
    """Refuse a fit whose data were removed to save space."""
    if model.exog is None or model.endog is None:
        raise DataError(
            f"`fit` ({type(model).__name__}) has no data any more (`remove_data()` was called); "
            "fit the model again and keep the data."
        )


def check_converged(fit: Any) -> None:
    """Refuse a likelihood fit whose optimiser reported failure."""
    reported = (getattr(fit, "mle_retvals", None) or {}).get("converged", True)
    if not (reported and getattr(fit, "converged", True)):
        raise DataError(
            f"`fit`: the {type(fit.model).__name__} fit did not converge, so its residuals are "
            "not those of the model; refit with more iterations (`maxiter=`), another `method=`, "
            "or rescaled variables."
        )


def check_not_exact(
    errors: Float[np.ndarray, " n"], outcome: Float[np.ndarray, " n"], precision: float
) -> None:
    """Refuse a fit that reproduces the outcome up to the precision of its algorithm."""
    if np.abs(errors).max() <= precision * np.abs(outcome).max():
        raise DataError(
            "`fit` fits exactly: every residual is zero up to rounding, so there is nothing to "
            "test. Use fewer parameters than observations, and check that the outcome is not a "
            "function of the regressors."
        )


def reciprocal(weights: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Working variances from weights; 1 where the weight is zero and the variance irrelevant."""
    return np.divide(1.0, weights, out=np.ones_like(weights), where=weights > 0)


def inverse_information(information: Float[np.ndarray, "p p"]) -> Float[np.ndarray, "p p"]:
    """Generalised inverse of minus a mean Hessian.

    Rows and columns are brought to unit diagonal first, so that the units of the parameters do
    not decide what counts as singular. Collinear regressors are allowed: the choice among their
    coefficients changes neither the residuals nor the null law.

    Raises
    ------
    DataError
        When the matrix is not finite or has a clearly negative direction.
    """
    if not np.isfinite(information).all():
        raise _not_concave()
    scaled, size = unit_diagonal(information)
    eigenvalues = np.linalg.eigvalsh(scaled)
    if eigenvalues[0] < -_NEGATIVE_CURVATURE * eigenvalues[-1]:
        raise _not_concave()
    return np.asarray(np.linalg.pinv(scaled, hermitian=True) / np.outer(size, size))


def unit_diagonal(
    matrix: Float[np.ndarray, "p p"],
) -> tuple[Float[np.ndarray, "p p"], Float[np.ndarray, " p"]]:
    """Bring rows and columns to unit diagonal, so that units do not decide what is singular.

    Returns
    -------
    scaled : ndarray of shape (p, p)
        The matrix over the outer product of the sizes.
    size : ndarray of shape (p,)
        Roots of the diagonal; 1 where it is zero.
    """
    size = np.sqrt(np.abs(np.diag(matrix)))
    size = np.where(size > 0, size, 1.0)
    return matrix / np.outer(size, size), size


def _not_concave() -> DataError:
    return DataError(
        "`fit`: the log-likelihood is not concave at the estimate, so the influence of an "
        "observation is not defined. A dispersion parameter at its boundary does this (fit the "
        "model without it, for example Poisson), and so does a fit that has not converged."
    )
