"""Generated formulas. Referee: the test on columns made by hand."""

from typing import Any

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from formula_factors import KNOTS, POWER, by_hand, frame, generate, lagged

import kcm

from .case import Case

__all__ = ["formula_case"]

# Formulas call them by name.
NAMES = (KNOTS, POWER, lagged, np)


def formula_case(rng: np.random.Generator) -> Case:
    """A formula of patsy, conditioned by default and on what it means by hand."""
    seed = int(rng.integers(2**31))
    formula, data = generate(seed, "patsy"), frame(60, seed % 1000)
    text = f"y ~ {formula.text}"

    def test(conditioning: pd.DataFrame | None) -> Any:
        fit = smf.ols(text, data).fit()
        result = kcm.specification_test(fit, conditioning)
        return {"pvalue": float(result.pvalue), "n_obs": result.n_obs}

    return Case("formulas", text, lambda: test(None), lambda: test(by_hand(formula, data)))
