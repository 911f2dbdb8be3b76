"""The law of a quadratic form from its leading eigenvalues and three cumulants of the rest."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from kcm.null.base import NullDistribution
from kcm.null.weighted_chi_square import WeightedChiSquare, saddle_point
from kcm.statistic import Spectrum

__all__ = ["LeadingSpectrum"]

# Smallest skewness of the rest, whose square is one over its degrees of freedom: below it the
# cancellation of its mean costs more digits than the shape changes the tail.
LEAST_SKEWNESS = 1e-4
# A variance of the rest below this share of the whole is rounding.
NO_REST = 1e-12
# Below this the series of the logarithm is its first term.
SMALL = 1e-3
# Largest relative error of a probability that is known.
KNOWN = 0.1
# Points at which the characteristic function is looked at.
N_FREQUENCIES = 400
# What the saddle point leaves of the effect of a change, of first order only, on a tail.
FIRST_ORDER = 1e-3
# Fractions of the distance from the mean at which a bound on the tail is tried.
NEARER = np.geomspace(1.0, 0.1, 16)


@final
@dataclass(frozen=True, slots=True, eq=False)
class LeadingSpectrum(NullDistribution):
    r"""The law of e + tr B + sum_j mu_j (chi2_1 - 1) from the mu_j that matter most.

    The leading eigenvalues enter one by one. The others enter as one gamma variable with their
    variance and third cumulant: 2 a^2 d and 8 a^3 d for a chi-square with d degrees of freedom,
    times a. The tail is that of `WeightedChiSquare`, by contour inversion.

    Parameters
    ----------
    spectrum : Spectrum
        In units of `unit`.
    mean : float
        e + tr B.
    unit : float
        Size of the statistic, to which the eigenvalues are relative.

    Notes
    -----
    In the tail P(T > t) moves by a factor exp(d) where the cumulant generating function at the
    saddle point s moves by d. Eigenvalues that are off by e_j move it by at most
    sum_j e_j |s / (1 - 2 mu_j s) - s|; the cumulants of the rest from the fourth on, eigenvalues of
    absolute value up to m and with sum of fourth powers q, by (q / 2 m^4) (-log(1 - z) - z -
    z^2/2 - z^3/3), z = 2 m s; and the standard error of the third by 8 s^3 / 6 times twice of it.

    Examples
    --------
    >>> values = 0.8 ** np.arange(40)
    >>> powers = [float(np.sum(values**k)) for k in (2, 3)]
    >>> beyond = float(np.sum(values[12:] ** 4)), float(values[12])
    >>> law = LeadingSpectrum(Spectrum(values[:12], np.zeros(12), *powers, 0.0, *beyond), 0.0, 1.0)
    >>> exact = WeightedChiSquare(values, -values.sum())
    >>> bool(abs(law.pvalue(20.0) / exact.pvalue(20.0) - 1) < 1e-5)
    True
    """

    spectrum: Spectrum
    mean: float
    unit: float

    @property
    def variance(self) -> float:
        """Variance, 2 tr B_0^2."""
        return 2.0 * self.spectrum.squares * self.unit**2

    @property
    def sd(self) -> float:
        """Standard deviation."""
        return math.sqrt(2.0 * self.spectrum.squares) * self.unit

    @property
    def third_cumulant(self) -> float:
        """Third cumulant, 8 tr B_0^3."""
        return 8.0 * self.spectrum.cubes * self.unit**3

    @property
    def skewness(self) -> float:
        """Third cumulant over the third power of the standard deviation."""
        return 8.0 * self.spectrum.cubes / (2.0 * self.spectrum.squares) ** 1.5

    def law(self) -> WeightedChiSquare:
        """Return the weighted chi-square law of (T - mean) / unit."""
        weights, degrees = _weights(self.spectrum)
        return WeightedChiSquare(weights, -float(degrees @ weights), degrees)

    def pvalue(self, t: float) -> float:
        """Return P(T >= t)."""
        return self.law().pvalue((t - self.mean) / self.unit)

    def critical_value(self, level: float) -> float:
        """Return the upper `level` quantile."""
        return self.mean + self.unit * self.law().critical_value(level)

    def computation_interval(self, t: float, pvalue: float) -> tuple[float, float]:
        """Return what P(T >= t) lies between, by what is known of the eigenvalues.

        A tail nearer to the mean bounds one farther out, where less is known.
        """
        law, x = self.law(), (t - self.mean) / self.unit
        error = _absolute_error(self.spectrum, law)
        low, high = max(pvalue - error, 0.0), min(pvalue + error, 1.0)
        if not x > 0:
            return low, high
        least, most = _tail_interval(self.spectrum, law, x, pvalue)
        return max(low, least), min(high, most)

    def knows(self, t: float) -> bool:
        """Tell whether the error of P(T >= t) is known to be at most 10 %."""
        pvalue = self.pvalue(t)
        low, high = self.computation_interval(t, pvalue)
        return max(pvalue - low, high - pvalue) <= KNOWN * pvalue

    def describe(self) -> str:
        """Return the law in a few words."""
        k = len(self.spectrum.leading)
        return f"asymptotic, {k} leading eigenvalues and three cumulants of the rest"


def _weights(
    spectrum: Spectrum,
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Return weights and degrees of freedom: 1 for each leading eigenvalue, and those of the rest.

    A skewness that no eigenvalues within their bound can have is an error of estimation.
    """
    leading = spectrum.leading
    square = spectrum.squares - float(np.sum(leading**2))
    if not square > NO_REST * spectrum.squares:
        return leading, np.ones(len(leading))
    weight = (spectrum.cubes - float(np.sum(leading**3))) / square
    least = LEAST_SKEWNESS * math.sqrt(square)
    weight = math.copysign(min(max(abs(weight), least), spectrum.largest_rest), weight)
    return np.append(leading, weight), np.append(np.ones(len(leading)), square / weight**2)


def _tail_interval(
    spectrum: Spectrum, law: WeightedChiSquare, x: float, pvalue: float
) -> tuple[float, float]:
    """Return what the tail beyond x, above the mean, lies between."""
    change = _largest_change(spectrum, law, x)
    least = pvalue * math.exp(-change) if math.isfinite(change) else 0.0
    return least, min(_upper_bound(spectrum, law, near) for near in x * NEARER)


def _absolute_error(spectrum: Spectrum, law: WeightedChiSquare) -> float:
    """Bound the error of a tail probability anywhere: pi^-1 int |phi(u) - phi_0(u)| / u du.

    At imaginary arguments the logarithm of the characteristic function is off by at most
    sum_j e_j 2 |mu_j| u^2 / |1 - 2 i mu_j u|, 2 q u^4 and the third cumulant's 8 u^3 / 6 times two
    standard errors, with no singularity.
    """
    u = np.geomspace(1e-3, 1e3, N_FREQUENCIES) / math.sqrt(2.0 * spectrum.squares)
    turned = 2.0 * np.outer(u, law.weights)
    size = np.exp(-0.25 * np.log1p(turned**2) @ law.degrees)
    k = len(spectrum.leading)
    lead = np.abs(turned[:, :k]) / np.sqrt(1.0 + turned[:, :k] ** 2) @ spectrum.errors
    square = max(spectrum.squares - float(np.sum(spectrum.leading**2)), 0.0)
    weight = float(np.abs(law.weights[k:]).max(initial=0.0))
    fourths = 2.0 * (spectrum.fourths_rest + square * weight**2)
    change = u * lead + fourths * u**4 + 8 * 2 * spectrum.cubes_error * u**3 / 6
    steps = np.log(u[1] / u[0])
    return float(np.sum(size * np.minimum(np.expm1(np.minimum(change, 2.0)), 2.0)) * steps / np.pi)


def _upper_bound(spectrum: Spectrum, law: WeightedChiSquare, x: float) -> float:
    """Return the tail at x times the most that it can be too small by, at most one."""
    change = _largest_change(spectrum, law, x)
    return min(1.0, law.pvalue(x) * math.exp(change)) if change < 700 else 1.0


def _largest_change(spectrum: Spectrum, law: WeightedChiSquare, x: float) -> float:
    """Return how much the cumulant generating function can be off at the saddle point of x."""
    s, leading = saddle_point(law, x), spectrum.leading
    slopes = np.abs(s / (1.0 - 2.0 * leading * s) - s)
    square = max(spectrum.squares - float(np.sum(leading**2)), 0.0)
    weight = float(np.abs(law.weights[len(leading) :]).max(initial=0.0))
    # of the rest itself, and of the gamma variable in its place
    beyond = _beyond_three(spectrum.fourths_rest, spectrum.largest_rest, s)
    beyond += _beyond_three(square * weight**2, weight, s)
    third = 8 * 2 * spectrum.cubes_error * s**3 / 6
    return float(slopes @ spectrum.errors) + beyond + third + FIRST_ORDER


def _beyond_three(fourths: float, largest: float, s: float) -> float:
    """Bound the part of -1/2 sum_j log(1 - 2 mu_j s) beyond third powers of mu_j."""
    z = 2.0 * largest * s
    if fourths == 0 or z < SMALL:
        return 2.0 * fourths * s**4
    if z >= 1:
        return math.inf
    return fourths / (2.0 * largest**4) * (-math.log1p(-z) - z - z**2 / 2 - z**3 / 3)
