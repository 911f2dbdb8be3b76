"""Tables in files: CSV and Parquet, read as they were meant, or refused in a sentence."""

import csv
import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from kcm._options import listed
from kcm.data.entries import EXACT, plain_column
from kcm.data.tables import check_distinct
from kcm.exceptions import DataError

__all__ = ["SUFFIXES", "FileFormat", "TableFile", "read_file"]

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".pq")

_SEPARATORS = (",", ";", "\t", "|")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_WHOLE = re.compile(r"[+-]?\d+")
_THOUSANDS_COMMA = re.compile(r"[+-]?\d{1,3},\d{3}")


class FileFormat(NamedTuple):
    """How a CSV file writes its numbers.

    Parameters
    ----------
    sep : str, optional
        What parts the fields. Default: a comma, or of semicolon, tab and bar the one that the
        header has where it has no comma.
    decimal : str, optional
        Default: a point, or a comma in a file without comma between its fields, where it can mean
        nothing else.
    thousands : str, optional
        Default: none.
    na : tuple of str
        Entries that stand for missing values, beside those of pandas.
    """

    sep: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    na: tuple[str, ...] = ()


class TableFile(NamedTuple):
    """A table, and for each row the line of the file on which it stands; none for Parquet."""

    frame: pd.DataFrame
    lines: tuple[int, ...] = ()


def read_file(path: Path, form: FileFormat) -> TableFile:
    r"""Read a CSV or Parquet file.

    Parameters
    ----------
    path : Path
        Ends in one of `SUFFIXES`.
    form : FileFormat
        For CSV files.

    Returns
    -------
    TableFile

    Raises
    ------
    DataError
        When it cannot be read, repeats a column name, has no rows, or rows with more or fewer
        fields than its header.

    Examples
    --------
    >>> Path("two.csv").write_text("y;x\n1,5;2\n2,5;3\n")
    16
    >>> read_file(Path("two.csv"), FileFormat()).frame.to_dict("list")
    {'y': [1.5, 2.5], 'x': [2, 3]}
    """
    is_parquet = path.name.lower().endswith((".parquet", ".pq"))
    with _readable(path):
        table = _read_parquet(path) if is_parquet else _read_text(path, form)
    check_distinct(list(table.frame.columns), f"`--data`: {path}")
    if table.frame.empty:
        raise DataError(
            f"`--data`: {path} has a header and no rows; give a file with a row "
            "for each observation."
        )
    columns = {name: plain_column(table.frame[name]) for name in table.frame}
    return table._replace(frame=pd.DataFrame(columns))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except ImportError as error:
        raise DataError("`--data`: Parquet needs pyarrow: python -m pip install pyarrow") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"`--data`: {path} cannot be read, because it is not UTF-8 text (byte {error.start}); "
            "save it as UTF-8."
        ) from error
    # what pandas, pyarrow, gzip and csv raise on a damaged file has no common base
    except Exception as error:
        raise DataError(f"`--data`: {path} cannot be read: {error}") from error


def _read_parquet(path: Path) -> TableFile:
    """Read a Parquet file; the levels of its index that have a name are columns."""
    frame = pd.read_parquet(path)
    known = [str(name) for name in frame.columns]
    levels = {
        str(name): frame.index.get_level_values(j)
        for j, name in enumerate(frame.index.names)
        if name is not None and str(name) not in known
    }
    bare = frame.set_axis(known, axis=1).reset_index(drop=True)
    for name, level in levels.items():
        bare[name] = pd.Series(level.array)
    return TableFile(bare)


def _read_text(path: Path, form: FileFormat) -> TableFile:
    sep = form.sep or _separator(path)
    names, lines = _checked_shape(path, sep)
    frame = _parsed(path, sep, form)
    if form.decimal is None and form.thousands is None and sep != "," and _is_comma(frame):
        frame = _parsed(path, sep, form._replace(decimal=","))
    frame = _with_whole_numbers(frame, path, sep, form)
    given = [name or str(own) for name, own in zip(names, frame.columns, strict=True)]
    return TableFile(frame.set_axis(given, axis=1), tuple(lines))


def _parsed(path: Path, sep: str, form: FileFormat, dtype: Any = None) -> pd.DataFrame:
    frame: pd.DataFrame = pd.read_csv(
        path,
        sep=sep,
        decimal=form.decimal or ".",
        thousands=form.thousands,
        na_values=list(form.na),
        encoding="utf-8-sig",
        skipinitialspace=not sep.isspace(),
        index_col=False,
        dtype=dtype,
        low_memory=False,
    )
    return frame


def _with_whole_numbers(
    frame: pd.DataFrame, path: Path, sep: str, form: FileFormat
) -> pd.DataFrame:
    """Return integers beyond 2**53 as they stand, where a gap in their column made them floats."""
    floats = frame.select_dtypes("float")
    large = [name for name in floats if (floats[name].abs() >= EXACT).any()]
    if not large:
        return frame
    texts = _parsed(path, sep, form, dtype=str)
    whole = {
        name: pd.Series([int(e) if isinstance(e, str) else e for e in texts[name]], dtype=object)
        for name in large
        if texts[name].dropna().map(lambda entry: bool(_WHOLE.fullmatch(entry))).all()
    }
    return frame.assign(**{str(name): column for name, column in whole.items()})


def _open(path: Path) -> TextIOWrapper:
    if path.name.lower().endswith(".gz"):
        return TextIOWrapper(gzip.open(path), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _separator(path: Path) -> str:
    """Return what parts the fields of the header: a comma, unless it has none and another mark."""
    if path.name.lower().endswith((".tsv", ".tsv.gz")):
        return "\t"
    with _open(path) as file:
        first = next((line for line in file if line.strip()), "")
    fields = {sep: len(next(csv.reader([first], delimiter=sep), [])) for sep in _SEPARATORS}
    return "," if fields[","] > 1 else max(_SEPARATORS, key=lambda sep: fields[sep])


def _checked_shape(path: Path, sep: str) -> tuple[list[str], list[int]]:
    """Return the names of the columns and the line of each row."""
    with _open(path) as file:
        reader = csv.reader(file, delimiter=sep, skipinitialspace=not sep.isspace())
        names = [name.strip() for name in next((row for row in reader if row), [])]
        if not names:
            raise DataError(f"`--data`: {path} cannot be read, because it is empty.")
        check_distinct([name for name in names if name], f"`--data`: the header of {path}")
        lines = []
        for row in reader:
            if row and len(row) != len(names):
                _refuse_row(path, reader.line_num, len(row), names)
            if row:
                lines.append(reader.line_num)
    return names, lines


def _refuse_row(path: Path, line: int, n_fields: int, names: list[str]) -> None:
    more = n_fields > len(names)
    remedy = (
        "give every column a name in the header (a column of row names too), put fields that hold "
        "the separator in quotes, or name the separator by `--sep`"
        if more
        else "fill the row, or leave it out"
    )
    raise DataError(
        f"`--data`: line {line} of {path} has {n_fields} fields and the header has {len(names)} "
        f"({listed(names, 6)}), so columns would be shifted; {remedy}."
    )


def _is_comma(frame: pd.DataFrame) -> bool:
    """Tell whether the columns of text are numbers whose comma can be nothing but a decimal one."""
    numbers = frame.select_dtypes("float").to_numpy()
    if (np.isfinite(numbers) & (numbers != np.round(numbers))).any():
        return False  # there the mark is a point
    texts = (
        set(frame[name].dropna().astype(str)) for name in frame.select_dtypes(exclude="number")
    )
    with_comma = [entries for entries in texts if any(_DECIMAL_COMMA.fullmatch(e) for e in entries)]
    return any(_are_decimals(entries) for entries in with_comma) and not any(
        all(_THOUSANDS_COMMA.fullmatch(e) for e in entries) for entries in with_comma
    )


def _are_decimals(entries: set[str]) -> bool:
    comma = [entry for entry in entries if _DECIMAL_COMMA.fullmatch(entry)]
    rest = entries.difference(comma)
    return all(_WHOLE.fullmatch(e) for e in rest) and not all(
        _THOUSANDS_COMMA.fullmatch(e) for e in comma
    )
