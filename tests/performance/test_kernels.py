"""Time of the kernels beside the Gaussian, and beside their definition pair by pair.

    python -m pytest -m performance tests/performance/test_kernels.py -s

Ratios are of times in the same run; no time is a pass mark.
"""

from functools import partial
from typing import final

import numpy as np
import pytest
from performance.timing import best_medians, print_table

from kcm import gram
from kcm.kernels import (
    ICM,
    Energy,
    Gaussian,
    InverseMultiquadric,
    Kernel,
    Laplace,
    Matern,
    RationalQuadratic,
    Smooth,
)

N, D = 4_000, 5
KERNELS = {
    "Gaussian": Gaussian(2.0),
    "Laplace": Laplace(2.0),
    "Matern, nu = 1/2": Matern(2.0, nu=0.5),
    "Matern, nu = 3/2": Matern(2.0),
    "rational quadratic": RationalQuadratic(2.0),
    "inverse multiquadric": InverseMultiquadric(2.0),
    "energy": Energy(),
    "ICM, gaussian weight": ICM("gaussian"),
    "smooth": Smooth(0.5),
}


@final
class Defined(Kernel):
    """A kernel without its whole-matrix form."""

    kernel: Kernel

    def __call__(self, x, y):
        return self.kernel(x, y)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_kernels_beside_the_gaussian(precision, benchmark):
    rng = np.random.default_rng(1)
    x, v = rng.normal(size=(N, D)), rng.normal(size=N)
    kernels = {name: kernel.resolve(x) for name, kernel in KERNELS.items()}
    defined = {name: Defined(kernel) for name, kernel in kernels.items()}
    form = partial(gram.quadratic_form, x=x, v=v, precision=precision)
    times, slow = (
        best_medians({name: partial(form, kernel) for name, kernel in ks.items()})
        for ks in (kernels, defined)
    )
    ratios = {name: time / times["Gaussian"] for name, time in times.items()}
    print_table(
        f"v'Kv, n = {N:,}, d = {D}, {precision} precision",
        ["", "seconds", "x Gaussian", "definition / this"],
        [[n, float(t), float(ratios[n]), float(slow[n] / t)] for n, t in times.items()],
    )
    benchmark.extra_info |= ratios
    benchmark.pedantic(partial(form, kernels["Gaussian"]), rounds=3)
    assert times["Laplace"] < slow["Laplace"]  # something is broken, not slow
