"""Conditioning variables of any type, as columns of numbers and what each number means."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64

from kcm.data.tables import as_table, column_kind, numeric_column
from kcm.exceptions import DataError

__all__ = [
    "Encoded",
    "encode_column",
    "encode_frame",
    "indicators",
    "level_names",
    "repetitions",
    "select",
]


class Encoded(NamedTuple):
    """Columns of numbers, with what each column holds.

    Parameters
    ----------
    values : ndarray of shape (n, d)
        Numbers, and codes 0, 1, ... of levels; NaN where an entry is missing.
    names : tuple of str
        The d column names.
    kinds : tuple of {"continuous", "unordered", "ordered"}
        What each column holds: numbers, or codes of categories without or with an order.
    levels : tuple of tuple of str
        The names of the levels behind the codes 0, 1, ... of each column; none for numbers.

    Examples
    --------
    >>> encode_frame({"age": [21.0, 30.0], "city": ["Rome", "Oslo"]}).values
    array([[21.,  1.],
           [30.,  0.]])
    """

    values: Float64[np.ndarray, "n d"]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...] = ()


def encode_frame(frame: Any, argument: str = "conditioning") -> Encoded:
    """Turn the columns of a table into numbers, categories into codes of their levels.

    Parameters
    ----------
    frame : DataFrame, Series or mapping
        Of pandas, Polars or Arrow (through narwhals), or columns by name. Strings, booleans and
        categories without an order are unordered; ordered categories and Polars enums are ordered;
        everything else must be numbers.
    argument : str, default "conditioning"
        The argument's name, for messages.

    Returns
    -------
    Encoded
        Levels that do not occur have no code. `kcm.kernels.for_frame` gives the kernel that goes
        with the columns.

    Raises
    ------
    DataError
        For a column of categories with one level only, or more levels than half of the rows where
        they have no order; otherwise as `Sample.from_frame`.

    Examples
    --------
    >>> grade = pd.Categorical(["low", "high"], categories=["low", "mid", "high"], ordered=True)
    >>> encoded = encode_frame({"grade": grade, "member": [True, False]})
    >>> encoded.kinds
    ('ordered', 'unordered')
    """
    table, _ = as_table(frame, argument)
    subjects = {name: f"column {name!r} of `{argument}`" for name in table}
    values = [encode_column(table[name], subject) for name, subject in subjects.items()]
    kinds = tuple(column_kind(table[name]) for name in table)
    levels = tuple(level_names(table[name]) for name in table)
    return Encoded(np.column_stack(values), tuple(table.columns), kinds, levels)


def encode_column(column: pd.Series, subject: str) -> Float64[np.ndarray, " n"]:
    """Turn a column into numbers: as they are, or the codes of its levels; NaN where missing.

    Parameters
    ----------
    column : pandas.Series
        The column.
    subject : str
        How messages name it.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    DataError
        As `encode_frame`.

    Examples
    --------
    >>> encode_column(pd.Series(["b", "a", None]), "column 'city'")
    array([ 1.,  0., nan])
    """
    kind = column_kind(column)
    if kind == "continuous":
        return numeric_column(column, subject)
    levels = pd.Categorical(column).remove_unused_categories()
    _check_levels(levels, kind, subject)
    return np.where(levels.codes < 0, np.nan, levels.codes.astype(np.float64))


def level_names(column: pd.Series) -> tuple[str, ...]:
    """Return the names of the levels in the order of their codes; none for a column of numbers.

    Parameters
    ----------
    column : pandas.Series
        The column.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> level_names(pd.Series(["b", "a", None]))
    ('a', 'b')
    """
    if column_kind(column) == "continuous":
        return ()
    levels = pd.Categorical(column).remove_unused_categories().categories
    return tuple(str(level) for level in levels)


def indicators(column: pd.Series, name: str) -> pd.DataFrame:
    """Turn categories into a column of zeros and ones for each level.

    Parameters
    ----------
    column : pandas.Series
        The categories.
    name : str
        How the columns are called, before the level in brackets.

    Returns
    -------
    pandas.DataFrame
        No level is left out, so that the distance of two rows of different levels is the same
        for all pairs of levels; of two levels the last, which says all. NaN where the category is
        missing.

    Examples
    --------
    >>> list(indicators(pd.Series(["b", "a", "c"]), "g"))
    ['g[a]', 'g[b]', 'g[c]']
    """
    values = pd.Categorical(column).remove_unused_categories()
    levels = range(len(values.categories))
    told = [level for level in levels if len(levels) != 2 or level == 1]
    coded = {
        f"{name}[{values.categories[level]}]": np.where(
            values.codes < 0, np.nan, (values.codes == level) * 1.0
        )
        for level in told
    }
    return pd.DataFrame(coded, index=column.index)


def repetitions(values: Float64[np.ndarray, "n d"], kinds: Sequence[str]) -> dict[int, int]:
    """Find columns that say nothing beyond an earlier one.

    Parameters
    ----------
    values : ndarray of shape (n, d)
        Numbers and codes, none of them missing.
    kinds : sequence of {"continuous", "unordered", "ordered"}
        What each column holds.

    Returns
    -------
    dict of int to int
        From the position of a column to that of an earlier one: both put the rows into the same
        or the opposite order, with the same ties, or, where one holds categories without order,
        into the same cells.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 4.0])
    >>> repetitions(np.column_stack([x, x**2, x % 2]), ["continuous"] * 3)
    {1: 0}
    """
    found: dict[int, int] = {}
    orders: dict[bytes, int] = {}
    cells: dict[bytes, int] = {}
    for j, kind in enumerate(kinds):
        order, cell = _order_key(values[:, j]), _cell_key(values[:, j])
        same = cells.get(cell) if kind == "unordered" else orders.get(order)
        if same is None and kind != "unordered" and cell in cells:
            same = cells[cell] if kinds[cells[cell]] == "unordered" else None
        if same is not None:
            found[j] = same
            continue
        orders.setdefault(order, j)
        cells.setdefault(cell, j)
    return found


def select(encoded: Encoded, positions: Sequence[int]) -> Encoded:
    """Return columns by position.

    Parameters
    ----------
    encoded : Encoded
        The columns.
    positions : sequence of int
        Which of them.

    Returns
    -------
    Encoded

    Examples
    --------
    >>> select(encode_frame({"a": [1, 2], "b": [3, 4]}), [1]).names
    ('b',)
    """
    chosen = list(positions)
    return Encoded(
        encoded.values[:, chosen],
        tuple(encoded.names[j] for j in chosen),
        tuple(encoded.kinds[j] for j in chosen),
        tuple(encoded.levels[j] for j in chosen),
    )


def _order_key(column: Float64[np.ndarray, " n"]) -> bytes:
    """Equal for columns whose ranks are the same, or the same from the other end."""
    ranks = np.unique(column, return_inverse=True)[1]
    other = ranks.max() - ranks
    return min(ranks.tobytes(), other.tobytes())


def _cell_key(column: Float64[np.ndarray, " n"]) -> bytes:
    """Equal for columns that are constant on the same sets of rows."""
    return np.asarray(pd.factorize(column)[0]).tobytes()


def _check_levels(levels: pd.Categorical, kind: str, subject: str) -> None:
    n_levels, n_known = len(levels.categories), int((levels.codes >= 0).sum())
    if n_levels == 1:
        raise DataError(
            f"{subject} must vary, but has the one level {levels.categories[0]!r}; leave it out."
        )
    if kind == "unordered" and n_levels > max(2, n_known / 2):
        raise DataError(
            f"{subject} has {n_levels} levels in {n_known} rows: too few rows share a level to "
            "compare them. Leave it out if it only names the rows, or join levels."
        )
