"""The summary of an estimation, in the layout of statsmodels."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import pandas as pd

from kcm.moments import FirstStageStrength
from kcm.reporting import Printed, escape_latex

if TYPE_CHECKING:
    from kcm.estimators.results import EstimationResults

__all__ = ["EstimationSummary", "estimation_summary"]

Rows = Sequence[tuple[str, str]]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EstimationSummary(Printed):
    """Facts on top, a table of parameters, and notes below, drawn by statsmodels.

    Parameters
    ----------
    title : str
    left, right : sequence of (str, str)
        Label and value, equally many.
    parameters : pandas.DataFrame
        One row per parameter, numbers in the columns.
    notes : sequence of str
        Sentences below the table.

    Examples
    --------
    >>> table = pd.DataFrame({"coef": [1.0]}, index=["beta"])
    >>> summary = EstimationSummary("A", [("Model:", "MMR")], [("n:", "9")], table, [])
    >>> "beta" in summary.as_text()
    True
    """

    title: str
    left: Rows
    right: Rows
    parameters: pd.DataFrame
    notes: Sequence[str]

    def as_text(self) -> str:
        """Return the summary as plain text."""
        return str(_drawn(self, str, str).as_text())

    def as_html(self) -> str:
        """Return the summary as an HTML fragment."""
        return str(_drawn(self, html.escape, html.escape).as_html())

    def as_latex(self) -> str:
        """Return the summary as LaTeX."""
        return str(_drawn(self, str, escape_latex).as_latex())

    def as_csv(self) -> str:
        """Return the summary as comma-separated values."""
        return str(_drawn(self, str, str).as_csv())


def estimation_summary(results: "EstimationResults", level: float) -> EstimationSummary:
    """Return the summary of an estimation.

    Parameters
    ----------
    results : EstimationResults
    level : float
        Coverage of the confidence intervals.

    Returns
    -------
    EstimationSummary
    """
    intervals, tail, ended = results.conf_int(level), (1 - level) / 2, results.convergence
    columns = {
        "coef": results.params,
        "std err": results.bse,
        "z": results.tvalues,
        "P>|z|": results.pvalues,
        f"[{tail:.4g}": intervals["lower"],
        f"{1 - tail:.4g}]": intervals["upper"],
    }
    left = [
        ("Estimator:", results.estimator),
        ("No. Observations:", f"{results.nobs}"),
        ("Covariance:", results.cov_type),
    ]
    right = [
        ("Converged:", "yes" if ended.converged else "NO"),
        ("Iterations:", f"{ended.n_iterations}"),
        ("Objective:", f"{ended.objective:.6g}"),
    ]
    title = f"{results.estimator} estimation of a conditional moment"
    notes = *results.notes, *_first_stage(results.first_stage)
    return EstimationSummary(title, left, right, pd.DataFrame(columns), notes)


def _first_stage(strength: FirstStageStrength) -> tuple[str, ...]:
    if not strength.names:
        return ()
    advice = " Use `confidence_set` and `test(robust=True)`." if strength.is_weak else ""
    return (f"First stage: effective F {strength.describe()}.{advice}",)


def _drawn(
    content: EstimationSummary, escaped: Callable[[str], str], note: Callable[[str], str]
) -> Any:
    """Lay the tables out, words escaped for the format that follows where statsmodels does not."""
    from statsmodels.iolib.summary import Summary
    from statsmodels.iolib.table import SimpleTable
    from statsmodels.iolib.tableformatting import fmt_2cols, fmt_params

    summary, title = Summary(), escaped(content.title)
    stubs = [label for label, _ in content.left]
    top = SimpleTable([[v] for _, v in content.left], None, stubs, title, txt_fmt=fmt_2cols)
    # two spaces part the halves, as statsmodels has it
    stubs = [f"{'  ' + label:<21}" for label, _ in content.right]
    top.extend_right(SimpleTable([[v] for _, v in content.right], None, stubs, txt_fmt=fmt_2cols))
    cells = [
        [_pvalue(v) if str(name).startswith("P") else _number(v) for name, v in row.items()]
        for _, row in content.parameters.iterrows()
    ]
    names = [escaped(str(name)) for name in content.parameters.index]
    headers = [escaped(str(name)) for name in content.parameters]
    summary.tables.extend([top, SimpleTable(cells, headers, names, txt_fmt=fmt_params)])
    if content.notes:
        summary.add_extra_txt([note(each) for each in content.notes])
    return summary


def _pvalue(value: float) -> str:
    return f"{value:.3f}"


def _number(value: float) -> str:
    """Write a number in the width that statsmodels gives it."""
    if 1e-3 <= abs(value) < 1e5 or value == 0:
        return f"{value:.4f}" if abs(value) < 1_000 else f"{value:.1f}"
    return f"{value:.3g}"
