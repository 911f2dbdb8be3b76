"""An estimated squared norm, or a number like it, with its standard error and interval."""

import math
from dataclasses import dataclass
from typing import final

import scipy

from kcm.null.base import check_level

__all__ = ["InnerEstimate", "NormEstimate", "interval_of_square"]


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

    Examples
    --------
    >>> estimate = NormEstimate(value=0.04, std_error=0.01, uncorrected=0.04)
    >>> [round(end, 4) for end in estimate.conf_int()]
    [0.0228, 0.062]
    """

    value: float
    std_error: float
    uncorrected: float

    def conf_int(self, level: float = 0.95) -> tuple[float, float]:
        r"""Return a confidence interval of M^2 where the model is wrong.

        By the normal law of M, :math:`\hat M \pm z\, \mathrm{se} / (2 \hat M)`, squared: the
        standard error of M^2 is proportional to M near zero, and an interval that is symmetric in
        M^2 would cover too rarely. Where the model is right there is no such law, the interval
        reaches down to zero, and the test is what to look at.

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
        return interval_of_square(self.value, self.std_error, level)


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


def interval_of_square(value: float, std_error: float, level: float) -> tuple[float, float]:
    """Return (M -+ z se / (2 M))^2, with a square of at least one standard error below the bar.

    Examples
    --------
    >>> interval_of_square(0.0, 0.0, 0.95)
    (0.0, 0.0)
    """
    square = max(value, std_error)
    if square <= 0:
        return 0.0, 0.0
    reach, middle = _quantile(level) * std_error / (2 * math.sqrt(square)), max(value, 0.0)
    root = math.sqrt(middle)
    return max(root - reach, 0.0) ** 2, (root + reach) ** 2


def _quantile(level: float) -> float:
    return float(scipy.special.ndtri((1 + level) / 2))
