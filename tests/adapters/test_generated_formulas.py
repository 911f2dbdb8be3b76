"""What 200 generated formulas are conditioned on. Referee: a design built by hand."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from formula_engines import ENGINES, formula_engine
from formula_factors import KNOTS, POWER, GeneratedFormula, by_hand, frame, generate, lagged

import kcm
from kcm.adapters import fitted_moment

N_FORMULAS = 200


def _same_names(names: tuple[str, ...], expected: pd.DataFrame) -> bool:
    return ["".join(name.split()) for name in names] == ["".join(c.split()) for c in expected]


def _cells(values: object) -> list[int]:
    return pd.factorize(np.asarray(values))[0].tolist()


def check(formula: GeneratedFormula, data: pd.DataFrame):
    fit = smf.ols(f"y ~ {formula.text}", data).fit()
    moment, expected = fitted_moment(fit), by_hand(formula, data)
    names, kinds = moment.labels.conditioning, moment.labels.kinds
    assert _same_names(names, expected), f"{formula.text}: {names} for {list(expected)}"
    for kind, column, values in zip(kinds, expected, moment.conditioning.T, strict=True):
        by_hand_values = expected[column]
        if by_hand_values.dtype.kind == "f":
            assert kind == "continuous", formula.text
            np.testing.assert_allclose(values, by_hand_values, rtol=1e-9, err_msg=formula.text)
        else:
            assert kind == "unordered", formula.text
            assert _cells(values) == _cells(by_hand_values), formula.text


@pytest.mark.many_calls
@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.SingularMatrixWarning")
@pytest.mark.parametrize("engine", ENGINES)
class TestGeneratedFormulas:
    @pytest.mark.parametrize("first", range(0, N_FORMULAS, 25))
    def test_conditioned_on_what_a_design_by_hand_says(self, engine: str, first: int):
        data = frame()
        assert (POWER, len(KNOTS), lagged(data.x).isna().sum()) == (3, 3, 1)  # called by name
        with formula_engine(engine):
            for seed in range(first, first + 25):
                check(generate(seed, engine), data)

    def test_formulas_are_many(self, engine: str):
        texts = [generate(seed, engine).text for seed in range(N_FORMULAS)]
        assert len(set(texts)) > 0.95 * N_FORMULAS
        assert sum("shift" in text or "cumsum" in text for text in texts) > 20
        assert sum("C(" in text for text in texts) > 40
        assert sum('Q("x.1")' in text for text in texts) > 40

    @pytest.mark.parametrize("seed", range(4))
    def test_results_say_the_same(self, engine: str, seed: int):
        data, formula = frame(), generate(seed, engine)
        with formula_engine(engine):
            result = kcm.specification_test(smf.ols(f"y ~ {formula.text}", data).fit())
        assert _same_names(result.conditioning_names, by_hand(formula, data))
