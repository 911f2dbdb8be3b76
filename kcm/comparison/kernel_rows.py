"""Kernel conditional moment tests: one row per kernel, all with the law of the wild bootstrap."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, final

from kcm.comparison.conditioned import as_given, numbers_only, on_fitted_values, standardised
from kcm.comparison.entry import Entry, Finding, Subject
from kcm.exceptions import DataError
from kcm.kernels import ICM, HsiaoLiRacine, Kernel, Orthant, Projection, Smooth, SmoothICM
from kcm.moments import FittedMoment
from kcm.null import Asymptotic
from kcm.specification import KCMTest
from kcm.statistic import StatisticName

__all__ = ["KERNEL_TESTS"]

_MEAN = "E[{moment} | {conditioning}] = 0"
# Kernels that average over the sample take n^3 steps in two columns or more: about a minute.
_MOST_ROWS = MappingProxyType({"Orthant": 4_000, "Projection": 1_000})


@final
@dataclass(frozen=True, slots=True)
class KernelSpec:
    """How a row calls `kcm.KCMTest`.

    Parameters
    ----------
    kernel : callable
        From a `Subject` to the argument `kernel`.
    statistic : {"U", "V"}
    moment : callable
        From a `Subject` to the moment, with the conditioning variables that the kernel takes.
    """

    kernel: Callable[[Subject], Any]
    statistic: StatisticName = "U"
    moment: Callable[[Subject], FittedMoment] = as_given


def _finding(spec: KernelSpec, subject: Subject) -> Finding:
    moment = spec.moment(subject)
    kernel, null = spec.kernel(subject), Asymptotic(groups=subject.groups)
    _check_size(kernel, moment)
    test = KCMTest(kernel, spec.statistic, null, progress=subject.progress)
    result = test.run(moment)
    law = result.null_distribution.describe()
    exact = result.certificate.method == "exact"
    return Finding(result.statistic, result.pvalue, law if exact else f"{law}, low-rank")


def _check_size(kernel: Any, moment: FittedMoment) -> None:
    name, (n, d) = type(kernel).__name__, moment.conditioning.shape
    most = _MOST_ROWS.get(name, n)
    if d > 1 and n > most:
        raise DataError(
            f"This test takes n^3 steps where it conditions on more than one variable, and is made "
            f"here for up to {most:,} observations; there are {n:,}. For more call "
            f"kcm.specification_test with kcm.kernels.{name}() and be patient."
        )


def _entry(spec: KernelSpec, null: str = _MEAN, consistent: bool = True) -> Entry:
    return Entry(null, "mean", consistent, partial(_finding, spec))


def _always(kernel: Kernel | str) -> Callable[[Subject], Any]:
    return lambda subject: kernel


def _of_estimate(subject: Subject) -> Kernel | None:
    return subject.kernel


def _random_directions(subject: Subject) -> Kernel:
    return SmoothICM(seed=subject.seed)


def _mixed(subject: Subject) -> Kernel:
    return HsiaoLiRacine(subject.moment.labels.kinds)


# Bierens (1990): consistency needs the bounded transform. Without points Orthant and Projection
# take those of the sample.
_ICM, _ORTHANT, _PROJECTION = ICM(transform="arctan"), Orthant(None), Projection(None)
# Of several variables Dominguez and Lobato's test with estimated variables looks at one.
_FITTED = "E[{moment} | fitted value] = 0"

KERNEL_TESTS: MappingProxyType[str, Entry] = MappingProxyType(
    {
        "KCM": _entry(KernelSpec(_of_estimate)),
        "KCM adaptive": _entry(KernelSpec(_always("adaptive"))),
        "ICM": _entry(KernelSpec(_always(_ICM), "V", numbers_only)),
        "Stute": _entry(KernelSpec(_always(_ORTHANT), "V", numbers_only)),
        "Escanciano": _entry(KernelSpec(_always(_PROJECTION), "V", standardised)),
        "Zheng": _entry(KernelSpec(_always(Smooth()), "U", numbers_only)),
        "Hsiao-Li-Racine": _entry(KernelSpec(_mixed)),
        "Lavergne-Patilea": _entry(KernelSpec(_random_directions, "U", numbers_only)),
        "Dominguez-Lobato": _entry(
            KernelSpec(_always(_ORTHANT), "V", on_fitted_values), _FITTED, consistent=False
        ),
    }
)
