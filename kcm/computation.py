"""The road from a fitted moment to its p-value: exact or low-rank, decided from sizes."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import numpy as np
from jaxtyping import Int

from kcm.certificate import Certificate, pvalue_interval
from kcm.contraction import Contraction, StatisticName, contract
from kcm.exceptions import DataError
from kcm.gram import Execution, GramOperator, TiledGram
from kcm.gram.passes import KERNEL_COST
from kcm.kernels import Kernel
from kcm.low_rank_gram import LowRankGram, affordable_rank, least_tolerance, low_rank_gram
from kcm.moments import FittedMoment
from kcm.null import Null, NullDistribution
from kcm.null.base import group_codes
from kcm.residual_bounds import residual_bounds

__all__ = ["Computation", "Method", "Outcome", "exact_outcome", "takes_all_pairs"]

Method = Literal["auto", "exact", "low-rank"]

# Products of a kernel value and a number that "auto" takes for the exact method, and that it takes
# once a low-rank p-value leaves a decision open: about 10 s and 100 s on two cores.
EXACT_WORK = 5e11
VERIFYING_WORK = 5e12
TOLERANCE = 0.01
# A decision left open is looked at with the tolerance divided by this, so many times.
REFINEMENT = 10
REFINEMENTS = 2
LEVELS = (0.01, 0.05, 0.10)


class Outcome(NamedTuple):
    """What a test found."""

    contraction: Contraction
    law: NullDistribution
    certificate: Certificate
    pvalue: float


@final
@dataclass(frozen=True, slots=True)
class Computation:
    """How a test is computed.

    Parameters
    ----------
    method : {"auto", "exact", "low-rank"}
    tolerance : float or None
        Residual trace share of the low-rank factor; None for the default 0.01.
    execution : Execution
    """

    method: Method
    tolerance: float | None
    execution: Execution

    def outcome(
        self,
        moment: FittedMoment,
        kernel: Kernel,
        statistic: StatisticName,
        null: Null,
        rng: np.random.Generator,
    ) -> Outcome:
        """Contract, find the null law and certify the p-value."""
        problem = _Problem(moment, kernel, statistic, null, rng, self.execution)
        with self.execution.on_device():
            return self._by_method(problem, self.tolerance or TOLERANCE)

    def _by_method(self, problem: "_Problem", tolerance: float) -> Outcome:
        if self.method == "low-rank":
            return problem.low_rank(tolerance)
        only_exact = problem.kernel.conditionally_positive or problem.null.needs_all_pairs
        all_pairs = takes_all_pairs(problem.moment, problem.null)
        if self.method == "exact" or only_exact or all_pairs:
            return problem.exact()
        return _until_decided(problem, tolerance)


def _until_decided(problem: "_Problem", tolerance: float) -> Outcome:
    """Refine a low-rank test while it leaves the decision at a usual level open."""
    state, notes = problem.rng.bit_generator.state, list[str]()
    outcome = problem.low_rank(tolerance)
    while _open_levels(outcome) and problem.refinable(outcome, tolerance, len(notes)):
        tolerance /= REFINEMENT
        notes.append(f"{_left_open(outcome)}; tolerance lowered to {tolerance:g}")
        problem.rng.bit_generator.state = state
        outcome = problem.low_rank(tolerance)
    if _open_levels(outcome) and _exact_work(problem.moment, problem.null) <= VERIFYING_WORK:
        notes.append(f"{_left_open(outcome)}; computed exactly")
        problem.rng.bit_generator.state = state
        outcome = problem.exact()
    elif _open_levels(outcome):
        notes.append(f'{_left_open(outcome)}; method="exact" settles it')
    certificate = outcome.certificate
    certificate = dataclasses.replace(certificate, notes=(*certificate.notes, *notes))
    return outcome._replace(certificate=certificate)


def _missed(gram: LowRankGram, tolerance: float) -> tuple[str, ...]:
    if gram.residual_share <= tolerance:
        return ()
    return (
        f"a factor of rank {gram.rank:,} leaves out {gram.residual_share:.2g} of the trace, more "
        f"than the tolerance {tolerance:g}: raise `memory_limit`, widen the bandwidth, or use "
        'method="exact"',
    )


def _open_levels(outcome: Outcome) -> list[float]:
    return [level for level in LEVELS if outcome.certificate.straddles(level)]


def _left_open(outcome: Outcome) -> str:
    levels = " and ".join(f"{level:g}" for level in _open_levels(outcome))
    rank = outcome.certificate.rank
    return f"rank {rank:,} left the decision at level {levels} open"


@final
@dataclass(frozen=True, slots=True)
class _Problem:
    moment: FittedMoment
    kernel: Kernel
    statistic: StatisticName
    null: Null
    rng: np.random.Generator
    execution: Execution

    def exact(self) -> Outcome:
        gram = TiledGram(self.kernel, self.moment.conditioning, self.execution)
        return exact_outcome(self.moment, gram, self.statistic, self.null, self.rng)

    def low_rank(self, tolerance: float) -> Outcome:
        """Approximate the null law; the statistic too where one exact pass is too much work.

        Where the factor misses the tolerance the statistic is low-rank in any case: what the law
        leaves out may then not be small, and the statistic must leave out the same.
        """
        gram = self._factored(tolerance)
        exact = _pass_work(self.moment) <= EXACT_WORK and gram.residual_share <= tolerance
        tiled = TiledGram(self.kernel, gram.points, self.execution)
        codes = group_codes(self.null.groups, self.moment.n_obs)
        how = self.statistic, codes
        contraction = checked_contraction(self.moment, tiled if exact else gram, *how)
        contraction = dataclasses.replace(contraction, gram=gram)
        law = self.null.distribution(contraction, self.rng)
        unscaled = (None, None) if exact else (self.moment.residuals, self.moment.jacobian)
        bounds = residual_bounds(contraction, codes, *unscaled)
        interval = pvalue_interval(law, contraction.statistic, bounds)
        found = "low-rank", gram.rank, gram.residual_share, exact, interval
        certificate = Certificate(*found, _missed(gram, tolerance))
        return Outcome(contraction, law, certificate, law.pvalue(contraction.statistic))

    def _factored(self, tolerance: float) -> LowRankGram:
        points = self.moment.conditioning
        cap = affordable_rank(len(points), self.execution)
        return low_rank_gram(self.kernel, points, tolerance, cap, self.execution)

    def refinable(self, outcome: Outcome, tolerance: float, n_refined: int) -> bool:
        """Tell whether a lower tolerance would be met by a factor that can be held."""
        n = self.moment.n_obs
        met = outcome.certificate.residual_share <= tolerance
        return (
            met
            and n_refined < REFINEMENTS
            and tolerance / REFINEMENT >= least_tolerance(n, self.execution)
        )


def takes_all_pairs(moment: FittedMoment, null: Null, n_kernels: int = 1) -> bool:
    """Tell whether the exact method is within the work that "auto" takes for it.

    Parameters
    ----------
    moment : FittedMoment
    null : Null
    n_kernels : int
        Default 1.
    """
    return n_kernels * _exact_work(moment, null) <= EXACT_WORK


def _exact_work(moment: FittedMoment, null: Null) -> float:
    """Return the products that the exact statistic of one kernel and its null law take."""
    n, q = moment.residuals.shape
    n_multipliers = int(group_codes(null.groups, n).max()) + 1
    return _pass_work(moment) + float(n**2 * null.products_per_pair(n, n_multipliers, q))


def _pass_work(moment: FittedMoment) -> float:
    """Return the products that the exact statistic takes."""
    n, q = moment.residuals.shape
    p = 0 if moment.jacobian is None else moment.jacobian.shape[2]
    return float(n**2 * (KERNEL_COST + q * (1 + p)))


def exact_outcome(
    moment: FittedMoment,
    gram: GramOperator,
    statistic: StatisticName,
    null: Null,
    rng: np.random.Generator,
) -> Outcome:
    """Return what a test finds with an exact Gram matrix."""
    codes = group_codes(null.groups, moment.n_obs)
    contraction = checked_contraction(moment, gram, statistic, codes)
    law = null.distribution(contraction, rng)
    pvalue = law.pvalue(contraction.statistic)
    interval = law.computation_interval(contraction.statistic)
    certificate = Certificate("exact", None, 0.0, True, interval)
    return Outcome(contraction, law, certificate, pvalue)


def checked_contraction(
    moment: FittedMoment,
    gram: GramOperator,
    statistic: StatisticName,
    codes: Int[np.ndarray, " n"],
) -> Contraction:
    """Contract, and refuse what is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        contraction = contract(moment, gram, statistic, codes)
        check_finite(contraction)
    return contraction


def check_finite(contraction: Contraction) -> None:
    """Refuse residuals or kernel values that overflow."""
    if not math.isfinite(float(np.sum(contraction.scaled_residuals**2))):
        raise DataError("the `residuals` are too large to be squared; divide them by a constant.")
    if not math.isfinite(contraction.statistic):
        raise DataError(
            f"the statistic is {contraction.statistic}: the kernel {contraction.kernel!r} "
            "is not finite on these conditioning values."
        )
