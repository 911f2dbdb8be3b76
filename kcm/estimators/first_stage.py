"""The first-stage strength of a minimum-distance estimate: a kernel's effective F."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from kcm.estimators.expansion import Expansion, expand
from kcm.estimators.search import Minimum
from kcm.exceptions import IdentificationError
from kcm.gram import low_rank_factor
from kcm.kernels import Kernel
from kcm.moments import WEAK_FOR_KERNELS, BoundMoment, FirstStageStrength, smallest_ratio

__all__ = ["estimate_strength", "left_out_residuals"]

# Features of the regression of the jacobian on the conditioning variables.
MOST_FEATURES = 100
# Its penalties, as shares of the largest squared singular value of the features.
PENALTIES = 10.0 ** -np.arange(0.0, 8.5, 0.5)


def estimate_strength(
    bound: BoundMoment,
    kernel: Kernel,
    minimum: Minimum,
    groups: Int[np.ndarray, " n"] | None,
) -> FirstStageStrength:
    r"""Return the effective F of the parameters whose jacobian is not a function of X.

    With W the weight of the objective, E the exogenous columns of S and D the others,
    :math:`W^* = W - WE(E'WE)^{-1}E'W` and v the part of D that X does not explain, F is the
    smallest eigenvalue of :math:`D'W^*D` in the metric of :math:`\sum_i v_i'W^*_{ii}v_i`.

    Parameters
    ----------
    bound : BoundMoment
    kernel : Kernel
        Resolved.
    minimum : Minimum
    groups : ndarray of int, shape (n,), or None
        Clusters.

    Returns
    -------
    FirstStageStrength
    """
    exogenous = bound.exogenous_parameters(minimum.theta)
    if exogenous.all():
        return FirstStageStrength(float("inf"), ())
    labels = bound.tree.labels
    names = tuple(label for label, given in zip(labels, exogenous, strict=True) if not given)
    try:
        expansion = _expansion(minimum, labels)
    except IdentificationError:
        # of the parameters that are free the search has made sure
        return FirstStageStrength(0.0, names, WEAK_FOR_KERNELS)
    features = low_rank_factor(kernel, bound.conditioning, max_rank=MOST_FEATURES).factor
    jacobian = minimum.values.jacobian
    given, moved = jacobian[:, :, exogenous], jacobian[:, :, ~exogenous]
    residuals = first_stage_residuals(moved, given, features)
    noise = minimum.weight.spread(residuals, groups)
    if exogenous.any():
        noise = noise - _absorbed(expansion, exogenous, residuals, groups)
    inverse = expansion.inverse[np.ix_(~exogenous, ~exogenous)] / len(jacobian) ** 2
    return FirstStageStrength(smallest_ratio(inverse, noise), names, WEAK_FOR_KERNELS)


def _expansion(minimum: Minimum, labels: Sequence[str]) -> Expansion:
    """Return the expansion in all parameters, those at a bound included."""
    if minimum.free.all():
        return minimum.expansion
    return expand(minimum.values, minimum.weight, labels)


def _absorbed(
    expansion: Expansion,
    exogenous: Bool[np.ndarray, " p"],
    residuals: Float[np.ndarray, "n q m"],
    groups: Int[np.ndarray, " n"] | None,
) -> Float[np.ndarray, "m m"]:
    """Return the sum of v_g' W E (E'WE)^-1 E'W v_g, which the exogenous columns take away."""
    n = len(residuals)
    seen = n**2 * np.linalg.inv(expansion.inverse)
    weighted = -expansion.gain @ seen / n
    projected = np.einsum("icp,icm->ipm", weighted[:, :, exogenous], residuals)
    if groups is not None:
        sums = np.zeros((int(groups.max()) + 1, *projected.shape[1:]))
        np.add.at(sums, groups, projected)
        projected = sums
    solved = np.linalg.solve(seen[np.ix_(exogenous, exogenous)], projected)
    return np.asarray(np.einsum("gpm,gpk->mk", projected, solved))


def first_stage_residuals(
    moved: Float[np.ndarray, "n q m"],
    given: Float[np.ndarray, "n q e"],
    features: Float[np.ndarray, "n r"],
) -> Float[np.ndarray, "n q m"]:
    """Return what the exogenous columns and the features do not explain, component by component."""
    parts = [
        left_out_residuals(
            moved[:, c], np.column_stack([np.ones(len(moved)), given[:, c]]), features
        )
        for c in range(moved.shape[1])
    ]
    return np.stack(parts, axis=1)


def left_out_residuals(
    targets: Float[np.ndarray, "n m"],
    known: Float[np.ndarray, "n e"],
    features: Float[np.ndarray, "n r"],
) -> Float[np.ndarray, "n m"]:
    """Return residuals of ridge regressions, each row predicted by the others.

    Parameters
    ----------
    targets : ndarray of shape (n, m)
    known : ndarray of shape (n, e)
        Columns without a penalty.
    features : ndarray of shape (n, r)
        Columns with a penalty; the one with the smallest sum of squares is taken, none included.

    Returns
    -------
    ndarray of shape (n, m)
    """
    basis = _orthonormal(known)
    rest = targets - basis @ (basis.T @ targets)
    left, size, _ = np.linalg.svd(features - basis @ (basis.T @ features), full_matrices=False)
    slopes, hat = left.T @ rest, np.sum(basis**2, axis=1)
    best = _left_out(rest, hat)
    for penalty in PENALTIES * size[0] ** 2:
        shrunk = size**2 / (size**2 + penalty)
        tried = _left_out(rest - left @ (shrunk[:, None] * slopes), hat + left**2 @ shrunk)
        better = np.sum(tried**2, axis=0) < np.sum(best**2, axis=0)
        best = np.where(better, tried, best)
    return best


def _left_out(
    residuals: Float[np.ndarray, "n m"], hat: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n m"]:
    # a row of leverage one is fitted exactly
    return residuals / np.maximum(1 - hat, 1e-8)[:, None]


def _orthonormal(columns: Float[np.ndarray, "n e"]) -> Float[np.ndarray, "n k"]:
    size = np.linalg.norm(columns, axis=0)
    left, singular, _ = np.linalg.svd(columns[:, size > 0] / size[size > 0], full_matrices=False)
    return left[:, singular > 1e-10 * singular[0]]
