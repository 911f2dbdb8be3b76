"""The multiplier form where the Gram matrix is F F' + diag(R): r x r algebra.

B = f [H J H' + diag(e)] with H = [G_1, ..., G_q, D_0, l], J = blockdiag(I, [[0, I], [I, 0]]),
G_c = diag(r_c) F + l S_c'F / n, e_i = |r_i|^2 (R_i - removed_i), and D_0 what D has beyond the F F'
of K. The estimate of theta may absorb nearly all of F: it is subtracted within G, and not from
products of it. Clusters add up the rows of H and of e. Without its diagonal B is L - diag(L),
L = f H J H', whose cumulants are

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
from kcm.contraction import Contraction, projection
from kcm.exceptions import OptionError
from kcm.gram.passes import fetched
from kcm.gram.traversal import Sums
from kcm.low_rank_gram import LowRankGram, low_rank_of

__all__ = [
    "LowRankForm",
    "LowRankSums",
    "form_factor",
    "low_rank_draws",
    "low_rank_form",
    "low_rank_matrix",
    "low_rank_sums",
    "rows_in_units",
]

# Variance of a combination of influences, each of size 1, that counts as none.
SMALLEST_VARIANCE = 1e-12


@final
@dataclass(frozen=True, slots=True, eq=False)
class LowRankForm:
    """B with a low-rank Gram matrix, in units of the residuals.

    Attributes
    ----------
    gram : LowRankGram
    rows : dict of str to Array
        F, r, D_0 and l, in tiles.
    moved : ndarray of shape (q, p, k)
        S_c'F / n, with a column per column of F.
    excess : ndarray of shape (n,)
        e.
    factor : float
        f, times the square of the unit.
    """

    gram: LowRankGram
    rows: dict[str, Array]
    moved: Float[np.ndarray, "q p k"]
    excess: Float[np.ndarray, " n"]
    factor: float


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


def low_rank_form(contraction: Contraction) -> LowRankForm:
    """Split what theta moves into the part that F sees and the rest."""
    c, gram = contraction, low_rank_of(contraction)
    n, q, _ = c.jacobian.shape
    inner = gram.inner(c.jacobian.reshape(n, -1))
    rows, back = _in_units(c, _unseen(c, gram, inner))
    moved = np.stack([back @ part.T / n for part in np.split(inner, q, axis=1)])
    squares = np.sum((c.scaled_residuals / _unit(c)) ** 2, axis=1)
    excess = squares * (gram.residual - c.removed)
    numbers = {k: v.astype(gram.factor.dtype, copy=False) for k, v in rows.items()}
    return LowRankForm(gram, gram.with_factor(numbers), moved, excess, form_factor(c))


def _unseen(
    c: Contraction, gram: LowRankGram, inner: Float[np.ndarray, "k m"]
) -> Float[np.ndarray, "n p"]:
    """Return D_0: D without what comes from F F'S."""
    if c.source is gram:
        smoothed = (gram.residual - c.removed)[:, None, None] * c.jacobian
        return projection(c.scaled_residuals, c.scaled_influence, c.jacobian, smoothed)
    seen = gram.outer(inner).reshape(c.jacobian.shape)
    return c.projection - projection(c.scaled_residuals, c.scaled_influence, c.jacobian, seen)


def low_rank_sums(form: LowRankForm, codes: Int[np.ndarray, " n"]) -> LowRankSums:
    """Return the traces in O(n r^2) operations, r the rank."""
    p, f = form.moved.shape[1], form.factor
    if int(codes.max()) + 1 == len(codes):
        inner, own, squared = _streamed(form)
    else:
        features = grouped_features(form, codes)
        inner = features.T @ features
        own = np.sum(features * exchanged(features, p), axis=1)
        squared = np.sum(features * (features @ exchanged(exchanged(inner, p).T, p)), axis=1)
    step = exchanged(inner, p)
    second, third = np.trace(step @ step), np.trace(step @ step @ step)
    return LowRankSums(
        trace=float(f * (own.sum() + form.excess.sum())),
        squares=float(f**2 * (second - np.sum(own**2))),
        cubes=float(f**3 * (third - 3 * np.sum(squared * own) + 2 * np.sum(own**3))),
    )


def low_rank_matrix(form: LowRankForm, codes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "m m"]:
    """Return B, for few multipliers: m^2 doubles."""
    m, features = int(codes.max()) + 1, grouped_features(form, codes)
    explained = features @ exchanged(features, form.moved.shape[1]).T
    return form.factor * (explained + np.diag(np.bincount(codes, form.excess, m)))


def low_rank_draws(
    form: LowRankForm, codes: Int[np.ndarray, " n"], multipliers: Float[np.ndarray, "b m"]
) -> Float[np.ndarray, " b"]:
    """Return w'Bw for each row w of `multipliers`, expanded to observations by `codes`."""
    w = np.ascontiguousarray(multipliers.T[codes])
    rows = form.gram.with_factor({"w": w}) | form.rows
    inner = np.asarray(form.gram.over_rows(visit_drawn, form.moved, rows).total)
    explained = np.sum(inner * exchanged(inner.T, form.moved.shape[1]).T, axis=0)
    return form.factor * (explained + form.excess @ w**2)


def grouped_features(form: LowRankForm, codes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "m k"]:
    """Return H with its rows added up within clusters."""
    gram, m = form.gram, int(codes.max()) + 1
    columns = form.moved.shape[0] * gram.factor.shape[2]
    needed = 16 * m * columns
    if needed > gram.execution.memory:
        raise OptionError(
            f"{m:,} clusters with a factor of {columns} columns need a `memory_limit` of "
            f"{needed:,} bytes and it is {gram.execution.memory:,}; raise it, or `tolerance`."
        )
    tiles = gram.with_factor({"labels": codes.astype(np.int32)}) | form.rows
    total = gram.over_rows(visit_grouped, (form.moved, np.zeros((bucket(m), 0))), tiles).total
    return np.asarray(total)[:m]


def exchanged(features: Float[np.ndarray, "m k"], p: int) -> Float[np.ndarray, "m k"]:
    """Return H J: the last p columns and the p before them change places."""
    rest = features.shape[1] - 2 * p
    return np.hstack([features[:, :rest], features[:, rest + p :], features[:, rest : rest + p]])


def _streamed(
    form: LowRankForm,
) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return H'H and the diagonals of HJH' and its square, in two passes over tiles of H."""
    gram, p = form.gram, form.moved.shape[1]
    inner = np.asarray(gram.over_rows(visit_inner_products, form.moved, form.rows).total)
    middle = exchanged(exchanged(inner, p).T, p).astype(gram.factor.dtype)
    own, squared = gram.over_rows(visit_diagonals, (form.moved, middle), form.rows).rows
    n = len(gram.points)
    return inner, fetched(own, gram.layout, n), fetched(squared, gram.layout, n)


def form_factor(contraction: Contraction) -> float:
    """Return what B is multiplied with when its rows are in units of the residuals."""
    return contraction.factor * _unit(contraction) ** 2


def rows_in_units(contraction: Contraction) -> dict[str, np.ndarray]:
    """Return r, D and l in units of the residuals, so that single precision holds them.

    Of D and l only the product counts: the columns of l come uncorrelated and of size 1.
    """
    return _in_units(contraction, contraction.projection)[0]


def _unit(contraction: Contraction) -> float:
    return float(np.sqrt(np.mean(contraction.scaled_residuals**2)))


def _in_units(
    c: Contraction, moved: Float[np.ndarray, "n p"]
) -> tuple[dict[str, np.ndarray], Float[np.ndarray, "p p"]]:
    """Return r, D and l in units, and the matrix that takes S' to the parameters of this l."""
    unit = _unit(c)
    forth, back = _whitening(c.scaled_influence / unit)
    rows = {
        "residuals": c.scaled_residuals / unit,
        "projection": moved @ (back.T / unit),
        "influence": c.scaled_influence @ (forth / unit),
    }
    return rows, back


def _whitening(
    influence: Float[np.ndarray, "n p"],
) -> tuple[Float[np.ndarray, "p p"], Float[np.ndarray, "p p"]]:
    """Return T with l T uncorrelated columns of size 1, as far as l has full rank, and T^-1."""
    sizes = np.sqrt(np.mean(influence**2, axis=0))
    sizes = np.where(sizes > 0, sizes, 1.0)
    scaled = influence / sizes
    values, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    lengths = np.sqrt(np.maximum(values, SMALLEST_VARIANCE))
    return vectors / sizes[:, None] / lengths, (vectors * lengths).T * sizes


def _features(moved: Float[Array, "q p k"], tile: dict[str, Array]) -> Float[Array, "r m"]:
    """Return a tile of H, in the precision of the factor."""
    factor, influence = tile["factor"], tile["influence"]
    components = zip(tile["residuals"].T, moved.astype(factor.dtype), strict=True)
    seen = [r[:, None] * factor + influence @ part for r, part in components]
    return jnp.hstack([*seen, tile["projection"], influence])


def visit_inner_products(moved: Any, tile: dict[str, Array]) -> Sums:
    """Add up H'H."""
    features = _features(moved, tile)
    return Sums(features.T @ features, ())


def visit_diagonals(shared: Any, tile: dict[str, Array]) -> Sums:
    """Return the diagonals of HJH' and of its square, given J H'H J."""
    moved, middle = shared
    features, p = _features(moved, tile), moved.shape[1]
    seen = jnp.sum(features[:, : features.shape[1] - 2 * p] ** 2, axis=1, dtype=jnp.float64)
    products = jnp.sum(tile["projection"] * tile["influence"], axis=1, dtype=jnp.float64)
    squared = jnp.sum(features * (features @ middle), axis=1)
    return Sums((), (seen + 2 * products, squared.astype(jnp.float64)))


def visit_drawn(moved: Any, tile: dict[str, Array]) -> Sums:
    """Add up H'W."""
    features = _features(moved, tile)
    return Sums(features.T @ tile["w"].astype(features.dtype), ())


def visit_grouped(shared: Any, tile: dict[str, Array]) -> Sums:
    """Add up the rows of H within clusters; `room` has one row per cluster."""
    moved, room = shared
    features = _features(moved, tile).astype(jnp.float64)
    return Sums(jax.ops.segment_sum(features, tile["labels"], num_segments=len(room)), ())
