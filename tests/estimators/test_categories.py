"""Estimation conditioned on words and categories. Referee: indicators made by hand."""

import numpy as np
import pandas as pd
import pytest

import kcm
from kcm.exceptions import MissingRowsWarning


@pytest.fixture
def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 80
    data = pd.DataFrame({"x": rng.normal(size=n), "k": rng.integers(0, 4, n)})
    data["y"] = 1 + data.x + rng.normal(size=n)
    data["s"] = "m" + data.k.astype(str)
    data["my s"], data["id"] = data.s, [f"r{i}" for i in range(n)]
    data["cat"] = pd.Categorical(data.s, categories=["m0", "m1", "m2", "m3", "none"])
    indicators = {f"m{level}": (data.k == level) * 1.0 for level in range(4)}
    return data.assign(**indicators, odd=data.k % 2, large=data.k.isin([2, 3]) * 1.0)


def estimate(formula: str, data: pd.DataFrame) -> tuple[np.ndarray, float]:
    results = kcm.MMR.from_formula(formula, data).fit()
    return results.params.to_numpy(), results.test().pvalue


INDICATORS = "m0 + m1 + m2 + m3"


@pytest.mark.parametrize(
    ("formula", "by_hand"),
    [
        ("y ~ x | x + s", f"y ~ x | x + {INDICATORS}"),
        ("y ~ x | x + C(s)", f"y ~ x | x + {INDICATORS}"),
        ("y ~ x | x + Q('my s')", f"y ~ x | x + {INDICATORS}"),
        ("y ~ x | x + cat", f"y ~ x | x + {INDICATORS}"),
        ("y ~ x | x + C(k)", f"y ~ x | x + {INDICATORS}"),
        ("y ~ x + s", f"y ~ x + m1 + m2 + m3 | x + {INDICATORS}"),
        ("y ~ x | x + C(k % 2)", "y ~ x | x + odd"),
        ("y ~ x | x + C(k > 1)", "y ~ x | x + large"),
        ("y ~ x | x + I(s == 'm1')", "y ~ x | x + m1"),
        ("y ~ x | x + I(id == 'r1')", "y ~ x | x + I(x == x.iloc[1])"),
    ],
)
def test_words_are_indicators(data: pd.DataFrame, formula: str, by_hand: str):
    params, pvalue = estimate(formula, data)
    expected_params, expected = estimate(by_hand, data)
    np.testing.assert_allclose(params, expected_params, rtol=1e-9)
    assert pvalue == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "formula", ["y ~ x + C(k, Sum)", "y ~ x + C(k, Treatment(2))", "y ~ x + other", "y ~ x + back"]
)
def test_contrasts_and_the_order_of_levels_do_not_matter(data: pd.DataFrame, formula: str):
    backwards = pd.Categorical(data.s, categories=["m3", "m2", "m1", "m0"])
    names = data.s.map({"m0": "d", "m1": "c", "m2": "b", "m3": "a"})
    changed = data.assign(back=backwards, other=names)
    assert estimate(formula, changed)[1] == pytest.approx(estimate("y ~ x + s", data)[1], rel=1e-9)


def test_names_say_which_level(data: pd.DataFrame):
    results = kcm.MMR.from_formula("y ~ x | x + s", data).fit()
    assert results.test().conditioning_names == ("x", "s[m0]", "s[m1]", "s[m2]", "s[m3]")


@pytest.mark.parametrize("kind", ["string", "category", object])
def test_types_of_words(data: pd.DataFrame, kind: str | type):
    expected = estimate("y ~ x | x + s", data)[1]
    assert estimate("y ~ x | x + s", data.astype({"s": kind}))[1] == pytest.approx(
        expected, rel=1e-9
    )


def test_missing_words_are_missing_rows(data: pd.DataFrame):
    gaps = data.assign(s=data.s.where(data.index > 4))
    expected = estimate(f"y ~ x | x + {INDICATORS}", data[5:])
    with pytest.warns(MissingRowsWarning, match="dropped 5 of 80 rows"):
        found = estimate("y ~ x | x + s", gaps)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-9)
    assert found[1] == pytest.approx(expected[1], rel=1e-9)


@pytest.mark.parametrize(
    ("name", "told"),
    [("id", "has 80 levels in 80 rows"), ("one", "must vary, but has the one level 'a'")],
)
def test_words_that_compare_no_rows(data: pd.DataFrame, name: str, told: str):
    with pytest.raises(kcm.DataError, match=told):
        kcm.MMR.from_formula(f"y ~ x | x + {name}", data.assign(one="a")).fit()
