"""Cost of a pair of observations: v'Kv beside peers, and above its floor.

    python -m pytest -m performance tests/performance/test_pairs.py -s

KCM_KEOPS_PYTHON names a Python with pykeops 2.3; without it that comparison is skipped. Ratios are
of times in the same run; no time is a pass mark.
"""

import json
import os
import subprocess
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from performance.timing import best_medians, print_table
from sklearn.metrics.pairwise import rbf_kernel

from kcm import gram
from kcm.kernels import Gaussian
from kcm.kernels._exponential import exponential

N, D, BLOCK = 20_000, 5, 1_000
N_BLOCKS = (N // BLOCK) * (N // BLOCK + 1) // 2  # of the upper triangle
HEADS = ["", "seconds", "ns a pair", "x kcm single"]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    x, v = rng.normal(size=(N, D)), rng.normal(size=N)
    kernel = Gaussian(float(np.median(Gaussian().resolve(x).bandwidth)))
    return x, v, kernel


def ours(data, precision):
    x, v, kernel = data
    return gram.quadratic_form(kernel, x, v, precision=precision)[0]


def with_scikit_learn(data, dtype):
    x, v, kernel = data[0].astype(dtype), data[1].astype(dtype), data[2]
    return v @ rbf_kernel(x, gamma=1 / (2 * float(kernel.bandwidth) ** 2)) @ v


def prototypes(data):
    """Return calls of the least that can be done: a scan over the tiles of the upper triangle.

    The first finds its tiles on the device; the second has the arrays of a user to begin with.
    """
    x, v, kernel = data

    @jax.jit
    def scanned(tiles, columns):
        squares = jnp.sum(tiles**2, axis=2)

        def visit(total, pair):
            i, j = pair
            block = 2 * tiles[i] @ tiles[j].T - squares[i][:, None] - squares[j][None]
            form = columns[i] @ (jnp.exp(block) @ columns[j])
            return total + jnp.where(i == j, 1.0, 2.0) * form, None

        return jax.lax.scan(visit, jnp.float32(0), np.triu_indices(N // BLOCK))[0]

    def placed():
        points = jnp.asarray(x / (np.sqrt(2) * float(kernel.bandwidth)), "float32")
        return points.reshape(-1, BLOCK, D), jnp.asarray(v, "float32").reshape(-1, BLOCK)

    held = placed()
    return {
        "prototype, single": lambda: float(scanned(*held)),
        "prototype, single, from NumPy": lambda: float(scanned(*placed())),
    }


def row(name, time, single):
    return [name, float(time), float(time / N**2 * 1e9), float(time / single)]


def test_pairs_against_scikit_learn(data, benchmark):
    calls = {
        "kcm single": partial(ours, data, "single"),
        "kcm double": partial(ours, data, "double"),
        **prototypes(data),
        "scikit-learn float32": partial(with_scikit_learn, data, np.float32),
        "scikit-learn float64": partial(with_scikit_learn, data, np.float64),
    }
    times = best_medians(calls, rounds=5)
    single = times["kcm single"]
    print_table(f"v'Kv, n = {N:,}, d = {D}", HEADS, [row(k, t, single) for k, t in times.items()])
    benchmark.extra_info |= {name: time / single for name, time in times.items()}
    benchmark.pedantic(calls["kcm single"], rounds=3)
    for name in ("kcm single", "prototype, single"):
        assert np.isclose(calls[name](), calls["scikit-learn float64"](), rtol=1e-3)
    assert single < times["scikit-learn float32"]  # something is broken, not slow


def test_pairs_against_keops(data, tmp_path, benchmark):
    python = os.environ.get("KCM_KEOPS_PYTHON")
    if python is None:
        pytest.skip("KCM_KEOPS_PYTHON does not name a Python with pykeops")
    x, v, kernel = data
    scaled = x / (np.sqrt(2) * float(kernel.bandwidth))
    np.savez(tmp_path / "data.npz", x=scaled.astype("f4"), v=v[:, None].astype("f4"))
    words = [python, Path(__file__).with_name("keops_pairs.py"), tmp_path / "data.npz"]
    first, second = (
        (best_medians({"kcm": partial(ours, data, "single")}), run_keops(words)) for _ in range(2)
    )
    single = min(first[0]["kcm"], second[0]["kcm"])
    theirs = min(best_of(first[1]["seconds"]), best_of(second[1]["seconds"]))
    name = f"pykeops {first[1]['version']} float32"
    rows = [row("kcm single", single, single), row(name, theirs, single)]
    print_table(f"v'Kv, n = {N:,}, d = {D}", HEADS, rows)
    benchmark.extra_info |= {"pykeops": theirs / single}
    benchmark.pedantic(partial(ours, data, "single"), rounds=3)
    assert np.isclose(first[1]["value"], ours(data, "double"), rtol=1e-3)
    assert single < theirs  # something is broken, not slow


def run_keops(words):
    found = subprocess.run(words, check=True, capture_output=True, text=True)
    return json.loads(found.stdout.splitlines()[-1])


def best_of(times, rounds=5):
    return float(np.median(np.reshape(times, (-1, rounds)), axis=1).min())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pairs_above_the_floor(data, dtype, benchmark):
    precision = {"float32": "single", "float64": "double"}[dtype]
    with jax.enable_x64(True):
        rng = np.random.default_rng(2)
        block = jnp.asarray(-rng.random((BLOCK, BLOCK)), dtype)
        thin = jnp.asarray(rng.normal(size=(BLOCK, D)), dtype)
        calls = {
            "exponentials": partial(repeated(exponential), block),
            "exponentials of XLA": partial(repeated(jnp.exp), block),
            "thin product x'x": partial(repeated(thin_product), thin),
            "both and the sum, one block": partial(repeated(sums), thin),
            "one read": partial(repeated(jnp.sum), block),
        }
        parts = best_medians(calls)
    whole = best_medians({"": partial(ours, data, precision)})[""]
    rows = [row(name, time, whole) for name, time in ({f"kcm {precision}": whole} | parts).items()]
    title = f"v'Kv and its parts, {dtype}: a block of {BLOCK:,} x {BLOCK:,}, {N_BLOCKS} times"
    print_table(title, [*HEADS[:3], f"x kcm {precision}"], rows)
    benchmark.extra_info |= {name: time / whole for name, time in parts.items()}
    benchmark.pedantic(partial(ours, data, precision), rounds=3)
    assert parts["exponentials"] < 10 * whole  # something is broken, not slow


def repeated(function):
    """Return a program that computes a function of a block as often as there are blocks."""

    def again(_, block):
        values = jax.lax.optimization_barrier(function(block))
        return block.at[0, 0].set(-jnp.abs(values.ravel()[0]))  # or it would be computed once

    @jax.jit
    def program(block):
        return jax.lax.fori_loop(0, N_BLOCKS, again, block)

    return lambda block: program(block).block_until_ready()


def thin_product(x):
    return x @ x.T


def sums(x):
    values, column = exponential(-jnp.abs(x @ x.T)), x[:, 0]
    if x.dtype == jnp.float32:
        return values @ column
    return jnp.sum(values * column[None], axis=1)
