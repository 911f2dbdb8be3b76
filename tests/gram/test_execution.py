"""Precision, memory, devices and families of kernels. Referee: the plain double computation."""

import contextlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from kernel_cases import FEW_ALWAYS
from performance.memory import numbers_of, on_linux
from refusals import messages

import kcm
from kcm import gram
from kcm.exceptions import OptionError
from kcm.gram import Execution
from kcm.gram.blocks import in_precision
from kcm.gram.family import family_of
from kcm.kernels import Gaussian, Laplace, Linear, Matern, Smooth


def test_single_precision_of_one_column_is_close_to_double(rng):
    check_single_precision(Gaussian(1.3), 1, rng)


@pytest.mark.parametrize("kernel", FEW_ALWAYS)
def test_single_precision_is_close_to_double(kernel, rng):
    check_single_precision(kernel, 3, rng)


def check_single_precision(kernel, columns, rng):
    x, v = rng.normal(size=(700, 3)), rng.normal(size=(700, columns))
    double = gram.quadratic_form(kernel, x, v)
    single = gram.quadratic_form(kernel, x, v, precision="single")
    scale = np.diag(np.abs(v).T @ np.abs(gram.matrix(kernel, x)) @ np.abs(v))
    assert np.abs((single - double) / scale).max() < 1e-6
    assert not np.array_equal(single, double)
    products = gram.matvec(kernel, x, v, precision="single") - gram.matvec(kernel, x, v)
    assert np.abs(products).max() < 1e-5 * np.abs(gram.matvec(kernel, x, np.abs(v))).max()


def test_kernels_are_evaluated_in_single_precision_where_that_is_harmless(rng):
    x = rng.normal(size=(500, 2))
    kernel, points, _ = in_precision(Gaussian(1.0), x + 1e6, "single")
    assert points.dtype == np.float32
    assert kernel.bandwidth.dtype == np.float32


@pytest.mark.parametrize("bandwidth", 10.0 ** -np.arange(5, 11))
@pytest.mark.parametrize("columns", [1, 2, 5])
def test_points_that_rounding_moves_by_bandwidths_stay_in_double(bandwidth, columns, rng):
    """No two points are within reach: only a point and what it is rounded to can tell."""
    x = rng.normal(size=(3_000, columns))
    assert in_precision(Gaussian(bandwidth), x, "single")[1] is x


@pytest.mark.parametrize("bandwidth", [10.0, 1.0, 0.1, 0.01, 1e-4])
@pytest.mark.parametrize("kernel", [Gaussian, Matern, Laplace, Smooth])
@pytest.mark.parametrize("columns", [1, 2])
def test_values_in_single_precision_are_near_those_in_double(kernel, bandwidth, columns, rng):
    x, single = rng.normal(size=(600, columns)), np.eye(600)
    double = gram.matrix(kernel(bandwidth), x)
    found = gram.matvec(kernel(bandwidth), x, single, precision="single")
    assert np.abs(found - double).max() <= 4e-5 * np.abs(double).max()


def twins(distance):
    """Points of which those near the centre come twice, so far apart in the first column."""
    x = np.random.default_rng(0).normal(size=(300, 2))
    x = x[np.argsort(np.linalg.norm(x, axis=1))]
    return np.vstack([x, x[:200] + np.array([distance, 0])])


@pytest.mark.parametrize(
    ("kernel", "x"),
    [
        (Gaussian(1e-3), np.linspace(0, 1e4, 500)[:, None] ** np.ones((1, 2))),
        (Laplace(1e30), np.random.default_rng(0).normal(size=(500, 2)) * 1e30),
        (Gaussian(1e100), np.random.default_rng(0).normal(size=(500, 2)) * 1e100),
        (1.0 + Linear(), np.random.default_rng(0).normal(size=(500, 2)) + 1e4),
        (Laplace(1e-4), twins(1e-7)),
        (Gaussian(1e-4), twins(1e-4)),
        (Matern(1e-3), twins(1e-3)),
    ],
    ids=[
        "bandwidth below rounding",
        "large",
        "beyond single",
        "not invariant to shifts",
        "twins near a kink",
        "twins that a product of points makes one",
        "twins that are closer to the product",
    ],
)
def test_kernels_are_evaluated_in_double_where_single_would_be_wrong(kernel, x, rng):
    v = rng.normal(size=(500, 2))
    form = gram.quadratic_form(kernel, x, v, precision="single")
    scale = np.diag(np.abs(v).T @ np.abs(gram.matrix(kernel, x)) @ np.abs(v))
    assert np.abs((form - gram.quadratic_form(kernel, x, v)) / scale).max() < 1e-6


def test_a_family_is_evaluated_once_and_its_powers_are_right(rng):
    x, v = rng.normal(size=(300, 2)), rng.normal(size=(300, 3))
    h = np.array([0.9, 1.4])
    kernels = [Gaussian(h / np.sqrt(2)), Laplace(1.0), Gaussian(h), Gaussian(h / 2), Laplace(0.5)]
    family = family_of(kernels)
    assert len(family.evaluated) == 2
    assert [step.exponent for step in family.steps] == [2, 1, 1, 4, 2]
    one_by_one = [gram.quadratic_form(kernel, x, v) for kernel in kernels]
    np.testing.assert_allclose(gram.quadratic_forms(kernels, x, v), one_by_one, rtol=1e-12)


def test_kernels_that_are_no_powers_of_each_other_are_evaluated(rng):
    kernels = [Gaussian(1.0), Gaussian(0.9), Gaussian(np.array([1.0, 2.0])), Laplace(0.7)]
    assert family_of(kernels).evaluated == tuple(kernels)
    assert Gaussian(1.0).power_of(Gaussian(0.5)) is None
    assert Gaussian(1.0).power_of(Laplace(1.0)) is None


@pytest.mark.parametrize(
    ("limit", "memory"),
    [
        (1000, 1000),
        ("256 MB", 256_000_000),
        ("1.5GiB", 3 * 2**29),
        ("20 kB", 20_000),
        ("7", 7),
        ("0.1GB", 10**8),
    ],
)
def test_memory_limits_are_read(limit, memory):
    assert Execution(memory_limit=limit).memory == memory


def test_the_default_limit_is_at_most_four_gibibytes():
    assert 0 < Execution().memory <= 4 * 2**30


@pytest.mark.parametrize("limit", [10**400, "9" * 400, "9" * 5_000 + " GB"])
def test_limits_beyond_any_memory_are_no_limits(limit, rng):
    x, psi = rng.normal(size=(2, 40))
    for method in ("exact", "low-rank"):
        unlimited = kcm.KCMTest(method=method, memory_limit=limit)
        expected = kcm.KCMTest(method=method).run(kcm.FittedMoment(psi, x)).pvalue
        assert unlimited.run(kcm.FittedMoment(psi, x)).pvalue == expected


FRACTIONS = """
import numpy as np, kcm
from fractions import Fraction
x, psi = np.random.default_rng(0).normal(size=(2, 200))
for share in (Fraction(1, 100), np.float32(0.01), 0.01):
    test = kcm.KCMTest(method="low-rank", tolerance=share)
    print(test.run(kcm.FittedMoment(psi, x)).pvalue)
try:
    kcm.KCMTest(method="low-rank", tolerance=Fraction(1, 10**13)).run(kcm.FittedMoment(psi, x))
except kcm.OptionError as error:
    print(error)
"""


def test_a_tolerance_is_any_real_number():
    run = subprocess.run([sys.executable, "-c", FRACTIONS], capture_output=True, text=True)
    *pvalues, refusal = run.stdout.splitlines()
    assert len(pvalues) == 3, run.stderr
    assert len(set(pvalues)) == 1
    assert "the smallest for 200 rows is 1e-12" in refusal


REFUSED = {
    "memory_limit='much'": "`memory_limit`",
    "memory_limit=0": "`memory_limit` must be positive",
    "memory_limit=True": "`memory_limit`",
    "device='tpu:9'": "`device` 'tpu:9' is not there",
    "device='cpu:99'": "`device` 'cpu:99' is not there",
    "device='cpu:-1'": "`device` 'cpu:-1' is not there",
    "device=3": "`device` must be",
    "mesh='all'": "`mesh` must be a jax.sharding.Mesh",
    "progress='yes'": "`progress` must be True or False",
    "precision='half'": "`precision`",
    "method='fast'": "`method`",
    "tolerance=0.0": "`tolerance` must lie strictly",
    "tolerance=10**400": "`tolerance` must lie strictly",
    "tolerance=__import__('fractions').Fraction(1, 10**400)": "`tolerance` must lie strictly",
    "tolerance=0.1, method='exact'": "`tolerance` is for a low-rank factor",
}


def test_wrong_options_are_refused_in_words():
    told = messages([f"kcm.KCMTest({options})" for options in REFUSED], "OptionError")
    assert len(told) == len(REFUSED)
    for message, words in zip(told, REFUSED.values(), strict=True):
        assert words in message


def test_families_that_are_none_are_refused_in_words():
    told = messages(
        [
            "kcm.gram.quadratic_forms(kcm.kernels.Gaussian(1.0), [0.0], [1.0])",
            "kcm.gram.quadratic_forms([], [0.0], [1.0])",
            "kcm.gram.quadratic_forms([kcm.kernels.Gaussian(1.0)], [0.0], [1.0], execution={})",
        ],
        "OptionError",
    )
    assert ["`kernels` must be" in told[0], "`kernels`" in told[1], "`execution`" in told[2]]
    assert len(told) == 3


def test_device_and_mesh_exclude_each_other():
    mesh = jax.sharding.Mesh(np.array(jax.devices("cpu")[:1]), ("rows",))
    with pytest.raises(OptionError, match="not both"):
        Execution(device="cpu", mesh=mesh)


@pytest.mark.parametrize(("n", "limit"), [(60, 99), (40_000, 300_000)], ids=["tile", "column"])
def test_a_limit_too_small_is_refused_with_the_smallest_that_works(n, limit, rng):
    x, v = rng.normal(size=(n, 1)), rng.normal(size=(n, 1))
    with pytest.raises(OptionError, match="smallest that works is") as caught:
        gram.quadratic_form(Gaussian(1.0), x, v, memory_limit=limit)
    smallest = int(str(caught.value).split("works is ")[1].split(" bytes")[0].replace(",", ""))
    form = gram.quadratic_form(Gaussian(1.0), x, v, memory_limit=smallest)
    np.testing.assert_allclose(form, gram.quadratic_form(Gaussian(1.0), x, v), rtol=1e-10)


@pytest.mark.parametrize("n", [40, 1_200])
@pytest.mark.parametrize("null", [None, kcm.MultiplierBootstrap(19)])
def test_the_smallest_limit_named_for_a_low_rank_test_works(n, null, rng):
    x, psi = rng.normal(size=(2, n))
    moment = kcm.FittedMoment(psi, x)
    with pytest.raises(OptionError, match="the smallest that works") as caught:
        kcm.KCMTest(null=null, method="low-rank", memory_limit="1 kB").run(moment)
    smallest = int(str(caught.value).split("rows is ")[1].split(" bytes")[0].replace(",", ""))
    test = kcm.KCMTest(null=null, method="low-rank", memory_limit=smallest)
    assert 0 < test.run(moment, rng=0).pvalue < 1
    with pytest.raises(OptionError, match="the smallest that works"):
        kcm.KCMTest(null=null, method="low-rank", memory_limit=smallest - 1).run(moment)


def test_numbers_do_not_depend_on_the_memory_limit(rng):
    x, v = rng.normal(size=(900, 2)), rng.normal(size=(900, 40))
    whole = gram.quadratic_form(Gaussian(1.0), x, v)
    parts = gram.quadratic_form(Gaussian(1.0), x, v, memory_limit="700 kB")
    np.testing.assert_allclose(parts, whole, rtol=1e-12)


def test_a_device_by_name_gives_the_same_numbers(rng):
    x, v = rng.normal(size=(90, 2)), rng.normal(size=(90, 2))
    here = gram.quadratic_form(Gaussian(1.0), x, v)
    np.testing.assert_array_equal(gram.quadratic_form(Gaussian(1.0), x, v, device="cpu:0"), here)
    assert kcm.gram.execution.platform(Execution(device="cpu")) == "cpu"


def test_a_new_size_compiles_nothing_new(rng):
    x, v = rng.normal(size=(7_900, 1)), rng.normal(size=(7_900, 1))
    gram.quadratic_form(Gaussian(1.0), x[:7_200], v[:7_200])
    before = gram.passes._whole._cache_size()
    gram.quadratic_form(Gaussian(1.0), x, v)
    gram.quadratic_form(Gaussian(2.0), x[:7_500], v[:7_500])
    assert gram.passes._whole._cache_size() == before


def test_no_piece_of_long_work_is_longer_than_told(rng, monkeypatch):
    """Three tiles: each with itself and each pair is a piece, and the bar counts all of them."""
    told, works = [], []

    @contextlib.contextmanager
    def bar(work, label, shown):
        works.append(work)
        yield told.append

    monkeypatch.setattr(gram.passes, "progress_bar", bar)
    x = rng.normal(size=(3_000, 1))
    whole = gram.quadratic_form(Gaussian(1.0), x, x)
    monkeypatch.setattr(gram.pieces, "CHUNK", 1.0)
    np.testing.assert_allclose(gram.quadratic_form(Gaussian(1.0), x, x), whole, rtol=1e-12)
    assert len(told) == 6
    assert sum(told) == works[-1]


BAR = """
import numpy as np
from kcm import gram
from kcm import _progress
from kcm.gram import pieces
from kcm.kernels import Gaussian
_progress.SHOWN_FROM, pieces.CHUNK = 1e5, 1e6
x = np.random.default_rng(0).normal(size=(3_000, 1))
quiet = gram.quadratic_form(Gaussian(1.0), x, x, progress=False)
import sys
assert "tqdm" not in sys.modules
print("loud", file=sys.stderr)
np.testing.assert_allclose(gram.quadratic_form(Gaussian(1.0), x, x), quiet, rtol=1e-12)
"""


def test_large_work_shows_a_bar_unless_told_not_to():
    run = subprocess.run([sys.executable, "-c", BAR], capture_output=True, text=True, check=True)
    before, after = run.stderr.split("loud\n")
    assert not before
    assert "Gram matrix" in after


INTERRUPTED = """
import numpy as np, threading, _thread
from kcm import gram
from kcm import _progress
from kcm.gram import pieces
from kcm.kernels import Gaussian
_progress.SHOWN_FROM, pieces.CHUNK = 1e5, 1e7
x = np.random.default_rng(0).normal(size=(60_000, 1))
gram.quadratic_form(Gaussian(1.0), x[:3_000], x[:3_000])
threading.Timer(1.0, _thread.interrupt_main).start()
try:
    gram.quadratic_form(Gaussian(1.0), x, np.hstack([x] * 50))
    print("finished")
except KeyboardInterrupt:
    from tqdm import tqdm
    print("interrupted", len(tqdm._instances), threading.active_count() < 4)
print(gram.quadratic_form(Gaussian(1.0), x[:3_000], x[:3_000]).shape)
"""


def test_an_interrupt_stops_the_work_and_leaves_nothing_behind():
    run = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert run.stdout.split("\n")[:2] == ["interrupted 0 True", "(1,)"], run.stderr


MEMORY = """
import numpy as np, kcm
rng = np.random.default_rng(0)
def problem(n):
    x, psi = rng.normal(size=(n, 3)), rng.normal(size=n)
    design = np.column_stack([np.ones(n), x])
    gain = design @ np.linalg.inv(design.T @ design / n)
    return kcm.FittedMoment(psi, x, -design, gain * psi[:, None])
small, large = problem(2_500), problem(50_000)
null = {null}
def run(moment):
    return kcm.KCMTest(null=null, method="{method}", memory_limit="256 MB").run(moment, rng=0)
run(small)
before = memory("VmHWM")
result = run(large)
print((memory("VmHWM") - before) / 1e6, result.pvalue)
"""


@on_linux
@pytest.mark.parametrize(
    ("method", "null"),
    [
        ("auto", "kcm.Asymptotic()"),
        pytest.param("exact", "kcm.MultiplierBootstrap(19)", marks=pytest.mark.slow),
    ],
)
def test_fifty_thousand_rows_within_256_megabytes(method, null):
    growth, pvalue = numbers_of(MEMORY.format(method=method, null=null))
    assert growth < 512  # MB; the n x n matrix takes 20 GB
    assert 0 < pvalue < 1
