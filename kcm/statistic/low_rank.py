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

from kcm.gram import LowRankGram, Sums, bucket, fetched, whole_factor
from kcm.moments import Scaled
from kcm.statistic.contraction import Contraction, projection
from kcm.statistic.krylov import known_spectrum
from kcm.statistic.shift import whitening
from kcm.statistic.spectrum import Spectrum

__all__ = [
    "LowRankForm",
    "LowRankSums",
    "form_factor",
    "low_rank_draws",
    "low_rank_form",
    "low_rank_matrix",
    "low_rank_of",
    "low_rank_sums",
    "rows_in_units",
    "size_of",
]

# Size of a column that counts as none: its inverse is a number in single precision.
SMALLEST_COLUMN = 1e-30
# Change of the skewness that counts as none, and the number to which directions are rounded.
NO_SKEWNESS = 1e-5
COLUMNS = 32
# Eigenvectors from which the leading eigenvalues of B_0 are found, and those of L that are none.
N_LEADING = 64
NO_EIGENVALUE = 1e-12


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
        f.
    unit : float
        Size of the residuals: B is f unit^2 [...].
    """

    gram: LowRankGram
    rows: dict[str, Array]
    moved: Float[np.ndarray, "q p k"]
    excess: Float[np.ndarray, " n"]
    factor: float
    unit: float


@final
@dataclass(frozen=True, slots=True, eq=False)
class LowRankSums:
    """Traces of B and of B_0, B without its diagonal, for residuals in units of their size.

    Attributes
    ----------
    trace : float
        tr B.
    squares, cubes : float
        tr B_0^2 and tr B_0^3.
    spectrum : Spectrum
        Of B_0.
    """

    trace: float
    squares: float
    cubes: float
    spectrum: Spectrum


def low_rank_of(contraction: Contraction) -> LowRankGram:
    """Return the Gram matrix of a low-rank contraction."""
    if not isinstance(contraction.gram, LowRankGram):
        raise TypeError(f"expected a LowRankGram, got {type(contraction.gram).__name__}")
    return contraction.gram


def low_rank_form(contraction: Contraction) -> LowRankForm:
    """Split what theta moves into the part that F sees and the rest."""
    c, gram = contraction, low_rank_of(contraction)
    n, q, _ = c.jacobian.shape
    inner, unseen = _split(c, gram)
    rows, back = _in_units(c, unseen)
    moved = np.stack([back @ part.T / n for part in np.split(inner, q, axis=1)])
    unit = size_of(c)
    squares = np.sum((c.scaled_residuals / unit) ** 2, axis=1)
    excess = squares * (gram.residual - c.removed)
    numbers = {k: v.astype(gram.dtype, copy=False) for k, v in rows.items()}
    return LowRankForm(gram, gram.with_factor(numbers), moved, excess, c.factor, unit)


def _split(
    c: Contraction, gram: LowRankGram
) -> tuple[Float[np.ndarray, "k m"], Float[np.ndarray, "n p"]]:
    """Return F'S, and D_0: D without what comes from F F'S."""
    if c.source is gram:
        return c.inner, c.projection
    inner = gram.inner(c.jacobian.reshape(len(c.jacobian), -1))
    seen = gram.outer(inner).reshape(c.jacobian.shape)
    moved = projection(Scaled(c.scaled_residuals, c.scaled_influence), c.jacobian, seen)
    return inner, c.projection - moved


def low_rank_sums(form: LowRankForm, codes: Int[np.ndarray, " n"]) -> LowRankSums:
    """Return the traces in O(n r^2) operations, r the rank.

    sum (L^2)_ii L_ii is far smaller than tr L^3 where there are many rows: the eigenvectors of L
    that move the skewness by less than 1e-5 are left out of it.
    """
    p, f = form.moved.shape[1], form.factor
    streamed = int(codes.max()) + 1 == len(codes)
    features = np.zeros((0, 0)) if streamed else grouped_features(form, codes)
    inner, own = _products(form) if streamed else _products_of(features, p)
    step = exchanged(inner, p)
    second, third = np.trace(step @ step), np.trace(step @ step @ step)
    squares = second - np.sum(own**2)
    roots = _directions(inner, p, float(np.abs(own).max()), float(squares))
    squared = _squared(form, roots) if streamed else np.sum((features @ roots) ** 2, axis=1)
    cubes = third - 3 * np.sum(squared * own) + 2 * np.sum(own**3)
    powers = float(f**2 * squares), float(f**3 * cubes)
    values, weights = _eigenvectors(inner, p)
    lead = weights[:, : min(N_LEADING, len(values))]
    products = _weighed(form, lead, own) if streamed else _weighed_products(features @ lead, own)
    spectrum = _without_diagonal(f * values, f * products[0], f**2 * products[1], f * own, powers)
    return LowRankSums(float(f * (own.sum() + form.excess.sum())), *powers, spectrum)


def _eigenvectors(
    inner: Float[np.ndarray, "k k"], p: int
) -> tuple[Float[np.ndarray, " j"], Float[np.ndarray, "k j"]]:
    """Return eigenvalues of L = H J H', the largest first, and Y with H Y the eigenvectors.

    With H'H = R'R, columns of size 1 first, H = Q R and L = Q R J R'Q'. From R J R'z = lam z
    follows H'Q z = R'z, and Q z = L Q z / lam = H J R'z / lam.
    """
    sizes = np.sqrt(np.diag(inner))
    sizes = np.where(sizes > 0, sizes, 1.0)
    scales, vectors = np.linalg.eigh(inner / sizes / sizes[:, None])
    root = np.sqrt(np.maximum(scales, 0.0))[:, None] * (vectors * sizes[:, None]).T
    values, turned = np.linalg.eigh(root @ exchanged(root, p).T)
    order = np.argsort(-np.abs(values), kind="stable")
    order = order[np.abs(values[order]) > NO_EIGENVALUE * np.abs(values).max()]
    values, turned = values[order], turned[:, order]
    return values, exchanged(turned.T @ root, p).T / values


def _without_diagonal(
    values: Float[np.ndarray, " j"],
    pulled: Float[np.ndarray, "m m"],
    squared: Float[np.ndarray, "m m"],
    own: Float[np.ndarray, " n"],
    powers: tuple[float, float],
) -> Spectrum:
    """Return the spectrum of B_0 = L - diag(L) from the leading eigenvectors W of L.

    W'B_0 W = diag(lam) - W'diag(own) W, and (I - W W') B_0 W = -(I - W W') diag(own) W.
    """
    m = len(pulled)
    found, vectors = np.linalg.eigh(np.diag(values[:m]) - pulled)
    left = np.einsum("ij,ik,kj->j", vectors, squared - pulled @ pulled, vectors)
    distances = np.sqrt(np.maximum(left, 0.0))
    largest = float(np.abs(own).max()) + float(np.abs(values[m:]).max(initial=0.0))
    # (a + b)^4 is at most 8 (a^4 + b^4)
    fourths = 8 * (float(np.sum(own**4)) + float(np.sum(values[m:] ** 4)))
    return known_spectrum(found, distances, powers, 0.0, (fourths, largest))


def low_rank_matrix(form: LowRankForm, codes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "m m"]:
    """Return B, for few multipliers: m^2 doubles."""
    m, features = int(codes.max()) + 1, grouped_features(form, codes)
    explained = features @ exchanged(features, form.moved.shape[1]).T
    return form.factor * form.unit**2 * (explained + np.diag(np.bincount(codes, form.excess, m)))


def low_rank_draws(
    form: LowRankForm, codes: Int[np.ndarray, " n"], multipliers: Float[np.ndarray, "b m"]
) -> Float[np.ndarray, " b"]:
    """Return w'Bw for each row w of `multipliers`, expanded to observations by `codes`."""
    w = np.ascontiguousarray(multipliers.T[codes])
    rows = form.gram.with_factor({"w": w}) | form.rows
    inner = np.asarray(form.gram.over_rows(visit_drawn, form.moved, rows, w.shape[1]).total)
    explained = np.sum(inner * exchanged(inner.T, form.moved.shape[1]).T, axis=0)
    return form.factor * form.unit**2 * (explained + form.excess @ w**2)


def grouped_features(form: LowRankForm, codes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "m k"]:
    """Return H with its rows added up within clusters."""
    gram, m = form.gram, int(codes.max()) + 1
    columns = form.moved.shape[0] * gram.columns
    gram.check_grouped(m, columns)
    tiles = gram.with_factor({"labels": codes.astype(np.int32)}) | form.rows
    shared = form.moved, np.zeros((bucket(m), 0))
    return np.asarray(gram.over_rows(visit_grouped, shared, tiles, 1).total)[:m]


def exchanged(features: Float[np.ndarray, "m k"], p: int) -> Float[np.ndarray, "m k"]:
    """Return H J: the last p columns and the p before them change places."""
    rest = features.shape[1] - 2 * p
    return np.hstack([features[:, :rest], features[:, rest + p :], features[:, rest : rest + p]])


def _products(form: LowRankForm) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, " n"]]:
    """Return H'H and the diagonal of HJH', in one pass over tiles of H."""
    gram, width = form.gram, form.moved.shape[0] * form.moved.shape[2]
    total, own = gram.over_rows(visit_inner_products, form.moved, form.rows, width)
    return np.asarray(total), fetched(own, gram.layout, len(gram.points))


def _products_of(
    features: Float[np.ndarray, "m k"], p: int
) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, " m"]]:
    return features.T @ features, np.sum(features * exchanged(features, p), axis=1)


def _directions(
    inner: Float[np.ndarray, "k k"], p: int, most: float, squares: float
) -> Float[np.ndarray, "k j"]:
    """Return V with (HJH')^2 close to HVV'H' on the diagonal, of which no entry exceeds `most`.

    (HJH')^2 = H M H' with M = J H'H J. Columns of H may be small where their partners are large;
    rounding in M is small beside it only where they have the same size.
    """
    sizes = np.sqrt(np.diag(inner))
    inverse = np.divide(1.0, sizes, out=np.zeros_like(sizes), where=sizes > SMALLEST_COLUMN)
    middle = exchanged(exchanged(inner, p).T, p)
    values, vectors = np.linalg.eigh(sizes[:, None] * middle * sizes)
    roots = inverse[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))
    # what each adds to the trace
    added = np.einsum("kj,kl,lj->j", roots, inner, roots, optimize=True)
    allowed = NO_SKEWNESS * max(squares, 0.0) ** 1.5 / (3 * 2**1.5 * max(most, 1e-300))
    kept = np.cumsum(added) > allowed
    width = min(bucket(int(kept.sum()), COLUMNS), len(values))
    return roots[:, len(values) - width :]


def _squared(form: LowRankForm, roots: Float[np.ndarray, "k j"]) -> Float[np.ndarray, " n"]:
    """Return the sums of squares of the rows of H V."""
    gram = form.gram
    shared = form.moved, roots.astype(gram.dtype)
    found = gram.over_rows(visit_squares, shared, form.rows, roots.shape[1])
    return fetched(found.rows, gram.layout, len(gram.points))


def _weighed(
    form: LowRankForm, weights: Float[np.ndarray, "k m"], own: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "m m"], Float[np.ndarray, "m m"]]:
    """Return W'diag(own) W and W'diag(own)^2 W for W = H Y, in one pass over tiles of H."""
    gram = form.gram
    shared = form.moved, weights.astype(gram.dtype)
    rows = gram.with_factor({"own": own}) | form.rows
    once, twice = gram.over_rows(visit_weighed, shared, rows, weights.shape[1]).total
    return np.asarray(once), np.asarray(twice)


def _weighed_products(
    rows: Float[np.ndarray, "n m"], own: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "m m"], Float[np.ndarray, "m m"]]:
    once = rows * own[:, None]
    return once.T @ rows, once.T @ once


def form_factor(contraction: Contraction) -> float:
    """Return what B is multiplied with when its rows are in units of the residuals."""
    return contraction.factor * size_of(contraction) ** 2


def rows_in_units(contraction: Contraction) -> dict[str, np.ndarray]:
    """Return r, D and l in units of the residuals, so that single precision holds them.

    Of D and l only the product counts: the columns of l come uncorrelated and of size 1.
    """
    return _in_units(contraction, contraction.projection)[0]


def size_of(contraction: Contraction) -> float:
    """Return the size of the residuals, their unit."""
    return float(np.sqrt(np.mean(contraction.scaled_residuals**2)))


def _in_units(
    c: Contraction, moved: Float[np.ndarray, "n p"]
) -> tuple[dict[str, np.ndarray], Float[np.ndarray, "p p"]]:
    """Return r, D and l in units, and the matrix that takes S' to the parameters of this l."""
    unit = size_of(c)
    forth, back = whitening(c.scaled_influence.T @ c.scaled_influence / (len(moved) * unit**2))
    rows = {
        "residuals": c.scaled_residuals / unit,
        "projection": moved @ (back.T / unit),
        "influence": c.scaled_influence @ (forth / unit),
    }
    return rows, back


def _features(moved: Float[Array, "q p k"], tile: dict[str, Array]) -> Float[Array, "r m"]:
    """Return a tile of H, in the precision of the factor."""
    factor, influence = whole_factor(tile), tile["influence"]
    components = zip(tile["residuals"].T, moved.astype(factor.dtype), strict=True)
    seen = [r[:, None] * factor + influence @ part for r, part in components]
    return jnp.hstack([*seen, tile["projection"], influence])


def visit_inner_products(moved: Any, tile: dict[str, Array]) -> Sums:
    """Add up H'H, and return the diagonal of HJH'."""
    features, p = _features(moved, tile), moved.shape[1]
    seen = jnp.sum(features[:, : features.shape[1] - 2 * p] ** 2, axis=1, dtype=jnp.float64)
    products = jnp.sum(tile["projection"] * tile["influence"], axis=1, dtype=jnp.float64)
    return Sums(features.T @ features, seen + 2 * products)


def visit_squares(shared: Any, tile: dict[str, Array]) -> Sums:
    """Return the sums of squares of the rows of H V."""
    moved, roots = shared
    return Sums((), jnp.sum((_features(moved, tile) @ roots) ** 2, axis=1, dtype=jnp.float64))


def visit_weighed(shared: Any, tile: dict[str, Array]) -> Sums:
    """Add up W'diag(own) W and W'diag(own)^2 W for W = H Y."""
    moved, weights = shared
    rows = (_features(moved, tile) @ weights).astype(jnp.float64)
    once = rows * tile["own"][:, None]
    return Sums((once.T @ rows, once.T @ once), ())


def visit_drawn(moved: Any, tile: dict[str, Array]) -> Sums:
    """Add up H'W."""
    features = _features(moved, tile)
    return Sums(features.T @ tile["w"].astype(features.dtype), ())


def visit_grouped(shared: Any, tile: dict[str, Array]) -> Sums:
    """Add up the rows of H within clusters; `room` has one row per cluster."""
    moved, room = shared
    features = _features(moved, tile).astype(jnp.float64)
    return Sums(jax.ops.segment_sum(features, tile["labels"], num_segments=len(room)), ())
