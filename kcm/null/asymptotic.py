"""The asymptotic null law, deterministic and without draws."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from kcm._validation import check_option
from kcm.contraction import Contraction
from kcm.null.base import Null, NullDistribution, group_codes
from kcm.null.form import apply_form, form_matrix, form_sums
from kcm.null.pearson import PearsonIII
from kcm.null.weighted_chi_square import WeightedChiSquare

__all__ = ["Asymptotic"]

# Up to this many multipliers the eigenvalues are found, beyond it three cumulants.
MAX_EIGENVALUES = 2_000
# The leading eigenvalues are refined until the rest moves the skewness by less than this.
SKEWNESS_TOLERANCE = 0.02
RANKS = (64, 128, 256, 512)
SUBSPACE_SEED = 20_200_721


@dataclass(frozen=True, slots=True)
class Asymptotic(Null):
    r"""The law of the statistic in large samples, computed, not drawn.

    With B the multiplier form of `MultiplierBootstrap` and B_0 the same without its diagonal, the
    law is

    .. math:: \mathrm{tr} B + \textstyle\sum_j \mu_j (\chi^2_{1,j} - 1),

    mu_j the eigenvalues of B_0. It shares mean, variance and third cumulant with the Rademacher
    bootstrap.

    Parameters
    ----------
    method : {"auto", "eigenvalues", "cumulants"}
        "eigenvalues" inverts the law exactly (`WeightedChiSquare`); "cumulants" matches mean,
        2 tr B_0^2 and 8 tr B_0^3 by a Pearson III law and never holds an n x n matrix beyond
        2,000 multipliers. "auto", the default, takes eigenvalues up to 2,000 multipliers
        (observations, or clusters) and cumulants above.
    groups : array_like of shape (n,), Series or str, optional
        Cluster labels: one multiplier per cluster. A Series is aligned with the fit by index; a
        name is a column of the data of the fit.

    Raises
    ------
    OptionError
        When `method` is not one of the three.

    Notes
    -----
    Above 2,000 multipliers tr B_0^3 is the sum of the cubes of the leading eigenvalues, by
    subspace iteration from a fixed seed, of as many as needed for the remaining ones to move the
    skewness by less than 0.02 (at most 512).

    Examples
    --------
    >>> Asymptotic(method="cumulants").method
    'cumulants'
    """

    method: Literal["auto", "eigenvalues", "cumulants"] = "auto"
    groups: Any = None

    def __post_init__(self) -> None:
        check_option(self.method, ("auto", "eigenvalues", "cumulants"), "method")

    def distribution(self, contraction: Contraction, rng: np.random.Generator) -> NullDistribution:
        """Return the law; `rng` is not used."""
        codes = group_codes(self.groups, contraction.n_obs)
        few = int(codes.max()) < MAX_EIGENVALUES
        if self.method == "eigenvalues" or (self.method == "auto" and few):
            return spectral_law(form_matrix(contraction, codes))
        if few:
            return cumulant_law(form_matrix(contraction, codes))
        return tiled_cumulant_law(contraction, codes)


def spectral_law(form: Float[np.ndarray, "m m"]) -> WeightedChiSquare:
    """Return tr B + sum_j mu_j (chi2 - 1), with mu_j the eigenvalues of B without diagonal."""
    weights = np.linalg.eigvalsh(form - np.diag(np.diag(form)))
    # the weights sum to zero, so that the shift is the trace alone
    return WeightedChiSquare(weights, float(np.trace(form) - weights.sum()))


def cumulant_law(form: Float[np.ndarray, "m m"]) -> PearsonIII:
    """Return the Pearson III law with the first three cumulants of the spectral law."""
    free = form - np.diag(np.diag(form))
    return _pearson(
        float(np.trace(form)), float(np.sum(free**2)), float(np.sum(free * (free @ free)))
    )


def tiled_cumulant_law(contraction: Contraction, codes: Int[np.ndarray, " n"]) -> PearsonIII:
    """Return the Pearson III law from tiles, without holding B."""
    sums = form_sums(contraction, codes)
    cubes = _sum_of_cubes(contraction, codes, sums.diagonal, sums.off_diagonal_squares)
    return _pearson(float(sums.diagonal.sum()), sums.off_diagonal_squares, cubes)


def _pearson(trace: float, squares: float, cubes: float) -> PearsonIII:
    return PearsonIII(
        mean=trace, sd=np.sqrt(2 * squares), skewness=8 * cubes / (2 * squares) ** 1.5
    )


def _sum_of_cubes(
    contraction: Contraction,
    codes: Int[np.ndarray, " n"],
    diagonal: Float[np.ndarray, " m"],
    squares: float,
) -> float:
    values = np.zeros(1)
    for rank in RANKS:
        values = _leading_eigenvalues(contraction, codes, diagonal, rank)
        rest = np.abs(values).min() * max(squares - np.sum(values**2), 0.0)
        if 8 * rest <= SKEWNESS_TOLERANCE * (2 * squares) ** 1.5:
            break
    return float(np.sum(values**3))


def _leading_eigenvalues(
    contraction: Contraction,
    codes: Int[np.ndarray, " n"],
    diagonal: Float[np.ndarray, " m"],
    rank: int,
) -> Float[np.ndarray, " r"]:
    """Ritz values of B_0 on the subspace B_0^2 Omega (Halko, Martinsson and Tropp 2011)."""

    def apply(v: Float[np.ndarray, "m r"]) -> Float[np.ndarray, "m r"]:
        return apply_form(contraction, codes, v) - diagonal[:, None] * v

    basis = np.random.default_rng(SUBSPACE_SEED).standard_normal((len(diagonal), rank))
    for _ in range(2):
        basis = np.linalg.qr(apply(basis))[0]
    return np.linalg.eigvalsh(basis.T @ apply(basis))
