"""Errors of mean zero given the regressors, and what is fitted to linear models."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float

from kcm._options import check_option

__all__ = ["ERRORS", "draw_errors", "ols"]

Errors = Callable[[np.random.Generator, Float[np.ndarray, "n d"]], Float[np.ndarray, " n"]]

# Student's t with 5 degrees of freedom has variance 5/3.
HEAVY_SCALE = np.sqrt(3 / 5)


def normal(rng: np.random.Generator, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Draw from the standard normal law."""
    return rng.standard_normal(len(x))


def heteroskedastic(
    rng: np.random.Generator, x: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, " n"]:
    """Draw normal errors of variance .1 + .1 |x|^2."""
    return rng.standard_normal(len(x)) * np.sqrt(0.1 + 0.1 * np.sum(x**2, axis=1))


def leverage(rng: np.random.Generator, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Draw normal errors of variance .1 + .9 x1^2, concentrated on the leverage points."""
    return rng.standard_normal(len(x)) * np.sqrt(0.1 + 0.9 * x[:, 0] ** 2)


def skewed(rng: np.random.Generator, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Draw exponential errors less their mean."""
    return rng.exponential(size=len(x)) - 1.0


def heavy_tailed(rng: np.random.Generator, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """Draw from Student's law with 5 degrees of freedom, variance 1."""
    return HEAVY_SCALE * rng.standard_t(5, size=len(x))


ERRORS: MappingProxyType[str, Errors] = MappingProxyType(
    {
        "normal": normal,
        "heteroskedastic": heteroskedastic,
        "leverage": leverage,
        "skewed": skewed,
        "heavy-tailed": heavy_tailed,
    }
)


def draw_errors(
    name: str, rng: np.random.Generator, x: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, " n"]:
    """Draw errors of a kind.

    Raises
    ------
    OptionError
        When there is no such kind.
    """
    return ERRORS[check_option(name, tuple(ERRORS), "errors")](rng, x)


def ols(y: Float[np.ndarray, " n"], x: Float[np.ndarray, "n d"]) -> Any:
    """Fit y on a constant and x by ordinary least squares."""
    from statsmodels.regression.linear_model import OLS

    return OLS(y, np.column_stack([np.ones(len(y)), x])).fit()
