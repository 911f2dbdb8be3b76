"""Formulas: which variables each side mentions, and the design matrices they describe."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd

from kcm._options import check_option
from kcm.data.encoding import encode_column, indicators
from kcm.data.factors import category_column, inner_of_category, plain_columns, resolve_in
from kcm.data.formula_sides import factors_by_side, parse, stages, variables
from kcm.data.tables import is_text
from kcm.exceptions import DataError, OptionError

__all__ = [
    "SIDES",
    "Roles",
    "conditioning_design",
    "design",
    "design_like",
    "factor_texts",
    "formula_variables",
    "regressor_variables",
]

SIDES = ("response", "regressors", "conditioning")


@final
@dataclass(frozen=True, slots=True, eq=False)
class Roles(Mapping[str, tuple[str, ...]]):
    """Which columns of a sample play which role; a role without columns is left out.

    Parameters
    ----------
    response, regressors, conditioning : tuple of str, default ()
        Column names.

    Examples
    --------
    >>> dict(Roles(response=("logwage",), conditioning=("age",)))
    {'response': ('logwage',), 'conditioning': ('age',)}
    """

    response: tuple[str, ...] = ()
    regressors: tuple[str, ...] = ()
    conditioning: tuple[str, ...] = ()

    def __getitem__(self, role: str) -> tuple[str, ...]:
        if role not in list(self):
            raise KeyError(role)
        names: tuple[str, ...] = getattr(self, role)
        return names

    def __iter__(self) -> Iterator[str]:
        return (role for role in SIDES if getattr(self, role))

    def __len__(self) -> int:
        return len(list(iter(self)))


def formula_variables(formula: str, side: str) -> tuple[str, ...]:
    """Name the raw variables that one side of a formula mentions.

    Parameters
    ----------
    formula : str
        A formula like ``y ~ x1 + x2``, ``y ~ x1 + x2 | z1 + z2``, or, for instrumental
        variables, ``y ~ x1 + [x2 ~ z1]``.
    side : {"response", "regressors", "conditioning"}
        ``"response"``: left of ``~``. ``"regressors"``: right of it, up to ``|``, endogenous
        ones included. ``"conditioning"``: right of ``|`` where there is one, otherwise the
        regressors; of a bracketed formula, the exogenous regressors and the instruments.

    Returns
    -------
    tuple of str
        Names in the order of first mention.

    Raises
    ------
    OptionError
        If the formula cannot be read or `side` is not one of the three.

    Notes
    -----
    Names inside calls count (``age`` in ``bs(age, df=4)``); functions, contrasts and ``np`` do
    not.

    Examples
    --------
    >>> formula_variables("logwage ~ age + I(age**2) + np.log(educ)", "regressors")
    ('age', 'educ')
    >>> formula_variables("y ~ x | z1 + z2", "conditioning")
    ('z1', 'z2')
    >>> formula_variables("y ~ x1 + [x2 ~ z1 + z2]", "conditioning")
    ('x1', 'z1', 'z2')
    """
    factors = factors_by_side(*parse(formula))[check_option(side, SIDES, "side")]
    return tuple(dict.fromkeys(name for factor in factors for name in variables(factor)))


def factor_texts(formula: str, side: str) -> tuple[str, ...]:
    """Return the factors of one side of a formula as they are written.

    Parameters
    ----------
    formula : str
    side : {"response", "regressors", "conditioning"}
        As for `formula_variables`.

    Returns
    -------
    tuple of str

    Raises
    ------
    OptionError
        As `formula_variables`.

    Examples
    --------
    >>> factor_texts("y ~ 1 + np.log(x):z", "regressors")
    ('1', 'np.log(x)', 'z')
    """
    factors = factors_by_side(*parse(formula))[check_option(side, SIDES, "side")]
    return tuple(dict.fromkeys(str(factor.expr) for factor in factors))


def design(formula: str, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Evaluate the response and the regressors of a formula.

    Parameters
    ----------
    formula : str
        A formula without brackets; what follows ``|`` is not evaluated.
    table : pandas.DataFrame
        Complete rows. Names resolve in its columns, in numpy as ``np`` and in formulaic's
        transforms, nowhere else.

    Returns
    -------
    response, regressors : pandas.DataFrame
        One row per row of `table`.

    Raises
    ------
    OptionError
        If the formula cannot be read, or has brackets.
    DataError
        If it cannot be evaluated on `table`, or its response is not a number.

    Examples
    --------
    >>> y, x = design("y ~ a", pd.DataFrame({"y": [1.0, 2.0], "a": [3.0, 4.0]}))
    >>> list(y), list(x)
    (['y'], ['Intercept', 'a'])
    """
    response, (regressors, *_) = parse(formula)
    if stages(regressors):
        raise OptionError(
            f"`formula` must not have brackets here; got {formula!r}. Fit the model with "
            "linearmodels and pass the fitted result, or name the instruments after `|`."
        )
    left = _evaluate(response, table, formula)
    if left.model_spec.factor_contrasts:
        raise DataError(
            f"the response of `formula` {formula!r} holds text or categories; make it a number, "
            "for example I(answer == 'yes')."
        )
    return pd.DataFrame(left), pd.DataFrame(_evaluate(regressors, table, formula))


def conditioning_design(formula: str, table: pd.DataFrame) -> pd.DataFrame:
    """Evaluate the variables that a formula conditions on.

    Parameters
    ----------
    formula : str
        As for `design`; what follows ``|`` is conditioned on, or else the regressors.
    table : pandas.DataFrame
        Complete rows.

    Returns
    -------
    pandas.DataFrame
        Columns of `table` where a factor is a plain function of them, row by row, the
        indicators of the levels where it is a category (one of the two where there are two), and
        the columns to which it is evaluated where it looks at other rows (``lag(y)``).

    Raises
    ------
    DataError
        If a factor cannot be evaluated on `table`, or holds categories of one level or of too many.

    Examples
    --------
    >>> table = pd.DataFrame({"y": [1.0, 2, 4], "x": [3.0, 4, 2]})
    >>> list(conditioning_design("y ~ np.log(x) + lag(y)", table))
    ['x', 'lag(y)']
    """
    factors = factors_by_side(*parse(formula))["conditioning"]
    parts = [_conditioning_columns(factor, table, formula) for factor in dict.fromkeys(factors)]
    columns = {name: part[name] for part in parts for name in part}
    return pd.DataFrame(columns, index=table.index)


def _conditioning_columns(factor: Any, table: pd.DataFrame, formula: str) -> pd.DataFrame:
    from formulaic.transforms import TRANSFORMS

    text, names = factor.expr, list(table.columns)
    plain = plain_columns(text, names, resolve_in(TRANSFORMS))
    if plain is not None and not any(is_text(table[name]) for name in plain):
        return table[list(plain)]
    if not variables(factor):
        return table[[]]
    values = _category_values(text, table, formula)
    if values is None:
        return _evaluated([factor], table, formula)
    return indicators(values, text)


def _category_values(text: str, table: pd.DataFrame, formula: str) -> pd.Series | None:
    """Values that a factor takes as categories: words, or what ``C`` is given; else None."""
    from formulaic.parser.types import Factor

    names = list(table.columns)
    alone = text if text in names else category_column(f"C({text})", names)
    name = category_column(text, names) or alone
    if name is not None:
        if is_text(table[name]):
            encode_column(table[name], f"column {name!r} of `data`")  # refuses names of rows
        return table[name]
    inner = inner_of_category(text)
    evaluated = (
        None if inner is None else _evaluated([Factor(inner, eval_method="python")], table, formula)
    )
    return evaluated.iloc[:, 0] if evaluated is not None and evaluated.shape[1] == 1 else None


def _evaluated(factors: list[Any], table: pd.DataFrame, formula: str) -> pd.DataFrame:
    from formulaic.parser.types import Factor, Term

    terms = [Term([Factor("1", eval_method="literal")]), *(Term([f]) for f in factors)]
    return pd.DataFrame(_evaluate(terms, table, formula)).drop(columns="Intercept")


def design_like(formula: str, table: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Evaluate the regressors of a formula on new rows, as they were evaluated on others.

    Parameters
    ----------
    formula : str
        As for `design`.
    table : pandas.DataFrame
        Complete rows on which transforms such as ``center`` and the levels of categories are
        learned.
    new : pandas.DataFrame
        The rows to evaluate.

    Returns
    -------
    pandas.DataFrame
        One row per row of `new`.

    Raises
    ------
    DataError
        If the formula cannot be evaluated on `table` or `new`.

    Examples
    --------
    >>> old, new = pd.DataFrame({"y": [0.0, 0.0], "a": [1.0, 3.0]}), pd.DataFrame({"a": [7.0]})
    >>> design_like("y ~ center(a)", old, new)
       Intercept  center(a)
    0        1.0        5.0
    """
    from formulaic.errors import DataMismatchWarning

    _, (regressors, *_) = parse(formula)
    spec = _evaluate(regressors, table, formula).model_spec
    with _explained(formula), warnings.catch_warnings():
        # a category that the fit has not seen would pass for the first one
        warnings.simplefilter("error", DataMismatchWarning)
        return pd.DataFrame(spec.get_model_matrix(new, context={"np": np}, na_action="ignore"))


def regressor_variables(formula: str, table: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Name the raw variables behind each regressor of a formula.

    Parameters
    ----------
    formula : str
        As for `design`.
    table : pandas.DataFrame
        Complete rows.

    Returns
    -------
    dict of str to tuple of str
        By the name of the column; none for an intercept.

    Raises
    ------
    DataError
        If the formula cannot be evaluated on `table`.

    Examples
    --------
    >>> regressor_variables("y ~ a + I(a**2)", pd.DataFrame({"y": [0.0, 0.0], "a": [1.0, 2.0]}))
    {'Intercept': (), 'a': ('a',), 'I(a ** 2)': ('a',)}
    """
    _, (regressors, *_) = parse(formula)
    matrix = _evaluate(regressors, table, formula)
    return {
        str(matrix.columns[j]): tuple(
            dict.fromkeys(name for factor in term.factors for name in variables(factor))
        )
        for term, columns in matrix.model_spec.term_indices.items()
        for j in columns
    }


def _evaluate(terms: Any, table: pd.DataFrame, formula: str) -> Any:
    from formulaic import Formula

    by_degree = Formula(list(terms))
    with _explained(formula):
        return by_degree.get_model_matrix(
            table, context={"np": np}, na_action="ignore", output="pandas"
        )


@contextmanager
def _explained(formula: str) -> Iterator[None]:
    try:
        with np.errstate(all="ignore"):
            yield
    # a formula runs the caller's own expressions, which may raise anything
    except Exception as error:
        raise DataError(
            f"`formula` {formula!r} could not be evaluated: {_first_line(error)}. Use columns of "
            "the data, numpy as `np`, and the transforms of formulaic."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
