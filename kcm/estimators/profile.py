"""The specification test with some parameters fixed and the others estimated anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int

from kcm._options import as_generator
from kcm.estimators.fitdata import FitData, null_with_groups
from kcm.estimators.fitted import known_moment, moment_at
from kcm.estimators.search import Problem, minimise, moving_parameters, probe_from
from kcm.estimators.weighting import KernelWeight, Weight
from kcm.gram import low_rank_factor
from kcm.kernels import Kernel
from kcm.moments import BoundMoment, FittedMoment, MomentValues, group_codes, told_values
from kcm.null import Asymptotic, Null
from kcm.specification import KCMTest, KCMTestResult
from kcm.statistic import StatisticName

__all__ = ["Profile", "ProfilePoint", "build_profile"]

# By the search for the other parameters.
MOST_EVALUATIONS = 200
# A p-value does not feel a step of so many standard errors.
NEAR = 1e-2
# Beyond this many observations the default null law is found from cumulants.
MOST_EIGENVALUES = 500


@final
@dataclass(frozen=True, slots=True, eq=False)
class ProfilePoint:
    """The moment at one value.

    Parameters
    ----------
    moment : FittedMoment
    theta : ndarray of shape (p,)
        All parameters: those given, and the others as estimated.
    converged : bool
        Whether the search for the others came near enough to a minimum for a p-value.
    """

    moment: FittedMoment
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
        free = _moving(self, theta)
        if not len(free):
            moment = known_moment(self.bound, self.bound.evaluate(theta).residuals, "known")
            return ProfilePoint(moment, theta, True)
        minimum = minimise(
            _problem(self, theta, free), self.weight, [theta[free]], "auto", MOST_EVALUATIONS
        )
        theta[free] = minimum.theta
        moment = moment_at(self.bound, minimum, _told(self, value))
        return ProfilePoint(moment, theta, minimum.convergence.step <= NEAR)

    def result(self, moment: FittedMoment) -> KCMTestResult:
        """Test the moment at one value."""
        return self.test.run(moment, self.seed)


def build_profile(
    bound: BoundMoment,
    kernel: Kernel,
    data: FitData,
    fixed: Sequence[int],
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
    fixed : sequence of int
        Positions of the parameters to be given values.
    test : tuple of str and Null or None
        Statistic and null law. By default the asymptotic law, from three cumulants beyond 500
        observations, because it is computed at every value.
    rng : None, int, numpy Generator or JAX key

    Returns
    -------
    Profile

    Raises
    ------
    DataError, OptionError
        When the null law does not fit the observations.
    """
    statistic, null = test
    if null is None and bound.n_obs > MOST_EIGENVALUES:
        null = Asymptotic(method="cumulants", groups=data.groups)
    null = null_with_groups(null, data.groups)
    group_codes(null.groups, bound.n_obs)  # speaks before the search does
    # factored once for all values
    factor = low_rank_factor(kernel, bound.conditioning)
    return Profile(
        bound=bound,
        weight=KernelWeight(kernel, bound.conditioning, factor),
        fixed=np.array(fixed, dtype=np.int64),
        lower=data.box[0],
        upper=data.box[1],
        test=KCMTest(kernel, statistic, null),
        seed=int(as_generator(rng).integers(2**32)),
    )


def _problem(
    profile: Profile, theta: Float[np.ndarray, " p"], free: Int[np.ndarray, " m"]
) -> Problem:
    """Return the residuals as a function of the free parameters alone."""

    def evaluate(part: Float[np.ndarray, " m"]) -> MomentValues:
        whole = theta.copy()
        whole[free] = part
        values = profile.bound.evaluate(whole)
        return MomentValues(values.residuals, values.jacobian[:, :, free])

    labels = tuple(profile.bound.tree.labels[j] for j in free)
    return Problem(evaluate, labels, profile.lower[free], profile.upper[free])


def _moving(profile: Profile, theta: Float[np.ndarray, " p"]) -> Int[np.ndarray, " m"]:
    """Positions of the other parameters, without those that do not matter at this value.

    A slope does not matter where the coefficient of its function is fixed at zero: the residuals
    are the same whatever it is, and so is the test.
    """
    free = np.setdiff1d(np.arange(len(theta)), profile.fixed)
    if not len(free):
        return free
    problem = _problem(profile, theta, free)
    points = (theta[free], problem.clipped(probe_from(theta[free])))
    return free[moving_parameters([problem.evaluate(point) for point in points])]


def _told(profile: Profile, value: Float[np.ndarray, " k"]) -> str:
    return f"MMR given {told_values(profile.names, value)}"
