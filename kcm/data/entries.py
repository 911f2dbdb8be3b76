"""The entries of columns of files: numbers, or the sentence that says which one is none."""

import datetime
import re
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from kcm.exceptions import DataError

__all__ = ["EXACT", "check_entries", "plain_column"]

# Above this not every integer has a number in double precision.
EXACT = 2**53

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([ T].*)?")
_LIKE_NUMBER = re.compile(r"[+-]?\s*[$€£]?\s*\d[\d.,'\s]*([eE][+-]?\d+)?\s*[%$€£]?")
_WITH_UNIT = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)\s*(?P<unit>[^\W\d_]{1,5}(/[^\W\d_]{1,3})?)")
# Fewer numbers with a unit, such as three doses, may name categories.
MOST_DOSES = 10
# What an entry that looks like a number is, and what to do; the first that fits.
_REMEDIES = (
    (re.compile(r".*%"), "take the `%` off in the file"),
    (re.compile(r".*[$€£].*"), "take the sign of the currency off in the file"),
    (
        re.compile(r"[+-]?\d{1,3},\d{3}"),
        'add `--thousands ","` if the comma parts thousands, `--decimal ","` if decimals',
    ),
    (re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?"), 'add `--thousands ","`'),
    (re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?"), 'add `--decimal ","`'),
    (re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d*)?"), 'add `--decimal "," --thousands "."`'),
    (re.compile(r"[+-]?\d{1,3}([ '\xa0\u202f]\d{3})+([.,]\d*)?"), "write it without the gaps"),
)


def plain_column(column: pd.Series) -> pd.Series:
    """Return a column of a file as NumPy numbers, booleans, objects or categories.

    Nullable and Arrow types become the ones that formulas understand, a missing entry NaN.

    Parameters
    ----------
    column : pandas.Series

    Returns
    -------
    pandas.Series

    Examples
    --------
    >>> plain_column(pd.Series([1, None], dtype="Int64")).tolist()
    [1.0, nan]
    """
    if isinstance(column.dtype, pd.CategoricalDtype) or column.dtype.kind in "mM":
        return column
    if isinstance(column.dtype, np.dtype) and column.dtype.kind != "O":
        return column
    entries = np.array(column.to_numpy(dtype=object, na_value=np.nan))
    absent = pd.isna(entries)
    entries[absent] = np.nan
    values = _as_numbers(entries, absent)
    return pd.Series(values, dtype=values.dtype, name=column.name)


def _as_numbers(entries: np.ndarray, absent: Bool[np.ndarray, " n"]) -> np.ndarray:
    known = entries[~absent]
    if not len(known):
        return np.full(len(entries), np.nan)
    if all(isinstance(e, bool | np.bool_) for e in known):
        return entries if absent.any() else entries.astype(bool)
    if not all(isinstance(e, Real | Decimal) and not isinstance(e, bool) for e in known):
        return entries
    whole = all(isinstance(e, int | np.integer) for e in known)
    if whole and max(abs(int(e)) for e in known) > EXACT:
        return entries  # for the check of the columns that are used
    return entries.astype(np.int64 if whole and not absent.any() else np.float64)


def check_entries(
    column: pd.Series, subject: str, lines: Sequence[int], is_text_file: bool = True
) -> None:
    """Refuse a column that looks like numbers and has entries that are none.

    Parameters
    ----------
    column : pandas.Series
        As `plain_column` returns it.
    subject : str
        How messages name it.
    lines : sequence of int
        The line of each row, where the rows have lines.
    is_text_file : bool
        Whether options of the shell say how entries are read. Default True.

    Raises
    ------
    DataError
        For odd entries among numbers, dates, infinite values and integers beyond 2**53.

    Examples
    --------
    >>> check_entries(pd.Series(["a", "b"]), "column 'town'", ())
    """
    if column.dtype.kind in "mM":
        first = column.dropna().astype(str).tolist()[:1]
        raise _dates(subject, first[0] if first else "NaT", column.name)
    if column.dtype.kind in "iuf":
        _check_numbers(column, subject, lines)
    elif column.dtype == object:
        _check_objects(column, subject, lines, is_text_file)


def _check_numbers(column: pd.Series, subject: str, lines: Sequence[int]) -> None:
    values = column.to_numpy()
    if values.dtype.kind == "f":
        infinite = np.flatnonzero(np.isinf(values))
        if len(infinite):
            written = "inf" if values[infinite[0]] > 0 else "-inf"
            remedy = (
                f"add `--na={written}`, or what the file writes in its place, if it stands for a "
                "missing value, or leave out the row"
            )
            raise _odd(subject, "an infinite value", infinite, lines, remedy)
        return
    rounded = np.abs(values.astype(np.float64)) >= EXACT
    places = [int(i) for i in np.flatnonzero(rounded) if int(float(values[i])) != int(values[i])]
    if places:
        raise _beyond(subject, column, values[places[0]], places, lines)


def _check_objects(
    column: pd.Series, subject: str, lines: Sequence[int], is_text_file: bool
) -> None:
    entries = column.dropna()
    kinds = entries.map(type)
    if kinds.isin([datetime.date, datetime.datetime, pd.Timestamp]).any():
        raise _dates(subject, str(entries.iloc[0]), column.name)
    if entries.map(lambda e: isinstance(e, int) and not isinstance(e, bool)).all():
        places = np.flatnonzero(column.map(lambda e: isinstance(e, int) and abs(e) > EXACT))
        if len(places):
            raise _beyond(subject, column, column.iloc[places[0]], places, lines)
        return
    if kinds.isin([str, bool]).all() and kinds.isin([str]).any():
        _check_text(column.where(column.isna(), column.astype(str)), subject, lines, is_text_file)


def _check_text(column: pd.Series, subject: str, lines: Sequence[int], is_text_file: bool) -> None:
    known = column.notna().to_numpy()
    text = column.fillna("").map(lambda entry: str(entry).strip())
    is_date = known & text.map(lambda e: bool(_DATE.fullmatch(e))).to_numpy()
    if 2 * is_date.sum() >= known.sum():
        raise _dates(subject, text[is_date].iloc[0], column.name)
    unit = _common_unit(text[known])
    if unit is not None:
        places, first = np.flatnonzero(known), text[known].iloc[0]
        raise _odd(
            subject,
            f"numbers with the unit {unit!r} ({first!r})",
            places,
            lines,
            f"take the unit off in the file, {_or_categories(column.name)}",
        )
    plain = known & text.map(lambda e: bool(_NUMBER.fullmatch(e))).to_numpy()
    like = known & text.map(lambda e: bool(_LIKE_NUMBER.fullmatch(e))).to_numpy() & ~plain
    numbers, every = plain | like, text[known]
    most = 2 * numbers.sum() >= known.sum() or 2 * text[numbers].nunique() >= every.nunique()
    if not (numbers.any() and most):
        return
    if plain[known].all():
        places = np.flatnonzero(plain)
        raise _beyond(subject, column, max(every, key=len), places, lines)
    words = known & ~plain & ~like
    places = np.flatnonzero(words if words.any() else like)
    entry = text.iloc[places[0]]
    told = f"numbers and the entry {entry!r}" if plain.any() else f"the entry {entry!r}"
    raise _odd(subject, told, places, lines, _remedy(entry, column.name, is_text_file))


def _remedy(entry: str, name: Any, is_text_file: bool) -> str:
    or_text = _or_categories(name)
    if not is_text_file:
        return f"write the column as numbers, {or_text}"
    for form, remedy in _REMEDIES:
        if form.fullmatch(entry):
            return f"{remedy}, {or_text}"
    return f"add `--na {_quoted(entry)}` if that stands for a missing value, {or_text}"


def _or_categories(name: Any) -> str:
    return f"or `--categories {_quoted(str(name))}` if the column holds categories"


def _common_unit(entries: pd.Series) -> str | None:
    """Return the unit behind every entry, all of them numbers and many different ones."""
    found = [_WITH_UNIT.fullmatch(entry) for entry in entries]
    units = {match["unit"] for match in found if match is not None}
    measured = all(found) and len(units) == 1 and entries.nunique() > MOST_DOSES
    return units.pop() if measured else None


def _quoted(entry: str) -> str:
    return entry if entry.isalnum() else f"'{entry}'" if '"' in entry else f'"{entry}"'


def _dates(subject: str, entry: str, name: Any) -> DataError:
    return DataError(
        f"{subject} holds dates ({entry!r}); make it a number beforehand, for example days since a "
        f"date, or add `--categories {_quoted(str(name))}` if each date is a category."
    )


def _beyond(
    subject: str, column: pd.Series, entry: Any, places: Any, lines: Sequence[int]
) -> DataError:
    what = f"the integer {entry}, beyond what double precision holds (2**53),"
    remedy = (
        f"subtract a constant beforehand, or add `--categories {_quoted(str(column.name))}` if the "
        "numbers only name something"
    )
    return _odd(subject, what, places, lines, remedy)


def _odd(subject: str, what: str, places: Any, lines: Sequence[int], remedy: str) -> DataError:
    first, n = int(places[0]), len(places)
    line = f" (line {lines[first]} of the file)" if len(lines) > first else ""
    others = f", and {n - 1} more like it" if n > 1 else ""
    return DataError(f"{subject} holds {what} in row {first}{line}{others}; {remedy}.")
