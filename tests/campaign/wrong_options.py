"""Options of a wrong type or value, each of which must be refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import statsmodels.formula.api as smf

import kcm
from kcm import kernels

from .case import Case
from .options import value_of
from .samples import choose, sample

__all__ = ["wrong_option_case"]

VALUES: dict[str, Any] = {
    "-1": -1,
    "0": 0,
    "2**70": 2**70,
    "1.5": 1.5,
    "nan": np.nan,
    "inf": np.inf,
    "'words'": "words",
    "''": "",
    "bytes": b"x",
    "None": None,
    "[]": [],
    "{}": {},
    "object": object(),
    "array": np.array([1.0, 2.0]),
    "True": True,
    "1j": 1j,
    "class": kernels.Gaussian,
    "function": len,
    "matrix": np.eye(3),
    "nested": [[None]],
}
ALL = frozenset(VALUES)


def _but(*fine: str) -> tuple[str, ...]:
    return tuple(sorted(ALL - set(fine)))


def _law(option: str) -> Callable[[Any, Any], Any]:
    def call(fit: Any, value: Any) -> Any:
        law = kcm.MultiplierBootstrap(**{"n_resamples": 49, option: value})
        return value_of(kcm.specification_test(fit, kernel=kernels.Gaussian(), null=law, rng=0))

    return call


def _test(option: str) -> Callable[[Any, Any], Any]:
    return lambda fit, value: value_of(kcm.specification_test(fit, **{option: value}))


def _kernel(make: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda fit, value: value_of(kcm.specification_test(fit, kernel=make(value)))


def _estimate(option: str) -> Callable[[Any, Any], Any]:
    def call(fit: Any, value: Any) -> Any:
        frame = fit.model.data.frame
        results = kcm.MMR.from_formula("y ~ x", frame).fit(**{option: value})
        return {"x": float(results.params["x"])}

    return call


def _compare(option: str) -> Callable[[Any, Any], Any]:
    def call(fit: Any, value: Any) -> Any:
        table = kcm.compare_tests(fit, **({"tests": ["KCM"]} | {option: value}))
        return {"n": len(table.rows)}

    return call


def _one_kernel(fit: Any) -> Any:
    return kcm.specification_test(fit, kernel=kernels.Gaussian())


Ask = Callable[[Any, Any], Any]
# An option, how it is given, and the values that are wrong for it.
OPTIONS: dict[str, tuple[Ask, tuple[str, ...]]] = {
    "conditioning": (_test("conditioning"), _but("None")),
    "kernel": (_test("kernel"), _but("None")),
    "statistic": (_test("statistic"), _but()),
    "null": (_test("null"), _but("None")),
    "rng": (_test("rng"), _but("None", "0", "2**70")),
    "method": (_test("method"), _but()),
    "tolerance": (_test("tolerance"), _but("None")),
    "memory_limit": (_test("memory_limit"), _but("None", "2**70")),
    "precision": (_test("precision"), _but()),
    "device": (_test("device"), _but("None")),
    "mesh": (_test("mesh"), _but("None")),
    "projection": (_test("projection"), _but()),
    "data": (_test("data"), _but("None")),
    "n_resamples": (_law("n_resamples"), _but()),
    "weights": (_law("weights"), _but()),
    "stop": (_law("stop"), _but("None")),
    "studentize": (_law("studentize"), _but("True")),
    "groups": (_law("groups"), _but("None")),
    "asymptotic groups": (
        lambda fit, value: value_of(kcm.specification_test(fit, null=kcm.Asymptotic(groups=value))),
        _but("None"),
    ),
    "asymptotic law": (
        lambda fit, value: value_of(kcm.specification_test(fit, null=kcm.Asymptotic(value))),
        _but(),
    ),
    # there are two conditioning variables, and so two numbers are a bandwidth
    "bandwidth": (_kernel(kernels.Gaussian), _but("1.5", "2**70", "array")),
    "Laplace bandwidth": (_kernel(kernels.Laplace), _but("1.5", "2**70", "array")),
    "nu": (_kernel(lambda v: kernels.Matern(nu=v)), _but("1.5")),
    "degree": (_kernel(lambda v: kernels.Polynomial(v)), _but()),
    "alpha": (_kernel(lambda v: kernels.RationalQuadratic(alpha=v)), _but("1.5", "2**70")),
    "exponent": (_kernel(lambda v: kernels.InverseMultiquadric(exponent=v)), _but("1.5", "2**70")),
    "power": (_kernel(lambda v: kernels.Gaussian() ** v), _but()),
    "columns": (_kernel(lambda v: kernels.Subspace(kernels.Gaussian(), v)), _but("0")),
    "inner kernel": (_kernel(lambda v: kernels.Subspace(v, [0])), _but()),
    "additive": (_kernel(lambda v: kernels.Additive(v)), _but()),
    "scaled": (_kernel(lambda v: v * kernels.Gaussian()), _but("1.5", "2**70")),
    "added": (_kernel(lambda v: kernels.Gaussian() + v), _but("1.5", "2**70", "0")),
    "PenalizedMaximum": (_kernel(lambda v: kcm.PenalizedMaximum(v)), _but("None")),
    "tests": (_compare("tests"), _but()),
    "compare conditioning": (_compare("conditioning"), _but("None")),
    "compare rng": (_compare("rng"), _but("None", "0", "2**70")),
    "estimate start": (_estimate("start"), _but("None")),
    "estimate bounds": (_estimate("bounds"), _but("None", "{}")),
    "estimate method": (_estimate("method"), _but()),
    "estimate n_starts": (_estimate("n_starts"), _but()),
    "estimate cov_type": (_estimate("cov_type"), _but("None")),
    "estimate maxiter": (_estimate("maxiter"), _but("2**70")),
    "estimate groups": (_estimate("groups"), _but("None")),
    "estimate rng": (_estimate("rng"), _but("None", "0", "2**70")),
    "fit": (lambda fit, value: value_of(kcm.specification_test(value)), _but()),
    "compared fit": (lambda fit, value: {"n": len(kcm.compare_tests(value).rows)}, _but()),
    "moment": (lambda fit, value: value_of(kcm.KCMTest().run(value)), _but()),
    "estimator moment": (
        lambda fit, value: dict(kcm.MMR(value, fit.model.data.frame).fit().params),
        _but(),
    ),
    "formula": (
        lambda fit, value: dict(kcm.MMR.from_formula(value, fit.model.data.frame).fit().params),
        _but(),
    ),
    "formula data": (
        lambda fit, value: dict(kcm.MMR.from_formula("y ~ x", value).fit().params),
        _but(),
    ),
    "level": (lambda fit, value: {"power": kcm.power(_one_kernel(fit), 100, value)}, _but()),
    "n_obs of power": (
        lambda fit, value: {"power": kcm.power(_one_kernel(fit), value)},
        _but("2**70"),
    ),
    "power of a size": (lambda fit, value: {"n": kcm.sample_size(_one_kernel(fit), value)}, _but()),
    "powered result": (lambda fit, value: {"power": kcm.power(value, 100)}, _but()),
}


def wrong_option_case(rng: np.random.Generator) -> Case:
    """One option of one call, of a wrong type or outside its range."""
    data = sample(rng)
    name = str(choose(rng, OPTIONS))
    ask, wrong = OPTIONS[name]
    value = str(choose(rng, wrong))
    fit = smf.ols("y ~ x + w", data).fit()
    return Case("wrong options", f"{name} = {value}", lambda: ask(fit, VALUES[value]))
