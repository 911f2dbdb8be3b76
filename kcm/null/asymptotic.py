"""The asymptotic null law, deterministic and without draws."""

import warnings
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, final

import numpy as np
from jaxtyping import Float, Int

from kcm._options import check_option
from kcm._records import fixed
from kcm.exceptions import FewClustersWarning, OptionError
from kcm.gram import KERNEL_COST, LowRankGram
from kcm.moments import group_codes
from kcm.null.base import Null, NullDistribution
from kcm.null.interruptible import interruptible
from kcm.null.leading_spectrum import LeadingSpectrum
from kcm.null.pearson import PearsonIII
from kcm.null.weighted_chi_square import WeightedChiSquare
from kcm.statistic import (
    Contraction,
    Spectrum,
    apply_form,
    can_hold,
    check_spread,
    form_matrix,
    held_spectrum,
    krylov_spectrum,
    low_rank_form,
    low_rank_sums,
    no_spread,
    products_with,
    size_of,
    spectrum_of,
    tiled_form,
    with_probes,
)

__all__ = ["Asymptotic"]

SpectralLaw = WeightedChiSquare | LeadingSpectrum | PearsonIII

# Up to this many multipliers the eigenvalues are found, beyond it three cumulants.
MAX_EIGENVALUES = 2_000
# Asked for, they are found up to this many: a matrix of 3 GB.
MOST_EIGENVALUES = 20_000
# Up to this many they take a second.
MOST_UNINTERRUPTED = 1_000
# Fewer clusters than this and the law is not to be trusted.
FEW_CLUSTERS = 20
# Directions of the cube's trace that are summed exactly, and probes for what they leave.
N_DIRECTIONS = 64
N_PROBES = 64
# As many probes say enough of most laws; the others are added where they do not.
N_FIRST_PROBES = 16
PROBE_SEED = 20_200_721


class FormCumulants(NamedTuple):
    """tr B, tr B_0^2 and tr B_0^3, B_0 the part of B that has a law."""

    trace: float
    squares: float
    cubes: float


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Asymptotic(Null):
    r"""The law of the statistic in large samples, computed, not drawn.

    With B the multiplier form of `MultiplierBootstrap` and B_0 the same without its diagonal, the
    law is

    .. math:: e + \mathrm{tr} B + \textstyle\sum_j \mu_j (\chi^2_{1,j} - 1),

    mu_j the eigenvalues of B_0 and e the offset that belongs to the shift of B. It shares mean,
    variance and third cumulant with the Rademacher bootstrap.

    Parameters
    ----------
    method : {"auto", "eigenvalues", "cumulants"}
        "eigenvalues" inverts the law exactly (`WeightedChiSquare`). "auto", the default, does so up
        to 2,000 multipliers (observations, or clusters); above it finds the leading eigenvalues
        and three cumulants of the others (`LeadingSpectrum`), and never holds an n x n matrix.
        "cumulants" matches mean, 2 tr B_0^2 and 8 tr B_0^3 by a Pearson III law, whose p-values
        below .01 are indicative only.
    groups : array_like of shape (n,), Series or str, optional
        Cluster labels: one multiplier per cluster. A Series is aligned with the fit by index; a
        name is a column of the data of the fit. With a `FittedMoment`, which carries no index,
        labels are taken by position.

    Raises
    ------
    OptionError
        When `method` is not one of the three.

    Warns
    -----
    FewClustersWarning
        With fewer than 20 clusters: the law then rejects a true model too often.

    Notes
    -----
    Above 2,000 multipliers tr B_0^3 is estimated without bias (Hutch++, Meyer et al. 2021): summed
    over a subspace of 64 leading directions and averaged over 16 normal probes of the rest, from a
    fixed seed, the probes assigned to the rows in the order of their values so that the order of
    the data does not matter. The same three products with B_0 give its leading eigenvalues, and
    with them a bound on the error of each tail probability. Where that of the p-value is above 10 %
    there are 64 probes, and the summary shows a bound that is above 10 % still.

    Examples
    --------
    >>> Asymptotic(method="cumulants").method
    'cumulants'
    """

    method: Literal["auto", "eigenvalues", "cumulants"] = "auto"
    groups: Any = None

    def __post_init__(self) -> None:
        check_option(self.method, ("auto", "eigenvalues", "cumulants"), "method")
        object.__setattr__(self, "groups", fixed(self.groups))

    def products_per_pair(self, n_obs: int, n_multipliers: int, n_moments: int) -> int:
        if self.method == "eigenvalues" or n_multipliers <= MAX_EIGENVALUES:
            return 2 * KERNEL_COST
        return 4 * KERNEL_COST + 3 * (N_DIRECTIONS + N_PROBES) * n_moments

    def distribution(self, contraction: Contraction, rng: np.random.Generator) -> NullDistribution:
        """Return the law; `rng` is not used."""
        codes = group_codes(self.groups, contraction.n_obs)
        _check_multipliers(int(codes.max()) + 1, self)
        few = int(codes.max()) < MAX_EIGENVALUES
        law: SpectralLaw
        if self.method == "eigenvalues" or (self.method == "auto" and few):
            n_normal = contraction.border.n_columns
            law = spectral_law(form_matrix(contraction, codes), contraction.offset, n_normal)
        elif self.method == "auto":
            law = leading_law(contraction, codes)
        else:
            law = _cumulant_law(contraction, codes, few)
        check_spread(law.sd, contraction)
        return law


def _check_multipliers(m: int, null: Asymptotic) -> None:
    if null.groups is not None and m < FEW_CLUSTERS:
        warnings.warn(
            f"the asymptotic law of {m} clusters rejects too often (about {FEW_CLUSTERS} clusters "
            'are needed); use kcm.MultiplierBootstrap(weights="webb", groups=...)',
            FewClustersWarning,
            stacklevel=2,
        )
    if null.method == "eigenvalues" and m > MOST_EIGENVALUES:
        raise OptionError(
            f'`method="eigenvalues"` holds a matrix of {m:,} x {m:,}; it is available for up to '
            f'{MOST_EIGENVALUES:,} observations or clusters. Use method="cumulants".'
        )


def _cumulant_law(contraction: Contraction, codes: Int[np.ndarray, " n"], few: bool) -> PearsonIII:
    if few:
        unit, n_normal = size_of(contraction) ** 2, contraction.border.n_columns
        return cumulant_law(form_matrix(contraction, codes), unit, contraction.offset, n_normal)
    if isinstance(contraction.gram, LowRankGram):
        return low_rank_cumulant_law(contraction, codes)
    return tiled_cumulant_law(contraction, codes)


def spectral_law(
    form: Float[np.ndarray, "l l"], offset: float = 0.0, n_normal: int = 0
) -> WeightedChiSquare:
    """Return e + tr B + sum_j mu_j (chi2 - 1), mu_j the eigenvalues of B without diagonal.

    The last `n_normal` multipliers are normal: their part of the diagonal has a law and stays.
    """
    free = _without_diagonal(form, n_normal)
    few = len(free) <= MOST_UNINTERRUPTED
    weights = np.linalg.eigvalsh(free) if few else interruptible(lambda: np.linalg.eigvalsh(free))
    return WeightedChiSquare(weights, float(offset + np.trace(form) - weights.sum()))


def cumulant_law(
    form: Float[np.ndarray, "l l"], unit: float, offset: float = 0.0, n_normal: int = 0
) -> PearsonIII:
    """Return the Pearson III law with the first three cumulants of the spectral law."""
    free = _without_diagonal(form, n_normal) / unit
    sums = FormCumulants(
        float(np.trace(form)) / unit,
        float(np.sum(free**2)),
        float(np.sum(free * (free @ free))),
    )
    return _pearson(sums, unit, offset)


def _without_diagonal(form: Float[np.ndarray, "l l"], n_normal: int) -> Float[np.ndarray, "l l"]:
    """Return a copy with zeros on the diagonal, but for the last `n_normal` places."""
    free, m = form.copy(), len(form) - n_normal
    free[np.arange(m), np.arange(m)] = 0.0
    return free


def low_rank_cumulant_law(contraction: Contraction, codes: Int[np.ndarray, " n"]) -> PearsonIII:
    """Return the Pearson III law from the r x r matrix of a low-rank factor."""
    form = low_rank_form(contraction)
    sums = low_rank_sums(form, codes)
    found = FormCumulants(sums.trace, sums.squares, sums.cubes)
    return _pearson(_with_border(found, contraction, codes), form.unit**2, contraction.offset)


def tiled_cumulant_law(contraction: Contraction, codes: Int[np.ndarray, " n"]) -> PearsonIII:
    """Return the Pearson III law from tiles, without holding B."""
    form = tiled_form(contraction, codes)
    found = krylov_spectrum(form.apply, _probes(contraction, codes), form.squares, N_DIRECTIONS)
    sums = FormCumulants(form.trace, found.squares, found.cubes)
    return _pearson(sums, size_of(contraction) ** 2, contraction.offset)


def leading_law(
    contraction: Contraction, codes: Int[np.ndarray, " n"]
) -> LeadingSpectrum | PearsonIII:
    """Return the law from the leading eigenvalues and three cumulants of the rest.

    With a low-rank factor and theta from another sample, from three cumulants.
    """
    if not isinstance(contraction.gram, LowRankGram):
        return _tiled_leading_law(contraction, codes)
    if contraction.border.n_columns:
        return low_rank_cumulant_law(contraction, codes)
    form = low_rank_form(contraction)
    sums = low_rank_sums(form, codes)
    spectrum = sums.spectrum
    if can_hold(form):
        spectrum = held_spectrum(form, sums, codes, _probes(contraction, codes), N_DIRECTIONS)
    return _leading(spectrum, sums.trace, contraction)


def _tiled_leading_law(contraction: Contraction, codes: Int[np.ndarray, " n"]) -> LeadingSpectrum:
    """Return the law by few probes, and by more where they leave the p-value open."""
    form = tiled_form(contraction, codes)
    directions, probes = np.split(_probes(contraction, codes), [N_DIRECTIONS], axis=1)
    few, more = np.split(probes, [N_FIRST_PROBES], axis=1)
    products = products_with(form.apply, directions, few)
    law = _leading(spectrum_of(products, form.squares), form.trace, contraction)
    if law.knows(contraction.statistic):
        return law
    products = with_probes(form.apply, products, more)
    return _leading(spectrum_of(products, form.squares), form.trace, contraction)


def _leading(spectrum: Spectrum, trace: float, contraction: Contraction) -> LeadingSpectrum:
    if not spectrum.squares > 0:
        raise no_spread()
    unit = size_of(contraction) ** 2
    return LeadingSpectrum(spectrum, contraction.offset + unit * trace, unit)


def _with_border(
    sums: FormCumulants, contraction: Contraction, codes: Int[np.ndarray, " n"]
) -> FormCumulants:
    """Add what the border [[0, C], [C', A]] does to the traces of B, B_0^2 and B_0^3."""
    edge, unit = contraction.border, size_of(contraction) ** 2
    if edge.n_columns == 0:
        return sums
    cross, corner = edge.summed(codes) / unit, edge.corner / unit
    pulled, spread = _free_products(contraction, codes, cross) / unit, cross.T @ cross
    return FormCumulants(
        sums.trace + float(np.trace(corner)),
        sums.squares + 2 * float(np.trace(spread)) + float(np.sum(corner**2)),
        sums.cubes
        + 3 * (pulled + float(np.sum(spread * corner)))
        + float(np.sum(corner * (corner @ corner))),
    )


def _free_products(
    contraction: Contraction, codes: Int[np.ndarray, " n"], v: Float[np.ndarray, "m k"]
) -> float:
    """Return tr V'B_0 V, B without its diagonal, for a theta that was not estimated here."""
    c, r = contraction, contraction.scaled_residuals
    weights = np.sum(v**2, axis=1)[codes]
    clusters = None if len(v) == len(codes) else codes
    whole = c.gram.within(r, weights, clusters) - float(
        (c.removed * weights) @ np.sum(r**2, axis=1)
    )
    return float(np.sum(v * apply_form(c, codes, v))) - c.factor * whole


def _pearson(sums: FormCumulants, unit: float, offset: float) -> PearsonIII:
    """Return the law from the traces of a B in this unit, and e.

    Cubes of residuals of 1e60 or 1e-60 are no doubles.
    """
    if not sums.squares > 0:
        raise no_spread()
    return PearsonIII(
        mean=offset + unit * sums.trace,
        sd=unit * (2 * sums.squares) ** 0.5,
        skewness=8 * sums.cubes / (2 * sums.squares) ** 1.5,
    )


def _probes(contraction: Contraction, codes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "l r"]:
    """Return normal probes, tied to the values of the rows (or the labels of the clusters)."""
    m, k = int(codes.max()) + 1, contraction.border.n_columns
    rng = np.random.default_rng(PROBE_SEED)
    drawn = rng.standard_normal((m, N_DIRECTIONS + N_PROBES))
    border = rng.standard_normal((k, N_DIRECTIONS + N_PROBES))
    if m == len(codes):
        order = np.lexsort((*contraction.conditioning.T, *contraction.scaled_residuals.T))
        probes = np.empty_like(drawn)
        probes[order] = drawn
        drawn = probes
    return np.vstack([drawn, border])
