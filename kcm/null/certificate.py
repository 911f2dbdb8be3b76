"""How a p-value was computed, and how far it can be from that of the exact method."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import final

import numpy as np
from jaxtyping import Float

from kcm.null import (
    BootstrapDistribution,
    LeadingSpectrum,
    NullDistribution,
    PearsonIII,
    WeightedChiSquare,
)
from kcm.null.digits import pvalue_text
from kcm.null.multipliers import MULTIPLIERS
from kcm.null.pearson import upper_tails
from kcm.null.residual_bounds import ResidualBounds

__all__ = ["Certificate", "method_rows", "pvalue_interval"]

# The exact method estimates the skewness with a standard error of at most .008; three of them.
SKEWNESS_ERROR = 0.024
# Points on each edge of the cumulants that are possible.
SIDE = 65
# Multiples of its standard deviation at which the tail of what is left out is looked at: below
# three the bound on the tail is no use, above sixty it is nothing.
REACHES = np.geomspace(3.0, 60.0, 9)
# Chance that a bound on a draw, or on the statistic, fails.
RISK = 1e-4
# Multipliers that are independent, with mean 0 and variance 1.
INDEPENDENT = frozenset(MULTIPLIERS) - {"multinomial"}


@final
@dataclass(frozen=True, slots=True)
class Certificate:
    """How a p-value was computed, and how far it can be from that of the exact method.

    Parameters
    ----------
    method : {"exact", "low-rank"}
    rank : int or None
        Rank of the factor; None for the exact method.
    residual_share : float
        tr(K - F F') / tr K: what the factor leaves out, 0 for the exact method.
    statistic_exact : bool
        Whether the statistic was computed from all pairs.
    pvalue_interval : tuple of two floats
        Contains the p-value of the exact method.
    notes : tuple of str
        What was done on the way, in sentences.

    Examples
    --------
    >>> Certificate("low-rank", 223, 0.009, True, (0.049, 0.051)).straddles(0.05)
    True
    """

    method: str
    rank: int | None
    residual_share: float
    statistic_exact: bool
    pvalue_interval: tuple[float, float]
    notes: tuple[str, ...] = ()

    def straddles(self, level: float) -> bool:
        """Tell whether the interval leaves open if the exact p-value is at most `level`."""
        low, high = self.pvalue_interval
        return low <= level < high

    def with_notes(self, notes: Sequence[str]) -> "Certificate":
        """Return the certificate with further notes before those that are there."""
        return replace(self, notes=(*notes, *self.notes))


@singledispatch
def pvalue_interval(
    law: NullDistribution, statistic: float, bounds: ResidualBounds
) -> tuple[float, float]:
    """Return an interval for the p-value that the exact Gram matrix would give.

    Parameters
    ----------
    law : NullDistribution
        Of the low-rank form.
    statistic : float
    bounds : ResidualBounds
        Of what the factor leaves out.

    Returns
    -------
    tuple of two floats
        (0, 1) for a law of which nothing is known here. Where the statistic is not exact the
        lower end holds when the model is right: what the factor does not see can only add to the
        exact statistic.
    """
    return 0.0, 1.0


@pvalue_interval.register
def _of_cumulants(law: PearsonIII, statistic: float, bounds: ResidualBounds) -> tuple[float, float]:
    """Vary the cumulants, which determine this law, over what they can be.

    The p-value increases in the mean. For a given skewness it is monotone in sd, so that its
    extremes over sd and third cumulant lie on the edges of what these can be.
    """
    share = bounds.norm / (law.sd / np.sqrt(2))
    if share >= 1:
        return 0.0, 1.0
    scale, skewness = _edges(law.skewness, share)
    low, high = _statistics(statistic, bounds)
    least, most = (
        upper_tails((t - law.mean + sign * bounds.trace) / (law.sd * scale), skewness)
        for t, sign in ((high, 1), (low, -1))
    )
    return float(least.min()), float(most.max())


@pvalue_interval.register
def _of_leading_eigenvalues(
    law: LeadingSpectrum, statistic: float, bounds: ResidualBounds
) -> tuple[float, float]:
    """Move the tail as that of the Pearson III law with these cumulants moves.

    What the factor leaves out changes mean, variance and third cumulant; how far they can change
    the tail is seen on the law that they determine. The error of the eigenvalues comes on top.
    """
    same = PearsonIII(law.mean, law.sd, law.skewness)
    low, high = _of_cumulants(same, statistic, bounds)
    middle = same.pvalue(statistic)
    least, most = law.computation_interval(statistic, law.pvalue(statistic))
    if not middle > 0:
        return 0.0, 1.0
    return least * low / middle, min(most * high / middle, 1.0)


def _edges(
    skewness: float, share: float
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Return multiples of sd, and skewnesses, on the edges of what they can be.

    `share` bounds what is left out of B_0 relative to B_0, in the Frobenius norm.
    """
    side = np.linspace(-1, 1, SIDE)
    ends = np.repeat([-1.0, 1.0], SIDE)
    both = np.tile(side, 2)
    scale = 1 + share * np.append(both, ends)
    toward = np.append(ends, both)
    change = np.sqrt(8) * (3 * share + 3 * share**2 + share**3)
    # no matrix has |tr B_0^3| above (tr B_0^2)^1.5
    moved = np.clip((skewness + toward * change) / scale**3, -np.sqrt(8), np.sqrt(8))
    return scale, moved + toward * SKEWNESS_ERROR


@pvalue_interval.register
def _of_eigenvalues(
    law: WeightedChiSquare, statistic: float, bounds: ResidualBounds
) -> tuple[float, float]:
    """P(Q >= t) lies between P(Q_lr >= t + d) - P(|D| >= d) and P(Q_lr >= t - d) + P(|D| >= d)."""
    low, high = _statistics(statistic, bounds)
    sd = np.sqrt(2) * bounds.norm
    steps = REACHES * sd
    tails = np.minimum(chaos_tail(REACHES), normal_tail(REACHES, _ratio(bounds)))
    below = [law.pvalue(high + d + bounds.trace) for d in steps] - tails
    above = [law.pvalue(low - d - bounds.trace) for d in steps] + tails
    return float(max(below.max(), 0.0)), float(min(above.min(), 1.0))


@pvalue_interval.register
def _of_draws(
    law: BootstrapDistribution, statistic: float, bounds: ResidualBounds
) -> tuple[float, float]:
    """Count the draws that may be on the other side of the statistic."""
    if law.multipliers not in INDEPENDENT:  # no bound is known for dependent weights
        return 0.0, 1.0
    low, high = _statistics(statistic, bounds)
    reach = _reach(RISK / len(law.draws), law.multipliers, bounds)
    # the p-value of stopped draws is not this share, but h / l
    pvalue, share = law.pvalue(statistic), 1 / (1 + len(law.draws))
    least = share * (1 + np.sum(law.draws >= high + reach + bounds.trace))
    most = share * (1 + np.sum(law.draws >= low - reach - bounds.trace))
    return float(min(least, pvalue)), float(max(most, pvalue))


def _statistics(statistic: float, bounds: ResidualBounds) -> tuple[float, float]:
    """Return the least exact statistic, and the largest when the model is right."""
    if bounds.statistic_exact:
        return statistic, statistic
    reach = _reach(RISK, "gaussian", bounds)
    return statistic - bounds.below, statistic + reach + bounds.trace


def chaos_tail(reach: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Bound P(|D| >= reach sd) for a quadratic form D in normal or Rademacher variables.

    Centred forms are hypercontractive, E|D|^q <= ((q - 1) sd)^q for q >= 2 (Bonami; Janson 1997,
    theorem 6.7), and Markov's inequality is minimised over q.
    """
    orders = np.arange(2.0, 60.0)
    bounds = ((orders - 1) / np.asarray(reach)[..., None]) ** orders
    return np.minimum(bounds.min(axis=-1), 1.0)


def normal_tail(reach: Float[np.ndarray, " k"], ratio: float) -> Float[np.ndarray, " k"]:
    """Bound P(|D| >= reach sd) for a centred quadratic form D in normal variables.

    `ratio` bounds max|e_j| / |e| of its eigenvalues e_j. With k = 1 / ratio^2 no such form has a
    larger moment generating function than max|e_j| (chi2_k - k), since (-log(1 - 2 x) / 2 - x) /
    x^2 increases in x, and Chernoff's bound of this one is exp(-(v - k log(1 + v / k)) / 2) at v.
    """
    k, v = 1 / ratio**2, np.sqrt(2) * np.asarray(reach) / ratio
    return np.minimum(2 * np.exp(-(v - k * np.log1p(v / k)) / 2), 1.0)


def _ratio(bounds: ResidualBounds) -> float:
    return min(bounds.largest / bounds.norm, 1.0) if bounds.norm > 0 else 1.0


def _reach(risk: float, multipliers: str, bounds: ResidualBounds) -> float:
    """Return what a form of what is left out exceeds with a chance of at most `risk`."""
    sd = np.sqrt(2) * bounds.norm
    if multipliers not in ("gaussian", "rademacher"):
        return float(sd / np.sqrt(risk))  # Chebyshev
    grid, ratio = np.geomspace(1.0, 200.0, 400), _ratio(bounds)
    if multipliers == "gaussian":
        tails = normal_tail(grid, ratio)
    else:
        # without its diagonal a form in signs has the moments of pi / 2 times one in normal
        # variables at most, as the mean of |z| shows; the diagonal may double an eigenvalue
        tails = normal_tail(grid * 2 / np.pi, min(2 * ratio, 1.0))
    small_enough = grid[np.minimum(chaos_tail(grid), tails) <= risk]
    return float(sd * (small_enough[0] if small_enough.size else 1 / np.sqrt(risk)))


def method_rows(certificate: Certificate) -> tuple[tuple[str, str], ...]:
    """Return rows of a summary on a low-rank test; none for an exact one."""
    if certificate.method == "exact":
        return ()
    share, (low, high) = certificate.residual_share, certificate.pvalue_interval
    statistic = "exact statistic" if certificate.statistic_exact else "low-rank statistic"
    method = f"low-rank, rank {certificate.rank:,}, {share:.2g} left out; {statistic}"
    within = f"[{pvalue_text(low)}, {pvalue_text(high)}]"
    return ("Method", method), ("Exact p-value within", within)
