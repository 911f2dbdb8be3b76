"""From a fitted result of any type to its moment, its rows and its name."""

from typing import Any

import numpy as np

from kcm.adapters.conditioning import align_rows, choose_conditioning
from kcm.adapters.estimate import Estimate
from kcm.adapters.estimation import estimation_rows, is_estimation, own_moment
from kcm.adapters.evaluation import Evaluation
from kcm.adapters.new_rows import NewRows
from kcm.adapters.other_sample import (
    covariance_of_fit,
    estimation_new_rows,
    estimation_on_new_rows,
    moment_elsewhere,
)
from kcm.adapters.registry import Adapter, fit_in_words, library_class, recognised
from kcm.adapters.rows import FitRows
from kcm.exceptions import DataError, OptionError, UnsupportedModelError
from kcm.moments import Correction, FittedMoment, MomentLabels, leverage_scale

__all__ = [
    "align_to_fit",
    "fit_column",
    "fit_name",
    "fit_rows",
    "fitted_moment",
    "instrumental_estimate",
]


def fitted_moment(
    fit: Any,
    conditioning: Any = None,
    *,
    data: Any = None,
    correction: Correction = "HC4-relative",
) -> FittedMoment:
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
    data : data frame, mapping or tuple, optional
        Rows that the fit has not used, for a moment at a theta from another sample, as for
        `kcm.specification_test`. Default: the rows of the fit.
    correction : {"HC4-relative", "HC4", "HC2"}
        How residuals get the size of errors, as in `kcm.leverage_scale`. Not looked at for a
        FittedMoment and for estimates of `kcm.MMR` and `kcm.VMM`, which bring their scale.

    Returns
    -------
    FittedMoment
        Residuals in the units of the outcome, with jacobian, influence, scale and labels.

    Raises
    ------
    UnsupportedModelError
        When the influence function of the fit is not known here.
    DataError
        When the fit or the conditioning variables cannot be used.
    OptionError
        When `conditioning` or `data` come with a FittedMoment, which holds its own.

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
        return _unchanged(fit, conditioning, data)
    if data is not None:
        return _moment_on(fit, data, conditioning)
    if is_estimation(fit):
        return own_moment(fit, conditioning)
    fit, adapter = recognised(fit)
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
        leverage_scale(jacobian, gain, estimate.variance, correction=correction),
        MomentLabels(told, names, theta, rows.n_dropped, kinds, estimate.exogenous, levels, notes),
        gain,
        estimate.variance,
        estimate.outcomes,
        index=estimate.index,
    )


def instrumental_estimate(fit: Any) -> tuple[Estimate, tuple[str, ...]] | None:
    """Return an estimate by instruments with the names of its parameters; None for any other."""
    fit, adapter = recognised(fit)
    if not adapter.by_instruments:
        return None
    estimate = adapter.estimate(fit)
    names = getattr(fit.params, "index", getattr(fit.model, "exog_names", None))
    if names is None or len(names) != estimate.jacobian.shape[1]:
        names = [f"p{j}" for j in range(estimate.jacobian.shape[1])]
    return estimate, tuple(map(str, names))


def _moment_on(fit: Any, data: Any, conditioning: Any) -> FittedMoment:
    """Return the moment on rows that the fit has not used."""
    if is_estimation(fit):
        return estimation_on_new_rows(fit, data, conditioning)
    fit, adapter = recognised(fit)
    estimate, (new, found) = adapter.estimate(fit), _evaluated(fit, adapter, data)
    covariance = covariance_of_fit(fit, estimate)
    return moment_elsewhere(estimate, found, new.rows, conditioning, covariance)


def _evaluated(fit: Any, adapter: Adapter, data: Any) -> tuple[NewRows, Evaluation]:
    if adapter.evaluate is None:
        raise UnsupportedModelError(
            f"`data`: the residuals of `fit` ({fit_in_words(fit)}) on new rows are not known here. "
            "Build kcm.FittedMoment(residuals, conditioning, jacobian, covariance=...) of the new "
            "rows, with the covariance of the estimate."
        )
    new = adapter.new_rows(fit, data)
    return new, adapter.evaluate(fit, new)


def fit_column(fit: Any, name: str, data: Any = None) -> np.ndarray:
    """Return a column of the data behind a fit, on the rows that the fit used.

    Parameters
    ----------
    fit : fitted result
        As for `fitted_moment`.
    name : str
        Column of the data frame that the formula was evaluated on; of the design, for a fit on
        arrays or by linearmodels.
    data : data frame, mapping or tuple, optional
        Rows that the fit has not used, in place of its own.

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
    return fit_rows(fit, data).columns([name], "groups")[name].to_numpy()


def align_to_fit(fit: Any, values: Any, argument: str, data: Any = None) -> np.ndarray:
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
    data : data frame, mapping or tuple, optional
        Rows that the fit has not used, in place of its own.

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
    rows = fit_rows(fit, data)
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
    cls = library_class(getattr(fit, "_results", fit).model)
    return f"{cls.__module__.split('.')[0]} {cls.__name__.lstrip('_')}"


def fit_rows(fit: Any, data: Any = None) -> FitRows:
    """Where the observations of a fit of any type come from, or those of new rows for it."""
    if isinstance(fit, FittedMoment):
        return FitRows(fit.n_obs)
    if is_estimation(fit):
        return estimation_rows(fit) if data is None else estimation_new_rows(fit, data)
    fit, adapter = recognised(fit)
    return adapter.rows(fit) if data is None else adapter.new_rows(fit, data).rows


def _unchanged(moment: FittedMoment, conditioning: Any, data: Any) -> FittedMoment:
    if data is not None:
        raise OptionError(
            "`data` cannot be given together with a FittedMoment, which holds its own rows; build "
            "the FittedMoment of the new rows, with the `influence_sample` of the others."
        )
    if conditioning is None:
        return moment
    raise OptionError(
        "`conditioning` cannot be given together with a FittedMoment, which holds its own; build "
        "the FittedMoment with the variables that you want to condition on."
    )
