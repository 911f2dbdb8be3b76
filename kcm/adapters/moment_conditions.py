"""Generalised method of moments of statsmodels: IVGMM and its kin, and subclasses of GMM."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from kcm.adapters.estimate import Estimate, check_has_data, check_not_exact, unit_diagonal
from kcm.exceptions import DataError, UnsupportedModelError

__all__ = ["moment_conditions"]

_ROUNDING = 1e-12
# Moments this close to instrument times residual, relative to the residual, are that product.
_SAME = 1e-9
# Steps of the numerical derivative change the residual by this share of its mean size.
_STEP = 1e-3
# The coarser of two steps, in finer ones: long enough to meet the jumps of a step function.
_COARSE = 16
_STEP_TRIALS = 8
# Shorter steps, relative to the parameter, would lose too many digits.
_SHORTEST = 1e-7
# Share of the jacobian that may change with the step; smooth residuals reach 1e-4.
_ROUGH = 0.03
# Standard errors that the estimate may lie from where its first-order condition holds.
_UNSOLVED = 0.1
_BY_HAND = (
    "Build a kcm.FittedMoment from the residuals, their jacobian and the influence of each row "
    "by hand."
)

Residual = Callable[[Any], Float[np.ndarray, " n"]]


def moment_conditions(fit: Any) -> Estimate:
    r"""IVGMM, LinearIVGMM, NonlinearIVGMM of statsmodels, and the user's subclasses of GMM.

    Notes
    -----
    The moments are :math:`z_i\psi_i(\theta)`, as `momcond` of the model computes them: whatever a
    subclass overrides, they are what was minimised. With :math:`D = n^{-1}\sum_i z_iS_i'` and W
    the weight matrix that the last step was computed with (`fit.weights`, of any scale),

    .. math:: L_i = -(D'WD)^{-1}D'Wz_i,\qquad l_i = L_i\psi_i,

    which is the robust covariance of statsmodels for `has_optimal_weights=False` and
    `wargs={"centered": False}`. That W was estimated, or updated continuously, has no first-order
    effect. Residuals that themselves contain estimates made before the fit, such as a first
    stage, are taken as known: `momcond` does not tell.
    """
    model = fit.model
    theta = np.asarray(fit.params, float)
    instruments = _instruments(model)
    _check_finite(model, theta)
    residuals = _residuals(model, instruments, theta)
    jacobian = _jacobian(model, lambda near: _residuals(model, instruments, near), theta)
    check_not_exact(residuals, np.abs(jacobian) @ np.abs(theta), _ROUNDING)
    weights = _weights(fit)
    gain = _gain(jacobian, instruments, weights)
    _check_solved(model, residuals, jacobian, instruments, weights)
    return Estimate(
        residuals=residuals,
        jacobian=jacobian,
        gain=gain,
        influence=gain * residuals[:, None],
        moment=_described(model, residuals, theta),
        estimator=type(model).__name__,
        exogenous=False,
        instruments=instruments,
        index=model.exog @ theta if _is_linear(model, residuals, theta) else None,
    )


def _instruments(model: Any) -> Float[np.ndarray, "n m"]:
    if model.endog is None:
        check_has_data(model)
    if model.instrument is None:
        raise _unsupported(
            model,
            "the model was built without `instrument`, so its residuals cannot be told from its "
            "moment conditions.",
        )
    instruments = np.asarray(model.instrument, float)
    return instruments.reshape(len(instruments), -1)


def _weights(fit: Any) -> Float[np.ndarray, "m m"]:
    """Weight matrix of the last step; only its symmetric part enters the objective."""
    weights = np.asarray(fit.weights, float)
    return (weights + weights.T) / 2


def _unsupported(model: Any, reason: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"`fit` ({type(model).__name__}) is not supported: {reason} {_BY_HAND}"
    )


def _residuals(
    model: Any, instruments: Float[np.ndarray, "n m"], theta: Float[np.ndarray, " p"]
) -> Float[np.ndarray, " n"]:
    """Psi at theta: the model's own error where it gives the moments, or recovered from them."""
    moments = _moments(model, instruments, theta)
    errors = _own_errors(model, theta, len(instruments))
    if errors is not None and _is_product(moments, instruments, errors):
        return errors
    _check_recoverable(model, instruments)
    psi = np.einsum("ij,ij->i", instruments, moments) / np.sum(instruments**2, axis=1)
    if not _is_product(moments, instruments, psi):
        raise _unsupported(
            model,
            "its moment conditions (`momcond`) are not each instrument times one and the same "
            "residual. Several residuals, or moments of another form, cannot be told apart.",
        )
    return psi


def _moments(
    model: Any, instruments: Float[np.ndarray, "n m"], theta: Float[np.ndarray, " p"]
) -> Float[np.ndarray, "n m"]:
    moments = np.asarray(model.momcond(theta.copy()), float)
    if moments.shape != instruments.shape:
        raise _unsupported(
            model,
            f"`momcond` returns moments of shape {moments.shape} and `instrument` has shape "
            f"{instruments.shape}; expected one moment per row and instrument, the instrument "
            "times the residual.",
        )
    _check_finite(model, moments)
    return moments


def _own_errors(
    model: Any, theta: Float[np.ndarray, " p"], n: int
) -> Float[np.ndarray, " n"] | None:
    """`get_error` of IVGMM and of whoever defines it; it may not be what the moments use."""
    if not hasattr(model, "get_error"):
        return None
    errors = np.array(model.get_error(theta.copy()), float)
    return errors if errors.shape == (n,) else None


def _is_product(
    moments: Float[np.ndarray, "n m"],
    instruments: Float[np.ndarray, "n m"],
    psi: Float[np.ndarray, " n"],
) -> bool:
    allowed = _SAME * (np.abs(psi) + np.abs(psi).mean())
    off = np.abs(moments - instruments * psi[:, None])
    return bool((off <= np.abs(instruments) * allowed[:, None]).all())


def _check_recoverable(model: Any, instruments: Float[np.ndarray, "n m"]) -> None:
    """Refuse rows without an instrument, and single instruments that fit any moment."""
    used = np.sum(instruments != 0, axis=1)
    if (used == 0).any():
        raise _unsupported(
            model,
            f"all instruments are zero in {np.sum(used == 0)} of its {len(used)} rows, where the "
            "moment conditions say nothing about the residual. Give the model a method "
            "`get_error(params)` that returns the residuals.",
        )
    if used.max() == 1 and np.ptp(instruments[instruments != 0]) > 0:
        raise _unsupported(
            model,
            "it has one instrument a row, and any moment is that instrument times something. "
            "Give the model a method `get_error(params)` that returns the residuals.",
        )


def _check_finite(model: Any, values: Float[np.ndarray, "..."]) -> None:
    if not np.isfinite(values).all():
        raise DataError(
            f"`fit`: the parameters or the moment conditions of the {type(model).__name__} fit "
            "are missing or infinite at the estimate or next to it; drop the rows with missing "
            "values and fit again, from other `start_params` if need be."
        )


def _jacobian(
    model: Any, psi: Residual, theta: Float[np.ndarray, " p"]
) -> Float[np.ndarray, "n p"]:
    """Derivative of the residual, by central differences at two steps and extrapolation."""
    steps = np.array([_step(psi, theta, j) for j in range(len(theta))])
    coarse, fine = _differences(psi, theta, _COARSE * steps), _differences(psi, theta, steps)
    jacobian = _extrapolated(coarse, fine)
    if _is_minus_exog(model, jacobian):
        return -np.asarray(model.exog, float)
    _check_smooth(model, coarse, fine)
    return jacobian


def _step(psi: Residual, theta: Float[np.ndarray, " p"], j: int) -> float:
    """Step in parameter j that changes the residual by a given share, whatever the units."""
    here, direction = psi(theta), np.eye(len(theta))[j]
    shortest = _SHORTEST * abs(theta[j])
    step = np.finfo(float).eps ** (1 / 3) * max(abs(theta[j]), 0.1)
    for _ in range(_STEP_TRIALS):
        change = _change(psi, here, theta + step * direction)
        factor = _STEP * np.abs(here).mean() / max(change, np.finfo(float).tiny)
        step = max(step * np.clip(factor, 1e-3, 1e3), shortest)
        if 0.5 < factor < 2:
            break
    return float(step)


def _change(psi: Residual, here: Float[np.ndarray, " n"], theta: Float[np.ndarray, " p"]) -> float:
    """Mean change of the residual; infinite where the step leads out of its domain."""
    try:
        with np.errstate(all="ignore"):
            return float(np.abs(psi(theta) - here).mean())
    except DataError:
        return np.inf


def _differences(
    psi: Residual, theta: Float[np.ndarray, " p"], steps: Float[np.ndarray, " p"]
) -> Float[np.ndarray, "n p"]:
    columns = []
    for j, step in enumerate(np.diag(steps)):
        above, below = theta + step, theta - step
        columns.append((psi(above) - psi(below)) / (above[j] - below[j]))
    return np.column_stack(columns)


def _extrapolated(
    coarse: Float[np.ndarray, "n p"], fine: Float[np.ndarray, "n p"]
) -> Float[np.ndarray, "n p"]:
    """Cancel the error of second order in the step; rows at a kink keep the finer difference."""
    is_smooth = np.abs(coarse - fine) <= _ROUGH * np.abs(fine)
    return np.where(is_smooth, (_COARSE**2 * fine - coarse) / (_COARSE**2 - 1), fine)


def _check_smooth(
    model: Any, coarse: Float[np.ndarray, "n p"], fine: Float[np.ndarray, "n p"]
) -> None:
    """Refuse step functions, such as the residual of a quantile, and simulated moments.

    Between two jumps a step function has derivative zero, which says nothing.
    """
    size = np.abs(fine).mean(axis=0)
    if not (np.abs(coarse - fine).mean(axis=0) < _ROUGH * size).all():
        raise _unsupported(
            model,
            "its residual has no derivative that a numerical one agrees on, as it jumps or does "
            "not depend on all parameters. The indicator of a quantile, trimming, and simulated "
            "moments do this.",
        )


def _is_minus_exog(model: Any, jacobian: Float[np.ndarray, "n p"]) -> bool:
    """Whether the residual is linear in the regressors, whose exact values serve better then."""
    exog = model.exog
    if np.shape(exog) != jacobian.shape:
        return False
    return bool((np.abs(jacobian + exog) <= 1e-7 * np.abs(exog).max(axis=0)).all())


def _gain(
    jacobian: Float[np.ndarray, "n p"],
    instruments: Float[np.ndarray, "n m"],
    weights: Float[np.ndarray, "m m"],
) -> Float[np.ndarray, "n p"]:
    slope = instruments.T @ jacobian / len(jacobian)
    weighted = slope.T @ weights
    return -(instruments @ weighted.T @ _inverse(weighted @ slope, jacobian))


def _inverse(
    bread: Float[np.ndarray, "p p"], jacobian: Float[np.ndarray, "n p"]
) -> Float[np.ndarray, "p p"]:
    """Generalised inverse of D'WD, whatever the units of the parameters.

    Parameters that the residual itself does not tell apart are allowed: the choice among them
    changes neither the residuals nor the null law. Those that only the moments do not tell apart
    leave the residuals undetermined.
    """
    scaled, size = unit_diagonal((bread + bread.T) / 2)
    eigenvalues = np.linalg.eigvalsh(scaled)
    positive = np.sum(eigenvalues > eigenvalues.max() * len(size) * np.finfo(float).eps)
    if positive < np.linalg.matrix_rank(jacobian / size):
        raise DataError(
            "`fit`: the moment conditions do not identify the parameters: weighted, their "
            "derivatives are collinear to working precision, so the residuals are not "
            "determined. Use more or stronger instruments, fewer parameters, or a weight matrix "
            "(`inv_weights`) that is positive definite."
        )
    return np.asarray(np.linalg.pinv(scaled, hermitian=True) / np.outer(size, size))


def _check_solved(
    model: Any,
    residuals: Float[np.ndarray, " n"],
    jacobian: Float[np.ndarray, "n p"],
    instruments: Float[np.ndarray, "n m"],
    weights: Float[np.ndarray, "m m"],
) -> None:
    r"""Refuse an estimate that solves neither D'W mean(z psi) = 0 nor its continuous update.

    statsmodels keeps no record of convergence. With :math:`W(\theta) = (n^{-1}\sum_i\psi_i^2
    z_iz_i')^{-1}` updated during the minimisation D becomes :math:`n^{-1}\sum_i z_i(1 - \psi_i
    z_i'W\bar m)S_i'`.
    """
    updated = 1 - residuals * (instruments @ weights @ (instruments.T @ residuals / len(residuals)))
    distance = min(
        _distance(residuals, instruments, weights, instruments.T @ slopes / len(residuals))
        for slopes in (jacobian, jacobian * updated[:, None])
    )
    if not distance <= _UNSOLVED:
        raise DataError(
            f"`fit`: the {type(model).__name__} fit did not converge: its parameters are "
            f"{distance:.2g} standard errors from where the first-order condition of its moments "
            "holds. statsmodels' optimisers stop at absolute changes, whatever the units; refit "
            "with variables divided by their standard deviation, better `start_params`, or "
            "another `optim_method`. In a subclass, check that `fitgmm`, `score` and `momcond` "
            "belong to the same moments."
        )


def _distance(
    residuals: Float[np.ndarray, " n"],
    instruments: Float[np.ndarray, "n m"],
    weights: Float[np.ndarray, "m m"],
    slope: Float[np.ndarray, "m p"],
) -> float:
    """Size of the mean of D'W z psi in its own standard errors, an invariant of the units."""
    scores = (instruments @ (weights @ slope)) * residuals[:, None]
    scores = scores / np.maximum(np.linalg.norm(scores, axis=0), np.finfo(float).tiny)
    ones = np.ones(len(scores))
    return float(np.linalg.norm(scores @ np.linalg.lstsq(scores, ones, rcond=None)[0]))


def _described(
    model: Any, residuals: Float[np.ndarray, " n"], theta: Float[np.ndarray, " p"]
) -> str:
    """The residual in words."""
    name = model.endog_names
    if _is_linear(model, residuals, theta):
        return f"{name} - x'b"
    if _is_instrumental(model) and np.allclose(residuals, model.endog - model.predict(theta)):
        return f"{name} - f(x, b)"
    return f"residual of {type(model).__name__}"


def _is_linear(
    model: Any, residuals: Float[np.ndarray, " n"], theta: Float[np.ndarray, " p"]
) -> bool:
    """Tell whether the residual is the outcome less x'b."""
    if np.shape(model.exog) != (len(residuals), len(theta)):
        return False
    return np.allclose(residuals, model.endog - model.exog @ theta)


def _is_instrumental(model: Any) -> bool:
    return "IVGMM" in [cls.__name__ for cls in type(model).__mro__]
