"""Conditioning variables where the caller names none: those that the model is a function of."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import pandas as pd
from jaxtyping import Float

from kcm.adapters.rows import FitRows
from kcm.adapters.rowwise import rowwise_columns
from kcm.adapters.terms import FormulaFactor, FormulaTerm
from kcm.data import category_column, column_kind, encode_column, plain_columns
from kcm.exceptions import DataError

__all__ = ["Variable", "default_variables"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """A conditioning variable on the rows that a fit used.

    Parameters
    ----------
    name : str
    values : pandas.Series
        Of any type.
    expression : str
        What the formula calls it.
    is_evaluated : bool
        Whether these are values that the formula made, and no column of the data.
    """

    name: str
    values: pd.Series
    expression: str
    is_evaluated: bool = False


def default_variables(rows: FitRows) -> list[Variable]:
    """Variables that the regressors are functions of, row by row.

    A factor of the formula that is a plain function of columns, row by row, gives those columns,
    and any other the columns that it was evaluated to; a fit on arrays gives its columns.

    Raises
    ------
    DataError
        When the data frame changed since the fit.
    """
    if rows.terms:
        rows.check_unchanged()
        found = list(_of_formula(rows))
    else:
        found = list(_of_design(rows, rows.exogenous))
    return _distinct(_in_order(found, rows.formula))


def _of_design(rows: FitRows, positions: Iterable[int]) -> Iterator[Variable]:
    if rows.design is None:
        return
    for j in positions:
        name = rows.design_names[j]
        yield Variable(name, pd.Series(rows.design[:, j]), name, bool(rows.terms))


def _of_formula(rows: FitRows) -> Iterator[Variable]:
    """Variables of each factor, once."""
    seen: set[str] = set()
    for term in rows.terms:
        for factor in term.factors:
            if factor.expression not in seen:
                seen.add(factor.expression)
                yield from _of_factor(rows, factor) or _evaluated(rows, factor)


def _of_factor(rows: FitRows, factor: FormulaFactor) -> list[Variable]:
    """Columns that a factor is a plain function of; none where it is not, or they do not serve."""
    text, names = factor.expression, rows.variables
    category = None if rows.frame is None else category_column(text, names)
    if factor.is_category and category is not None:
        column = _column(rows, category)
        numbers = column_kind(column) == "continuous"
        return [Variable(category, pd.Series(pd.Categorical(column)) if numbers else column, text)]
    columns = plain_columns(text, names, factor.resolve)
    if columns is None and isinstance(rows.frame, pd.DataFrame):
        columns = rowwise_columns(factor, rows.frame)
    if columns is None:
        return []
    read = [Variable(name, _column(rows, name), text) for name in columns]
    if len(read) == 1 and _has_cells_of(read[0], factor, rows):
        return [replace(read[0], values=pd.Series(pd.Categorical(read[0].values)))]
    return read if text in columns or all(map(_is_usable, read)) else []


def _has_cells_of(variable: Variable, factor: FormulaFactor, rows: FitRows) -> bool:
    """Whether a factor has a category for each number of the column that it is a function of.

    `C(k.astype(str))` has, and `pd.cut(x, 3)` has not: its cells are coarser than x.
    """
    alone = [term for term in rows.terms if _expressions(term) == [factor.expression]]
    if not (factor.is_category and alone and rows.design is not None):
        return False
    cells = np.unique(rows.design[:, list(alone[0].positions)], axis=0)
    numbers = column_kind(variable.values) == "continuous"
    return numbers and len(cells) == variable.values.nunique()


def _column(rows: FitRows, name: str) -> pd.Series:
    return rows.read([name], "conditioning")[name].reset_index(drop=True)


def _is_usable(variable: Variable) -> bool:
    """Whether a column can be conditioned on as it is: `I(name == 'Bob')` has one that cannot."""
    if len(variable.values.unique()) == 1:
        return True
    try:
        numbers = encode_column(variable.values, variable.name)
    except DataError:
        return False
    return not np.isnan(numbers).any()


def _evaluated(rows: FitRows, factor: FormulaFactor) -> Iterator[Variable]:
    """Columns of the design that a factor was evaluated to, alone or in products."""
    alone = [term for term in rows.terms if _expressions(term) == [factor.expression]]
    if not alone:
        positions = (j for term in _with(rows, factor) for j in term.positions)
        yield from _renamed(_of_design(rows, positions), factor)
    elif factor.is_category and rows.design is not None:
        block = rows.design[:, list(alone[0].positions)]
        names = [rows.design_names[j] for j in alone[0].positions]
        yield Variable(factor.expression, _cells(block, names), factor.expression, True)
    else:
        columns = _renamed(_of_design(rows, alone[0].positions), factor)
        single = len(alone[0].positions) == 1
        yield from (replace(c, name=factor.expression) if single else c for c in columns)


def _renamed(columns: Iterable[Variable], factor: FormulaFactor) -> Iterator[Variable]:
    return (replace(column, expression=factor.expression) for column in columns)


def _with(rows: FitRows, factor: FormulaFactor) -> list[FormulaTerm]:
    return [term for term in rows.terms if factor.expression in _expressions(term)]


def _expressions(term: FormulaTerm) -> list[str]:
    return [factor.expression for factor in term.factors]


def _cells(block: Float[np.ndarray, "n c"], names: list[str]) -> pd.Series:
    """One category from its dummies, named by the dummy that is one where there is only one."""
    cells, codes = np.unique(block, axis=0, return_inverse=True)
    levels = [_level(cell, names, code) for code, cell in enumerate(cells)]
    distinct = len(set(levels)) == len(levels)
    told = levels if distinct else [f"level {code + 1}" for code in range(len(cells))]
    return pd.Series(pd.Categorical(np.array(told)[codes.reshape(-1)], categories=told))


def _level(cell: Float[np.ndarray, " c"], names: list[str], code: int) -> str:
    ones = np.flatnonzero(cell == 1)
    if len(ones) == 1 and np.count_nonzero(cell) == 1:
        inside = names[ones[0]].rpartition("[")[2].rstrip("]")
        return inside.removeprefix("T.")
    return "other" if not cell.any() else f"level {code + 1}"


def _in_order(variables: list[Variable], formula: str | None) -> list[Variable]:
    """Sort variables as the formula mentions them."""
    if formula is None:
        return variables
    right = _as_compared(formula.partition("~")[2])
    return sorted(variables, key=lambda variable: _position(variable.expression, right))


def _position(expression: str, text: str) -> int:
    """Position of a factor that no longer name contains; the end where it is written otherwise."""
    wanted, start = _as_compared(expression), 0
    while (at := text.find(wanted, start)) >= 0:
        before, after = text[at - 1 : at], text[at + len(wanted) : at + len(wanted) + 1]
        if not (_goes_on(before) or _goes_on(after)):
            return at
        start = at + 1
    return len(text)


def _as_compared(text: str) -> str:
    """Without blanks, and with one kind of quotes: formulaic writes factors anew."""
    return "".join(text.split()).replace('"', "'")


def _goes_on(letter: str) -> bool:
    return letter.isalnum() or letter in {"_", "."}


def _distinct(variables: list[Variable]) -> list[Variable]:
    """Leave out what is there twice, and number what has the name of another."""
    by_name: dict[str, list[Variable]] = {}
    for variable in variables:
        same = by_name.setdefault(variable.name, [])
        if not any(_is_same(variable, other) for other in same):
            same.append(variable)
    taken, found = set(by_name), []
    for variable in variables:
        number = next((k for k, v in enumerate(by_name[variable.name], 1) if v is variable), None)
        if number is not None:
            found.append(replace(variable, name=_unused(variable.name, number, taken)))
    return found


def _unused(name: str, number: int, taken: set[str]) -> str:
    """Name of the variable of that number among those of one name."""
    if number == 1:
        return name
    numbered = f"{name} ({number})"
    return numbered if numbered not in taken else _unused(name, number + 1, taken)


def _is_same(one: Variable, other: Variable) -> bool:
    same_kind = column_kind(one.values) == column_kind(other.values)
    return same_kind and bool(np.array_equal(np.asarray(one.values), np.asarray(other.values)))
