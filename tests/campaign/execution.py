"""How a test is computed, and its record. Referee: the test with the defaults."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import statsmodels.formula.api as smf

import kcm

from .case import Case
from .options import INVARIANT_KERNELS, value_of
from .samples import choose, sample

__all__ = ["execution_case"]

WAYS: dict[str, dict[str, Any]] = {
    "exact": {"method": "exact"},
    "double": {"precision": "double"},
    "little memory": {"memory_limit": "1 MB"},
    "bytes": {"memory_limit": 2**22},
    "device": {"device": "cpu"},
    "no bar": {"progress": False},
    "words in order": {"statistic": "U", "null": kcm.Asymptotic()},
    "orthogonal": {"projection": "orthogonal"},
}
RECORDS: dict[str, Callable[[Any], Any]] = {
    "pickled": lambda result: pickle.loads(pickle.dumps(result)),
    "copied": copy.deepcopy,
    "as it is": lambda result: result,
}


def execution_case(rng: np.random.Generator) -> Case:
    """One test computed in another way, pickled, or read from its record."""
    data, kernel = sample(rng), str(choose(rng, INVARIANT_KERNELS))
    formula = str(choose(rng, ["y ~ x", "y ~ x + w", "y ~ x + w + z"]))
    way, record = str(choose(rng, WAYS)), str(choose(rng, RECORDS))

    def test(how: dict[str, Any]) -> Any:
        fit = smf.ols(formula, data).fit()
        return kcm.specification_test(fit, kernel=INVARIANT_KERNELS[kernel](), **how)

    def changed() -> Any:
        result = RECORDS[record](test(WAYS[way]))
        written = json.loads(json.dumps(result.to_dict()))
        lines = repr(result).count("\n")
        names = ", ".join(result.conditioning_names)
        is_told = all(name in str(result.summary()) for name in result.conditioning_names)
        words = {"repr": f"{lines} breaks", "names": names, "summary": f"names {is_told}"}
        return value_of(result) | {"written": float(written["pvalue"])} | words

    def plain() -> Any:
        result = test({})
        names = ", ".join(formula[4:].split(" + "))
        words = {"repr": "0 breaks", "names": names, "summary": "names True"}
        return value_of(result) | {"written": float(result.pvalue)} | words

    # least squares is its own projection, up to the size that it gives to residuals
    rtol = 5.0 if way == "orthogonal" else 1e-5
    return Case("execution", f"{formula}, {kernel}, {way}, {record}", changed, plain, rtol)
