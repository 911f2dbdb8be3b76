"""How a test was run: what is needed to test other residuals in the same way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from kcm.null import Null, Outcome
from kcm.specification.combination.penalized_maximum import PenalizedMaximum, chosen
from kcm.specification.combination.pvalues import combined_pvalues
from kcm.specification.combination.record import Combined
from kcm.statistic import StatisticName

__all__ = ["Settings", "joint_outcome"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """Statistic, null law and combination of a test, apart from its kernels.

    Attributes
    ----------
    statistic : {"U", "V"}
    null : Null
    maximum : PenalizedMaximum or None
        None where p-values are combined, or there is one kernel.
    """

    statistic: StatisticName
    null: Null
    maximum: PenalizedMaximum | None = None


def joint_outcome(
    outcomes: Sequence[Outcome], statistic: StatisticName, maximum: PenalizedMaximum | None
) -> Combined:
    """Return the one outcome, the one that a maximum chooses, or the combination of several.

    Parameters
    ----------
    outcomes : sequence of Outcome
        One per kernel.
    statistic : {"U", "V"}
    maximum : PenalizedMaximum or None
    """
    if len(outcomes) == 1:
        (one,) = outcomes
        return Combined(
            one.contraction.statistic, one.law, one.certificate, statistic, 0, one.pvalue
        )
    if maximum is not None:
        return chosen(maximum, outcomes)
    return combined_pvalues(outcomes)
