"""Which adapter reads which fit, and what is said of a fit that none reads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from kcm.adapters import discrete, evaluation, instrumental
from kcm.adapters.estimate import Estimate
from kcm.adapters.evaluation import Evaluation
from kcm.adapters.glm import generalised_linear_model
from kcm.adapters.linear import least_squares
from kcm.adapters.moment_conditions import moment_conditions
from kcm.adapters.new_rows import (
    NewRows,
    instrumental_new_rows,
    linearmodels_new_rows,
    statsmodels_new_rows,
)
from kcm.adapters.quantile import quantile_regression
from kcm.adapters.rows import FitRows, gmm_rows, linearmodels_rows, sandbox_rows, statsmodels_rows
from kcm.exceptions import UnsupportedModelError

__all__ = ["Adapter", "fit_in_words", "library_class", "recognised"]


@final
@dataclass(frozen=True, slots=True)
class Adapter:
    """How to read one kind of fit.

    Parameters
    ----------
    results : tuple of str
        Result classes that the model's `fit()` returns. Others of the same model, such as
        regularised results, are not meant.
    estimate : callable
        Fit to `Estimate`.
    rows : callable
        Fit to `FitRows`.
    evaluate : callable, optional
        Fit and `NewRows` to `Evaluation`; None where that is not known.
    new_rows : callable
        Fit and new data to `NewRows`.
    by_instruments : bool
        Whether the estimate has instruments.
    """

    results: tuple[str, ...]
    estimate: Callable[[Any], Estimate]
    rows: Callable[[Any], FitRows] = statsmodels_rows
    evaluate: Callable[[Any, NewRows], Evaluation] | None = None
    new_rows: Callable[[Any, Any], NewRows] = statsmodels_new_rows
    by_instruments: bool = False


_LINEAR = "statsmodels.regression.linear_model."
_DISCRETE = "statsmodels.discrete.discrete_model."
_SANDBOX = "statsmodels.sandbox.regression.gmm."
_IV = "linearmodels.iv.model."
_LEAST_SQUARES = Adapter(
    (_LINEAR + "OLSResults", _LINEAR + "RegressionResults"),
    least_squares,
    evaluate=evaluation.evaluate_linear,
)
_IV_RESULTS = tuple(f"linearmodels.iv.results.{name}" for name in ("IVResults", "OLSResults"))
_LINEARMODELS = linearmodels_rows, evaluation.evaluate_linear, linearmodels_new_rows
_K_CLASS = Adapter(_IV_RESULTS, instrumental.k_class, *_LINEARMODELS, True)
_GMM = Adapter(
    ("linearmodels.iv.results.IVGMMResults",),
    instrumental.generalised_moments,
    *_LINEARMODELS,
    True,
)
_MOMENTS = Adapter(
    (_SANDBOX + "GMMResults", _SANDBOX + "IVGMMResults"),
    moment_conditions,
    gmm_rows,
    by_instruments=True,
)


def _discrete(
    estimate: Callable[[Any], Estimate],
    *results: str,
    evaluate: Callable[[Any, NewRows], Evaluation] = evaluation.evaluate_count,
) -> Adapter:
    return Adapter(tuple(_DISCRETE + name for name in results), estimate, evaluate=evaluate)


# By the qualified name of the model's class, so that nothing is imported to find out.
_ADAPTERS = {
    _LINEAR + "OLS": _LEAST_SQUARES,
    _LINEAR + "WLS": _LEAST_SQUARES,
    _LINEAR + "GLS": _LEAST_SQUARES,
    "statsmodels.genmod.generalized_linear_model.GLM": Adapter(
        ("statsmodels.genmod.generalized_linear_model.GLMResults",),
        generalised_linear_model,
        evaluate=evaluation.evaluate_generalised,
    ),
    _DISCRETE + "Logit": _discrete(
        discrete.logit, "LogitResults", evaluate=evaluation.evaluate_probability
    ),
    _DISCRETE + "Probit": _discrete(
        discrete.probit, "ProbitResults", evaluate=evaluation.evaluate_probability
    ),
    _DISCRETE + "Poisson": _discrete(discrete.poisson, "PoissonResults"),
    _DISCRETE + "NegativeBinomial": _discrete(
        discrete.negative_binomial, "NegativeBinomialResults", "CountResults"
    ),
    _DISCRETE + "NegativeBinomialP": _discrete(
        discrete.negative_binomial_p, "NegativeBinomialPResults"
    ),
    _DISCRETE + "GeneralizedPoisson": _discrete(
        discrete.generalised_poisson, "GeneralizedPoissonResults"
    ),
    "statsmodels.regression.quantile_regression.QuantReg": Adapter(
        ("statsmodels.regression.quantile_regression.QuantRegResults",),
        quantile_regression,
        evaluate=evaluation.evaluate_quantile,
    ),
    _SANDBOX + "IV2SLS": Adapter(
        (_SANDBOX + "IVRegressionResults",),
        instrumental.two_stage_least_squares,
        sandbox_rows,
        evaluation.evaluate_linear,
        instrumental_new_rows,
        True,
    ),
    _SANDBOX + "IVGMM": _MOMENTS,
    _SANDBOX + "LinearIVGMM": _MOMENTS,
    _SANDBOX + "NonlinearIVGMM": _MOMENTS,
    _SANDBOX + "GMM": _MOMENTS,
    _IV + "IV2SLS": _K_CLASS,
    _IV + "IVLIML": _K_CLASS,
    _IV + "_OLS": _K_CLASS,
    _IV + "IVGMM": _GMM,
    _IV + "IVGMMCUE": _GMM,
}

_SUPPORTED = (
    "Supported are statsmodels OLS, WLS, GLS with diagonal weights, GLM, Logit, Probit, Poisson, "
    "NegativeBinomial, NegativeBinomialP, GeneralizedPoisson, QuantReg, IV2SLS, IVGMM, "
    "LinearIVGMM, NonlinearIVGMM and your own subclasses of GMM whose moments are instruments "
    "times one residual, linearmodels OLS, IV2SLS, IVLIML, IVGMM and IVGMMCUE, and kcm MMR and "
    "VMM. For any other estimator build a kcm.FittedMoment from its residuals, jacobian and "
    "influence."
)


def recognised(fit: Any) -> tuple[Any, Adapter]:
    """Find the adapter of a fit, and the result inside statsmodels' wrapper."""
    fit = getattr(fit, "_results", fit)
    _refuse_what_is_no_fit(fit)
    adapter = _ADAPTERS.get(_library_name(fit.model))
    if adapter is None or _library_name(fit) not in adapter.results:
        raise UnsupportedModelError(f"`fit` ({fit_in_words(fit)}) is not supported. {_SUPPORTED}")
    _refuse_restricted(fit)
    return fit, adapter


def library_class(thing: Any) -> type:
    """Class that a library gave to an object, below the caller's own subclasses."""
    for cls in type(thing).__mro__:
        if cls.__module__.split(".")[0] in ("statsmodels", "linearmodels"):
            return cls
    return type(thing)


def _library_name(thing: Any) -> str:
    cls = library_class(thing)
    return f"{cls.__module__}.{cls.__qualname__}"


def fit_in_words(fit: Any) -> str:
    """Name the class of a fit, its library and the class of its model."""
    library = library_class(fit).__module__.split(".")[0]
    return f"{type(fit).__name__} of the {library} model {type(fit.model).__name__}"


def _refuse_what_is_no_fit(fit: Any) -> None:
    name, module = type(fit).__name__, type(fit).__module__
    if module.split(".")[0] == "sklearn":
        raise UnsupportedModelError(
            f"`fit` is the scikit-learn estimator {name}, which keeps neither its data nor its "
            "influence function. Build kcm.FittedMoment(y - model.predict(x), x, jacobian, "
            "influence), or with the covariance of its parameters (`covariance=`) in place of the "
            "influence if it was fitted on other data. Without either this predictor itself is the "
            f"hypothesis, not the model. {_SUPPORTED}"
        )
    if hasattr(fit, "params") and hasattr(fit, "model"):
        return
    if callable(getattr(fit, "fit", None)):
        raise UnsupportedModelError(
            f"`fit` ({name}) is a model that is not fitted yet; call .fit() and pass what it "
            "returns."
        )
    raise UnsupportedModelError(
        f"`fit` must be a fitted result or a kcm.FittedMoment; got {name}. {_SUPPORTED}"
    )


def _refuse_restricted(fit: Any) -> None:
    if getattr(fit, "regularized", False):
        raise UnsupportedModelError(
            f"`fit` ({fit_in_words(fit)}) is regularised: its variables were selected on the same "
            f"data, which the influence function does not know. {_SUPPORTED}"
        )
    if getattr(fit, "constraints", None) is not None:
        raise UnsupportedModelError(
            f"`fit` ({fit_in_words(fit)}) has constrained parameters (`fit_constrained`); write "
            f"the constraint into the regressors or an offset and call .fit(). {_SUPPORTED}"
        )
