"""Classical tests of a linear regression, by statsmodels."""

import warnings
from types import MappingProxyType
from typing import Any

import numpy as np

from kcm.comparison.entry import Entry, Finding, Subject
from kcm.comparison.regression import Regression, linear_regression, orthonormal
from kcm.exceptions import DataError

__all__ = ["REGRESSION_TESTS"]

# White's test has a column for every product of two regressors; more numbers than this are refused.
_MOST_PRODUCTS = 200_000_000
# Of the largest singular value: products this small beside the others are rounding.
_LEAST_SHARE = 1e-9
_FULL_LEVERAGE = 1 - 1e-10
# The recursion squares this number: beyond it fewer than six digits of a residual are left.
_WORST_CONDITION = 1e5


def _reset(subject: Subject) -> Finding:
    """Squares and cubes of the fitted values, with an HC3 covariance and the F law."""
    regression = linear_regression(subject)
    augmented = _with_powers(regression)
    _check_powers(augmented)
    fit = _ols(regression.outcome, augmented).fit(cov_type="HC3", use_t=True)
    n_columns = augmented.shape[1]
    test = fit.wald_test(np.eye(2, n_columns, k=n_columns - 2), use_f=True, scalar=True)
    return Finding(test.statistic, test.pvalue, f"F(2, {test.df_denom:.0f})")


def _reset_classical(subject: Subject) -> Finding:
    """The same by the F test of constant variance, as Ramsey and the textbooks have it."""
    regression = linear_regression(subject)
    augmented = _with_powers(regression)
    n, n_columns = augmented.shape
    _check_combinations(augmented, orthonormal(augmented))
    fit = _ols(regression.outcome, augmented).fit()
    test = fit.f_test(np.eye(2, n_columns, k=n_columns - 2))
    return Finding(test.fvalue, test.pvalue, f"F(2, {n - n_columns})")


def _with_powers(regression: Regression) -> np.ndarray:
    """Add the square and the cube of the fitted values, in units that keep digits."""
    fitted = regression.fitted
    if regression.has_constant:
        fitted = fitted - fitted.mean()
    fitted = fitted / np.abs(fitted).max()
    powers = np.column_stack([fitted**2, fitted**3])
    return np.hstack([regression.basis, regression.root_weights[:, None] * powers])


def _check_powers(augmented: np.ndarray) -> None:
    basis = orthonormal(augmented)
    _check_combinations(augmented, basis)
    if np.sum(basis**2, axis=1).max() > _FULL_LEVERAGE:
        raise DataError(
            "RESET uses the HC3 covariance, which is not defined where the regressors fit an "
            "observation exactly, whatever its outcome (leverage 1)."
        )


def _check_combinations(augmented: np.ndarray, basis: np.ndarray) -> None:
    if basis.shape[1] < augmented.shape[1] or len(augmented) <= augmented.shape[1]:
        raise DataError(
            "RESET adds the square and the cube of the fitted values to the regressors, and here "
            "they are combinations of the regressors already (or there are too few observations)."
        )


def _rainbow(subject: Subject) -> Finding:
    from statsmodels.stats.diagnostic import linear_rainbow
    from statsmodels.tools.sm_exceptions import SingularMatrixWarning

    regression = linear_regression(subject)
    basis = regression.basis
    middle = _middle(len(basis))
    inside, rank = len(basis[middle]), np.linalg.matrix_rank(basis[middle])
    if inside <= rank:
        raise DataError(f"The rainbow test needs more rows in the middle half than {inside}.")
    with warnings.catch_warnings():
        # regressors may be constant in the middle; the sum of squares and its rank are the same
        warnings.simplefilter("ignore", SingularMatrixWarning)
        statistic, pvalue = linear_rainbow(_ols(regression.outcome, basis).fit())
    return Finding(statistic, pvalue, f"F({len(basis) - inside}, {inside - rank})")


def _middle(n: int) -> slice:
    """Return the rows in the middle, as statsmodels cuts them at `frac=0.5`."""
    start = int(np.ceil(0.25 * n))
    return slice(start, int(np.floor(start + 0.5 * n)))


def _harvey_collier(subject: Subject) -> Finding:
    """Mean of the n - p recursive residuals, as lmtest::harvtest.

    `linear_harvey_collier` of statsmodels leaves out the first three rows whatever p is: that is
    the same for p = 3, an observation too few for p = 2 and a missing value for p > 4.
    """
    from scipy.stats import ttest_1samp
    from statsmodels.stats.diagnostic import recursive_olsresiduals

    regression = linear_regression(subject)
    basis = regression.basis
    _check_start(basis)
    residuals = recursive_olsresiduals(_ols(regression.outcome, basis).fit())[4]
    test = ttest_1samp(residuals[basis.shape[1] :], 0.0)
    return Finding(test.statistic, test.pvalue, f"t({test.df})")


def _check_start(basis: np.ndarray) -> None:
    n, rank = basis.shape
    if np.linalg.cond(basis[:rank]) > _WORST_CONDITION or n < rank + 3:
        raise DataError(
            f"The Harvey-Collier test starts from the first {rank} rows, and here they do not "
            f"determine the {rank} coefficients with enough digits; fit on the rows in another "
            "order, or read another test."
        )


def _white(subject: Subject) -> Finding:
    from scipy.stats import chi2

    regression = linear_regression(subject)
    if regression.weighted:
        raise DataError(
            "White's specification test is for unweighted least squares, and `fit` has weights; "
            "it compares two covariances of OLS."
        )
    _check_constant(regression, "White's specification test")
    _check_products(regression)
    products = _products(regression.regressors)
    squares = regression.residuals**2
    squares = squares - squares.mean()
    change, spread = products.T @ squares, products * squares[:, None]
    statistic = float(change @ np.linalg.solve(spread.T @ spread, change))
    df = products.shape[1]
    return Finding(statistic, float(chi2.sf(statistic, df)), f"chi2({df})")


def _products(regressors: np.ndarray) -> np.ndarray:
    """Return a basis of the products of two regressors, centred.

    Products of an orthonormal basis have the same span as those of raw powers, whose digits are
    lost beside each other.
    """
    others = regressors[:, np.ptp(regressors, axis=0) > 0]
    columns = np.hstack([np.ones((len(others), 1)), _spanning(others, 0.0)])
    first, second = np.triu_indices(columns.shape[1])
    return _spanning((columns[:, first] * columns[:, second])[:, 1:], _LEAST_SHARE)


def _spanning(columns: np.ndarray, least: float) -> np.ndarray:
    """Return an orthonormal basis of columns less their means, of mean square 1."""
    centred = columns - columns.mean(axis=0)
    return np.sqrt(len(columns)) * orthonormal(centred - centred.mean(axis=0), least)


def _check_products(regression: Regression) -> None:
    n, p = regression.regressors.shape
    n_products = p * (p + 1) // 2 - 1
    if n_products >= n:
        raise DataError(
            f"White's specification test has {n_products:,} products of two regressors and needs "
            f"more observations than that; there are {n:,}."
        )
    if n * n_products > _MOST_PRODUCTS:
        raise DataError(
            f"White's specification test would need a table of {n:,} rows and {n_products:,} "
            f"products of two regressors; at most {_MOST_PRODUCTS:,} numbers are made here."
        )


def _breusch_pagan(subject: Subject) -> Finding:
    from statsmodels.stats.diagnostic import het_breuschpagan

    regression = linear_regression(subject)
    _check_constant(regression, "The Breusch-Pagan test")
    _check_full_rank(regression, "The Breusch-Pagan test")
    statistic, pvalue, _, _ = het_breuschpagan(regression.residuals, regression.regressors)
    return Finding(statistic, pvalue, f"chi2({regression.regressors.shape[1] - 1})")


def _check_constant(regression: Regression, test: str) -> None:
    columns = regression.regressors.shape[1]
    if not regression.has_constant or columns < 2:
        raise DataError(
            f"{test} needs a constant and at least one other regressor; fit with an intercept."
        )


def _check_full_rank(regression: Regression, test: str) -> None:
    if regression.basis.shape[1] < regression.regressors.shape[1]:
        raise DataError(
            f"{test} counts regressors, and those of `fit` are collinear; leave one out."
        )


def _ols(outcome: np.ndarray, design: np.ndarray) -> Any:
    from statsmodels.regression.linear_model import OLS

    return OLS(outcome, design)


REGRESSION_TESTS: MappingProxyType[str, Entry] = MappingProxyType(
    {
        "RESET": Entry(
            "the square and the cube of the fitted values, added to {moment}, have coefficients 0",
            "mean",
            False,
            _reset,
        ),
        "RESET classical": Entry(
            "the square and the cube of the fitted values, added to {moment}, have coefficients 0; "
            "the variance is constant",
            "mean and variance",
            False,
            _reset_classical,
        ),
        "rainbow": Entry(
            "the middle half of the rows, in their order, has the coefficients of all rows; the "
            "variance is constant",
            "mean and variance",
            False,
            _rainbow,
        ),
        "Harvey-Collier": Entry(
            "the recursive residuals, rows in their order, have mean 0; the variance is constant",
            "mean and variance",
            False,
            _harvey_collier,
        ),
        "White specification": Entry(
            "{moment} has mean 0 and constant variance given the regressors, by the covariance of "
            "its square with their products",
            "mean and variance",
            False,
            _white,
        ),
        "Breusch-Pagan": Entry(
            "the variance of {moment}, weighted as in the fit, does not change linearly with the "
            "regressors; this says nothing about the mean",
            "variance",
            False,
            _breusch_pagan,
        ),
    }
)
