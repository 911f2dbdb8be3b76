"""Column types in containers of every library. Referee: plain columns of pandas."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import statsmodels.api as sm

import kcm

from .case import Case
from .options import value_of
from .samples import choose, sample

__all__ = ["container_case", "estimation_container_case"]

# A column as lists of Python; None is missing.
NUMBERS: dict[str, Callable[[list[float]], Any]] = {
    "float64": lambda v: np.array(v, float),
    "float32": lambda v: np.array(v, np.float32),
    "big-endian": lambda v: np.array(v, ">f8"),
    "int64": lambda v: np.array(np.round(np.array(v) * 10), np.int64),
    "int8": lambda v: np.array(np.round(np.array(v) * 10), np.int8),
    "uint16": lambda v: np.array(np.round(np.array(v) * 10) + 100, np.uint16),
    "object": lambda v: np.array(v, object),
    "decimal": lambda v: np.array([Decimal(str(round(x, 4))) for x in v], object),
    "strided": lambda v: np.repeat(np.array(v, float), 2)[::2],
}
WORDS: dict[str, Callable[[list[str]], Any]] = {
    "text": lambda v: np.array(v, object),
    "unicode": lambda v: np.array(v),
    "truths": lambda v: np.array(v) == v[0],
}


def _pandas(columns: dict[str, Any], rng: np.random.Generator) -> Any:
    table = pd.DataFrame(columns)
    for name, column in columns.items():
        if column.dtype.kind in "OU" and isinstance(column[0], str):
            kind = str(choose(rng, ["object", "string", "category"]))
            table[name] = pd.Series(list(column), dtype=kind)
        elif column.dtype.kind == "i" and rng.random() < 0.5:
            table[name] = table[name].astype("Int64" if rng.random() < 0.5 else "int64[pyarrow]")
        elif column.dtype == np.float64 and rng.random() < 0.3:
            table[name] = table[name].astype("Float64")
    return table


def _polars(columns: dict[str, Any], rng: np.random.Generator) -> Any:
    table = pl.DataFrame({name: _listed(column) for name, column in columns.items()})
    words = [name for name in columns if table[name].dtype == pl.String]
    if words and rng.random() < 0.5:
        return table.with_columns(pl.col(words).cast(pl.Categorical))
    return table


def _arrow(columns: dict[str, Any], rng: np.random.Generator) -> Any:
    arrays = {name: pa.array(_listed(column)) for name, column in columns.items()}
    coded = rng.random() < 0.5
    # a dictionary of numbers holds categories, as pandas reads it
    words = {n for n, a in arrays.items() if coded and pa.types.is_string(a.type)}
    return pa.table({n: a.dictionary_encode() if n in words else a for n, a in arrays.items()})


def _listed(column: Any) -> list[Any]:
    return [float(v) if isinstance(v, Decimal) else v for v in column.tolist()]


CONTAINERS: dict[str, Callable[[dict[str, Any], np.random.Generator], Any]] = {
    "pandas": _pandas,
    "polars": _polars,
    "arrow": _arrow,
    "dict": lambda columns, rng: columns,
    "dict of lists": lambda columns, rng: {n: c.tolist() for n, c in columns.items()},
}


def _columns(rng: np.random.Generator, data: pd.DataFrame) -> tuple[dict[str, Any], str]:
    columns, told = {}, []
    for name in ("x", "w", "z")[: rng.integers(1, 4)]:
        kind = str(choose(rng, NUMBERS))
        columns[name] = NUMBERS[kind](data[name].tolist())
        told.append(kind)
    if rng.random() < 0.5:
        kind = str(choose(rng, WORDS))
        columns["g"] = WORDS[kind](data.g.tolist())
        told.append(kind)
    return columns, ", ".join(told)


def _plain(columns: dict[str, Any]) -> pd.DataFrame:
    """Floats and words, as plainly as they can be written."""
    return pd.DataFrame(
        {
            name: column.astype(str) if name == "g" else [float(v) for v in column]
            for name, column in columns.items()
        }
    )


def container_case(rng: np.random.Generator) -> Case:
    """Conditioning variables of a fit, or of a moment, in any container."""
    data = sample(rng)
    columns, told = _columns(rng, data)
    container = str(choose(rng, CONTAINERS))
    given, plain = CONTAINERS[container](columns, rng), _plain(columns)
    psi = data.y.to_numpy() - data.y.mean()
    fit = sm.OLS(data.y.to_numpy(), sm.add_constant(data[["x", "w"]].to_numpy())).fit()
    of_moment = bool(rng.random() < 0.5)

    def test(conditioning: Any) -> Any:
        if of_moment:
            return value_of(kcm.KCMTest().run(kcm.FittedMoment(psi, conditioning)))
        return value_of(kcm.specification_test(fit, conditioning))

    word = "moment" if of_moment else "fit"
    told = f"{word}, {container} of {told}"
    return Case("containers", told, lambda: test(given), lambda: test(plain))


def estimation_container_case(rng: np.random.Generator) -> Case:
    """Data of an estimator by formula in any container, some rows missing."""
    data = sample(rng)
    names = ["sales", "price", "x", "z", "w"]
    columns = {name: data[name].to_numpy() for name in names}
    columns["g"] = data.g.to_numpy(object)
    formula = str(choose(rng, ["sales ~ price | z", "sales ~ price + x | z + x", "y ~ x | x + g"]))
    columns["y"] = data.y.to_numpy()
    container = str(choose(rng, CONTAINERS))
    given = CONTAINERS[container](columns, rng)
    estimator = kcm.VMM if rng.random() < 0.3 else kcm.MMR

    def estimate(table: Any) -> Any:
        results = estimator.from_formula(formula, table).fit()
        params = {name: float(value) for name, value in results.params.items()}
        return params | {"pvalue": float(results.test().pvalue)}

    told = f"{estimator.__name__}, {formula}, {container}"
    plain = data[[*names, "y", "g"]]
    return Case("estimators", told, lambda: estimate(given), lambda: estimate(plain), 1e-5)
