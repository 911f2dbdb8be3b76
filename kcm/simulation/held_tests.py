"""Tests of many small samples: their Gram matrices in one compiled call, their laws one by one.

The numbers of a sample do not depend on the others, to the last bit, so that a study cut into
other batches, or none, gives the same p-values.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kcm.gram import HeldGram, held_grams
from kcm.kernels import Kernel
from kcm.moments import FittedMoment
from kcm.null import MAX_EIGENVALUES, Asymptotic, Outcome, exact_outcome
from kcm.simulation.findings import Finding, failure
from kcm.specification import KCMTest, check_moment, kernels_on, projected, together

__all__ = ["can_hold", "held_findings"]


def can_hold(test: KCMTest, moment: FittedMoment | None) -> bool:
    """Tell whether a test needs nothing but the Gram matrix, held, and draws nothing."""
    deterministic = test.null is None or isinstance(test.null, Asymptotic)
    plain = test.method != "low-rank" and test.precision != "single"
    here = test.device is None and test.mesh is None and test.memory_limit is None
    small = moment is not None and moment.n_obs <= MAX_EIGENVALUES
    return deterministic and plain and here and small


def held_findings(test: KCMTest, moments: Sequence[FittedMoment]) -> list[Finding]:
    """Test moments; an error becomes the finding of its moment."""
    prepared = [_prepared(test, moment) for moment in moments]
    pairs = [(kernel, one[0].conditioning) for one in prepared if one[1] for kernel in one[1]]
    grams = iter(held_grams([k for k, _ in pairs], [x for _, x in pairs]) if pairs else [])
    return [_finding(test, *one, [next(grams) for _ in one[1]]) for one in prepared]


def _prepared(test: KCMTest, moment: FittedMoment) -> tuple[Any, tuple[Kernel, ...]]:
    """Return a moment and its kernels, or the finding of what went wrong and none."""
    try:
        check_moment(moment)
        own = projected(moment, test.projection)
        return own, kernels_on(own, test.kernel)
    except Exception as error:
        return failure(error), ()


def _finding(
    test: KCMTest, own: Any, kernels: tuple[Kernel, ...], grams: Sequence[HeldGram]
) -> Finding:
    if isinstance(own, Finding):
        return own
    try:
        found = together([_outcome(test, own, gram) for gram in grams], test)
        return Finding(found.pvalue, found.statistic)
    except Exception as error:
        return failure(error)


def _outcome(test: KCMTest, moment: FittedMoment, gram: HeldGram) -> Outcome:
    # the law draws nothing
    how = test.statistic, test.null or Asymptotic(), np.random.default_rng(0)
    return exact_outcome(moment, gram, *how)
