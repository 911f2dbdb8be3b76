"""What each observation and each conditioning variable contribute to the statistic."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import pandas as pd
from jaxtyping import Float

from kcm.embedding.projections import Projections
from kcm.exceptions import SaturatedModelError
from kcm.null import Outcome, pvalue_text
from kcm.reporting import EXACT, Grid, draw_shares

__all__ = ["Contributions", "KernelOfVariables", "contributions", "holm"]


class KernelOfVariables(NamedTuple):
    """The test with the kernel of some variables.

    Parameters
    ----------
    excess : float
        The statistic less its mean under the null.
    pvalue : float
    fitted_exactly : bool
        Whether the model fits the mean at each value of the variables.
    """

    excess: float
    pvalue: float
    fitted_exactly: bool

    @classmethod
    def found(cls, test: Callable[[], Outcome]) -> "KernelOfVariables":
        """Return what an asymptotic test finds; nothing where the model fits every mean."""
        try:
            outcome = test()
        except SaturatedModelError:
            return cls(0.0, 1.0, True)
        # of the weighted chi-square or the Pearson III law
        law: Any = outcome.law
        return cls(outcome.contraction.statistic - float(law.mean), outcome.pvalue, False)


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Contributions:
    """Shares of n M^2 by observation and by conditioning variable.

    Attributes
    ----------
    observations : pandas.DataFrame
        One row per observation, in their order: `contribution`, what it adds to n M^2, and
        `share`, that over the sum; NaN where the sum is not positive. Some are negative.
    variables : pandas.DataFrame
        One row per conditioning variable. `share`: of the sum over the variables of n M^2, each
        with the kernel of that variable alone; `pvalue` and `pvalue_adjusted`: of the test with
        that kernel, and adjusted for the number of variables (Holm); `pvalue_without` and
        `pvalue_without_adjusted`: of the test with the kernel of all the other variables, NaN
        where there is no other. `fitted_exactly` and `fitted_exactly_without`: the model fits the
        mean at each value of the variable, or of the others, so that p = 1 with a share of 0.

    Examples
    --------
    >>> import kcm
    >>> z = np.random.default_rng(0).normal(size=(200, 4))
    >>> result = kcm.KCMTest().run(kcm.FittedMoment(z[:, 1] ** 2 - 1 + z[:, 3], z[:, :3]))
    >>> result.embedding.contributions().variable
    'x2'
    """

    observations: pd.DataFrame
    variables: pd.DataFrame

    def __repr__(self) -> str:
        return self.summary().as_text()

    def _repr_html_(self) -> str:
        return self.summary().as_html()

    @property
    def variable(self) -> str:
        """The variable whose kernel alone has the smallest p-value."""
        order = self.variables.sort_values(["pvalue", "share"], ascending=[True, False])
        return str(order.index[0])

    def summary(self) -> Grid:
        """Return the table of the variables for reading."""
        headers = "Variable", "Share", "p, alone", "adjusted", "p, without", "adjusted"
        rows = tuple(_cells(str(name), row) for name, row in self.variables.iterrows())
        note = (
            "Alone: the kernel sees this variable only. Without: it sees all others. p-values are "
            "adjusted for the number of variables by Holm's rule."
        )
        return Grid("Contributions to n M^2 by conditioning variable", headers, rows, (note,))

    def plot(self, ax: Any = None) -> Any:
        """Plot the shares of the variables as bars, with their adjusted p-values.

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
        table = self.variables
        shares, adjusted = table["share"].to_numpy(), table["pvalue_adjusted"].to_numpy()
        exact = table["fitted_exactly"].to_numpy(bool)
        return draw_shares([str(name) for name in table.index], shares, adjusted, exact, ax)


def _cells(name: str, row: pd.Series) -> tuple[str, ...]:
    share = "none" if row["fitted_exactly"] else f"{row['share']:.3f}"
    return name, share, *_told(row, ""), *_told(row, "_without")


def _told(row: pd.Series, which: str) -> tuple[str, ...]:
    if row[f"fitted_exactly{which}"]:
        return EXACT, EXACT
    keys = f"pvalue{which}", f"pvalue{which}_adjusted"
    return tuple(pvalue_text(row[key]) for key in keys)


def contributions(
    found: Projections,
    names: tuple[str, ...],
    test_of: Callable[[list[int]], KernelOfVariables],
) -> Contributions:
    """Assemble the shares.

    Parameters
    ----------
    found : Projections
        Of the test's own kernel.
    names : tuple of str
        The conditioning variables.
    test_of : callable
        From positions of variables to the test with their kernel.
    """
    every = range(len(names))
    alone = [test_of([j]) for j in every]
    others = [[k for k in every if k != j] for j in every]
    rest = [test_of(own) if own else KernelOfVariables(0.0, np.nan, False) for own in others]
    without = np.array([one.pvalue for one in rest])
    excess = np.maximum([one.excess for one in alone], 0.0)
    pvalues = np.array([one.pvalue for one in alone])
    columns = {
        "share": _shares(excess),
        "pvalue": pvalues,
        "pvalue_adjusted": holm(pvalues),
        "pvalue_without": without,
        "pvalue_without_adjusted": holm(without),
        "fitted_exactly": np.array([one.fitted_exactly for one in alone]),
        "fitted_exactly_without": np.array([one.fitted_exactly for one in rest]),
    }
    terms = found.terms - found.bias
    own = {"contribution": terms, "share": _shares(terms)}
    index = pd.Index(names, name="variable")
    return Contributions(pd.DataFrame(own), pd.DataFrame(columns, index=index))


def _shares(parts: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    total = float(parts.sum())
    return parts / total if total > 0 else np.full(len(parts), np.nan)


def holm(pvalues: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Adjust p-values for their number (Holm 1979); NaN stays.

    Examples
    --------
    >>> holm(np.array([0.01, 0.03, 0.5])).round(3)
    array([0.03, 0.06, 0.5 ])
    """
    known = ~np.isnan(pvalues)
    order = np.argsort(pvalues[known])
    factors = np.arange(len(order), 0, -1)
    steps = np.minimum(np.maximum.accumulate(pvalues[known][order] * factors), 1.0)
    adjusted = np.full(len(pvalues), np.nan)
    adjusted[np.flatnonzero(known)[order]] = steps
    return adjusted
