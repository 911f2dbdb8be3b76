"""The choice of one kernel by a maximum that is penalised for leaving a preferred one."""

import dataclasses
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, final

import numpy as np
import scipy
from jaxtyping import Float

from kcm._options import check_level
from kcm.exceptions import DataError, OptionError
from kcm.kernels import Kernel
from kcm.null import (
    BootstrapDistribution,
    LeadingSpectrum,
    NormalLaw,
    NullDistribution,
    Outcome,
    PearsonIII,
    WeightedChiSquare,
)
from kcm.specification.combination.record import Combined, drawn_laws, is_exact, joint_certificate
from kcm.statistic import no_spread

__all__ = ["PENALIZED", "PenalizedMaximum", "UnionBound", "chosen"]

# What results call the statistic.
PENALIZED = "penalised maximum, in sd"


@final
@dataclass(frozen=True, slots=True)
class PenalizedMaximum:
    r"""One of several kernels, chosen by the data where it speaks clearly.

    The first kernel is the preferred one. Another is chosen where its statistic, less its mean
    under the null and divided by its standard deviation there, is larger by more than a penalty:

    .. math:: M = \max_k \; \frac{T_k - \mathrm E T_k}{\mathrm{sd}\, T_k} - \alpha_n 1(k \ne 1).

    The penalty grows slowly with n, so that a right model leaves the preferred kernel in its place
    with a probability that goes to one: in the limit the test costs nothing against one with this
    kernel alone, and sees what this kernel does not. With `kcm.MultiplierBootstrap` the maximum is
    taken in every draw, the same multipliers for all kernels. With laws that are computed the
    p-value is the union bound, the sum over k of the probabilities that the k-th statistic alone
    makes M this large. Neither rejects a right model too often, whatever the penalty; the bound
    rejects less often than promised with many kernels and a small penalty.

    With the kernels of `kcm.kernels.single_directions` this is the test of Lavergne and Patilea
    (2008), whose power does not fall with the number of columns where the departure lies along
    the preferred direction; with one kernel at several bandwidths, the largest first, it chooses
    the bandwidth in the manner of Guerre and Lavergne (2005), who penalise differences.

    Parameters
    ----------
    kernels : list of Kernel
        The preferred one first. One alone is tested as it is.
    penalty : float, optional
        alpha_n, in standard deviations of the statistic, 0 or more. Default the root of 2 log n,
        3.3 for 200 observations and 4.3 for 10,000.

    Raises
    ------
    OptionError
        When a kernel is none, or the penalty is negative or not finite.

    Notes
    -----
    Lavergne and Patilea divide no statistic by its standard deviation while they choose, so that
    their penalty is in squared units of the residual; studentised, as in Patilea, Sanchez-Sellero
    and Saumard (2016), it has no unit. They take the normal law of the direction chosen, whose
    level is that of the preferred direction in the limit only; docs/size.md says how far it is
    from that in samples of 100 and 200.

    Above 2,000 observations the laws are known by three cumulants, whose deep tails, of which the
    bound takes one for each kernel but the first, are only indicative.

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
            # the kernels themselves would fill a page
            types = sorted({type(one).__name__ for one in self.kernels}) if several else []
            raise OptionError(
                "`kernels` must be a list of kernels, the preferred one first, such as "
                "kcm.kernels.single_directions([1.0, 0.0]); got a "
                f"{type(self.kernels).__name__}{' of ' * bool(types)}{', '.join(types)}."
            )
        object.__setattr__(self, "kernels", tuple(self.kernels))
        if self.penalty is not None:
            object.__setattr__(self, "penalty", _as_penalty(self.penalty))


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
        """Return the bound of P(M >= t), at most 1; t is a number."""
        if math.isnan(t):
            raise DataError("`t` must be a number; got nan.")
        means, sds = np.array([_moments(law) for law in self.laws]).T
        least = means + sds * (t + _penalties(len(self.laws), self.penalty))
        tails = (law.pvalue(float(x)) for law, x in zip(self.laws, least, strict=True))
        return min(1.0, math.fsum(tails))

    def critical_value(self, level: float) -> float:
        """Return the value whose bound is `level`."""
        check_level(level)
        low, high = -1.0, 1.0
        while self.pvalue(low) < level:
            low *= 2
        while self.pvalue(high) > level:
            high *= 2
        root: float = scipy.optimize.brentq(lambda t: self.pvalue(t) - level, low, high, xtol=1e-14)
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
    law: NullDistribution
    if drawn:
        scores, law = _by_draws(statistics, drawn, penalty)
    else:
        scores, law = _by_bound(statistics, laws, penalty)
    statistic, leading = float(scores.max()), int(scores.argmax())
    pvalue = law.pvalue(statistic)
    # a low-rank factor moves every score and law: no bound is known
    interval = (pvalue, pvalue) if is_exact(outcomes) else None
    certificate = joint_certificate(outcomes, interval)
    return Combined(statistic, law, certificate, PENALIZED, leading, pvalue)


def _by_bound(
    statistics: Float[np.ndarray, " k"], laws: Sequence[NullDistribution], penalty: float
) -> tuple[Float[np.ndarray, " k"], UnionBound]:
    """Return penalised scores, and the law of their maximum."""
    means, sds = np.array([_moments(law) for law in laws]).T
    scores = (statistics - means) / sds - _penalties(len(laws), penalty)
    return scores, UnionBound(laws, penalty)


def _by_draws(
    statistics: Float[np.ndarray, " k"], drawn: Sequence[BootstrapDistribution], penalty: float
) -> tuple[Float[np.ndarray, " k"], BootstrapDistribution]:
    """Return penalised scores, and the law of their maximum, the choice repeated in every draw.

    The statistic counts as one of the draws, so that under the null all of them are alike.
    """
    values = np.column_stack([statistics, np.array([law.draws for law in drawn])])
    means, sds = values.mean(axis=1, keepdims=True), values.std(axis=1, keepdims=True)
    if not (sds > 0).all():
        raise no_spread()
    scores = (values - means) / sds - _penalties(len(drawn), penalty)[:, None]
    return scores[:, 0], dataclasses.replace(drawn[0], draws=scores[:, 1:].max(axis=0))


def _penalties(n_kernels: int, penalty: float) -> Float[np.ndarray, " k"]:
    """Return what each kernel pays: the preferred one nothing."""
    return penalty * (np.arange(n_kernels) > 0)


def _moments(law: NullDistribution) -> tuple[float, float]:
    match law:
        case WeightedChiSquare() | LeadingSpectrum() | NormalLaw() | PearsonIII():
            return law.mean, law.sd
    raise OptionError(
        "`kernel` (PenalizedMaximum) compares statistics in standard deviations under the null, "
        f"which a law of the type {type(law).__name__} does not tell; use a list of kernels."
    )


def _as_penalty(penalty: Any) -> float:
    number = isinstance(penalty, Real) and not isinstance(penalty, bool)
    if not (number and 0 <= penalty <= sys.float_info.max):
        raise OptionError(f"`penalty` must be a finite number of at least 0; got {penalty!r}.")
    return abs(float(penalty))
