"""One sample under test: the fit, and its moment."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from kcm.exceptions import DataError
from kcm.moments import FittedMoment
from kcm.simulation.findings import failure

if TYPE_CHECKING:
    from kcm.comparison import Subject as ComparisonSubject

__all__ = ["Subject", "subject_of"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What a design returned, fitted.

    Parameters
    ----------
    fit : fitted result or FittedMoment
    moment : FittedMoment or None
        None where no procedure looks at it, or it cannot be made.
    reason : str
        Why it cannot be made.
    """

    fit: Any
    moment: FittedMoment | None
    reason: str = ""

    def known_moment(self) -> FittedMoment:
        """Return the moment.

        Raises
        ------
        DataError
            When there is none.
        """
        if self.moment is None:
            raise DataError(self.reason)
        return self.moment

    def for_comparison(self, seed: int) -> "ComparisonSubject":
        """Return what the tests of the comparison look at."""
        from kcm.adapters import fit_name, own_groups, own_kernel
        from kcm.comparison import Subject as ComparisonSubject

        moment, fit = self.known_moment(), self.fit
        inner = getattr(fit, "_results", fit)
        return ComparisonSubject(
            inner, fit_name(fit), moment, own_kernel(fit), own_groups(fit), seed, False
        )


def subject_of(drawn: Any, needs_moment: bool) -> Subject:
    """Return the subject of what a design returned.

    Parameters
    ----------
    drawn : fitted result, FittedMoment, or (data frame, formula)
    needs_moment : bool
    """
    fit, conditioning = _fitted(drawn)
    if not needs_moment:
        return Subject(fit, None)
    from kcm.adapters import fitted_moment

    try:
        return Subject(fit, fitted_moment(fit, conditioning))
    except Exception as error:  # procedures that need no moment go on
        return Subject(fit, None, failure(error).error)


def _fitted(drawn: Any) -> tuple[Any, list[str] | None]:
    if not (isinstance(drawn, tuple) and len(drawn) == 2 and isinstance(drawn[1], str)):
        return drawn, None
    from statsmodels.regression.linear_model import OLS

    from kcm.adapters import bar_position
    from kcm.data import formula_variables

    data, formula = drawn
    bar = bar_position(formula)
    names = None if bar is None else list(formula_variables(formula, "conditioning"))
    return OLS.from_formula(formula if bar is None else formula[:bar], data).fit(), names
