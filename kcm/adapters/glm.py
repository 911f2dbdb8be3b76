"""Generalised linear models of statsmodels, any family and link."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from kcm.adapters.estimate import (
    Estimate,
    check_converged,
    check_has_data,
    check_not_exact,
    check_solved,
    inverse_information,
    reciprocal,
)
from kcm.exceptions import UnsupportedModelError
from kcm.moments import (
    BinomialOutcomes,
    CountOutcomes,
    GammaOutcomes,
    InverseGaussianOutcomes,
    Outcomes,
)

__all__ = ["frequencies", "generalised_linear_model", "predictor_in_words", "share_in_words"]

# Frequency weights are repeated rows, and every row has its own multiplier.
MOST_ROWS = 10_000_000
# Iterations stop at about this change; a separated binomial comes this close to 0 and 1.
_TOLERANCE = 1e-8


def generalised_linear_model(fit: Any) -> Estimate:
    r"""Residuals, jacobian, gain and influence of a GLM.

    Notes
    -----
    :math:`\psi_i = y_i - \mu_i` (shares for a binomial with several trials),
    :math:`S_i = -\mu'(\eta_i)x_i`, :math:`L_i = A^{-1}\mu'(\eta_i)x_i / V_i` with
    :math:`V_i = V(\mu_i)/(w_i m_i)` (variance weights w, trials m; the dispersion cancels) and
    :math:`l_i = L_i\psi_i`. A is minus the mean *observed* Hessian, which is what statsmodels
    uses for ``cov_type="HC0"``. Whole-number frequency weights stand for repeated rows,
    and rows of weight zero for none.
    """
    model = fit.model
    check_has_data(model)
    check_converged(fit)
    repeats = _observations(model)
    params = np.asarray(fit.params, float)
    mean = np.asarray(model.predict(params), float)
    residuals = np.asarray(model.endog, float) - mean
    used = slice(None) if repeats is None else repeats > 0
    check_not_exact(residuals[used], np.asarray(model.endog, float)[used], _TOLERANCE)
    slopes = _slopes(model, params)
    precision = np.asarray(model.var_weights * model.n_trials / model.family.variance(mean))
    scores = slopes * (precision * model.freq_weights * residuals)[:, None]
    check_solved(scores, residuals, np.asarray(model.exog, float), model.exog_names)
    gain = slopes * precision[:, None] @ inverse_information(_information(model, params))
    return Estimate(
        residuals=_repeat(residuals, repeats),
        jacobian=_repeat(-slopes, repeats),
        gain=_repeat(gain, repeats),
        influence=_repeat(gain * residuals[:, None], repeats),
        moment=_moment(model),
        estimator=f"GLM ({type(model.family).__name__})",
        variance=_repeat(reciprocal(precision), repeats),
        exogenous=True,
        outcomes=_outcomes(fit, _repeat(mean, repeats), repeats),
        index=_repeat(np.asarray(model.predict(params, which="linear"), float), repeats),
    )


def _outcomes(
    fit: Any, mean: Float[np.ndarray, " m"], repeats: Int[np.ndarray, " n"] | None
) -> Outcomes | None:
    """Return the law of the outcome; None for families whose errors may have any law."""
    model, family = fit.model, fit.model.family
    weights = np.broadcast_to(np.asarray(model.var_weights, float), (len(model.endog),))
    dispersion = _repeat(float(fit.scale) * reciprocal(weights), repeats)
    match type(family).__name__:
        case "Binomial":
            trials = np.broadcast_to(np.asarray(model.n_trials, float), (len(model.endog),))
            return BinomialOutcomes(mean, _repeat(trials, repeats))
        case "Poisson":
            return CountOutcomes(mean, np.zeros(len(mean)))
        case "NegativeBinomial":
            return CountOutcomes(mean, np.full(len(mean), float(family.alpha)))
        case "Gamma":
            return GammaOutcomes(mean, dispersion)
        case "InverseGaussian":
            return InverseGaussianOutcomes(mean, dispersion)
    return None


def frequencies(model: Any) -> Int[np.ndarray, " n"] | None:
    """Frequency weights of a GLM as whole numbers; None when there are none."""
    weights = np.asarray(model.freq_weights, float)
    if (weights == 1).all():
        return None
    if (weights != np.round(weights)).any():
        raise UnsupportedModelError(
            "`fit` is a GLM with `freq_weights` that are not whole numbers, so they cannot stand "
            "for repeated rows. Pass weights that express precision as `var_weights`; for "
            "sampling weights build a kcm.FittedMoment."
        )
    if weights.sum() > MOST_ROWS:
        raise UnsupportedModelError(
            f"`fit` is a GLM with `freq_weights` that stand for {weights.sum():,.0f} rows; at most "
            f"{MOST_ROWS:,} can be repeated. Aggregate the data, or test a random part of them."
        )
    return weights.astype(np.int64)


def _observations(model: Any) -> Int[np.ndarray, " n"] | None:
    """How often each row is repeated, not at all where its weight is zero."""
    repeats, weighted = frequencies(model), np.asarray(model.var_weights) != 0
    if weighted.all():
        return repeats
    return np.where(weighted, 1 if repeats is None else repeats, 0).astype(np.int64)


def _n_weighted(model: Any) -> float:
    """Observations with a weight."""
    return float(np.sum(np.where(np.asarray(model.var_weights) != 0, model.freq_weights, 0.0)))


def _repeat(
    array: Shaped[np.ndarray, "n ..."], repeats: Int[np.ndarray, " n"] | None
) -> Shaped[np.ndarray, "m ..."]:
    return array if repeats is None else np.repeat(array, repeats, axis=0)


def _slopes(model: Any, params: Float[np.ndarray, " p"]) -> Float[np.ndarray, "n p"]:
    """Derivative of the mean in the parameters."""
    slope = model.family.link.inverse_deriv(model.predict(params, which="linear"))
    slopes: Float[np.ndarray, "n p"] = np.asarray(slope)[:, None] * np.asarray(model.exog, float)
    return slopes


def _information(model: Any, params: Float[np.ndarray, " p"]) -> Float[np.ndarray, "p p"]:
    # statsmodels divides by the weights, and a weight may be zero
    with np.errstate(divide="ignore", invalid="ignore"):
        curvature = model.hessian_factor(params, scale=1.0, observed=True)
    curvature = np.where(model.iweights > 0, curvature, 0.0)
    exog = np.asarray(model.exog, float)
    return np.asarray((exog.T * curvature) @ exog / _n_weighted(model))


def _moment(model: Any) -> str:
    link = type(model.family.link).__name__.lower()
    words = {"log": "exp({})", "identity": "{}"}.get(link, link + "^-1({})")
    return f"{share_in_words(model)} - {words.format(predictor_in_words(model))}"


def share_in_words(model: Any) -> str:
    """Name of the outcome; a binomial given as successes and failures is a share."""
    names = model.endog_names
    return names if isinstance(names, str) else f"{names[0]}/({' + '.join(names)})"


def predictor_in_words(model: Any) -> str:
    """The linear predictor, with the offset and exposure that belong to it."""
    words = {"offset": "offset", "exposure": "log(exposure)"}
    given = [word for name, word in words.items() if getattr(model, name, None) is not None]
    return " + ".join(["x'b", *given])
