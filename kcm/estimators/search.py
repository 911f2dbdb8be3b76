"""The search for the theta that minimises psi'W psi."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, final, get_args

import numpy as np
from jaxtyping import Bool, Float

from kcm.estimators.convergence import Convergence
from kcm.estimators.expansion import Expansion, expand
from kcm.estimators.weighting import Features, Weight
from kcm.exceptions import DataError, MomentError, OptionError
from kcm.moments import MomentValues, told_values

__all__ = [
    "METHODS",
    "Minimum",
    "Problem",
    "SearchMethod",
    "fits_exactly",
    "minimise",
    "moving_parameters",
    "probe_from",
]

SearchMethod = Literal["auto", "closed-form", "trf", "dogbox", "lm"]
METHODS: tuple[str, ...] = get_args(SearchMethod)

# Residuals of a linear moment follow their derivative to this share.
LINEAR = 1e-9
PROBE_SEED = 20_200_723
# The search on the features stops at changes of this size, then exact steps follow.
TOLERANCE = 1e-10
EPSILON = 1e-15
# Residuals below this share of the terms that they are made of are rounding errors.
EXACT = 1e-13
# Gauss-Newton steps after the search.
MOST_STEPS = 50
# So near to a bound, in units of the bound or 1, a parameter is tried on it.
NEAR = 1e-6
# A step of this many standard errors changes nothing that matters, and one that counts as zero.
CONVERGED = 1e-4
NEGLIGIBLE = 1e-8


@final
@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Residuals as a function of theta in a box.

    Parameters
    ----------
    evaluate : callable
        theta of shape (p,) to `MomentValues`.
    labels : tuple of str
    lower, upper : ndarray of shape (p,)
    """

    evaluate: Callable[[Float[np.ndarray, " p"]], MomentValues]
    labels: tuple[str, ...]
    lower: Float[np.ndarray, " p"]
    upper: Float[np.ndarray, " p"]

    @property
    def box(self) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
        """Lower and upper bounds."""
        return self.lower, self.upper

    def inside(self, theta: Float[np.ndarray, " p"]) -> bool:
        """Tell whether theta lies within the bounds."""
        return bool(((self.lower <= theta) & (theta <= self.upper)).all())

    def clipped(self, theta: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
        """Return the point of the box that is nearest to theta."""
        return np.clip(theta, self.lower, self.upper)

    def snapped(self, theta: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
        """Put parameters that all but reach a bound on it: "trf" stays strictly inside."""
        for end in self.box:
            near = np.isfinite(end) & (np.abs(theta - end) <= NEAR * np.maximum(np.abs(end), 1))
            theta = np.where(near, end, theta)
        return theta


@final
@dataclass(frozen=True, slots=True, eq=False)
class Minimum:
    """The end of a search.

    Parameters
    ----------
    theta : ndarray of shape (p,)
    values : MomentValues
        Residuals and jacobian there.
    free : ndarray of bool, shape (p,)
        Parameters that are not held at a bound.
    expansion : Expansion
        In the free parameters.
    convergence : Convergence
    weight : Weight
        W of the objective.
    """

    theta: Float[np.ndarray, " p"]
    values: MomentValues
    free: Bool[np.ndarray, " p"]
    expansion: Expansion
    convergence: Convergence
    weight: Weight


def minimise(
    problem: Problem,
    weight: Weight,
    starts: Sequence[Float[np.ndarray, " p"]],
    method: SearchMethod,
    maxiter: int,
) -> Minimum:
    """Minimise psi'W psi / n^2.

    Parameters
    ----------
    problem : Problem
    weight : Weight
    starts : sequence of ndarray of shape (p,)
        The lowest minimum found from them is returned.
    method : {"auto", "closed-form", "trf", "dogbox", "lm"}
        "closed-form" for residuals linear in theta; the others are those of
        `scipy.optimize.least_squares`, on the features F'psi. "auto" recognises linear residuals.
    maxiter : int
        Most evaluations of the search from one start.

    Returns
    -------
    Minimum

    Raises
    ------
    MomentError
        When a parameter does not enter the residual.
    IdentificationError
        When the minimum is not unique to first order.
    OptionError
        When "closed-form" is asked for and the residual is not linear.
    """
    first = problem.evaluate(starts[0])
    probe = problem.clipped(probe_from(starts[0]))
    probed = problem.evaluate(probe)
    _check_parameters_enter((first, probed), problem.labels)
    if method in ("auto", "closed-form") and _is_linear(first, probed, probe - starts[0]):
        found = _closed_form(problem, weight, starts[0], first)
        if found is not None:
            return found
    if method == "closed-form":
        raise OptionError(
            '`method="closed-form"` is for residuals that are linear in the parameters, with a '
            'minimum inside the bounds; use "trf".'
        )
    return _iterate(problem, weight, starts, "trf" if method == "auto" else method, maxiter)


def _closed_form(
    problem: Problem, weight: Weight, start: Float[np.ndarray, " p"], first: MomentValues
) -> Minimum | None:
    """One Gauss-Newton step, which is exact when the residual is linear all the way."""
    step = expand(first, weight, problem.labels).step
    values = problem.evaluate(start + step)
    if not (problem.inside(start + step) and _is_linear(first, values, step)):
        return None
    free, expansion = _free_expansion(problem, weight, start + step, values)
    return _finished(weight, start + step, values, free, expansion, "closed form", 1)


def _iterate(
    problem: Problem,
    weight: Weight,
    starts: Sequence[Float[np.ndarray, " p"]],
    method: str,
    maxiter: int,
) -> Minimum:
    features = weight.features()
    ended, failed = [], []
    for start in starts:
        try:
            ended.append(_search(problem, features, start, method, maxiter))
        except (ValueError, np.linalg.LinAlgError) as error:
            failed.append((start, error))
    if not ended:
        start, reason = failed[0]
        raise DataError(
            f"the search from {told_values(problem.labels, start)} failed: {reason}. The residual "
            "or its derivative may not be finite there; set `bounds` or another `start`."
        ) from reason
    return _polished(problem, weight, min(ended, key=lambda each: float(each.cost)))


def _search(
    problem: Problem,
    features: Features,
    start: Float[np.ndarray, " p"],
    method: str,
    maxiter: int,
) -> Any:
    """Least squares on the features, a draft of the exact objective."""
    from scipy.optimize import least_squares

    @lru_cache(maxsize=2)
    def at(key: bytes) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, "r p"]]:
        values = problem.evaluate(np.frombuffer(key))
        stacked = np.concatenate([values.residuals[:, :, None], values.jacobian], axis=2)
        seen = features(stacked) / len(stacked)
        return seen[:, 0], seen[:, 1:]

    # "lm" takes no bounds and needs each of its tolerances
    own = {"gtol": EPSILON} if method == "lm" else {"bounds": problem.box, "gtol": None}
    with np.errstate(all="ignore"):
        return least_squares(
            lambda theta: at(theta.tobytes())[0],
            start,
            lambda theta: at(theta.tobytes())[1],
            method=method,
            x_scale="jac",
            ftol=TOLERANCE,
            xtol=TOLERANCE,
            max_nfev=maxiter,
            **own,
        )


def _polished(problem: Problem, weight: Weight, found: Any) -> Minimum:
    """Gauss-Newton steps on the exact objective, from where the search on the features ended."""
    theta, values = _snapped(problem, weight, problem.clipped(np.asarray(found.x, float)))
    free, expansion = _free_expansion(problem, weight, theta, values)
    n_steps = 0
    while n_steps < MOST_STEPS and _in_standard_errors(expansion, values) >= NEGLIGIBLE:
        moved = _descend(problem, weight, theta, free, expansion)
        if moved is None:
            break
        n_steps, (theta, values) = n_steps + 1, moved
        free, expansion = _free_expansion(problem, weight, theta, values)
    message = f"{found.message} {n_steps} Gauss-Newton steps followed."
    return _finished(weight, theta, values, free, expansion, message, found.nfev + n_steps)


def _snapped(
    problem: Problem, weight: Weight, theta: Float[np.ndarray, " p"]
) -> tuple[Float[np.ndarray, " p"], MomentValues]:
    """Put parameters that all but reach a bound on it, unless that is worse."""
    values, snapped = problem.evaluate(theta), problem.snapped(theta)
    if np.array_equal(snapped, theta):
        return theta, values
    at = problem.evaluate(snapped)
    better = at.finite and _objective(weight, at) <= (1 + LINEAR) * _objective(weight, values)
    return (snapped, at) if better else (theta, values)


def _descend(
    problem: Problem,
    weight: Weight,
    theta: Float[np.ndarray, " p"],
    free: Bool[np.ndarray, " p"],
    expansion: Expansion,
) -> tuple[Float[np.ndarray, " p"], MomentValues] | None:
    """Take the Gauss-Newton step, or the largest of its halves that lowers the objective."""
    step = np.zeros_like(theta)
    step[free] = expansion.step
    for halving in range(8):
        candidate = problem.clipped(theta + step / 2**halving)
        values = problem.evaluate(candidate)
        if values.finite and _objective(weight, values) < expansion.objective:
            return candidate, values
    return None


def _objective(weight: Weight, values: MomentValues) -> float:
    psi = values.residuals[:, :, None]
    return float(np.sum(psi * weight.apply(psi)) / len(psi) ** 2)


def _finished(
    weight: Weight,
    theta: Float[np.ndarray, " p"],
    values: MomentValues,
    free: Bool[np.ndarray, " p"],
    expansion: Expansion,
    message: str,
    n_iterations: int,
) -> Minimum:
    left = 0.0 if fits_exactly(values, theta) else _in_standard_errors(expansion, values)
    convergence = Convergence(
        converged=left <= CONVERGED,
        message=message,
        n_iterations=n_iterations,
        gradient_norm=float(np.linalg.norm(expansion.gradient)),
        step=left,
        objective=expansion.objective,
    )
    return Minimum(theta, values, free, expansion, convergence, weight)


def fits_exactly(values: MomentValues, theta: Float[np.ndarray, " p"]) -> bool:
    """Tell whether the residuals are rounding errors of the terms that they are made of."""
    terms = np.abs(values.jacobian) @ np.abs(theta)
    return bool(np.abs(values.residuals).max() <= EXACT * terms.max())


def _free_expansion(
    problem: Problem, weight: Weight, theta: Float[np.ndarray, " p"], values: MomentValues
) -> tuple[Bool[np.ndarray, " p"], Expansion]:
    """Expand in the parameters that are inside the box or move back into it."""
    at_bound = (theta <= problem.lower) | (theta >= problem.upper)
    if not at_bound.any():
        return ~at_bound, expand(values, weight, problem.labels)
    psi = values.residuals[:, :, None]
    gradient = np.einsum("icp,icm->p", values.jacobian, weight.apply(psi))
    outward = np.where(theta <= problem.lower, gradient > 0, gradient < 0)
    free = ~(at_bound & outward)
    names = [label for label, f in zip(problem.labels, free, strict=True) if f]
    return free, expand(MomentValues(values.residuals, values.jacobian[:, :, free]), weight, names)


def _in_standard_errors(expansion: Expansion, values: MomentValues) -> float:
    """Return the largest Gauss-Newton step in units of the robust standard error."""
    influence = expansion.influence(values.residuals)
    errors = np.sqrt(np.sum(influence**2, axis=0)) / len(influence)
    steps = np.abs(expansion.step)
    ratios = np.divide(steps, errors, out=np.zeros_like(steps), where=errors > 0)
    return float(np.max(ratios, initial=0.0))


def _is_linear(first: MomentValues, second: MomentValues, step: Float[np.ndarray, " p"]) -> bool:
    """Tell whether the second values are those that the first derivative predicts."""
    if not (first.finite and second.finite):
        return False
    predicted = first.residuals + first.jacobian @ step
    size = np.abs(first.residuals) + np.abs(first.jacobian) @ np.abs(step)
    same = np.abs(second.jacobian - first.jacobian) <= LINEAR * np.abs(first.jacobian)
    close = np.abs(second.residuals - predicted) <= LINEAR * size
    return bool(same.all() and close.all())


def probe_from(start: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
    """Return another point near a start, always the same."""
    draws = np.random.default_rng(PROBE_SEED).uniform(-1, 1, size=len(start))
    return start + 0.1 * np.maximum(np.abs(start), 1) * draws


def moving_parameters(seen: Sequence[MomentValues]) -> Bool[np.ndarray, " p"]:
    """Tell which parameters change a residual at one of several points."""
    moves = [np.any(values.jacobian != 0, axis=(0, 1)) for values in seen]
    return np.asarray(np.any(moves, axis=0))


def _check_parameters_enter(seen: Sequence[MomentValues], labels: Sequence[str]) -> None:
    moves = moving_parameters(seen)
    idle = [label for label, m in zip(labels, moves, strict=True) if not m]
    if idle:
        raise MomentError(
            f"the parameter {', '.join(idle)} does not enter the residual: its derivative is zero "
            "in every row. Leave it out, or start where the residual depends on it."
        )
