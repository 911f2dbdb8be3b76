"""Time of the draws of a null law beside the bare matrix product they replace; of a few columns.

    python -m pytest -m performance tests/performance/test_contraction.py -s

Each figure is a ratio of times measured in the same run; no time is a pass mark.
"""

from functools import partial

import jax
import numpy as np
import pytest
from performance.timing import best_medians, print_table

from kcm import gram
from kcm.kernels import Gaussian

N_DRAWS = 999
DTYPES = {"single": "float32", "double": "float64"}


def bare_products(n, dtype):
    """Return calls of the full product of an (n x n) and an (n x 999) matrix."""
    rng = np.random.default_rng(0)
    a, b = rng.random((n, n), dtype), rng.random((n, N_DRAWS), dtype)
    with jax.enable_x64(True):
        held = jax.device_put((a, b))
    product = jax.jit(jax.numpy.matmul)

    def bare():
        with jax.enable_x64(True):
            product(*held).block_until_ready()

    return {
        "bare product, JAX": bare,
        "bare product, NumPy": lambda: a @ b,
    }


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("n", [1_000, 10_000])
def test_draws_against_the_bare_product(n, precision, benchmark):
    rng = np.random.default_rng(1)
    x, v = rng.normal(size=(n, 5)), rng.normal(size=(n, N_DRAWS))
    kernel = Gaussian().resolve(x)

    def draws():
        return gram.quadratic_form(kernel, x, v, precision=precision)

    calls = {"draws": draws} | bare_products(n, DTYPES[precision])
    times = best_medians(calls, rounds=3 if n > 5_000 else 21)
    ratios = {name: times["draws"] / time for name, time in times.items()}
    print_table(
        f"n = {n:,}, d = 5, {N_DRAWS} draws, kernel included, {precision} precision",
        ["", "seconds", "draws / this"],
        [[name, float(times[name]), float(ratios[name])] for name in times],
    )
    benchmark.extra_info |= ratios
    benchmark.pedantic(draws, rounds=3)
    assert ratios["bare product, JAX"] < 20  # something is broken, not slow


@pytest.mark.parametrize("precision", ["single", "double"])
def test_a_few_columns_against_one(precision, benchmark):
    n = 20_000
    rng = np.random.default_rng(1)
    x, v = rng.normal(size=(n, 5)), rng.normal(size=(n, 7))
    kernel = Gaussian().resolve(x)
    calls = {
        f"{name}, {m} columns": partial(function, kernel, x, v[:, :m], precision=precision)
        for name, function in {"v'Kv": gram.quadratic_form, "K V": gram.matvec}.items()
        for m in (1, 7)
    }
    times = best_medians(calls)
    ratios = {name: time / times["v'Kv, 1 columns"] for name, time in times.items()}
    print_table(
        f"n = {n:,}, d = 5, {precision} precision",
        ["", "seconds", "x v'Kv of one"],
        [[name, float(times[name]), float(ratios[name])] for name in times],
    )
    benchmark.extra_info |= ratios
    benchmark.pedantic(calls["K V, 7 columns"], rounds=3)
    assert ratios["K V, 7 columns"] < 20  # something is broken, not slow
