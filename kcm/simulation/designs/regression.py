"""Linear regressions, fitted by OLS to data that are linear, or not."""

from typing import Any

import numpy as np
import pandas as pd

from kcm.simulation.designs.base import Design
from kcm.simulation.designs.errors import draw_errors, ols

__all__ = ["REGRESSION"]

_SMALL = "where size = 0"


def linear(rng: np.random.Generator, n_obs: int, d: int = 1, errors: str = "normal") -> Any:
    """Draw y = 1 + x1 + ... + xd + e, x standard normal."""
    x = rng.standard_normal((n_obs, d))
    return ols(1 + x.sum(axis=1) + draw_errors(errors, rng, x), x)


def omitted_square(
    rng: np.random.Generator,
    n_obs: int,
    size: float = 0.3,
    d: int = 1,
    errors: str = "normal",
) -> Any:
    """Draw y = 1 + x1 + ... + xd + size (x1^2 - 1) + e, fitted without the square."""
    x = rng.standard_normal((n_obs, d))
    mean = 1 + x.sum(axis=1) + size * (x[:, 0] ** 2 - 1)
    return ols(mean + draw_errors(errors, rng, x), x)


def zheng(rng: np.random.Generator, n_obs: int, size: float = 1.0, errors: str = "normal") -> Any:
    """Draw y = 1 + x1 + x2 + size x1 x2 + e, x2 = (x1 + z) / sqrt 2, fitted without product."""
    z = rng.standard_normal((n_obs, 2))
    x = np.column_stack([z[:, 0], z.sum(axis=1) / np.sqrt(2)])
    mean = 1 + x.sum(axis=1) + size * x[:, 0] * x[:, 1]
    return ols(mean + draw_errors(errors, rng, x), x)


def bierens(rng: np.random.Generator, n_obs: int, size: float = 1.0, errors: str = "normal") -> Any:
    """Draw y = 1 + x + size (cos x - exp(-1/2)) + e: a smooth departure, far from a power."""
    x = rng.standard_normal((n_obs, 1))
    mean = 1 + x[:, 0] + size * (np.cos(x[:, 0]) - np.exp(-0.5))
    return ols(mean + draw_errors(errors, rng, x), x)


def high_frequency(
    rng: np.random.Generator,
    n_obs: int,
    size: float = 1.0,
    frequency: float = 5.0,
    errors: str = "normal",
) -> Any:
    """Draw y = 1 + x + size sin(frequency x) + e."""
    x = rng.standard_normal((n_obs, 1))
    mean = 1 + x[:, 0] + size * np.sin(frequency * x[:, 0])
    return ols(mean + draw_errors(errors, rng, x), x)


def bump(
    rng: np.random.Generator,
    n_obs: int,
    size: float = 1.0,
    width: float = 0.25,
    errors: str = "normal",
) -> Any:
    """Draw y = 1 + x + size exp(-x^2 / (2 width^2)) + e: a departure at one place."""
    x = rng.standard_normal((n_obs, 1))
    mean = 1 + x[:, 0] + size * np.exp(-(x[:, 0] ** 2) / (2 * width**2))
    return ols(mean + draw_errors(errors, rng, x), x)


def clustered(
    rng: np.random.Generator, n_obs: int, cluster_size: int = 5, size: float = 0.0
) -> Any:
    """Draw clusters that share an error and a part of the regressor; y, x and the firm by name.

    The fit has a cluster-robust covariance. Test it with the groups of the column "firm".
    """
    from statsmodels.regression.linear_model import OLS

    firm = np.arange(n_obs) // cluster_size
    shared, error = rng.standard_normal((2, int(firm[-1]) + 1))
    x = shared[firm] + 0.5 * rng.standard_normal(n_obs)
    noise = (error[firm] + rng.standard_normal(n_obs)) / np.sqrt(2)
    data = pd.DataFrame({"y": 1 + x + size * (x**2 - 1.25) + noise, "x": x, "firm": firm})
    return OLS.from_formula("y ~ x", data).fit(cov_type="cluster", cov_kwds={"groups": firm})


def mixed(rng: np.random.Generator, n_obs: int, size: float = 0.0) -> tuple[pd.DataFrame, str]:
    """Draw a wage from age, a city and a grade; `size` times age in Lyon alone is not fitted."""
    age = rng.standard_normal(n_obs)
    city = rng.choice(["Bern", "Lyon", "Turin"], size=n_obs)
    grade = rng.integers(3, size=n_obs)
    level = 0.5 * (city == "Lyon") - 0.5 * (city == "Turin") + 0.5 * grade
    noise = rng.standard_normal(n_obs) * np.sqrt(0.5 + 0.5 * age**2)
    ordered = pd.Categorical(
        np.array(["low", "mid", "high"])[grade], ["low", "mid", "high"], ordered=True
    )
    wage = 1 + age + level + size * age * (city == "Lyon") + noise
    data = pd.DataFrame({"wage": wage, "age": age, "city": city, "grade": ordered})
    return data, "wage ~ age + C(city) + C(grade) | age + city + grade"


def _right(**_: object) -> bool:
    return True


def _size_zero(size: float, **_: object) -> bool:
    return size == 0


def _ones(d: int = 1, **_: object) -> dict[str, float]:
    return {name: 1.0 for name in ("const", *(f"x{j + 1}" for j in range(d)))}


def _two_ones(**_: object) -> dict[str, float]:
    return _ones(2)


REGRESSION = (
    Design("linear", linear, "always", _right, _ones),
    Design("omitted-square", omitted_square, _SMALL, _size_zero, _ones),
    Design(
        "zheng",
        zheng,
        _SMALL,
        _size_zero,
        source="after Zheng (1996), A consistent test of functional form via nonparametric "
        "estimation techniques, Journal of Econometrics 75, section 5",
    ),
    Design(
        "bierens",
        bierens,
        _SMALL,
        _size_zero,
        source="in the spirit of Bierens (1990), A consistent conditional moment test of "
        "functional form, Econometrica 58: a departure that no polynomial test is made for",
    ),
    Design(
        "high-frequency",
        high_frequency,
        _SMALL,
        _size_zero,
        source="the sine of Stute (1997), Nonparametric model checks for regression, and of many "
        "after it",
    ),
    Design(
        "bump",
        bump,
        _SMALL,
        _size_zero,
        source="after Horowitz and Spokoiny (2001), An adaptive, rate-optimal test of a "
        "parametric mean-regression model against a nonparametric alternative, Econometrica 69",
    ),
    Design("clustered", clustered, _SMALL, _size_zero),
    Design("mixed", mixed, _SMALL, _size_zero),
)
