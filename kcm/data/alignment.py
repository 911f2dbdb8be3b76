"""Rows matched by their labels."""

from typing import TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Int

from kcm.data.sample import Sample
from kcm.exceptions import DataError

__all__ = ["align"]

Rows = TypeVar("Rows", Sample, pd.DataFrame, pd.Series)


def align(data: Rows, index: pd.Index | int, argument: str = "data") -> Rows:
    """Put rows into the order of given row labels.

    Parameters
    ----------
    data : Sample, pandas.DataFrame or pandas.Series
        The rows; it may have more of them than are asked for.
    index : pandas.Index or int
        The labels wanted, or the number of rows wanted where they carry no labels.
    argument : str, default "data"
        The argument's name, for messages.

    Returns
    -------
    Sample, pandas.DataFrame or pandas.Series
        Of the type of `data`, one row per label.

    Raises
    ------
    DataError
        If a label is missing from `data`, or repeated on either side while the two indexes
        differ; without labels on both sides, if the number of rows differs or `data` lost rows.

    Notes
    -----
    Rows are matched by label where both sides carry labels, never by position. Drop missing
    rows after aligning: a row that a sample left out is missing here.

    Examples
    --------
    >>> align(pd.Series([1.0, 2.0, 3.0], index=["a", "b", "c"]), pd.Index(["c", "a"])).to_list()
    [3.0, 1.0]
    """
    own = data.index
    if own is None or isinstance(index, int):
        _check_positions(data, index if isinstance(index, int) else len(index), argument)
        return data
    if own.equals(index):
        return data
    _check_unique(own, f"the index of `{argument}`")
    _check_unique(index, f"the index to which `{argument}` is aligned")
    positions = own.get_indexer(index)
    _check_found(positions, index, data, argument)
    return _take(data, positions)


def _take(data: Rows, positions: Int[np.ndarray, " n"]) -> Rows:
    if not isinstance(data, Sample):
        return data.iloc[positions]
    labels = None if data.index is None else data.index[positions]
    values, kept = data.values[positions], data.kept[positions]
    return Sample(values, data.names, labels, kept, data.n_dropped, data.roles)


def _check_positions(data: Rows, n_wanted: int, argument: str) -> None:
    n_rows = data.n_obs if isinstance(data, Sample) else len(data)
    if n_rows != n_wanted or _n_dropped(data):
        raise DataError(
            f"`{argument}` must have {n_wanted} rows, because rows can be matched only by position "
            f"where one side carries no index; got {n_rows} rows{_lost(data)}. Pass DataFrames "
            "with an index, or equally many complete rows."
        )


def _check_unique(index: pd.Index, told: str) -> None:
    repeated = index[index.duplicated()]
    if len(repeated):
        raise DataError(
            f"{told} repeats {len(repeated)} labels (first: {repeated[0]!r}), so its rows cannot "
            "be matched; make the labels unique, for example with reset_index."
        )


def _check_found(
    positions: Int[np.ndarray, " n"], index: pd.Index, data: Rows, argument: str
) -> None:
    absent = index[positions < 0]
    if len(absent):
        raise DataError(
            f"`{argument}` lacks {len(absent)} of the {len(index)} row labels wanted (first: "
            f"{absent[0]!r}){_lost(data)}; rows are matched by index label. Pass data that has a "
            "row for every label."
        )


def _n_dropped(data: Rows) -> int:
    return data.n_dropped if isinstance(data, Sample) else 0


def _lost(data: Rows) -> str:
    n_dropped = _n_dropped(data)
    return f", after {n_dropped} with missing values were dropped" if n_dropped else ""
