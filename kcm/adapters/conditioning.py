"""Conditioning variables of a fit: the default, or what the caller asked for."""

from collections.abc import KeysView, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Shaped

from kcm._arrays import as_columns
from kcm._options import listed
from kcm._variation import check_varies
from kcm.adapters.bar import bar_position
from kcm.adapters.defaults import default_variables
from kcm.adapters.rows import FitRows
from kcm.data import (
    Encoded,
    align,
    as_table,
    column_kind,
    encode_column,
    is_table,
    level_names,
    repetitions,
    select,
)
from kcm.exceptions import DataError

__all__ = ["align_rows", "choose_conditioning"]


def choose_conditioning(rows: FitRows, conditioning: Any) -> tuple[Encoded, tuple[str, ...]]:
    """Conditioning variables on the observations of a fit, with their names and kinds.

    Parameters
    ----------
    rows : FitRows
        The rows of the fit.
    conditioning : data frame, str, list of str, array_like or None
        As for `kcm.specification_test`.

    Returns
    -------
    Encoded
        One row of numbers or codes per observation.
    tuple of str
        What the reader of the test has to know on them, as sentences without a full stop.

    Raises
    ------
    DataError
        When columns are unknown, missing, constant, not aligned with the fit, or neither numbers
        nor categories.
    """
    if conditioning is None:
        return _default(rows)
    return _encoded(rows, _requested(rows, conditioning)), ()


def _encoded(rows: FitRows, table: Mapping[str, pd.Series]) -> Encoded:
    """Encode columns on the rows that stand for an observation."""
    used = rows.used
    columns = {name: column[used].reset_index(drop=True) for name, column in table.items()}
    names = tuple(columns)
    values = np.column_stack([_numbers(column, name) for name, column in columns.items()])
    check_varies(values, names)
    kinds = tuple(map(column_kind, columns.values()))
    levels = tuple(map(level_names, columns.values()))
    counts = None if rows.repeats is None else rows.repeats[used]
    return Encoded(
        values if counts is None else np.repeat(values, counts, axis=0), names, kinds, levels
    )


def _default(rows: FitRows) -> tuple[Encoded, tuple[str, ...]]:
    if rows.formula is not None and rows.frame is not None:
        _refuse_bar(rows.formula)
    variables = [v for v in default_variables(rows) if v.values[rows.used].nunique() > 1]
    if not variables:
        raise DataError(
            "`conditioning` is needed: the fit has no regressor that varies, so there is nothing "
            "to condition on by default. Pass the variables that the residual should not depend on."
        )
    encoded = _encoded(rows, {variable.name: variable.values for variable in variables})
    copies = repetitions(encoded.values, encoded.kinds)
    notes = [_told(encoded.names[j], encoded.names[k], encoded, j) for j, k in copies.items()]
    chosen = [j for j in range(len(variables)) if j not in copies]
    evaluated = [variables[j].name for j in chosen if variables[j].is_evaluated]
    if evaluated and rows.frame is not None:
        notes.append(f"Conditioned on what the formula makes of the data: {listed(evaluated)}")
    return select(encoded, chosen), tuple(notes)


def _told(name: str, other: str, encoded: Encoded, j: int) -> str:
    reason = (
        f"it has one value for each value of {other}, in the same or the opposite order"
        if encoded.kinds[j] != "unordered"
        else f"its categories are the values of {other}"
    )
    return f"{name} is left out of the conditioning variables: {reason}"


def align_rows(rows: FitRows, values: Any, argument: str) -> pd.DataFrame:
    """Bring values to the rows of a fit: by label when both carry one, otherwise by position.

    Raises
    ------
    DataError
        When labels are missing or repeated, or the number of rows differs.
    """
    table, index = _as_table(values, argument)
    if index is not None and rows.index is not None:
        labelled = table.set_axis(index, axis=0)
        return align(labelled, rows.index, argument).reset_index(drop=True)
    if argument == "groups" and rows.kept is not None and len(table) == len(rows.kept):
        return table[rows.kept].reset_index(drop=True)
    if len(table) == rows.n_rows:
        return table.reset_index(drop=True)
    dropped = f", {rows.n_dropped} with missing values left out" if rows.n_dropped else ""
    raise DataError(
        f"`{argument}` has {len(table)} rows and the fit used {rows.n_rows}{dropped}; pass the "
        "rows that the fit used, in their order, or a data frame with the index of its data."
    )


def _as_table(values: Any, argument: str) -> tuple[pd.DataFrame, pd.Index | None]:
    if is_table(values):
        return as_table(values, argument)
    columns = as_columns(values, argument)
    names = [f"x{j + 1}" for j in range(columns.shape[1])]
    return pd.DataFrame(_unmasked(columns), columns=names), None


def _unmasked(columns: Shaped[np.ndarray, "n k"]) -> Shaped[np.ndarray, "n k"]:
    """Masked entries as missing ones."""
    mask = np.ma.getmaskarray(columns)
    plain = np.ma.getdata(columns)
    absent: Any = np.nan if plain.dtype.kind in "biuf" else None
    return np.where(mask, absent, plain) if mask.any() else plain


def _requested(rows: FitRows, conditioning: Any) -> dict[str, pd.Series]:
    names = _as_names(conditioning)
    if names is None:
        return _by_name(align_rows(rows, conditioning, "conditioning"))
    if not names:
        raise DataError("`conditioning` is an empty list; name at least one variable.")
    return _columns(rows, names)


def _as_names(conditioning: Any) -> list[str] | None:
    """Names of columns, in any container; None where values were given."""
    if isinstance(conditioning, str):
        return [conditioning]
    if is_table(conditioning) and not isinstance(conditioning, pd.Index):
        return None
    if isinstance(conditioning, set | frozenset):
        return sorted(map(str, conditioning))
    if isinstance(conditioning, Sequence | pd.Index | np.ndarray | KeysView):
        return _distinct_names(list(conditioning))
    return None


def _distinct_names(entries: list[Any]) -> list[str] | None:
    if all(isinstance(entry, str) for entry in entries):
        return list(dict.fromkeys(map(str, entries)))
    return None


def _columns(rows: FitRows, names: Sequence[str]) -> dict[str, pd.Series]:
    return _by_name(rows.columns(names, "conditioning").reset_index(drop=True))


def _by_name(table: pd.DataFrame) -> dict[str, pd.Series]:
    return {str(name): column for name, column in table.items()}


def _refuse_bar(formula: str) -> None:
    if bar_position(formula) is not None:
        raise DataError(
            f"`fit`: statsmodels took the `|` in the formula {formula!r} as 'or' between numbers "
            "and fitted a column of its results. Fit the formula up to the `|` and pass the "
            "variables after it as `conditioning`."
        )


def _numbers(column: pd.Series, name: str) -> Float64[np.ndarray, " n"]:
    numbers = encode_column(column, f"conditioning variable {name!r}")
    missing = int(np.isnan(numbers).sum())
    if missing:
        raise DataError(
            f"conditioning variable {name!r} is missing in {missing} of the {len(numbers)} rows "
            "used by the fit; refit on the rows where it is complete."
        )
    return numbers
