"""Fits that a user makes by accident: odd labels, several outcomes, huge weights."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

import kcm


def test_a_column_whose_label_is_a_number_is_found_by_its_name(rng):
    frame = pd.DataFrame(rng.normal(size=(50, 3)), columns=["y", "x", 0])
    fit = smf.ols("y ~ x", frame).fit()
    named = kcm.specification_test(fit, conditioning=["x", "0"])
    assert named.pvalue == kcm.specification_test(fit, conditioning=frame[["x", 0]]).pvalue


def test_several_outcomes_at_once_are_refused(rng):
    fit = sm.OLS(rng.normal(size=(50, 2)), sm.add_constant(rng.normal(size=50))).fit()
    with pytest.raises(kcm.UnsupportedModelError, match="explains 2 outcomes at once"):
        kcm.specification_test(fit)


def test_frequency_weights_of_billions_are_refused(rng):
    weights = np.full(50, 10**9)
    fit = sm.GLM(rng.normal(size=50), sm.add_constant(rng.normal(size=50)), freq_weights=weights)
    with pytest.raises(kcm.UnsupportedModelError, match="stand for 50,000,000,000 rows"):
        kcm.specification_test(fit.fit())
