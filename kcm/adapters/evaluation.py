"""The residuals of a fit on rows that it has not used, and their jacobian, at its parameters."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from kcm.adapters.new_rows import NewRows
from kcm.adapters.quantile import conditional_density

__all__ = [
    "Evaluation",
    "evaluate_count",
    "evaluate_generalised",
    "evaluate_linear",
    "evaluate_probability",
    "evaluate_quantile",
]


class Evaluation(NamedTuple):
    """psi_i, unweighted and in the units of the outcome, S_i = d psi_i / d theta, the predictor."""

    residuals: Float[np.ndarray, " n"]
    jacobian: Float[np.ndarray, "n p"]
    predictor: Float[np.ndarray, " n"]


def evaluate_linear(fit: Any, new: NewRows) -> Evaluation:
    """Return y - x'b and -x."""
    index = new.exog @ _params(fit)
    return Evaluation(new.outcome - index, -new.exog, index)


def evaluate_generalised(fit: Any, new: NewRows) -> Evaluation:
    """Return y - mu, mu the inverse link of the predictor."""
    link, predictor = fit.model.family.link, _predictor(fit, new)
    mean, slope = link.inverse(predictor), link.inverse_deriv(predictor)
    return _around_mean(fit, new, np.asarray(mean, float), np.asarray(slope, float))


def evaluate_probability(fit: Any, new: NewRows) -> Evaluation:
    """Return y - P(y=1 | x'b)."""
    predictor = _predictor(fit, new)
    mean, slope = fit.model.cdf(predictor), fit.model.pdf(predictor)
    return _around_mean(fit, new, np.asarray(mean, float), np.asarray(slope, float))


def evaluate_count(fit: Any, new: NewRows) -> Evaluation:
    """Return y - exp(x'b)."""
    mean = np.exp(_predictor(fit, new))
    return _around_mean(fit, new, mean, mean)


def evaluate_quantile(fit: Any, new: NewRows) -> Evaluation:
    """Return 1{y <= x'b} - tau, and the density of the errors at zero times x."""
    tau = float(fit.q)
    index = new.exog @ _params(fit)
    errors = new.outcome - index
    psi = np.where(errors <= 0, 1 - tau, -tau)
    return Evaluation(psi, conditional_density(errors, tau)[:, None] * new.exog, index)


def _params(fit: Any) -> Float[np.ndarray, " p"]:
    return np.asarray(fit.params, float)


def _predictor(fit: Any, new: NewRows) -> Float[np.ndarray, " n"]:
    return new.exog @ _params(fit)[: new.exog.shape[1]] + new.offset


def _around_mean(
    fit: Any, new: NewRows, mean: Float[np.ndarray, " n"], slope: Float[np.ndarray, " n"]
) -> Evaluation:
    """Return y - mu and its jacobian; dispersion parameters do not move the mean."""
    jacobian = np.zeros((len(mean), len(_params(fit))))
    jacobian[:, : new.exog.shape[1]] = -slope[:, None] * new.exog
    return Evaluation(new.outcome - mean, jacobian, _predictor(fit, new))
