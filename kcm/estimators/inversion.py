"""The search for the values that a test keeps: one parameter by a curve, two by a grid."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from kcm._arrays import as_float_columns
from kcm.estimators.confidence import ConfidenceSet
from kcm.estimators.profile import Profile
from kcm.exceptions import (
    DataError,
    IdentificationError,
    MomentError,
    OptionError,
    SaturatedModelError,
)

__all__ = ["invert", "pvalue_at"]

# The default curve: this many values, spaced by a hyperbolic sine up to so many standard errors,
# and two far values that stand for the limits.
N_VALUES = 51
REACH = 1e3
FAR = 1e5
# The default grid of two parameters.
N_GRID = 21
GRID_REACH = 8.0
# Ends of intervals are found to this part of the distance between neighbouring values.
PRECISION = 1e-5

Curve = Callable[[float], float]


def invert(
    profile: Profile,
    theta: Float[np.ndarray, " p"],
    errors: Float[np.ndarray, " k"],
    level: float,
    grid: Any,
) -> ConfidenceSet:
    """Invert the test in the one or two parameters that a profile fixes.

    Parameters
    ----------
    profile : Profile
    theta : ndarray of shape (p,)
        The estimate of all parameters.
    errors : ndarray of shape (k,)
        Standard errors of the fixed ones, for the default grid.
    level : float
    grid : array_like or mapping of arrays, optional

    Returns
    -------
    ConfidenceSet
    """
    if len(errors) == 1:
        return invert_on_curve(profile, theta, float(errors[0]), level, grid)
    return invert_on_grid(profile, theta, errors, level, grid)


def invert_on_curve(
    profile: Profile,
    theta: Float[np.ndarray, " p"],
    error: float,
    level: float,
    grid: Any,
) -> ConfidenceSet:
    """Invert the test in one parameter.

    Parameters
    ----------
    profile : Profile
    theta : ndarray of shape (p,)
        The estimate of all parameters.
    error : float
        Standard error of the parameter, for the default grid.
    level : float
    grid : array_like of shape (m,), optional

    Returns
    -------
    ConfidenceSet
    """
    own = int(profile.fixed[0])
    low, high = float(profile.lower[own]), float(profile.upper[own])
    tried = _curve_values(theta[own], error, grid, low, high)
    found, thetas = _along(profile, theta, tried)

    def curve(value: float) -> float:
        nearest = thetas[int(np.argmin(np.abs(tried - value)))]
        pvalue = pvalue_at(profile, np.array([value]), nearest)[0]
        # what cannot be computed is not kept
        return (0.0 if np.isnan(pvalue) else pvalue) - (1 - level)

    values, pvalues = _with_peak(curve, tried, found, 1 - level)
    ends = (low, high) if grid is None else (float(values[0]), float(values[-1]))
    runs = _runs(_inside(pvalues, 1 - level))
    return ConfidenceSet(
        names=profile.names,
        level=level,
        intervals=_intervals(curve, values, pvalues, runs, ends),
        truncated=(_truncated(pvalues, runs, grid is not None),),
        exhaustive=grid is None and bool(np.isfinite(pvalues).all()),
        values=values[:, None],
        pvalues=pvalues,
        estimate=(float(theta[own]),),
    )


def invert_on_grid(
    profile: Profile,
    theta: Float[np.ndarray, " p"],
    errors: Float[np.ndarray, " k"],
    level: float,
    grid: Any,
) -> ConfidenceSet:
    """Invert the test in two parameters.

    Parameters
    ----------
    profile : Profile
    theta : ndarray of shape (p,)
    errors : ndarray of shape (2,)
        Standard errors of the two, for the default grid.
    level : float
    grid : mapping of arrays, optional

    Returns
    -------
    ConfidenceSet
    """
    axes = _axes(profile, theta[profile.fixed], errors, grid)
    values = np.array([(a, b) for a in axes[0] for b in axes[1]])
    pvalues = _over(profile, theta, values)
    kept = values[pvalues > 1 - level]
    intervals = tuple((float(c.min()), float(c.max())) for c in kept.T) if len(kept) else ()
    # an empty set is as open as its highest p-value lets it be
    reached = kept if len(kept) else values[[int(np.nanargmax(pvalues))]]
    return ConfidenceSet(
        names=profile.names,
        level=level,
        intervals=intervals,
        truncated=tuple(
            _reaches(profile, int(j), c, a)
            for j, c, a in zip(profile.fixed, reached.T, axes, strict=True)
        ),
        exhaustive=False,
        values=values,
        pvalues=pvalues,
        estimate=tuple(float(value) for value in theta[profile.fixed]),
    )


def _reaches(
    profile: Profile, j: int, kept: Float[np.ndarray, " k"], tried: Float[np.ndarray, " m"]
) -> tuple[bool, bool]:
    """Tell whether values kept reach the ends of the values tried, short of a bound."""
    low = kept.min() <= tried[0] and tried[0] > profile.lower[j]
    high = kept.max() >= tried[-1] and tried[-1] < profile.upper[j]
    return bool(low), bool(high)


def pvalue_at(
    profile: Profile, value: Float[np.ndarray, " k"], start: Float[np.ndarray, " p"]
) -> tuple[float, Float[np.ndarray, " p"]]:
    """P-value at one value; NaN where the other parameters cannot be estimated."""
    try:
        point = profile.at(value, start)
    except (DataError, IdentificationError, MomentError):
        return float("nan"), start
    if not point.converged:
        return float("nan"), start
    try:
        return profile.result(point.moment).pvalue, point.theta
    except SaturatedModelError:
        # the residuals are zero, or all that the kernel sees of them is
        return 1.0, point.theta


def _along(
    profile: Profile, theta: Float[np.ndarray, " p"], values: Float[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "m p"]]:
    """P-values along a curve, from the estimate outwards, each start from the one before."""
    pvalues, thetas = np.full(len(values), np.nan), np.tile(theta, (len(values), 1))
    centre = int(np.argmin(np.abs(values - theta[profile.fixed[0]])))
    for side in (range(centre, len(values)), range(centre - 1, -1, -1)):
        start = theta
        for k in side:
            pvalues[k], start = pvalue_at(profile, values[k : k + 1], start)
            thetas[k] = start
    _check_computed(profile, pvalues, values[centre : centre + 1], theta)
    return pvalues, thetas


def _check_computed(
    profile: Profile,
    pvalues: Float[np.ndarray, " m"],
    value: Float[np.ndarray, " k"],
    theta: Float[np.ndarray, " p"],
) -> None:
    """Raise what went wrong when no value has a p-value: that is no empty set."""
    if np.isfinite(pvalues).any():
        return
    profile.result(profile.at(value, theta).moment)
    raise DataError(
        "no value has a p-value: the search for the other parameters does not converge. Give a "
        "`grid` nearer to the estimate."
    )


def _over(
    profile: Profile, theta: Float[np.ndarray, " p"], values: Float[np.ndarray, "m k"]
) -> Float[np.ndarray, " m"]:
    pvalues = np.array([pvalue_at(profile, value, theta)[0] for value in values])
    _check_computed(profile, pvalues, theta[profile.fixed], theta)
    return pvalues


def _curve_values(
    centre: float, error: float, grid: Any, low: float, high: float
) -> Float[np.ndarray, " m"]:
    if grid is not None:
        values = np.unique(as_float_columns(grid, "grid"))
        if len(values) < 2 or values[0] < low or values[-1] > high:
            raise OptionError(
                f"`grid` must hold at least two different values within the bounds ({low:.6g}, "
                f"{high:.6g}); got {len(values)} from {values[0]:.6g} to {values[-1]:.6g}."
            )
        return values
    _check_errors(np.array([error]))
    spaced = np.sinh(np.linspace(-1, 1, N_VALUES) * np.arcsinh(REACH))
    values = centre + error * np.array([-FAR, *spaced, FAR])
    return np.unique(np.clip(values, low, high))


def _check_errors(errors: Float[np.ndarray, " k"]) -> None:
    if not (np.isfinite(errors).all() and (errors > 0).all()):
        raise OptionError(
            "`grid` is needed: a parameter has no standard error (it is at a bound, or the model "
            "fits exactly)."
        )


def _axes(
    profile: Profile,
    centre: Float[np.ndarray, " k"],
    errors: Float[np.ndarray, " k"],
    grid: Any,
) -> list[Float[np.ndarray, " m"]]:
    if grid is None:
        _check_errors(errors)
        reach = np.outer(errors, np.linspace(-GRID_REACH, GRID_REACH, N_GRID))
        low, high = profile.lower[profile.fixed], profile.upper[profile.fixed]
        return [
            np.unique(np.clip(c + r, a, b))
            for c, r, a, b in zip(centre, reach, low, high, strict=True)
        ]
    if not isinstance(grid, Mapping) or set(grid) != set(profile.names):
        raise OptionError(
            f"`grid` must be a mapping with an array of values for each of {profile.names}."
        )
    pairs = zip(profile.names, profile.fixed, strict=True)
    return [
        _curve_values(0.0, 1.0, grid[name], profile.lower[j], profile.upper[j]) for name, j in pairs
    ]


def _with_peak(
    curve: Curve, values: Float[np.ndarray, " m"], pvalues: Float[np.ndarray, " m"], alpha: float
) -> tuple[Float[np.ndarray, " l"], Float[np.ndarray, " l"]]:
    """Look for the highest p-value between the values before the region is called empty."""
    from scipy.optimize import minimize_scalar

    if np.any(pvalues > alpha) or not np.isfinite(pvalues).any():
        return values, pvalues
    top = int(np.nanargmax(pvalues))
    around = values[max(top - 1, 0)], values[min(top + 1, len(values) - 1)]
    found = minimize_scalar(lambda v: -curve(float(v)), bounds=around, method="bounded")
    at = np.searchsorted(values, found.x)
    return np.insert(values, at, found.x), np.insert(pvalues, at, alpha - found.fun)


def _inside(pvalues: Float[np.ndarray, " m"], alpha: float) -> Bool[np.ndarray, " m"]:
    """Tell which values are kept; those without a p-value are, between two that are."""
    inside = pvalues > alpha
    known = np.flatnonzero(np.isfinite(pvalues))
    for k in np.flatnonzero(np.isnan(pvalues)):
        before, after = known[known < k], known[known > k]
        inside[k] = len(before) and len(after) and inside[before[-1]] and inside[after[0]]
    return inside


def _runs(inside: Bool[np.ndarray, " m"]) -> list[tuple[int, int]]:
    """First and last positions of the runs of values that are kept."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _intervals(
    curve: Curve,
    values: Float[np.ndarray, " m"],
    pvalues: Float[np.ndarray, " m"],
    runs: list[tuple[int, int]],
    ends: tuple[float, float],
) -> tuple[tuple[float, float], ...]:
    """Runs of values that are kept, with their ends found between neighbours."""

    def end(kept: int, outside: int, limit: float) -> float:
        if not 0 <= outside < len(values):
            return limit
        if np.isnan(pvalues[outside]):
            return float(values[kept])
        return _crossing(curve, values[outside], values[kept])

    return tuple((end(a, a - 1, ends[0]), end(b, b + 1, ends[1])) for a, b in runs)


def _truncated(
    pvalues: Float[np.ndarray, " m"], runs: list[tuple[int, int]], is_given: bool
) -> tuple[bool, bool]:
    """Tell whether the region reaches the end of a given grid, or values without a p-value."""
    if not runs:
        top = int(np.nanargmax(pvalues))
        return is_given and top == 0, is_given and top == len(pvalues) - 1

    def unknown(k: int) -> bool:
        return bool(np.isnan(pvalues[k])) if 0 <= k < len(pvalues) else is_given

    return any(unknown(a - 1) for a, _ in runs), any(unknown(b + 1) for _, b in runs)


def _crossing(curve: Curve, outside: float, inside: float) -> float:
    """Find the end of the region between a value that is rejected and one that is kept."""
    from scipy.optimize import brentq

    if not curve(float(outside)) <= 0 < curve(float(inside)):
        # a search from elsewhere has found another minimum there: rather too wide a set
        return float(outside)
    gap = abs(inside - outside)
    return float(brentq(curve, float(outside), float(inside), xtol=PRECISION * gap))
