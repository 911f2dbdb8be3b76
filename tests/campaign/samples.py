"""Data of the campaign: few shapes, so that compiled programs serve many inputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import pandas as pd

__all__ = ["SIZES", "TERMS", "Term", "choose", "design", "sample"]

SIZES = (40, 56)
# Rows with a missing value where an input has them.
N_MISSING = 4


def choose(rng: np.random.Generator, options: object) -> object:
    """Draw one of several things of any type."""
    several = list(options)  # type: ignore[call-overload]
    return several[int(rng.integers(len(several)))]


def sample(rng: np.random.Generator, n: int | None = None) -> pd.DataFrame:
    """Outcomes of several kinds and regressors of several types; each level occurs often."""
    n = int(rng.choice(SIZES)) if n is None else n
    data = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n)})
    data["w"] = rng.uniform(1, 2, n)
    data["precision"] = rng.uniform(1, 4, n)
    data["k"] = rng.permutation(np.arange(n) % 3)
    data["g"] = np.array(["a", "b", "c"])[rng.permutation(np.arange(n) % 3)]
    data["flag"] = rng.permutation(np.arange(n) % 2) == 1
    data["firm"] = rng.permutation(np.arange(n) % 10)
    hidden = rng.normal(size=n)
    data["price"] = data.z + hidden + 0.5 * rng.normal(size=n)
    bend = float(rng.choice([0.0, 0.0, 0.6]))
    index = 0.4 * data.x + bend * data.x**2 - 0.3 * data.w
    data["y"] = 1 + index + 0.5 * rng.normal(size=n)
    data["sales"] = 1 - data.price + bend * data.z**2 + hidden
    data["count"] = rng.poisson(np.exp(0.5 + 0.3 * np.clip(index, -3, 3)))
    data["b"] = (index - index.median() + 1.5 * rng.logistic(size=n) > 0).astype(int)
    data["positive"] = np.exp(0.3 * np.clip(index, -3, 3)) * rng.gamma(4, 0.25, n) + 1e-3
    data["above_one"] = 1 + data.positive
    return data


Columns = Callable[[pd.DataFrame], list[np.ndarray]]


def _levels(name: str) -> Columns:
    def indicators(data: pd.DataFrame) -> list[np.ndarray]:
        levels = sorted(data[name].unique())
        return [(data[name] == level).to_numpy(float) for level in levels[1:]]

    return indicators


@final
@dataclass(frozen=True, slots=True)
class Term:
    """A term of a formula: its text, its columns by hand, what it conditions on."""

    text: str
    columns: Columns
    names: tuple[str, ...]


TERMS = (
    Term("x", lambda d: [d.x.to_numpy()], ("x",)),
    Term("w", lambda d: [d.w.to_numpy()], ("w",)),
    Term("np.log(w)", lambda d: [np.log(d.w.to_numpy())], ("w",)),
    Term("I(x**2)", lambda d: [d.x.to_numpy() ** 2], ("x",)),
    Term("np.exp(z)", lambda d: [np.exp(d.z.to_numpy())], ("z",)),
    Term("x:w", lambda d: [(d.x * d.w).to_numpy()], ("x", "w")),
    Term("I(x > 0)", lambda d: [(d.x > 0).to_numpy(float)], ("x",)),
    Term("C(k)", _levels("k"), ("k",)),
    Term("g", _levels("g"), ("g",)),
    Term("flag", _levels("flag"), ("flag",)),
)


def design(terms: list[Term], data: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Design matrix with a constant, and the conditioning variables, by hand."""
    columns = [np.ones(len(data)), *(c for term in terms for c in term.columns(data))]
    names = dict.fromkeys(name for term in terms for name in term.names)
    read = {name: data[name].astype(str) if name in ("k", "flag") else data[name] for name in names}
    return np.column_stack(columns), pd.DataFrame(read)
