"""Dependence between the rows of a fit: clusters of its covariance, and panels."""

from typing import Any

import numpy as np
import pandas as pd

from kcm.adapters.dispatch import align_to_fit, fit_rows
from kcm.adapters.estimate import CLUSTERED
from kcm.adapters.estimation import is_estimation, own_groups
from kcm.adapters.rows import FitRows
from kcm.moments import FittedMoment

__all__ = ["fit_clusters", "fit_panel"]

# Names that columns of time have, in lower case.
_TIMES = frozenset(
    {"t", "time", "date", "day", "week", "month", "quarter", "year", "period", "wave"}
    | {"yr", "yearmonth", "datetime", "timestamp", "round", "visit"}
)
# A repeated unit has at least this many rows on average.
_LEAST_REPEATS = 2


def fit_clusters(fit: Any) -> np.ndarray | None:
    """Return the clusters of the covariance of a fit, one label per observation.

    Parameters
    ----------
    fit : fitted result or FittedMoment
        As for `fitted_moment`.

    Returns
    -------
    ndarray of shape (n,) or None
        None where the covariance has no clusters, or clusters in two ways.

    Examples
    --------
    >>> import pandas as pd
    >>> import statsmodels.formula.api as smf
    >>> data = pd.DataFrame({"x": [1.0, 2, 4, 3], "y": [1.0, 3, 2, 5], "firm": [1, 1, 2, 2]})
    >>> model = smf.ols("y ~ x", data)
    >>> fit_clusters(model.fit(cov_type="cluster", cov_kwds={"groups": data.firm})).tolist()
    [1, 1, 2, 2]
    """
    if isinstance(fit, FittedMoment) or is_estimation(fit):
        return own_groups(fit)
    clusters = _covariance_clusters(getattr(fit, "_results", fit))
    return None if clusters is None else align_to_fit(fit, clusters, "groups")


def fit_panel(fit: Any, data: Any = None) -> str | None:
    """Return what repeats in the data of a fit where they look like a panel; None elsewhere.

    Parameters
    ----------
    fit : fitted result or FittedMoment
        As for `fitted_moment`.
    data : data frame, mapping or tuple, optional
        Rows that the fit has not used, in place of its own.

    Returns
    -------
    str or None
        The name of a column or index level.

    Examples
    --------
    >>> import pandas as pd
    >>> import statsmodels.formula.api as smf
    >>> data = pd.DataFrame({"firm": [1, 1, 2, 2], "year": [8, 9, 8, 9], "y": [3.0, 1, 2, 5]})
    >>> fit_panel(smf.ols("y ~ year", data).fit())
    'firm'
    """
    return None if isinstance(fit, FittedMoment) else _repeated_unit(fit_rows(fit, data))


def _covariance_clusters(fit: Any) -> Any:
    """Labels of the clusters that the covariance of a fit allows for, one per row of the fit.

    Parameters
    ----------
    fit : fitted result of statsmodels or linearmodels

    Returns
    -------
    ndarray of shape (n,) or None
        None without clusters, and for clusters in two ways.
    """
    if getattr(fit, "cov_type", None) not in CLUSTERED:
        return None
    config = getattr(fit, "cov_config", None) or getattr(fit, "cov_kwds", None) or {}
    given = config.get("clusters", config.get("groups"))
    if given is None:
        return None
    labels = np.asarray(given)
    return labels.reshape(-1) if labels.size == len(labels) else None


def _repeated_unit(rows: FitRows) -> str | None:
    """Name of what is observed several times: the data look like a panel.

    A level of a MultiIndex, or an identifier that together with a column of time tells all rows
    apart, while both repeat.

    Parameters
    ----------
    rows : FitRows

    Returns
    -------
    str or None
    """
    index = rows.index
    if isinstance(index, pd.MultiIndex) and index.nlevels == 2 and index.is_unique:
        units = index.get_level_values(0)
        repeats = len(units) >= _LEAST_REPEATS * units.nunique()
        return str(index.names[0] or "the first level of the index") if repeats else None
    if not isinstance(rows.frame, pd.DataFrame):
        return None
    frame = rows.frame if rows.kept is None else rows.frame[rows.kept]
    for time in frame.columns:
        if _is_time(frame[time], str(time)):
            unit = next((u for u in frame.columns if u != time and _tells(frame, u, time)), None)
            if unit is not None:
                return str(unit)
    return None


def _is_time(column: pd.Series, name: str) -> bool:
    if pd.api.types.is_datetime64_any_dtype(column):
        return bool(column.duplicated().any())
    return name.lower() in _TIMES and bool(column.duplicated().any())


def _tells(frame: pd.DataFrame, unit: Any, time: Any) -> bool:
    """Whether a column of labels repeats, and has each time once."""
    column = frame[unit]
    if pd.api.types.is_float_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    n_units, n = column.nunique(), len(column)
    if not 1 < n_units <= n / _LEAST_REPEATS:
        return False
    return not frame.duplicated([unit, time]).any()
