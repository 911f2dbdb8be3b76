"""Tiled contractions against the dense matrix."""

import subprocess
import sys

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import FEW_ALWAYS, KERNELS
from performance.memory import numbers_of, on_linux

from kcm import gram
from kcm.exceptions import DataError
from kcm.gram import tiles as _tiles
from kcm.kernels import Gaussian

everywhere = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS.keys())
# each kernel and size of a tile is a program of its own: the checks take one, a study the others
sizes = [pytest.param(rows, marks=pytest.mark.study) for rows in (1, 64, 65, 100)]
tile_sizes = pytest.mark.parametrize("rows", [7, *sizes])


@pytest.mark.parametrize("kernel", FEW_ALWAYS)
@tile_sizes
def test_tiled_equals_dense_whatever_the_tile(kernel, rows, rng, monkeypatch):
    monkeypatch.setattr(_tiles, "TILE", rows)
    x, v = rng.normal(size=(65, 3)), rng.normal(size=(65, 4))
    dense = gram.matrix(kernel, x)
    scale = np.abs(v).T @ np.abs(dense) @ np.abs(v)
    error = gram.quadratic_form(kernel, x, v) - np.einsum("ic,ij,jc->c", v, dense, v)
    assert np.abs(error / np.diag(scale)).max() < 1e-14
    product = np.abs(gram.matvec(kernel, x, v) - dense @ v) / (np.abs(dense) @ np.abs(v))
    assert product.max() < 1e-14


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_jax_takes_tiles_over_without_a_copy(dtype, rng):
    values = rng.normal(size=(700, 3)).astype(dtype)
    layout = _tiles.layout_of(700)
    tiles = _tiles.tiled(values, layout)
    np.testing.assert_array_equal(_tiles.untiled(tiles, layout, 700), values)
    with jax.enable_x64(True):
        held = jax.device_put(tiles, jax.devices("cpu")[0])
    assert held.unsafe_buffer_pointer() == tiles.ctypes.data


def test_three_columns_of_tiles_and_a_part_of_one(rng):
    x, v = rng.normal(size=(2 * _tiles.TILE + 700, 2)), rng.normal(size=(2 * _tiles.TILE + 700, 2))
    dense = gram.matrix(Gaussian(1.0), x)
    form = gram.quadratic_form(Gaussian(1.0), x, v)
    np.testing.assert_allclose(form, np.einsum("ic,ij,jc->c", v, dense, v), rtol=1e-12)


@settings(max_examples=10)
@given(st.integers(1, 200), st.integers(1, 3))
def test_any_number_of_rows(n, d):
    rng = np.random.default_rng(n)
    x, v = rng.normal(size=(n, d)), rng.normal(size=(n, 2))
    dense = np.exp(-((x[:, None] - x[None]) ** 2).sum(axis=2) / 2)
    np.testing.assert_allclose(gram.matvec(Gaussian(1.0), x, v), dense @ v, rtol=0, atol=1e-12)


def test_far_from_the_origin(rng):
    x, v = rng.normal(size=(300, 2)), rng.normal(size=(300, 1))
    near = gram.quadratic_form(Gaussian(1.0), x, v)
    np.testing.assert_allclose(gram.quadratic_form(Gaussian(1.0), x + 1e6, v), near, rtol=1e-8)


@pytest.mark.parametrize("enabled", [False, True])
def test_double_precision_whatever_the_ambient_setting(enabled, rng):
    x, v = rng.normal(size=(50, 2)), rng.normal(size=(50, 1))
    dense = np.exp(-((x[:, None] - x[None]) ** 2).sum(axis=2) / 2)
    with jax.enable_x64(enabled):
        form = gram.quadratic_form(Gaussian(1.0), x, v)
        assert jax.config.jax_enable_x64 is enabled
    np.testing.assert_allclose(form, np.diag(v.T @ dense @ v), rtol=1e-12)


GROWTH = """
import numpy as np
from kcm import gram
from kcm.kernels import Gaussian
x = np.random.default_rng(0).normal(size=(40_000, 1))
gram.quadratic_form(Gaussian(1.0), x[:2_000], x[:2_000])
before = memory("VmHWM")
gram.quadratic_form(Gaussian(1.0), x, x)
print(memory("VmHWM") - before)
"""


@on_linux
def test_no_array_of_n_by_n_is_held():
    (growth,) = numbers_of(GROWTH)
    assert growth / 1e9 < 0.2  # GB; the matrix takes 12.8


def test_what_is_no_kernel_is_refused_in_words():
    script = "from kcm import gram; gram.matvec('gaussian', [0.0], [1.0])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "`kernel` must be a kernel such as kcm.kernels.Gaussian()" in run.stderr


def test_rows_must_match(rng):
    with pytest.raises(DataError, match="`v` has 4 rows and `x` has 5"):
        gram.quadratic_form(Gaussian(1.0), np.arange(5.0), np.arange(4.0))


def test_input_is_left_alone(rng):
    x, v = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    copies = x.copy(), v.copy()
    gram.matvec(Gaussian(), x, v)
    np.testing.assert_array_equal(x, copies[0])
    np.testing.assert_array_equal(v, copies[1])


@pytest.mark.parametrize("sizes", [(5, 3), (70, 65), (130, 1)])
def test_cross_is_the_pointwise_definition(sizes, rng):
    x, y = rng.normal(size=(sizes[0], 2)), rng.normal(size=(sizes[1], 2))
    by_hand = [[np.exp(-np.sum((a - b) ** 2) / (2 * 0.7**2)) for b in y] for a in x]
    assert np.abs(gram.cross(Gaussian(0.7), x, y) - by_hand).max() < 1e-13


def test_cross_refuses_points_of_other_dimensions(rng):
    with pytest.raises(DataError, match="`y` has 3 columns and `x` has 2"):
        gram.cross(Gaussian(0.7), rng.normal(size=(4, 2)), rng.normal(size=(4, 3)))
