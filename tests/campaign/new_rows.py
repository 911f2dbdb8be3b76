"""Tests on rows that the fit has not used. Referee: arrays by hand."""

from typing import Any

import numpy as np
import pandas as pd

import kcm

from .case import Case
from .fits import FITS
from .options import right_options, value_of
from .samples import TERMS, choose, design, sample

__all__ = ["new_rows_case"]


def new_rows_case(rng: np.random.Generator) -> Case:
    """A fit by formula on some rows, tested on others, in another order or with other columns."""
    name = str(choose(rng, FITS))
    fit, old, new = FITS[name], sample(rng, 56), sample(rng, 40)
    terms = [TERMS[j] for j in rng.permutation(len(TERMS))[: rng.integers(1, 4)]]
    formula = f"{fit.outcome} ~ " + " + ".join(term.text for term in terms)
    (x, _), (new_x, conditioning) = design(terms, old), design(terms, new)
    told, options = right_options(rng, any(c in ("k", "g", "flag") for c in conditioning))
    # draws of theta go by the order of the parameters, which patsy chooses
    options |= {"null": kcm.Asymptotic()}
    change = str(choose(rng, ["plain", "columns", "index", "gaps"]))
    given = _changed(rng, new, change)

    def by_formula() -> Any:
        fitted = fit.by_formula(formula, old)
        return value_of(kcm.specification_test(fitted, data=given, **options))

    def by_hand() -> Any:
        fitted = fit.by_arrays(old[fit.outcome].to_numpy(float), x, old)
        rows = new[fit.outcome].to_numpy(float), new_x
        return value_of(kcm.specification_test(fitted, conditioning, data=rows, **options))

    return Case("new rows", f"{name}, {formula}, {change}, {told}", by_formula, by_hand, 1e-5)


def _changed(rng: np.random.Generator, new: pd.DataFrame, change: str) -> pd.DataFrame:
    match change:
        case "columns":
            return new[list(rng.permutation(list(new.columns)))]
        case "index":
            return new.set_index(pd.Index(rng.permutation(len(new)) + 1000))
        case "gaps":
            blank = new.iloc[:3].assign(x=np.nan, w=np.nan, z=np.nan, g=None)
            blank[["y", "b", "count", "positive", "above_one"]] = np.nan
            return pd.concat([new, blank], ignore_index=True)
        case _:
            return new
