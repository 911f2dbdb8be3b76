"""Instrumental variables: IV2SLS of statsmodels; IV2SLS, IVLIML and IVGMM of linearmodels."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from kcm.adapters.estimate import (
    Estimate,
    check_has_data,
    check_not_exact,
    check_solved,
    reciprocal,
    unit_diagonal,
)
from kcm.exceptions import DataError, UnsupportedModelError
from kcm.moments import TwoStages

__all__ = ["generalised_moments", "k_class", "two_stage_least_squares"]

_ROUNDING = 1e-12


class _Equations(NamedTuple):
    """What residuals are multiplied with in the equations of an estimate, and the regressors."""

    per_residual: Float[np.ndarray, "n p"]
    names: list[str]


def two_stage_least_squares(fit: Any) -> Estimate:
    r"""2SLS of statsmodels.sandbox: :math:`L_i = (\hat X'X/n)^+\hat x_i`."""
    model = fit.model
    check_has_data(model)
    exog, instruments = np.asarray(model.exog, float), np.asarray(model.instrument, float)
    projected = _project(exog, instruments)
    gain = projected @ _inverse(projected.T @ exog / len(exog), exog)
    outcome, names = np.asarray(model.endog, float), list(map(str, model.exog_names))
    equations, stages = _Equations(projected, names), TwoStages(instruments)
    return _linear(
        fit, outcome, exog, gain, equations, model.endog_names, instruments, outcomes=stages
    )


def k_class(fit: Any) -> Estimate:
    r"""2SLS, LIML and Fuller of linearmodels, and its OLS.

    Notes
    -----
    :math:`L_i = V^{-1}\sqrt{w_i}\hat x_i` with :math:`\hat X = P_Z X` of the weighted data and
    :math:`V = n^{-1}X'[(1 - \kappa)I + \kappa P_Z]X`, as the robust covariance of linearmodels.
    An estimated kappa differs from 1 by O(1/n) and moves the estimate at that order only.
    """
    model, kappa = fit.model, _kappa(fit)
    exog, outcome, root = _iv_data(model)
    wexog = root * exog
    instruments = np.hstack([model.exog.ndarray, model.instruments.ndarray])
    projected = _project(wexog, root * instruments)
    combined = (1 - kappa) * wexog + kappa * projected
    gain = root * projected @ _inverse(combined.T @ wexog / len(exog), exog)
    exogenous = model.endog.shape[1] == 0
    variance = reciprocal(root[:, 0] ** 2)
    # weights and an estimated kappa would have to be found anew with each first stage
    plain = kappa == 1 and not exogenous and bool((root == root[0]).all())
    stages = TwoStages(instruments) if plain else None
    equations = _Equations(root * combined, _names(model))
    how = variance, exogenous, stages
    return _linear(fit, outcome, exog, gain, equations, _name(model), instruments, *how)


def generalised_moments(fit: Any) -> Estimate:
    r"""IVGMM and IVGMMCUE of linearmodels.

    Notes
    -----
    :math:`L_i = (D'WD)^{-1}D'W w_iz_i`, :math:`D = n^{-1}\sum_i w_iz_ix_i'`, W the weight matrix
    of the estimate. That W was estimated, or updated continuously, has no first-order effect.
    """
    model = fit.model
    exog, outcome, root = _iv_data(model)
    instruments = np.hstack([model.exog.ndarray, model.instruments.ndarray])
    weighed = root**2 * instruments
    slope = weighed.T @ exog / len(exog)
    weighted = slope.T @ np.asarray(fit.weight_matrix, float)
    combined = weighed @ weighted.T
    gain = combined @ _inverse(weighted @ slope, exog)
    # the continuously updated weights enter its equations, which are not these
    is_updated = type(model).__name__ == "IVGMMCUE"
    equations = None if is_updated else _Equations(combined, _names(model))
    variance = reciprocal(root[:, 0] ** 2)
    return _linear(fit, outcome, exog, gain, equations, _name(model), instruments, variance)


def _kappa(fit: Any) -> float:
    """Kappa of the fit; any value serves when no regressor is endogenous."""
    model, kappa = fit.model, float(fit.kappa)
    fixed = getattr(model, "_kappa", None)
    if model.endog.shape[1] and fixed is not None and fixed != 1:
        raise UnsupportedModelError(
            f"`fit` is a k-class estimate with a fixed kappa of {fixed:g}, which is not "
            "consistent when a regressor is endogenous. Supported are kappa = 1 (IV2SLS), an "
            "estimated kappa (IVLIML) and Fuller's (IVLIML with `fuller=`)."
        )
    return kappa


def _iv_data(
    model: Any,
) -> tuple[Float[np.ndarray, "n p"], Float[np.ndarray, " n"], Float[np.ndarray, "n 1"]]:
    """Regressors, outcome and square roots of the weights of a linearmodels IV model."""
    exog = np.hstack([model.exog.ndarray, model.endog.ndarray])
    return exog, model.dependent.ndarray[:, 0], np.sqrt(model.weights.ndarray)


def _project(
    columns: Float[np.ndarray, "n p"], instruments: Float[np.ndarray, "n m"]
) -> Float[np.ndarray, "n p"]:
    return np.asarray(instruments @ np.linalg.lstsq(instruments, columns, rcond=None)[0])


def _inverse(
    bread: Float[np.ndarray, "p p"], exog: Float[np.ndarray, "n p"]
) -> Float[np.ndarray, "p p"]:
    """Generalised inverse of a symmetric matrix, whatever the units of the regressors.

    Regressors that are collinear themselves are allowed: the choice among their coefficients
    changes neither the residuals nor the null law. Regressors that only their projection on the
    instruments makes collinear are not identified, and neither are the residuals.
    """
    scaled, size = unit_diagonal((bread + bread.T) / 2)
    if np.linalg.matrix_rank(scaled, hermitian=True) < np.linalg.matrix_rank(exog / size):
        raise DataError(
            "`fit`: the instruments do not identify the coefficients: projected on them, the "
            "regressors are collinear to working precision, so the residuals are not determined. "
            "Use more or stronger instruments, or leave out a regressor."
        )
    return np.asarray(np.linalg.pinv(scaled, hermitian=True) / np.outer(size, size))


def _names(model: Any) -> list[str]:
    return [str(name) for block in (model.exog, model.endog) for name in block.cols]


def _name(model: Any) -> str:
    return str(model.dependent.cols[0])


def _linear(
    fit: Any,
    outcome: Float[np.ndarray, " n"],
    exog: Float[np.ndarray, "n p"],
    gain: Float[np.ndarray, "n p"],
    equations: _Equations | None,
    name: str,
    instruments: Float[np.ndarray, "n m"],
    variance: Float[np.ndarray, " n"] | None = None,
    exogenous: bool = False,
    outcomes: TwoStages | None = None,
) -> Estimate:
    index = exog @ np.asarray(fit.params, float)
    residuals = outcome - index
    check_not_exact(residuals, outcome, _ROUNDING)
    if equations is not None:
        check_solved(equations.per_residual * residuals[:, None], residuals, exog, equations.names)
    return Estimate(
        residuals=residuals,
        jacobian=-exog,
        gain=gain,
        influence=gain * residuals[:, None],
        moment=f"{name} - x'b",
        estimator=type(fit.model).__name__.lstrip("_"),
        variance=variance,
        exogenous=exogenous,
        instruments=instruments,
        outcomes=outcomes,
        index=index,
    )
