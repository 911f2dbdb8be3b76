"""Residuals at the size that errors have: what multipliers act on.

Fitting pulls residuals towards zero, most where the leverage is high. With s_i^2 the share of the
variance of residual i that fitting leaves when the working variances are right, h_i = 1 - s_i^2 is
its leverage and

    HC2            r_i = psi_i / s_i
    HC4            r_i = psi_i / s_i^delta_i,  delta_i = min(4, h_i / h),  h the mean leverage
    HC4-relative   r_i = psi_i / (s (s_i / s)^delta_i),  s^2 = 1 - h

HC4 (Cribari-Neto 2004) also undoes what a variance that is large at leverage points does. Its power
of s_i does not average to one where h is not small: with 50 regressors and 200 rows the law is then
centred a quarter of a standard deviation too low. The relative form agrees with HC4 as h goes to
zero, and with HC2 where all leverages are equal.

The rows of a cluster share a multiplier, so that s_i^2 becomes the block A of the cluster,
V^-1/2 (M V M') V^-1/2, and the power is that of a symmetric matrix, eigenvalue by eigenvalue.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from kcm.moments.fitted import FittedMoment

__all__ = [
    "CORRECTIONS",
    "SMALLEST_SCALE",
    "Correction",
    "Scaled",
    "corrected_scale",
    "gain_of",
    "scaled_influence",
    "scaled_moment",
    "scaled_residuals",
]

Correction = Literal["HC4-relative", "HC4", "HC2"]
CORRECTIONS = get_args(Correction)

# A residual whose leverage is one is zero by construction; below this its scale means nothing.
SMALLEST_SCALE = 1e-5
# Largest power of s_i (Cribari-Neto 2004).
LARGEST_POWER = 4.0
# A leverage below this is rounding.
NO_LEVERAGE = 1e-10


class Scaled(NamedTuple):
    """Scaled residuals r, and the influence l of each row recomputed from them."""

    residuals: Float[np.ndarray, "n q"]
    influence: Float[np.ndarray, "n p"]


def corrected_scale(
    squared: Float[np.ndarray, "..."], correction: Correction = "HC4-relative"
) -> Float[np.ndarray, "..."]:
    """Return what residuals are divided by, from s^2; 1 where the leverage is one."""
    kept = np.sqrt(np.maximum(squared, 0.0)) >= SMALLEST_SCALE
    return np.where(kept, _powers(squared, kept, correction), 1.0)


def _powers(
    squared: Float[np.ndarray, "..."], kept: Bool[np.ndarray, "..."], correction: Correction
) -> Float[np.ndarray, "..."]:
    """Return s^delta, or s_mean (s / s_mean)^delta, of squared shares, column by column."""
    scale = np.sqrt(np.where(kept, squared, 1.0))
    leverage = np.where(kept, 1.0 - squared, 0.0)
    mean = leverage.sum(axis=0) / np.maximum(kept.sum(axis=0), 1)
    usual = (mean > 0) & (mean < 1)
    if correction == "HC2" or not usual.any():
        return scale
    mean = np.where(usual, mean, 0.5)
    power = np.clip(leverage / mean, 0.0, LARGEST_POWER)
    unit = np.sqrt(1.0 - mean) if correction == "HC4-relative" else np.ones_like(mean)
    return np.where(usual, unit * (scale / unit) ** power, scale)


def scaled_residuals(moment: FittedMoment) -> Float[np.ndarray, "n q"]:
    """psi_i / scale_i, the residuals that independent multipliers act on."""
    return moment.residuals if moment.scale is None else moment.residuals / moment.scale


def scaled_influence(moment: FittedMoment) -> Float[np.ndarray, "n p"]:
    """The influence recomputed from the scaled residuals, summed over components."""
    if moment.influence is None:
        return np.zeros((moment.n_obs, 0))
    if moment.scale is None:
        return moment.influence.sum(axis=1)
    return (moment.influence / moment.scale[:, :, None]).sum(axis=1)


def scaled_moment(moment: FittedMoment, codes: Int[np.ndarray, " n"] | None = None) -> Scaled:
    """Return r and l for one multiplier per row, or per cluster of rows.

    A moment without `scale` is taken as it is.
    """
    independent = codes is None or int(codes.max()) + 1 == len(codes)
    if independent or moment.scale is None or moment.jacobian is None or moment.influence is None:
        return Scaled(scaled_residuals(moment), scaled_influence(moment))
    assigned = codes if codes is not None else np.arange(moment.n_obs)
    residuals = _cluster_residuals(moment, moment.jacobian, assigned)
    change = np.einsum("icp,ic->ip", gain_of(moment), residuals - moment.residuals)
    return Scaled(residuals, _total_influence(moment) + change)


def _total_influence(moment: FittedMoment) -> Float[np.ndarray, "n p"]:
    if moment.influence is None:
        return np.zeros((moment.n_obs, 0))
    return moment.influence.sum(axis=1)


def gain_of(moment: FittedMoment) -> Float[np.ndarray, "n q p"]:
    """Return L, the influence per unit of residual; l / psi where the moment does not bring it.

    The latter is zero where psi is.
    """
    n, q = moment.residuals.shape
    if moment.influence is None:
        return np.zeros((n, q, 0))
    if moment.gain is not None:
        return moment.gain
    psi = np.broadcast_to(moment.residuals[:, :, None], (n, q, moment.influence.shape[2]))
    influence = np.broadcast_to(moment.influence, psi.shape)
    return np.divide(influence, psi, out=np.zeros_like(influence), where=psi != 0)


def _cluster_residuals(
    moment: FittedMoment, jacobian: Float[np.ndarray, "n q p"], codes: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "n q"]:
    """Return A^(-delta/2) psi, block by block, in units of the working standard deviations.

    A = I + Z W Z' with Z = [V^-1/2 S, V^1/2 L] and W = [[C, I/n], [I/n, 0]],
    C = n^-2 sum_j L_j V_j L_j', has at most 2 p eigenvalues other than one.
    """
    n, q, p = jacobian.shape
    gain = gain_of(moment)
    sd = np.ones((n, q)) if moment.variance is None else np.sqrt(moment.variance)
    inverse = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0)
    weighted = gain * sd[:, :, None]
    spread = np.einsum("icp,icr->pr", weighted, weighted) / n**2
    middle = np.block([[spread, np.eye(p) / n], [np.eye(p) / n, np.zeros((p, p))]])
    sides = np.concatenate([jacobian * inverse[:, :, None], weighted], axis=2)
    order = np.argsort(codes, kind="stable")
    blocks = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    found = [_leverages(sides[rows].reshape(len(rows) * q, 2 * p), middle) for rows in blocks]
    factors = 1.0 / corrected_scale(np.concatenate([squared for squared, _ in found]))
    ends = np.cumsum([len(squared) for squared, _ in found])[:-1]
    standard, scaled = moment.residuals * inverse, np.empty((n, q))
    for rows, (_, basis), powers in zip(blocks, found, np.split(factors, ends), strict=True):
        block = standard[rows].ravel()
        # directions without leverage stay as they are
        block = block + basis @ ((powers - 1.0) * (basis.T @ block))
        scaled[rows] = block.reshape(len(rows), q)
    return np.where(sd > 0, scaled * sd, moment.residuals)


def _leverages(
    sides: Float[np.ndarray, "m k"], middle: Float[np.ndarray, "k k"]
) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, "m r"]]:
    """Return the eigenvalues of I + Z W Z' that differ from one, with their vectors."""
    basis, triangle = np.linalg.qr(sides)
    change, vectors = np.linalg.eigh(triangle @ middle @ triangle.T)
    moved = np.abs(change) > NO_LEVERAGE
    return 1.0 + change[moved], basis @ vectors[:, moved]
