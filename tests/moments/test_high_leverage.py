"""A row that decides the p-value by its leverage is named.

The design is that of Wooldridge's house prices (hprice1, `price ~ lotsize + sqrft + bdrms`), whose
row 76 has a leverage of .84 and 98 % of the squares of the scaled residuals.
"""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

import kcm


def houses(outlier: float, shift: float) -> pd.DataFrame:
    """Make 88 rows, of which row 40 has another regressor and outcome."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=88)
    y = 1 + x + rng.normal(size=88)
    x[40], y[40] = outlier, 1 + outlier + shift
    return pd.DataFrame({"x": x, "y": y})


def notes(data: pd.DataFrame, **options) -> str:
    fit = smf.ols("y ~ x", data).fit()
    return str(kcm.specification_test(fit, **options).summary())


def test_the_row_is_named_with_what_to_do():
    told = " ".join(notes(houses(30.0, -8.0)).split())
    assert "The p-value rests on row 40 (counted from 0), whose leverage is close to one" in told
    assert "Fit without this row, and see result.size_check()" in told


@pytest.mark.parametrize(
    ("outlier", "shift"),
    [(3.0, 0.0), (3.0, -8.0), (0.1, -8.0)],
    ids=["usual row", "outlier with some leverage", "outlier in the middle"],
)
def test_an_outlier_without_much_leverage_does_not_decide(outlier, shift):
    assert "rests on row" not in notes(houses(outlier, shift))


def test_numbers_are_those_of_statsmodels():
    fit = smf.ols("y ~ x", houses(30.0, -8.0)).fit()
    leverage = fit.get_influence().hat_matrix_diag
    mean = leverage.mean()
    power = np.minimum(4.0, leverage / mean)
    size = np.sqrt(1 - mean) * (np.sqrt(1 - leverage) / np.sqrt(1 - mean)) ** power
    squares = (fit.resid / size) ** 2
    share, factor = squares[40] / squares.sum(), 1 / size[40]
    told = " ".join(str(kcm.specification_test(fit).summary()).split())
    assert f"enters the law {factor:.0f} times as large, {share:.0%} of all squares" in told


def test_clusters_have_other_leverages():
    data = houses(30.0, -8.0)
    told = notes(data, null=kcm.Asymptotic(groups=np.arange(88) // 2))
    assert "rests on row" not in told
