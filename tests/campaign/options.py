"""Kernels, laws and options of a test that are right."""

from collections.abc import Callable
from typing import Any

import numpy as np

import kcm
from kcm import kernels

from .samples import choose

__all__ = ["INVARIANT_KERNELS", "numeric_kernel", "right_options", "value_of"]

# Their bandwidths follow the units of the data.
INVARIANT_KERNELS: dict[str, Callable[[], Any]] = {
    "adaptive": lambda: "adaptive",
    "default": lambda: None,
    "Gaussian": kernels.Gaussian,
    "Laplace": kernels.Laplace,
    "IMQ": kernels.InverseMultiquadric,
    "Matern": lambda: kernels.Matern(nu=2.5),
    "RationalQuadratic": kernels.RationalQuadratic,
    "two": lambda: [kernels.Gaussian(), kernels.Laplace()],
    "PenalizedMaximum": lambda: kcm.PenalizedMaximum([kernels.Gaussian(), kernels.Laplace()]),
}
_FIXED: dict[str, Callable[[], Any]] = {
    "Gaussian(0.7)": lambda: kernels.Gaussian(0.7),
    "Laplace(1.2)": lambda: kernels.Laplace(1.2),
    "ICM": kernels.ICM,
    "Linear + 1": lambda: 1.0 + kernels.Linear(),
    "Polynomial(2)": lambda: kernels.Polynomial(2),
    "Orthant": kernels.Orthant,
    "Energy": kernels.Energy,
    "sum": lambda: kernels.Gaussian() + 0.5 * kernels.Laplace(),
    "power": lambda: kernels.Gaussian() ** 2,
    "additive": lambda: kernels.Additive(kernels.Gaussian()),
}
_NULLS: dict[str, Callable[[], Any]] = {
    "default law": lambda: None,
    "Asymptotic": kcm.Asymptotic,
    "Rademacher": lambda: kcm.MultiplierBootstrap(99),
    "Mammen": lambda: kcm.MultiplierBootstrap(99, "mammen"),
    "studentized": lambda: kcm.MultiplierBootstrap(99, studentize=True),
}


def numeric_kernel(rng: np.random.Generator) -> tuple[str, Callable[[], Any]]:
    """Name and maker of a kernel of numbers."""
    name = str(choose(rng, [*INVARIANT_KERNELS, *_FIXED]))
    return name, (INVARIANT_KERNELS | _FIXED)[name]


def right_options(rng: np.random.Generator, categories: bool) -> tuple[str, dict[str, Any]]:
    """Options in words and as arguments of a test; kernels of their own where codes occur."""
    kernel = str(choose(rng, ["adaptive", "default"])) if categories else numeric_kernel(rng)[0]
    null = str(choose(rng, _NULLS))
    statistic = str(choose(rng, ["U", "U", "V"]))
    made = (INVARIANT_KERNELS | _FIXED)[kernel]()
    several = isinstance(made, list | str | kcm.PenalizedMaximum) or made is None
    if several and null in ("Rademacher", "Mammen", "studentized"):
        null = "Asymptotic"
    options = {"kernel": made, "null": _NULLS[null](), "statistic": statistic}
    if "null" in options and isinstance(options["null"], kcm.MultiplierBootstrap):
        options["rng"] = int(rng.integers(1000))
    return f"{kernel}, {null}, {statistic}", options


def value_of(result: Any) -> dict[str, float | int | str]:
    """What two runs of one test have in common."""
    return {
        "pvalue": float(result.pvalue),
        "statistic": float(result.statistic),
        "n_obs": int(result.n_obs),
    }
