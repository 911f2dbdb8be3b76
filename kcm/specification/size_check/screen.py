"""Which samples can be rejected at all: most statistics lie so near their mean that none can."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from kcm.exceptions import KCMError
from kcm.gram import HeldGram
from kcm.moments import FittedMoment, TwoStages, gain_of
from kcm.null import StudentizedNormal
from kcm.specification.size_check.subject import Subject
from kcm.statistic import Contraction, StatisticName, contract, form_matrix, largest_shift

__all__ = ["may_reject", "scores", "scores_one_by_one"]

# So many standard deviations above its mean a statistic has a p-value of at least twice the level:
# at 1.2 it is .115 for a normal law and .10 for a chi-square one, between which the laws of kernels
# lie, at 0.8 it is .21 and .14.
NEAR_MEAN = ((0.05, 1.2), (0.10, 0.8))


def may_reject(
    subject: Subject, moments: Sequence[FittedMoment], grams: Sequence[HeldGram], level: float
) -> Bool[np.ndarray, " r"]:
    """Return for which samples the p-value can be below the level.

    The others need no eigenvalues.
    """
    limit = next((most for highest, most in NEAR_MEAN if level <= highest), -math.inf)
    if not _has_score(subject) or limit < 0:
        return np.ones(len(moments), dtype=bool)
    shared = subject.moment.n_components == 1 and not isinstance(subject.moment.outcomes, TwoStages)
    found = scores if shared else scores_one_by_one
    try:
        largest = np.max([found(moments, g, subject.settings.statistic) for g in grams], axis=0)
    except KCMError:  # of a sample without a law, which is counted where it is tested
        return np.ones(len(moments), dtype=bool)
    return np.asarray(largest > limit)


def _has_score(subject: Subject) -> bool:
    """Tell whether the law has the mean and the variance of the form of single rows."""
    return subject.codes is None and not isinstance(subject.settings.null, StudentizedNormal)


def scores(
    moments: Sequence[FittedMoment], gram: HeldGram, statistic: StatisticName
) -> Float[np.ndarray, " r"]:
    """Return statistics less the means of their laws, over the standard deviations.

    For one component, and samples that share S, L and the scale: with P = M'K_0 M and Q = M'M the
    entries of the form are r_i (P - c Q)_ij r_j, and c = sum P_ij Q_ij r_i^2 r_j^2 over
    sum Q_ij^2 r_i^2 r_j^2, i != j, at most `largest_shift`.

    Parameters
    ----------
    moments : sequence of FittedMoment
    gram : HeldGram
    statistic : {"U", "V"}
    """
    n, kernel, diagonal = len(gram.points), gram.values.copy(), gram.diagonal()
    removed = diagonal if statistic == "U" else np.zeros(n)
    kernel -= np.diag(removed)
    projected, identity = (_projected(moments[0], values) for values in (kernel, np.eye(n)))
    psi = np.stack([moment.residuals[:, 0] for moment in moments], axis=1)
    scale = moments[0].scale
    r2 = (psi if scale is None else psi / scale) ** 2
    both, own, other = (
        _squares(a * b, r2)
        for a, b in ((projected, projected), (projected, identity), (identity, identity))
    )
    shift = np.divide(own, other, out=np.zeros_like(own), where=other > np.finfo(float).tiny)
    shift = np.minimum(shift, largest_shift(gram.kernel, diagonal, removed))
    distance = np.sum(psi * (kernel @ psi), axis=0) - np.diag(projected) @ r2
    distance -= shift * (np.sum(psi**2, axis=0) - np.diag(identity) @ r2)
    variance = 2 * (both - 2 * shift * own + shift**2 * other)
    return np.where(variance > 0, distance / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.0)


def _projected(moment: FittedMoment, kernel: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Return M'KM, its last term of order 1/n^2 included."""
    if moment.jacobian is None:
        return kernel
    n, slopes, gain = moment.n_obs, moment.jacobian[:, 0], gain_of(moment)[:, 0]
    smoothed = kernel @ slopes
    moved = (smoothed / n + gain @ (slopes.T @ smoothed) / (2 * n**2)) @ gain.T
    return kernel + moved + moved.T


def _squares(
    products: Float[np.ndarray, "n n"], r2: Float[np.ndarray, "n r"]
) -> Float[np.ndarray, " r"]:
    """Return sum_{i != j} r_i^2 products_ij r_j^2, for each column."""
    return np.sum(r2 * (products @ r2), axis=0) - np.diag(products) @ r2**2


def scores_one_by_one(
    moments: Sequence[FittedMoment], gram: HeldGram, statistic: StatisticName
) -> Float[np.ndarray, " r"]:
    """Return the same from the form of each sample, whatever they share.

    Parameters
    ----------
    moments : sequence of FittedMoment
    gram : HeldGram
    statistic : {"U", "V"}
    """
    return np.array([_score(contract(moment, gram, statistic)) for moment in moments])


def _score(contraction: Contraction) -> float:
    form = form_matrix(contraction, np.arange(contraction.n_obs))
    squares = float(np.sum(form**2) - np.sum(np.diag(form) ** 2))
    distance = contraction.statistic - contraction.offset - float(np.trace(form))
    return distance / math.sqrt(2 * squares) if squares > 0 else 0.0
