"""What is simulated: a moment, its kernels and its law, on as many rows as time allows."""

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from jaxtyping import Float, Int

from kcm.exceptions import OptionError
from kcm.kernels import Kernel
from kcm.moments import CORRECTIONS, Correction, FittedMoment, gain_of, leverage_scale, take_rows
from kcm.specification.combination import Settings

__all__ = ["Subject", "correction_of", "few_rows", "on_rows", "with_gain"]

# Rows of a simulated sample: each of its laws takes the eigenvalues of a matrix of this size, or of
# one row per cluster.
MOST_ROWS = 500
MOST_CLUSTERED_ROWS = 1_000
# Scales that agree to this are the same.
SAME = 1e-8


@final
@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What a test was run on, and how.

    Attributes
    ----------
    moment : FittedMoment
    kernels : tuple of Kernel
        Resolved.
    settings : Settings
    codes : ndarray of int, shape (n,), or None
        Cluster numbers.
    """

    moment: FittedMoment
    kernels: tuple[Kernel, ...]
    settings: Settings
    codes: Int[np.ndarray, " n"] | None


def with_gain(moment: FittedMoment) -> FittedMoment:
    """Return the moment with its gain, from which the influence of other errors follows.

    Raises
    ------
    OptionError
        When theta is from another sample, or the influence is in total for several components,
        which no gain can be told from.
    """
    if moment.from_another_sample:
        raise OptionError(
            "`size_check` simulates the rows that theta was estimated from, and this theta is from "
            "another sample. Check the test of the fit on its own rows."
        )
    if moment.influence is None or moment.gain is not None:
        return moment
    if moment.influence.shape[1] != moment.n_components:
        raise OptionError(
            "`size_check` needs the influence of other residuals than those of the sample, and "
            f"`influence` is in total for {moment.n_components} components; pass `gain` to the "
            "FittedMoment, or `influence` split by component, shape (n, q, p)."
        )
    return replace(moment, gain=gain_of(moment))


def few_rows(subject: Subject, rng: np.random.Generator) -> Int[np.ndarray, " m"]:
    """Return a random part of the rows, of whole clusters; all of them where they are few."""
    n = subject.moment.n_obs
    if subject.codes is None:
        return np.sort(rng.permutation(n)[:MOST_ROWS])
    return _whole_clusters(subject.codes, rng)


def on_rows(subject: Subject, rows: Int[np.ndarray, " m"]) -> Subject:
    """Return the subject on some of its rows; itself on all of them."""
    if len(rows) == subject.moment.n_obs:
        return subject
    codes = (
        None if subject.codes is None else np.unique(subject.codes[rows], return_inverse=True)[1]
    )
    return replace(subject, moment=_rows_of(subject.moment, rows), codes=codes)


def _whole_clusters(
    codes: Int[np.ndarray, " n"], rng: np.random.Generator
) -> Int[np.ndarray, " m"]:
    sizes = np.bincount(codes)
    order = rng.permutation(len(sizes))
    few = np.cumsum(sizes[order]) <= MOST_CLUSTERED_ROWS
    # the null law needs three clusters, whatever their sizes
    few[:3] = True
    few &= np.arange(len(sizes)) < MOST_ROWS
    return np.flatnonzero(np.isin(codes, order[few]))


def _rows_of(moment: FittedMoment, rows: Int[np.ndarray, " m"]) -> FittedMoment:
    """Return some rows, gain and scale as the estimator would have them on these alone."""
    part = replace(
        moment,
        residuals=moment.residuals[rows],
        conditioning=moment.conditioning[rows],
        jacobian=_taken(moment.jacobian, rows),
        influence=_taken(moment.influence, rows),
        scale=_taken(moment.scale, rows),
        gain=_taken(moment.gain, rows),
        variance=_taken(moment.variance, rows),
        index=_taken(moment.index, rows),
        outcomes=take_rows(moment.outcomes, rows),
    )
    if part.jacobian is None or part.gain is None:
        return part
    # the mean of L S' is minus the identity in the sample that theta is estimated from
    bread = np.einsum("icp,icr->pr", part.jacobian, part.gain) / len(rows)
    gain = -part.gain @ np.linalg.pinv(bread)
    correction = correction_of(moment)
    scale = part.scale
    if correction is not None:
        scale = leverage_scale(part.jacobian, gain, part.variance, correction=correction)
    influence = gain * part.residuals[:, :, None]
    return replace(part, gain=gain, influence=influence, scale=scale)


def _taken(
    values: Float[np.ndarray, "n ..."] | None, rows: Int[np.ndarray, " m"]
) -> Float[np.ndarray, "m ..."] | None:
    return None if values is None else values[rows]


def correction_of(moment: FittedMoment) -> Correction | None:
    """Return the correction that the scale of a moment was made with; None for any other scale."""
    if moment.scale is None or moment.jacobian is None:
        return None
    for correction in CORRECTIONS:
        scale = leverage_scale(
            moment.jacobian, gain_of(moment), moment.variance, correction=correction
        )
        if np.allclose(scale, moment.scale, rtol=SAME):
            found: Correction = correction
            return found
    return None
