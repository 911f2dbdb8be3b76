"""Parameters in which the columns of the jacobian are orthogonal.

Residuals, draws and leverages depend on the jacobian S and the influence l by S l' alone: other
parameters A theta, with S A^-1 and l A', give the same ones. In raw powers of age, or beside a year
of 2020, the products of S and l are millions of times their sums, and take as many digits.
"""

import equinox as eqx
import numpy as np
from jaxtyping import Float

from kcm.moments.fitted import FittedMoment

__all__ = ["orthogonal_parameters", "well_conditioned"]

# Ratio of the singular values of the jacobian, each column in its own unit, up to which parameters
# are left as they are.
CONDITION = 1e3


def well_conditioned(moment: FittedMoment) -> FittedMoment:
    """Return the moment, in orthogonal parameters where its own are nearly collinear.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 4.0, 9.0])
    >>> year, psi = np.column_stack([np.ones(4), 1e6 + x]), np.array([1.0, -1.0, -1.0, 1.0])
    >>> moment = FittedMoment(psi, x, jacobian=-year, influence=np.ones((4, 2)))
    >>> inner = np.einsum("icp,icr->pr", *[well_conditioned(moment).jacobian] * 2)
    >>> inner.round(6).tolist()
    [[4.0, 0.0], [0.0, 4.0]]
    """
    if moment.jacobian is None or moment.influence is None:
        return moment
    both = orthogonal_parameters(moment.jacobian, moment.influence)
    if both is None:
        return moment
    jacobian, influence, onto = both
    gain = None if moment.gain is None else moment.gain @ onto
    changed: FittedMoment = eqx.tree_at(
        lambda m: (m.jacobian, m.influence, m.gain),
        moment,
        (jacobian, influence, gain),
        is_leaf=lambda leaf: leaf is None,
    )
    return changed


def orthogonal_parameters(
    jacobian: Float[np.ndarray, "n q p"], influence: Float[np.ndarray, "n m p"]
) -> tuple[Float[np.ndarray, "n q r"], Float[np.ndarray, "n m r"], Float[np.ndarray, "p r"]] | None:
    """Return S A^-1 and l A', columns orthogonal, and A'; None where S will do as it is.

    Directions in which S does not move the residuals are left out.
    """
    n, q, p = jacobian.shape
    rows = jacobian.reshape(n * q, p)
    size = np.abs(rows).max(axis=0, initial=0.0)
    size = np.where(size > 0, size, 1.0)
    orthogonal, triangle = np.linalg.qr(rows / size)
    left, values, right = np.linalg.svd(triangle, full_matrices=False)
    if not values.size or values[-1] * CONDITION >= values[0]:
        return None
    kept = values > values[0] * max(rows.shape) * np.finfo(float).eps
    onto = size[:, None] * right[kept].T * (values[kept] / np.sqrt(n))
    basis = np.sqrt(n) * (orthogonal @ left[:, kept])
    return basis.reshape(n, q, -1), influence @ onto, onto
