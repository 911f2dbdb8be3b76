"""Wald tests of linear restrictions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import chdtrc

from kcm._arrays import as_float_columns
from kcm.estimators.options import read_values
from kcm.exceptions import DataError, OptionError
from kcm.reporting import Summary

__all__ = ["WaldTestResult", "wald_test"]

# Directions of the correlations of the restrictions below this are rounding errors.
REDUNDANT = 1e-10

# Commas and equal signs outside backticks.
_OUTSIDE = r"(?=(?:[^`]*`[^`]*`)*[^`]*$)"


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
    names = list(params.index)
    matrix, target = _constraints(restriction, value, names)
    if not len(matrix) or not np.isfinite(target).all():
        raise OptionError(_form(names))
    spread = _spread(matrix, covariance.to_numpy())
    gap = (matrix @ params.to_numpy() - target) / np.sqrt(np.diag(spread))
    scaled = spread / np.sqrt(np.outer(np.diag(spread), np.diag(spread)))
    if np.linalg.matrix_rank(scaled, tol=REDUNDANT, hermitian=True) < len(scaled):
        raise OptionError("the restrictions repeat each other; leave out those that others imply.")
    statistic = float(gap @ np.linalg.solve(scaled, gap))
    told = _told(matrix, target, names)
    return WaldTestResult(statistic, float(chdtrc(len(gap), statistic)), len(gap), told)


def _spread(
    matrix: Float[np.ndarray, "m p"], covariance: Float[np.ndarray, "p p"]
) -> Float[np.ndarray, "m m"]:
    """Covariance of the restrictions, from the parameters that take part in them."""
    used = (matrix != 0).any(axis=0)
    spread = matrix[:, used] @ covariance[np.ix_(used, used)] @ matrix[:, used].T
    if not (np.diag(spread) > 0).all():
        raise OptionError(
            "a restriction has no variance: a parameter in it is at its bound, or it holds no "
            "parameter."
        )
    return spread


def _constraints(
    restriction: Any, value: Any, names: list[str]
) -> tuple[Float[np.ndarray, "m p"], Float[np.ndarray, " m"]]:
    if isinstance(restriction, Mapping | pd.Series | str) or _is_text(restriction):
        if value is not None:
            raise OptionError("`value` goes with a matrix; write the values into the restriction.")
        if isinstance(restriction, Mapping | pd.Series):
            return _by_name(restriction, names)
        return _by_formula(restriction, names)
    if isinstance(restriction, pd.DataFrame):
        restriction = restriction.reindex(columns=names).to_numpy()
    return _by_matrix(restriction, value, names)


def _by_matrix(
    restriction: Any, value: Any, names: list[str]
) -> tuple[Float[np.ndarray, "m p"], Float[np.ndarray, " m"]]:
    try:
        matrix = as_float_columns(np.atleast_2d(np.asarray(restriction, float)), "restriction")
        given = np.zeros(len(matrix)) if value is None else np.atleast_1d(value)
        target = as_float_columns(given, "value")[:, 0]
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, DataError) else OptionError(_form(names)) from error
    if matrix.shape[1] != len(names) or len(target) != len(matrix):
        raise OptionError(_form(names))
    return matrix, target


def _is_text(restriction: Any) -> bool:
    return isinstance(restriction, list | tuple) and all(isinstance(r, str) for r in restriction)


def _by_name(
    values: Any, names: list[str]
) -> tuple[Float[np.ndarray, "m p"], Float[np.ndarray, " m"]]:
    positions, target = read_values(values, names)
    return np.eye(len(names))[positions], target


def _by_formula(
    text: Any, names: list[str]
) -> tuple[Float[np.ndarray, "m p"], Float[np.ndarray, " m"]]:
    parts = [text] if isinstance(text, str) else text
    equations = [e for part in parts for e in re.split("," + _OUTSIDE, part)]
    rows = [_equation(equation, names) for equation in equations]
    if not rows:
        raise OptionError(_form(names))
    return np.array([row for row, _ in rows]), np.array([target for _, target in rows])


def _equation(text: str, names: list[str]) -> tuple[Float[np.ndarray, " p"], float]:
    """Read one equation; numbers on the right are read here, which formulaic does in part."""
    from formulaic.errors import FormulaicError
    from formulaic.utils.constraints import LinearConstraints

    left, *right = re.split("=" + _OUTSIDE, text)
    if len(right) > 1:
        raise OptionError(f"`restriction` {text!r} has more than one equal sign. {_form(names)}")
    number = _number(right[0]) if right else 0.0
    spec = left if number is not None else f"({left}) - ({right[0]})"
    try:
        read = LinearConstraints.from_spec(spec, names)
        (row,), (constant,) = read.constraint_matrix, read.constraint_values
    except (FormulaicError, ValueError, KeyError, SyntaxError, RuntimeError, TypeError) as error:
        raise OptionError(f"`restriction` {text!r} cannot be read. {_form(names)}") from error
    return np.asarray(row, float), float(constant) + (number or 0.0)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


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
