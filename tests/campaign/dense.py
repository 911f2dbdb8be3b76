"""Moments with theta known. Referee: the statistic as a dense double sum."""

from collections.abc import Callable
from typing import Any

import numpy as np

import kcm
from kcm import kernels

from .case import Case
from .samples import SIZES, choose

__all__ = ["dense_case"]

Pairs = Callable[[np.ndarray], np.ndarray]


def _gaussian(distances: np.ndarray) -> np.ndarray:
    return np.exp(-(distances**2).sum(axis=-1) / 2)


FORMULAS: dict[str, tuple[Callable[[float], Any], Pairs]] = {
    "Gaussian": (kernels.Gaussian, _gaussian),
    "Laplace": (kernels.Laplace, lambda d: np.exp(-np.abs(d).sum(axis=-1))),
    "IMQ": (kernels.InverseMultiquadric, lambda d: (1 + (d**2).sum(axis=-1)) ** -0.5),
    "squared": (lambda h: kernels.Gaussian(h) ** 2, lambda d: _gaussian(d) ** 2),
    "sum": (
        lambda h: kernels.Gaussian(h) + 2.0 * kernels.Laplace(h),
        lambda d: _gaussian(d) + 2 * np.exp(-np.abs(d).sum(axis=-1)),
    ),
}


def dense_case(rng: np.random.Generator) -> Case:
    """Residuals of one or two components, points of any size, tied or apart."""
    n, d, q = int(rng.choice(SIZES)), int(rng.integers(1, 4)), int(rng.integers(1, 3))
    x = rng.normal(size=(n, d))
    points = str(choose(rng, ["normal", "tied", "far", "tiny", "integers"]))
    size = {"far": 1e6, "tiny": 1e-6}.get(points, 1.0)
    x = np.round(x, 1) if points in ("tied", "integers") else x
    x = size * x + (1e4 * size if points == "far" else 0.0)
    psi = rng.normal(size=(n, q)) * 10.0 ** rng.integers(-6, 7)
    h = size * float(rng.choice([0.3, 1.0, 2.5]))
    name, statistic = str(choose(rng, FORMULAS)), str(choose(rng, ["U", "V"]))
    kernel, values = FORMULAS[name]

    def statistic_of() -> Any:
        test = kcm.KCMTest(kernel(h), statistic)
        return {"statistic": float(test.run(kcm.FittedMoment(psi, x)).statistic)}

    def by_hand() -> Any:
        gram = values((x[:, None] - x[None]) / h) * (psi @ psi.T)
        total = gram.sum() - (np.trace(gram) if statistic == "U" else 0)
        return {"statistic": total / (n - 1 if statistic == "U" else n)}

    told = f"{name}({h:g}), {statistic}, {points} {n} x {d}, {q} components"
    return Case("dense sums", told, statistic_of, by_hand, 1e-7)
