"""From a fitted result of any type to the adapter that knows it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from kcm.adapters import discrete, instrumental
from kcm.adapters.conditioning import align_rows, choose_conditioning
from kcm.adapters.estimate import Estimate
from kcm.adapters.estimation import estimation_rows, is_estimation, own_moment
from kcm.adapters.glm import generalised_linear_model
from kcm.adapters.linear import least_squares
from kcm.adapters.moment_conditions import moment_conditions
from kcm.adapters.quantile import quantile_regression
from kcm.adapters.rows import (
    FitRows,
    gmm_rows,
    linearmodels_rows,
    sandbox_rows,
    statsmodels_rows,
)
from kcm.exceptions import DataError, OptionError, UnsupportedModelError
from kcm.leverage import leverage_scale
from kcm.moments import FittedMoment, MomentLabels

__all__ = ["align_to_fit", "fit_column", "fit_name", "fit_rows", "fitted_moment"]


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
    """

    results: tuple[str, ...]
    estimate: Callable[[Any], Estimate]
    rows: Callable[[Any], FitRows] = statsmodels_rows


_LINEAR = "statsmodels.regression.linear_model."
_DISCRETE = "statsmodels.discrete.discrete_model."
_SANDBOX = "statsmodels.sandbox.regression.gmm."
_IV = "linearmodels.iv.model."
_LEAST_SQUARES = Adapter((_LINEAR + "OLSResults", _LINEAR + "RegressionResults"), least_squares)
_IV_RESULTS = tuple(f"linearmodels.iv.results.{name}" for name in ("IVResults", "OLSResults"))
_K_CLASS = Adapter(_IV_RESULTS, instrumental.k_class, linearmodels_rows)
_GMM = Adapter(
    ("linearmodels.iv.results.IVGMMResults",), instrumental.generalised_moments, linearmodels_rows
)
_MOMENTS = Adapter(
    (_SANDBOX + "GMMResults", _SANDBOX + "IVGMMResults"), moment_conditions, gmm_rows
)


def _discrete(estimate: Callable[[Any], Estimate], *results: str) -> Adapter:
    return Adapter(tuple(_DISCRETE + name for name in results), estimate)


# By the qualified name of the model's class, so that nothing is imported to find out.
_ADAPTERS = {
    _LINEAR + "OLS": _LEAST_SQUARES,
    _LINEAR + "WLS": _LEAST_SQUARES,
    _LINEAR + "GLS": _LEAST_SQUARES,
    "statsmodels.genmod.generalized_linear_model.GLM": Adapter(
        ("statsmodels.genmod.generalized_linear_model.GLMResults",), generalised_linear_model
    ),
    _DISCRETE + "Logit": _discrete(discrete.logit, "LogitResults"),
    _DISCRETE + "Probit": _discrete(discrete.probit, "ProbitResults"),
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
        ("statsmodels.regression.quantile_regression.QuantRegResults",), quantile_regression
    ),
    _SANDBOX + "IV2SLS": Adapter(
        (_SANDBOX + "IVRegressionResults",), instrumental.two_stage_least_squares, sandbox_rows
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


def fitted_moment(fit: Any, conditioning: Any = None) -> FittedMoment:
    """Turn a fitted result into the moment that a test works on.

    Parameters
    ----------
    fit : fitted result, EstimationResults or FittedMoment
        A FittedMoment is returned as it is.
    conditioning : data frame, str, list of str or array_like, optional
        The variables that the moment is conditioned on: a data frame or series (aligned with the
        fit by its index), names of columns of the data frame behind the fit (of its design, for a
        fit on arrays), or an array with the rows used by the fit. By default the variables that
        the formula mentions, or the design columns that vary; for instrumental variables and GMM
        the exogenous variables and the instruments. Offsets, exposures and weights are not among
        them.

    Returns
    -------
    FittedMoment
        Residuals in the units of the outcome, with jacobian, influence, HC2 scale and labels.

    Raises
    ------
    UnsupportedModelError
        When the influence function of the fit is not known here.
    DataError
        When the fit or the conditioning variables cannot be used.
    OptionError
        When `conditioning` comes with a FittedMoment, which holds its own.

    Examples
    --------
    >>> import pandas as pd
    >>> import statsmodels.formula.api as smf
    >>> data = pd.DataFrame({"x": [1.0, 2, 3, 4, 5], "y": [1.0, 3, 2, 5, 4]})
    >>> moment = fitted_moment(smf.ols("y ~ x + I(x**2)", data).fit())
    >>> moment.labels.moment, moment.labels.conditioning, moment.labels.theta
    ("y - x'b", ('x',), 'estimated: OLS')
    """
    if isinstance(fit, FittedMoment):
        return _unchanged(fit, conditioning)
    if is_estimation(fit):
        return own_moment(fit, conditioning)
    fit, adapter = _recognised(fit)
    rows, estimate = adapter.rows(fit), adapter.estimate(fit)
    (values, names, kinds, levels), notes = choose_conditioning(rows, conditioning)
    if rows.n_unweighted:
        notes = (*notes, f"{rows.n_unweighted:,} rows of weight zero are left out")
    jacobian, gain = estimate.jacobian[:, None, :], estimate.gain[:, None, :]
    theta, told = f"estimated: {estimate.estimator}", estimate.moment
    return FittedMoment(
        estimate.residuals,
        values,
        jacobian,
        estimate.influence,
        leverage_scale(jacobian, gain, estimate.variance),
        MomentLabels(told, names, theta, rows.n_dropped, kinds, estimate.exogenous, levels, notes),
    )


def fit_column(fit: Any, name: str) -> np.ndarray:
    """Return a column of the data behind a fit, on the rows that the fit used.

    Parameters
    ----------
    fit : fitted result
        As for `fitted_moment`.
    name : str
        Column of the data frame that the formula was evaluated on; of the design, for a fit on
        arrays or by linearmodels.

    Returns
    -------
    ndarray of shape (n_rows,)
        Values of any type, ready for `align_to_fit`.

    Raises
    ------
    DataError
        When there is no such column, or the data frame changed since the fit.
    UnsupportedModelError
        When the fit is not known.

    Examples
    --------
    >>> import pandas as pd
    >>> import statsmodels.formula.api as smf
    >>> data = pd.DataFrame({"x": [1.0, 2, 4], "y": [1.0, 3, 2], "firm": ["a", "a", "b"]})
    >>> fit_column(smf.ols("y ~ x", data).fit(), "firm").tolist()
    ['a', 'a', 'b']
    """
    if isinstance(fit, FittedMoment):
        raise DataError(f"a FittedMoment holds no column {name!r}; pass the values themselves.")
    return fit_rows(fit).columns([name], "groups")[name].to_numpy()


def align_to_fit(fit: Any, values: Any, argument: str) -> np.ndarray:
    """Bring values given by the caller to the observations of `fitted_moment`.

    Parameters
    ----------
    fit : fitted result or FittedMoment
        As for `fitted_moment`.
    values : Series, data frame or array_like
        One row per row of the fit; values of any type. With an index, when the data of the fit
        had one too, rows are matched by label and may be more than the fit used.
    argument : str
        Name of the caller's argument, for messages.

    Returns
    -------
    ndarray of shape (n,) or (n, k)
        One row per observation; rows with a frequency weight are repeated.

    Raises
    ------
    DataError
        When labels are missing or repeated, or the number of rows differs.
    UnsupportedModelError
        When the fit is not known.

    Examples
    --------
    >>> import pandas as pd
    >>> import statsmodels.formula.api as smf
    >>> data = pd.DataFrame({"x": [1.0, 2, 4], "y": [1.0, 3, 2]}, index=["a", "b", "c"])
    >>> firm = pd.Series([2, 1, 1], index=["c", "b", "a"])
    >>> align_to_fit(smf.ols("y ~ x", data).fit(), firm, "groups").tolist()
    [1, 1, 2]
    """
    rows = fit_rows(fit)
    aligned = align_rows(rows, values, argument).to_numpy()
    return rows.repeated(aligned[:, 0] if np.ndim(values) == 1 else aligned)


def fit_name(fit: Any) -> str:
    """Name a fit by its library and model.

    Parameters
    ----------
    fit : fitted result, EstimationResults or FittedMoment
        As for `fitted_moment`.

    Returns
    -------
    str
        For example "statsmodels OLS", "linearmodels IV2SLS" or "kcm MMR"; of a caller's own
        subclass the class that the library gave it, and "a FittedMoment" for one.

    Examples
    --------
    >>> import statsmodels.api as sm
    >>> fit_name(sm.OLS([1.0, 3.0, 2.0], [[1.0], [2.0], [4.0]]).fit())
    'statsmodels OLS'
    """
    if isinstance(fit, FittedMoment):
        return "a FittedMoment"
    if is_estimation(fit):
        return f"kcm {fit.estimator}"
    cls = _library_class(getattr(fit, "_results", fit).model)
    return f"{cls.__module__.split('.')[0]} {cls.__name__.lstrip('_')}"


def fit_rows(fit: Any) -> FitRows:
    """Where the observations of a fit of any type come from."""
    if isinstance(fit, FittedMoment):
        return FitRows(fit.n_obs)
    if is_estimation(fit):
        return estimation_rows(fit)
    fit, adapter = _recognised(fit)
    return adapter.rows(fit)


def _unchanged(moment: FittedMoment, conditioning: Any) -> FittedMoment:
    if conditioning is None:
        return moment
    raise OptionError(
        "`conditioning` cannot be given together with a FittedMoment, which holds its own; build "
        "the FittedMoment with the variables that you want to condition on."
    )


def _recognised(fit: Any) -> tuple[Any, Adapter]:
    """Find the adapter of a fit, and the result inside statsmodels' wrapper."""
    fit = getattr(fit, "_results", fit)
    _refuse_what_is_no_fit(fit)
    adapter = _ADAPTERS.get(_library_name(fit.model))
    if adapter is None or _library_name(fit) not in adapter.results:
        raise UnsupportedModelError(f"`fit` ({_told(fit)}) is not supported. {_SUPPORTED}")
    _refuse_restricted(fit)
    return fit, adapter


def _library_class(thing: Any) -> type:
    """Class that a library gave to an object, below the caller's own subclasses."""
    for cls in type(thing).__mro__:
        if cls.__module__.split(".")[0] in ("statsmodels", "linearmodels"):
            return cls
    return type(thing)


def _library_name(thing: Any) -> str:
    cls = _library_class(thing)
    return f"{cls.__module__}.{cls.__qualname__}"


def _told(fit: Any) -> str:
    library = _library_class(fit).__module__.split(".")[0]
    return f"{type(fit).__name__} of the {library} model {type(fit.model).__name__}"


def _refuse_what_is_no_fit(fit: Any) -> None:
    name, module = type(fit).__name__, type(fit).__module__
    if module.split(".")[0] == "sklearn":
        raise UnsupportedModelError(
            f"`fit` is the scikit-learn estimator {name}, which keeps neither its data nor its "
            "influence function. Build kcm.FittedMoment(y - model.predict(x), x, jacobian, "
            f"influence); without the last two if it was fitted on other data. {_SUPPORTED}"
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
            f"`fit` ({_told(fit)}) is regularised: its variables were selected on the same data, "
            f"which the influence function does not know. {_SUPPORTED}"
        )
    if getattr(fit, "constraints", None) is not None:
        raise UnsupportedModelError(
            f"`fit` ({_told(fit)}) has constrained parameters (`fit_constrained`); write the "
            f"constraint into the regressors or an offset and call .fit(). {_SUPPORTED}"
        )
