"""The specification test with some parameters fixed and the others estimated anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int

from kcm._validation import as_generator, did_you_mean
from kcm.contraction import StatisticName
from kcm.estimators.fitdata import FitData, null_with_groups
from kcm.estimators.fitted import moment_at
from kcm.estimators.search import Minimum, Problem, minimise
from kcm.estimators.weighting import KernelWeight, Weight
from kcm.exceptions import OptionError
from kcm.kernels import Kernel
from kcm.low_rank import low_rank_factor
from kcm.moments import BoundMoment, FittedMoment, MomentLabels, MomentValues
from kcm.null import Asymptotic, Null
from kcm.omnibus import KCMTest
from kcm.results import KCMTestResult

__all__ = ["Profile", "ProfilePoint", "build_profile"]

MOST_EVALUATIONS = 200
# Beyond this many observations the default null law is found from cumulants.
MOST_EIGENVALUES = 500


@final
@dataclass(frozen=True, slots=True, eq=False)
class ProfilePoint:
    """The test at one value.

    Parameters
    ----------
    result : KCMTestResult
    theta : ndarray of shape (p,)
        All parameters: those given, and the others as estimated.
    converged : bool
        Whether the search for the others reached a minimum.
    """

    result: KCMTestResult
    theta: Float[np.ndarray, " p"]
    converged: bool


@final
@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A moment of which some parameters are given values and the others are concentrated out.

    Parameters
    ----------
    bound : BoundMoment
    weight : Weight
        That of the estimate of the other parameters.
    fixed : ndarray of int, shape (k,)
        Positions of the parameters that are given values.
    lower, upper : ndarray of shape (p,)
        Bounds of all parameters.
    test : KCMTest
    seed : int
        Of the draws of a bootstrap null, the same at every value.
    """

    bound: BoundMoment
    weight: Weight
    fixed: Int[np.ndarray, " k"]
    lower: Float[np.ndarray, " p"]
    upper: Float[np.ndarray, " p"]
    test: KCMTest
    seed: int

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that are given values."""
        return tuple(self.bound.tree.labels[j] for j in self.fixed)

    def at(self, value: Float[np.ndarray, " k"], start: Float[np.ndarray, " p"]) -> ProfilePoint:
        """Test one value; the search for the other parameters starts from `start`."""
        theta = start.copy()
        theta[self.fixed] = value
        free = np.setdiff1d(np.arange(len(theta)), self.fixed)
        if not len(free):
            return ProfilePoint(self.test.run(_known(self.bound, theta), self.seed), theta, True)
        minimum = _concentrated(self, theta, free)
        theta[free] = minimum.theta
        moment = moment_at(self.bound, minimum, _told(self, value))
        converged = minimum.convergence.converged
        return ProfilePoint(self.test.run(moment, self.seed), theta, converged)


def build_profile(
    bound: BoundMoment,
    kernel: Kernel,
    data: FitData,
    names: Sequence[str],
    test: tuple[StatisticName, Null | None],
    rng: Any,
) -> Profile:
    """Set up the test of some parameters of an estimate.

    Parameters
    ----------
    bound : BoundMoment
    kernel : Kernel
        Resolved.
    data : FitData
        Bounds and clusters of the estimate.
    names : sequence of str
        The parameters to be given values.
    test : tuple of str and Null or None
        Statistic and null law. By default the asymptotic law, from three cumulants beyond 500
        observations, because it is computed at every value.
    rng : None, int, numpy Generator or JAX key

    Returns
    -------
    Profile

    Raises
    ------
    OptionError
        When a name is not that of a parameter, or is repeated.
    """
    labels = list(bound.tree.labels)
    for name in names:
        if name not in labels:
            raise OptionError(f"there is no parameter {name!r}{did_you_mean(str(name), labels)}")
    if not names or len(set(names)) < len(names):
        raise OptionError(f"`names` must name different parameters; got {list(names)}.")
    statistic, null = test
    if null is None and bound.n_obs > MOST_EIGENVALUES:
        null = Asymptotic(method="cumulants", groups=data.groups)
    return Profile(
        bound=bound,
        weight=KernelWeight(
            kernel, bound.conditioning, low_rank_factor(kernel, bound.conditioning)
        ),
        fixed=np.array([labels.index(name) for name in names]),
        lower=data.box[0],
        upper=data.box[1],
        test=KCMTest(kernel, statistic, null_with_groups(null, data.groups)),
        seed=int(as_generator(rng).integers(2**32)),
    )


def _known(bound: BoundMoment, theta: Float[np.ndarray, " p"]) -> FittedMoment:
    labels = MomentLabels(bound.name, bound.conditioning_names, "known", bound.n_dropped)
    return FittedMoment(bound.evaluate(theta).residuals, bound.conditioning, labels=labels)


def _concentrated(
    profile: Profile, theta: Float[np.ndarray, " p"], free: Int[np.ndarray, " m"]
) -> Minimum:
    def evaluate(part: Float[np.ndarray, " m"]) -> MomentValues:
        whole = theta.copy()
        whole[free] = part
        values = profile.bound.evaluate(whole)
        return MomentValues(values.residuals, values.jacobian[:, :, free])

    labels = tuple(profile.bound.tree.labels[j] for j in free)
    problem = Problem(evaluate, labels, profile.lower[free], profile.upper[free])
    return minimise(problem, profile.weight, [theta[free]], "auto", MOST_EVALUATIONS)


def _told(profile: Profile, value: Float[np.ndarray, " k"]) -> str:
    pairs = zip(profile.names, value, strict=True)
    return "MMR given " + ", ".join(f"{name} = {v:.6g}" for name, v in pairs)
