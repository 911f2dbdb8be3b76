"""Moments conditioned on what a kernel can read."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from kcm._options import listed
from kcm.adapters import align_to_fit
from kcm.comparison.entry import Subject, not_applicable
from kcm.exceptions import DataError
from kcm.moments import FittedMoment

__all__ = ["as_given", "numbers_only", "on_fitted_values", "standardised"]

# Models of statsmodels whose fitted value is a function of the regressors of the mean.
_REGRESSIONS = frozenset(
    f"statsmodels {model}"
    for model in (
        "OLS",
        "WLS",
        "GLS",
        "GLM",
        "Logit",
        "Probit",
        "Poisson",
        "NegativeBinomial",
        "NegativeBinomialP",
        "GeneralizedPoisson",
        "QuantReg",
    )
)
# Fitted values that differ by rounding, relative to the largest, are the same.
_DIGITS = 11


def as_given(subject: Subject) -> FittedMoment:
    """Return the moment as it is."""
    return subject.moment


def numbers_only(subject: Subject) -> FittedMoment:
    """Return the moment with two-valued categories as numbers, and refuse others without an order.

    Raises
    ------
    DataError
        When a conditioning variable has three or more levels without an order.
    """
    moment = subject.moment
    labels, values = moment.labels, moment.conditioning
    unordered = [j for j, kind in enumerate(labels.kinds) if kind == "unordered"]
    many = [labels.conditioning[j] for j in unordered if len(np.unique(values[:, j])) > 2]
    if many:
        raise DataError(
            f"This test compares numbers, and {listed(many)} holds categories that have no order; "
            "the rows KCM and Hsiao-Li-Racine take them."
        )
    return _conditioned_on(moment, values, labels.conditioning)


def standardised(subject: Subject) -> FittedMoment:
    """Return the moment of `numbers_only` with columns of standard deviation 1."""
    moment = numbers_only(subject)
    values = moment.conditioning
    return _conditioned_on(moment, values / values.std(axis=0), moment.labels.conditioning)


def on_fitted_values(subject: Subject) -> FittedMoment:
    """Return the moment conditioned on the fitted value alone, of which only the order counts.

    Raises
    ------
    UnsupportedModelError
        When the fit has none, or one that depends on endogenous regressors.
    """
    if subject.name in _REGRESSIONS:
        fitted = align_to_fit(subject.fit, np.asarray(subject.fit.predict(), float), "fit")
    elif subject.name == "linearmodels OLS":
        fitted = np.asarray(subject.fit.fitted_values, float)[:, 0]
    else:
        raise not_applicable("This test needs fitted values of exogenous regressors", subject)
    size = np.abs(fitted).max() or 1.0
    values = np.round(fitted / size, _DIGITS)[:, None]
    return _conditioned_on(subject.moment, values, ("fitted value",))


def _conditioned_on(
    moment: FittedMoment, values: Float[np.ndarray, "n d"], names: tuple[str, ...]
) -> FittedMoment:
    kinds, levels = ("continuous",) * len(names), ((),) * len(names)
    labels = replace(moment.labels, conditioning=names, kinds=kinds, levels=levels)
    return replace(moment, conditioning=values, labels=labels)
