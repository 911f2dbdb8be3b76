"""Draws and a low-rank test on a GPU beside its floor; skipped where JAX sees none.

    python -m pytest -m performance tests/performance/test_gpu.py -s

The floor is the operations over the measured rate of products, or the bytes over the measured rate
of copies, whichever is longer.
"""

import jax
import numpy as np
import pytest
from performance.timing import best_medians, ols_data, print_table

import kcm
from kcm import gram
from kcm.kernels import Gaussian

SIDE, N_DRAWS = 8_192, 999


def gpu():
    try:
        return jax.devices("gpu")[0]
    except RuntimeError:
        pytest.skip("JAX sees no GPU")


def rates(device):
    """Return products per second in single precision and bytes per second of a copy."""
    square = jax.device_put(np.ones((SIDE, SIDE), np.float32), device)
    product = jax.jit(lambda a: jax.numpy.matmul(a, a, precision="highest"))
    copy = jax.jit(lambda a: a + 1)
    times = best_medians(
        {
            "product": lambda: product(square).block_until_ready(),
            "copy": lambda: copy(square).block_until_ready(),
        }
    )
    return SIDE**3 / times["product"], 2 * square.nbytes / times["copy"]


def report(title, seconds, products, n_bytes, device):
    per_second, bytes_per_second = rates(device)
    floor = max(products / per_second, n_bytes / bytes_per_second)
    print_table(title, ["", "seconds", "x floor"], [["kcm", seconds, seconds / floor]])
    return seconds / floor


def test_draws_on_a_gpu(benchmark):
    device, n = gpu(), 100_000
    rng = np.random.default_rng(1)
    x, v = rng.normal(size=(n, 5)), rng.normal(size=(n, N_DRAWS))

    def draws():
        return gram.quadratic_form(Gaussian(2.0), x, v, precision="single", device=device)

    seconds = best_medians({"draws": draws}, rounds=3)["draws"]
    ratio = report(f"n = {n:,}, {N_DRAWS} draws", seconds, n**2 * N_DRAWS / 2, 0, device)
    benchmark.extra_info |= {"times_floor": ratio}
    found = benchmark.pedantic(draws, rounds=1)
    expected = gram.quadratic_form(Gaussian(2.0), x, v[:, :3], device="cpu")
    np.testing.assert_allclose(found[:3], expected, rtol=1e-3)


def test_low_rank_on_a_gpu(benchmark):
    device, n = gpu(), 1_000_000
    data = ols_data(n)
    moment = kcm.FittedMoment(data["psi"], data["x"], data["jacobian"], data["influence"])
    test = kcm.KCMTest(method="low-rank", device=device, progress=False)
    seconds = best_medians({"test": lambda: test.run(moment)}, rounds=3)["test"]
    found = benchmark.pedantic(lambda: test.run(moment), rounds=1)
    rank = found.certificate.rank
    # the factor and H'H; the factor is written once and read three times
    ratio = report(f"n = {n:,}, low rank", seconds, 2 * n * rank**2, 16 * n * rank, device)
    benchmark.extra_info |= {"times_floor": ratio}
    expected = kcm.KCMTest(method="low-rank", device="cpu", progress=False).run(moment)
    assert found.certificate.residual_share <= 0.01
    assert found.pvalue == pytest.approx(expected.pvalue, abs=1e-3)
