"""Likelihood models of statsmodels.discrete: Logit, Probit and the count models.

The moment is that of the mean, E[y - mu(x'b) | x] = 0, whatever else the likelihood says.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from kcm.adapters.estimate import (
    Estimate,
    check_converged,
    check_has_data,
    check_not_exact,
    check_solved,
    inverse_information,
)
from kcm.adapters.glm import predictor_in_words
from kcm.moments import BinomialOutcomes, CountOutcomes, GeneralizedPoissonOutcomes, Outcomes

__all__ = [
    "generalised_poisson",
    "logit",
    "negative_binomial",
    "negative_binomial_p",
    "poisson",
    "probit",
]

# Newton steps stop at about this change; a separated logit comes this close to 0 and 1.
_TOLERANCE = 1e-8


def logit(fit: Any) -> Estimate:
    """Logit: psi = y - P(y=1 | x'b)."""
    mean = _mean(fit)
    variance = mean * (1 - mean)
    words = _probability(fit.model)
    return _maximum_likelihood(fit, mean, variance, variance, words, _zero_or_one(mean))


def probit(fit: Any) -> Estimate:
    """Probit: psi = y - P(y=1 | x'b)."""
    mean = _mean(fit)
    predictor = fit.model.predict(np.asarray(fit.params, float), which="linear")
    slope = np.asarray(fit.model.pdf(predictor), float)
    words = _probability(fit.model)
    return _maximum_likelihood(fit, mean, slope, mean * (1 - mean), words, _zero_or_one(mean))


def poisson(fit: Any) -> Estimate:
    """Poisson: psi = y - exp(x'b), Var(y | x) = mu."""
    mean = _mean(fit)
    return _count_model(fit, mean, mean)


def negative_binomial(fit: Any) -> Estimate:
    """NB2: Var(y | x) = mu + alpha mu^2; NB1: mu + alpha mu; geometric: mu + mu^2."""
    mean = _mean(fit)
    power = {"nb1": 1, "nb2": 2, "geometric": 2}[fit.model.loglike_method]
    alpha = 1.0 if fit.model.loglike_method == "geometric" else _dispersion(fit)
    return _count_model(fit, mean, mean + alpha * mean**power)


def negative_binomial_p(fit: Any) -> Estimate:
    """NB-P: Var(y | x) = mu + alpha mu^P.

    The Hessian is the complex-step derivative of the score: the one that statsmodels 0.15 has in
    closed form is right for P = 1 and 2 only.
    """
    from statsmodels.tools.numdiff import approx_fprime_cs

    mean = _mean(fit)
    variance = mean + _dispersion(fit) * mean**fit.model.parameterization
    hessian = approx_fprime_cs(np.asarray(fit.params, float), fit.model.score)
    return _count_model(fit, mean, variance, hessian)


def generalised_poisson(fit: Any) -> Estimate:
    """GP-P: Var(y | x) = mu (1 + alpha mu^(P - 1))^2."""
    mean = _mean(fit)
    # statsmodels keeps P - 1 under this name
    spread = 1 + _dispersion(fit) * mean**fit.model.parameterization
    outcomes = GeneralizedPoissonOutcomes(mean, spread)
    return _count_model(fit, mean, mean * spread**2, outcomes=outcomes)


def _mean(fit: Any) -> Float[np.ndarray, " n"]:
    check_has_data(fit.model)
    check_converged(fit)
    return np.asarray(fit.model.predict(np.asarray(fit.params, float)), float)


def _dispersion(fit: Any) -> float:
    return float(np.asarray(fit.params)[-1])


def _zero_or_one(mean: Float[np.ndarray, " n"]) -> Outcomes:
    return BinomialOutcomes(mean, np.ones(len(mean)))


def _probability(model: Any) -> str:
    return f"P({model.endog_names}=1 | {predictor_in_words(model)})"


def _count_model(
    fit: Any,
    mean: Float[np.ndarray, " n"],
    variance: Float[np.ndarray, " n"],
    hessian: Float[np.ndarray, "p p"] | None = None,
    outcomes: Outcomes | None = None,
) -> Estimate:
    words = f"exp({predictor_in_words(fit.model)})"
    if outcomes is None:
        outcomes = CountOutcomes(mean, np.maximum(variance - mean, 0.0) / mean**2)
    return _maximum_likelihood(fit, mean, mean, variance, words, outcomes, hessian)


def _maximum_likelihood(
    fit: Any,
    mean: Float[np.ndarray, " n"],
    slope: Float[np.ndarray, " n"],
    variance: Float[np.ndarray, " n"],
    mean_in_words: str,
    outcomes: Outcomes,
    hessian: Float[np.ndarray, "p p"] | None = None,
) -> Estimate:
    r"""Influence from scores and the observed Hessian, as statsmodels' ``cov_type="HC0"``.

    :math:`l_i = A^{-1}` score_i with A minus the mean Hessian. The score need not be linear in
    :math:`\psi_i`; the gain is its projection on :math:`\psi_i`,
    :math:`A^{-1}(d\mu_i/d\theta)/V_i`, since E[score_i psi_i | x_i] = d mu_i / d theta by the
    Bartlett identity. Dispersion parameters do not move the mean: their slopes are zero.
    """
    model, params = fit.model, np.asarray(fit.params, float)
    outcome = np.asarray(model.endog, float)
    check_not_exact(outcome - mean, outcome, _TOLERANCE)
    slopes = np.zeros((len(mean), len(params)))
    slopes[:, : model.exog.shape[1]] = slope[:, None] * np.asarray(model.exog)
    curvature = model.hessian(params) if hessian is None else hessian
    inverse = inverse_information(-np.asarray(curvature, float) / len(mean))
    scores = np.asarray(model.score_obs(params), float)
    check_solved(scores, outcome - mean, np.asarray(model.exog, float), model.exog_names)
    precision = np.divide(1.0, variance, out=np.zeros_like(variance), where=variance > 0)
    return Estimate(
        residuals=outcome - mean,
        jacobian=-slopes,
        gain=slopes * precision[:, None] @ inverse,
        influence=scores @ inverse,
        moment=f"{model.endog_names} - {mean_in_words}",
        estimator=type(model).__name__,
        variance=variance,
        exogenous=True,
        outcomes=outcomes,
        index=np.asarray(model.predict(params, which="linear"), float),
    )
