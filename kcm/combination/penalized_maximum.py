"""The choice of one kernel by a maximum that is penalised for leaving a preferred one."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, final

import numpy as np
import scipy
from jaxtyping import Float

from kcm.combination.record import Combined, drawn_laws, is_exact, joint_certificate
from kcm.computation import Outcome
from kcm.exceptions import OptionError
from kcm.kernels import Kernel
from kcm.null import BootstrapDistribution, NullDistribution, WeightedChiSquare
from kcm.null.base import check_level
from kcm.null.normal import NormalLaw
from kcm.null.pearson import PearsonIII

__all__ = ["PENALIZED", "PenalizedMaximum", "UnionBound", "chosen"]

# What results call the statistic.
PENALIZED = "penalised maximum, in sd"


@final
@dataclass(frozen=True, slots=True)
class PenalizedMaximum:
    r"""One of several kernels, chosen by the data where they speak clearly.

    The first kernel is the preferred one. Another is chosen where its statistic, less its mean
    under the null and divided by its standard deviation there, is larger by more than a penalty:

    .. math:: M = \max_k \; \frac{T_k - \mathrm E T_k}{\mathrm{sd}\, T_k} - \alpha_n 1(k \ne 1).

    The penalty grows slowly with n, so that a right model leaves the preferred kernel in its place
    with a probability that goes to one; the test then costs nothing against one with this kernel
    alone, and sees what this kernel does not. With `kcm.MultiplierBootstrap` the maximum is taken
    in every draw, the same multipliers for all kernels. With laws that are computed the p-value is
    the union bound, the sum over k of the probabilities that the k-th statistic alone makes M this
    large. Both hold the level with any penalty, 0 included; the bound is sharp where the penalty
    is 3 or more.

    With the kernels of `kcm.kernels.single_directions` this is the test of Lavergne and Patilea
    (2008), whose power against a departure along one direction does not fall with the number of
    columns; with one kernel at several bandwidths, the largest first, it chooses the bandwidth in
    the manner of Guerre and Lavergne (2005).

    Parameters
    ----------
    kernels : list of Kernel
        The preferred one first.
    penalty : float, optional
        alpha_n, in standard deviations of the statistic. Default the root of 2 log n, 3.3 for 200
        observations and 4.3 for 10,000.

    Raises
    ------
    OptionError
        When a kernel is none, or the penalty is negative or not finite.

    Notes
    -----
    Lavergne and Patilea divide no statistic by its standard deviation while they choose, so that
    their penalty is in squared units of the residual; studentised, as in Patilea, Sanchez-Sellero
    and Saumard (2016), it has no unit. They take the normal law of the direction chosen. Its level
    is that of the preferred direction in the limit only: with 200 observations, three columns and
    a penalty of 3 or 5 such a test rejected a right model in 15 and 7 % of the samples at 5 %, the
    bound in 5 and 6 % (docs/size.md).

    References
    ----------
    Lavergne and Patilea (2008), Breaking the curse of dimensionality in nonparametric testing,
    Journal of Econometrics 143, 103-122. Guerre and Lavergne (2005), Data-driven rate-optimal
    specification testing in regression models, Annals of Statistics 33, 840-870. Patilea,
    Sanchez-Sellero and Saumard (2016), Testing the predictor effect on a functional response,
    Journal of the American Statistical Association 111, 1684-1695.

    Examples
    --------
    >>> import kcm
    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> psi = np.sin(2 * x[:, 1]) + np.random.default_rng(1).normal(size=200)
    >>> along = kcm.kernels.single_directions(preferred=[1.0, 0.0, 0.0])
    >>> result = kcm.KCMTest(PenalizedMaximum(along)).run(kcm.FittedMoment(psi, x))
    >>> result.pvalue < 0.001, bool(abs(result.kernel.directions[0, 1]) > 0.8)
    (True, True)
    """

    kernels: Sequence[Kernel]
    penalty: float | None = None

    def __post_init__(self) -> None:
        several = isinstance(self.kernels, list | tuple) and len(self.kernels) > 0
        if not several or not all(isinstance(kernel, Kernel) for kernel in self.kernels):
            raise OptionError(
                "`kernels` must be a list of kernels, the preferred one first, such as "
                f"kcm.kernels.single_directions([1.0, 0.0]); got {self.kernels!r}."
            )
        _check_penalty(self.penalty)


@final
@dataclass(frozen=True, slots=True, eq=False)
class UnionBound(NullDistribution):
    """A bound of the law of a penalised maximum: the sum of what each kernel alone contributes.

    Parameters
    ----------
    laws : sequence of NullDistribution
        Of the statistic of each kernel, the preferred one first.
    penalty : float

    Examples
    --------
    >>> law = UnionBound([NormalLaw(0.0, 1.0), NormalLaw(5.0, 2.0)], penalty=3.0)
    >>> round(law.pvalue(1.644854), 4)
    0.05
    """

    laws: Sequence[NullDistribution]
    penalty: float

    def pvalue(self, t: float) -> float:
        """Return the bound of P(M >= t), at most 1."""
        least = enumerate(zip(self.laws, map(_moments, self.laws), strict=True))
        tails = (
            law.pvalue(mean + sd * (t + self.penalty * (k > 0))) for k, (law, (mean, sd)) in least
        )
        return min(1.0, math.fsum(tails))

    def critical_value(self, level: float) -> float:
        """Return the value whose bound is `level`."""
        check_level(level)
        mean, sd = _moments(self.laws[0])
        low = (self.laws[0].critical_value(level) - mean) / sd
        high = low + 1.0
        while self.pvalue(high) > level:
            high += high - low
        root: float = scipy.optimize.brentq(lambda t: self.pvalue(t) - level, low, high)
        return root

    def describe(self) -> str:
        """Return the law in a few words."""
        return f"union bound over {len(self.laws)} kernels, penalty {self.penalty:.3g}"


def chosen(maximum: PenalizedMaximum, outcomes: Sequence[Outcome]) -> Combined:
    """Return what a penalised maximum finds.

    Parameters
    ----------
    maximum : PenalizedMaximum
    outcomes : sequence of Outcome
        One per kernel.

    Raises
    ------
    OptionError
        When draws stop by themselves, so that the kernels have different ones, or a law's mean and
        standard deviation are not known.
    """
    penalty = maximum.penalty
    if penalty is None:
        penalty = math.sqrt(2 * math.log(outcomes[0].contraction.n_obs))
    statistics = np.array([outcome.contraction.statistic for outcome in outcomes])
    laws, drawn = [outcome.law for outcome in outcomes], drawn_laws(outcomes)
    scores = _penalized(statistics[:, None], laws, penalty)
    law = _repeated(drawn, penalty) if drawn else UnionBound(laws, penalty)
    statistic, leading = float(scores.max()), int(scores.argmax())
    pvalue = law.pvalue(statistic)
    # a low-rank factor moves every score and law: no bound is known
    interval = (pvalue, pvalue) if is_exact(outcomes) else (0.0, 1.0)
    found = statistic, law, joint_certificate(outcomes, interval)
    return Combined(*found, PENALIZED, leading, pvalue)


def _repeated(drawn: Sequence[BootstrapDistribution], penalty: float) -> NullDistribution:
    """Take the maximum in every draw."""
    draws = np.array([law.draws for law in drawn])
    return dataclasses.replace(drawn[0], draws=_penalized(draws, drawn, penalty).max(axis=0))


def _penalized(
    values: Float[np.ndarray, "k b"], laws: Sequence[NullDistribution], penalty: float
) -> Float[np.ndarray, "k b"]:
    means, sds = np.array([_moments(law) for law in laws]).T
    scores = (values - means[:, None]) / sds[:, None]
    scores[1:] -= penalty
    return scores


def _moments(law: NullDistribution) -> tuple[float, float]:
    match law:
        case BootstrapDistribution():
            return float(law.draws.mean()), float(law.draws.std())
        case WeightedChiSquare():
            return law.mean, math.sqrt(law.variance)
        case NormalLaw() | PearsonIII():
            return law.mean, law.sd
    raise OptionError(
        "`kernel` (PenalizedMaximum) compares statistics in standard deviations under the null, "
        f"which a law of the type {type(law).__name__} does not tell; use a list of kernels."
    )


def _check_penalty(penalty: Any) -> None:
    number = isinstance(penalty, Real) and not isinstance(penalty, bool)
    if penalty is None or (number and math.isfinite(penalty) and penalty >= 0):
        return
    raise OptionError(f"`penalty` must be a finite number of at least 0; got {penalty!r}.")
