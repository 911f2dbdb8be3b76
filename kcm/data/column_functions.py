"""What a formula from a shell or a file may call beside numpy and the engine's own functions."""

from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

__all__ = ["NAMESPACE", "diff", "identity", "lag", "poly"]


def lag(column: pd.Series, k: int = 1) -> pd.Series:
    """Return the value of k rows before.

    Parameters
    ----------
    column : pandas.Series
        Its labels are row numbers; a row whose number is lacking was left out.
    k : int
        Default 1.

    Returns
    -------
    pandas.Series
        Missing in the first k rows, and where the row before was left out.

    Examples
    --------
    >>> lag(pd.Series([5.0, 6.0, 7.0, 8.0]).drop(1)).tolist()
    [nan, nan, 7.0]
    """
    series = pd.Series(column)
    rows = pd.RangeIndex(series.index.min(), series.index.max() + 1)
    return series.reindex(rows).shift(k).reindex(series.index)


def diff(column: pd.Series, k: int = 1) -> pd.Series:
    """Return the change since k rows before.

    Parameters
    ----------
    column, k
        As for `lag`.

    Returns
    -------
    pandas.Series

    Examples
    --------
    >>> diff(pd.Series([5.0, 6.0, 9.0])).tolist()
    [nan, 1.0, 3.0]
    """
    return pd.Series(column).astype(float) - lag(column, k).astype(float)


def poly(column: Any, degree: int = 1, raw: bool = False) -> Float64[np.ndarray, "n degree"]:
    """Return polynomials of a column: orthonormal ones without the constant, or raw powers.

    Parameters
    ----------
    column : array_like of shape (n,)
        Missing entries give missing rows.
    degree : int
        The highest. Default 1.
    raw : bool
        Whether to return the powers themselves. Default False.

    Returns
    -------
    ndarray of shape (n, degree)

    Examples
    --------
    >>> basis = poly([1.0, 2.0, 3.0, 4.0], 2)
    >>> bool(np.allclose(basis.T @ basis, np.eye(2)))
    True
    """
    x = np.asarray(column, np.float64)
    powers = np.arange(1, degree + 1)
    if raw:
        return np.asarray(x[:, None] ** powers)
    known = np.isfinite(x)
    centred = (x[known] - x[known].mean()) / (np.ptp(x[known]) or 1.0)
    basis = np.full((len(x), degree), np.nan)
    basis[known] = np.linalg.qr(centred[:, None] ** np.arange(degree + 1))[0][:, 1:]
    return basis


def identity(value: Any) -> Any:
    """Return arithmetic as it is, and a comparison as 0 and 1, which may be an outcome.

    Examples
    --------
    >>> identity(pd.Series([1, 3]) > 2).tolist()
    [0.0, 1.0]
    """
    is_true_or_false = str(getattr(value, "dtype", "")) == "bool"
    return value.astype(float) if is_true_or_false else value


NAMESPACE: MappingProxyType[str, Any] = MappingProxyType(
    {"np": np, "I": identity, "lag": lag, "diff": diff, "poly": poly}
)
