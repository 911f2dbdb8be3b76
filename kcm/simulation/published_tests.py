"""The three tests of Muandet, Jitkrittum and Kuebler (2020), theta given, as their code has them.

Each is a quadratic form psi'K psi with its own weights and multipliers. Its matrix
H_ij = k(x_i, x_j) psi_i'psi_j is found once a sample, and the draws w'Hw are products with it over
one triangle of blocks, all in single precision: it moves a p-value by less than one draw in a
thousand. Rejecting at p = (1 + g) / (1 + B) <= .05 with B = 1,000 is their rule g / B < .05.
"""

import abc
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import scipy
from jaxtyping import Float, Float32

from kcm._options import check_int
from kcm.moments import FittedMoment
from kcm.simulation.findings import Finding

__all__ = ["PublishedICM", "PublishedKCM", "PublishedSmooth", "PublishedTest"]

# Draws of one block, which stay in the processor's cache, and rows of a block of the matrix.
DRAWS = 250
ROWS = 128

# A Gaussian ends at exp(-25), 1e-11: the squares of smaller values would be subnormal numbers, with
# which products take a hundred times longer.
LEAST_EXPONENT = -25.0
# Rows that the authors' bandwidth rule looks at.
MEDIAN_ROWS = 100

Draws = Float32[np.ndarray, "b n"]
Form = Float32[np.ndarray, "n n"]


@dataclass(frozen=True, slots=True)
class PublishedTest(abc.ABC):
    """A test of a moment at given theta by a bootstrap in single precision.

    Parameters
    ----------
    n_resamples : int
        Default 1,000.
    """

    n_resamples: int = 1_000

    def __post_init__(self) -> None:
        check_int(self.n_resamples, "n_resamples")

    @abc.abstractmethod
    def form(self, moment: FittedMoment, rng: np.random.Generator) -> Form:
        """Return H."""

    def multipliers(self, rng: np.random.Generator, n_draws: int, n: int) -> Draws:
        """Return multipliers, one row per draw: normal ones, unless a test has others."""
        return rng.standard_normal((n_draws, n), dtype=np.float32)

    @abc.abstractmethod
    def statistics(self, form: Form, w: Draws) -> Float[np.ndarray, " b"]:
        """Return the statistic of each row of multipliers."""

    @abc.abstractmethod
    def statistic(self, form: Form) -> float:
        """Return the statistic of the sample."""

    def __call__(self, fit: Any, rng: np.random.Generator) -> Finding:
        """Test a `FittedMoment` with known theta."""
        form = self.form(fit, rng)
        statistic, exceeding, n = self.statistic(form), 0, len(form)
        for start in range(0, self.n_resamples, DRAWS):
            w = self.multipliers(rng, min(DRAWS, self.n_resamples - start), n)
            exceeding += int(np.sum(self.statistics(form, w) >= statistic))
        return Finding((1 + exceeding) / (1 + self.n_resamples), statistic)


@final
@dataclass(frozen=True, slots=True)
class PublishedKCM(PublishedTest):
    """KCM: Gaussian with the authors' bandwidths, U statistic, multinomial multipliers.

    Parameters
    ----------
    n_resamples : int
        Default 1,000.
    """

    def form(self, moment: FittedMoment, rng: np.random.Generator) -> Form:
        squares = median_squares(moment.conditioning, rng)
        return without_diagonal(gaussian(moment.conditioning, squares) * inner_products(moment))

    def multipliers(self, rng: np.random.Generator, n_draws: int, n: int) -> Draws:
        return counts(rng, n_draws, n) - np.float32(1)

    def statistics(self, form: Form, w: Draws) -> Float[np.ndarray, " b"]:
        n = len(form)
        return quadratic_forms(form, w) / n

    def statistic(self, form: Form) -> float:
        """Return n M^2_U."""
        return total(form) / (len(form) - 1)


@final
@dataclass(frozen=True, slots=True)
class PublishedICM(PublishedTest):
    """ICM: indicators of the points of the sample, V statistic, normal multipliers.

    Parameters
    ----------
    n_resamples : int
        Default 1,000.
    """

    def form(self, moment: FittedMoment, rng: np.random.Generator) -> Form:
        below = np.ones((moment.n_obs, moment.n_obs), bool)
        for column in moment.conditioning.T:
            rank = np.unique(column, return_inverse=True)[1].astype(np.int32)
            below &= rank[:, None] <= rank
        shares = below.astype(np.float32) / np.float32(np.sqrt(moment.n_obs))
        return shares @ shares.T * inner_products(moment)

    def statistics(self, form: Form, w: Draws) -> Float[np.ndarray, " b"]:
        return quadratic_forms(form, w) / len(form)

    def statistic(self, form: Form) -> float:
        return total(form) / len(form)


@final
@dataclass(frozen=True, slots=True)
class PublishedSmooth(PublishedTest):
    """Smooth: exp(-|x - y|^2 / h) with h = n^(-1/5), studentised, also in each draw.

    Parameters
    ----------
    n_resamples : int
        Default 1,000.
    """

    def form(self, moment: FittedMoment, rng: np.random.Generator) -> Form:
        h = moment.n_obs ** (-1 / 5)
        squares = np.full(moment.n_conditioning, h)
        return without_diagonal(gaussian(moment.conditioning, squares) * inner_products(moment))

    def statistics(self, form: Form, w: Draws) -> Float[np.ndarray, " b"]:
        n, scaled = len(form), form / np.abs(form).max()
        squares = 2 * quadratic_forms(scaled**2, w**2)
        return np.sqrt(n / (n - 1)) * quadratic_forms(scaled, w) / np.sqrt(squares)

    def statistic(self, form: Form) -> float:
        n, scaled = len(form), form / np.abs(form).max()
        return float(np.sqrt(n / (n - 1)) * total(scaled) / np.sqrt(2 * total(scaled**2)))


def inner_products(moment: FittedMoment) -> Form:
    """Return psi_i'psi_j."""
    psi = moment.residuals.astype(np.float32)
    found = np.multiply.outer(psi[:, 0], psi[:, 0])
    for column in psi.T[1:]:
        found += np.multiply.outer(column, column)
    return found


def gaussian(x: Float[np.ndarray, "n d"], squares: Float[np.ndarray, " d"]) -> Form:
    """Return exp(-sum_j (x_ij - x_kj)^2 / squares_j)."""
    scaled = ((x - x.mean(axis=0)) / np.sqrt(squares)).astype(np.float32)
    sizes = np.sum(scaled**2, axis=1)
    exponent = 2 * (scaled @ scaled.T) - sizes[:, None]
    exponent -= sizes
    return np.exp(np.clip(exponent, LEAST_EXPONENT, 0, out=exponent), out=exponent)


def median_squares(
    x: Float[np.ndarray, "n d"], rng: np.random.Generator
) -> Float[np.ndarray, " d"]:
    """Return the median of the squared differences that are not zero, over at most 100 rows."""
    rows = x if len(x) <= MEDIAN_ROWS else x[rng.choice(len(x), MEDIAN_ROWS, replace=False)]
    pairs = (scipy.spatial.distance.pdist(column[:, None], "sqeuclidean") for column in rows.T)
    return np.array([np.median(found[found > 0]) for found in pairs])


def without_diagonal(form: Form) -> Form:
    """Return a matrix with zeros on its diagonal."""
    np.fill_diagonal(form, 0)
    return form


def total(form: Form) -> float:
    """Return the sum of the entries, in double precision."""
    return float(np.sum(form, dtype=np.float64))


def counts(rng: np.random.Generator, n_draws: int, n: int) -> Draws:
    """Return how often each of n is chosen in n choices: multinomial counts."""
    chosen = rng.integers(n, size=(n_draws, n), dtype=np.int32)
    chosen += np.arange(0, n_draws * n, n, dtype=np.int32)[:, None]
    found = np.bincount(chosen.ravel(), minlength=n_draws * n)
    return found.reshape(n_draws, n).astype(np.float32)


def quadratic_forms(form: Form, w: Draws) -> Float[np.ndarray, " b"]:
    """Return w'Hw for each row w: blocks on the diagonal once, those above it twice."""
    n, found = len(form), np.zeros(len(w))
    for start in range(0, n, ROWS):
        end = min(start + ROWS, n)
        rows = w[:, start:end]
        moved = rows @ form[start:end, start:end] + 2 * (w[:, end:] @ form[end:, start:end])
        found += np.einsum("bi,bi->b", moved, rows)
    return found
