"""Several p-values of one hypothesis, combined into one."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from kcm._options import check_level
from kcm.null import TIE, BootstrapDistribution, NullDistribution, Outcome
from kcm.specification.combination.record import Combined, drawn_laws, is_exact, joint_certificate

__all__ = ["CauchyCombination", "combined_pvalues"]


@final
@dataclass(frozen=True, slots=True)
class CauchyCombination(NullDistribution):
    r"""The law of the mean of tan((1/2 - p_k) pi) over several p-values p_k.

    It is the standard Cauchy law when the p-values are uniform, in the tail almost whatever their
    dependence (Liu and Xie 2020).

    Parameters
    ----------
    n_members : int
        Number of p-values.

    References
    ----------
    Liu and Xie (2020), Cauchy combination test: a powerful test with analytic p-value calculation
    under arbitrary dependency structures, Journal of the American Statistical Association 115.

    Examples
    --------
    >>> round(CauchyCombination(4).pvalue(6.313752), 6)
    0.05
    """

    n_members: int

    def pvalue(self, t: float) -> float:
        """Return P(C >= t)."""
        # atan2 keeps the digits of a small p-value, which 1/2 - atan(t) / pi loses
        return math.atan2(1.0, t) / math.pi

    def critical_value(self, level: float) -> float:
        """Return the upper `level` quantile."""
        check_level(level)
        return _quantile(level)

    def describe(self) -> str:
        """Return the law in a few words."""
        return f"Cauchy combination of the p-values of {self.n_members} kernels"


def combined_pvalues(outcomes: Sequence[Outcome]) -> Combined:
    """Combine tests of one moment with several kernels.

    P-values of laws that are computed are combined by the mean of tan((1/2 - p) pi). Where each
    law is one of draws with the same multipliers, the statistic is -log10 of the smallest p-value
    and its law that of the same number in each draw, with p-values among all draws: the level is
    that of one test by draws.

    Parameters
    ----------
    outcomes : sequence of Outcome
        One per kernel, at least two.

    Raises
    ------
    OptionError
        When draws stop by themselves, so that the kernels have different ones.

    Examples
    --------
    >>> import kcm
    >>> x, psi = np.random.default_rng(0).normal(size=(2, 60))
    >>> kcm.KCMTest("adaptive").run(kcm.FittedMoment(psi, x)).null_distribution.describe()
    'Cauchy combination of the p-values of 5 kernels'
    """
    pvalues = np.array([outcome.pvalue for outcome in outcomes])
    drawn = drawn_laws(outcomes)
    if drawn:
        statistic, law = _smallest(outcomes, drawn)
        name = "-log10 of the smallest p"
    else:
        statistic, law = _cauchy(pvalues)
        name = "mean of tan((1/2 - p) pi)"
    certificate = joint_certificate(outcomes, _interval(outcomes, law, statistic))
    leading, pvalue = int(np.argmin(pvalues)), law.pvalue(statistic)
    return Combined(statistic, law, certificate, name, leading, pvalue)


def _cauchy(pvalues: Float[np.ndarray, " k"]) -> tuple[float, NullDistribution]:
    return float(np.mean([_quantile(p) for p in pvalues])), CauchyCombination(len(pvalues))


def _quantile(p: float) -> float:
    """Return tan((1/2 - p) pi), of which p = 0 and p = 1 have none: the last double before them."""
    inside = min(max(p, 1e-300), 1 - 2**-53)
    return 1 / math.tan(math.pi * inside)


def _smallest(
    outcomes: Sequence[Outcome], drawn: Sequence[BootstrapDistribution]
) -> tuple[float, NullDistribution]:
    statistics = np.array([outcome.contraction.statistic for outcome in outcomes])
    draws = np.array([law.draws for law in drawn])
    scores = -np.log10(_shares(np.column_stack([statistics, draws])).min(axis=0))
    return float(scores[0]), dataclasses.replace(drawn[0], draws=scores[1:])


def _shares(values: Float[np.ndarray, "k b"]) -> Float[np.ndarray, "k b"]:
    """Return, within each row, the share of numbers that are at least each number."""
    ascending = np.sort(values, axis=1)
    width = TIE * np.abs(values).max(axis=1, keepdims=True)
    rows = zip(ascending, values - width, strict=True)
    below = [np.searchsorted(row, least) for row, least in rows]
    return 1 - np.array(below) / values.shape[1]


def _interval(
    outcomes: Sequence[Outcome], law: NullDistribution, statistic: float
) -> tuple[float, float] | None:
    """Combine intervals: the Cauchy combination increases in each p-value."""
    if is_exact(outcomes):
        return law.pvalue(statistic), law.pvalue(statistic)
    if not isinstance(law, CauchyCombination):  # the smallest p of other draws: no bound is known
        return None
    ends = zip(*(outcome.certificate.pvalue_interval for outcome in outcomes), strict=True)
    lows, highs = (np.array(end) for end in ends)
    low, high = (law.pvalue(float(np.mean([_quantile(p) for p in e]))) for e in (lows, highs))
    # a p-value of which nothing is known may be 0, which has no quantile
    return low if lows.min() > 0 else 0.0, high
