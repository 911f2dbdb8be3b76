"""Wald tests of linear restrictions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import chdtrc

from kcm._validation import as_float_columns, did_you_mean
from kcm.exceptions import DataError, OptionError
from kcm.report import Summary

__all__ = ["WaldTestResult", "wald_test"]

_NEGATIVE = re.compile(r"=\s*(-[^,`]+)")


@final
@dataclass(frozen=True, slots=True)
class WaldTestResult:
    """Outcome of a Wald test of R theta = r.

    Attributes
    ----------
    statistic : float
        (R theta - r)' (R V R')^{-1} (R theta - r).
    pvalue : float
        From the chi-square law with `df` degrees of freedom.
    df : int
        Number of restrictions.
    null_hypothesis : str

    Examples
    --------
    >>> theta, covariance = pd.Series({"a": 2.0}), pd.DataFrame([[1.0]], ["a"], ["a"])
    >>> round(wald_test(theta, covariance, "a = 0", None).pvalue, 4)
    0.0455
    """

    statistic: float
    pvalue: float
    df: int
    null_hypothesis: str

    def _repr_html_(self) -> str:
        return self.summary().as_html()

    def summary(self) -> Summary:
        """Return a table of the test."""
        rows = (
            ("Null hypothesis", self.null_hypothesis),
            ("Statistic", f"{self.statistic:.6g}"),
            ("Distribution", f"chi-square({self.df})"),
            ("p-value", f"{self.pvalue:.4g}"),
        )
        return Summary("Wald test", rows)


def wald_test(
    params: pd.Series, covariance: pd.DataFrame, restriction: Any, value: Any
) -> WaldTestResult:
    """Test linear restrictions on parameters.

    Parameters
    ----------
    params : pandas.Series of length p
    covariance : pandas.DataFrame of shape (p, p)
    restriction : str, list of str, mapping or array_like of shape (m, p)
        ``"a = 1, b + c = 0"`` (names that are not words go in backticks), values by parameter
        name, or the matrix R.
    value : array_like of shape (m,), optional
        r, for a matrix R. Default 0.

    Returns
    -------
    WaldTestResult

    Raises
    ------
    OptionError
        When a restriction cannot be read, or the restrictions are redundant.
    """
    matrix, target = _constraints(restriction, value, list(params.index))
    gap = matrix @ params.to_numpy() - target
    spread = matrix @ covariance.to_numpy() @ matrix.T
    if not np.isfinite(spread).all():
        raise OptionError("a restricted parameter has no standard error: it is at its bound.")
    if np.linalg.matrix_rank(spread, hermitian=True) < len(spread):
        raise OptionError("the restrictions repeat each other; leave out those that others imply.")
    statistic = float(gap @ np.linalg.solve(spread, gap))
    told = _told(matrix, target, list(params.index))
    return WaldTestResult(statistic, float(chdtrc(len(gap), statistic)), len(gap), told)


def _constraints(
    restriction: Any, value: Any, names: list[str]
) -> tuple[Float[np.ndarray, "m p"], Float[np.ndarray, " m"]]:
    if isinstance(restriction, Mapping | pd.Series):
        return _by_name(dict(restriction), names)
    if isinstance(restriction, str) or _is_text(restriction):
        return _by_formula(restriction, names)
    try:
        matrix = as_float_columns(np.atleast_2d(np.asarray(restriction, float)), "restriction")
        target = np.zeros(len(matrix)) if value is None else as_float_columns(value, "value")[:, 0]
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, DataError) else OptionError(_form(names)) from error
    if matrix.shape[1] != len(names) or len(target) != len(matrix):
        raise OptionError(_form(names))
    return matrix, target


def _is_text(restriction: Any) -> bool:
    return isinstance(restriction, list | tuple) and all(isinstance(r, str) for r in restriction)


def _by_name(
    values: dict[str, Any], names: list[str]
) -> tuple[Float[np.ndarray, "m p"], Float[np.ndarray, " m"]]:
    for name in values:
        if name not in names:
            raise OptionError(f"there is no parameter {name!r}{did_you_mean(str(name), names)}")
    matrix = np.eye(len(names))[[names.index(name) for name in values]]
    return matrix, np.array([float(value) for value in values.values()])


def _by_formula(
    text: Any, names: list[str]
) -> tuple[Float[np.ndarray, "m p"], Float[np.ndarray, " m"]]:
    from formulaic.errors import FormulaicError
    from formulaic.utils.constraints import LinearConstraints

    spec = text if isinstance(text, str) else ", ".join(text)
    try:
        # formulaic reads "=-" as an operator
        read = LinearConstraints.from_spec(_NEGATIVE.sub(r"= (\1)", spec), names)
    except (FormulaicError, ValueError, KeyError, SyntaxError, RuntimeError) as error:
        raise OptionError(f"`restriction` {spec!r} cannot be read. {_form(names)}") from error
    return np.asarray(read.constraint_matrix, float), np.asarray(read.constraint_values, float)


def _form(names: list[str]) -> str:
    return (
        "`restriction` must be a text such as 'a = 1, b + c = 0', values by name, or a matrix with "
        f"one column for each of the {len(names)} parameters ({', '.join(names)}), with one "
        "`value` a row."
    )


def _told(
    matrix: Float[np.ndarray, "m p"], target: Float[np.ndarray, " m"], names: list[str]
) -> str:
    return ", ".join(
        f"{_side(row, names)} = {value:.6g}" for row, value in zip(matrix, target, strict=True)
    )


def _side(row: Float[np.ndarray, " p"], names: list[str]) -> str:
    terms = [_term(c, name) for c, name in zip(row, names, strict=True) if c]
    return " + ".join(terms).replace("+ -", "- ") or "0"


def _term(coefficient: float, name: str) -> str:
    sign = "-" if coefficient < 0 else ""
    size = abs(coefficient)
    return f"{sign}{name}" if size == 1 else f"{sign}{size:.6g} {name}"
