"""Binary outcomes and counts, fitted by maximum likelihood."""

from typing import Any

import numpy as np
from jaxtyping import Float

from kcm.simulation.designs.base import Design

__all__ = ["LIMITED"]


def logit(rng: np.random.Generator, n_obs: int, size: float = 0.0) -> Any:
    """Draw a logit of x1 + x2 + size x1 x2, fitted without the product."""
    from statsmodels.discrete.discrete_model import Logit

    x = rng.standard_normal((n_obs, 2))
    index = x.sum(axis=1) + size * x[:, 0] * x[:, 1]
    y = (rng.random(n_obs) < 1 / (1 + np.exp(-index))).astype(float)
    return Logit(y, _with_constant(x)).fit(disp=0)


def poisson(
    rng: np.random.Generator, n_obs: int, size: float = 0.0, overdispersion: float = 0.0
) -> Any:
    """Draw counts of mean exp(.3 + .5 x1 - .5 x2 + size (x1^2 - 1)), fitted without the square.

    With `overdispersion` a the variance is mu + a mu^2: gamma-mixed counts, of the same mean.
    """
    from statsmodels.discrete.discrete_model import Poisson

    x = rng.standard_normal((n_obs, 2))
    mean = np.exp(0.3 + 0.5 * x[:, 0] - 0.5 * x[:, 1] + size * (x[:, 0] ** 2 - 1))
    if overdispersion > 0:
        mean = mean * rng.gamma(1 / overdispersion, overdispersion, size=n_obs)
    return Poisson(rng.poisson(mean), _with_constant(x)).fit(disp=0)


def _with_constant(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
    return np.column_stack([np.ones(len(x)), x])


def _size_zero(size: float, **_: object) -> bool:
    return size == 0


def _logit_truth(**_: object) -> dict[str, float]:
    return {"const": 0.0, "x1": 1.0, "x2": 1.0}


def _poisson_truth(**_: object) -> dict[str, float]:
    return {"const": 0.3, "x1": 0.5, "x2": -0.5}


LIMITED = (
    Design("logit", logit, "where size = 0", _size_zero, _logit_truth),
    Design("poisson", poisson, "where size = 0", _size_zero, _poisson_truth),
)
