"""Weights of a statsmodels fit: those of zero, and those that repeat rows."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from kcm.adapters.glm import frequencies
from kcm.exceptions import UnsupportedModelError

__all__ = ["counts", "square_weights"]


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
    if given is None and getattr(model, "sigma", None) is not None:
        given = square_weights(model)
    if given is None:
        return None
    return np.broadcast_to(np.asarray(given, float) != 0, (len(model.endog),))


def square_weights(model: Any) -> Float[np.ndarray, " n"]:
    """Weights of the squares: 1 for OLS, `weights` for WLS, 1/sigma for GLS."""
    n = len(model.endog)
    if getattr(model, "weights", None) is not None:
        return np.broadcast_to(np.asarray(model.weights, float), (n,))
    if getattr(model, "sigma", None) is not None:
        return np.broadcast_to(1 / _variances(np.asarray(model.sigma, float)), (n,))
    return np.ones(n)


def _variances(sigma: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    if sigma.ndim < 2:
        return sigma
    diagonal = np.diag(sigma)
    if np.count_nonzero(sigma - np.diag(diagonal)):
        raise UnsupportedModelError(
            "`fit` is a GLS fit with correlated errors (`sigma` has off-diagonal entries); the "
            "test treats observations as independent. Supported is GLS with a diagonal `sigma`; "
            "for correlation within clusters fit OLS and pass `groups` to the null."
        )
    return diagonal
