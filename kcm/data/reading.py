"""Tables, arrays and formulas, read into the parts of a sample."""

import warnings
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int

from kcm._arrays import as_columns, as_floats
from kcm._options import check_option, listed
from kcm.data.formulas import SIDES, Roles, conditioning_design, design, formula_variables
from kcm.data.names import as_names, check_names
from kcm.data.row_transforms import uses_neighbouring_rows
from kcm.data.tables import as_table, check_distinct, numeric_column, raw_column
from kcm.exceptions import DataError, MissingRowsWarning, OptionError

__all__ = ["Parts", "read_array", "read_formula", "read_table"]

_MISSING = ("drop", "raise")

Masks = list[tuple[str, Bool[np.ndarray, " n"]]]


class Parts(NamedTuple):
    """The fields of a `kcm.data.Sample`, in their order, its ``index`` called ``labels``."""

    values: Float64[np.ndarray, "n k"]
    names: tuple[str, ...]
    labels: pd.Index | None
    kept: Int[np.ndarray, " n"]
    n_dropped: int
    roles: Roles


def read_table(
    value: object, columns: str | Iterable[object] | None, missing: str, argument: str
) -> Parts:
    """Read columns of a table.

    Parameters
    ----------
    value : DataFrame, Series or mapping
        The table.
    columns : str or iterable of str or None
        The columns to read; None for all.
    missing : {"drop", "raise"}
        What to do with rows that hold missing values.
    argument : str
        The argument's name, for messages.

    Returns
    -------
    Parts
        The parts of a sample.
    """
    check_option(missing, _MISSING, "missing")
    table, index = as_table(value, argument)
    names = tuple(table.columns) if columns is None else as_names(columns)
    check_names(names, list(table.columns), f"`{argument}`")
    _check_selection(names)
    read = {name: numeric_column(table[name], _told(name, argument)) for name in names}
    kept = _kept_rows(_absent(read), missing, argument)
    return _parts(read, index, kept, Roles(), argument)


def read_array(
    value: object, names: str | Iterable[object] | None, missing: str, argument: str
) -> Parts:
    """Read the columns of an array.

    Parameters
    ----------
    value : array_like, shape (n,) or (n, k)
        The numbers.
    names : str or iterable of str or None
        Names of the columns; None for x1, x2, ...
    missing : {"drop", "raise"}
        What to do with rows that hold missing values.
    argument : str
        The argument's name, for messages.

    Returns
    -------
    Parts
        The parts of a sample.
    """
    check_option(missing, _MISSING, "missing")
    columns = as_columns(value, argument)
    named = _names_of_columns(names, columns.shape[1], argument)
    by_name = zip(named, columns.T, strict=True)
    read = {name: as_floats(column, _told(name, argument)) for name, column in by_name}
    kept = _kept_rows(_absent(read), missing, argument)
    return _parts(read, None, kept, Roles(), argument)


def read_formula(formula: str, data: object, missing: str) -> Parts:
    """Evaluate a formula on a table.

    Parameters
    ----------
    formula : str
        The formula.
    data : DataFrame or mapping
        The table.
    missing : {"drop", "raise"}
        What to do with rows that hold missing values.

    Returns
    -------
    Parts
        The parts of a sample; rows with a missing variable are left out before the formula is
        evaluated, and it is evaluated again without the rows that it makes missing itself.
    """
    check_option(missing, _MISSING, "missing")
    table, index = as_table(data, "data")
    raw = _mentioned_columns(formula, table)
    absent = [(name, column.isna().to_numpy()) for name, column in raw.items()]
    complete = _complete_rows(absent, missing, "data")
    _check_neighbours(formula, complete)
    evaluated, roles = _evaluate(formula, _rows_of(raw, complete))
    read = {name: _spread(column, complete) for name, column in evaluated.items()}
    made_absent = [(name, mask & complete) for name, mask in _absent(read)]
    kept = _kept_rows([*absent, *made_absent], missing, "data")
    if len(kept) < complete.sum() and not uses_neighbouring_rows(formula):
        # again, because transforms such as `center` have looked at rows that are left out
        left = np.isin(np.arange(len(complete)), kept)
        again, roles = _evaluate(formula, _rows_of(raw, left))
        read = {name: _spread(column, left) for name, column in again.items()}
    return _parts(read, index, kept, roles, "data")


def _rows_of(columns: Mapping[str, pd.Series], rows: Bool[np.ndarray, " n"]) -> pd.DataFrame:
    return pd.DataFrame({name: column[rows].array for name, column in columns.items()})


def _evaluate(
    formula: str, rows: pd.DataFrame
) -> tuple[dict[str, Float64[np.ndarray, " n"]], Roles]:
    response, regressors = (_design_columns(part, formula) for part in design(formula, rows))
    given = conditioning_design(formula, rows)
    conditioning = {
        str(name): numeric_column(given[name], _told(str(name), "data")) for name in given
    }
    columns = _merged([response, regressors, conditioning], formula)
    return columns, Roles(tuple(response), tuple(regressors), tuple(conditioning))


def _design_columns(part: pd.DataFrame, formula: str) -> dict[str, Float64[np.ndarray, " n"]]:
    names = [str(name) for name in part.columns]
    check_distinct(names, f"the design of `formula` {formula!r}")
    told = (f"column {name!r} made by `formula` {formula!r}" for name in names)
    columns = (np.asarray(part.iloc[:, j]) for j in range(len(names)))
    return dict(zip(names, map(as_floats, columns, told), strict=True))


def _merged(
    parts: list[dict[str, Float64[np.ndarray, " n"]]], formula: str
) -> dict[str, Float64[np.ndarray, " n"]]:
    merged: dict[str, Float64[np.ndarray, " n"]] = {}
    for name, column in (pair for part in parts for pair in part.items()):
        if not np.array_equal(merged.setdefault(name, column), column, equal_nan=True):
            raise DataError(
                f"`formula` {formula!r} makes two different columns named {name!r}; write the "
                f"transformed one inside I(...), for example I(3 * {name})."
            )
    return merged


def _mentioned_columns(formula: str, table: pd.DataFrame) -> dict[str, pd.Series]:
    sides = (formula_variables(formula, side) for side in SIDES)
    names = dict.fromkeys(name for side in sides for name in side)
    if not names:
        raise OptionError(f"`formula` must mention a column of `data`; got {formula!r}.")
    check_names(names, list(table.columns), f"`formula` {formula!r} cannot be evaluated: `data`")
    return {name: raw_column(table[name], _told(name, "data")) for name in names}


def _check_neighbours(formula: str, complete: Bool[np.ndarray, " n"]) -> None:
    if uses_neighbouring_rows(formula) and not complete.all():
        raise DataError(
            f"`formula` {formula!r} looks at neighbouring rows (lag, shift or diff), while "
            f"rows with missing values ({int((~complete).sum())}) would be left out between them; "
            "make the column beforehand, or fill the missing values."
        )


def _spread(
    column: Float64[np.ndarray, " m"], complete: Bool[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Put the values of complete rows back into their places, NaN elsewhere."""
    full = np.full(len(complete), np.nan)
    full[complete] = column
    return full


def _absent(columns: Mapping[str, Float64[np.ndarray, " n"]]) -> Masks:
    return [(name, np.isnan(column)) for name, column in columns.items()]


def _kept_rows(masks: Masks, missing: str, argument: str) -> Int[np.ndarray, " m"]:
    complete = _complete_rows(masks, missing, argument)
    if not complete.all():
        # the caller's caller's caller is the line that passed the data
        warnings.warn(f"dropped {_count(masks, complete)}", MissingRowsWarning, stacklevel=4)
    return np.flatnonzero(complete)


def _complete_rows(masks: Masks, missing: str, argument: str) -> Bool[np.ndarray, " n"]:
    complete: Bool[np.ndarray, " n"] = ~np.logical_or.reduce([mask for _, mask in masks])
    if missing == "raise" and not complete.all():
        raise DataError(
            f"`{argument}` has {_count(masks, complete)}; fill the values, leave out the rows, or "
            "pass missing='drop'."
        )
    if not complete.any():
        raise DataError(
            f"`{argument}` has no rows left: it has {_count(masks, complete)}; leave out the "
            "columns that are mostly missing."
        )
    return complete


def _count(masks: Masks, complete: Bool[np.ndarray, " n"]) -> str:
    names = dict.fromkeys(name for name, mask in masks if mask.any())
    n_dropped = int((~complete).sum())
    return f"{n_dropped} of {len(complete)} rows with missing values in: {listed(names)}"


def _parts(
    columns: Mapping[str, Float64[np.ndarray, " n"]],
    index: pd.Index | None,
    kept: Int[np.ndarray, " m"],
    roles: Roles,
    argument: str,
) -> Parts:
    counted = roles.regressors if roles else tuple(columns)
    if len(kept) < len(counted):
        raise DataError(
            f"`{argument}` has fewer rows ({len(kept)}) than columns ({len(counted)}: "
            f"{listed(counted)}); pass the observations as rows, or fewer columns."
        )
    values = np.column_stack(list(columns.values()))
    labels = None if index is None else index[kept]
    n_dropped = len(values) - len(kept)
    return Parts(values[kept], tuple(columns), labels, kept, n_dropped, roles)


def _names_of_columns(
    names: str | Iterable[object] | None, n_columns: int, argument: str
) -> tuple[str, ...]:
    if names is None:
        return tuple(f"x{j + 1}" for j in range(n_columns))
    named = as_names(names)
    if len(named) != n_columns:
        raise DataError(
            f"`names` must name each of the {n_columns} columns of `{argument}`; got the "
            f"names: {listed(named)}."
        )
    check_distinct(named, "`names`")
    return named


def _check_selection(names: tuple[str, ...]) -> None:
    if not names:
        raise DataError("`columns` must name at least one column; got none.")
    check_distinct(names, "`columns`")


def _told(name: str, argument: str) -> str:
    return f"column {name!r} of `{argument}`"
