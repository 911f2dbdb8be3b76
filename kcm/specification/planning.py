"""Power of the test, and the sample size that gives it."""

import math
from typing import NamedTuple

import numpy as np

from kcm._options import check_int, check_level
from kcm.embedding import Alternative, alternative
from kcm.exceptions import OptionError
from kcm.null import (
    BootstrapDistribution,
    LeadingSpectrum,
    NullDistribution,
    PearsonIII,
    WeightedChiSquare,
)
from kcm.specification.result import KCMTestResult
from kcm.statistic import StatisticName

__all__ = ["power", "sample_size"]

# More observations than this are not looked for.
LARGEST_SAMPLE = 10**9


class Cumulants(NamedTuple):
    """The first three cumulants of a law."""

    first: float
    second: float
    third: float


def power(result: KCMTestResult, n_obs: int, level: float = 0.05) -> float:
    r"""Predict the power of a test, at the departure that its sample shows.

    The statistic of n_obs observations is taken for a quadratic form in normal variables around
    mu, with the cumulants of its null law plus

    .. math:: n M^2, \qquad 4 n \langle\mu, C\mu\rangle, \qquad 24 n \langle\mu, C^2\mu\rangle,

    and its tail beyond the critical value is that of the Pearson III law with these cumulants. In
    large samples this is the normal law, sqrt(n) (M^2_U - M^2) -> N(0, 4 s^2).

    Parameters
    ----------
    result : KCMTestResult
        A test with one kernel, whose bandwidth is fixed, and with its data.
    n_obs : int
        Observations of the test whose power is wanted, at least 3.
    level : float
        Level of that test, in (0, 1). Default 0.05.

    Returns
    -------
    float
        The power; `level` where the estimate of M^2 is not positive.

    Raises
    ------
    OptionError
        For several kernels, `StudentizedNormal`, and draws that stopped or were studentised.

    Notes
    -----
    The departure is estimated, and so is its power: at the sample size of the test itself the
    prediction says no more than the p-value does. Take it from a pilot study, or from data
    simulated under the alternative of interest, the larger the better.

    Examples
    --------
    >>> import kcm
    >>> x, e = np.random.default_rng(0).normal(size=(2, 500))
    >>> result = kcm.KCMTest().run(kcm.FittedMoment(0.2 * (x**2 - 1) + e, x))
    >>> power(result, 50) < power(result, 500)
    True
    """
    check_int(n_obs, "n_obs", least=3)
    check_level(level)
    departure = _departure(result)
    return _power(result.null_distribution, departure, n_obs, level)


def sample_size(result: KCMTestResult, power: float = 0.8, level: float = 0.05) -> int:
    """Return the smallest number of observations with a predicted power.

    Parameters
    ----------
    result : KCMTestResult
        As for `power`.
    power : float
        In (0, 1) and above `level`. Default 0.8.
    level : float
        Level of the test, in (0, 1). Default 0.05.

    Returns
    -------
    int

    Raises
    ------
    OptionError
        As `power`, when `power` is not above `level`, and where the estimate of M^2 is so small
        that a billion observations do not suffice.

    Examples
    --------
    >>> import kcm
    >>> x, e = np.random.default_rng(0).normal(size=(2, 500))
    >>> result = kcm.KCMTest().run(kcm.FittedMoment(0.2 * (x**2 - 1) + e, x))
    >>> sample_size(result, 0.5) < sample_size(result, 0.9)
    True
    """
    check_level(level)
    check_level(power, "power")
    if power <= level:
        raise OptionError(f"`power` must be above `level`, {level}; got {power}.")
    law, departure = result.null_distribution, _departure(result)
    low, high = 2, 4
    while _power(law, departure, high, level) < power:
        low, high = high, 2 * high
        if high > LARGEST_SAMPLE:
            raise OptionError(
                f"`power` {power} is not reached with a billion observations: the sample shows no "
                f"departure to plan for, its squared norm is {departure.square:.3g}."
            )
    while high - low > 1:
        middle = (low + high) // 2
        enough = _power(law, departure, middle, level) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _departure(result: KCMTestResult) -> Alternative:
    if not isinstance(result, KCMTestResult):
        told = type(result).__name__
        raise OptionError(f"`result` must be the result of a specification test; got {told}.")
    if len(result.kernel_tests) > 1:
        raise OptionError(
            "`result` combines several kernels, for which no law under the alternative is known; "
            "test with one of them, for example kernel=result.kernel."
        )
    law = cumulants(result.null_distribution)
    statistic: StatisticName = "U" if result.statistic_name == "U" else "V"
    raw = alternative(result.embedding, statistic)
    n = result.n_obs
    # mu_hat is mu and noise with covariance C / n; no eigenvalue of C exceeds the root of tr C^2
    square, most = max(raw.square, 0.0), math.sqrt(law.second / 2)
    variance = min(max(raw.variance - law.second / (2 * n), 0.0), most * square)
    third = min(max(raw.third - law.third / (8 * n), 0.0), most * variance)
    return Alternative(square, variance, third)


def cumulants(law: NullDistribution) -> Cumulants:
    """Return the first three cumulants of a null law that does not depend on the sample size.

    Raises
    ------
    OptionError
        For other laws.

    Examples
    --------
    >>> cumulants(WeightedChiSquare([1.0, 1.0]))
    Cumulants(first=2.0, second=4.0, third=16.0)
    """
    if isinstance(law, WeightedChiSquare | LeadingSpectrum):
        return Cumulants(law.mean, law.variance, law.third_cumulant)
    if isinstance(law, PearsonIII):
        return Cumulants(law.mean, law.sd**2, law.skewness * law.sd**3)
    if isinstance(law, BootstrapDistribution) and law.complete:
        centred = law.draws - law.draws.mean()
        return Cumulants(
            float(law.draws.mean()), float(np.mean(centred**2)), float(np.mean(centred**3))
        )
    raise OptionError(
        f"`result` has the null law {law.describe()}, from which power at another sample size is "
        "not known; test with null=kcm.Asymptotic() or all draws of kcm.MultiplierBootstrap()."
    )


def _power(law: NullDistribution, departure: Alternative, n_obs: int, level: float) -> float:
    own, square, n = cumulants(law), departure.square, float(n_obs)
    if not square > 0:
        return level
    # B holds the second moments of the residuals, C their covariance: mu itself is taken out
    second = own.second - 2 * (2 * departure.variance + square**2)
    third = own.third - 8 * (3 * departure.third + 3 * departure.variance * square + square**3)
    variance = max(second, 0.0) + 4 * n * departure.variance
    skewness = (third + 24 * n * departure.third) / variance**1.5
    moved = PearsonIII(own.first + n * square, math.sqrt(variance), skewness)
    return moved.pvalue(law.critical_value(level))
