"""Several kernels of one test within one budget of work: exactly as far as it goes, else low-rank.

Those that need most rank are taken exactly first, since low rank serves them worst. Beyond the
budget a kernel has the rank that its share of the work admits; one of which that rank sees next to
nothing is left out, and the notes name it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from kcm._variation import rows_by_value
from kcm.gram import COLUMN_ROUNDING, Landmarks, choose_landmarks, factored, low_rank_factor
from kcm.null import (
    BootstrapDistribution,
    Computation,
    Outcome,
    Problem,
    certified,
    left_open,
    open_levels,
    released,
)
from kcm.specification.combination import combined_pvalues

__all__ = ["Members", "members"]

# A kernel is left out where its factor leaves out more than this share of the trace.
MOST_LEFT_OUT = 0.9
# The work of a factor never asks for a rank below this.
LEAST_RANK = 256
# Rows on which it is seen how much rank a kernel needs.
N_TRIED = 1_024


@final
@dataclass(frozen=True, slots=True)
class Members:
    """What the kernels of one test find.

    Attributes
    ----------
    outcomes : tuple of Outcome
        Of the kernels that are part of the test.
    notes : tuple of str
        How each was computed, where not all were computed exactly, and which were left out.
    """

    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...]


def members(problems: Sequence[Problem], how: Computation) -> Members:
    """Return what several kernels find, all with the same draws.

    Parameters
    ----------
    problems : sequence of Problem
        One per kernel, at least two; alike but for the kernel, and with one generator.
    how : Computation

    Returns
    -------
    Members
    """
    first, state = problems[0], problems[0].rng.bit_generator.state
    within = certified.takes_all_pairs(first.moment, first.null, len(problems))
    with how.execution.on_device():
        if how.method == "exact" or first.null.needs_all_pairs or (how.method == "auto" and within):
            return Members(tuple(_exact(problem, state) for problem in problems), ())
        found = _within_budget(problems, how, state)
        return found if how.method == "low-rank" else _verified(found, problems, state)


def _exact(problem: Problem, state: Any) -> Outcome:
    problem.rng.bit_generator.state = state
    return problem.exact()


def _within_budget(problems: Sequence[Problem], how: Computation, state: Any) -> Members:
    tolerance = how.tolerance or certified.TOLERANCE
    n_exact = _n_exact(problems) if how.method == "auto" else 0
    exact = _most_demanding(problems, n_exact)
    spans = {k: _span(problems, k, tolerance) for k in range(len(problems)) if k not in exact}
    left_out = _left_out({k: _share(span) for k, span in spans.items()}, len(problems))
    outcomes, notes, names = [], list[str](), problems[0].moment.labels.conditioning
    for k, problem in enumerate(problems):
        if k in left_out:
            notes.append(_left_out_note(spans[k], names))
            continue
        if k in exact:
            outcomes.append(_exact(problem, state))
        else:
            outcomes.append(_low_rank(problem, spans[k], tolerance, len(problems), state))
    return Members(tuple(outcomes), (*_how_notes(outcomes, tolerance, names), *notes))


def _n_exact(problems: Sequence[Problem]) -> int:
    """Return how many kernels are exact when all have an exact statistic."""
    first, n = problems[0], len(problems)
    statistic = certified.pass_work(first.moment)
    left = certified.EXACT_WORK - n * statistic
    return min(n, max(0, math.floor(left / max(first.exact_work() - statistic, 1.0))))


def _most_demanding(problems: Sequence[Problem], n_exact: int) -> set[int]:
    """Return the kernels that need most rank, seen on some of the rows."""
    if n_exact == 0:
        return set()
    points = problems[0].moment.conditioning
    spread = np.linspace(0, len(points) - 1, min(len(points), N_TRIED)).astype(int)
    tried = points[rows_by_value(points)[spread]]
    ranks = [
        low_rank_factor(one.kernel, tried, certified.TOLERANCE, len(tried)).rank for one in problems
    ]
    return set(sorted(range(len(problems)), key=lambda k: -ranks[k])[:n_exact])


def _span(problems: Sequence[Problem], k: int, tolerance: float) -> Landmarks:
    problem = problems[k]
    most = _most_rank(problem, len(problems))
    return choose_landmarks(
        problem.kernel, problem.moment.conditioning, tolerance, most, problem.execution
    )


def _most_rank(problem: Problem, n_kernels: int) -> int:
    """Return the rank that memory and the share of the work admit: n r^2 products a kernel."""
    share = certified.EXACT_WORK / n_kernels / problem.moment.n_obs
    affordable = int(math.sqrt(share)) // COLUMN_ROUNDING * COLUMN_ROUNDING
    return min(problem.most_rank(), max(affordable, LEAST_RANK))


def _share(span: Landmarks) -> float:
    """Return the share of the trace that landmarks leave out: nothing at themselves."""
    return span.unseen_share() * (1 - span.chosen.rank / len(span.points))


def _left_out(shares: dict[int, float], n_kernels: int) -> set[int]:
    """Return the kernels that are left out; one at least remains."""
    blind = {k for k, share in shares.items() if share > MOST_LEFT_OUT}
    if len(blind) < n_kernels:
        return blind
    return blind - {min(blind, key=lambda k: shares[k])}


def _low_rank(
    problem: Problem, span: Landmarks, tolerance: float, n_kernels: int, state: Any
) -> Outcome:
    problem.rng.bit_generator.state = state
    gram = factored(span, tolerance, _most_rank(problem, n_kernels))
    outcome = released(problem.low_rank(gram, tolerance, n_kernels))
    # that the tolerance is missed is said with the kernel
    return outcome._replace(certificate=replace(outcome.certificate, notes=()))


def _verified(found: Members, problems: Sequence[Problem], state: Any) -> Members:
    """Compute exactly where the decision is open, all kernels meet it, and the work allows."""
    outcomes = found.outcomes
    joint = outcomes[0] if len(outcomes) == 1 else combined_pvalues(outcomes)
    # of the smallest p-value in draws no bound is known, whose note says so
    if not open_levels(joint.certificate) or isinstance(joint.law, BootstrapDistribution):
        return found
    opened = f"the kernels {left_open(joint.certificate)}"
    known = all(one.certificate.pvalue_interval != (0.0, 1.0) for one in outcomes)
    work = sum(problem.exact_work() for problem in problems)
    if known and len(outcomes) == len(problems) and work <= certified.VERIFYING_WORK:
        exact = tuple(_exact(problem, state) for problem in problems)
        return Members(exact, (f"{opened} with low rank; all computed exactly",))
    return Members(outcomes, (*found.notes, f'{opened}; method="exact" settles it'))


def _how_notes(
    outcomes: Sequence[Outcome], tolerance: float, names: Sequence[str]
) -> tuple[str, ...]:
    """Say how each kernel was computed, and what more can be done."""
    shares = [outcome.certificate.residual_share for outcome in outcomes]
    advice = (
        f"more than the tolerance {tolerance:g} of a trace is left out, by statistic and law "
        'alike: raise `memory_limit`, or use method="exact"',
    )
    told = "; ".join(_how(outcome, names) for outcome in outcomes)
    return (told, *(advice if max(shares) > tolerance else ()))


def _how(outcome: Outcome, names: Sequence[str]) -> str:
    name = outcome.contraction.kernel.describe(names)
    certificate = outcome.certificate
    if certificate.rank is None:
        return f"{name}: all pairs"
    return f"{name}: rank {certificate.rank:,}, {certificate.residual_share:.2g} left out"


def _left_out_note(span: Landmarks, names: Sequence[str]) -> str:
    return (
        f"the kernel {span.kernel.describe(names)} is not part of this test: a factor of rank "
        f"{span.chosen.rank:,} sees {1 - _share(span):.2g} of it, and all pairs are beyond the "
        f"work of {certified.EXACT_WORK:g} products for all kernels"
    )
