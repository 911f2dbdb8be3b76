"""Factors of formulas, and by hand what each conditions on: the generator of test formulas."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd

__all__ = ["KNOTS", "POWER", "GeneratedFormula", "by_hand", "frame", "generate", "lagged"]

POWER, KNOTS = 3, [-0.5, 0.0, 0.5]
NUMBERS = ("x", "z", "w")
# What a formula writes for a column whose name is no word of Python.
WRITTEN = {"x.1": 'Q("x.1")'}

By = Callable[[pd.DataFrame], Any]


@final
@dataclass(frozen=True, slots=True)
class Factor:
    """A factor: its text, and its conditioning columns by name as functions of the data."""

    text: str
    columns: dict[str, By]
    is_mixed: bool = False


@final
@dataclass(frozen=True, slots=True)
class GeneratedFormula:
    """The right side of a formula, and its factors in the order of mention."""

    text: str
    factors: tuple[Factor, ...]


def frame(n: int = 120, seed: int = 3) -> pd.DataFrame:
    """Numbers, codes, words and truths; all of `w` is above 1."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(rng.normal(size=(n, 4)), columns=["y", "x", "z", "x.1"])
    data["w"] = rng.uniform(1, 2, n)
    data["k"], data["j"] = rng.integers(0, 4, n), rng.integers(5, 8, n)
    data["Sum"] = rng.integers(5, 8, n)
    data["firm"], data["town"] = rng.choice(["a", "b", "c"], n), rng.choice(["p", "q", "r"], n)
    data["flag"] = rng.random(n) < 0.4
    data["team"] = rng.integers(0, 9, n)
    return data


def lagged(values: pd.Series) -> pd.Series:
    """Return the row before, as a function of the caller."""
    return values.shift(1)


def column(name: str) -> dict[str, By]:
    return {name: lambda data: data[name]}


def words(name: str) -> dict[str, By]:
    return {name: lambda data: data[name].astype(str)}


ROW_BY_ROW = (
    "{c}",
    "np.exp({c})",
    "np.abs({c})",
    "np.log1p(np.abs({c}))",
    "I({c}**2)",
    "I({c} / 2 + 1)",
    "I({c} - np.pi)",
    "I({c} > 0.1)",
    "np.clip({c}, -1, 1)",
    "I(-{c})",
)
# formulaic cannot evaluate these on a quoted name
OF_NAMES = ("bs({c}, df=4)", "center({c})", "np.where({c} > 0, {c}, 0)")
# evaluated with names of the caller, which formulaic does not keep
WITH_CALLER = ("np.power({c}, POWER)", "bs({c}, knots=KNOTS)")
METHODS = {
    "patsy": ("{c}.values", "{c}.clip(-1, 1)", "{c}.astype(float)", "{c}.map(abs)"),
    "formulaic": ("{c}.clip(-1, 1)", "{c}.astype(float)", "{c}.abs()"),
}
MIXED: dict[str, Callable[[pd.DataFrame, pd.Series], Any]] = {
    "{c}.shift(1)": lambda data, c: c.shift(1),
    "{c}.shift(-2)": lambda data, c: c.shift(-2),
    "lagged({c})": lambda data, c: pd.Series([np.nan, *c[:-1]]),
    "{c}.diff()": lambda data, c: c - c.shift(1),
    "np.cumsum({c})": lambda data, c: np.add.accumulate(c.to_numpy()),
    "{c}.cumsum()": lambda data, c: np.add.accumulate(c.to_numpy()),
    "np.roll({c}, 1)": lambda data, c: np.r_[c.iloc[-1], c.iloc[:-1]],
    "I({c}.rolling(3).mean())": lambda data, c: (c + c.shift(1) + c.shift(2)) / 3,
    "{c}.pct_change()": lambda data, c: c / c.shift(1) - 1,
    "I({c} * {c}.shift(1))": lambda data, c: c * c.shift(1),
    "np.exp({c}.shift(1))": lambda data, c: np.exp(c.shift(1)),
    "I({c}.groupby(team).transform('mean'))": lambda data, c: team_means(data, c),
    "I({c} - {c}.groupby(team).transform('mean'))": lambda data, c: c - team_means(data, c),
    "I({c}.expanding().mean())": lambda data, c: c.cumsum() / np.arange(1, len(c) + 1),
}


def team_means(data: pd.DataFrame, values: pd.Series) -> pd.Series:
    means = {team: values[data.team == team].mean() for team in data.team.unique()}
    return data.team.map(means)


CATEGORIES = {
    "C(k)": "k",
    "C(k, Helmert)": "k",
    "C(k, Treatment(2))": "k",
    "C(j, Poly)": "j",
    "C(j, Diff)": "j",
    "C(Sum)": "Sum",
    "firm": "firm",
    "C(town)": "town",
    "C(town, Treatment('q'))": "town",
    "flag": "flag",
}


def generate(seed: int, engine: str) -> GeneratedFormula:
    """Return a formula of one to four terms; a column is used by one factor only."""
    rng = np.random.default_rng(seed)
    free = [str(name) for name in rng.permutation([*NUMBERS, "x.1"])]
    factors = [_number(free.pop(), rng, engine) for _ in range(rng.integers(1, 4))]
    if rng.random() < 0.5:
        text = str(rng.choice(list(CATEGORIES)))
        factors.append(Factor(text, words(CATEGORIES[text])))
    if len(free) > 1 and rng.random() < 0.3:
        factors.append(_of_two(free.pop(), free.pop(), rng))
    order = [factors[i] for i in rng.permutation(len(factors))]
    return GeneratedFormula(_joined(order, rng), tuple(order))


def _joined(factors: list[Factor], rng: np.random.Generator) -> str:
    """Join factors by plus, and the first two by a product where there is one."""
    texts = [factor.text for factor in factors]
    if len(factors) < 2 or rng.random() < 0.6:
        return " + ".join(texts)
    alone = not any(factor.is_mixed for factor in factors[:2])
    product = str(rng.choice([" * ", ":"])) if alone else " * "
    return " + ".join([product.join(texts[:2]), *texts[2:]])


def _number(name: str, rng: np.random.Generator, engine: str) -> Factor:
    kind = rng.choice(["plain", "plain", "mixed", "caller", "method"])
    written = WRITTEN.get(name, name)
    if name in WRITTEN:
        return Factor(str(rng.choice(ROW_BY_ROW)).format(c=written), column(name))
    if kind == "plain":
        return Factor(str(rng.choice(ROW_BY_ROW + OF_NAMES)).format(c=written), column(name))
    if kind == "method":
        return Factor(str(rng.choice(METHODS[engine])).format(c=written), column(name))
    if kind == "caller":
        return _with_caller(name, rng, engine)
    template = str(rng.choice(list(MIXED)))
    text = template.format(c=name)
    values = MIXED[template]
    return Factor(text, {text: lambda data: values(data, data[name])}, is_mixed=True)


def _with_caller(name: str, rng: np.random.Generator, engine: str) -> Factor:
    """Factors with numbers of the caller; formulaic keeps none, so their values are meant."""
    if engine == "patsy":
        templates = WITH_CALLER[:1] if name == "w" else WITH_CALLER  # w lies above the knots
        return Factor(str(rng.choice(templates)).format(c=name), column(name))
    text = f"np.power({name}, POWER)"
    return Factor(text, {text: lambda data: data[name] ** POWER}, is_mixed=True)


def _of_two(one: str, other: str, rng: np.random.Generator) -> Factor:
    template = rng.choice(["I({a} * {b})", "np.maximum({a}, {b})", "I({a} > {b})"])
    a, b = WRITTEN.get(one, one), WRITTEN.get(other, other)
    return Factor(str(template).format(a=a, b=b), column(one) | column(other))


def by_hand(formula: GeneratedFormula, data: pd.DataFrame) -> pd.DataFrame:
    """Conditioning columns of a formula on its complete rows, without repetitions."""
    columns: dict[str, Any] = {}
    for factor in formula.factors:
        columns |= {name: np.asarray(make(data)) for name, make in factor.columns.items()}
    complete = pd.DataFrame(columns, index=data.index).dropna()
    chosen: list[str] = []
    for name in complete:
        if not any(_repeats(complete[name], complete[other]) for other in chosen):
            chosen.append(str(name))
    return complete[chosen]


def _repeats(one: pd.Series, other: pd.Series) -> bool:
    """Whether two columns of numbers order the rows alike, or one backwards."""
    if one.dtype.kind != "f" or other.dtype.kind != "f":
        return False
    ranks = other.rank(method="dense")
    return any((one * sign).rank(method="dense").equals(ranks) for sign in (1, -1))
