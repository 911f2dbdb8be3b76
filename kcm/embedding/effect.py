"""The normalised maximum moment restriction."""

import numpy as np
from jaxtyping import Float, Int

from kcm.embedding.estimate import NormEstimate
from kcm.embedding.projections import Projections, standard_error
from kcm.gram import diagonal
from kcm.kernels import Kernel
from kcm.kernels.base import check_definite
from kcm.moments import FittedMoment

__all__ = ["effect_size"]


def effect_size(
    moment: FittedMoment, kernel: Kernel, found: Projections, codes: Int[np.ndarray, " n"]
) -> NormEstimate:
    """Return M^2 / E[psi'psi k(X, X)], its error by the delta method."""
    check_definite(kernel, "an effect size")
    own = diagonal(kernel, moment.conditioning)
    energy = own * np.sum(moment.residuals**2, axis=1)
    size, norm = float(energy.mean()), found.norm(codes)
    ratio = norm.value / size
    moved = energy - size + _moved_by_theta(moment, own)
    errors = (2 * found.errors - ratio * moved) / size
    # the growth of the error is not that of M^2: where it is .85, simulated, this one is .50
    return NormEstimate(ratio, standard_error(errors, codes), norm.uncorrected / size)


def _moved_by_theta(moment: FittedMoment, own: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return l_i' times the derivative of E[psi'psi k(X, X)]."""
    if moment.jacobian is None or moment.influence is None:
        return np.zeros(moment.n_obs)
    weighted = own[:, None] * moment.residuals
    slope = 2 * np.einsum("iqp,iq->p", moment.jacobian, weighted) / moment.n_obs
    return np.asarray(moment.influence.sum(axis=1) @ slope)
