"""The covariance operator of the moments and how strongly its inverse is regularised."""

import numpy as np
from jaxtyping import Float, Int

from kcm.moments import MomentValues

__all__ = [
    "WEAKEST",
    "choose_regularization",
    "component_sizes",
    "moment_covariance",
    "moment_rows",
]

N_FOLDS = 5
# Candidates, as shares of the largest eigenvalue of the covariance operator.
SHARES = 10.0 ** -np.arange(0.0, 8.5, 0.5)
WEAKEST = float(SHARES[-1])
# The information that puts the losses of different parameters in one unit is found with this one.
UNIT_SHARE = 1e-3


def component_sizes(residuals: Float[np.ndarray, "n q"]) -> Float[np.ndarray, " q"]:
    """Return the root mean square of each component; 1 for one that is zero."""
    size = np.sqrt(np.mean(residuals**2, axis=0))
    return np.where(size > 0, size, 1.0)


def moment_rows(
    residuals: Float[np.ndarray, "n q"], factor: Float[np.ndarray, "n r"]
) -> Float[np.ndarray, "n k"]:
    """Return g_i = psi_i (x) f_i, the components one after the other."""
    return (residuals[:, :, None] * factor[:, None, :]).reshape(len(factor), -1)


def moment_covariance(rows: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "k k"]:
    """Return Omega, the mean of g_i g_i'."""
    return rows.T @ rows / len(rows)


def choose_regularization(
    values: MomentValues,
    factor: Float[np.ndarray, "n r"],
    conditioning: Float[np.ndarray, "n d"],
) -> float:
    r"""Choose a by five-fold cross-validation of the optimal instruments.

    The optimal instruments minimise :math:`E[(\psi'h)^2] - 2 E[S'h]`; in the features this is
    :math:`\beta'\Omega\beta - 2 B'\beta` with :math:`B = n^{-1}\sum_i S_i \otimes f_i`, and
    :math:`\beta = (\Omega + aI)^{-1}B`. The loss on the rows left out is summed over parameters
    in units of their information. The largest share a / (largest eigenvalue of Omega) whose loss
    is within half a standard error, over the folds, of the lowest is returned: standard errors
    that rest on a weaker regularisation are too small, on a stronger one too large.

    Parameters
    ----------
    values : MomentValues
        At a first estimate.
    factor : ndarray of shape (n, r)
    conditioning : ndarray of shape (n, d)
        The folds deal out the rows in the order of these values, and of the residuals where
        these are tied, so that the order of the data does not matter.

    Returns
    -------
    float
        One of 1, 10^-0.5, ..., 10^-8.
    """
    size = component_sizes(values.residuals)
    scaled = MomentValues(values.residuals / size, values.jacobian / size[:, None])
    rows = moment_rows(scaled.residuals, factor)
    fold = _folds(np.column_stack([conditioning, values.residuals]))
    losses = np.array([_losses(scaled, factor, rows, fold == k) for k in np.unique(fold)])
    return float(SHARES[_largest_near_best(losses)])


def _largest_near_best(losses: Float[np.ndarray, "f m"]) -> int:
    """Return the first share whose loss is within half a standard error of the lowest."""
    worse = losses - losses[:, [int(np.argmin(losses.mean(axis=0)))]]
    near = worse.mean(axis=0) <= 0.5 * worse.std(axis=0, ddof=1) / np.sqrt(len(losses))
    return int(np.argmax(near))


def _folds(keys: Float[np.ndarray, "n k"]) -> Int[np.ndarray, " n"]:
    """Deal out rows in the order of their first key, ties by the next ones."""
    fold = np.empty(len(keys), int)
    fold[np.lexsort(keys.T[::-1])] = np.arange(len(keys)) % N_FOLDS
    return fold


def _losses(
    values: MomentValues,
    factor: Float[np.ndarray, "n r"],
    rows: Float[np.ndarray, "n k"],
    out: np.ndarray,
) -> Float[np.ndarray, " m"]:
    """Loss of the instruments learned without some rows, on these rows, for every share."""
    eigenvalues, vectors = np.linalg.eigh(moment_covariance(rows[~out]))
    eigenvalues, largest = np.maximum(eigenvalues, 0), eigenvalues[-1]
    slope = vectors.T @ _mean_slopes(values.jacobian[~out], factor[~out])
    held_slope = vectors.T @ _mean_slopes(values.jacobian[out], factor[out])
    held = vectors.T @ moment_covariance(rows[out]) @ vectors

    def instruments(share: float) -> Float[np.ndarray, "k p"]:
        return slope / (eigenvalues + share * largest)[:, None]

    unit = np.linalg.pinv(slope.T @ instruments(UNIT_SHARE), hermitian=True)
    return np.array([_loss(instruments(share), held, held_slope, unit) for share in SHARES])


def _loss(
    beta: Float[np.ndarray, "k p"],
    omega: Float[np.ndarray, "k k"],
    slope: Float[np.ndarray, "k p"],
    unit: Float[np.ndarray, "p p"],
) -> float:
    return float(np.sum(unit * (beta.T @ omega @ beta - 2 * beta.T @ slope)))


def _mean_slopes(
    jacobian: Float[np.ndarray, "n q p"], factor: Float[np.ndarray, "n r"]
) -> Float[np.ndarray, "k p"]:
    """Return B, the mean of S_i (x) f_i."""
    n, q, p = jacobian.shape
    products = factor.T @ jacobian.reshape(n, q * p) / n
    return products.reshape(-1, q, p).transpose(1, 0, 2).reshape(-1, p)
