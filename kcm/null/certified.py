"""The road from a fitted moment to its p-value: exact or low-rank, decided from sizes."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import numpy as np
from jaxtyping import Int

from kcm.exceptions import DataError
from kcm.gram import (
    KERNEL_COST,
    Execution,
    GramOperator,
    LowRankGram,
    TiledGram,
    affordable_rank,
    least_tolerance,
    low_rank_gram,
    refined,
)
from kcm.kernels import Kernel
from kcm.moments import FittedMoment, group_codes
from kcm.null import Null, NullDistribution
from kcm.null.certificate import Certificate, pvalue_interval
from kcm.null.residual_bounds import residual_bounds
from kcm.statistic import Contraction, StatisticName, contract

__all__ = [
    "Computation",
    "Method",
    "Outcome",
    "Problem",
    "exact_outcome",
    "exact_work",
    "left_open",
    "open_levels",
    "pass_work",
    "released",
    "takes_all_pairs",
]

Method = Literal["auto", "exact", "low-rank"]

# Products of a kernel value and a number that "auto" takes for the exact method, and that it takes
# once a low-rank p-value leaves a decision open: about 10 s and 100 s on two cores.
EXACT_WORK = 5e11
VERIFYING_WORK = 5e12
TOLERANCE = 0.01
# A decision left open is looked at once more with the tolerance divided by this, which takes about
# as much work again: the rank grows by a third, and the work with its square.
REFINEMENT = 2
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
        problem = Problem(moment, kernel, statistic, null, rng, self.execution)
        with self.execution.on_device():
            return released(self._by_method(problem, self.tolerance or TOLERANCE))

    def _by_method(self, problem: "Problem", tolerance: float) -> Outcome:
        if self.method == "low-rank":
            return problem.low_rank(problem.factored(tolerance), tolerance)
        only_exact = problem.kernel.conditionally_positive or problem.null.needs_all_pairs
        all_pairs = takes_all_pairs(problem.moment, problem.null)
        if self.method == "exact" or only_exact or all_pairs:
            return problem.exact()
        return _until_decided(problem, tolerance)


def released(outcome: Outcome) -> Outcome:
    """Return an outcome that holds no low-rank factor: several kernels would hold one each."""
    contraction = outcome.contraction
    if not isinstance(contraction.gram, LowRankGram):
        return outcome
    tiled = TiledGram(contraction.kernel, contraction.conditioning, contraction.gram.execution)
    light = dataclasses.replace(contraction, gram=tiled, source=tiled, inner=contraction.inner[:0])
    return outcome._replace(contraction=light)


def _until_decided(problem: "Problem", tolerance: float) -> Outcome:
    """Refine a low-rank test that leaves the decision at a usual level open."""
    state, notes = problem.rng.bit_generator.state, list[str]()
    gram = problem.factored(tolerance)
    outcome = problem.low_rank(gram, tolerance)
    if open_levels(outcome.certificate) and problem.refinable(outcome, tolerance):
        tolerance /= REFINEMENT
        notes.append(f"{_left_open(outcome)}; tolerance lowered to {tolerance:.2g}")
        problem.rng.bit_generator.state = state
        gram = refined(gram, tolerance, problem.most_rank())
        outcome = problem.low_rank(gram, tolerance)
    if open_levels(outcome.certificate) and problem.exact_work() <= VERIFYING_WORK:
        notes.append(f"{_left_open(outcome)}; computed exactly")
        problem.rng.bit_generator.state = state
        outcome = problem.exact()
    elif open_levels(outcome.certificate):
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


def _unbounded(interval: tuple[float, float], law: NullDistribution) -> tuple[str, ...]:
    if interval != (0.0, 1.0):
        return ()
    return (
        "how far this p-value is from that of the exact method is not known for this factor and "
        f"law ({law.describe()})",
    )


def open_levels(certificate: Certificate) -> list[float]:
    """Return the usual levels at which a certificate leaves the decision open."""
    return [level for level in LEVELS if certificate.straddles(level)]


def left_open(certificate: Certificate) -> str:
    """Return the beginning of a sentence on a decision that is open."""
    levels = " and ".join(f"{level:g}" for level in open_levels(certificate))
    return f"left the decision at level {levels} open"


def _left_open(outcome: Outcome) -> str:
    return f"rank {outcome.certificate.rank:,} {left_open(outcome.certificate)}"


@final
@dataclass(frozen=True, slots=True)
class Problem:
    """A moment, a kernel and a null law to be found, on one road or the other."""

    moment: FittedMoment
    kernel: Kernel
    statistic: StatisticName
    null: Null
    rng: np.random.Generator
    execution: Execution

    def exact(self) -> Outcome:
        """Return what the test finds with all pairs."""
        gram = TiledGram(self.kernel, self.moment.conditioning, self.execution)
        return exact_outcome(self.moment, gram, self.statistic, self.null, self.rng)

    def low_rank(self, gram: LowRankGram, tolerance: float, n_statistics: int = 1) -> Outcome:
        """Approximate the null law; the statistic too where one exact pass is too much work.

        Where the factor misses the tolerance the statistic is low-rank in any case: what the law
        leaves out may then not be small, and the statistic must leave out the same. `n_statistics`
        are found within the same work.
        """
        exact = n_statistics * pass_work(self.moment) <= EXACT_WORK
        exact = exact and gram.residual_share <= tolerance
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
        notes = *_missed(gram, tolerance), *_unbounded(interval, law)
        certificate = Certificate(*found, notes)
        return Outcome(contraction, law, certificate, law.pvalue(contraction.statistic))

    def factored(self, tolerance: float) -> LowRankGram:
        """Return the low-rank Gram matrix."""
        how = tolerance, self.most_rank(), self.execution
        return low_rank_gram(self.kernel, self.moment.conditioning, *how)

    def most_rank(self) -> int:
        """Return the largest rank that can be held."""
        return affordable_rank(self.moment.n_obs, self.execution)

    def exact_work(self) -> float:
        """Return the products that the exact test takes."""
        return exact_work(self.moment, self.null)

    def refinable(self, outcome: Outcome, tolerance: float) -> bool:
        """Tell whether a lower tolerance may be met by a factor that can be held."""
        least = least_tolerance(self.moment.n_obs, self.execution)
        met = outcome.certificate.residual_share <= tolerance
        return met and tolerance / REFINEMENT >= least


def takes_all_pairs(moment: FittedMoment, null: Null, n_kernels: int = 1) -> bool:
    """Tell whether the exact method is within the work that "auto" takes for it.

    Parameters
    ----------
    moment : FittedMoment
    null : Null
    n_kernels : int
        Default 1.
    """
    return n_kernels * exact_work(moment, null) <= EXACT_WORK


def exact_work(moment: FittedMoment, null: Null) -> float:
    """Return the products that the exact statistic of one kernel and its null law take."""
    n, q = moment.residuals.shape
    n_multipliers = int(group_codes(null.groups, n).max()) + 1
    return pass_work(moment) + float(n**2 * null.products_per_pair(n, n_multipliers, q))


def pass_work(moment: FittedMoment) -> float:
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
    interval = law.computation_interval(contraction.statistic, pvalue)
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
