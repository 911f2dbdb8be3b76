"""Null laws that are tried, and whether each rejects a simulated sample."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Int

from kcm.exceptions import KCMError
from kcm.gram import HeldGram
from kcm.moments import FittedMoment
from kcm.null import Asymptotic, MultiplierBootstrap, Null, exact_outcome, with_groups
from kcm.specification.combination import Settings, joint_outcome
from kcm.specification.size_check.subject import Subject

__all__ = ["Law", "Verdict", "alternatives", "law_used", "verdict"]

# Draws of a bootstrap law, one less than this at the usual levels: as many as decide exactly.
DRAWS = 100


@final
@dataclass(frozen=True, slots=True, eq=False)
class Law:
    """A null law with its name, and the words that ask for it in a test.

    Attributes
    ----------
    name : str
    null : Null
        With the clusters of the simulated rows.
    code : str
    """

    name: str
    null: Null
    code: str


class Verdict(NamedTuple):
    """Whether a sample is rejected, and whether there was a p-value at all."""

    rejected: bool
    computed: bool = True


def law_used(subject: Subject, level: float) -> Law:
    """Return the law of the test; of draws that may stop, all of a few."""
    null = subject.settings.null
    name = type(null).__name__
    if isinstance(null, MultiplierBootstrap):
        n_draws = min(int(null.n_resamples), _draws(level))
        null = MultiplierBootstrap(n_draws, null.weights, studentize=null.studentize)
        name = _drawn(null)
    elif isinstance(null, Asymptotic):
        name = "asymptotic law"
    return Law(name, _clustered(null, subject.codes), "")


def alternatives(subject: Subject, level: float) -> tuple[Law, ...]:
    """Return laws to take instead of the one used."""
    used, codes, n_draws = subject.settings.null, subject.codes, _draws(level)
    call = "kcm.MultiplierBootstrap(999{})"
    asymptotic = Law("asymptotic law", _clustered(Asymptotic(), codes), "kcm.Asymptotic()")
    if codes is not None:
        webb = MultiplierBootstrap(n_draws, weights="webb", groups=codes)
        drawn = Law(_drawn(webb), webb, call.format(', weights="webb", groups=...'))
        asymptotic = dataclasses.replace(asymptotic, code="kcm.Asymptotic(groups=...)")
        is_webb = isinstance(used, MultiplierBootstrap) and used.weights == "webb"
        return _without(used, (asymptotic,) if is_webb else (drawn, asymptotic))
    studentised = MultiplierBootstrap(n_draws, studentize=True)
    simple = MultiplierBootstrap(n_draws)
    plain = Law(_drawn(simple), simple, call.format(""))
    robust = Law(_drawn(studentised), studentised, call.format(", studentize=True"))
    return _without(used, (robust, asymptotic, plain))[:2]


def _drawn(null: MultiplierBootstrap) -> str:
    return f"{null.weights.capitalize()} draws{', studentised' if null.studentize else ''}"


def _without(used: Null, laws: tuple[Law, ...]) -> tuple[Law, ...]:
    """Leave out the law used."""
    return tuple(law for law in laws if not _alike(used, law.null))


def _alike(used: Null, null: Null) -> bool:
    if isinstance(used, MultiplierBootstrap) and isinstance(null, MultiplierBootstrap):
        return used.studentize == null.studentize and used.weights == null.weights
    return type(used) is type(null)


def _draws(level: float) -> int:
    """Return the draws for which the level times one more is a whole number."""
    return round(math.ceil(level * DRAWS - 1e-9) / level) - 1


def _clustered(null: Null, codes: Int[np.ndarray, " n"] | None) -> Null:
    return null if codes is None else with_groups(null, codes)


def verdict(
    law: Law,
    settings: Settings,
    moment: FittedMoment,
    grams: Sequence[HeldGram],
    seed: np.random.SeedSequence,
    level: float,
) -> Verdict:
    """Test a simulated sample, with the same draws for each kernel."""
    try:
        outcomes = [
            exact_outcome(moment, gram, settings.statistic, law.null, np.random.default_rng(seed))
            for gram in grams
        ]
        found = joint_outcome(outcomes, settings.statistic, settings.maximum)
    except KCMError:  # a sample without errors, or none within reach of the kernel
        return Verdict(False, False)
    return Verdict(bool(found.pvalue <= level * (1 + 1e-12)))
