"""The exponential function of numbers that are not positive: most of the work of many kernels."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32

__all__ = ["exponential"]

LOG2_E, LN_2 = np.float32(1 / math.log(2)), np.float32(math.log(2))
# Its exponential is rounded to zero.
LOWEST = np.float32(-87)
# Of exp(r), |r| <= ln(2) / 2, after 1 + r: smallest largest relative error, 1.1e-7.
COEFFICIENTS = (0.4999923, 0.16667114, 0.041890115, 0.0083125252)
# The sum with a small float32 has the nearest whole number in its last bits.
WHOLE = np.float32(1.5 * 2**23)
WHOLE_BITS = WHOLE.view(np.int32)
FRACTION_BITS, BIAS = np.int32(23), np.int32(127)


def exponential(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return exp(x) for x <= 0.

    On a CPU single precision is computed as 2^i exp(r), i whole and |r| <= ln(2) / 2, with a
    polynomial of degree five, to 4e-7 of the value when compiled (and 6e-8 |x| where a product is
    rounded before a sum, as without compilation). XLA's own function is exact to the last digit and
    takes twice as long. Below -87 the value is zero.
    """
    if x.dtype != jnp.float32:
        return jnp.exp(x)
    return lax.platform_dependent(x, cpu=_by_powers_of_two, default=jnp.exp)


@jax.custom_jvp
def _by_powers_of_two(x: Float32[Array, "..."]) -> Float32[Array, "..."]:
    exponent = lax.bitcast_convert_type(x * LOG2_E + WHOLE, jnp.int32) - WHOLE_BITS
    power = lax.bitcast_convert_type(lax.shift_left(exponent + BIAS, FRACTION_BITS), jnp.float32)
    value = _polynomial(x - exponent.astype(jnp.float32) * LN_2) * power
    # Ends in a choice, which XLA leaves here; a product it would move into a matrix product that
    # follows, where the polynomial is slow.
    return jnp.where(x < LOWEST, np.float32(0), value)


@_by_powers_of_two.defjvp
def _derivative(
    points: tuple[Float32[Array, "..."]], tangents: tuple[Float32[Array, "..."]]
) -> tuple[Float32[Array, "..."], Float32[Array, "..."]]:
    values = _by_powers_of_two(*points)
    return values, values * tangents[0]


def _polynomial(r: Float32[Array, "..."]) -> Float32[Array, "..."]:
    value = jnp.full_like(r, COEFFICIENTS[-1])
    for coefficient in (*COEFFICIENTS[-2::-1], 1.0, 1.0):
        value = value * r + np.float32(coefficient)
    return value
