"""From the words of a command to a fitted model and what to condition on."""

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import kcm
from kcm._options import listed
from kcm.adapters import bar_position
from kcm.commands.parser import MODELS
from kcm.data import (
    NAMESPACE,
    SUFFIXES,
    Factor,
    FileFormat,
    TableFile,
    check_entries,
    check_names,
    check_plain,
    evaluate_plain,
    inner_of_category,
    is_text,
    read_factors,
    read_file,
    resolve_in,
)
from kcm.exceptions import DataError, MissingRowsWarning, OptionError

__all__ = ["Fitted", "fitted_model", "read_data"]

_BINARY = ("logit", "probit")
_FORMAT = ("sep", "decimal", "thousands", "na")
_TAB = ("tab", "\\t")


class Fitted(NamedTuple):
    """A fit, what to condition on, and how many rows were left out for missing values."""

    fit: Any
    conditioning: list[str] | pd.DataFrame | None
    n_dropped: int


class Asked(NamedTuple):
    """A formula and its factors; `conditioning` is empty where the adapters choose."""

    formula: str
    response: tuple[Factor, ...]
    regressors: tuple[Factor, ...]
    conditioning: tuple[Factor, ...]

    @property
    def fitted_columns(self) -> list[str]:
        """Columns that the fit looks at."""
        return _columns_of((*self.response, *self.regressors))


def fitted_model(options: argparse.Namespace) -> Fitted:
    """Read the data, fit the formula, and find what to condition on.

    Raises
    ------
    DataError
        When the data cannot be used, or the model cannot be fitted.
    OptionError
        When the formula or another option cannot be read.
    """
    asked = _asked(options)
    table = read_data(options.data, _format(options))
    data = table.frame.reset_index(drop=True)
    categories = _categories(options, data)
    _check_columns(asked, data, table, categories, options.data)
    data = data.assign(**{name: data[name].astype("category") for name in categories})
    data = _with_numeric_outcome(data, asked.response, options.model)
    conditioning = _conditioning(asked, data)
    kept = _complete(asked, data, conditioning)
    if isinstance(conditioning, pd.DataFrame):
        conditioning = conditioning[kept]
    fit = _fit(options.model, asked.formula, data[kept])
    return Fitted(fit, conditioning, int((~kept).sum()))


def read_data(source: str, form: FileFormat | None = None) -> TableFile:
    """Read a CSV or Parquet file, or a data set by its name.

    Parameters
    ----------
    source : str
        A path that ends in one of `kcm.data.files.SUFFIXES`, or a name of `kcm.datasets`.
    form : FileFormat, optional
        How a CSV file is written.

    Returns
    -------
    TableFile

    Raises
    ------
    DataError
        When there is no such file or data set, or the file cannot be read.
    OptionError
        When `form` says how a CSV file is written, and there is none.

    Examples
    --------
    >>> read_data("cps71").frame.shape
    (205, 2)
    """
    path, form = Path(source), form or FileFormat()
    name = path.name.lower()
    if form != FileFormat() and (not path.is_file() or name.endswith((".parquet", ".pq"))):
        given = [f"`--{key}`" for key, value in form._asdict().items() if value]
        raise OptionError(f"{listed(given)} says how a CSV file is written; {source!r} is none.")
    if path.is_file() and not name.endswith(SUFFIXES):
        raise DataError(f"`--data`: {path} must end in one of {', '.join(SUFFIXES)}.")
    if path.is_file():
        return read_file(path, form)
    known = kcm.datasets.names()
    if path.is_dir() and source not in known:
        raise DataError(f"`--data`: {source!r} is a folder; name one file in it.")
    if name.endswith(SUFFIXES) or path.parent != Path():
        raise DataError(
            f"`--data`: there is no file {source!r}; check the path, or name a data set: "
            f"{', '.join(known)}."
        )
    return TableFile(kcm.datasets.load(source))


def _format(options: argparse.Namespace) -> FileFormat:
    sep = "\t" if options.sep in _TAB else options.sep
    for name, value in (
        ("sep", sep),
        ("decimal", options.decimal),
        ("thousands", options.thousands),
    ):
        if value is not None and len(value) != 1:
            raise OptionError(f"`--{name}` must be one character; got {value!r}.")
    marks = [mark for mark in (options.decimal, options.thousands) if mark]
    if len(set(marks)) < len(marks):
        raise OptionError(f"`--decimal` and `--thousands` must differ; got {marks[0]!r} twice.")
    return FileFormat(sep, options.decimal, options.thousands, tuple(options.na or ()))


def _asked(options: argparse.Namespace) -> Asked:
    """Part a formula at its bar, and read it as data: nothing in it is run that is not listed."""
    names, formula = _names(options.conditioning, "--conditioning"), options.formula
    sides = [read_factors(formula, side) for side in ("response", "regressors", "conditioning")]
    bar = bar_position(formula)
    fitted = formula if bar is None else formula[:bar].strip()
    check_plain(fitted)
    after: tuple[Factor, ...] = ()
    if bar is not None:
        after = sides[2]
        _check_after_bar(formula, after, names)
    elif names:
        after = tuple(Factor(name, (name,), False, False) for name in names)
    elif any(factor.shifts for factor in sides[1]):
        after = tuple(factor for factor in sides[1] if factor.columns)
    return Asked(fitted, sides[0], sides[1], after)


def _check_after_bar(formula: str, after: Sequence[Factor], names: list[str]) -> None:
    if names:
        raise OptionError(
            f"`--conditioning` and the `|` in the formula {formula!r} both name the conditioning "
            "variables; keep one of them."
        )
    if not any(factor.columns for factor in after):
        raise OptionError(f"the formula {formula!r} names no variable after `|`.")


def _names(text: str | None, option: str) -> list[str]:
    if text is None:
        return []
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise OptionError(f"`{option}` must be column names split by commas; got {text!r}.")
    return names


def _categories(options: argparse.Namespace, data: pd.DataFrame) -> list[str]:
    names = _names(options.categories, "--categories")
    check_names(names, list(data.columns), "`--categories`: `--data`")
    return names


def _columns_of(factors: Sequence[Factor]) -> list[str]:
    return list(dict.fromkeys(name for factor in factors for name in factor.columns))


def _check_columns(
    asked: Asked, data: pd.DataFrame, table: TableFile, categories: list[str], source: str
) -> None:
    """Refuse columns that are not there, and columns of numbers with entries that are none."""
    factors = (*asked.response, *asked.regressors, *asked.conditioning)
    check_names(_columns_of(factors), [str(name) for name in data.columns], "`--data`")
    numbers = _columns_of([factor for factor in factors if not factor.is_category])
    is_text_file = bool(table.lines)
    for name in numbers:
        if name not in categories:
            subject = f"column {name!r} of {source}"
            check_entries(data[name], subject, table.lines, is_text_file)


def _with_numeric_outcome(
    data: pd.DataFrame, response: Sequence[Factor], model: str
) -> pd.DataFrame:
    """Return the data with an outcome of truths, or of two words, as 0 and 1."""
    if len(response) != 1 or len(response[0].columns) != 1:
        return data
    name, text = response[0].columns[0], response[0].text
    if text != name and not text.startswith("Q("):
        return data
    column, known = data[name], data[name].dropna()
    if len(known) and all(isinstance(entry, bool | np.bool_) for entry in known):
        return data.assign(**{name: column.map({True: 1.0, False: 0.0}).astype(float)})
    if not is_text(column):
        return data
    levels = sorted(map(str, set(known)))
    if len(levels) != 2 or model not in _BINARY:
        raise DataError(
            f"the outcome {name!r} holds text ({listed(map(repr, levels), 3)}), and the {model} "
            f"fit needs numbers; write I({name} == {levels[-1]!r}) for it."
        )
    warnings.warn(
        f"the outcome {name!r} holds text: 1 stands for {levels[1]!r}, 0 for {levels[0]!r}.",
        UserWarning,
        stacklevel=2,
    )
    coded = column.astype(object).map({levels[0]: 0.0, levels[1]: 1.0})
    return data.assign(**{name: coded.astype(float)})


def _conditioning(asked: Asked, data: pd.DataFrame) -> list[str] | pd.DataFrame | None:
    """Return names of columns, or the columns themselves where the data has no such column."""
    factors = [factor for factor in asked.conditioning if factor.columns]
    if not factors:
        return None
    if not any(f.shifts or (f.is_category and _is_numeric(f, data)) for f in factors):
        return _columns_of(factors)
    columns: dict[str, Any] = {}
    for factor in factors:
        columns |= _conditioning_columns(factor, data)
    return pd.DataFrame(columns, index=data.index)


def _is_numeric(factor: Factor, data: pd.DataFrame) -> bool:
    return all(data[name].dtype.kind in "iuf" for name in factor.columns)


def _conditioning_columns(factor: Factor, data: pd.DataFrame) -> dict[str, Any]:
    if factor.shifts and factor.is_category:
        return {factor.text: _shifted_category(factor, data)}
    if factor.shifts:
        made = _evaluated(factor.text, data)
        return {str(name): made[name] for name in made}
    if factor.is_category:
        return {name: data[name].astype("category") for name in factor.columns}
    return {name: data[name] for name in factor.columns}


def _shifted_category(factor: Factor, data: pd.DataFrame) -> pd.Series:
    """Return the categories of a factor such as ``C(lag(k))``, missing where there is no row."""
    inner, columns = inner_of_category(factor.text), {name: data[name] for name in factor.columns}
    made = evaluate_plain(inner or factor.text, columns, resolve_in(NAMESPACE))
    return pd.Series(made, index=data.index).astype("category")


def _evaluated(text: str, data: pd.DataFrame) -> pd.DataFrame:
    from formulaic import model_matrix

    try:
        made = model_matrix(f"0 + {text}", data, context=dict(NAMESPACE), na_action="ignore")
    except Exception as error:  # of a function on a column that it cannot take
        reason = str(error).partition("\n")[0]
        raise DataError(f"{text!r} in the formula could not be evaluated: {reason}.") from error
    return pd.DataFrame(made)


def _complete(
    asked: Asked, data: pd.DataFrame, conditioning: list[str] | pd.DataFrame | None
) -> np.ndarray:
    """Tell which rows have all that is needed, and warn of those that are left out for more.

    A formula that looks at other rows is evaluated on all of them, and the fit leaves rows out.
    """
    shifts = any(f.shifts for f in (*asked.response, *asked.regressors))
    fitted = data[asked.fitted_columns].notna().all(axis=1).to_numpy()
    if conditioning is None:
        return np.ones(len(data), bool) if shifts else np.asarray(fitted)
    given = conditioning if isinstance(conditioning, pd.DataFrame) else data[conditioning]
    known = given.notna().to_numpy()
    kept = np.asarray(known.all(axis=1))
    own = {f.text for f in asked.regressors if f.shifts}
    if shifts and set(given.columns) & own:  # the fit leaves out what its own lags make missing
        kept = np.asarray(known[:, [name not in own for name in given.columns]].all(axis=1))
    if not kept.all():
        names = listed(str(n) for n, c in zip(given.columns, known.T, strict=True) if not c.all())
        warnings.warn(
            f"dropped {int((~kept).sum())} of {len(kept)} rows with missing values in: {names}",
            MissingRowsWarning,
            stacklevel=2,
        )
    return np.asarray(kept if shifts else kept & fitted)


def _fit(model: str, formula: str, data: pd.DataFrame) -> Any:
    if data.empty:
        raise DataError(
            "`--data` has no row without missing values in the variables that are used; leave out "
            "those that are mostly missing."
        )
    quiet = {} if model in ("ols", "median") else {"disp": 0}
    build = resolve_name(MODELS[model]).from_formula
    try:
        return build(formula, data=data, eval_env=dict(NAMESPACE)).fit(**quiet)
    # a fit of statsmodels may raise anything
    except Exception as error:
        raise DataError(f"the {model} fit of {formula!r} failed: {error}") from error
