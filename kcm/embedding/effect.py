"""The normalised maximum moment restriction."""

import numpy as np
from jaxtyping import Float, Int

from kcm.embedding.estimate import NormEstimate
from kcm.embedding.projections import Projections, standard_error, total_influence
from kcm.gram import diagonal
from kcm.kernels import Kernel, check_definite
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
    slope = _slope(moment, own)
    moved = energy - size + (0.0 if moment.from_another_sample else total_influence(moment) @ slope)
    errors = (2 * found.errors - ratio * moved) / size
    by_theta = (2 * found.slopes.mean(axis=0) - ratio * slope) / size
    # the growth of the error is not that of M^2: where it is .85, simulated, this one is .50
    error = found.with_theta(standard_error(errors, codes), by_theta)
    return NormEstimate(ratio, error, norm.uncorrected / size)


def _slope(moment: FittedMoment, own: Float[np.ndarray, " n"]) -> Float[np.ndarray, " p"]:
    """Return the derivative of E[psi'psi k(X, X)] in theta."""
    if moment.jacobian is None:
        return np.zeros(0)
    weighted = own[:, None] * moment.residuals
    return np.asarray(2 * np.einsum("iqp,iq->p", moment.jacobian, weighted) / moment.n_obs)
