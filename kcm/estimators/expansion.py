"""The first-order expansion of a minimum-distance estimate: step, gain, influence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from kcm._options import listed
from kcm.estimators.weighting import Weight, inner_products
from kcm.exceptions import DataError, IdentificationError
from kcm.moments import MomentValues

__all__ = ["Expansion", "expand"]

# Singular values below this share of the largest are zero up to rounding.
COLLINEAR = 1e-10
# The same for W, which is quadratic in the features.
UNSEEN = 1e-13
# A parameter takes part in a direction when its share is at least this part of the largest.
INVOLVED = 1e-3


@final
@dataclass(frozen=True, slots=True, eq=False)
class Expansion:
    r"""The objective psi'W psi around one theta, to first order in psi.

    Parameters
    ----------
    step : ndarray of shape (p,)
        The Gauss-Newton step -(S'WS)^{-1} S'W psi.
    gradient : ndarray of shape (p,)
        2 S'W psi / n^2.
    inverse : ndarray of shape (p, p)
        n^2 (S'WS)^{-1} = A^{-1}.
    gain : ndarray of shape (n, q, p)
        L_i = -A^{-1} (n^{-1} sum_j S_j'W_ji), the influence per unit of residual.
    objective : float
        psi'W psi / n^2.
    """

    step: Float[np.ndarray, " p"]
    gradient: Float[np.ndarray, " p"]
    inverse: Float[np.ndarray, "p p"]
    gain: Float[np.ndarray, "n q p"]
    objective: float

    def influence(self, residuals: Float[np.ndarray, "n q"]) -> Float[np.ndarray, "n p"]:
        """Return l_i, summed over components."""
        return np.asarray(np.einsum("icp,ic->ip", self.gain, residuals))


def expand(values: MomentValues, weight: Weight, labels: Sequence[str]) -> Expansion:
    """Expand the objective at the theta where `values` were evaluated.

    Parameters
    ----------
    values : MomentValues
    weight : Weight
    labels : sequence of str
        Names of the p parameters.

    Returns
    -------
    Expansion

    Raises
    ------
    IdentificationError
        When S'WS is singular; it names the parameters that are involved.

    Notes
    -----
    Works in an orthogonal basis of the columns of S, so that neither the units of the parameters
    nor the collinearity of their derivatives costs digits in S'WS.
    """
    psi, n = values.residuals[:, :, None], len(values.residuals)
    basis, back = _basis(values.jacobian, labels)
    with np.errstate(over="ignore", invalid="ignore"):
        weighted = weight.apply(np.concatenate([basis, psi], axis=2))
        objective = float(np.sum(psi * weighted[:, :, -1:]) / n**2)
    if not np.isfinite(objective):
        raise DataError("the residuals are too large to be squared; divide them by a constant.")
    seen = inner_products(basis, weighted[:, :, :-1])
    slope = inner_products(basis, weighted[:, :, -1:])[:, 0]
    inverse = _inverse((seen + seen.T) / 2, back, labels)
    return Expansion(
        step=-back @ (inverse @ slope),
        gradient=2 * np.linalg.solve(back.T, slope) / n**2,
        inverse=n**2 * back @ inverse @ back.T,
        gain=-n * weighted[:, :, :-1] @ (inverse @ back.T),
        objective=objective,
    )


def _basis(
    jacobian: Float[np.ndarray, "n q p"], labels: Sequence[str]
) -> tuple[Float[np.ndarray, "n q p"], Float[np.ndarray, "p p"]]:
    """Return U and T with U = S T orthonormal."""
    n, q, p = jacobian.shape
    if not p:
        return jacobian, np.zeros((0, 0))
    flat = jacobian.reshape(n * q, p)
    size = np.linalg.norm(flat, axis=0)
    if not size.all():
        idle = [label for label, moved in zip(labels, size, strict=True) if not moved]
        raise _not_identified("the residual does not change with", idle)
    left, singular, right = np.linalg.svd(flat / size, full_matrices=False)
    if len(singular) < p or singular[-1] < COLLINEAR * singular[0]:
        names = _involved(right[-1] / size, size, labels)
        raise _not_identified("the residual's derivatives are collinear in", names)
    return left.reshape(n, q, p), (right.T / singular) / size[:, None]


def _inverse(
    seen: Float[np.ndarray, "p p"], back: Float[np.ndarray, "p p"], labels: Sequence[str]
) -> Float[np.ndarray, "p p"]:
    if not len(seen):
        return seen
    values, vectors = np.linalg.eigh(seen)
    if not values[0] > UNSEEN * max(values[-1], 0.0):
        direction = back @ vectors[:, 0]
        size = 1 / np.linalg.norm(back, axis=1)
        raise _not_identified(
            "the conditioning variables do not tell apart", _involved(direction, size, labels)
        )
    return (vectors / values) @ vectors.T


def _involved(
    direction: Float[np.ndarray, " p"], size: Float[np.ndarray, " p"], labels: Sequence[str]
) -> list[str]:
    share = np.abs(direction * size)
    return [label for label, s in zip(labels, share, strict=True) if s >= INVOLVED * share.max()]


def _not_identified(what: str, names: Sequence[str]) -> IdentificationError:
    return IdentificationError(
        f"the parameters are not identified: {what} {listed(names)}. Leave out parameters, or "
        "condition on more variables (or with a kernel that sees more of them)."
    )
