"""The exponential function of the kernels, against NumPy's in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.kernels._exponential import exponential

ROUNDING = 2.0**-24


def bound(x):
    """Relative error of the polynomial, and of a product that is rounded before a sum."""
    return 4e-7 + ROUNDING * np.abs(x)


@given(st.floats(-87, 0, width=32))
def test_single_precision_is_near_double(x):
    found, exact = float(exponential(jnp.float32(x))), np.exp(x)
    assert abs(found / exact - 1) <= bound(x)


def test_a_compiled_loop_over_many_numbers_is_near_double(rng):
    x = -(rng.random(1_000_000) * 87).astype(np.float32)
    exact = np.exp(x.astype(float))
    assert (np.abs(np.asarray(jax.jit(exponential)(x)) / exact - 1) <= bound(x)).all()


def test_the_ends_are_exact():
    x = jnp.array([0, -0.0, -88, -1e30, -np.inf, np.nan], jnp.float32)
    np.testing.assert_array_equal(jax.jit(exponential)(x), [1, 1, 0, 0, 0, np.nan])


def test_double_precision_is_that_of_jax(rng):
    with jax.enable_x64(True):
        x = jnp.asarray(-10 * rng.random(1_000))
        np.testing.assert_array_equal(exponential(x), jnp.exp(x))


def test_the_derivatives_are_the_value(rng):
    x = jnp.asarray(-5 * rng.random(20), jnp.float32)
    for derivative in (
        jax.grad(exponential),
        jax.grad(jax.grad(exponential)),
        jax.jacfwd(exponential),
    ):
        np.testing.assert_array_equal(jax.vmap(derivative)(x), exponential(x))


@pytest.mark.parametrize(("platform", "own"), [("cpu", True), ("cuda", False), ("tpu", False)])
def test_accelerators_have_an_exponential_of_their_own(platform, own):
    traced = jax.jit(exponential).trace(jnp.zeros(3, jnp.float32))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert ("stablehlo.exponential" not in text) == own
