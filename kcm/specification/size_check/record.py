"""The record of a size check."""

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from kcm.exceptions import DataError
from kcm.reporting import Grid, draw_rates

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SizeCheck", "SizeRate"]

# A law rejects too often where its rate is above the level by this factor, and beyond two standard
# errors; too seldom where it is below the level by the other one.
TOO_OFTEN = 1.5
TOO_SELDOM = 0.5


@final
@dataclass(frozen=True, slots=True)
class SizeRate:
    """How often one law rejects right models with one law of errors.

    Attributes
    ----------
    law : str
        The null law.
    errors : str
        The law of the errors.
    rate : float
        Share of samples rejected.
    bse : float
        Its standard error.
    n_replications : int
        Samples that had a p-value.
    code : str
        What asks for the law in a test; empty for the law used.

    Examples
    --------
    >>> SizeRate("asymptotic", "normal, of equal variance", 0.05, 0.015, 200).rejects_too_often(
    ...     0.05
    ... )
    False
    """

    law: str
    errors: str
    rate: float
    bse: float
    n_replications: int
    code: str = ""

    def rejects_too_often(self, level: float) -> bool:
        """Whether a right model is rejected more often than promised, beyond chance."""
        return self.rate > TOO_OFTEN * level and self.rate - 2 * self.bse > level

    def rejects_too_seldom(self, level: float) -> bool:
        """Whether a right model is rejected less than half as often as promised, beyond chance."""
        return self.rate + 2 * self.bse < TOO_SELDOM * level


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SizeCheck:
    """How often right models on the user's own regressors are rejected.

    Regressors, instruments and conditioning variables are those of the sample; what is drawn are
    errors of a model that is right:

    - as large as the residuals of the sample, each row left out (as in HC3), with random signs; in
      a two-stage least squares fit the errors of both stages change sign together;
    - normal with equal variances, with those that weights say, and with a standard deviation
      sqrt(.1 + .9 z^2) that grows with a conditioning variable z, at most three of them;
    - of logits, counts and other generalised linear models, outcomes from the family at the fitted
      means, and overdispersed ones where there are such.

    In clusters the signs are shared, and normal errors correlated as the residuals are. The refit
    is the projection psi* = e + S (1/n) sum_j L_j e_j, exact for least squares and of first order
    for others; two-stage least squares is fitted anew, first stage included.

    Attributes
    ----------
    level : float
    n_obs : int
        Rows of a simulated sample.
    rates : tuple of SizeRate
        Those of the law used with every law of errors, then those of other null laws where the law
        used is worst, and where it fails with the errors that the residuals show too.
    notes : tuple of str
        What the simulation leaves out.

    Examples
    --------
    >>> import numpy as np
    >>> import kcm
    >>> x, psi = np.random.default_rng(0).normal(size=(2, 60))
    >>> result = kcm.KCMTest().run(kcm.FittedMoment(psi, x))
    >>> check = result.size_check(20)
    >>> check.worst.rate < 0.25
    True
    """

    level: float
    n_obs: int
    rates: tuple[SizeRate, ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        worst = self.worst
        return f"SizeCheck(law={worst.law!r}, worst={worst.rate:.3g}, level={self.level:g})"

    def _repr_html_(self) -> str:
        return self.summary().as_html()

    @property
    def used(self) -> tuple[SizeRate, ...]:
        """The rates of the law of the test, the errors that the residuals show first."""
        return tuple(rate for rate in self.rates if not rate.code)

    @property
    def worst(self) -> SizeRate:
        """The largest rate of the law of the test."""
        return max(self.used, key=lambda rate: rate.rate)

    @property
    def holds(self) -> bool:
        """Whether the law of the test rejects no more often than promised, up to chance."""
        return not any(rate.rejects_too_often(self.level) for rate in self.used)

    @property
    def recommendation(self) -> str:
        """What to do, in a sentence."""
        worst, level = self.worst, _percent(self.level)
        if all(rate.rejects_too_seldom(self.level) for rate in self.used):
            return _cautious(worst, self._better(), level)
        if self.holds:
            return f"Keep the law: a right model is not rejected more often than {level} promises."
        better = self._better()
        if better is None:
            return (
                f"No other law does clearly better: read a p-value just below {self.level:g} as "
                "one that is not small."
            )
        return (
            f"Use null={better.code}, which rejects {_percent(better.rate)} "
            f"where the law used rejects {_percent(worst.rate)}."
        )

    def _better(self) -> SizeRate | None:
        """Return the worst rate of the other law whose worst rate is nearest to the level."""
        codes = dict.fromkeys(rate.code for rate in self.rates if rate.code)
        worst = [max((r for r in self.rates if r.code == code), key=_rate) for code in codes]
        fair = [rate for rate in worst if abs(rate.rate - self.level) < self._distance() / 2]
        return min(fair, key=lambda rate: abs(rate.rate - self.level), default=None)

    def _distance(self) -> float:
        return abs(self.worst.rate - self.level)

    @property
    def sentence(self) -> str:
        """How often the law of the test rejects right models on data like these."""
        first, worst = self.used[0], self.worst
        text = (
            f"On data like these a right model is rejected at {_percent(self.level)} in "
            f"{_percent(first.rate)} of samples (s.e. {_percent(first.bse)}) by the law used"
        )
        if worst.rate <= first.rate:
            return f"{text}, whatever the errors."
        return f"{text}, and in {_percent(worst.rate)} with other errors ({worst.errors})."

    def summary(self) -> Grid:
        """Return the table of rates, with the recommendation.

        Returns
        -------
        Grid
            Prints as text; `as_html()` and `as_latex()` for documents.
        """
        rows = tuple(
            (rate.law, rate.errors, f"{rate.rate:.3f}", f"{rate.bse:.3f}") for rate in self.rates
        )
        headers = ("Null law", "Errors", f"Rejected at {self.level:g}", "s.e.")
        notes = (self.sentence, self.recommendation, *self.notes)
        return Grid("Size check: right models on these regressors", headers, rows, notes)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain numbers and words, ready for JSON."""
        return {
            "level": self.level,
            "n_obs": self.n_obs,
            "worst": self.worst.rate,
            "holds": self.holds,
            "recommendation": self.recommendation,
            "rates": [dataclasses.asdict(rate) for rate in self.rates],
            "notes": list(self.notes),
        }

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with a row for each null law and law of errors."""
        import pandas as pd

        return pd.DataFrame([dataclasses.asdict(rate) for rate in self.rates])

    def plot(self, ax: Any = None) -> Any:
        """Plot the rates with two standard errors to each side, and the level.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Default: a new figure.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        OptionError
            When matplotlib is not installed.
        """
        names = [f"{rate.law}: {rate.errors}" for rate in self.rates]
        used = [not rate.code for rate in self.rates]
        rates, errors = [rate.rate for rate in self.rates], [rate.bse for rate in self.rates]
        return draw_rates(names, rates, errors, used, self.level, ax)


def rate_of(law: str, errors: str, n_rejected: int, n_computed: int, code: str) -> SizeRate:
    """Return a rate with its standard error, of at least one rejection.

    Raises
    ------
    DataError
        When no sample had a p-value.
    """
    if n_computed == 0:
        raise DataError(
            f"`size_check` found no p-value in any sample ({law}; errors {errors}): no pair of "
            "observations is within reach of the kernel. Use a wider bandwidth."
        )
    rate = n_rejected / n_computed
    inside = min(max(rate, 1 / n_computed), 1 - 1 / n_computed) if n_computed > 1 else 0.5
    return SizeRate(
        law, errors, rate, math.sqrt(inside * (1 - inside) / n_computed), n_computed, code
    )


def _rate(rate: SizeRate) -> float:
    return rate.rate


def _cautious(worst: SizeRate, better: SizeRate | None, level: str) -> str:
    text = f"A right model is rejected in at most {_percent(worst.rate)} instead of {level}"
    if better is None:
        return f"{text}: the test is cautious, and has less power than it could have."
    return f"{text}; null={better.code} rejects {_percent(better.rate)} and has more power."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share != round(share, 2) else f"{100 * share:.0f} %"
