"""Time of an estimation beside that of a dense program for the same numbers.

    python -m pytest -m performance tests/performance -s

Each figure is a ratio of medians measured in the same run; no time is a pass mark.
"""

from time import perf_counter

import numpy as np
import pytest

import kcm


def median_seconds(call, rounds=5):
    """Return the median time of a call, after one that compiles."""
    call()
    times = []
    for _ in range(rounds):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return float(np.median(times))


def instrumental(n):
    z, w, u, v = np.random.default_rng(0).normal(size=(4, n))
    x = z + 0.5 * w + u + v
    return {"y": 1 + 2 * x - w + u, "x": x, "z": z, "w": w}


def dense(data, bandwidth):
    """Parameters and standard errors by NumPy, the n x n matrix held."""
    n = len(data["y"])
    scaled = np.column_stack([data["z"], data["w"]]) / bandwidth
    norms = np.sum(scaled**2, axis=1)
    gram = np.exp(-(norms[:, None] + norms[None] - 2 * scaled @ scaled.T) / 2)
    design = np.column_stack([np.ones(n), data["x"], data["w"]])
    smoothed = gram @ design
    inverse = np.linalg.inv(design.T @ smoothed)
    theta = inverse @ smoothed.T @ data["y"]
    influence = smoothed * (data["y"] - design @ theta)[:, None] @ inverse
    return theta, np.sqrt(np.diag(influence.T @ influence))


@pytest.mark.parametrize("estimator", [kcm.MMR, kcm.VMM], ids=["MMR", "VMM"])
@pytest.mark.parametrize("n", [1_000, 5_000])
def test_linear_estimates_against_a_dense_program(n, estimator, benchmark):
    data = instrumental(n)
    model = estimator.from_formula("y ~ x + w | z + w", data)
    bandwidth = model.fit().kernel.bandwidth
    peer, ours = median_seconds(lambda: dense(data, bandwidth)), median_seconds(model.fit)
    print(f"\n{estimator.__name__}, n = {n:,}: {ours:.3f} s; {ours / peer:.2f} x dense NumPy")
    benchmark.extra_info |= {"ratio_dense": ours / peer}
    benchmark.pedantic(model.fit, rounds=3, warmup_rounds=1)
    assert ours < 100 * peer  # something is broken, not slow
