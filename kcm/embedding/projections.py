"""What each observation adds to the squared norm, and to its error."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from kcm.embedding.estimate import NormEstimate
from kcm.exceptions import SaturatedModelError
from kcm.gram import Execution, TiledGram
from kcm.kernels import Kernel
from kcm.moments import FittedMoment
from kcm.statistic import Contraction, contract, form_sums

__all__ = ["Projections", "cluster_sums", "projections", "standard_error", "total_influence"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Projections:
    r"""The U statistic of the squared norm, observation by observation.

    Attributes
    ----------
    terms : ndarray of shape (n,)
        psi_i' mu_(-i)(x_i), with mu_(-i) the witness without observation i; their mean is M^2_U.
    errors : ndarray of shape (n,)
        h_i = psi_i' mu_(-i)(x_i) + l_i' c with c = n^-1 sum_j S_j' mu_(-j)(x_j), centred: the
        Hajek projection, sqrt(n) (M^2_U - M^2) = 2 n^(-1/2) sum_i h_i + o_p(1).
    bias : ndarray of shape (n,)
        What each term of n M^2_U is too large by because theta was estimated; the sum is tr B.
    slopes : ndarray of shape (n, p)
        S_i' mu_(-i)(x_i), whose mean is c.
    root : ndarray of shape (k, p)
        R with R'R the covariance of a theta from another sample, whose error adds c'R'R c to the
        variance; no rows where theta was estimated here or is known.
    """

    terms: Float[np.ndarray, " n"]
    errors: Float[np.ndarray, " n"]
    bias: Float[np.ndarray, " n"]
    slopes: Float[np.ndarray, "n p"]
    root: Float[np.ndarray, "k p"]

    def norm(self, codes: Int[np.ndarray, " n"]) -> NormEstimate:
        """Return the estimate of the squared norm; the rows of a cluster are dependent."""
        uncorrected = float(self.terms.mean())
        value = uncorrected - float(self.bias.mean())
        own = standard_error(self.errors, codes)
        return NormEstimate(value, 2 * self.with_theta(own, self.slopes.mean(axis=0)), uncorrected)

    def with_theta(self, error: float, slope: Float[np.ndarray, " p"]) -> float:
        """Add the error of a theta from another sample to a standard error; `slope` is in theta."""
        return float(np.hypot(error, np.linalg.norm(self.root @ slope)))


def projections(
    moment: FittedMoment, kernel: Kernel, codes: Int[np.ndarray, " n"], execution: Execution
) -> Projections:
    """Find the terms, the projection and the bias in one pass over the pairs.

    Parameters
    ----------
    moment : FittedMoment
    kernel : Kernel
        Resolved.
    codes : ndarray of int, shape (n,)
        Cluster numbers; tells dependent rows.
    execution : Execution
    """
    n, q = moment.residuals.shape
    gram = TiledGram(kernel, moment.conditioning, execution)
    jacobian = np.zeros((n, q, 0)) if moment.jacobian is None else moment.jacobian
    columns = np.hstack([moment.residuals, jacobian.reshape(n, -1)])
    smoothed = gram.product(columns) - gram.diagonal()[:, None] * columns
    witness = smoothed[:, :q] / (n - 1)
    terms = np.sum(moment.residuals * witness, axis=1)
    slopes = np.einsum("iqp,iq->ip", jacobian, witness)
    errors, root = terms.copy(), np.zeros((0, slopes.shape[1]))
    if not moment.from_another_sample:
        errors += total_influence(moment) @ slopes.mean(axis=0)
    try:
        form = contract(moment, gram, "U", codes)
    except SaturatedModelError:  # residuals of which the kernel sees rounding only have no bias
        return Projections(terms, errors - errors.mean(), np.zeros(n), slopes, root)
    if moment.from_another_sample:
        root = form.border.root
    return Projections(terms, errors - errors.mean(), _bias(form, codes), slopes, root)


def total_influence(moment: FittedMoment) -> Float[np.ndarray, "n p"]:
    """Return the influence summed over components; no columns where theta is not from here."""
    if moment.influence is None:
        return np.zeros((moment.n_obs, 0))
    return moment.influence.sum(axis=1)


def _bias(contraction: Contraction, codes: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return the mean of the law by rows: the diagonal of B, and e by squared residuals.

    The diagonal of a cluster goes to its rows in equal parts, and that of a border to all rows.
    """
    c = contraction
    squares = np.sum(c.moment.residuals**2, axis=1)
    if len(np.unique(codes)) < c.n_obs:
        diagonal = (form_sums(c, codes).diagonal / np.bincount(codes))[codes]
    else:
        kept = (c.gram.diagonal() - c.removed) * np.sum(c.scaled_residuals**2, axis=1)
        diagonal = c.factor * (kept + 2 * np.sum(c.projection * c.scaled_influence, axis=1))
    beside = float(np.trace(c.border.corner)) / c.n_obs
    return diagonal + beside + c.shift.value * c.factor * squares


def standard_error(errors: Float[np.ndarray, " n"], codes: Int[np.ndarray, " n"]) -> float:
    """Return the standard error of the mean of centred errors, independent between clusters."""
    sums = cluster_sums(errors, codes)
    m = len(sums)
    return float(np.sqrt(m / (m - 1) * np.sum(sums**2)) / len(errors))


def cluster_sums(
    errors: Float[np.ndarray, " n"], codes: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " m"]:
    """Return sums over the rows of each cluster."""
    return np.bincount(codes, errors)
