"""Processes, interrupts, compiled programs and records.

Referees: the operating system (forks, signals, /proc), and the same call without compilation.
"""

import re
import subprocess
import sys
import threading

import jax
import numpy as np
import pandas as pd
import pytest
from refusals import messages

import kcm
from kcm import kernels
from kcm.gram import programs
from kcm.null import BootstrapDistribution, WeightedChiSquare
from kcm.null.interruptible import interruptible

linux = pytest.mark.skipif(sys.platform != "linux", reason="forks and /proc are those of Linux")

FORK = """
import multiprocessing, warnings
import numpy as np, kcm
x, psi = np.random.default_rng(0).normal(size=(2, 50))
moment = kcm.FittedMoment(psi, x)
kcm.KCMTest().run(moment)
def child(_):
    try:
        return kcm.KCMTest().run(moment).pvalue
    except kcm.exceptions.KCMError as error:
        return f"{type(error).__name__}: {error}"
warnings.simplefilter("ignore")
with multiprocessing.get_context("fork").Pool(1) as pool:
    print(pool.map_async(child, [0]).get(60))
"""
INTERRUPT = """
import os, signal, sys, threading, time
import numpy as np, kcm
rng = np.random.default_rng(0)
moment = kcm.FittedMoment(rng.normal(size={n}), rng.normal(size=({n}, 2)))
test = {test}
seen = []
def interrupt():
    seen.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
timer = threading.Timer({after}, interrupt)
timer.start()
try:
    test.run(moment, rng=0)
    print("finished")
except KeyboardInterrupt:
    print(time.perf_counter() - seen[0])
"""


def output_of(program: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=150
    )
    return run.stdout.strip()


def moment(n: int = 50, d: int = 1) -> kcm.FittedMoment:
    rng = np.random.default_rng(0)
    return kcm.FittedMoment(rng.normal(size=n), rng.normal(size=(n, d)))


@linux
def test_a_fork_after_use_gets_a_sentence():
    assert "ForkedProcessError: this process was forked" in output_of(FORK)


@linux
@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "test", "after"),
    [
        (1_500, "kcm.KCMTest(kcm.kernels.Projection(), progress=False)", 6),
        (7_000, 'kcm.KCMTest(null=kcm.Asymptotic("eigenvalues"), progress=False)', 10),
    ],
)
def test_an_interrupt_is_heard_within_two_seconds(n, test, after):
    assert float(output_of(INTERRUPT.format(n=n, test=test, after=after))) < 2


def test_an_interrupt_leaves_a_thread_behind():
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0)
    assert interruptible(lambda: threading.current_thread() is threading.main_thread()) is False


@pytest.mark.parametrize("kernel", [kernels.Projection(), kernels.Orthant()])
def test_tiles_of_an_expensive_kernel_are_the_whole(kernel, monkeypatch):
    from kcm.gram import cost, matrices

    x = np.random.default_rng(0).normal(size=(150, 2))
    resolved = kernel.resolve(x)
    whole, edge = kcm.gram.matrix(resolved, x), kcm.gram.cross(resolved, x, x[:70])
    monkeypatch.setattr(cost, "CHUNK", 1e5)
    monkeypatch.setattr(matrices, "CHUNK", 1e5)
    np.testing.assert_allclose(kcm.gram.matrix(resolved, x), whole, rtol=1e-13)
    np.testing.assert_allclose(kcm.gram.cross(resolved, x, x[:70]), edge, rtol=1e-13)


@linux
def test_programs_are_forgotten_before_memory_maps_run_out(monkeypatch):
    def n_maps() -> int:
        with open("/proc/self/maps") as lines:
            return sum(1 for _ in lines)

    monkeypatch.setattr(programs, "MOST_PROGRAMS", 12)
    jax.clear_caches()
    counts = []
    for n in range(1, 13):
        kcm.gram.cross(kernels.Gaussian(1.0), np.zeros((64 * n, 2)), np.zeros((1, 2)))
        counts.append(len(jax.extend.backend.get_backend().live_executables()))
    before = n_maps()
    for n in range(13, 25):
        kcm.gram.cross(kernels.Gaussian(1.0), np.zeros((64 * n, 3)), np.zeros((1, 3)))
    assert max(counts) <= 12 + 8
    assert n_maps() < before + 500


UNCOMPILED = """
import numpy as np, jax, kcm
x, psi = np.random.default_rng(0).normal(size=(2, 20))
moment, k = kcm.FittedMoment(psi, np.column_stack([x, x**2])), kcm.kernels
for kernel in (k.Gaussian(), k.SmoothICM(), k.Orthant(), k.Laplace()):
    print(kcm.KCMTest(kernel, null=kcm.MultiplierBootstrap(19)).run(moment, rng=0).statistic)
one = kcm.FittedMoment(psi, x)
for kernel in ("adaptive", k.Laplace(), k.Additive(), k.Gaussian() + k.Laplace()):
    print(kcm.KCMTest(kernel).run(one).pvalue)
print(kcm.KCMTest(k.Gaussian(1.0)).run(kcm.FittedMoment(psi, x + 1e9 * (x > 0))).pvalue)
"""


def test_without_compilation(monkeypatch):
    compiled = np.array(output_of(UNCOMPILED).split(), float)
    monkeypatch.setenv("JAX_DISABLE_JIT", "1")
    np.testing.assert_allclose(np.array(output_of(UNCOMPILED).split(), float), compiled, rtol=1e-9)


GAUSSIAN = "kcm.kernels.Gaussian()"
REFUSED = {
    **{
        build.format(odd=odd): "must be made of kernels such as kcm.kernels.Gaussian()"
        for build in (
            "kcm.kernels.base.Scaled({odd}, 2.0)",
            f"kcm.kernels.base.Sum({GAUSSIAN}, {{odd}})",
            f"kcm.kernels.base.Product({{odd}}, {GAUSSIAN})",
            "kcm.kernels.base.Power({odd}, 2)",
            "kcm.kernels.Subspace({odd}, 0)",
        )
        for odd in ("None", "'gaussian'", "1.0", f"[{GAUSSIAN}]", "kcm.kernels.Gaussian")
    },
    **{
        f"kcm.MultiplierBootstrap({count})": "`n_resamples` must be"
        for count in ("0", "-1", "2**70", "1.5", "'99'", "True", "None")
    },
    **{
        f"kcm.FittedMoment([1.0, 2, 3], [0.0, 1, 2], labels={odd})": "`labels` must be"
        for odd in ("'psi'", "3", "object()", "['x']")
    },
    **{
        f"kcm.FittedMoment([1.0, 2, 3], [0.0, 1, 2], labels=kcm.MomentLabels({name}=object()))": (
            f"`{name}` of the labels"
        )
        for name in ("moment", "theta", "conditioning", "kinds", "levels")
    },
    "kcm.kernels.Matern(1.0, [1.5, 2.5])": "`nu` must be",
    "kcm.kernels.HsiaoLiRacine(3)": "`kinds` must be a list",
    "kcm.gram.matrix('gaussian', [1.0, 2])": "`kernel` must be a kernel",
    "kcm.gram.diagonal(None, [1.0, 2])": "`kernel` must be a kernel",
}


def test_options_of_a_wrong_kind():
    told = messages(REFUSED, "OptionError")
    assert len(told) == len(REFUSED)
    for message, words in zip(told, REFUSED.values(), strict=True):
        assert words in message


class TestRecords:
    def records(self) -> list:
        groups = np.repeat(np.arange(20), 3)
        null = kcm.MultiplierBootstrap(99, groups=groups)
        adaptive = kcm.KCMTest("adaptive", null=null).run(moment(60), rng=0)
        plain = kcm.KCMTest().run(moment(60))
        data = pd.DataFrame({"y": np.arange(60.0) % 7, "x": np.arange(60.0) % 5})
        return [
            null,
            kcm.Asymptotic(groups=groups),
            kcm.StudentizedNormal(groups),
            kcm.KCMTest(null=null),
            adaptive,
            *adaptive.kernel_tests,
            plain.null_distribution,
            plain.moment,
            plain.embedding,
            kcm.gram.TiledGram(plain.kernel, plain.moment.conditioning),
            kcm.MMR.from_formula("y ~ x", data),
        ]

    def test_one_line_without_arrays(self):
        for record in self.records():
            assert re.fullmatch(r"[A-Z]\w+\(.{0,600}\)", repr(record)), repr(record)
            assert "array(" not in repr(record)

    def test_arrays_cannot_be_written_to(self):
        result = kcm.KCMTest(null=kcm.MultiplierBootstrap(99, groups=list(range(50)))).run(
            moment(), rng=0
        )
        plain = kcm.KCMTest().run(moment(), rng=0)
        band = plain.embedding.band([0.0, 1.0], rng=0)
        data = pd.DataFrame({"y": np.arange(60.0) % 7, "x": np.arange(60.0) % 5})
        region = kcm.MMR.from_formula("y ~ 0 + x", data).fit().confidence_set("x")
        draws, given = np.zeros(9), BootstrapDistribution(np.zeros(9), "webb")
        arrays = (
            result.null_distribution.draws,
            result.groups,
            result.moment.residuals,
            result.moment.conditioning,
            result.kernel.bandwidth,
            given.draws,
            WeightedChiSquare([1.0]).weights,
            plain.null_distribution.degrees,
            *(band.values, band.lower, band.upper, band.density, band.points),
            *(region.values, region.pvalues),
            kernels.SmoothICM(directions=[[1.0, 2.0]]).directions,
        )
        for array in arrays:
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
        draws[0] = 1  # the caller's stays writeable

    @pytest.mark.parametrize("make", [np.array, list, pd.Series])
    def test_groups_are_copied(self, make):
        groups = make(np.repeat(np.arange(25), 2).tolist())
        null = kcm.MultiplierBootstrap(99, groups=groups)
        first = kcm.KCMTest(null=null).run(moment(), rng=0).pvalue
        for i in range(50):
            groups[i] = i % 3
        assert kcm.KCMTest(null=null).run(moment(), rng=0).pvalue == first
