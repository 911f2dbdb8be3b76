"""Designs and procedures of the tests of studies, importable by the workers of any backend."""

import numpy as np
import pandas as pd

import kcm


def quadratic(rng, n_obs, size=0.0):
    """Draw a moment with theta known; size bends its mean."""
    x = rng.standard_normal((n_obs, 2))
    return kcm.FittedMoment(size * (x[:, 0] ** 2 - 1) + rng.standard_normal(n_obs), x)


def formula(rng, n_obs):
    """Draw a data frame with a formula that names what to condition on."""
    x, z, e = rng.standard_normal((3, n_obs))
    return pd.DataFrame({"y": 1 + 2 * x + e, "x": x, "z": z}), "y ~ x | x + z"


def sometimes_nan(rng, n_obs):
    """Draw residuals, of which one in three samples has a missing one."""
    x, psi = rng.standard_normal((2, n_obs))
    if rng.random() < 1 / 3:
        psi[0] = np.nan
    return kcm.FittedMoment(psi, x)


def raises_on_positive(fit, rng):
    """Raise on about half of the samples."""
    if fit.residuals[0, 0] > 0:
        raise RuntimeError("a positive\nresidual")
    return 0.5


def uniform(fit, rng):
    """Return a draw as a p-value."""
    return rng.random()
