"""How the outcome of a model is drawn when the model is right, for simulations of size."""

import abc
import dataclasses
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int

__all__ = [
    "BinomialOutcomes",
    "CountOutcomes",
    "GammaOutcomes",
    "GeneralizedPoissonOutcomes",
    "InverseGaussianOutcomes",
    "Outcomes",
    "TwoStages",
    "take_rows",
]

# Variance of the gamma variable that multiplies the mean of an overdispersed count.
EXTRA_VARIANCE = 0.5
# Correlation of the trials of an overdispersed binomial.
EXTRA_CORRELATION = 0.2


class Outcomes(abc.ABC):
    """The law of the outcome given its regressors, at the fitted parameters.

    Examples
    --------
    >>> errors = BinomialOutcomes(np.full(3, 0.5), np.ones(3)).errors(np.random.default_rng(0))
    >>> np.abs(errors)
    array([0.5, 0.5, 0.5])
    """

    __slots__ = ()

    @abc.abstractmethod
    def errors(self, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
        """Return one draw of the outcome less its mean."""

    @abc.abstractmethod
    def describe(self) -> str:
        """Return the law in a word or two."""

    @property
    def variance_known(self) -> bool:
        """Whether no other law has this mean: the outcome is 0 or 1."""
        return False

    def overdispersed(self) -> "Outcomes | None":
        """Return a law with the same mean and a larger variance; None where none is usual."""
        return None


@final
@dataclass(frozen=True, slots=True, eq=False)
class BinomialOutcomes(Outcomes):
    """Shares of successes among trials, or a single 0 or 1."""

    mean: Float[np.ndarray, " n"]
    trials: Float[np.ndarray, " n"]
    correlation: float = 0.0

    def errors(self, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
        chance = np.clip(self.mean, 0.0, 1.0)
        inside = (chance > 0) & (chance < 1)
        if self.correlation > 0:
            size = 1 / self.correlation - 1
            shapes = (np.where(inside, p * size, 1.0) for p in (chance, 1 - chance))
            chance = np.where(inside, rng.beta(*shapes), chance)
        return rng.binomial(self.trials.astype(np.int64), chance) / self.trials - self.mean

    def describe(self) -> str:
        return "binomial" if self.correlation == 0 else "beta-binomial"

    @property
    def variance_known(self) -> bool:
        return bool((self.trials <= 1).all())

    def overdispersed(self) -> Outcomes | None:
        if self.variance_known:
            return None
        return dataclasses.replace(self, correlation=EXTRA_CORRELATION)


@final
@dataclass(frozen=True, slots=True, eq=False)
class CountOutcomes(Outcomes):
    """Poisson counts whose mean is multiplied by a gamma variable: variance mu + extra mu^2."""

    mean: Float[np.ndarray, " n"]
    extra: Float[np.ndarray, " n"]

    def errors(self, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
        mixed = self.extra > 0
        shape = 1 / np.where(mixed, self.extra, 1.0)
        rate = np.where(mixed, self.mean * rng.gamma(shape) / shape, self.mean)
        return rng.poisson(rate) - self.mean

    def describe(self) -> str:
        return "negative binomial" if (self.extra > 0).any() else "Poisson"

    def overdispersed(self) -> Outcomes:
        return dataclasses.replace(self, extra=self.extra + EXTRA_VARIANCE)


@final
@dataclass(frozen=True, slots=True, eq=False)
class GeneralizedPoissonOutcomes(Outcomes):
    """Sizes of families: Poisson founders with Poisson offspring (Consul and Jain 1973).

    The variance is mean spread^2.
    """

    mean: Float[np.ndarray, " n"]
    spread: Float[np.ndarray, " n"]

    def errors(self, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
        offspring = 1 - 1 / np.maximum(self.spread, 1.0)
        generation = rng.poisson(self.mean * (1 - offspring))
        total = generation.copy()
        while generation.any():
            generation = rng.poisson(offspring * generation)
            total += generation
        return total - self.mean

    def describe(self) -> str:
        return "generalized Poisson"


@final
@dataclass(frozen=True, slots=True, eq=False)
class GammaOutcomes(Outcomes):
    """Gamma variables with the variance dispersion mean^2."""

    mean: Float[np.ndarray, " n"]
    dispersion: Float[np.ndarray, " n"]

    def errors(self, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
        return self.mean * (rng.gamma(1 / self.dispersion) * self.dispersion - 1)

    def describe(self) -> str:
        return "gamma"


@final
@dataclass(frozen=True, slots=True, eq=False)
class InverseGaussianOutcomes(Outcomes):
    """Inverse Gaussian variables with the variance dispersion mean^3."""

    mean: Float[np.ndarray, " n"]
    dispersion: Float[np.ndarray, " n"]

    def errors(self, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
        return rng.wald(self.mean, 1 / self.dispersion) - self.mean

    def describe(self) -> str:
        return "inverse Gaussian"


@final
@dataclass(frozen=True, slots=True, eq=False)
class TwoStages:
    """Two-stage least squares: what its first stage regresses on.

    Attributes
    ----------
    instruments : ndarray of shape (n, k)
        The exogenous regressors among them.
    """

    instruments: Float[np.ndarray, "n k"]


def take_rows(
    outcomes: Outcomes | TwoStages | None, rows: Int[np.ndarray, " m"]
) -> Outcomes | TwoStages | None:
    """Return the law of the outcome of some of the rows."""
    # all of them are dataclasses
    record: Any = outcomes
    if record is None:
        return None
    values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    chosen = {name: v[rows] for name, v in values.items() if isinstance(v, np.ndarray)}
    taken: Outcomes | TwoStages = dataclasses.replace(record, **chosen)
    return taken
