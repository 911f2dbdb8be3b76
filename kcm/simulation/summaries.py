"""What a group of replications comes to, as a row of a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from kcm.reporting import Grid
from kcm.simulation.rates import wilson

__all__ = ["accuracy", "durations", "estimates_grid", "uniformity"]


def uniformity(pvalues: Float[np.ndarray, " r"]) -> dict[str, Any]:
    """Return the Kolmogorov-Smirnov test of uniform p-values."""
    given = pvalues[np.isfinite(pvalues)]
    if not len(given):
        return {"n": 0, "ks_statistic": np.nan, "ks_pvalue": np.nan}
    import scipy.stats

    found = scipy.stats.kstest(given, "uniform")
    numbers = {"ks_statistic": float(found.statistic), "ks_pvalue": float(found.pvalue)}
    return {"n": len(given), **numbers}


def accuracy(frame: pd.DataFrame, confidence: float) -> dict[str, Any]:
    """Return bias, spread and coverage of the estimates of one parameter."""
    error, truth = frame.estimate - frame.truth, float(frame.truth.iloc[0])
    covered = int(((frame.lower <= frame.truth) & (frame.truth <= frame.upper)).sum())
    n, known = len(frame), bool(np.isfinite(truth))
    ends = wilson(covered, n, confidence) if known else (np.nan, np.nan)
    return {
        "n": n,
        "truth": truth,
        "bias": float(error.mean()),
        "sd": float(frame.estimate.std()),
        "rmse": float(np.sqrt((error**2).mean())),
        "mean_bse": float(frame.bse.mean()),
        "coverage": covered / n if known else np.nan,
        "lower": ends[0],
        "upper": ends[1],
    }


def durations(seconds: Float[np.ndarray, " r"]) -> dict[str, Any]:
    """Return the median and the total of some durations."""
    median = float(np.median(seconds)) if len(seconds) else np.nan
    return {"median_seconds": median, "total_seconds": float(seconds.sum())}


def estimates_grid(table: pd.DataFrame, cell_columns: Sequence[str], design: str) -> Grid:
    """Return the table of estimates for reading."""
    numbers = ("truth", "bias", "sd", "rmse", "coverage")
    words = (*cell_columns, "procedure", "parameter", "n")

    def cells(row: Mapping[Any, Any]) -> tuple[str, ...]:
        return (*(str(row[name]) for name in words), *(f"{row[name]:.3f}" for name in numbers))

    rows = tuple(cells(row) for row in table.to_dict("records"))
    notes = () if rows else ("No procedure tests, and none gave an estimate; see failures().",)
    return Grid(f"Estimates, {design}", (*words, *numbers), rows, notes)
