"""Draws of the statistic less its mean, over its standard deviation, both found anew in each.

With M the map from errors to fitted residuals, l_i = sum_c L_ic psi_ic the influence and
P = M' K_0 M the projected kernel,

    B_ij = f r_i' P_ij r_j,    P_ij,cd = K_0,ij [c = d] + D_ic'L_jd + L_ic'D_jd,
    D_ic = (K_0 S_c)_i / n + S'K_0 S L_ic / (2 n^2).

In a draw the fitted residuals are v = M (w o r), and r* = v / s takes the place of r in the mean
tr B and in the variance 2 sum_{i != j} B_ij^2. The latter is a contraction of products r*_ic r*_id
with products of entries of P: for one component of (r*)^2 with the elementwise square of P.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from kcm.exceptions import DataError, OptionError
from kcm.gram import Found, gram_block, pass_over_pairs
from kcm.moments import FittedMoment, gain_of
from kcm.statistic.contraction import Contraction
from kcm.statistic.low_rank import size_of
from kcm.statistic.spread import no_spread

__all__ = ["studentized_drawer"]

Draws = Callable[[Float[np.ndarray, "b n"]], Float[np.ndarray, " b"]]


@final
@dataclass(frozen=True, slots=True, eq=False)
class ProjectedKernel:
    """P, as what its tiles are made of.

    Attributes
    ----------
    contraction : Contraction
    scale : ndarray of shape (n, q)
        s.
    gain : ndarray of shape (n, q, p)
        L, the influence per unit of residual.
    moved : ndarray of shape (n, q, p)
        D.
    own : ndarray of shape (n, q, q)
        P_ii.
    unit : float
        Size of the residuals; squares of squares of residuals of 1e90 are no doubles.
    """

    contraction: Contraction
    scale: Float[np.ndarray, "n q"]
    gain: Float[np.ndarray, "n q p"]
    moved: Float[np.ndarray, "n q p"]
    own: Float[np.ndarray, "n q q"]
    unit: float


class FormMoments(NamedTuple):
    """v'K_0 v, and mean and standard deviation of the form, of each draw; in units of f unit^2."""

    value: Float[np.ndarray, " b"]
    mean: Float[np.ndarray, " b"]
    sd: Float[np.ndarray, " b"]


def studentized_drawer(contraction: Contraction) -> Draws:
    """Return the function that turns multipliers, one row per draw, into studentised draws.

    They come in the units of the statistic T: tr B + sd (T* - tr B*) / sd*, with tr B and sd of the
    sample, so that a draw reaches T where (T* - tr B*) / sd* reaches (T - tr B) / sd.

    Raises
    ------
    OptionError
        Where theta was estimated on another sample.
    """
    if contraction.moment.from_another_sample:
        raise OptionError(
            "`studentize=True` finds mean and variance anew from the refitted residuals of each "
            "draw, and this theta was estimated on another sample, where nothing is refitted; "
            "leave `studentize` out."
        )
    kernel = projected_kernel(contraction)
    sample = form_moments(kernel, contraction.moment.residuals[:, :, None])
    if not sample.sd[0] > 0:
        raise no_spread()
    return partial(_draws, kernel, float(sample.mean[0]), float(sample.sd[0]))


def _draws(
    kernel: ProjectedKernel, mean: float, sd: float, multipliers: Float[np.ndarray, "b n"]
) -> Float[np.ndarray, " b"]:
    parts = np.array_split(multipliers, -(-len(multipliers) // _width(kernel)))
    found = [form_moments(kernel, _refitted(kernel.contraction, part)) for part in parts]
    value, own_mean, own_sd = (np.concatenate(each) for each in zip(*found, strict=True))
    # a draw without spread is a constant, its mean
    away = np.divide(value - own_mean, own_sd, out=np.zeros_like(value), where=own_sd > 0)
    c = kernel.contraction
    return c.offset + c.factor * kernel.unit**2 * (mean + sd * away)


def _width(kernel: ProjectedKernel) -> int:
    """Return how many draws one pass may hold."""
    n, q = kernel.scale.shape
    columns = kernel.contraction.gram.execution.columns(n)
    return int(max(1, columns // (q + q * (q + 1) // 2)))


def _refitted(
    contraction: Contraction, multipliers: Float[np.ndarray, "b n"]
) -> Float[np.ndarray, "n q b"]:
    """Return v = M (w o r), the residuals that draws would have after the fit."""
    c, w = contraction, np.ascontiguousarray(multipliers.T)
    change = c.scaled_influence.T @ w / c.n_obs
    return c.scaled_residuals[:, :, None] * w[:, None, :] + c.jacobian @ change


def projected_kernel(contraction: Contraction) -> ProjectedKernel:
    """Return P; one pass over the Gram matrix, for the columns of the jacobian."""
    c, n = contraction, contraction.n_obs
    gain = proportional_gain(c.moment)
    flat = c.jacobian.reshape(n, -1)
    smoothed = c.gram.product(flat) - c.removed[:, None] * flat if flat.size else flat
    smoothed = smoothed.reshape(c.jacobian.shape)
    curvature = np.einsum("icp,icr->pr", c.jacobian, smoothed) / n**2
    moved = smoothed / n + gain @ curvature / 2
    products = moved @ np.swapaxes(gain, 1, 2)
    kept = c.gram.diagonal() - c.removed
    own = products + np.swapaxes(products, 1, 2) + kept[:, None, None] * np.eye(gain.shape[1])
    scale = np.ones_like(c.scaled_residuals) if c.moment.scale is None else c.moment.scale
    return ProjectedKernel(c, scale, gain, moved, own, size_of(c))


def proportional_gain(moment: FittedMoment) -> Float[np.ndarray, "n q p"]:
    """Return L with l_ic = L_ic psi_ic.

    Raises
    ------
    DataError
        When the influence is given in total for several components.
    """
    q = moment.n_components
    if moment.influence is not None and moment.influence.shape[1] != q:
        raise DataError(
            f"`influence` is given in total for {q} residual components, and `studentize=True` "
            "recomputes it from the residuals of each draw; pass it split by component, shape "
            "(n, q, p)."
        )
    return gain_of(replace(moment, gain=None))


def form_moments(kernel: ProjectedKernel, v: Float[np.ndarray, "n q b"]) -> FormMoments:
    """Return v'K_0 v, and tr B and the standard deviation with r = v / s, for fitted residuals v.

    One pass over the Gram matrix, in double precision.
    """
    c, v = kernel.contraction, v / kernel.unit
    r = v / kernel.scale[:, :, None]
    rows = {"v": v, "products": _products(r), "gain": kernel.gain, "moved": kernel.moved}
    rows |= {"x": c.conditioning, "removed": c.removed}
    sums = pass_over_pairs(visit_projected, c.kernel, rows, c.gram.execution)
    value, squares = sums.total
    mean = np.einsum("icb,icd,idb->b", r, kernel.own, r, optimize=True)
    return FormMoments(value, mean, np.sqrt(2 * np.maximum(squares, 0.0)))


def _products(r: Float[np.ndarray, "n q b"]) -> Float[np.ndarray, "n a b"]:
    """Return r_c r_e for c <= e, twice where they differ: all products of two components."""
    pairs = _pairs(r.shape[1])
    return np.stack([(1 + (c != e)) * r[:, c] * r[:, e] for c, e in pairs], axis=1)


def _pairs(q: int) -> list[tuple[int, int]]:
    return [(c, e) for c in range(q) for e in range(c, q)]


def visit_projected(kernel: Any, a: dict[str, Array], b: dict[str, Array], same: bool) -> Found:
    """Add v'K_0 v, and the sum of the squares of r_i'P_ij r_j off the diagonal."""
    values = gram_block(kernel, a["x"], b["x"], same)
    own = jnp.eye(len(values), dtype=bool) if same else jnp.zeros(values.shape, bool)
    left, right = (t["v"].reshape(len(t["v"]), -1) for t in (a, b))
    kept = values - jnp.where(own, a["removed"][:, None], jnp.zeros_like(values))
    forms = jnp.sum(left * (kept @ right), axis=0).reshape(a["v"].shape[1:])
    squares = _sum_of_squares(_blocks(jnp.where(own, 0.0, values), own, a, b), a, b)
    times = 1.0 if same else 2.0
    return Found((times * jnp.sum(forms, axis=0), times * squares))


def _blocks(
    values: Float[Array, "r s"], own: Bool[Array, "r s"], a: dict[str, Array], b: dict[str, Array]
) -> list[list[Float[Array, "r s"]]]:
    """Return a tile of P for each two components, its diagonal zero."""
    q = a["v"].shape[1]

    def block(c: int, d: int) -> Float[Array, "r s"]:
        moved = a["moved"][:, c] @ b["gain"][:, d].T + a["gain"][:, c] @ b["moved"][:, d].T
        return jnp.where(own, 0.0, moved) + (values if c == d else 0.0)

    return [[block(c, d) for d in range(q)] for c in range(q)]


def _sum_of_squares(
    blocks: list[list[Float[Array, "r s"]]], a: dict[str, Array], b: dict[str, Array]
) -> Float[Array, " m"]:
    """Return sum_ij (sum_cd r_ic P_ij,cd r_jd)^2, multiplied out."""
    total = jnp.zeros(a["v"].shape[2], a["v"].dtype)
    pairs = _pairs(len(blocks))
    for first, (c, e) in enumerate(pairs):
        for second, (d, g) in enumerate(pairs):
            weights = (blocks[c][d] * blocks[e][g] + blocks[c][g] * blocks[e][d]) / 2
            smoothed = weights @ b["products"][:, second]
            total += jnp.sum(a["products"][:, first] * smoothed, axis=0)
    return total
