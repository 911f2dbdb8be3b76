"""The law of a weighted sum of chi-square variables."""

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float

from kcm._arrays import as_floats
from kcm._options import check_level
from kcm._records import fixed
from kcm.exceptions import DataError
from kcm.null.base import NullDistribution
from kcm.null.chi_square_tail import (
    ContourError,
    Mixture,
    as_degrees,
    as_number,
    finite_vector,
    saddle,
    upper_quantile,
    upper_tail,
)

__all__ = ["ContourError", "WeightedChiSquare", "saddle_point", "upper_tail"]


@final
@dataclass(frozen=True, slots=True, eq=False, init=False, repr=False)
class WeightedChiSquare(NullDistribution):
    r"""The law of shift + sum_j w_j chi2_(d_j), the chi-square variables independent.

    Parameters
    ----------
    weights : array_like of shape (m,)
        Real weights of either sign, finite; kept as a read-only float64 array. Zeros cost nothing.
    shift : float, default 0.0
        A constant added to the sum.
    degrees : array_like of shape (m,), optional
        Degrees of freedom d_j, positive and finite, not necessarily whole. Default: 1 for each.

    Raises
    ------
    DataError
        If the weights are not one-dimensional real numbers, if a number is not finite, or if the
        degrees of freedom are not as many as the weights and positive.

    Notes
    -----
    The law of a quadratic form in normal variables, the weights being the eigenvalues of its
    matrix. Tail probabilities come from `upper_tail`. If all weights are zero the law is the
    constant `shift`.

    Examples
    --------
    >>> law = WeightedChiSquare([0.6, 0.3, 0.1], shift=1.0)
    >>> law.mean, round(law.variance, 12)
    (2.0, 0.92)
    >>> round(law.pvalue(2.0), 10)
    0.3629895238
    >>> round(law.critical_value(0.05), 8)
    3.88924865
    """

    weights: Float[np.ndarray, " m"]
    shift: float
    degrees: Float[np.ndarray, " m"]

    def __init__(self, weights: Any, shift: float = 0.0, degrees: Any = None) -> None:
        floats = finite_vector(as_floats(np.asarray(weights), "`weights`"))
        freedom = np.ones(len(floats)) if degrees is None else as_degrees(degrees, len(floats))
        if not math.isfinite(shift):
            raise DataError(f"`shift` must be a finite number; got {shift}.")
        object.__setattr__(self, "weights", floats)
        object.__setattr__(self, "shift", float(shift))
        object.__setattr__(self, "degrees", fixed(freedom))

    @property
    def mean(self) -> float:
        """Mean, shift + sum_j d_j w_j."""
        return self.shift + float(self.degrees @ self.weights)

    @property
    def variance(self) -> float:
        """Variance, 2 sum_j d_j w_j^2."""
        size = self._size()
        return 2.0 * float(self.degrees @ self._scaled() ** 2) * size * size

    @property
    def sd(self) -> float:
        """Standard deviation."""
        return self._size() * math.sqrt(2.0 * float(self.degrees @ self._scaled() ** 2))

    @property
    def third_cumulant(self) -> float:
        """Third cumulant, 8 sum_j d_j w_j^3."""
        size = self._size()
        return 8.0 * float(self.degrees @ self._scaled() ** 3) * size * size * size

    def _size(self) -> float:
        """Return a power of two near the largest weight, whose square may be no number any more."""
        return math.ldexp(1.0, math.frexp(float(np.abs(self.weights).max()))[1] - 1)

    def _scaled(self) -> Float[np.ndarray, " m"]:
        return self.weights / self._size()

    def pvalue(self, t: float) -> float:
        """Return P(T >= t)."""
        if not self.weights.any():
            return float(as_number(t) <= self.shift)
        return upper_tail(self.weights, float(t) - self.shift, self.degrees)

    def critical_value(self, level: float) -> float:
        """Return the upper `level` quantile."""
        check_level(level)
        if not self.weights.any():
            return self.shift
        return self.shift + upper_quantile(Mixture(self.weights, self.degrees), level)

    def describe(self) -> str:
        """Return the law in a few words."""
        return f"asymptotic, weighted chi-square ({np.count_nonzero(self.weights)} weights)"


def saddle_point(law: WeightedChiSquare, t: float) -> float:
    """Return the s at which the integral of P(T > t) crosses the real axis, for t above the mean.

    The tail moves by a factor exp(change) where the cumulant generating function at s moves by
    `change`.
    """
    return saddle(Mixture(law.weights, law.degrees), t - law.shift)
