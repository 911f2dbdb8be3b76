"""Conditioning variables of a fit: the default, or what the caller asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Shaped

from kcm._options import listed
from kcm._tables import as_table, column_kind, is_table
from kcm._validation import as_columns
from kcm._variation import check_varies
from kcm.adapters.bar import bar_position
from kcm.adapters.rows import FitRows
from kcm.data import Encoded, align, encode_column, formula_variables, level_names
from kcm.exceptions import DataError

__all__ = ["align_rows", "choose_conditioning"]


def choose_conditioning(rows: FitRows, conditioning: Any) -> Encoded:
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

    Raises
    ------
    DataError
        When columns are unknown, missing, constant, not aligned with the fit, or neither numbers
        nor categories.
    """
    table = _default(rows) if conditioning is None else _requested(rows, conditioning)
    names, columns = tuple(table), table.values()
    values = np.column_stack([_numbers(column, name) for name, column in table.items()])
    check_varies(values, names)
    kinds, levels = tuple(map(column_kind, columns)), tuple(map(level_names, columns))
    return Encoded(rows.repeated(values), names, kinds, levels)


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
    if isinstance(conditioning, str):
        return [conditioning]
    if isinstance(conditioning, Sequence) and all(isinstance(c, str) for c in conditioning):
        return list(dict.fromkeys(conditioning))
    return None


def _columns(rows: FitRows, names: Sequence[str]) -> dict[str, pd.Series]:
    return _by_name(rows.columns(names, "conditioning").reset_index(drop=True))


def _by_name(table: pd.DataFrame) -> dict[str, pd.Series]:
    return {str(name): column for name, column in table.items()}


def _default(rows: FitRows) -> dict[str, pd.Series]:
    names = _default_names(rows)
    table = _columns(rows, names) if names else {}
    varying = {name: column for name, column in table.items() if len(column.unique()) > 1}
    if not varying:
        raise DataError(
            "`conditioning` is needed: the fit has no regressor that varies, so there is nothing "
            "to condition on by default. Pass the variables that the residual should not depend on."
        )
    return varying


def _default_names(rows: FitRows) -> tuple[str, ...]:
    """Variables that the formula mentions, or the exogenous design columns.

    linearmodels keeps the design but not the data frame: there the variables are used when each
    is a design column itself (`exper + I(exper**2)` gives `exper`), and the columns otherwise.
    """
    if rows.formula is None:
        return rows.exogenous
    variables = formula_variables(rows.formula, "conditioning")
    if rows.frame is None:
        return variables if set(variables) <= set(rows.exogenous) else rows.exogenous
    _refuse_bar(rows.formula)
    outside = [name for name in variables if name not in rows.names]
    if outside:
        raise DataError(
            f"`conditioning` is needed: the formula {rows.formula!r} mentions {listed(outside)}, "
            "which is not in the data frame of the fit. Name the conditioning variables, or pass "
            "them as a data frame or array."
        )
    return variables


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
