"""Tests of one hypothesis with several kernels, combined into one p-value."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from kcm.certificate import Certificate
from kcm.computation import Outcome
from kcm.exceptions import OptionError
from kcm.null import BootstrapDistribution, NullDistribution
from kcm.null.base import check_level
from kcm.null.stopping import TIE, AllDraws

__all__ = ["CauchyCombination", "Combined", "combined"]


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


@final
@dataclass(frozen=True, slots=True, eq=False)
class Combined:
    """What several kernels say together.

    Attributes
    ----------
    statistic : float
    law : NullDistribution
    certificate : Certificate
    name : str
        What the statistic is.
    leading : int
        Position of the kernel with the smallest p-value.
    pvalue : float
    """

    statistic: float
    law: NullDistribution
    certificate: Certificate
    name: str
    leading: int
    pvalue: float


def combined(outcomes: Sequence[Outcome]) -> Combined:
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
    laws = [outcome.law for outcome in outcomes]
    pvalues = np.array([outcome.pvalue for outcome in outcomes])
    drawn = [law for law in laws if isinstance(law, BootstrapDistribution)]
    if len(drawn) < len(laws):
        statistic = float(np.mean([_quantile(p) for p in pvalues]))
        law: NullDistribution = CauchyCombination(len(laws))
        name = "mean of tan((1/2 - p) pi)"
    else:
        statistics = np.array([outcome.contraction.statistic for outcome in outcomes])
        statistic, law = _smallest(statistics, drawn)
        name = "-log10 of the smallest p"
    pvalue = law.pvalue(statistic)
    certificate = _joint_certificate(outcomes, law, statistic)
    return Combined(statistic, law, certificate, name, int(np.argmin(pvalues)), pvalue)


def _quantile(p: float) -> float:
    """Return tan((1/2 - p) pi), of which p = 0 and p = 1 have none: the last double before them."""
    inside = min(max(p, 1e-300), 1 - 2**-53)
    return 1 / math.tan(math.pi * inside)


def _smallest(
    statistics: Float[np.ndarray, " k"], laws: Sequence[BootstrapDistribution]
) -> tuple[float, BootstrapDistribution]:
    if not all(isinstance(law.rule, AllDraws) for law in laws):
        raise OptionError(
            "`stop` ends the draws of each kernel somewhere else, and several kernels need the "
            "same draws; leave `stop` out."
        )
    draws = np.array([law.draws for law in laws])
    scores = -np.log10(_shares(np.column_stack([statistics, draws])).min(axis=0))
    return float(scores[0]), dataclasses.replace(laws[0], draws=scores[1:])


def _shares(values: Float[np.ndarray, "k b"]) -> Float[np.ndarray, "k b"]:
    """Return, within each row, the share of numbers that are at least each number."""
    ascending = np.sort(values, axis=1)
    width = TIE * np.abs(values).max(axis=1, keepdims=True)
    rows = zip(ascending, values - width, strict=True)
    below = [np.searchsorted(row, least) for row, least in rows]
    return 1 - np.array(below) / values.shape[1]


def _joint_certificate(
    outcomes: Sequence[Outcome], law: NullDistribution, statistic: float
) -> Certificate:
    own = [outcome.certificate for outcome in outcomes]
    exact = all(certificate.method == "exact" for certificate in own)
    ranks = [certificate.rank for certificate in own if certificate.rank is not None]
    notes = tuple(dict.fromkeys(note for certificate in own for note in certificate.notes))
    return Certificate(
        "exact" if exact else "low-rank",
        max(ranks, default=None),
        max(certificate.residual_share for certificate in own),
        all(certificate.statistic_exact for certificate in own),
        _joint_interval(own, law, statistic),
        notes,
    )


def _joint_interval(
    certificates: Sequence[Certificate], law: NullDistribution, statistic: float
) -> tuple[float, float]:
    """Combine intervals: the Cauchy combination increases in each p-value."""
    if all(certificate.method == "exact" for certificate in certificates):
        return law.pvalue(statistic), law.pvalue(statistic)
    if not isinstance(law, CauchyCombination):  # the smallest p of other draws: no bound is known
        return 0.0, 1.0
    ends = zip(*(certificate.pvalue_interval for certificate in certificates), strict=True)
    low, high = (law.pvalue(float(np.mean([_quantile(p) for p in end]))) for end in ends)
    return low, high
