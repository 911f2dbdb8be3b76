"""The matrix of the multiplier form where the Gram matrix is F F' + diag(R): r x r algebra.

B = f [H J H' + diag(e)] with H = [diag(r_1) F, ..., diag(r_q) F, D, l], J = blockdiag(I, [[0, I],
[I, 0]]) and e_i = |r_i|^2 (R_i - removed_i). Clusters add up the rows of H and of e. Without its
diagonal B is L - diag(L), L = f H J H', whose cumulants are

    tr (L - diag L)^2 = tr L^2 - sum L_ii^2,
    tr (L - diag L)^3 = tr L^3 - 3 sum (L^2)_ii L_ii + 2 sum L_ii^3,

and tr L^k comes from the k-th power of J H'H.
"""

from dataclasses import dataclass
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from kcm._tiles import bucket
from kcm.contraction import Contraction
from kcm.exceptions import OptionError
from kcm.gram.passes import fetched, placed
from kcm.gram.traversal import Sums
from kcm.low_rank_gram import low_rank_of

__all__ = ["LowRankSums", "form_factor", "low_rank_matrix", "low_rank_sums", "rows_in_units"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class LowRankSums:
    """Traces of B and of B_0, B without its diagonal.

    Attributes
    ----------
    trace : float
        tr B.
    squares, cubes : float
        tr B_0^2 and tr B_0^3.
    """

    trace: float
    squares: float
    cubes: float


def low_rank_sums(contraction: Contraction, codes: Int[np.ndarray, " n"]) -> LowRankSums:
    """Return the traces in O(n r^2) operations, r the rank."""
    c, p, f = contraction, contraction.projection.shape[1], form_factor(contraction)
    if int(codes.max()) + 1 == len(codes):
        inner, own, squared = _streamed(c)
    else:
        features = grouped_features(c, codes)
        inner = features.T @ features
        own = np.sum(features * exchanged(features, p), axis=1)
        squared = np.sum(features * (features @ exchanged(exchanged(inner, p).T, p)), axis=1)
    step = exchanged(inner, p)
    own, squared = f * own, f**2 * squared
    second = f**2 * np.trace(step @ step)
    third = f**3 * np.trace(step @ step @ step)
    return LowRankSums(
        trace=float(own.sum() + c.factor * _diagonal_excess(c).sum()),
        squares=float(second - np.sum(own**2)),
        cubes=float(third - 3 * np.sum(squared * own) + 2 * np.sum(own**3)),
    )


def low_rank_matrix(
    contraction: Contraction, codes: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "m m"]:
    """Return B, for few multipliers: m^2 doubles."""
    c, m = contraction, int(codes.max()) + 1
    features = grouped_features(c, codes)
    form = form_factor(c) * (features @ exchanged(features, c.projection.shape[1]).T)
    return form + np.diag(c.factor * np.bincount(codes, _diagonal_excess(c), m))


def grouped_features(
    contraction: Contraction, codes: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "m k"]:
    """Return H in units of the residuals, its rows added up within clusters."""
    gram, m = low_rank_of(contraction), int(codes.max()) + 1
    columns = contraction.scaled_residuals.shape[1] * gram.factor.shape[2]
    needed = 16 * m * columns
    if needed > gram.execution.memory:
        raise OptionError(
            f"{m:,} clusters with a factor of {columns} columns need a `memory_limit` of "
            f"{needed:,} bytes and it is {gram.execution.memory:,}; raise it, or `tolerance`."
        )
    labels = placed({"labels": codes.astype(np.int32)}, gram.layout, gram.execution)
    tiles = gram.with_factor(rows_in_units(contraction)) | labels
    total = gram.over_rows(visit_grouped, np.zeros((bucket(m), 0)), tiles).total
    return np.asarray(total)[:m]


def exchanged(features: Float[np.ndarray, "m k"], p: int) -> Float[np.ndarray, "m k"]:
    """Return H J: the last p columns and the p before them change places."""
    rest = features.shape[1] - 2 * p
    return np.hstack([features[:, :rest], features[:, rest + p :], features[:, rest : rest + p]])


def _streamed(
    contraction: Contraction,
) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return H'H and the diagonals of HJH' and its square, in two passes over tiles of H."""
    gram, p = low_rank_of(contraction), contraction.projection.shape[1]
    tiles = gram.with_factor(rows_in_units(contraction))
    inner = np.asarray(gram.over_rows(visit_inner_products, (), tiles).total)
    middle = exchanged(exchanged(inner, p).T, p).astype(gram.factor.dtype)
    own, squared = gram.over_rows(visit_diagonals, middle, tiles).rows
    n = len(gram.points)
    return inner, fetched(own, gram.layout, n), fetched(squared, gram.layout, n)


def form_factor(contraction: Contraction) -> float:
    """Return what HJH' is multiplied with, H in units of the residuals."""
    return contraction.factor * _unit(contraction) ** 2


def _unit(contraction: Contraction) -> float:
    return float(np.sqrt(np.mean(contraction.scaled_residuals**2)))


def rows_in_units(contraction: Contraction) -> dict[str, np.ndarray]:
    """Return r, D and l in units of the residuals, so that single precision holds them.

    Of D and l only the product counts: they come in equal sizes.
    """
    c, unit = contraction, _unit(contraction)
    sizes = [np.sqrt(np.mean(a**2, axis=0)) for a in (c.projection, c.scaled_influence)]
    both = (sizes[0] > 0) & (sizes[1] > 0)
    ratio = np.sqrt(np.divide(sizes[1], sizes[0], out=np.ones_like(sizes[0]), where=both))
    return {
        "residuals": c.scaled_residuals / unit,
        "projection": c.projection * (ratio / unit),
        "influence": c.scaled_influence / (ratio * unit),
    }


def _diagonal_excess(contraction: Contraction) -> Float[np.ndarray, " n"]:
    c = contraction
    return np.sum(c.scaled_residuals**2, axis=1) * (low_rank_of(c).residual - c.removed)


def _features(tile: dict[str, Array]) -> Float[Array, "r k"]:
    scaled = [r[:, None] * tile["factor"] for r in tile["residuals"].T]
    return jnp.hstack([*scaled, tile["projection"], tile["influence"]])


def visit_inner_products(shared: Any, tile: dict[str, Array]) -> Sums:
    """Add up H'H."""
    features = _features(tile)
    return Sums(features.T @ features, ())


def visit_diagonals(middle: Float[Array, "k k"], tile: dict[str, Array]) -> Sums:
    """Return the diagonals of HJH' and of its square, `middle` being J H'H J."""
    explained = jnp.sum(tile["factor"] ** 2, axis=1) * jnp.sum(tile["residuals"] ** 2, axis=1)
    own = explained + 2 * jnp.sum(tile["projection"] * tile["influence"], axis=1)
    features = _features(tile)
    squared = jnp.sum(features * (features @ middle), axis=1)
    return Sums((), (own.astype(jnp.float64), squared.astype(jnp.float64)))


def visit_grouped(room: Float[Array, "m 0"], tile: dict[str, Array]) -> Sums:
    """Add up the rows of H within clusters; `room` has one row per cluster."""
    return Sums(jax.ops.segment_sum(_features(tile), tile["labels"], num_segments=len(room)), ())
