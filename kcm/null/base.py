"""What every null law can do, and what every way of finding one can do."""

import abc
import dataclasses
from typing import Any

import numpy as np

from kcm._records import one_line
from kcm.exceptions import OptionError
from kcm.statistic import Contraction

__all__ = [
    "Null",
    "NullDistribution",
    "with_groups",
]


class NullDistribution(abc.ABC):
    """The law of a statistic when the model is right.

    Examples
    --------
    >>> from kcm.null import PearsonIII
    >>> isinstance(PearsonIII(mean=0.0, sd=1.0, skewness=0.5), NullDistribution)
    True
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return one_line(self) if dataclasses.is_dataclass(self) else object.__repr__(self)

    @abc.abstractmethod
    def pvalue(self, t: float) -> float:
        """Return the probability of a statistic of at least t."""

    @abc.abstractmethod
    def critical_value(self, level: float) -> float:
        """Return the value that the statistic must exceed for a p-value below `level`."""

    @abc.abstractmethod
    def describe(self) -> str:
        """Return the law in a few words."""

    def pvalue_interval(self, t: float, confidence: float = 0.95) -> tuple[float, float] | None:
        """Return an interval of the p-value that infinitely many draws would have.

        None, as here, for a law that is computed and not drawn.
        """
        return None

    def computation_interval(self, t: float, pvalue: float) -> tuple[float, float]:
        """Return an interval of P(T >= t), by what the computation of the law left out.

        Without width, as here, for a law that is computed in full. `pvalue` is `self.pvalue(t)`.
        """
        return pvalue, pvalue


class Null(abc.ABC):
    """A way to find the null law of a contraction.

    Attributes
    ----------
    groups : array_like of shape (n,), Series, str or None
        Cluster labels. None, which a null that does not set it has, takes the observations as
        independent. `specification_test` aligns a pandas Series with the fit by index; run on a
        `FittedMoment`, which carries no index, any labels are taken by position.

    Examples
    --------
    >>> from kcm import Asymptotic
    >>> isinstance(Asymptotic(), Null)
    True
    """

    __slots__ = ()

    groups: Any = None

    def __repr__(self) -> str:
        return one_line(self) if dataclasses.is_dataclass(self) else object.__repr__(self)

    @abc.abstractmethod
    def distribution(self, contraction: Contraction, rng: np.random.Generator) -> NullDistribution:
        """Return the null law of the statistic of `contraction`."""

    @property
    def needs_all_pairs(self) -> bool:
        """Whether the law cannot be found from a low-rank factor of the Gram matrix."""
        return False

    @property
    def allows_several_kernels(self) -> bool:
        """Whether tests with several kernels can be combined under this law.

        `specification_test` takes one kernel by default where they cannot.
        """
        return True

    def products_per_pair(self, n_obs: int, n_multipliers: int, n_moments: int) -> int:
        """Return how many products per pair of rows the exact law takes, 0 where unknown.

        A kernel value counts as 32 of them, draws that may stop as all of them. The size of the
        work decides between the exact and the low-rank method.
        """
        return 0


def with_groups(null: Null, groups: Any) -> Null:
    """Return a null with other cluster labels.

    Parameters
    ----------
    null : Null
    groups : array_like of shape (n,)
        Labels in the order of the observations.

    Raises
    ------
    OptionError
        When the null is not a dataclass with a field `groups`.
    """
    if not _can_replace_groups(null):
        raise OptionError(
            f"`null` ({type(null).__name__}) has groups, which must be brought to the rows that "
            "the fit used, and it is not a dataclass with a field `groups`. Make it one, or pass "
            "a kcm.FittedMoment with groups in the order of its rows."
        )
    # a dataclass, as checked
    changed: Any = null
    replaced: Null = dataclasses.replace(changed, groups=groups)
    return replaced


def _can_replace_groups(null: Any) -> bool:
    fields = dataclasses.fields(null) if dataclasses.is_dataclass(null) else ()
    return any(field.name == "groups" and field.init for field in fields)
