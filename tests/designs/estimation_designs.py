"""Data-generating processes for estimators, each with its moment and its true parameters.

A design takes a generator and a sample size and returns data by column; its moment is stated once,
at the top of the module, as a user would.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import kcm


class Design(NamedTuple):
    """A moment with data that obey it, the truth, and where a search starts."""

    moment: kcm.ConditionalMoment
    draw: Callable[[np.random.Generator, int], dict[str, np.ndarray]]
    truth: dict[str, Any]
    start: dict[str, Any]

    def fit(self, rng: np.random.Generator, n: int, estimator: Any = kcm.MMR) -> Any:
        return estimator(self.moment, self.draw(rng, n)).fit(self.start)


def market(params, row):
    """Demand and supply (Muandet et al. 2020, SIMEQ)."""
    demand = row["q"] - params["demand"]["p"] * row["p"] - params["demand"]["r"] * row["r"]
    supply = row["q"] - params["supply"]["p"] * row["p"] - params["supply"]["w"] * row["w"]
    return demand, supply


def draw_market(rng, n):
    r, w = rng.normal(size=(2, n))
    v = rng.multivariate_normal([0, 0], 1e-3 * np.array([[1, 0.5**0.5], [0.5**0.5, 1]]), size=n)
    return {"q": r - w + v[:, 0], "p": r + w + v[:, 1], "r": r, "w": w}


def exponential(params, row):
    return row["y"] - jnp.exp(params["a"] + params["b"] * row["x"])


def draw_exponential(rng, n):
    """Draw y = exp(.5 + .5 x) + u with x endogenous and z its instrument."""
    z, v, e = rng.normal(size=(3, n))
    x = 0.8 * z + 0.6 * v
    return {"y": np.exp(0.5 + 0.5 * x) + 0.5 * v + 0.5 * e, "x": x, "z": z}


def draw_poisson(rng, n):
    x = rng.uniform(-1, 1, size=n)
    return {"y": rng.poisson(np.exp(0.5 + 0.8 * x)).astype(float), "x": x}


def euler(params, row):
    """Consumption with constant relative risk aversion (Hansen and Singleton 1982)."""
    return params["beta"] * row["growth"] ** -params["gamma"] * row["gross_return"] - 1


def draw_euler(rng, n):
    """Draw lognormal growth and returns that obey the Euler equation given the state z."""
    z, e, h = rng.normal(size=(3, n))
    expected, sd, sd_return = 0.02 + 0.02 * z, 0.02, 0.04
    shock = 0.3 * e + np.sqrt(1 - 0.3**2) * h
    variance = (2 * sd) ** 2 + sd_return**2 - 2 * 2 * 0.3 * sd * sd_return
    level = -np.log(0.97) + 2 * expected - variance / 2
    return {
        "growth": np.exp(expected + sd * e),
        "gross_return": np.exp(level + sd_return * shock),
        "z": z,
    }


SIMEQ = Design(
    kcm.ConditionalMoment(market, ["r", "w"], components=("demand", "supply")),
    draw_market,
    {"demand.p": -1.0, "demand.r": 2.0, "supply.p": 1.0, "supply.w": -2.0},
    {"demand": {"p": 0.0, "r": 0.0}, "supply": {"p": 0.0, "w": 0.0}},
)
EXPONENTIAL = Design(
    kcm.ConditionalMoment(exponential, "z"),
    draw_exponential,
    {"a": 0.5, "b": 0.5},
    {"a": 0.0, "b": 0.0},
)
POISSON = Design(
    kcm.ConditionalMoment(exponential, "x"),
    draw_poisson,
    {"a": 0.5, "b": 0.8},
    {"a": 0.0, "b": 0.0},
)
EULER = Design(
    kcm.ConditionalMoment(euler, "z"),
    draw_euler,
    {"beta": 0.97, "gamma": 2.0},
    {"beta": 1.0, "gamma": 1.0},
)
NONLINEAR = {"simeq": SIMEQ, "exponential": EXPONENTIAL, "poisson": POISSON, "euler": EULER}


def draw_instrumental(rng, n, strength=1.0, curvature=0.0, wrong=0.0):
    """Draw y = 1 + 2 x + curvature x^2 + u, x endogenous; `wrong` lets z^2 into the outcome."""
    z, u, v = rng.normal(size=(3, n))
    x = strength * z + 0.8 * u + 0.6 * v
    y = 1 + 2 * x + curvature * x**2 + (1 + 0.5 * np.abs(z)) * u + wrong * (z**2 - 1)
    return {"y": y, "x": x, "z": z}


def draw_homoskedastic(rng, n):
    x, e = rng.normal(size=(2, n))
    return {"y": 1 + x + e, "x": x}


def draw_heteroskedastic(rng, n):
    """Draw errors of sd .2 + x^2, x uniform on (0, 2)."""
    x = rng.uniform(0, 2, size=n)
    return {"y": 1 + x + (0.2 + x**2) * rng.normal(size=n), "x": x}
