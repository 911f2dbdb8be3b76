"""The specification test that holds where instruments are weak: the largest p-value over theta."""

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from jaxtyping import Float

from kcm._options import listed
from kcm.estimators.inversion import pvalue_at
from kcm.estimators.profile import Profile
from kcm.exceptions import OptionError
from kcm.kernels import Kernel
from kcm.moments import FirstStageStrength, told_values, warn_of_weak_instruments
from kcm.specification import KCMTestResult

__all__ = ["is_robust", "largest_pvalue", "robust_test"]

# Values tried along each principal axis, either way: spaced by a hyperbolic sine up to so many
# standard errors, and a far one that stands for the limit.
N_STEPS = 8
REACH = 1e2
FAR = 1e5
# Of the search from the best of them, for each parameter; it ends at steps of this size.
MOST_EVALUATIONS = 60
PRECISION = 1e-3
# Stands for a p-value that is zero in floating point, or cannot be computed.
SMALLEST = 1e-300
BY_DEFAULT = (
    "the p-value is the largest over these parameters, which holds. `robust=True` asks for it, "
    "`robust=False` for the test at the estimate. For the parameters use `confidence_set`, not "
    "standard errors"
)
BY_WISH = "the test at the estimate may then reject a right model too often; use `robust=True`"


@final
@dataclass(frozen=True, slots=True, eq=False)
class Coordinates:
    """Values of k parameters as centre + axes sinh(t), so that near and far ones are in reach.

    Parameters
    ----------
    centre : ndarray of shape (k,)
    axes : ndarray of shape (k, k)
        In its columns the principal axes of the covariance, a standard error long.
    lower, upper : ndarray of shape (k,)
        Bounds.
    """

    centre: Float[np.ndarray, " k"]
    axes: Float[np.ndarray, "k k"]
    lower: Float[np.ndarray, " k"]
    upper: Float[np.ndarray, " k"]

    def value(self, t: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """Return the parameters at t, within their bounds."""
        most = np.arcsinh(FAR)
        moved = self.centre + self.axes @ np.sinh(np.clip(t, -most, most))
        return np.clip(moved, self.lower, self.upper)


def is_robust(robust: Any, strength: FirstStageStrength) -> bool:
    """Tell whether to test over all values of the endogenous parameters.

    Parameters
    ----------
    robust : bool or None
        As the caller gave it.
    strength : FirstStageStrength

    Returns
    -------
    bool

    Raises
    ------
    OptionError
        When `robust` is something else.

    Warns
    -----
    WeakInstrumentsWarning
        From the caller's caller, where instruments are weak and `robust` is not True.
    """
    if not (robust is None or isinstance(robust, bool)):
        raise OptionError(
            f"`robust` must be True, False or None, which leaves the choice; got {robust!r}."
        )
    if not robust:
        advice = BY_DEFAULT if robust is None else BY_WISH
        warn_of_weak_instruments(strength, advice, stacklevel=4)
    return bool(strength.names) and (strength.is_weak if robust is None else robust)


def robust_test(
    profile: Profile,
    start: tuple[Float[np.ndarray, " p"], Float[np.ndarray, "k k"]],
    kernel: Kernel | None,
    strength: FirstStageStrength,
) -> KCMTestResult:
    """Test at the least rejected values of the endogenous parameters, and say so.

    Parameters
    ----------
    profile : Profile
        With the endogenous parameters fixed.
    start : tuple of ndarray
        The estimate of all parameters, and the covariance of the fixed ones.
    kernel : Kernel, optional
        Of the test; that of the profile by default.
    strength : FirstStageStrength

    Returns
    -------
    KCMTestResult
    """
    if kernel is not None:
        profile = replace(profile, test=replace(profile.test, kernel=kernel))
    result = largest_pvalue(profile, *start)
    note = (
        f"The p-value is the largest over {listed(profile.names)}, valid with weak instruments; "
        f"effective F {strength.describe()}"
    )
    notes = *result.certificate.notes, note
    return replace(result, certificate=replace(result.certificate, notes=notes))


def largest_pvalue(
    profile: Profile, theta: Float[np.ndarray, " p"], covariance: Float[np.ndarray, "k k"]
) -> KCMTestResult:
    """Test at the values of the fixed parameters where the p-value is largest.

    Parameters
    ----------
    profile : Profile
    theta : ndarray of shape (p,)
        The estimate of all parameters, where the search starts.
    covariance : ndarray of shape (k, k)
        Of the fixed parameters; it says how far to go, no more.

    Returns
    -------
    KCMTestResult
        Of the test at that point; `theta` says which.
    """
    fixed = profile.fixed
    coordinates = Coordinates(
        theta[fixed], _principal_axes(covariance), profile.lower[fixed], profile.upper[fixed]
    )
    value = coordinates.value(_highest(profile, coordinates, theta))
    point = profile.at(value, theta)
    told = f"where the p-value is largest: {told_values(profile.names, value)}"
    labels = replace(point.moment.labels, theta=told)
    return profile.result(replace(point.moment, labels=labels))


def _highest(
    profile: Profile, coordinates: Coordinates, theta: Float[np.ndarray, " p"]
) -> Float[np.ndarray, " k"]:
    """Search from the best value on each axis, and keep the best of all that were visited."""
    from scipy.optimize import minimize

    k = len(coordinates.centre)

    def loss(t: Float[np.ndarray, " k"]) -> float:
        pvalue, _ = pvalue_at(profile, coordinates.value(t), theta)
        return -np.log(max(np.nan_to_num(pvalue), SMALLEST))

    ends = []
    for tried in _on_axes(k):
        best = tried[int(np.argmin([loss(t) for t in tried]))]
        simplex = np.vstack([best, best + 0.5 * np.eye(k)])
        options = {
            "initial_simplex": simplex,
            "maxfev": MOST_EVALUATIONS * k,
            "xatol": PRECISION,
            "fatol": PRECISION,
        }
        ends.append(minimize(loss, best, method="Nelder-Mead", options=options))
    return np.asarray(min(ends, key=lambda each: float(each.fun)).x)


def _on_axes(k: int) -> list[Float[np.ndarray, "m k"]]:
    """Return values on each axis, the centre among them."""
    one_way = np.append(np.linspace(0, np.arcsinh(REACH), N_STEPS), np.arcsinh(FAR))
    both = np.concatenate([-one_way[:0:-1], one_way])
    return [np.outer(both, axis) for axis in np.eye(k)]


def _principal_axes(covariance: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    values, vectors = np.linalg.eigh(np.nan_to_num(covariance))
    # an exact fit has no standard error
    return np.asarray(vectors * np.sqrt(np.where(values > 0, values, 1.0)))
