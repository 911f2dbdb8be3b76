"""Pearson's type III law: a gamma law, shifted and possibly mirrored, with given cumulants."""

from dataclasses import dataclass

from scipy import stats

from kcm.null.base import NullDistribution, check_level

__all__ = ["PearsonIII"]


@dataclass(frozen=True, slots=True)
class PearsonIII(NullDistribution):
    r"""The Pearson III law with given mean, standard deviation and skewness.

    The three-cumulant approximation of a quadratic form: with cumulants
    :math:`\kappa_2 = 2\,\mathrm{tr} B_0^2` and :math:`\kappa_3 = 8\,\mathrm{tr} B_0^3` the skewness
    is :math:`\kappa_3 / \kappa_2^{3/2}`. Good to a few thousandths around the usual levels; deep
    tails are only indicative.

    Parameters
    ----------
    mean, sd, skewness : float

    Examples
    --------
    >>> round(PearsonIII(mean=0.0, sd=1.0, skewness=1e-9).pvalue(1.6448536), 6)
    0.05
    """

    mean: float
    sd: float
    skewness: float

    def pvalue(self, t: float) -> float:
        """Return P(T >= t)."""
        return float(stats.pearson3.sf(t, self.skewness, loc=self.mean, scale=self.sd))

    def critical_value(self, level: float) -> float:
        """Return the upper `level` quantile."""
        check_level(level)
        return float(stats.pearson3.isf(level, self.skewness, loc=self.mean, scale=self.sd))

    def describe(self) -> str:
        """Return the law in a few words."""
        return f"asymptotic, Pearson III (skewness {self.skewness:.3g})"
