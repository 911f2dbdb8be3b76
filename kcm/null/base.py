"""What every null law can do, and what every way of finding one can do."""

import abc
from typing import Any

import numpy as np
from jaxtyping import Int

from kcm.contraction import Contraction
from kcm.exceptions import DataError, OptionError

__all__ = ["Null", "NullDistribution", "check_level", "group_codes"]


class NullDistribution(abc.ABC):
    """The law of a statistic when the model is right.

    Examples
    --------
    >>> from kcm.null import PearsonIII
    >>> isinstance(PearsonIII(mean=0.0, sd=1.0, skewness=0.5), NullDistribution)
    True
    """

    __slots__ = ()

    @abc.abstractmethod
    def pvalue(self, t: float) -> float:
        """Return the probability of a statistic of at least t."""

    @abc.abstractmethod
    def critical_value(self, level: float) -> float:
        """Return the value that the statistic must exceed for a p-value below `level`."""

    @abc.abstractmethod
    def describe(self) -> str:
        """Return the law in a few words."""


class Null(abc.ABC):
    """A way to find the null law of a contraction.

    Examples
    --------
    >>> from kcm import Asymptotic
    >>> isinstance(Asymptotic(), Null)
    True
    """

    __slots__ = ()

    groups: Any

    @abc.abstractmethod
    def distribution(self, contraction: Contraction, rng: np.random.Generator) -> NullDistribution:
        """Return the null law of the statistic of `contraction`."""


def check_level(level: float) -> None:
    """Refuse a level outside (0, 1)."""
    if not 0 < level < 1:
        raise OptionError(f"`level` must lie strictly between 0 and 1; got {level}.")


def group_codes(groups: Any, n_obs: int) -> Int[np.ndarray, " n"]:
    """Number the clusters 0, 1, ... in the order of their labels; no groups means one row each."""
    if groups is None:
        return np.arange(n_obs)
    if isinstance(groups, str):
        raise OptionError(
            f"`groups` is the column name {groups!r}, but a FittedMoment has no columns; "
            "pass the array of cluster labels."
        )
    labels = np.asarray(groups)
    if labels.shape != (n_obs,):
        raise DataError(
            f"`groups` has shape {labels.shape}; expected one label per observation, ({n_obs},)."
        )
    return _codes(labels)


def _codes(labels: np.ndarray) -> Int[np.ndarray, " n"]:
    if any(label is None or label != label for label in labels.tolist()):
        raise DataError("`groups` has missing labels; drop those rows before the fit or name them.")
    levels, codes = np.unique(labels, return_inverse=True)
    if len(levels) < 3:
        raise DataError(
            f"`groups` has {len(levels)} clusters; the null law needs at least 3 of them."
        )
    return codes
