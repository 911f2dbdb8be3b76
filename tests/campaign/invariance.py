"""Rows in another order, other units, other names. Referee: the test before the change."""

from typing import Any

import numpy as np
import pandas as pd

import kcm

from .case import Case
from .fits import FITS
from .options import INVARIANT_KERNELS
from .samples import choose, sample

__all__ = ["invariance_case"]

# Their outcome may change its units; the iterations of QuantReg stop at an absolute change.
LINEAR = ("OLS", "WLS", "GLM Gaussian")


def invariance_case(rng: np.random.Generator) -> Case:
    """One test of a fit before and after a change that must not matter."""
    change = str(choose(rng, ["rows", "outcome", "regressor", "shift", "names", "index"]))
    name = str(choose(rng, LINEAR if change != "rows" else FITS))
    fit, data = FITS[name], sample(rng)
    kernel = str(choose(rng, INVARIANT_KERNELS))
    formula = f"{fit.outcome} ~ x + w"
    changed, new_formula = _change(rng, change, data, formula, fit.outcome)

    def test(frame: pd.DataFrame, text: str) -> Any:
        fitted = fit.by_formula(text, frame)
        result = kcm.specification_test(fitted, kernel=INVARIANT_KERNELS[kernel]())
        return {"pvalue": float(result.pvalue), "n_obs": result.n_obs}

    return Case(
        "invariance",
        f"{name}, {change}, {kernel}",
        lambda: test(changed, new_formula),
        lambda: test(data, formula),
        1e-4 if name.startswith("QuantReg") else 1e-5,
    )


def _change(
    rng: np.random.Generator, change: str, data: pd.DataFrame, formula: str, outcome: str
) -> tuple[pd.DataFrame, str]:
    match change:
        case "rows":
            order = rng.permutation(len(data))
            return data.iloc[order].reset_index(drop=rng.random() < 0.5), formula
        case "outcome":
            factor = 10.0 ** rng.integers(-8, 9)
            return data.assign(**{outcome: factor * data[outcome]}), formula
        case "regressor":
            # all of them, as one bandwidth serves all columns of some kernels
            factor = 10.0 ** rng.integers(-6, 7)
            return data.assign(x=factor * data.x, w=factor * data.w), formula
        case "shift":
            by = 10.0 ** rng.integers(-2, 4)
            return data.assign(x=data.x + by, w=data.w - by), formula
        case "names":
            renamed = data.rename(columns={"x": "the x", "w": "w²"})
            return renamed, f'{outcome} ~ Q("the x") + Q("w²")'
        case _:
            stamps = pd.date_range("2020-01-01", periods=len(data), freq="h")
            return data.set_index(stamps), formula
