"""Multipliers of the wild bootstrap: independent, mean 0, variance 1."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Float

__all__ = ["MULTIPLIERS", "Draw", "Weights"]

Weights = Literal["rademacher", "mammen", "gaussian", "webb", "multinomial"]
Draw = Callable[[np.random.Generator, int, int], Float[np.ndarray, "draws m"]]

_SQRT5 = np.sqrt(5.0)
_WEBB = np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)])

# Each law takes its values from the generator one draw after the other, so that drawing in blocks
# of any size gives the same multipliers.


def rademacher(rng: np.random.Generator, n_draws: int, m: int) -> Float[np.ndarray, "draws m"]:
    """Draw -1 or 1 with equal probability (Liu 1988)."""
    return np.where(rng.random((n_draws, m)) < 0.5, -1.0, 1.0)


def mammen(rng: np.random.Generator, n_draws: int, m: int) -> Float[np.ndarray, "draws m"]:
    """Draw from the two-point law with third moment 1 (Mammen 1993)."""
    low, high = (1 - _SQRT5) / 2, (1 + _SQRT5) / 2
    return np.where(rng.random((n_draws, m)) < (_SQRT5 + 1) / (2 * _SQRT5), low, high)


def gaussian(rng: np.random.Generator, n_draws: int, m: int) -> Float[np.ndarray, "draws m"]:
    """Draw from the standard normal law."""
    return rng.standard_normal((n_draws, m))


def webb(rng: np.random.Generator, n_draws: int, m: int) -> Float[np.ndarray, "draws m"]:
    """Draw from Webb's six-point law, for few clusters (Webb 2014)."""
    return _WEBB[(6 * rng.random((n_draws, m))).astype(np.intp)]


def multinomial(rng: np.random.Generator, n_draws: int, m: int) -> Float[np.ndarray, "draws m"]:
    """Draw resampling counts minus 1: Algorithm 1 of Muandet et al. (2020)."""
    return rng.multinomial(m, np.full(m, 1 / m), size=n_draws) - 1.0


MULTIPLIERS: MappingProxyType[str, Draw] = MappingProxyType(
    {
        "rademacher": rademacher,
        "mammen": mammen,
        "gaussian": gaussian,
        "webb": webb,
        "multinomial": multinomial,
    }
)
