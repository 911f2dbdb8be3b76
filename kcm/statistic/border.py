"""The border of the multiplier form where theta was estimated on another sample.

The residuals at theta_hat are psi_i + S_i (theta_hat - theta), and with theta from other rows its
error is independent of theirs: normal, with the covariance V = R'R that its own sample tells. A
draw of the residuals is then v = w o r + S R'z, z standard normal, and one of the statistic is

    (w, z)' [[B, C], [C', A]] (w, z),    B = f K_0 o (r r'),
    C = f sum_c diag(r_c) K_0 S_c R',    A = f sum_c R S_c'K_0 S_c R'.

z is normal whatever the multipliers of the rows are, so that the diagonal of A has a law, and that
of B has none.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

__all__ = [
    "Border",
    "border",
    "border_draws",
    "bordered",
    "covariance_root",
    "empty_border",
]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Border:
    """What the error of theta adds to the form; without columns where it adds nothing.

    Attributes
    ----------
    root : ndarray of shape (k, p)
        R with R'R the covariance of theta.
    cross : ndarray of shape (n, k)
        C, a row per observation.
    corner : ndarray of shape (k, k)
        A.
    """

    root: Float[np.ndarray, "k p"]
    cross: Float[np.ndarray, "n k"]
    corner: Float[np.ndarray, "k k"]

    @property
    def n_columns(self) -> int:
        """Number of normal multipliers k."""
        return len(self.corner)

    def summed(self, codes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "m k"]:
        """Return C with its rows added up within clusters."""
        sums = [np.bincount(codes, column) for column in self.cross.T]
        return np.stack(sums, axis=1) if sums else np.zeros((int(codes.max()) + 1, 0))


def empty_border(n_obs: int) -> Border:
    """Return the border of a theta without an error of its own."""
    return Border(np.zeros((0, 0)), np.zeros((n_obs, 0)), np.zeros((0, 0)))


def border(
    covariance: Float[np.ndarray, "p p"],
    residuals: Float[np.ndarray, "n q"],
    jacobian: Float[np.ndarray, "n q p"],
    smoothed: Float[np.ndarray, "n q p"],
    factor: float,
) -> Border:
    """Return the border from V, r, S, K_0 S and f.

    Parameters
    ----------
    covariance : ndarray of shape (p, p)
    residuals : ndarray of shape (n, q)
    jacobian, smoothed : ndarray of shape (n, q, p)
    factor : float
    """
    n, q, p = jacobian.shape
    root = covariance_root(covariance)
    curvature = jacobian.reshape(n * q, p).T @ smoothed.reshape(n * q, p)
    corner = factor * root @ ((curvature + curvature.T) / 2) @ root.T
    cross = factor * np.einsum("ic,icp->ip", residuals, smoothed) @ root.T
    return Border(root, cross, corner)


def covariance_root(covariance: Float[np.ndarray, "p p"]) -> Float[np.ndarray, "p p"]:
    """Return R with R'R the matrix, whose rows may differ in size.

    It is the symmetric root of the correlations, times the sizes: eigenvectors alone have no
    sign, so that rounding of the matrix would decide on draws.
    """
    sizes = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    sizes = np.where(sizes > 0, sizes, 1.0)
    values, vectors = np.linalg.eigh(covariance / sizes / sizes[:, None])
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return np.asarray(root * sizes)


def bordered(
    form: Float[np.ndarray, "m m"], edge: Border, codes: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "l l"]:
    """Return [[B, C], [C', A]], B with a row per cluster; B itself where the border is empty."""
    if edge.n_columns == 0:
        return form
    cross = edge.summed(codes)
    return np.block([[form, cross], [cross.T, edge.corner]])


def border_draws(
    edge: Border,
    codes: Int[np.ndarray, " n"],
    multipliers: Float[np.ndarray, "b m"],
    normal: Float[np.ndarray, "b k"],
) -> Float[np.ndarray, " b"]:
    """Return 2 w'C z + z'A z for each row of `multipliers` and `normal`."""
    pulled = 2 * multipliers @ edge.summed(codes) + normal @ edge.corner
    return np.sum(pulled * normal, axis=1)
