"""The squared norm, with how its standard error grows with it."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from kcm.embedding.estimate import NormEstimate
from kcm.embedding.projections import Projections, cluster_sums, total_influence
from kcm.gram import Execution, TiledGram
from kcm.kernels import Kernel
from kcm.moments import FittedMoment

__all__ = ["squared_norm"]


def squared_norm(
    moment: FittedMoment,
    kernel: Kernel,
    found: Projections,
    codes: Int[np.ndarray, " n"],
    execution: Execution,
) -> NormEstimate:
    """Return the estimate of M^2 with its growth, which takes a pass over the pairs.

    The growth is d log s / d log M^2 when observations get the weights 1 + t h_i: M^2 moves by
    2 s^2 and s^2 by E h^3 + 2 ||dmu||^2 + 4 E[h mu'S] dtheta. Clusters count as observations. All
    is in units of s, as the cube of a small h is no double.

    Parameters
    ----------
    moment : FittedMoment
    kernel : Kernel
        Resolved.
    found : Projections
    codes : ndarray of int, shape (n,)
        Cluster numbers; tells dependent rows.
    execution : Execution
    """
    sums = cluster_sums(found.errors, codes)
    units = len(sums) / len(codes) * sums
    size = float(np.sqrt(np.mean(units**2)))
    norm = found.norm(codes)
    # how the error grows is known where all of it comes from these rows
    if size == 0 or moment.from_another_sample:
        return norm
    along = units / size
    with execution.on_device():
        curvature = _curvature(moment, kernel, found, along[codes], execution)
    growth = norm.value / size * (float(np.mean(along**3)) + curvature / size) / 4
    return replace(norm, growth=growth)


def _curvature(
    moment: FittedMoment,
    kernel: Kernel,
    found: Projections,
    along: Float[np.ndarray, " n"],
    execution: Execution,
) -> float:
    """Return 2 ||dmu||^2 + 4 E[h mu'S] dtheta for weights 1 + t h."""
    n, gram = moment.n_obs, TiledGram(kernel, moment.conditioning, execution)
    theta = total_influence(moment).T @ along / n
    moved = along[:, None] * moment.residuals
    if moment.jacobian is not None:
        moved += moment.jacobian @ theta
    own = gram.diagonal() @ np.sum(moved**2, axis=1)
    square = (np.sum(gram.forms(moved, "double")) - own) / (n * (n - 1))
    return float(2 * square + 4 * theta @ (found.slopes.T @ along) / n)
