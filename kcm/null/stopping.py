"""When draws are enough, and what draws that stopped say of the p-value."""

import abc
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np
import scipy
from jaxtyping import Bool, Float, Int

from kcm._options import check_level
from kcm.exceptions import OptionError

__all__ = ["AllDraws", "BesagClifford", "ConfidenceSequence", "Stop", "StoppingRule", "exceeds"]

Stop = Literal["besag-clifford", "confidence"]

# Draws equal to the statistic up to rounding count as ties.
TIE = 1e-12
# A rank that is a whole number up to rounding: .05 times 1,000.
RANK = 1e-9


class StoppingRule(abc.ABC):
    """When to stop drawing, and the p-value, its interval and critical values after that.

    Each method looks at the draws in their order and at nothing beyond the draw at which it
    stops, so that the sizes of the blocks that they are computed in do not matter. `exceeding`
    says of each draw whether it is at least t; `n_resamples` is the number of draws asked for.

    Examples
    --------
    >>> import numpy as np
    >>> BesagClifford(exceedances=2).stops_at(np.array([False, True, True, False]))
    3
    """

    __slots__ = ()

    name: ClassVar[str]

    @abc.abstractmethod
    def stops_at(self, exceeding: Bool[np.ndarray, " l"]) -> int | None:
        """Return the number of draws that settle the question; None when it is open."""

    @abc.abstractmethod
    def pvalue(self, exceeding: Bool[np.ndarray, " l"], n_resamples: int) -> float:
        """Return the p-value."""

    @abc.abstractmethod
    def interval(
        self, exceeding: Bool[np.ndarray, " l"], n_resamples: int, confidence: float
    ) -> tuple[float, float]:
        """Return an interval of the p-value of infinitely many draws."""

    @abc.abstractmethod
    def critical_value(
        self, draws: Float[np.ndarray, " l"], n_resamples: int, level: float
    ) -> float:
        """Return the value that the statistic must exceed for p <= level."""


@final
@dataclass(frozen=True, slots=True)
class AllDraws(StoppingRule):
    """Draw as often as asked: p = (1 + #{draws >= t}) / (1 + n_resamples).

    Its interval is that of Clopper and Pearson (1934).

    Examples
    --------
    >>> import numpy as np
    >>> AllDraws().pvalue(np.array([False, True, True]), 3)
    0.75
    """

    name: ClassVar[str] = "none"

    def stops_at(self, exceeding: Bool[np.ndarray, " l"]) -> int | None:
        return None

    def pvalue(self, exceeding: Bool[np.ndarray, " l"], n_resamples: int) -> float:
        return counted_share(exceeding)

    def interval(
        self, exceeding: Bool[np.ndarray, " l"], n_resamples: int, confidence: float
    ) -> tuple[float, float]:
        count, n = int(exceeding.sum()), len(exceeding)
        return lower_limit(count, n, confidence), upper_limit(count, n, confidence)

    def critical_value(
        self, draws: Float[np.ndarray, " l"], n_resamples: int, level: float
    ) -> float:
        return counted_quantile(draws, level)


@final
@dataclass(frozen=True, slots=True)
class BesagClifford(StoppingRule):
    r"""Stop at the draw that is the h-th to reach the statistic.

    With l draws then, p = h / l; where all draws are made, p = (1 + g) / (1 + n_resamples) with g
    of them at least t. P(p <= a) = a at every value a that p can take, when statistic and draws
    are exchangeable and have no ties.

    The interval is exact: its ends are the p at which an l (or a g) this far out has probability
    (1 - confidence) / 2.

    Parameters
    ----------
    exceedances : int
        h.

    References
    ----------
    Besag and Clifford (1991), Sequential Monte Carlo p-values, Biometrika 78, 301-304.

    Examples
    --------
    >>> import numpy as np
    >>> BesagClifford(exceedances=1).pvalue(np.array([False, False, False, True]), 999)
    0.25
    """

    name: ClassVar[str] = "besag-clifford"

    exceedances: int

    def stops_at(self, exceeding: Bool[np.ndarray, " l"]) -> int | None:
        return first(np.cumsum(exceeding) == self.exceedances)

    def pvalue(self, exceeding: Bool[np.ndarray, " l"], n_resamples: int) -> float:
        stop = self._settled(exceeding, n_resamples)
        return counted_share(exceeding) if stop is None else self.exceedances / stop

    def interval(
        self, exceeding: Bool[np.ndarray, " l"], n_resamples: int, confidence: float
    ) -> tuple[float, float]:
        stop, h = self._settled(exceeding, n_resamples), self.exceedances
        if stop is None:
            return AllDraws().interval(exceeding, n_resamples, confidence)
        # l draws or fewer: h of l reach t. l or more: at most h - 1 of the l - 1 before do
        return lower_limit(h, stop, confidence), upper_limit(h - 1, stop - 1, confidence)

    def critical_value(
        self, draws: Float[np.ndarray, " l"], n_resamples: int, level: float
    ) -> float:
        """Return the value that the statistic must exceed for p <= level.

        h / l <= level when fewer than h of the first h / level - 1 draws reach the statistic. Not
        a number where the draws stopped before these; the p-value is then above the level.
        """
        needed = math.ceil(self.exceedances / level - RANK) - 1
        if needed <= len(draws):
            return float(np.sort(draws[:needed])[-self.exceedances])
        return counted_quantile(draws, level) if len(draws) == n_resamples else math.nan

    def _settled(self, exceeding: Bool[np.ndarray, " l"], n_resamples: int) -> int | None:
        stop = self.stops_at(exceeding)
        if stop is None and len(exceeding) < n_resamples:
            raise OptionError(
                f"the p-value of this `t` is not known: drawing stopped after {len(exceeding):,} "
                f"of {n_resamples:,} draws, and only {int(exceeding.sum())} of them reach `t`, not "
                f"the {self.exceedances} that its p-value needs. Pass a `t` up to the statistic, "
                "or draw without `stop`."
            )
        return stop


@final
@dataclass(frozen=True, slots=True)
class ConfidenceSequence(StoppingRule):
    r"""Stop once intervals that hold at every draw at once exclude the level.

    With g of l draws at least t, the interval of confidence 1 - a holds the p with

    .. math:: (l + 1) \tbinom{l}{g} p^g (1 - p)^{l - g} > a .

    The reciprocal of the left-hand side is a martingale of mean 1 under p, so the p of infinitely
    many draws is ever excluded with probability at most a (Robbins 1970), and whenever the draws
    are stopped the interval holds. The p-value is (1 + g) / (1 + l), which is below the level
    where the interval is, and above it where the interval is.

    Parameters
    ----------
    level : float
        The level to exclude.
    risk : float
        a of the intervals that stop the draws: the largest probability of stopping on the wrong
        side of the level.

    References
    ----------
    Robbins (1970), Statistical methods related to the law of the iterated logarithm, Annals of
    Mathematical Statistics 41, 1397-1409. Lai (1976), On confidence sequences, Annals of
    Statistics 4, 265-280. Ding, Gandy and Hahn (2020), A simple method for implementing Monte
    Carlo tests, Computational Statistics 35, 1373-1392.

    Examples
    --------
    >>> import numpy as np
    >>> ConfidenceSequence(level=0.05, risk=0.001).stops_at(np.ones(100, dtype=bool))
    3
    """

    name: ClassVar[str] = "confidence"

    level: float
    risk: float

    def stops_at(self, exceeding: Bool[np.ndarray, " l"]) -> int | None:
        drawn = np.arange(1, len(exceeding) + 1)
        evidence = log_evidence(np.cumsum(exceeding), drawn, self.level)
        return first(evidence >= -math.log(self.risk))

    def pvalue(self, exceeding: Bool[np.ndarray, " l"], n_resamples: int) -> float:
        return counted_share(exceeding)

    def interval(
        self, exceeding: Bool[np.ndarray, " l"], n_resamples: int, confidence: float
    ) -> tuple[float, float]:
        return evidence_interval(int(exceeding.sum()), len(exceeding), confidence)

    def critical_value(
        self, draws: Float[np.ndarray, " l"], n_resamples: int, level: float
    ) -> float:
        """Return the value that the statistic must exceed for p <= level.

        Not a number where the draws stopped before p could be this small.
        """
        value = counted_quantile(draws, level)
        return math.nan if value == math.inf and len(draws) < n_resamples else value


def exceeds(draws: Float[np.ndarray, " l"], t: float) -> Bool[np.ndarray, " l"]:
    """Say of each draw whether it is at least t, up to rounding.

    The rounding error is that of the largest draw so far: what comes later changes no answer.
    """
    largest = np.maximum.accumulate(np.abs(draws))
    return draws >= t - TIE * np.maximum(abs(t), largest)


def first(flags: Bool[np.ndarray, " l"]) -> int | None:
    """Return the number of draws up to the first flag; None without one."""
    return int(np.argmax(flags)) + 1 if flags.any() else None


def counted_share(exceeding: Bool[np.ndarray, " l"]) -> float:
    """Return (1 + g) / (1 + l)."""
    return float((1 + np.sum(exceeding)) / (1 + len(exceeding)))


def counted_quantile(draws: Float[np.ndarray, " l"], level: float) -> float:
    """Return the draw that t must exceed for (1 + g) / (1 + l) <= level; infinite without one."""
    rank = math.floor(level * (1 + len(draws)) + RANK)
    return float(np.sort(draws)[-rank]) if rank > 0 else math.inf


def lower_limit(count: int, n: int, confidence: float) -> float:
    """Return the p at which `count` or more of n have probability (1 - confidence) / 2."""
    tail = (1 - confidence) / 2
    return float(scipy.special.betaincinv(count, n - count + 1, tail)) if count > 0 else 0.0


def upper_limit(count: int, n: int, confidence: float) -> float:
    """Return the p at which `count` or fewer of n have probability (1 - confidence) / 2."""
    tail = (1 - confidence) / 2
    return float(scipy.special.betainccinv(count + 1, n - count, tail)) if count < n else 1.0


def log_evidence(
    count: Int[np.ndarray, "*l"] | int, n: Int[np.ndarray, "*l"] | int, p: float
) -> Float[np.ndarray, "*l"]:
    """Return -log[(n + 1) C(n, count) p^count (1 - p)^(n - count)]: evidence against p."""
    likelihood = scipy.special.xlogy(count, p) + scipy.special.xlog1py(n - count, -p)
    return np.asarray(scipy.special.betaln(count + 1, n - count + 1) - likelihood)


def evidence_interval(count: int, n: int, confidence: float) -> tuple[float, float]:
    """Return the p with evidence below 1 / (1 - confidence)."""

    def excess(p: float) -> float:
        return float(log_evidence(count, n, p)) + math.log1p(-confidence)

    # the evidence is smallest, and negative, at the share
    share = count / n
    low = scipy.optimize.bisect(excess, 0.0, share, xtol=1e-15) if count > 0 else 0.0
    high = scipy.optimize.bisect(excess, share, 1.0, xtol=1e-15) if count < n else 1.0
    return float(low), float(high)


def stopping_rule(
    stop: Stop | None, level: float | None, exceedances: int | None, risk: float | None
) -> StoppingRule:
    """Return the rule of the options of `MultiplierBootstrap`, with its defaults."""
    if stop == "besag-clifford":
        return BesagClifford(10 if exceedances is None else int(exceedances))
    if stop == "confidence":
        return ConfidenceSequence(0.05 if level is None else level, 1e-3 if risk is None else risk)
    return AllDraws()


def check_stopping(
    stop: Stop | None, level: float | None, exceedances: int | None, risk: float | None
) -> None:
    """Refuse options outside their range, and options of another rule."""
    options = {"level": level, "exceedances": exceedances, "resampling_risk": risk}
    for name, value in options.items():
        _check_used(name, value, stop)
    if exceedances is not None:
        _check_exceedances(exceedances)
    if level is not None:
        check_level(level)
    if risk is not None:
        check_level(risk, "resampling_risk")


def _check_used(name: str, value: object, stop: Stop | None) -> None:
    rule = "besag-clifford" if name == "exceedances" else "confidence"
    if value is not None and stop != rule:
        raise OptionError(
            f'`{name}` is an option of `stop="{rule}"`, and here `stop` is {stop!r}; leave '
            f'`{name}` out or pass `stop="{rule}"`.'
        )


def _check_exceedances(exceedances: Any) -> None:
    whole = isinstance(exceedances, int | np.integer) and not isinstance(exceedances, bool)
    if not (whole and exceedances >= 1):
        raise OptionError(f"`exceedances` must be an int, at least 1; got {exceedances!r}.")
