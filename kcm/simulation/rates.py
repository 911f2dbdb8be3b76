"""Shares with their uncertainty, on arrays."""

import math

import numpy as np
import scipy
from jaxtyping import Float

__all__ = ["empirical_quantile", "rejections", "wilson"]

# A p-value that is a ratio of counts may miss its level by rounding.
TIE = 1e-12


def rejections(pvalues: Float[np.ndarray, " r"], level: float) -> int:
    """Count the p-values that are at most the level; missing ones are not.

    Examples
    --------
    >>> rejections(np.array([0.01, 0.05, 0.2, np.nan]), 0.05)
    2
    """
    return int(np.sum(pvalues <= level + TIE))


def wilson(count: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of Wilson (1927) for a probability.

    Parameters
    ----------
    count, n : int
        Successes among trials.
    confidence : float
        Default 0.95.

    Returns
    -------
    tuple of two floats
        Not a number without trials.

    Examples
    --------
    >>> [round(end, 4) for end in wilson(5, 100)]
    [0.0215, 0.1118]
    """
    if n == 0:
        return math.nan, math.nan
    z = -float(scipy.special.ndtri((1 - confidence) / 2))
    share, room = count / n, z**2 / n
    centre = (share + room / 2) / (1 + room)
    half = z * math.sqrt(share * (1 - share) / n + room / (4 * n)) / (1 + room)
    # rounding: the interval ends at 0 and 1 where all trials agree
    return (0.0 if count == 0 else centre - half), (1.0 if count == n else centre + half)


def empirical_quantile(pvalues: Float[np.ndarray, " r"], level: float) -> float:
    """Return the largest value that at most a share `level` of p-values does not exceed.

    Zero where even the smallest of them has a larger share; missing ones do not count.

    Examples
    --------
    >>> empirical_quantile(np.array([0.2, 0.4, 0.6, 0.8]), 0.5)
    0.4
    """
    ordered = np.sort(pvalues[np.isfinite(pvalues)])
    for k in range(math.floor(level * len(ordered) + TIE), 0, -1):
        if k == len(ordered) or ordered[k] > ordered[k - 1]:
            return float(ordered[k - 1])
    return 0.0
