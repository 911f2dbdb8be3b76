"""An endogenous regressor with instruments, strong or weak."""

from typing import Any

import numpy as np

from kcm.simulation.designs.base import Design

__all__ = ["INSTRUMENTAL"]


def instrumental(
    rng: np.random.Generator,
    n_obs: int,
    strength: float = 1.0,
    n_instruments: int = 2,
    size: float = 0.0,
) -> Any:
    """Draw y = 1 + x + size (z1^2 - 1) + u, x endogenous, by two-stage least squares.

    x = strength times the mean of the instruments times sqrt(k), plus errors correlated with u:
    the first-stage F is about 1 + n strength^2 / k. Weak: strength below 3 sqrt(k / n).
    """
    from statsmodels.sandbox.regression.gmm import IV2SLS

    z = rng.standard_normal((n_obs, n_instruments))
    shared, own_x, own_y = rng.standard_normal((3, n_obs))
    x = strength * z.sum(axis=1) / np.sqrt(n_instruments) + 0.8 * shared + 0.6 * own_x
    y = 1 + x + size * (z[:, 0] ** 2 - 1) + 0.8 * shared + 0.6 * own_y
    ones = np.ones(n_obs)
    return IV2SLS(y, np.column_stack([ones, x]), np.column_stack([ones, z])).fit()


def _size_zero(size: float, **_: object) -> bool:
    return size == 0


def _truth(**_: object) -> dict[str, float]:
    return {"const": 1.0, "x1": 1.0}


INSTRUMENTAL = (Design("instrumental", instrumental, "where size = 0", _size_zero, _truth),)
