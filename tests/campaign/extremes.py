"""Numbers at the ends of what a computer holds. Referee: the same data in common units."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf

import kcm

from .case import Case
from .options import INVARIANT_KERNELS
from .samples import choose, sample

__all__ = ["extreme_case"]


def _times(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda column: column * factor


def _plus(size: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda column: size + column


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    **{f"times {f:g}": _times(f) for f in (1e-300, 1e-160, 1e-20, 1e20, 1e150, 1e160, 1e300)},
    **{f"plus {f:g}": _plus(f) for f in (1e3, 1e6, 1.7e9, 1e12, 1e15)},
    "denormal": _times(1e-310),
}


def extreme_case(rng: np.random.Generator) -> Case:
    """A regressor, a conditioning variable, an outcome or residuals of an extreme size."""
    data = sample(rng)
    name, kernel = str(choose(rng, CHANGES)), str(choose(rng, INVARIANT_KERNELS))
    where = str(choose(rng, ["regressor", "conditioning", "outcome", "residuals", "points", "few"]))
    # what rounding keeps of the column is what both are tested on
    if name.startswith("plus"):
        size = float(name.split()[1])
        data["x"] = (size + data.x) - size
        where = "regressor" if where in ("outcome", "residuals") else where
    change = CHANGES[name]
    if where == "few":
        return _few_rows(rng, data, kernel)
    makers = {
        "regressor": lambda d: smf.ols("y ~ x + w", d.assign(x=change(d.x))).fit(),
        "outcome": lambda d: smf.ols("y ~ x + w", d.assign(y=change(d.y))).fit(),
    }
    same = {"regressor": makers["regressor"], "outcome": makers["outcome"]}.get(where)

    def test(changed: bool) -> Any:
        made = INVARIANT_KERNELS[kernel]()
        x, psi = data.x.to_numpy(), data.y.to_numpy()
        if same is not None:
            fit = same(data) if changed else smf.ols("y ~ x + w", data).fit()
            result = kcm.specification_test(fit, kernel=made)
        elif where == "conditioning":
            fit = smf.ols("y ~ w", data).fit()
            result = kcm.specification_test(fit, change(x) if changed else x, kernel=made)
        else:
            psi = change(psi) if changed and where == "residuals" else psi
            x = change(x) if changed and where == "points" else x
            result = kcm.KCMTest(made).run(kcm.FittedMoment(psi, x))
        return {"pvalue": float(result.pvalue)}

    told = f"{where} {name}, {kernel}"
    rtol = 1e-2 if name.startswith("plus") else 1e-5
    return Case("extremes", told, lambda: test(True), lambda: test(False), rtol, True)


def _few_rows(rng: np.random.Generator, data: pd.DataFrame, kernel: str) -> Case:
    """Three to eight rows. Referee: the rows in another order."""
    n = int(rng.integers(3, 9))
    order = rng.permutation(n)
    y, x = data.y.to_numpy()[:n], sm.add_constant(data.x.to_numpy())[:n]

    def test(rows: np.ndarray) -> Any:
        fit = sm.OLS(y[rows], x[rows]).fit()
        result = kcm.specification_test(fit, kernel=INVARIANT_KERNELS[kernel]())
        return {"pvalue": float(result.pvalue)}

    told = f"{n} rows, {kernel}"
    return Case("extremes", told, lambda: test(np.arange(n)), lambda: test(order), 1e-5, True)
