"""The records of a comparison: one row per test, and the table of all."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np

from kcm._options import did_you_mean, listed
from kcm.comparison.drawing import draw
from kcm.exceptions import OptionError
from kcm.null import pvalue_text
from kcm.reporting import Grid, residual_words

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ComparisonRow", "ComparisonTable", "Concern"]

Concern = Literal["mean", "mean and variance", "variance", "instruments"]

_HEADERS = ("Test", "p-value", "Consistent", "Statistic", "Distribution", "Seconds")
_OF_VARIANCE = (
    "* Concerns the variance as well or alone, and may reject a model whose mean is right."
)


@final
@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """What one test says of a fitted model, or why it says nothing.

    Attributes
    ----------
    name : str
        Name of the test.
    null_hypothesis : str
        What is true when the p-value is uniform.
    concerns : {"mean", "mean and variance", "variance", "instruments"}
        What the null hypothesis is about. Only "mean" is the claim that `kcm.specification_test`
        tests; a test of the variance can reject a model whose mean is right.
    statistic : float
        NaN when not computed.
    distribution : str
        The law that gives the p-value, or how it was drawn; empty when not computed.
    pvalue : float
        NaN when not computed.
    consistent : bool
        Whether the test finds every departure from its null hypothesis when n is large enough.
    seconds : float
        Time that the computation took.
    reason : str
        Why the test was not computed, in a sentence; empty when it was.

    Examples
    --------
    >>> import statsmodels.formula.api as smf
    >>> import kcm
    >>> fit = smf.ols("logwage ~ age", data=kcm.datasets.load_cps71()).fit()
    >>> row = kcm.compare_tests(fit, ["RESET"])["RESET"]
    >>> row.distribution, row.pvalue < 0.01, row.consistent
    ('F(2, 201)', True, False)
    """

    name: str
    null_hypothesis: str
    concerns: Concern
    statistic: float
    distribution: str
    pvalue: float
    consistent: bool
    seconds: float
    reason: str

    @property
    def computed(self) -> bool:
        """Whether there is a p-value."""
        return not self.reason


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ComparisonTable:
    """Several specification tests of one fitted model, side by side.

    Attributes
    ----------
    model : str
        The fitted model and its residual, in words.
    n_obs : int
        Observations used.
    rows : tuple of ComparisonRow
        One per test, in the order that was asked for; `table["RESET"]` is one of them.

    Examples
    --------
    >>> import statsmodels.formula.api as smf
    >>> import kcm
    >>> fit = smf.ols("logwage ~ age", data=kcm.datasets.load_cps71()).fit()
    >>> table = kcm.compare_tests(fit, ["KCM", "RESET", "Sargan"])
    >>> [row.name for row in table.rows if row.computed and row.pvalue < 0.01]
    ['KCM', 'RESET']
    >>> print(table["Sargan"].reason)
    This test is for two-stage least squares or GMM with instruments; `fit` is statsmodels OLS.
    """

    model: str
    n_obs: int
    rows: tuple[ComparisonRow, ...]

    def __repr__(self) -> str:
        told = ", ".join(f"{row.name} {_pvalue(row)}" for row in self.rows)
        return f"ComparisonTable({self.model}, n_obs={self.n_obs}: {told})"

    def _repr_html_(self) -> str:
        return self.summary().as_html()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> ComparisonRow:
        by_name = {row.name: row for row in self.rows}
        if name not in by_name:
            raise OptionError(
                f"the table has no row {name!r}{did_you_mean(str(name), by_name)} "
                f"Its rows are {listed(by_name)}."
            )
        return by_name[name]

    def to_frame(self) -> "pd.DataFrame":
        """Return the table as a data frame, one row per test.

        Returns
        -------
        pandas.DataFrame
            Columns name, null_hypothesis, concerns, statistic, distribution, pvalue, consistent,
            seconds and reason. Numbers that were not computed are NaN, words empty.
        """
        import pandas as pd

        return pd.DataFrame(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain numbers and words, ready for JSON.

        Returns
        -------
        dict
            `model`, `n_obs` and `rows`, a list of one dictionary per test; numbers that were not
            computed are None.
        """
        rows = [{k: _plain(v) for k, v in dataclasses.asdict(row).items()} for row in self.rows]
        return {"model": self.model, "n_obs": self.n_obs, "rows": rows}

    def summary(self) -> Grid:
        """Return the table for reading: tests that were computed above, reasons below.

        Returns
        -------
        Grid
            Prints as text; `as_html()` and `as_latex()` for documents.
        """
        title = f"Specification tests: {self.model}, {self.n_obs:,} observations"
        computed = [row for row in self.rows if row.computed]
        rows = tuple(_cells(row) for row in computed)
        marked = [_OF_VARIANCE] if any(map(_of_variance, computed)) else []
        notes = *marked, *_nulls(computed), *_reasons(self.rows)
        return Grid(title, _HEADERS, rows, notes)

    def plot(self, ax: Any = None) -> Any:
        """Plot the p-values on a logarithmic axis, with lines at .01, .05 and .10.

        Full marks are consistent tests of the mean, open ones other tests of the mean or of the
        instruments, and crosses tests that concern the variance. Tests that were not computed keep
        their place and say so.

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
        kinds = [_kind(row) for row in self.rows]
        names, pvalues = [row.name for row in self.rows], [row.pvalue for row in self.rows]
        return draw(names, np.array(pvalues), kinds, _title(self.model), ax)


def _title(model: str) -> str:
    """Return the model, with its residual in words."""
    name, _, moment = model.partition(", ")
    return f"{name}, {residual_words(moment, 0, 1)}"


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value


def _cells(row: ComparisonRow) -> tuple[str, ...]:
    name = f"{row.name} *" if _of_variance(row) else row.name
    verdict = _pvalue(row), "yes" if row.consistent else "no"
    return name, *verdict, f"{row.statistic:.6g}", row.distribution, f"{row.seconds:.2f}"


def _of_variance(row: ComparisonRow) -> bool:
    return "variance" in row.concerns


def _nulls(rows: Iterable[ComparisonRow]) -> list[str]:
    """Null hypotheses, each with the tests that share it."""
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(row.null_hypothesis, []).append(row.name)
    return [f"Null of {', '.join(tests)}: {null}." for null, tests in names.items()]


def _reasons(rows: Iterable[ComparisonRow]) -> list[str]:
    """Reasons, each with the tests that share it."""
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(row.reason, []).append(row.name)
    names.pop("", None)
    return [f"Not computed, {', '.join(tests)}: {reason}" for reason, tests in names.items()]


def _pvalue(row: ComparisonRow) -> str:
    if not row.computed:
        return "not computed"
    return pvalue_text(row.pvalue)


def _kind(row: ComparisonRow) -> str:
    if _of_variance(row):
        return "concerns the variance"
    if row.concerns == "mean" and row.consistent:
        return "consistent test of the mean"
    return "other test of the mean" if row.concerns == "mean" else "test of the instruments"
