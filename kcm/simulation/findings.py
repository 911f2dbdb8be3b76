"""What one procedure finds in one replication."""

import math
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Estimated", "Finding", "failure", "finding_of"]


class Estimated(NamedTuple):
    """One parameter: its estimate, standard error and 95 % interval."""

    parameter: str
    estimate: float
    bse: float
    lower: float
    upper: float


class Finding(NamedTuple):
    """A p-value with its statistic, estimates, or the message of an error."""

    pvalue: float = math.nan
    statistic: float = math.nan
    estimates: tuple[Estimated, ...] = ()
    error: str = ""


def failure(error: Exception) -> Finding:
    """Return the finding of a computation that raised."""
    return Finding(error=f"{type(error).__name__}: {' '.join(str(error).split())}")


def finding_of(result: Any) -> Finding:
    """Read what a procedure returned: a p-value, a test with one, or a fit.

    Parameters
    ----------
    result : float, or anything with `pvalue`, or with `params` and `bse`
        Of a test the `statistic` is taken too, where it has one; of a fit `conf_int()`.

    Raises
    ------
    TypeError
        When it is none of these.
    ValueError
        When the p-value is not in [0, 1], or an estimate is not finite.
    """
    if isinstance(result, Finding):
        return result
    if hasattr(result, "params"):
        return Finding(estimates=_estimates(result))
    given = getattr(result, "pvalue", result)
    if isinstance(given, bool) or not isinstance(given, int | float | np.number):
        raise TypeError(
            "a procedure must return a p-value, a result with a `pvalue`, or a fit with `params`; "
            f"got {type(result).__name__}"
        )
    pvalue, statistic = float(given), float(getattr(result, "statistic", math.nan))
    if not 0 <= pvalue <= 1:
        raise ValueError(f"the p-value is {pvalue}, which is not in [0, 1]")
    return Finding(pvalue, statistic)


def _estimates(fit: Any) -> tuple[Estimated, ...]:
    params = np.asarray(fit.params, float)
    columns = params, _errors(fit), *np.asarray(fit.conf_int(), float).T
    if not np.isfinite(params).all():
        raise ValueError("an estimate is not finite")
    rows = zip(_parameter_names(fit), *columns, strict=True)
    return tuple(Estimated(name, *map(float, numbers)) for name, *numbers in rows)


def _errors(fit: Any) -> np.ndarray:
    return np.asarray(fit.bse if hasattr(fit, "bse") else fit.std_errors, float)


def _parameter_names(fit: Any) -> list[str]:
    index = getattr(fit.params, "index", None)
    if index is not None:
        return [str(name) for name in index]
    model = getattr(fit, "model", None)
    own = list(getattr(model, "exog_names", None) or [])
    k = len(np.asarray(fit.params))
    return [str(name) for name in own] if len(own) == k else [f"theta{j}" for j in range(k)]
