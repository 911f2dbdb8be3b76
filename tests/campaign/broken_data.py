"""Data that cannot be used, each of which must be refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import statsmodels.api as sm
import statsmodels.formula.api as smf

import kcm

from .case import Case
from .options import value_of
from .samples import choose, sample

__all__ = ["broken_data_case"]

Change = Callable[[np.ndarray, np.random.Generator], Any]


def _entry(value: float) -> Change:
    def change(column: np.ndarray, rng: np.random.Generator) -> Any:
        changed = column.copy()
        changed[rng.integers(len(column))] = value
        return changed

    return change


# What is wrong with a column of numbers.
COLUMNS: dict[str, Change] = {
    "nan": _entry(np.nan),
    "inf": _entry(np.inf),
    "-inf": _entry(-np.inf),
    "all nan": lambda c, rng: np.full(len(c), np.nan),
    "constant": lambda c, rng: np.full(len(c), 3.0),
    "short": lambda c, rng: c[:-1],
    "long": lambda c, rng: np.append(c, 0.0),
    "empty": lambda c, rng: c[:0],
    "one row": lambda c, rng: c[:1],
    "complex": lambda c, rng: c + 1j,
    "dates": lambda c, rng: pd.date_range("2020-01-01", periods=len(c)).to_numpy(),
    "durations": lambda c, rng: np.arange(len(c)).astype("timedelta64[D]"),
    "names of rows": lambda c, rng: np.array([f"row {i}" for i in range(len(c))], object),
    "mixed": lambda c, rng: np.array([*c[:-1], "x"], object),
    "lists": lambda c, rng: np.array([*([[1, 2]] * len(c)), None], object)[:-1],
    "none": lambda c, rng: np.array([*c[:-1], None], object),
    "masked": lambda c, rng: np.ma.masked_array(c, mask=c == c[0]),
    "objects": lambda c, rng: np.array([object() for _ in c], object),
    "three dimensions": lambda c, rng: c.reshape(len(c), 1, 1),
    "scalar": lambda c, rng: 3.0,
    "ragged": lambda c, rng: [[1.0], [2.0, 3.0], *[[1.0]] * (len(c) - 2)],
    "huge number": lambda c, rng: np.array([10**400, *[1] * (len(c) - 1)], object),
}
# Fine as text, where a table may hold text.
_ONLY_IN_ARRAYS = ("three dimensions", "scalar", "ragged")
_WRAPPED = {
    "array": lambda column: column,
    "pandas": lambda column: pd.DataFrame({"v": list(column)}),
    "dict": lambda column: {"v": column},
    "polars": lambda column: pl.from_pandas(pd.DataFrame({"v": list(column)})),
    "arrow": lambda column: pa.table({"v": list(column)}),
}


def broken_data_case(rng: np.random.Generator) -> Case:
    """A broken column as conditioning, residuals, groups or outcome."""
    makers = [_conditioning, _residuals, _groups, _outcome, _frames, _moment_parts]
    return makers[int(rng.integers(len(makers)))](rng)


def _broken(rng: np.random.Generator, column: np.ndarray, but: tuple[str, ...] = ()) -> Any:
    name = str(choose(rng, [name for name in COLUMNS if name not in but]))
    return name, COLUMNS[name](column, rng)


def _conditioning(rng: np.random.Generator) -> Case:
    data = sample(rng)
    name, column = _broken(rng, data.z.to_numpy())
    wraps = ["array"] if name in _ONLY_IN_ARRAYS else ["array", "pandas", "dict"]
    if name in ("nan", "inf", "constant", "short", "all nan", "dates", "empty"):
        wraps += ["polars", "arrow"]
    wrap = str(choose(rng, wraps))
    given = _WRAPPED[wrap](column)
    fit, psi = smf.ols("y ~ x", data).fit(), data.y.to_numpy()
    if rng.random() < 0.5:
        call = lambda: value_of(kcm.specification_test(fit, given))  # noqa: E731
        if (name, wrap) == ("long", "pandas"):  # the rows of the fit are found by their labels
            usual = lambda: value_of(kcm.specification_test(fit, data[["z"]]))  # noqa: E731
            return Case("broken data", f"conditioning, {name}, {wrap}", call, usual)
    else:
        call = lambda: value_of(kcm.KCMTest().run(kcm.FittedMoment(psi, given)))  # noqa: E731
    return Case("broken data", f"conditioning, {name}, {wrap}", call)


def _residuals(rng: np.random.Generator) -> Case:
    data = sample(rng)
    name, column = _broken(rng, data.y.to_numpy(), but=("constant", "durations"))
    given = column
    return Case(
        "broken data",
        f"residuals, {name}",
        lambda: value_of(kcm.KCMTest().run(kcm.FittedMoment(given, data[["x"]].to_numpy()))),
    )


# Labels may be words, dates, objects.
_LABELS = ("dates", "durations", "names of rows", "mixed", "complex", "objects", "inf", "-inf")


def _groups(rng: np.random.Generator) -> Case:
    data = sample(rng)
    name, column = _broken(rng, data.firm.to_numpy(float), but=_LABELS)
    if name == "huge number":
        name, column = "short", data.firm.to_numpy()[:-1]
    fit = smf.ols("y ~ x", data).fit()
    null = (
        kcm.Asymptotic
        if rng.random() < 0.5
        else lambda groups: kcm.MultiplierBootstrap(49, groups=groups)
    )
    kernel = kcm.kernels.Gaussian()
    return Case(
        "broken data",
        f"groups, {name}",
        lambda: value_of(kcm.specification_test(fit, kernel=kernel, null=null(groups=column))),
    )


def _outcome(rng: np.random.Generator) -> Case:
    """Fits of statsmodels that went wrong without a word."""
    data = sample(rng)
    bad = float(choose(rng, [np.nan, np.inf, -np.inf]))
    y, x = data.y.to_numpy().copy(), sm.add_constant(data[["x", "w"]].to_numpy())
    where = str(choose(rng, ["outcome", "regressor", "exact", "saturated", "unscaled"]))
    row = int(rng.integers(len(y)))
    if where == "outcome":
        y[row] = bad
    elif where == "exact":
        y = x @ np.array([1.0, 2.0, -1.0])
    elif where == "saturated":
        y, x = y[:3], x[:3]
    elif where == "unscaled":
        x[:, 1] = 1e9 + 1e-1 * x[:, 1]
    model = sm.OLS(y, x)
    if where == "regressor":
        model.exog[row, 1] = bad

    def call() -> Any:
        with np.errstate(all="ignore"):
            fit = model.fit(method="pinv") if where != "regressor" else _unfitted(model)
        return value_of(kcm.specification_test(fit))

    return Case("broken data", f"fit, {where} {bad if where == 'outcome' else ''}", call)


def _unfitted(model: Any) -> Any:
    """Results whose regressors hold what is no number."""
    exog = model.exog.copy()
    model.exog[~np.isfinite(exog)] = 0.0
    fit = model.fit()
    model.exog[:] = exog
    return fit


def _frames(rng: np.random.Generator) -> Case:
    """Frames that are no longer those of the fit, or do not go with it."""
    data = sample(rng)
    change = str(choose(rng, ["sorted", "longer", "other index", "repeated index", "no column"]))
    frame = data.copy()
    fit = smf.ols("y ~ np.exp(x)", frame).fit()
    conditioning: Any = None
    match change:
        case "sorted":
            frame[:] = frame.sort_values("x").to_numpy()
        case "longer":
            frame.loc[len(frame)] = frame.iloc[0]  # in place, as `drop` will no longer be
        case "other index":
            conditioning = data[["z"]].set_axis(data.index + 1000)
        case "repeated index":
            conditioning = data[["z"]].set_axis(np.zeros(len(data), int))
        case _:
            conditioning = str(choose(rng, ["X", "zz", "", "x ", "np.log(x)"]))
    return Case(
        "broken data",
        f"frame, {change} {conditioning if isinstance(conditioning, str) else ''}",
        lambda: value_of(kcm.specification_test(fit, conditioning)),
    )


def _moment_parts(rng: np.random.Generator) -> Case:
    """Jacobians and influences that do not go with the residuals."""
    data = sample(rng)
    n = len(data)
    psi, x = data.y.to_numpy(), data[["x", "w"]].to_numpy()
    parts: dict[str, Any] = {"jacobian": -x, "influence": x * psi[:, None]}
    which = str(choose(rng, ["jacobian", "influence", "scale"]))
    broken = {
        "missing": np.full((n, 2), np.nan),
        "infinite": np.full((n, 2), np.inf),
        "short": x[:-1],
        "wide": np.hstack([x, x, x]),
        "four dimensions": x.reshape(n, 2, 1, 1),
        "words": np.array([["a", "b"]] * n),
        "alone": None,
    }
    name = str(choose(rng, broken))
    given = parts | {which: broken[name]}
    if name == "alone":
        given = {"influence": parts["influence"]} if which != "influence" else {"jacobian": -x}
    return Case(
        "broken data",
        f"moment, {which} {name}",
        lambda: value_of(kcm.KCMTest().run(kcm.FittedMoment(psi, data.x.to_numpy(), **given))),
    )
