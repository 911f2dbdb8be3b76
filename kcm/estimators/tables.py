"""The summary of an estimation, in the layout of statsmodels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from kcm.estimators.results import EstimationResults

__all__ = ["estimation_summary", "parameter_summary"]

Rows = Sequence[tuple[str, str]]


def estimation_summary(results: "EstimationResults", level: float) -> Any:
    """Return the summary of an estimation.

    Parameters
    ----------
    results : EstimationResults
    level : float
        Coverage of the confidence intervals.

    Returns
    -------
    statsmodels.iolib.summary.Summary
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
        ("Evaluations:", f"{ended.n_iterations}"),
        ("Objective:", f"{ended.objective:.6g}"),
    ]
    title = f"{results.estimator} estimation of a conditional moment"
    return parameter_summary(title, left, right, pd.DataFrame(columns), results.notes)


def parameter_summary(
    title: str, left: Rows, right: Rows, parameters: pd.DataFrame, notes: Sequence[str]
) -> Any:
    """Return a summary of facts on top and a table of parameters below.

    Parameters
    ----------
    title : str
    left, right : sequence of (str, str)
        Label and value, equally many.
    parameters : pandas.DataFrame
        One row per parameter, numbers in the columns.
    notes : sequence of str
        Sentences below the table.

    Returns
    -------
    statsmodels.iolib.summary.Summary
        With ``as_text()``, ``as_html()``, ``as_latex()`` and ``as_csv()``.

    Examples
    --------
    >>> table = pd.DataFrame({"coef": [1.0]}, index=["beta"])
    >>> "beta" in parameter_summary("A", [("Model:", "MMR")], [("n:", "9")], table, []).as_text()
    True
    """
    from statsmodels.iolib.summary import Summary
    from statsmodels.iolib.table import SimpleTable
    from statsmodels.iolib.tableformatting import fmt_2cols, fmt_params

    summary = Summary()
    top = SimpleTable([[v] for _, v in left], None, [k for k, _ in left], title, txt_fmt=fmt_2cols)
    # two spaces part the halves, as statsmodels has it
    stubs = [f"{'  ' + label:<21}" for label, _ in right]
    top.extend_right(SimpleTable([[v] for _, v in right], None, stubs, txt_fmt=fmt_2cols))
    cells = [
        [_pvalue(v) if str(name).startswith("P") else _number(v) for name, v in row.items()]
        for _, row in parameters.iterrows()
    ]
    body = SimpleTable(
        cells, list(parameters), list(map(str, parameters.index)), txt_fmt=fmt_params
    )
    summary.tables.extend([top, body])
    if notes:
        summary.add_extra_txt(list(notes))
    return summary


def _pvalue(value: float) -> str:
    return f"{value:.3f}"


def _number(value: float) -> str:
    """Write a number in the width that statsmodels gives it."""
    if 1e-3 <= abs(value) < 1e5 or value == 0:
        return f"{value:.4f}" if abs(value) < 1_000 else f"{value:.1f}"
    return f"{value:.3g}"
