"""Tables of several tests. Referees: the classical tests of statsmodels, and other units."""

from typing import Any

import numpy as np
import statsmodels.formula.api as smf
from statsmodels.stats import diagnostic

import kcm

from .case import Case
from .samples import choose, sample

__all__ = ["comparison_case"]

UNITLESS = ("KCM", "KCM adaptive", "ICM", "Stute", "Zheng", "RESET", "rainbow", "Breusch-Pagan")


def comparison_case(rng: np.random.Generator) -> Case:
    """Rows of a table, against statsmodels or on data in other units and order."""
    data, formula = sample(rng), str(choose(rng, ["y ~ x", "y ~ x + w", "y ~ x + g"]))
    if rng.random() < 0.5:
        return _classical(data, formula)
    factor = 10.0 ** rng.integers(-6, 7)
    other = data.assign(y=data.y * factor, x=data.x * factor, w=data.w * factor)
    names = [str(name) for name in rng.permutation(UNITLESS)[:3]]

    def table(frame: Any) -> Any:
        found = kcm.compare_tests(smf.ols(formula, frame).fit(), names)
        rows = {row.name: row.reason or float(row.pvalue) for row in found.rows}
        return {name: value if value == value else "not a number" for name, value in rows.items()}

    told = f"{formula}, {', '.join(names)}, times {factor:g}"
    return Case("comparisons", told, lambda: table(other), lambda: table(data), 1e-5)


def _classical(data: Any, formula: str) -> Case:
    def fit() -> Any:
        return smf.ols(formula, data).fit()

    def table() -> Any:
        found = kcm.compare_tests(fit(), ["Breusch-Pagan", "rainbow"])
        return {row.name: float(row.pvalue) for row in found.rows}

    def by_statsmodels() -> Any:
        result = fit()
        return {
            "Breusch-Pagan": float(diagnostic.het_breuschpagan(result.resid, result.model.exog)[1]),
            "rainbow": float(diagnostic.linear_rainbow(result)[1]),
        }

    return Case("comparisons", f"{formula}, classical", table, by_statsmodels)
