"""Tables from elsewhere: pandas, Polars, Arrow and mappings of columns, read column by column."""

from collections.abc import Iterable, Mapping
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from jaxtyping import Float64

from kcm._arrays import as_floats, decoded
from kcm.exceptions import DataError

__all__ = [
    "as_table",
    "check_distinct",
    "column_kind",
    "is_table",
    "is_text",
    "numeric_column",
    "raw_column",
]


def is_table(value: object) -> bool:
    """Tell whether a value is a table or a named column, and not an array.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        True for pandas and for what narwhals reads eagerly, and for mappings.

    Examples
    --------
    >>> is_table({"age": [21, 22]}), is_table([21, 22])
    (True, False)
    """
    if isinstance(value, np.ndarray):  # the most frequent, and the rest takes its time to say no
        return False
    native = nw.dependencies.is_into_dataframe(value) or nw.dependencies.is_into_series(value)
    return native or isinstance(value, Mapping)


def as_table(value: object, argument: str) -> tuple[pd.DataFrame, pd.Index | None]:
    """Read a table into a pandas DataFrame with string names, values as they are.

    Parameters
    ----------
    value : DataFrame, Series or mapping
        Of pandas, or of anything narwhals reads eagerly (Polars, Arrow), or columns by name.
    argument : str
        The argument's name, for messages.

    Returns
    -------
    table : pandas.DataFrame
        The columns; may share memory with `value`.
    index : pandas.Index or None
        The row labels, where `value` carries any.

    Raises
    ------
    DataError
        If `value` is not a table, is empty, repeats a column name, or has columns of different
        lengths or indexes.

    Examples
    --------
    >>> table, index = as_table({"age": [21, 22]}, "data")
    >>> list(table), index is None
    (['age'], True)
    """
    if isinstance(value, pd.Series):
        value = value.to_frame("x1" if value.name is None else value.name)
    if isinstance(value, pd.DataFrame):
        table, index = _with_string_names(value)
    else:
        table, index = _from_columns(_columns_by_name(value, argument), argument)
    check_distinct(list(table.columns), f"`{argument}`")
    if table.empty:
        raise DataError(
            f"`{argument}` is empty (shape {table.shape}); pass at least one row and one column."
        )
    return table, index


def is_text(column: pd.Series) -> bool:
    """Tell whether a column holds text or categories.

    Parameters
    ----------
    column : pandas.Series
        The column.

    Returns
    -------
    bool
        True for string and categorical types, and for objects with a string among them.

    Examples
    --------
    >>> is_text(pd.Series(["a", "b"])), is_text(pd.Series([1, None], dtype=object))
    (True, False)
    """
    if isinstance(column.dtype, pd.CategoricalDtype | pd.StringDtype):
        return True
    if isinstance(column.dtype, np.dtype) and column.dtype.kind != "O":
        return False
    entries = np.asarray(column)
    return entries.dtype.kind == "O" and any(isinstance(entry, str | bytes) for entry in entries)


def column_kind(column: pd.Series) -> str:
    """Tell what a column holds.

    Parameters
    ----------
    column : pandas.Series
        The column.

    Returns
    -------
    {"continuous", "unordered", "ordered"}
        Unordered: strings, booleans, and categories without an order. Ordered: categories with
        one. Continuous: anything else.

    Examples
    --------
    >>> column_kind(pd.Series(["a", "b"])), column_kind(pd.Series([1.0, 2.0]))
    ('unordered', 'continuous')
    """
    if isinstance(column.dtype, pd.CategoricalDtype) and column.dtype.ordered:
        return "ordered"
    return "unordered" if is_text(column) or _is_boolean(column) else "continuous"


def _is_boolean(column: pd.Series) -> bool:
    if pd.api.types.is_bool_dtype(column.dtype):
        return True
    known = column.dropna() if column.dtype == object else ()
    return len(known) > 0 and all(isinstance(entry, bool | np.bool_) for entry in known)


def numeric_column(column: pd.Series, subject: str) -> Float64[np.ndarray, " n"]:
    """Copy a column of numbers to float64, with NaN where an entry is missing.

    Parameters
    ----------
    column : pandas.Series
        The column.
    subject : str
        How messages name it.

    Returns
    -------
    ndarray, shape (n,)
        Read-only.

    Raises
    ------
    DataError
        If the column holds text, categories or anything else that is not a finite number.

    Examples
    --------
    >>> numeric_column(pd.Series([1, None], dtype="Int64"), "column 'age' of `data`")
    array([ 1., nan])
    """
    if is_text(column):
        raise DataError(f"{subject} holds text or categories; pass numeric columns only.")
    return as_floats(np.asarray(column), subject)


def raw_column(column: pd.Series, subject: str) -> pd.Series:
    """Return a column for a formula: numbers as plain NumPy numbers, the rest as it is.

    Parameters
    ----------
    column : pandas.Series
        The column.
    subject : str
        How messages name it.

    Returns
    -------
    pandas.Series
        Integers and booleans keep their type unless an entry is missing.

    Raises
    ------
    DataError
        If a numeric column holds infinite or complex values, or objects that are not numbers.

    Examples
    --------
    >>> raw_column(pd.Series([1, 2], dtype="Int64"), "column 'age' of `data`").dtype
    dtype('int64')
    """
    array = np.asarray(column)
    if is_text(column) or array.dtype.kind in "mM":
        return _as_plain_text(column.reset_index(drop=True))
    floats = as_floats(array, subject)
    return pd.Series(array if array.dtype.kind in "biu" else floats)


def _as_plain_text(column: pd.Series) -> pd.Series:
    """Return text of pandas' own type as objects: formulaic knows no categories in it."""
    is_text_type = isinstance(column.dtype, pd.StringDtype)
    return column.astype(object) if is_text_type else column


def check_distinct(names: Iterable[str], owner: str) -> None:
    """Check that no column name is repeated.

    Parameters
    ----------
    names : iterable of str
        The names.
    owner : str
        How messages name what holds them, for example "`data`".

    Raises
    ------
    DataError
        If one is repeated.

    Examples
    --------
    >>> check_distinct(["age", "wage"], "`data`")
    """
    every = list(names)
    repeated = [name for name in dict.fromkeys(every) if every.count(name) > 1]
    if repeated:
        raise DataError(
            f"{owner} repeats the column name {', '.join(map(repr, repeated))}; give every column "
            "its own name."
        )


def _with_string_names(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.Index | None]:
    named = table.set_axis([str(name) for name in table.columns], axis=1)
    dictionaries = [j for j, dtype in enumerate(table.dtypes) if _is_arrow_dictionary(dtype)]
    if dictionaries:
        columns = [_bare(named.iloc[:, j]) for j in range(named.shape[1])]
        whole = [pd.Series(column, index=table.index) for column in columns]
        named = pd.concat(whole, axis=1, keys=list(named.columns))
    return named, table.index


def _is_arrow_dictionary(dtype: Any) -> bool:
    return isinstance(dtype, pd.ArrowDtype) and dtype.name.startswith("dictionary")


def _through_narwhals(value: object, argument: str) -> Any:
    try:
        return nw.from_native(value, eager_only=True, allow_series=True, pass_through=True)
    except nw.exceptions.DuplicateError as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"`{argument}` repeats a column name ({reason}); give every column its own name."
        ) from error


def _columns_by_name(value: object, argument: str) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {str(name): column for name, column in value.items()}
    table = _through_narwhals(value, argument)
    if isinstance(table, nw.Series):
        return {table.name or "x1": _values(table)}
    if not isinstance(table, nw.DataFrame):
        raise DataError(
            f"`{argument}` must be a pandas, Polars or Arrow table, or a mapping of columns; got "
            f"{type(value).__name__}. Collect a lazy table first; pass an array with names to "
            "Sample.from_array."
        )
    return {name: _values(table[name]) for name in table.columns}


def _values(column: Any) -> Any:
    """Return the values of a narwhals series; categories that have an order keep it."""
    native = nw.to_native(column)
    if nw.dependencies.is_pyarrow_chunked_array(native):
        return _arrow_values(native)
    if isinstance(column.dtype, nw.Enum):
        return pd.Categorical(column.to_numpy(), list(column.dtype.categories), ordered=True)
    values = column.to_numpy()
    return pd.Categorical(values) if column.dtype == nw.Categorical else values


def _arrow_values(column: Any) -> Any:
    """Return the entries of an Arrow column; those of a dictionary as categories, in its order."""
    if not str(column.type).startswith("dictionary"):
        return column.to_numpy()
    whole = column.unify_dictionaries()
    known = [c.dictionary.to_pylist() for c in whole.chunks[:1]]
    levels = [level for level in dict.fromkeys(known[0] if known else []) if level is not None]
    entries = pd.array(decoded(whole).to_pylist(), dtype=object)
    return pd.Categorical(entries, pd.Index(levels), ordered=column.type.ordered)


def _from_columns(
    columns: Mapping[str, Any], argument: str
) -> tuple[pd.DataFrame, pd.Index | None]:
    index = _shared_index(columns, argument)
    bare = {name: _bare(column) for name, column in columns.items()}
    for name, column in bare.items():
        if column.ndim != 1:
            raise DataError(
                f"column {name!r} of `{argument}` must be one-dimensional; got {column.ndim} "
                "dimensions. Give each column its own name."
            )
    lengths = {name: len(column) for name, column in bare.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r} has {length}" for name, length in lengths.items())
        raise DataError(f"the columns of `{argument}` must have one length; got rows: {told}.")
    return pd.DataFrame(bare), index


def _bare(column: Any) -> Any:
    if isinstance(column, pd.Series):
        if _is_arrow_dictionary(column.dtype):
            values: Any = column.array
            return _arrow_values(values.__arrow_array__())
        return column.array
    if isinstance(column, np.ndarray | pd.Categorical):
        return column
    if nw.dependencies.is_into_series(column):
        return _values(nw.from_native(column, series_only=True))
    return np.asarray(decoded(column))


def _shared_index(columns: Mapping[str, Any], argument: str) -> pd.Index | None:
    indexed = {name: c.index for name, c in columns.items() if isinstance(c, pd.Series)}
    if not indexed:
        return None
    first, *others = indexed
    for name in others:
        if not indexed[name].equals(indexed[first]):
            raise DataError(
                f"columns {first!r} and {name!r} of `{argument}` carry different indexes; align "
                "them first, for example with pandas.concat(..., axis=1)."
            )
    return indexed[first]
