"""What generated inputs showed to be refused without a word on what to do, or not at all."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kcm
from kcm.cli import main
from kcm.kernels import (
    ICM,
    AitchisonAitken,
    Gaussian,
    InverseMultiquadric,
    Polynomial,
    Precomputed,
    RationalQuadratic,
    Subspace,
)

WRONG: dict[str, Callable[[], Any]] = {
    "`exponent` of a kernel must be a number; got 1j": lambda: InverseMultiquadric(exponent=1j),
    "`exponent` of a kernel must be a number; got None": lambda: InverseMultiquadric(exponent=None),
    "`alpha` of a kernel must be one number; got [1.0]": lambda: RationalQuadratic(alpha=[1.0]),
    "`spread` of a kernel must be a number; got 'wide'": lambda: ICM(spread="wide"),
    "`bandwidth` of a kernel must be a number; got 'wide'": lambda: Gaussian("wide"),
    "`matrix` of a kernel must be a number": lambda: Precomputed("matrix"),
    "`intercept` of a kernel must be": lambda: Polynomial(intercept="1"),
    "`smoothing` of a kernel must be": lambda: AitchisonAitken("much"),
    "`factor` of a kernel must be": lambda: 1j * Gaussian(),
    "a kernel of some columns must be made of kernels": lambda: Subspace(3, [0]),
}


@pytest.mark.parametrize("told", WRONG)
def test_kernels_name_the_parameter(told: str):
    with pytest.raises(kcm.OptionError, match=re.escape(told)):
        WRONG[told]()


@pytest.mark.parametrize("rng", [1.5, "seed", True, -1])
def test_rng_of_an_estimate_that_draws_nothing(rng: Any):
    x = np.random.default_rng(0).normal(size=30)
    model = kcm.MMR.from_formula("y ~ x", pd.DataFrame({"x": x, "y": x**2}))
    with pytest.raises(kcm.OptionError, match="`rng` must be None, a non-negative integer"):
        model.fit(rng=rng)


def test_whole_numbers_of_the_command_line(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["test", "logwage ~ age", "--data", "cps71", "--bootstrap", "many"])
    assert "argument --bootstrap: must be a whole number; got 'many'." in capsys.readouterr().err


def test_jacobian_and_influence_of_other_thetas():
    with pytest.raises(kcm.DataError, match="pass one column for each of its parameters in both"):
        kcm.FittedMoment(np.arange(5.0), np.arange(5.0), np.ones((5, 3)), np.ones((5, 2)))
