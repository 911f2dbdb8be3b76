"""What a family of tests hands to the registry, and what its tests look at."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from kcm.comparison.record import Concern
from kcm.exceptions import UnsupportedModelError
from kcm.kernels import Kernel
from kcm.moments import FittedMoment

__all__ = ["Entry", "Finding", "Subject", "not_applicable"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A fitted model under test.

    Parameters
    ----------
    fit : fitted result, EstimationResults or FittedMoment
        Without the wrapper of statsmodels.
    name : str
        Its library and model, from `kcm.adapters.fit_name`.
    moment : FittedMoment
        Its moment, with the conditioning variables.
    kernel : Kernel or None
        The kernel of the estimate, where it was one by kernels on these variables.
    groups : array_like or None
        Clusters of the estimate.
    seed : int
        Where draws start, whichever tests are asked for.
    progress : bool
        Whether kernel tests show a bar for long work.
    """

    fit: Any
    name: str
    moment: FittedMoment
    kernel: Kernel | None
    groups: Any
    seed: int
    progress: bool


class Finding(NamedTuple):
    """A statistic, its p-value and the law that gave it."""

    statistic: float
    pvalue: float
    distribution: str


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """One test of the registry.

    Parameters
    ----------
    null_hypothesis : str
        In words; ``{moment}`` and ``{conditioning}`` stand for those of the fit.
    concerns : {"mean", "mean and variance", "variance", "instruments"}
        What the null hypothesis is about.
    consistent : bool
        Whether every departure is found when n is large enough.
    compute : callable
        From a `Subject` to a `Finding`; raises a `kcm.KCMError` where the test does not apply,
        whose message becomes the reason.
    """

    null_hypothesis: str
    concerns: Concern
    consistent: bool
    compute: Callable[[Subject], Finding]


def not_applicable(sentence: str, subject: Subject) -> UnsupportedModelError:
    """Refuse a fit, by a sentence that names it.

    Examples
    --------
    >>> import numpy as np
    >>> import kcm
    >>> moment = kcm.FittedMoment(np.array([1.0, -1.0, 0.5]), np.arange(3.0))
    >>> subject = Subject(moment, "a FittedMoment", moment, None, None, 0, False)
    >>> not_applicable("This test is for linear regressions", subject).args[0]
    'This test is for linear regressions; `fit` is a FittedMoment.'
    """
    return UnsupportedModelError(f"{sentence}; `fit` is {subject.name}.")
