"""Tail probabilities of weighted sums of chi-square variables, to about 14 digits."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, final

import numpy as np
import scipy
from jaxtyping import Bool, Complex, Float

from kcm._arrays import as_floats
from kcm.exceptions import DataError, KCMError

__all__ = [
    "ContourError",
    "Mixture",
    "as_degrees",
    "as_number",
    "finite_vector",
    "saddle",
    "upper_quantile",
    "upper_tail",
]

# In units of the largest weight. Weights below TINY move no probability by more than 1e-49; a sum
# above HUGE has a probability that no double holds.
TINY = 1e-100
HUGE = 1e100
# exp(-750) is zero in double precision.
LOG_ZERO = -750.0

# Tilts tried after the one of steepest descent: towards decay first, then straight, then away.
TILTS = (1.0, 0.4, 0.1, 0.0, -1.0, -0.4, -0.1)
# Steps tried on one contour before the next contour; the finer pair once all of them failed.
STEPS = ((0.07, 0.035), (0.0175, 0.00875))
# A contour is accepted if |integrand| stays below MAX_GROWTH and ends below NEGLIGIBLE times its
# value at the crossing, and if the sums over even and over odd nodes agree to AGREEMENT.
MAX_GROWTH = 1.5
NEGLIGIBLE = 1e-16
AGREEMENT = 1e-12
LAST_NODE = 100.0

# Nodes and weights that are held at once: a few arrays of 48 x 2,048 doubles.
NODES = 48
BLOCK = 2_048
# Weights with |2 w s| below SMALL enter through their power sums, 16 of them: 0.1^17 / 34 is left.
SMALL = 0.1
TERMS = 16


@final
class ContourError(KCMError, ArithmeticError):
    """No contour gave the tail of a weighted chi-square law to the required accuracy.

    No weights are known for which this happens.
    """


class Mixture(NamedTuple):
    """Weights, and the degrees of freedom of their chi-square variables."""

    weights: Float[np.ndarray, " m"]
    degrees: Float[np.ndarray, " m"]

    def opposite(self) -> "Mixture":
        return Mixture(-self.weights, self.degrees)

    def at(self, chosen: Bool[np.ndarray, " m"]) -> "Mixture":
        return Mixture(self.weights[chosen], self.degrees[chosen])

    def total(self) -> float:
        return float(self.degrees @ self.weights)


def upper_tail(
    weights: Float[np.ndarray, " m"], x: float, degrees: Float[np.ndarray, " m"] | None = None
) -> float:
    r"""Return P(sum_j w_j chi2_(d_j) > x), the chi-square variables independent.

    Parameters
    ----------
    weights : ndarray of shape (m,)
        Real weights of either sign, finite. Memory: a few vectors of m, and 10 MB of nodes.
    x : float
        Any number; infinities are allowed.
    degrees : ndarray of shape (m,), optional
        Degrees of freedom d_j > 0. Default: 1 for each.

    Returns
    -------
    float
        The probability, in [0, 1], with a relative error of about 1e-14 also deep in either tail
        (where the probability is 1e-100 or less, of about 1e-13: that is how far it moves when x
        moves by one rounding error). Exactly 0 or 1 outside the support.

    Raises
    ------
    DataError
        If the weights are not one-dimensional and finite, or x is not a number.
    ContourError
        If no contour is accepted (see Notes). No weights are known for which this happens.

    Notes
    -----
    With :math:`\phi(s) = -\tfrac12 \sum_j d_j \log(1 - 2 w_j s) - s x - \log s`,

    .. math:: P(Q > x) = \frac{1}{2 \pi i} \int \exp \phi(s) \, ds

    along any line that crosses the real axis between 0 and 1 / (2 max w) (Imhof 1961 [1]_ takes the
    imaginary axis). The crossing s_0 is the minimum of phi there (Rice 1980 [2]_), its width
    :math:`v = \phi''(s_0)^{-1/2}`, and the contour a hyperbola,

    .. math:: s(u) = s_0 + v (i \sinh u + \tau (\cosh u - 1)),

    on which the trapezoid rule converges geometrically (Weideman and Trefethen 2007 [3]_). The tilt
    :math:`\tau = \phi'''(s_0) v^3 / 3` follows the path of steepest descent; some fixed tilts come
    next. A contour is accepted only if the integrand never exceeds 1.5 times and ends below 1e-16
    times its modulus at s_0, and if even and odd nodes give the same integral to 1e-12. It may end
    there whatever lies beyond, because from any point the modulus decreases along the vertical.

    The smaller of the two tails is the one computed: P(Q > x) from the mean upwards, and
    1 - P(-Q > -x) below it. Small weights enter through their power sums, so that thousands of
    them keep their joint effect.

    References
    ----------
    .. [1] J. P. Imhof (1961), Computing the distribution of quadratic forms in normal variables,
       Biometrika 48, 419-426.
    .. [2] S. O. Rice (1980), Distribution of quadratic forms in normal random variables: evaluation
       by numerical integration, SIAM J. Sci. Stat. Comput. 1, 438-448.
    .. [3] J. A. C. Weideman and L. N. Trefethen (2007), Parabolic and hyperbolic contours for
       computing the Bromwich integral, Math. Comp. 76, 1341-1356.

    Examples
    --------
    >>> round(upper_tail(np.array([1.0]), 3.841458820694124), 12)
    0.05
    >>> f"{upper_tail(np.array([1.0, 1.0, -2.0]), 94.0):.10e}"  # exp(-47) / sqrt(3)
    '2.2366535738e-21'
    """
    vector = finite_vector(weights)
    freedom = np.ones(len(vector)) if degrees is None else as_degrees(degrees, len(vector))
    mixture, x, _ = _in_units_of_largest(Mixture(vector, freedom), as_number(x))
    if abs(x) > HUGE or mixture.weights.size == 0:
        return float(x < 0)
    if x >= 0 and mixture.weights.max() < 0:
        return 0.0
    if x <= 0 and mixture.weights.min() > 0:
        return 1.0
    if x >= mixture.total():
        return min(_inverted_tail(mixture, x), 1.0)
    return max(1.0 - _inverted_tail(mixture.opposite(), -x), 0.0)


def as_degrees(degrees: Any, m: int) -> Float[np.ndarray, " m"]:
    """Return degrees of freedom, one per weight."""
    floats = as_floats(np.asarray(degrees), "`degrees`")
    if floats.shape != (m,) or not (np.isfinite(floats) & (floats > 0)).all():
        raise DataError(
            "`degrees` must hold one positive, finite number of degrees of freedom per weight, "
            f"{m} of them; got shape {floats.shape}."
        )
    return floats


def finite_vector(weights: object) -> Float[np.ndarray, " m"]:
    """Return weights as a vector of finite numbers."""
    vector = np.asarray(weights, dtype=np.float64)
    if vector.ndim != 1:
        raise DataError(
            f"`weights` has shape {vector.shape}; expected one dimension, one weight per variable."
        )
    if not np.isfinite(vector).all():
        raise DataError("`weights` holds missing or infinite values; expected finite numbers.")
    return vector


def as_number(x: float) -> float:
    """Return a number, infinities included."""
    if math.isnan(x):
        raise DataError("`x` is not a number (nan); a tail probability needs a number.")
    return float(x)


def _in_units_of_largest(mixture: Mixture, x: float) -> tuple[Mixture, float, float]:
    """Divide by max |w|, and leave out what is zero in double precision."""
    scale = float(np.abs(mixture.weights).max(initial=0.0))
    if scale == 0:
        return mixture.at(np.zeros(len(mixture.weights), bool)), x, 1.0
    weights, x = mixture.weights / scale, x / scale
    kept = np.abs(weights) > TINY
    return Mixture(weights, mixture.degrees).at(kept), x if abs(x) > TINY else 0.0, scale


class _Contour(NamedTuple):
    """s(u) = crossing + width (i sinh u + tilt (cosh u - 1))."""

    crossing: float
    width: float
    tilt: float


def _inverted_tail(mixture: Mixture, x: float) -> float:
    """P(Q > x) for x inside the support, by inversion of the moment generating function."""
    crossing = _saddle_point(mixture, x)
    width, steepest = _width_and_tilt(mixture, crossing)
    height = float(_exponent(np.array([complex(crossing)]), mixture, x).real[0])
    log_scale = height + math.log(width / math.pi)
    if log_scale < LOG_ZERO:
        return 0.0
    tilts = (steepest, *(math.copysign(1.0, x) * tilt for tilt in TILTS))
    contours = [_Contour(crossing, width, tilt) for tilt in tilts]

    def relative(contour: _Contour, u: Float[np.ndarray, " k"]) -> Complex[np.ndarray, " k"]:
        return _relative_integrand(contour, u, mixture, x, height)

    return math.exp(log_scale) * _first_accepted(contours, relative)


def _saddle_point(mixture: Mixture, x: float) -> float:
    """Minimum of phi between 0 and the first singularity, to about one per cent.

    Where no weight is positive the interval is (0, inf), but the minimum is below
    (d / 2 + 1) / |x|, d all degrees of freedom, and any larger end serves.
    """
    weights, degrees = mixture
    top = float(weights.max())
    end = 0.5 / top if top > 0 else (float(degrees.sum()) + 2) / abs(x)

    def slope(logit: float) -> float:  # s phi'(s), which increases with s
        s = end / (1.0 + math.exp(-logit))
        return float(degrees @ (weights * s / (1.0 - 2.0 * weights * s))) - x * s - 1.0

    low, high = _saddle_bracket(mixture, x, end)
    if slope(high) <= 0:
        return end / (1.0 + math.exp(-high))
    return end / (1.0 + math.exp(-scipy.optimize.brentq(slope, low, high, xtol=1e-2)))


def _saddle_bracket(mixture: Mixture, x: float, end: float) -> tuple[float, float]:
    """Logits of s / end between which phi' changes sign.

    For s < end / 2: phi'(s) < 2 W+ + |x| - 1/s; for s > end / 2, if `end` is the singularity,
    phi'(s) > d / (2 (end - s)) - W- - |x| - 2 / end; W+ and W- the sums of each sign, and d the
    degrees of freedom of the largest weight.
    """
    weights, degrees = mixture
    sums = degrees * weights
    above, below = float(sums[sums > 0].sum()), -float(sums[sums < 0].sum())
    least = min(1.0, float(degrees[np.argmax(weights)]))
    nearest_zero = min(0.5, 1.0 / (end * (2.0 * above + abs(x)))) * (1.0 - 1e-9)
    nearest_end = max(min(0.5, 0.5 * least / (end * (below + abs(x)) + 2.0)), 1e-15)
    return math.log(nearest_zero / (1.0 - nearest_zero)), math.log(
        (1.0 - nearest_end) / nearest_end
    )


def _width_and_tilt(mixture: Mixture, s: float) -> tuple[float, float]:
    """phi''^(-1/2), and the tilt phi''' phi''^(-3/2) / 3 that follows steepest descent."""
    ratio = mixture.weights * s / (1.0 - 2.0 * mixture.weights * s)
    second = 1.0 + 2.0 * float(mixture.degrees @ ratio**2)
    third = 8.0 * float(mixture.degrees @ ratio**3) - 2.0
    return s / math.sqrt(second), third / (3.0 * second**1.5)


def _first_accepted(
    contours: list[_Contour],
    relative: Callable[[_Contour, Float[np.ndarray, " k"]], Complex[np.ndarray, " k"]],
) -> float:
    for steps in STEPS:
        for contour in contours:
            for step in steps:
                sums = _sums_over_nodes(contour, step, relative)
                if sums is None:
                    break
                even, odd = sums
                if abs(even - odd) <= AGREEMENT * abs(even + odd):
                    return step * (even + odd)
    raise ContourError(
        "The tail of this weighted chi-square law could not be computed to 1e-12: no contour was "
        "accepted. Please report the weights and the argument."
    )


def _sums_over_nodes(
    contour: _Contour,
    step: float,
    relative: Callable[[_Contour, Float[np.ndarray, " k"]], Complex[np.ndarray, " k"]],
) -> tuple[float, float] | None:
    """Sums of Re f / f(0) over u = 0 (half), 2h, 4h, ... and h, 3h, ...; None where f grows."""
    even = odd = 0.0
    for first in range(0, int(LAST_NODE / step), NODES):
        values = relative(contour, step * np.arange(first, first + NODES))
        size = np.abs(values)
        if not size.max() <= MAX_GROWTH:
            return None
        even += float(values.real[::2].sum()) - (0.5 if first == 0 else 0.0)
        odd += float(values.real[1::2].sum())
        if size[-4:].max() < NEGLIGIBLE:
            return even, odd
    return None


def _relative_integrand(
    contour: _Contour,
    u: Float[np.ndarray, " k"],
    mixture: Mixture,
    x: float,
    height: float,
) -> Complex[np.ndarray, " k"]:
    """f(u) / f(0) with f(u) = exp(phi(s(u))) s'(u); capped where it is refused for its growth."""
    sinh, cosh = np.sinh(u), np.cosh(u)
    s = contour.crossing + contour.width * (1j * sinh + contour.tilt * (cosh - 1.0))
    exponent = _exponent(s, mixture, x)
    modulus = np.exp(np.minimum(exponent.real - height, 2.0))
    return modulus * np.exp(1j * exponent.imag) * (cosh - 1j * contour.tilt * sinh)


def _exponent(
    s: Complex[np.ndarray, " k"], mixture: Mixture, x: float
) -> Complex[np.ndarray, " k"]:
    """phi(s) = -1/2 sum_j d_j log(1 - 2 w_j s) - s x - log s."""
    reach = float(np.abs(s).max())
    scaled = 2.0 * reach * mixture.weights
    small = np.abs(scaled) <= SMALL
    coefficients = _power_sums(scaled[small], mixture.degrees[small]) / (
        2.0 * np.arange(1, TERMS + 1)
    )
    coefficients[0] -= x * reach  # beside the sum of the small weights, which it may cancel
    series = np.polynomial.polynomial.polyval(s / reach, np.append(0.0, coefficients))
    return series - 0.5 * _sum_of_logs(s, mixture.at(~small)) - np.log(s)


def _power_sums(
    values: Float[np.ndarray, " m"], degrees: Float[np.ndarray, " m"]
) -> Float[np.ndarray, " k"]:
    """sum_j d_j v_j^k for k = 1, 2, ..., TERMS."""
    sums = np.empty(TERMS)
    power = np.ones_like(values)
    for k in range(TERMS):
        power = power * values
        sums[k] = degrees @ power
    return sums


def _sum_of_logs(s: Complex[np.ndarray, " k"], mixture: Mixture) -> Complex[np.ndarray, " k"]:
    """sum_j d_j log(1 - 2 w_j s), in real arithmetic: ten times faster than np.log here."""
    total = np.zeros(s.shape, dtype=np.complex128)
    for start in range(0, mixture.weights.size, BLOCK):
        block = 2.0 * mixture.weights[start : start + BLOCK]
        degrees = mixture.degrees[start : start + BLOCK]
        real = 1.0 - np.multiply.outer(s.real, block)
        imag = -np.multiply.outer(s.imag, block)
        total += 0.5 * np.log(real**2 + imag**2) @ degrees
        total += 1j * (np.arctan2(imag, real) @ degrees)
    return total


def upper_quantile(mixture: Mixture, level: float) -> float:
    """The x with P(Q > x) = level: a bracket from mean and sd, then Brent's method on log P."""
    scale = float(np.abs(mixture.weights).max())
    weights, degrees = mixture.weights / scale, mixture.degrees

    def excess(x: float) -> float:
        return math.log(max(upper_tail(weights, x, degrees), 1e-320)) - math.log(level)

    mean, sd = float(degrees @ weights), math.sqrt(2.0 * float(degrees @ weights**2))
    low, high = mean - sd, mean + sd
    while excess(low) <= 0:
        low -= mean - low
    while excess(high) > 0:
        high += high - mean
    # the relative tolerance decides: x can be tiny where the density is infinite at 0
    return scale * float(scipy.optimize.brentq(excess, low, high, xtol=1e-70 * sd, maxiter=1_000))


def saddle(mixture: Mixture, x: float) -> float:
    """Return where the integral of P(Q > x) crosses the real axis, for x above the mean."""
    scaled, x, scale = _in_units_of_largest(mixture, x)
    return _saddle_point(scaled, x) / scale
