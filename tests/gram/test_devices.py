"""Eight virtual devices, and two processes. Referee: one device."""

import os
import socket
import subprocess
import sys

import pytest

PROBLEM = """
import numpy as np, jax, kcm
from kcm import gram
from kcm.kernels import Gaussian, Laplace
rng = np.random.default_rng(0)
def problem(n):
    x, psi = rng.normal(size=(n, 2)), rng.normal(size=n)
    design = np.column_stack([np.ones(n), x])
    gain = design @ np.linalg.inv(design.T @ design / n)
    return kcm.FittedMoment(psi, x, -design, gain * psi[:, None])
def numbers(moment, **options):
    double = {"precision": "double"} | options
    run = lambda null, method: kcm.KCMTest(null=null, method=method, **double).run(moment, rng=1)
    n = moment.n_obs
    clusters = np.arange(n) // 2
    tests = [
        run(kcm.Asymptotic(), "exact"),
        run(kcm.Asymptotic(method="cumulants", groups=clusters), "exact"),
        run(kcm.MultiplierBootstrap(50), "exact"),
        run(kcm.Asymptotic(), "low-rank"),
        run(kcm.MultiplierBootstrap(50, groups=clusters), "low-rank"),
        run(kcm.MultiplierBootstrap(20, studentize=True), "exact"),
        run(kcm.StudentizedNormal(), "exact"),
    ]
    laws = [t.null_distribution for t in tests]
    draws = np.concatenate([laws[2].draws, laws[4].draws, laws[5].draws, [laws[6].sd]])
    found = [t.statistic for t in tests] + [laws[i].critical_value(0.05) for i in (0, 1, 3)]
    return np.concatenate([found, draws])
"""

EIGHT = (
    PROBLEM
    + """
from kcm.null import asymptotic
asymptotic.MAX_EIGENVALUES = 100
assert len(jax.devices()) == 8
for n, counts in {cases}:
    moment = problem(n)
    alone = numbers(moment)
    for count in counts:
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:count]), ("rows",))
        np.testing.assert_allclose(numbers(moment, mesh=mesh), alone, rtol=1e-10, atol=1e-12)
on_last = numbers(moment, device="cpu:7")
np.testing.assert_allclose(on_last, alone, rtol=1e-12, atol=1e-13)
x, v = rng.normal(size=(333, 2)), rng.normal(size=(333, 3))
mesh = jax.sharding.Mesh(np.array(jax.devices()).reshape(2, 4), ("a", "b"))
for kernel in (Gaussian(1.0), Laplace(1.0)):
    for call in (gram.matvec, gram.quadratic_form):
        np.testing.assert_allclose(call(kernel, x, v, mesh=mesh), call(kernel, x, v), rtol=1e-11)
print("equal")
"""
)

PROCESS = (
    """
import sys, jax
rank, port = sys.argv[1:]
jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=int(rank))
"""
    + PROBLEM
    + """
moment = problem(1_201)
mesh = jax.sharding.Mesh(np.array(jax.devices()), ("rows",))
assert len(mesh.devices) == 2 and len(jax.local_devices()) == 1
shared = numbers(moment, mesh=mesh)
alone = numbers(moment, device=jax.local_devices()[0])
np.testing.assert_allclose(shared, alone, rtol=1e-10, atol=1e-12)
try:
    kcm.KCMTest(null=kcm.MultiplierBootstrap(9), mesh=mesh).run(moment)
except kcm.OptionError as error:
    assert "`rng` must be a seed" in str(error)
    print("equal")
"""
)


BAR = (
    PROBLEM
    + """
import sys, _thread, threading
from kcm import _progress
from kcm.gram import pieces
mesh = jax.sharding.Mesh(np.array(jax.devices()), ("rows",))
moment = problem(4_000)
quiet = numbers(moment, mesh=mesh, progress=False)
assert "tqdm" not in sys.modules
_progress.SHOWN_FROM, pieces.CHUNK = 1e5, 1e6
np.testing.assert_allclose(numbers(moment, mesh=mesh), quiet, rtol=1e-10, atol=1e-12)
threading.Timer(1.0, _thread.interrupt_main).start()
x = rng.normal(size=(100_000, 1))
try:
    gram.quadratic_form(Gaussian(1.0), x, x, mesh=mesh)
except KeyboardInterrupt:
    from tqdm import tqdm
    assert not tqdm._instances
    print("interrupted")
"""
)


def environment(n_devices):
    return os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={n_devices}"}


@pytest.mark.parametrize(
    "cases",
    [
        ((700, (3,)), (3_001, (8,))),
        pytest.param(((700, (8,)), (3_001, (2, 5))), marks=pytest.mark.study),
    ],
    ids=["some", "others"],
)
def test_eight_devices_equal_one(cases):
    program = EIGHT.replace("{cases}", repr(cases))
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(8)
    )
    assert run.stdout.strip() == "equal", run.stderr


def test_a_mesh_shows_a_bar_and_can_be_interrupted():
    run = subprocess.run(
        [sys.executable, "-c", BAR], capture_output=True, text=True, env=environment(4)
    )
    assert run.stdout.strip() == "interrupted", run.stderr
    assert "Gram matrix" in run.stderr
    assert "Low rank" in run.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="JAX has no collectives between processes here")
def test_two_processes_equal_one():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(rank), str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(1),
        )
        for rank in range(2)
    ]
    for process in processes:
        out, err = process.communicate(timeout=300)
        assert out.strip().endswith("equal"), err
