"""The three tests of Muandet, Jitkrittum and Kuebler (2020), theta given, as their code has them.

Each is a quadratic form psi'K psi with its own weights and multipliers. Its matrix
H_ij = k(x_i, x_j) psi_i'psi_j is found once a sample, and the draws w'Hw are products with it. Of H
there is one triangle, in blocks of columns from the diagonal down, where what is below the block on
the diagonal counts twice; all in single precision: it moves a p-value by less than one draw in a
thousand. Rejecting at p = (1 + g) / (1 + B) <= .05 with B = 1,000 is their rule g / B < .05.
"""

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import scipy
from jaxtyping import Float, Float32

from kcm._options import MOST_REPETITIONS, check_int, check_level
from kcm.moments import FittedMoment
from kcm.simulation.findings import Finding

__all__ = ["PublishedICM", "PublishedKCM", "PublishedSmooth", "PublishedTest"]

# Draws of one block, whose arrays the allocator keeps, and columns of a block of the matrix.
DRAWS = 100
COLUMNS = 128

# A Gaussian ends at exp(-25), 1e-11: the squares of smaller values would be subnormal numbers, with
# which products take a hundred times longer.
LEAST_EXPONENT = -25.0
# Rows that the authors' bandwidth rule looks at.
MEDIAN_ROWS = 100

Draws = Float32[np.ndarray, "b n"]
Block = Float32[np.ndarray, "_ _"]
Form = tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class PublishedTest(abc.ABC):
    """A test of a moment at given theta by a bootstrap in single precision.

    Parameters
    ----------
    n_resamples : int
        Default 1,000.
    level : float, optional
        Where given, drawing ends as soon as the test cannot reject at this level any more. Its
        p-value is then the least that the draws left out could have led to, which is above the
        level: decisions at it are those of all draws. Default: all draws.
    """

    n_resamples: int = 1_000
    level: float | None = None

    def __post_init__(self) -> None:
        check_int(self.n_resamples, "n_resamples", most=MOST_REPETITIONS)
        if self.level is not None:
            check_level(self.level)

    @abc.abstractmethod
    def form(self, moment: FittedMoment, rng: np.random.Generator) -> Form:
        """Return H."""

    def multipliers(self, rng: np.random.Generator, n_draws: int, n: int) -> Draws:
        """Return multipliers, one row per draw: normal ones, unless a test has others."""
        return normals(rng, n_draws, n)

    @abc.abstractmethod
    def statistics(self, form: Form, w: Draws) -> Float[np.ndarray, " b"]:
        """Return the statistic of each row of multipliers."""

    @abc.abstractmethod
    def statistic(self, form: Form) -> float:
        """Return the statistic of the sample."""

    def reaching(self, form: Form, w: Draws, statistic: float) -> int:
        """Return how many rows of multipliers have a statistic that large."""
        return int(np.sum(self.statistics(form, w) >= statistic))

    def __call__(self, fit: Any, rng: np.random.Generator) -> Finding:
        """Test a `FittedMoment` with known theta."""
        form = self.form(fit, rng)
        statistic, exceeding, n = self.statistic(form), 0, len(form[0])
        for start in range(0, self.n_resamples, DRAWS):
            w = self.multipliers(rng, min(DRAWS, self.n_resamples - start), n)
            exceeding += self.reaching(form, w, statistic)
            pvalue = (1 + exceeding) / (1 + self.n_resamples)
            if self.level is not None and pvalue > self.level:
                break
        return Finding(pvalue, statistic)


@final
@dataclass(frozen=True, slots=True)
class PublishedKCM(PublishedTest):
    """KCM: Gaussian with the authors' bandwidths, U statistic, multinomial multipliers.

    Parameters
    ----------
    n_resamples, level
        As for `PublishedTest`.
    """

    def form(self, moment: FittedMoment, rng: np.random.Generator) -> Form:
        return gaussian_form(moment, median_squares(moment.conditioning, rng))

    def multipliers(self, rng: np.random.Generator, n_draws: int, n: int) -> Draws:
        return counts(rng, n_draws, n) - np.float32(1)

    def statistics(self, form: Form, w: Draws) -> Float[np.ndarray, " b"]:
        return quadratic_forms(form, w) / len(form[0])

    def statistic(self, form: Form) -> float:
        """Return n M^2_U."""
        return total(form) / (len(form[0]) - 1)


@final
@dataclass(frozen=True, slots=True)
class PublishedICM(PublishedTest):
    """ICM: indicators of the points of the sample, V statistic, normal multipliers.

    Parameters
    ----------
    n_resamples, level
        As for `PublishedTest`.
    """

    def form(self, moment: FittedMoment, rng: np.random.Generator) -> Form:
        below = np.ones((moment.n_obs, moment.n_obs), bool)
        for column in moment.conditioning.T:
            rank = np.unique(column, return_inverse=True)[1].astype(np.int32)
            below &= rank[:, None] <= rank
        shares = below.astype(np.float32) / np.float32(np.sqrt(moment.n_obs))
        return triangle(moment, lambda rows, columns: shares[rows] @ shares[columns].T)

    def statistics(self, form: Form, w: Draws) -> Float[np.ndarray, " b"]:
        return quadratic_forms(form, w) / len(form[0])

    def statistic(self, form: Form) -> float:
        return total(form) / len(form[0])


@final
@dataclass(frozen=True, slots=True)
class PublishedSmooth(PublishedTest):
    """Smooth: exp(-|x - y|^2 / h) with h = n^(-1/5), studentised, also in each draw.

    Parameters
    ----------
    n_resamples, level
        As for `PublishedTest`.
    """

    def form(self, moment: FittedMoment, rng: np.random.Generator) -> Form:
        form = gaussian_form(moment, np.full(moment.n_conditioning, moment.n_obs ** (-1 / 5)))
        largest = max(np.abs(block).max() for block in form)  # whose square may underflow
        scaled = tuple(block / largest for block in form)
        return scaled + squared(scaled)

    def statistics(self, form: Form, w: Draws) -> Float[np.ndarray, " b"]:
        own, squares = parted(form)
        return studentised(quadratic_forms(own, w), quadratic_forms(squares, w**2), len(own[0]))

    def reaching(self, form: Form, w: Draws, statistic: float) -> int:
        """Return how many reach it; without variances where the sign decides."""
        own, squares = parted(form)
        values = quadratic_forms(own, w)
        is_open = (values > 0) == (statistic > 0)
        variances = quadratic_forms(squares, w[is_open] ** 2)
        found = studentised(values[is_open], variances, len(own[0]))
        return int(np.sum(values[~is_open] > 0) + np.sum(found >= statistic))

    def statistic(self, form: Form) -> float:
        own, squares = parted(form)
        return float(studentised(total(own), total(squares), len(own[0])))


def triangle(moment: FittedMoment, kernel: Callable[[slice, slice], Block]) -> Form:
    """Return the blocks of H for a kernel between rows."""
    psi, found = moment.residuals.astype(np.float32), []
    for start in range(0, len(psi), COLUMNS):
        rows, columns = slice(start, None), slice(start, start + COLUMNS)
        block = kernel(rows, columns)
        block *= psi[rows] @ psi[columns].T
        block[COLUMNS:] *= 2
        found.append(block)
    return tuple(found)


def gaussian_form(moment: FittedMoment, squares: Float[np.ndarray, " d"]) -> Form:
    """Return H for exp(-sum_j (x_ij - x_kj)^2 / squares_j), with zeros on its diagonal."""
    x = moment.conditioning
    scaled = ((x - x.mean(axis=0)) / np.sqrt(squares)).astype(np.float32)
    sizes = np.sum(scaled**2, axis=1)

    def kernel(rows: slice, columns: slice) -> Block:
        exponent = 2 * scaled[rows] @ scaled[columns].T
        exponent -= sizes[rows, None]
        exponent -= sizes[columns]
        values = np.exp(np.clip(exponent, LEAST_EXPONENT, 0, out=exponent), out=exponent)
        np.fill_diagonal(values, 0)
        return values

    return triangle(moment, kernel)


def median_squares(
    x: Float[np.ndarray, "n d"], rng: np.random.Generator
) -> Float[np.ndarray, " d"]:
    """Return the median of the squared differences that are not zero, over at most 100 rows."""
    rows = x if len(x) <= MEDIAN_ROWS else x[rng.choice(len(x), MEDIAN_ROWS, replace=False)]
    pairs = (scipy.spatial.distance.pdist(column[:, None], "sqeuclidean") for column in rows.T)
    return np.array([np.median(found[found > 0]) for found in pairs])


def total(form: Form) -> float:
    """Return the sum of the entries of H, in double precision."""
    return float(sum(np.sum(block, dtype=np.float64) for block in form))


def squared(form: Form) -> Form:
    """Return the blocks of the squares of the entries of H."""
    squares = tuple(block**2 for block in form)
    for block in squares:
        block[COLUMNS:] /= 2
    return squares


def parted(form: Form) -> tuple[Form, Form]:
    """Return the blocks of H and those of its squares."""
    half = len(form) // 2
    return form[:half], form[half:]


def studentised(values: Any, squares: Any, n: int) -> Any:
    """Return w'Hw over the root of 2 (w^2)'H^2 (w^2), corrected for n."""
    return math.sqrt(n / (n - 1)) * values / np.sqrt(2 * squares)


def normals(rng: np.random.Generator, n_draws: int, n: int) -> Draws:
    """Return standard normal numbers by Box and Muller (1958): twice as fast as one by one."""
    pairs = rng.random((2, -(-n_draws * n // 2)), dtype=np.float32)
    radius, angle = np.sqrt(-2 * np.log1p(-pairs[0])), np.float32(2 * np.pi) * pairs[1]
    np.cos(angle, out=pairs[0])
    np.sin(angle, out=pairs[1])
    pairs *= radius
    return pairs.ravel()[: n_draws * n].reshape(n_draws, n)


def counts(rng: np.random.Generator, n_draws: int, n: int) -> Draws:
    """Return how often each of n is chosen in n choices: multinomial counts.

    The product of a 32-bit number and n, less its lower half, is uniform up to n / 2^32.
    """
    words = rng.integers(2**64 - 1, size=-(-n_draws * n // 2), dtype=np.uint64, endpoint=True)
    raw = words.view(np.uint32)[: n_draws * n]
    chosen = (raw * np.uint64(n) >> np.uint64(32)).view(np.int64).reshape(n_draws, n)
    chosen += np.arange(0, n_draws * n, n)[:, None]
    found = np.bincount(chosen.ravel(), minlength=n_draws * n)
    return found.reshape(n_draws, n).astype(np.float32)


def quadratic_forms(form: Form, w: Draws) -> Float[np.ndarray, " b"]:
    """Return w'Hw for each row w."""
    found = np.zeros(len(w))
    for block in form:
        own = w[:, -len(block) :]
        found += np.einsum("bi,bi->b", own @ block, own[:, : block.shape[1]])
    return found
