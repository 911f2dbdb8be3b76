"""The size check: errors, samples, verdicts, rates."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from jaxtyping import Bool

from kcm._options import MOST_REPETITIONS, check_int, check_level
from kcm._progress import counting_bar
from kcm.exceptions import FewClustersWarning
from kcm.gram import HeldGram, held_grams
from kcm.moments import Correction, FittedMoment, Outcomes, TwoStages
from kcm.null import MultiplierBootstrap
from kcm.specification.size_check.errors import Errors, error_laws, residual_errors
from kcm.specification.size_check.laws import Law, alternatives, law_used, verdict
from kcm.specification.size_check.record import SizeCheck, SizeRate, rate_of
from kcm.specification.size_check.samples import simulated
from kcm.specification.size_check.screen import may_reject
from kcm.specification.size_check.subject import (
    Subject,
    correction_of,
    few_rows,
    on_rows,
    with_gain,
)

__all__ = ["check_size"]

FEWEST_REPLICATIONS = 20


def check_size(
    subject: Subject, n_replications: int, level: float, rng: np.random.Generator, progress: bool
) -> SizeCheck:
    """Return how often right models on the regressors of a test are rejected.

    Parameters
    ----------
    subject : Subject
    n_replications : int
        Samples for each law of errors.
    level : float
    rng : numpy.random.Generator
    progress : bool

    Returns
    -------
    SizeCheck

    Raises
    ------
    OptionError
        When an option is out of range, or the influence is in total for several components.
    DataError
        When no sample has a p-value.
    """
    check_int(n_replications, "n_replications", FEWEST_REPLICATIONS, MOST_REPETITIONS)
    check_level(level)
    n_obs = subject.moment.n_obs
    whole = replace(subject, moment=with_gain(subject.moment))
    rows = few_rows(whole, rng)
    part = on_rows(whole, rows)
    laws = error_laws(part.moment, residual_errors(whole.moment)[rows], part.codes)
    seeds = np.random.SeedSequence(int(rng.integers(2**63))).spawn(len(laws))
    with warnings.catch_warnings(), counting_bar(len(laws) + 2, "Size check", progress) as done:
        # the law warns once in the test itself
        warnings.simplefilter("ignore", FewClustersWarning)
        simulation = _simulation(part, n_replications, level)
        rates = _rates(simulation, laws, seeds, done)
    return SizeCheck(level, part.moment.n_obs, rates, _notes(part, n_obs, level))


@final
@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """What all samples share."""

    subject: Subject
    grams: list[HeldGram]
    correction: Correction | None
    n_replications: int
    level: float


@final
@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Samples with one law of errors, which of them can be rejected, and the seeds of draws."""

    errors: str
    moments: list[FittedMoment]
    open: Bool[np.ndarray, " r"]
    seeds: list[np.random.SeedSequence]


def _simulation(subject: Subject, n_replications: int, level: float) -> Simulation:
    points = [subject.moment.conditioning] * len(subject.kernels)
    grams = held_grams(list(subject.kernels), points)
    return Simulation(subject, grams, correction_of(subject.moment), n_replications, level)


def _rates(
    simulation: Simulation,
    laws: tuple[Errors, ...],
    seeds: list[np.random.SeedSequence],
    done: Callable[[int], None],
) -> tuple[SizeRate, ...]:
    """Return the rates of the law used, then those of others where it matters."""
    used, rates = law_used(simulation.subject, simulation.level), list[SizeRate]()
    for errors, seed in zip(laws, seeds, strict=True):
        rates.append(_rate(simulation, used, _samples(simulation, errors, seed)))
        done(1)
    worst = int(np.argmax([rate.rate for rate in rates]))
    amiss = any(one.rejects_too_often(simulation.level) for one in rates)
    compared = [
        _samples(simulation, laws[k], seeds[k])
        for k in dict.fromkeys((0, worst) if amiss else (worst,))
    ]
    for law in alternatives(simulation.subject, simulation.level):
        rates.extend(_rate(simulation, law, samples) for samples in compared)
        done(1)
    return tuple(rates)


def _samples(simulation: Simulation, errors: Errors, seed: np.random.SeedSequence) -> Samples:
    """Draw samples; the same seed gives the same ones."""
    # a seed counts the children that it has spawned
    parts = np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key).spawn(2)
    rng, count = np.random.default_rng(parts[0]), simulation.n_replications
    subject = simulation.subject
    moments = [
        simulated(subject.moment, errors.draw(rng), simulation.correction) for _ in range(count)
    ]
    possible = may_reject(subject, moments, simulation.grams, simulation.level)
    return Samples(errors.name, moments, possible, parts[1].spawn(count))


def _rate(simulation: Simulation, law: Law, samples: Samples) -> SizeRate:
    settings = simulation.subject.settings
    found = [
        verdict(law, settings, moment, simulation.grams, seed, simulation.level)
        for moment, possible, seed in zip(samples.moments, samples.open, samples.seeds, strict=True)
        if possible
    ]
    failed = sum(not one.computed for one in found)
    rejected = sum(one.rejected for one in found)
    return rate_of(law.name, samples.errors, rejected, len(samples.moments) - failed, law.code)


def _notes(subject: Subject, n_obs: int, level: float) -> tuple[str, ...]:
    """Return what the simulation leaves out, in sentences."""
    moment, null = subject.moment, subject.settings.null
    notes = list[str]()
    if moment.n_obs < n_obs:
        notes.append(
            f"Simulated on {moment.n_obs:,} of the {n_obs:,} rows, drawn at random: with all of "
            "them the rates are nearer to the level."
        )
    if isinstance(null, MultiplierBootstrap) and null.n_resamples > _draws_of(subject, level):
        notes.append(f"Bootstrap laws took {_draws_of(subject, level):,} draws in each sample.")
    if moment.theta_known:
        return tuple(notes)
    if isinstance(moment.outcomes, TwoStages):
        notes.append("Each sample has a first stage of its own: weak instruments show.")
    elif isinstance(moment.outcomes, Outcomes):
        notes.append("The refit is its first-order effect.")
    elif moment.labels.exogenous is not True:
        notes.append(
            "The refit is its first-order effect with the regressors fixed: where they are "
            "endogenous, weak instruments do not show."
        )
    return tuple(notes)


def _draws_of(subject: Subject, level: float) -> int:
    null = law_used(subject, level).null
    return int(null.n_resamples) if isinstance(null, MultiplierBootstrap) else 0
