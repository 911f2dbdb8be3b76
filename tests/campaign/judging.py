"""From an input to a verdict."""

import math
import re
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np

from kcm.exceptions import KCMError

from .case import Case, Outcome, Value, Verdict

__all__ = ["is_clear", "judge"]

LIMIT = 60
# The argument, column or row that a message is about.
_SUBJECT = re.compile(r"`[^`]+`|'[^']+'|\bkcm\.\w+")
# What to do about it.
_REMEDY = re.compile(
    r"\b(must|pass|use|give|name|fit|refit|leave|build|call|choose|add|write|make|take|drop|fill"
    r"|replace|rescale|subtract|divide|multiply|convert|join|merge|set|rely|expected|needs?|supported|only"
    r"|did you mean|aggregate|install|weights|the tests are|the columns are)\b",
    re.IGNORECASE,
)


class _HangError(BaseException):
    """The input took longer than the limit; no handler of ordinary errors may catch it."""


@contextmanager
def _limited() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _HangError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def is_clear(message: str) -> bool:
    """Whether a message is a sentence that names its subject and what to do."""
    text = message.strip()
    ends = text.endswith((".", "?", "!", ")"))
    return ends and bool(_SUBJECT.search(text)) and bool(_REMEDY.search(text))


def judge(case: Case) -> Outcome:
    """Ask the library, ask the referee, and compare."""
    with (
        warnings.catch_warnings(record=True) as raised,
        np.errstate(divide="warn", over="warn", invalid="warn"),
    ):
        warnings.simplefilter("always")
        answer = _attempt(case.call)
    if isinstance(answer, Outcome):
        return _refusal(case, answer)
    strange = [w for w in raised if not _is_expected(w)]
    if strange:
        return Outcome(
            Verdict.UNCLEAR, f"warned {strange[0].category.__name__}: {strange[0].message}"
        )
    if case.referee is None:
        return Outcome(Verdict.WRONG, f"accepted: {dict(answer)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        right = _attempt(case.referee)
    if isinstance(right, Outcome):
        return Outcome(Verdict.WRONG, f"{dict(answer)}, and the referee refuses: {right.detail}")
    apart = _differences(answer, right, case.rtol)
    return Outcome(Verdict.WRONG, apart) if apart else Outcome(Verdict.RIGHT)


def _attempt(call: Callable[[], Value]) -> Value | Outcome:
    try:
        with _limited():
            return call()
    except _HangError:
        return Outcome(Verdict.HANG, f"over {LIMIT} s")
    except KCMError as error:
        message = f"{type(error).__name__}: {error}"
        return Outcome(Verdict.REFUSED if is_clear(message) else Verdict.UNCLEAR, message)
    # the campaign looks for whatever may be raised
    except (Exception, SystemExit) as error:
        first = str(error).partition("\n")[0]
        return Outcome(Verdict.UNCLEAR, f"{type(error).__name__}: {first}")


def _refusal(case: Case, answer: Outcome) -> Outcome:
    """A clear refusal is right where one is expected, or the referee is refused too."""
    if answer.verdict is not Verdict.REFUSED or case.referee is None or case.may_refuse:
        return answer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        right = _attempt(case.referee)
    if isinstance(right, Outcome) and right.verdict is Verdict.REFUSED:
        return answer
    return Outcome(Verdict.WRONG, f"refused what the referee answers: {answer.detail}")


def _is_expected(warning: warnings.WarningMessage) -> bool:
    """Warnings of kcm, and those that other packages give of the fit."""
    module = warning.category.__module__.split(".")[0]
    return module in ("kcm", "statsmodels", "linearmodels")


def _differences(answer: Value, right: Value, rtol: float) -> str:
    """Say what differs; nothing where all agrees."""
    if set(answer) != set(right):
        return f"{sorted(answer)} for {sorted(right)}"
    apart = [name for name in right if not _agree(answer[name], right[name], rtol)]
    return "; ".join(f"{name}: {answer[name]!r} for {right[name]!r}" for name in apart)


def _agree(one: float | str, other: float | str, rtol: float) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return math.isclose(one, other, rel_tol=rtol, abs_tol=1e-12) or (
        math.isnan(one) and math.isnan(other)
    )
