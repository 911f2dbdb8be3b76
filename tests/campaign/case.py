"""A generated input, what is expected of it, and what became of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import final

__all__ = ["Case", "Outcome", "Value", "Verdict"]

# Numbers and words by name, all of which must agree with the referee's.
Value = Mapping[str, float | int | str]


@final
class Verdict(StrEnum):
    """What became of an input."""

    RIGHT = "right"
    REFUSED = "refused clearly"
    WRONG = "wrong"
    CRASH = "crash"
    HANG = "hang"
    UNCLEAR = "unclear"


@final
@dataclass(frozen=True, slots=True)
class Case:
    """An input.

    Parameters
    ----------
    area : str
        The kind of input.
    told : str
        The input in words.
    call : callable
        Asks the library.
    referee : callable, optional
        Returns the value that is right; None where the input must be refused.
    rtol : float
        How far numbers may be apart.
    may_refuse : bool
        Whether a clear refusal is as good as the value that is right.
    """

    area: str
    told: str
    call: Callable[[], Value]
    referee: Callable[[], Value] | None = None
    rtol: float = 1e-6
    may_refuse: bool = False


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict on an input, with the numbers or the message that it rests on."""

    verdict: Verdict
    detail: str = ""
