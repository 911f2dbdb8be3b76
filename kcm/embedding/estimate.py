"""An estimated squared norm, or a number like it, with its standard error and interval."""

import math
from dataclasses import dataclass
from typing import final

import scipy

from kcm._options import check_level

__all__ = ["InnerEstimate", "NormEstimate", "interval_of_square"]

# How the error grows with the estimate near zero, which is the least it can where nothing is
# skewed, and the most that is taken: 1 would be an interval of the logarithm.
LEAST_GROWTH, MOST_GROWTH = 0.5, 0.99


@final
@dataclass(frozen=True, slots=True)
class NormEstimate:
    r"""The estimate of a squared norm M^2, which is zero when the model is right.

    Attributes
    ----------
    value : float
        M^2 without the bias of order 1/n that the estimation of theta causes; it can be negative.
    std_error : float
        2 s / sqrt(n), by the normal law under the alternative.
    uncorrected : float
        The U statistic over n.
    growth : float
        By how many per cent the standard error grows when M^2 grows by one per cent along its
        own influence. Default 0.5, the growth near zero.

    Examples
    --------
    >>> estimate = NormEstimate(value=0.04, std_error=0.01, uncorrected=0.04)
    >>> [round(end, 4) for end in estimate.conf_int()]
    [0.0228, 0.0628]
    """

    value: float
    std_error: float
    uncorrected: float
    growth: float = LEAST_GROWTH

    def conf_int(self, level: float = 0.95) -> tuple[float, float]:
        r"""Return a confidence interval of M^2 where the model is wrong.

        The standard error of M^2 is proportional to M near zero, and an interval that is symmetric
        in M^2 would cover too rarely. The lower end is that of the normal law of M,
        :math:`(\hat M - z\, \mathrm{se} / (2 \hat M))^2`. The upper end is that of the power
        1 - `growth` of M^2, whose error does not grow, with the mean of that power corrected to
        second order. Where the model is right there is no such law, the interval reaches down to
        zero, and the test is what to look at.

        Parameters
        ----------
        level : float
            Coverage, in (0, 1). Default 0.95.

        Returns
        -------
        tuple of float
            Lower and upper end, neither negative.
        """
        check_level(level)
        return interval_of_square(self.value, self.std_error, self.growth, level)


@final
@dataclass(frozen=True, slots=True)
class InnerEstimate:
    """The estimate of an inner product of two embeddings.

    Attributes
    ----------
    value : float
        Without its bias of order 1/n.
    std_error : float

    Examples
    --------
    >>> [round(end, 3) for end in InnerEstimate(0.1, 0.05).conf_int()]
    [0.002, 0.198]
    """

    value: float
    std_error: float

    def conf_int(self, level: float = 0.95) -> tuple[float, float]:
        """Return the confidence interval of the normal law.

        Parameters
        ----------
        level : float
            Coverage, in (0, 1). Default 0.95.

        Returns
        -------
        tuple of float
            Lower and upper end.
        """
        check_level(level)
        reach = _quantile(level) * self.std_error
        return self.value - reach, self.value + reach


def interval_of_square(
    value: float, std_error: float, growth: float, level: float
) -> tuple[float, float]:
    """Return the interval, with a square of at least one standard error below the bars.

    Examples
    --------
    >>> interval_of_square(0.0, 0.0, 0.5, 0.95)
    (0.0, 0.0)
    """
    square, z = max(value, std_error), _quantile(level)
    if square <= 0:
        return 0.0, 0.0
    low = math.sqrt(max(value, 0.0)) - z * std_error / (2 * math.sqrt(square))
    return max(low, 0.0) ** 2, _upper_end(value, std_error / square, square, growth, z)


def _upper_end(value: float, share: float, square: float, growth: float, z: float) -> float:
    """Return the upper end, for an error that is a share of the square.

    Until M^2 is a standard error the growth is that near zero, and the mean is not corrected; from
    two on both are as given.
    """
    known = min(max(1 / share - 1, 0.0), 1.0) if share else 1.0
    excess = min(max(growth, LEAST_GROWTH), MOST_GROWTH) - LEAST_GROWTH
    power = 1 - LEAST_GROWTH - known * excess
    reach = power * share * (z + known * (1 - power) * share / 2)
    return square * (max(value / square, 0.0) ** power + reach) ** (1 / power)


def _quantile(level: float) -> float:
    return float(scipy.special.ndtri((1 + level) / 2))
