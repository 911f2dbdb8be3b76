"""Factors whose names do not tell: evaluated on some of the rows, in another order."""

import ast
import builtins
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from kcm.adapters.terms import FormulaFactor
from kcm.data import inner_of_category, spoken_names

__all__ = ["rowwise_columns"]

# Factors are tried on this many random halves of the rows.
_TRIALS = 2


def rowwise_columns(factor: FormulaFactor, columns: pd.DataFrame) -> tuple[str, ...] | None:
    """Columns that a factor turns out to be a function of, row by row.

    Parameters
    ----------
    factor : FormulaFactor
    columns : pandas.DataFrame
        The data behind the fit.

    Returns
    -------
    tuple of str or None
        The columns that the factor mentions, where its value in a row is the same when it is
        evaluated on half of the rows in another order; None where it is not, or the factor cannot
        be evaluated again.
    """
    expression = inner_of_category(factor.expression) or factor.expression
    mentioned = [name for name in spoken_names(expression, ()) if name in columns.columns]
    if not mentioned or len(columns) < 4:
        return None
    data = columns[mentioned]
    # a factor is the caller's own code, which may raise anything
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            is_rowwise = _is_rowwise(expression, data, factor)
    except Exception:
        return None
    return tuple(mentioned) if is_rowwise else None


def _is_rowwise(expression: str, data: pd.DataFrame, factor: FormulaFactor) -> bool:
    whole, generator = _evaluate(expression, data, factor), np.random.default_rng(0)
    if len(whole) != len(data):
        return False
    for _ in range(_TRIALS):
        half = generator.permutation(len(data))[: len(data) // 2]
        part = _evaluate(expression, data.iloc[half], factor)
        if part.shape != whole[half].shape or not _is_same(part, whole[half]):
            return False
    return True


def _evaluate(
    expression: str, data: pd.DataFrame, factor: FormulaFactor
) -> Shaped[np.ndarray, "n ..."]:
    tree = ast.parse(expression, mode="eval")
    scope: Mapping[str, Any] = {
        name: data[name] if name in data else _outside(name, factor)
        for name in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    }
    return np.asarray(eval(compile(tree, "<factor>", "eval"), dict(scope)))


def _outside(name: str, factor: FormulaFactor) -> Any:
    try:
        return factor.resolve(name)
    except LookupError:
        return getattr(builtins, name)


def _is_same(one: Shaped[np.ndarray, "n ..."], other: Shaped[np.ndarray, "n ..."]) -> bool:
    if one.dtype.kind in "biuf" and other.dtype.kind in "biuf":
        return bool(np.allclose(one.astype(float), other.astype(float), 1e-12, 0, equal_nan=True))
    return pd.Series(list(one), dtype=object).equals(pd.Series(list(other), dtype=object))
