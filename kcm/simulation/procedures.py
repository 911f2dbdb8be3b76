"""What a study does to each sample: tests of the library, rows of the comparison, functions."""

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from kcm._options import did_you_mean, listed
from kcm.exceptions import OptionError
from kcm.moments import FittedMoment
from kcm.simulation.findings import Finding, failure, finding_of
from kcm.simulation.held_tests import can_hold, held_findings
from kcm.simulation.subjects import Subject
from kcm.specification import KCMTest

__all__ = ["Procedure", "ThetaKnown", "as_procedures"]


class Procedure(abc.ABC):
    """A way to turn samples into findings.

    Examples
    --------
    >>> isinstance(as_procedures({"KCM": KCMTest()})["KCM"], Procedure)
    True
    """

    __slots__ = ()

    @property
    @abc.abstractmethod
    def needs_moment(self) -> bool:
        """Whether it looks at the moment of a fit."""

    @abc.abstractmethod
    def finding(self, subject: Subject, rng: np.random.Generator) -> Finding:
        """Return what is found in one sample."""

    def findings(
        self, subjects: Sequence[Subject], seeds: Sequence[np.random.SeedSequence]
    ) -> list[Finding]:
        """Return what is found in each sample; an error becomes the finding of its sample."""
        pairs = zip(subjects, seeds, strict=True)
        return [_attempted(self, subject, seed) for subject, seed in pairs]


def _attempted(procedure: Procedure, subject: Subject, seed: np.random.SeedSequence) -> Finding:
    try:
        return procedure.finding(subject, np.random.default_rng(seed))
    except Exception as error:  # of any package: counted, and the study goes on
        return failure(error)


@final
@dataclass(frozen=True, slots=True)
class ThetaKnown:
    """A test that takes theta as given, also where it was estimated: the published procedure.

    With residuals of a fit it hardly ever rejects a true model, and has little power: the law
    expects to see what fitting has removed.

    Parameters
    ----------
    test : KCMTest

    Examples
    --------
    >>> import kcm
    >>> ThetaKnown(kcm.KCMTest()).test.statistic
    'U'
    """

    test: KCMTest


@final
@dataclass(frozen=True, slots=True)
class KernelProcedure(Procedure):
    """A kernel conditional moment test."""

    test: KCMTest
    theta_known: bool = False

    @property
    def needs_moment(self) -> bool:
        return True

    def finding(self, subject: Subject, rng: np.random.Generator) -> Finding:
        return finding_of(self.test.run(self._moment(subject), rng))

    def findings(
        self, subjects: Sequence[Subject], seeds: Sequence[np.random.SeedSequence]
    ) -> list[Finding]:
        """Return what is found; deterministic laws of small samples share a compiled call."""
        held = [k for k, s in enumerate(subjects) if can_hold(self.test, s.moment)]
        together = held_findings(self.test, [self._moment(subjects[k]) for k in held])
        found = dict(zip(held, together, strict=True))
        pairs = enumerate(zip(subjects, seeds, strict=True))
        return [found[k] if k in found else _attempted(self, *pair) for k, pair in pairs]

    def _moment(self, subject: Subject) -> FittedMoment:
        moment = subject.known_moment()
        if not self.theta_known:
            return moment
        labels = replace(moment.labels, theta="known", exogenous=None)
        return FittedMoment(moment.residuals, moment.conditioning, labels=labels)


@final
@dataclass(frozen=True, slots=True)
class ComparisonProcedure(Procedure):
    """A row of `kcm.compare_tests`."""

    name: str

    @property
    def needs_moment(self) -> bool:
        return True

    def finding(self, subject: Subject, rng: np.random.Generator) -> Finding:
        from kcm.comparison import row

        found = row(self.name, subject.for_comparison(int(rng.integers(2**63))))
        if found.reason:
            return Finding(error=found.reason)
        return Finding(found.pvalue, found.statistic)


@final
@dataclass(frozen=True, slots=True)
class FunctionProcedure(Procedure):
    """A function of the fit and a generator."""

    function: Callable[[Any, np.random.Generator], Any]

    @property
    def needs_moment(self) -> bool:
        return False

    def finding(self, subject: Subject, rng: np.random.Generator) -> Finding:
        return finding_of(self.function(subject.fit, rng))


def as_procedures(given: Any) -> dict[str, Procedure]:
    """Return procedures by their names.

    Raises
    ------
    OptionError
        When there are none, or one is neither a test, a row of the comparison nor a function.
    """
    if isinstance(given, Sequence) and not isinstance(given, str):
        given = {str(name): name for name in given}
    if not isinstance(given, Mapping) or not given:
        raise OptionError(
            "`procedures` must be a mapping from names to procedures, or a list of names of "
            f"kcm.comparison.names(); got {given!r}."
        )
    return {str(name): _as_procedure(str(name), value) for name, value in given.items()}


def _as_procedure(name: str, value: Any) -> Procedure:
    if isinstance(value, Procedure):
        return value
    if isinstance(value, KCMTest):
        return KernelProcedure(value)
    if isinstance(value, ThetaKnown):
        return KernelProcedure(value.test, theta_known=True)
    if isinstance(value, str):
        return _comparison(name, value)
    if callable(value):
        return FunctionProcedure(value)
    raise OptionError(
        f"`procedures`: {name!r} must be a kcm.KCMTest, a kcm.simulation.ThetaKnown, the name of a "
        f"row of kcm.compare_tests, or a function of (fit, rng); got {value!r}."
    )


def _comparison(name: str, row: str) -> Procedure:
    from kcm.comparison import names

    known = names()
    if row not in known:
        raise OptionError(
            f"`procedures`: {name!r} is no test of kcm.compare_tests{did_you_mean(row, known)} "
            f"The tests are {listed(known, at_most=len(known))}."
        )
    return ComparisonProcedure(row)
