"""Time of a contraction beside that of the bare matrix product it replaces.

    python -m pytest -m performance tests/performance -s

Each figure is a ratio of medians measured in the same run; no time is a pass mark.
"""

from time import perf_counter

import jax
import numpy as np
import pytest

import kcm
from kcm import _tiles, gram
from kcm.kernels import Gaussian

N_DRAWS = 999


def median_seconds(call, rounds=7):
    """Return the median time of a call, after one that compiles."""
    call()
    times = []
    for _ in range(rounds):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return float(np.median(times))


def bare_product(n, dtype):
    """Return the full product of an (n x n) and an (n x 999) matrix on JAX's device."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        a = jax.numpy.asarray(rng.normal(size=(n, n)), dtype=dtype)
        b = jax.numpy.asarray(rng.normal(size=(n, N_DRAWS)), dtype=dtype)
        product = jax.jit(jax.numpy.matmul)
        return median_seconds(lambda: product(a, b).block_until_ready())


@pytest.mark.parametrize("n", [1_000, 2_000, 5_000])
def test_draws_against_the_bare_product(n, benchmark):
    rng = np.random.default_rng(1)
    x, v = rng.normal(size=(n, 5)), rng.normal(size=(n, N_DRAWS))
    kernel = Gaussian().resolve(x)
    with jax.enable_x64(True):
        tiles = _tiles.point_tiles(x), _tiles.tiles(v)
        ours = median_seconds(lambda: gram._quadratic_form(kernel, *tiles).block_until_ready())
    double, single = bare_product(n, "float64"), bare_product(n, "float32")
    print(
        f"\nn = {n:,}, d = 5, {N_DRAWS} draws, kernel included, double precision: {ours:.3f} s; "
        f"{ours / double:.2f} x bare double product, {ours / single:.2f} x bare single product"
    )
    benchmark.extra_info |= {"ratio_double": ours / double, "ratio_single": ours / single}
    benchmark.pedantic(lambda: gram.quadratic_form(kernel, x, v), rounds=3, warmup_rounds=1)
    assert ours < 20 * double  # something is broken, not slow


@pytest.mark.parametrize("n", [2_000, 20_000])
def test_statistic_and_null_law(n, benchmark):
    rng = np.random.default_rng(1)
    x, psi = rng.normal(size=(n, 5)), rng.normal(size=n)
    design = np.column_stack([np.ones(n), x])
    gain = design @ np.linalg.inv(design.T @ design / n)
    moment = kcm.FittedMoment(psi, x, -design, gain * psi[:, None])
    result = benchmark.pedantic(
        lambda: kcm.KCMTest().run(moment), rounds=2, warmup_rounds=1, iterations=1
    )
    print(f"\nn = {n:,}: {result.null_distribution.describe()}")
    assert result.n_obs == n
