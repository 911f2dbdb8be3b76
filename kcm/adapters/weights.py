"""Weights of a statsmodels fit: those of zero, and those that repeat rows."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from kcm.adapters.glm import frequencies

__all__ = ["counts"]


def counts(model: Any) -> Int[np.ndarray, " n"] | None:
    """How many observations each row of a model stands for; None when each is one.

    A row of weight zero is none: the estimate does not look at it, and whatever its residual is
    says nothing on the model.
    """
    repeats = frequencies(model) if hasattr(model, "freq_weights") else None
    weighted = _weighted(model)
    if weighted is None or weighted.all():
        return repeats
    ones = np.ones(len(model.endog), np.int64) if repeats is None else repeats
    return np.where(weighted, ones, 0)


def _weighted(model: Any) -> Bool[np.ndarray, " n"] | None:
    """Which rows have a weight that is not zero; None for models without such weights."""
    given = getattr(model, "var_weights", getattr(model, "weights", None))
    if given is None:
        return _of_finite_variance(model)
    return np.broadcast_to(np.asarray(given, float) != 0, (len(model.endog),))


def _of_finite_variance(model: Any) -> Bool[np.ndarray, " n"] | None:
    """Which rows of a GLS fit have a finite variance; None for models without variances."""
    sigma = getattr(model, "sigma", None)
    if sigma is None:
        return None
    variances = np.asarray(sigma, float)
    variances = np.diag(variances) if variances.ndim == 2 else variances
    return np.broadcast_to(np.isfinite(variances), (len(model.endog),))
