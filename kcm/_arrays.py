"""Checks at the boundary: arrays that callers pass in."""

import numbers
import sys
from decimal import Decimal
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Shaped

from kcm.exceptions import DataError

__all__ = [
    "as_columns",
    "as_float_columns",
    "as_float_columns_with_missing",
    "as_floats",
    "decoded",
    "view_float_columns",
]

_REFUSED_KINDS = {
    "c": "holds complex numbers; pass the real and the imaginary part as two columns",
    "U": "holds text; pass numbers, or a data frame for what a test conditions on",
    "S": "holds text; pass numbers (or a data frame, where a test conditions on text)",
    "M": "holds dates; convert them to numbers first, for example days since a date",
    "m": "holds time differences; convert them to numbers first, for example to days",
}


def as_float_columns(value: object, argument: str) -> Float64[np.ndarray, "n k"]:
    """Copy an array-like without missing values into float64 columns.

    Parameters
    ----------
    value : array_like, shape (n,) or (n, k)
        Numbers: booleans, integers, floats, or objects that are numbers. NumPy (plain or
        masked), JAX, pandas, Polars and Arrow containers are read through NumPy.
    argument : str
        The argument's name, for messages.

    Returns
    -------
    ndarray, shape (n, k)
        A fresh read-only float64 array; one dimension becomes one column.

    Raises
    ------
    DataError
        For text, complex numbers, dates, infinite or missing values, a shape other than
        (n,) or (n, k), or no entries.

    Examples
    --------
    >>> as_float_columns([True, 2, 3.5], "age")
    array([[1. ],
           [2. ],
           [3.5]])
    """
    columns = as_float_columns_with_missing(value, argument)
    _refuse_missing(columns, f"`{argument}`")
    return columns


def view_float_columns(value: object, argument: str) -> Float64[np.ndarray, "n k"]:
    """Read an array-like as `as_float_columns` does, without a copy where it has that form.

    For columns that are read before the caller gets the result, and not kept.

    Parameters
    ----------
    value : array_like, shape (n,) or (n, k)
    argument : str

    Returns
    -------
    ndarray, shape (n, k)
        Read-only; a view of `value` where that is a float64 array of rows, in C order.

    Raises
    ------
    DataError
        As `as_float_columns`.

    Examples
    --------
    >>> held = np.ones((2, 3))
    >>> view_float_columns(held, "v").base is held
    True
    """
    columns = as_columns(value, argument)
    as_held = type(columns) is np.ndarray and columns.dtype == np.float64
    if not (as_held and columns.flags.c_contiguous and _all_finite(columns)):
        return as_float_columns(value, argument)
    view = columns.view()
    view.flags.writeable = False
    return view


def as_float_columns_with_missing(value: object, argument: str) -> Float64[np.ndarray, "n k"]:
    """Copy an array-like into float64 columns, with NaN where an entry is missing.

    Masked entries, ``None``, ``pandas.NA`` and NaN are missing. Otherwise as
    `as_float_columns`.

    Parameters
    ----------
    value : array_like, shape (n,) or (n, k)
        Numbers, some of which may be missing.
    argument : str
        The argument's name, for messages.

    Returns
    -------
    ndarray, shape (n, k)
        A fresh read-only float64 array.

    Raises
    ------
    DataError
        As `as_float_columns`, except for missing values.

    Examples
    --------
    >>> as_float_columns_with_missing([1, None], "age").ravel()
    array([ 1., nan])
    """
    return as_floats(as_columns(value, argument), f"`{argument}`")


def as_columns(value: object, argument: str) -> Shaped[np.ndarray, "n k"]:
    """View an array-like as (n, k) columns of whatever type, keeping a mask.

    Parameters
    ----------
    value : array_like, shape (n,) or (n, k)
        Anything NumPy can read.
    argument : str
        The argument's name, for messages.

    Returns
    -------
    ndarray or masked array, shape (n, k)
        May share memory with `value`.

    Raises
    ------
    DataError
        If the shape is not (n,) or (n, k), or there are no entries.
    """
    array = _as_array(value, argument)
    if array.ndim not in (1, 2):
        raise DataError(
            f"`{argument}` must be one- or two-dimensional, with one row per observation; got "
            f"{type(value).__name__} with {array.ndim} dimensions. Pass an array of shape (n,) "
            "or (n, k)."
        )
    if array.size == 0:
        raise DataError(
            f"`{argument}` is empty (shape {array.shape}); pass at least one row and one column."
        )
    return array.reshape(array.shape[0], -1)


def as_floats(array: Shaped[np.ndarray, "..."], subject: str) -> Float64[np.ndarray, "..."]:
    """Copy an array of numbers to float64, with NaN where an entry is missing.

    Parameters
    ----------
    array : ndarray or masked array
        Booleans, integers, floats or objects.
    subject : str
        How messages name the array, for example "column 'age' of `data`".

    Returns
    -------
    ndarray
        A fresh read-only float64 array of the same shape.

    Raises
    ------
    DataError
        If an entry is infinite or not a real number.
    """
    data = np.ma.getdata(array)
    if data.dtype.kind == "O":
        floats = _floats_of_objects(data, np.ma.getmaskarray(array), subject)
    elif data.dtype.kind in "biuf":
        with np.errstate(over="ignore", invalid="ignore"):
            floats = np.array(data, dtype=np.float64, order="C", subok=False)
    else:
        refused = f"holds {data.dtype} values; pass real numbers"
        raise DataError(f"{subject} {_REFUSED_KINDS.get(data.dtype.kind, refused)}.")
    if np.ma.is_masked(array):
        floats[np.ma.getmaskarray(array)] = np.nan
    _refuse_infinite(floats, subject)
    floats.flags.writeable = False
    return floats


def decoded(value: Any) -> Any:
    """Return an Arrow array of codes and a dictionary as the array of its entries.

    NumPy reads a missing entry of such an array as the last entry of the dictionary.

    Parameters
    ----------
    value : object
        Anything; what is no such array is returned as it is.

    Returns
    -------
    object

    Examples
    --------
    >>> import pyarrow as pa
    >>> decoded(pa.array(["a", None, "b"]).dictionary_encode()).to_pylist()
    ['a', None, 'b']
    """
    arrow = sys.modules.get("pyarrow")  # without it imported there is no such array
    if arrow is None or not isinstance(value, arrow.Array | arrow.ChunkedArray):
        return value
    while arrow.types.is_dictionary(value.type):
        value = value.cast(value.type.value_type)
    return value


def _as_array(value: object, argument: str) -> Shaped[np.ndarray, "..."]:
    if isinstance(value, np.ma.MaskedArray):
        return value
    try:
        return np.asarray(decoded(value))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"`{argument}` could not be read as an array: {str(error).rstrip('.')}. Pass rows "
            "of equal length that hold numbers."
        ) from error


def _floats_of_objects(
    data: Shaped[np.ndarray, "..."], mask: Bool[np.ndarray, "..."], subject: str
) -> Float64[np.ndarray, "..."]:
    entries = enumerate(zip(data.flat, mask.flat, strict=True))
    per_row = max(data.size // max(len(data), 1), 1)
    numbers_ = [_float_of(entry, hidden, i // per_row, subject) for i, (entry, hidden) in entries]
    return np.array(numbers_, dtype=np.float64).reshape(data.shape)


def _float_of(entry: Any, hidden: Any, row: int, subject: str) -> float:
    if hidden or entry is None or entry is _pandas_na():
        return float("nan")
    if isinstance(entry, numbers.Real | Decimal | np.bool_):
        try:
            return float(entry)
        except (OverflowError, ValueError) as error:
            raise DataError(f"{subject} holds {entry!r:.40} in row {row}: {error}.") from error
    refused = f"holds {type(entry).__name__} objects, which are not numbers; pass real numbers"
    kind = "U" if isinstance(entry, str | bytes) else np.asarray(entry).dtype.kind
    raise DataError(f"{subject} {_REFUSED_KINDS.get(kind, refused)} (first in row {row}).")


def _pandas_na() -> object:
    # without pandas imported no pandas.NA exists; the module itself is never an entry
    return getattr(sys.modules.get("pandas"), "NA", sys)


def _all_finite(floats: Float64[np.ndarray, "..."]) -> bool:
    """Tell in one pass, without a temporary; no is only a suspicion, as a sum may overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.sum(floats)))


def _refuse_infinite(floats: Float64[np.ndarray, "..."], subject: str) -> None:
    if _all_finite(floats):
        return
    infinite = np.isinf(floats)
    if infinite.any():
        raise DataError(
            f"{subject} holds {_counted(infinite, 'infinite value')}; replace the values or leave "
            "out the rows."
        )


def _refuse_missing(floats: Float64[np.ndarray, "..."], subject: str) -> None:
    if _all_finite(floats):
        return
    missing = np.isnan(floats)
    if missing.any():
        raise DataError(
            f"{subject} holds {_counted(missing, 'missing value')}; fill the values or leave out "
            "the rows."
        )


def _counted(where: Bool[np.ndarray, "..."], noun: str) -> str:
    count, first = int(where.sum()), np.argwhere(where)[0]
    column = f", column {first[1]}" if where.ndim == 2 and where.shape[1] > 1 else ""
    plural = "" if count == 1 else "s"
    return f"{count} {noun}{plural} (first in row {first[0]}{column})"
