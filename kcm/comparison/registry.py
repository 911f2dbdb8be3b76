"""All tests by name, in the order of the table."""

import time
from types import MappingProxyType

import numpy as np

from kcm.comparison.entry import Entry, Finding, Subject
from kcm.comparison.instrumental_rows import INSTRUMENTAL_TESTS
from kcm.comparison.kernel_rows import KERNEL_TESTS
from kcm.comparison.record import ComparisonRow
from kcm.comparison.regression_rows import REGRESSION_TESTS
from kcm.exceptions import DataError, KCMError

__all__ = ["REGISTRY", "names", "row"]

REGISTRY: MappingProxyType[str, Entry] = MappingProxyType(
    {**KERNEL_TESTS, **REGRESSION_TESTS, **INSTRUMENTAL_TESTS}
)


def names() -> tuple[str, ...]:
    """Names that `kcm.compare_tests` knows.

    Returns
    -------
    tuple of str
        In the order of the table.

    Examples
    --------
    >>> "KCM" in names() and "RESET" in names()
    True
    """
    return tuple(REGISTRY)


def row(name: str, subject: Subject) -> ComparisonRow:
    """Compute one test, or find out why it cannot be.

    Parameters
    ----------
    name : str
        A key of `REGISTRY`.
    subject : Subject

    Returns
    -------
    ComparisonRow
    """
    entry, start = REGISTRY[name], time.perf_counter()
    finding, reason = _attempt(entry, subject)
    seconds = time.perf_counter() - start
    null = _null_hypothesis(entry, subject)
    statistic, pvalue, distribution = finding
    return ComparisonRow(
        name,
        null,
        entry.concerns,
        statistic,
        distribution,
        pvalue,
        entry.consistent,
        seconds,
        reason,
    )


def _attempt(entry: Entry, subject: Subject) -> tuple[Finding, str]:
    """Return a finding and no reason, or nothing found and the reason."""
    nothing = Finding(np.nan, np.nan, "")
    try:
        return _finite(entry.compute(subject)), ""
    except KCMError as error:
        return nothing, str(error)
    except Exception as error:  # of another package: its message is the reason
        told = " ".join(str(error).split()).rstrip(".")
        return nothing, f"The computation failed with {type(error).__name__}: {told}."


def _finite(finding: Finding) -> Finding:
    statistic, pvalue = float(finding.statistic), float(finding.pvalue)
    if not np.isfinite([statistic, pvalue]).all():
        raise DataError(
            f"The statistic came out as {statistic:g} with the p-value {pvalue:g}, which is no "
            "test; look for regressors that are collinear or of very different size."
        )
    return Finding(statistic, pvalue, finding.distribution)


def _null_hypothesis(entry: Entry, subject: Subject) -> str:
    labels = subject.moment.labels
    words = {"moment": labels.moment, "conditioning": ", ".join(labels.conditioning)}
    return entry.null_hypothesis.format_map(words)
