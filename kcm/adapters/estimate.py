"""What an adapter hands over, and the checks that all adapters share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
from jaxtyping import Float, Shaped

from kcm.exceptions import DataError
from kcm.moments import Outcomes, TwoStages

__all__ = [
    "CLUSTERED",
    "SERIAL",
    "Estimate",
    "check_converged",
    "check_has_data",
    "check_not_exact",
    "check_solved",
    "inverse_information",
    "orthonormal_basis",
    "reciprocal",
    "unit_diagonal",
]

# Values of `cov_type` that allow for clusters and for serial correlation, in statsmodels and then
# in linearmodels.
CLUSTERED = frozenset({"cluster", "cluster-crv3", "cluster-jk", "clustered"})
SERIAL = frozenset({"HAC", "hac-panel", "hac-groupsum", "nw-panel", "nw-groupsum", "kernel"})
# An eigenvalue this far below zero, relative to the largest, is not rounding.
_NEGATIVE_CURVATURE = 1e-8
# Share of its own standard error that the mean of a score may stay away from zero.
_UNSOLVED = 0.1
# A score this small, for residuals of the size they have, is rounding.
_ROUNDED = 1e-4
# Columns this many times apart in size lose digits that decide on an estimate.
_APART = 1e6
# Columns that vary by less than this share of their size leave the constant no digits.
_HARDLY_VARIES = 0.02
# A direction of the regressors this small, all brought to one size, is rounding.
_COLLINEAR = 1e-13


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
    """Refuse a fit whose data were removed to save space, or are missing or infinite."""
    if model.exog is None or model.endog is None:
        raise DataError(
            f"`fit` ({type(model).__name__}) has no data any more (`remove_data()` was called); "
            "fit the model again and keep the data."
        )
    _check_finite("the outcome", np.asarray(model.endog))
    _check_finite("a regressor", np.asarray(model.exog))


def _check_finite(told: str, values: Shaped[np.ndarray, "..."]) -> None:
    """Name the first row where an array of a fit is missing or infinite."""
    if values.dtype.kind != "f":
        return
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if not bad.any():
        return
    row = int(np.flatnonzero(bad)[0])
    entry = next(v for v in values.reshape(len(values), -1)[row] if not np.isfinite(v))
    raise DataError(
        f"`fit`: {told} is {'missing' if np.isnan(entry) else f'{entry:g}'} in row {row} (counted "
        f"from 0), and missing or infinite in {int(bad.sum())} of {len(bad)} rows, so the "
        "estimates are no numbers. Leave these rows out and fit again, for example with "
        "`missing='drop'`."
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


def check_solved(
    scores: Float[np.ndarray, "n p"],
    residuals: Float[np.ndarray, " n"],
    columns: Float[np.ndarray, "n k"],
    names: Sequence[str],
) -> None:
    """Refuse an estimate that does not solve its own equations, whatever the units.

    Parameters
    ----------
    scores : ndarray of shape (n, p)
        Terms of the estimating equations, which sum to zero at the estimate; the first k belong
        to the columns.
    residuals : ndarray of shape (n,)
    columns : ndarray of shape (n, k)
        The regressors, to tell whether their sizes are to blame.
    names : sequence of str
        Names of the regressors.

    Raises
    ------
    DataError
        When a sum is further from zero than a tenth of its standard error, for a regressor or a
        combination of regressors: a time in seconds hides the constant beside it.
    """
    own = scores[:, : columns.shape[1]]
    combined = np.hstack([scores, own @ _combinations(columns), _centred(own, columns)])
    distance = _distance_from_zero(combined, residuals)
    if distance <= _UNSOLVED:
        return
    unsolved = (
        f"`fit`: the estimates do not solve their own equations, which are {distance:.2g} standard "
        "errors from zero, so the residuals are not those of the model."
    )
    size = np.sqrt(np.mean(columns**2, axis=0))
    varies = np.ptp(columns, axis=0) > 0
    share = np.std(columns, axis=0) / np.where(size > 0, size, 1.0)
    if share[varies].min(initial=1.0) < _HARDLY_VARIES:
        name = names[int(np.argmin(np.where(varies, share, np.inf)))]
        raise DataError(
            f"{unsolved} The entries of `{name}` vary by {share[varies].min():.0e} of their size "
            "only, too little for double precision to tell the regressors apart: subtract the mean "
            f"of `{name}`, divide by its standard deviation, before taking powers if there are "
            "any, and fit again."
        )
    smallest = np.min(size[size > 0], initial=np.inf)
    if size.max() > _APART * smallest:
        name = names[int(np.argmax(size))]
        raise DataError(
            f"{unsolved} The entries of `{name}` are about {size.max() / smallest:.0e} times as "
            f"large as those of `{names[int(np.argmin(np.where(size > 0, size, np.inf)))]}`, more "
            f"than double precision can fit together: rescale `{name}`, for example divide it by "
            f"{10.0 ** np.floor(np.log10(size.max())):.0e}, and fit again."
        )
    raise DataError(
        f"{unsolved} Fit again with more iterations, or with variables of mean zero and standard "
        "deviation one."
    )


class Basis(NamedTuple):
    """An orthonormal basis Q of the columns of X, and C with X^+' = Q C."""

    vectors: Float[np.ndarray, "n r"]
    inverse: Float[np.ndarray, "r k"]


def orthonormal_basis(columns: Float[np.ndarray, "n k"]) -> Basis:
    """Return a basis of columns of any units, without directions of rounding alone."""
    size = np.abs(columns).max(axis=0) * np.sqrt(len(columns))
    size = np.where(size > 0, size, 1.0)
    orthogonal, triangle = np.linalg.qr(columns / size)
    left, values, right = np.linalg.svd(triangle)
    kept = values > values[0] * max(columns.shape) * np.finfo(float).eps
    vectors = orthogonal @ left[:, : len(values)][:, kept]
    return Basis(vectors, right[: len(values)][kept] / values[kept, None] / size)


def _combinations(columns: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "k r"]:
    """Return the combinations of columns that are uncorrelated, without those of rounding alone."""
    size = np.abs(columns).max(axis=0, initial=0.0)
    size = np.where(size > 0, size, 1.0)
    _, values, directions = np.linalg.svd(np.linalg.qr(columns / size)[1])
    usable = values > _COLLINEAR * values.max(initial=0.0)
    kept = directions[: len(values)][usable] / values[usable, None]
    return np.asarray(kept.T / size[:, None])


def _centred(
    scores: Float[np.ndarray, "n k"], columns: Float[np.ndarray, "n k"]
) -> Float[np.ndarray, "n r"]:
    """Return the scores of columns less their means.

    None where no column is constant, or scores are no multiples of columns, as with instruments.
    """
    constant = np.flatnonzero((np.ptp(columns, axis=0) == 0) & (columns[0] != 0))
    if not constant.size:
        return scores[:, :0]
    weight = scores[:, constant[0]] / columns[0, constant[0]]
    if not np.allclose(scores, weight[:, None] * columns, rtol=1e-9, atol=0):
        return scores[:, :0]
    return np.asarray(weight[:, None] * (columns - columns.mean(axis=0)))


def _distance_from_zero(
    scores: Float[np.ndarray, "n p"], residuals: Float[np.ndarray, " n"]
) -> float:
    """Largest sum of a score in its own standard errors."""
    size = np.abs(scores).max(axis=0, initial=0.0)
    scaled = scores / np.where(size > 0, size, 1.0)
    spread = np.sqrt(np.sum(scaled**2, axis=0))
    # where the fit passes through every row of a column, such as a dummy of one row, a score is
    # rounding: it is compared with what residuals of the common size would give
    weight = np.divide(scaled, residuals[:, None], out=np.zeros_like(scaled), where=scaled != 0)
    common = np.sqrt(np.mean(residuals**2)) * np.sqrt(np.sum(weight**2, axis=0))
    unit = np.maximum(spread, _ROUNDED * common)
    sums = np.abs(np.sum(scaled, axis=0))
    return float(
        np.max(np.divide(sums, unit, out=np.zeros_like(sums), where=unit > 0), initial=0.0)
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
