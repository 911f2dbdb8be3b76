"""Kernel conditional moment tests: one row per kernel and null law."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, final

import numpy as np

from kcm.comparison.entry import Entry, Finding, Subject
from kcm.null import Asymptotic, Null
from kcm.omnibus import KCMTest

__all__ = ["KERNEL_TESTS"]

_MEAN = "E[{moment} | {conditioning}] = 0"


@final
@dataclass(frozen=True, slots=True)
class KernelSpec:
    """How a row calls `kcm.KCMTest`.

    Parameters
    ----------
    kernel : callable
        From a `Subject` to the argument `kernel`.
    null : callable
        From a `Subject` to the null law.
    """

    kernel: Callable[[Subject], Any]
    null: Callable[[Subject], Null]


def _computed(subject: Subject) -> Null:
    return Asymptotic(groups=subject.groups)


def _finding(spec: KernelSpec, subject: Subject) -> Finding:
    test = KCMTest(spec.kernel(subject), null=spec.null(subject), progress=subject.progress)
    result = test.run(subject.moment, np.random.default_rng(subject.seed))
    law = result.null_distribution.describe()
    exact = result.certificate.method == "exact"
    return Finding(result.statistic, result.pvalue, law if exact else f"{law}, low-rank")


def _entry(spec: KernelSpec, null: str = _MEAN, consistent: bool = True) -> Entry:
    return Entry(null, "mean", consistent, partial(_finding, spec))


KERNEL_TESTS: MappingProxyType[str, Entry] = MappingProxyType(
    {
        "KCM": _entry(KernelSpec(lambda subject: subject.kernel, _computed)),
        "KCM adaptive": _entry(KernelSpec(lambda subject: "adaptive", _computed)),
    }
)
