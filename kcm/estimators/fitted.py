"""The seam: from the minimum of an objective to a `kcm.FittedMoment`."""

import numpy as np
from jaxtyping import Float, Int

from kcm.estimators.search import Minimum, fits_exactly
from kcm.moments import BoundMoment, FittedMoment, MomentLabels, leverage_scale

__all__ = ["covariance", "known_moment", "moment_at"]


def moment_at(bound: BoundMoment, minimum: Minimum, how: str) -> FittedMoment:
    """Return the moment at a minimum, with the influence of the parameters that are free.

    Parameters
    ----------
    bound : BoundMoment
    minimum : Minimum
    how : str
        How theta was estimated, in words.

    Returns
    -------
    FittedMoment
    """
    residuals, gain = minimum.values.residuals, minimum.expansion.gain
    if fits_exactly(minimum.values, minimum.theta):
        # rounding errors, not data: a test must see that there is nothing to test
        residuals = np.zeros_like(residuals)
    if not minimum.free.any():
        return known_moment(bound, residuals, f"at its bounds ({how})")
    jacobian = minimum.values.jacobian[:, :, minimum.free]
    return FittedMoment(
        residuals,
        bound.conditioning,
        jacobian,
        gain * residuals[:, :, None],
        leverage_scale(jacobian, gain),
        MomentLabels(bound.name, bound.conditioning_names, f"estimated: {how}", bound.n_dropped),
        gain,
        index=bound.prediction(residuals),
    )


def known_moment(
    bound: BoundMoment, residuals: Float[np.ndarray, "n q"], theta: str
) -> FittedMoment:
    """Return the moment at a theta that is not estimated.

    Parameters
    ----------
    bound : BoundMoment
    residuals : ndarray of shape (n, q)
    theta : str
        Where theta comes from, in words.

    Returns
    -------
    FittedMoment
    """
    labels = MomentLabels(bound.name, bound.conditioning_names, theta, bound.n_dropped)
    index = bound.prediction(residuals)
    return FittedMoment(residuals, bound.conditioning, labels=labels, index=index)


def covariance(
    influence: Float[np.ndarray, "n p"], groups: Int[np.ndarray, " n"] | None
) -> Float[np.ndarray, "p p"]:
    """Return n^-2 sum l l' over observations, or over the sums of l within clusters.

    Parameters
    ----------
    influence : ndarray of shape (n, p)
    groups : ndarray of int, shape (n,), or None

    Returns
    -------
    ndarray of shape (p, p)

    Examples
    --------
    >>> covariance(np.array([[1.0], [-1.0], [1.0]]), None).round(4)
    array([[0.3333]])
    """
    sums = influence
    if groups is not None:
        sums = np.zeros((groups.max() + 1, influence.shape[1]))
        np.add.at(sums, groups, influence)
    return np.asarray(sums.T @ sums / len(influence) ** 2)
