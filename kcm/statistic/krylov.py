"""Leading eigenvalues and the third power sum of a matrix from three products with it.

Hutch++ (Meyer, Musco, Musco and Woodruff 2021) finds tr A^3 from a basis Q of the image of probes
and from other probes on its complement. The same products give A on the Krylov space of Q and A Q,
where the Rayleigh-Ritz values are leading eigenvalues of A (Saad 2011, chapter 6).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float

from kcm.statistic.spectrum import Spectrum

__all__ = [
    "Products",
    "known_spectrum",
    "krylov_spectrum",
    "products_with",
    "spectrum_of",
    "with_probes",
]

# Directions of A Q beyond Q that are smaller than this share of A Q are rounding.
DEPENDENT = 1e-7
# What the mean of |R^2 z|^2 over probes may be too small by, as an estimate of tr R^4.
SAFETY = 2.0

Apply = Callable[[Float[np.ndarray, "m r"]], Float[np.ndarray, "m r"]]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Products:
    """What products with a symmetric matrix A find.

    Attributes
    ----------
    basis : ndarray of shape (m, k)
        Q, orthonormal columns.
    image, twice : ndarray of shape (m, k + z)
        A and A A times Q, and then times probes without their part along Q.
    """

    basis: Float[np.ndarray, "m k"]
    image: Float[np.ndarray, "m r"]
    twice: Float[np.ndarray, "m r"]


def krylov_spectrum(
    apply: Apply, probes: Float[np.ndarray, "m r"], squares: float, n_directions: int
) -> Spectrum:
    """Return what is known of the eigenvalues of a symmetric matrix A.

    Parameters
    ----------
    apply : callable
        Returns A V for columns V.
    probes : ndarray of shape (m, r)
        Normal numbers: the first `n_directions` columns make the basis, the others are averaged.
    squares : float
        tr A^2.
    n_directions : int
    """
    directions, others = np.split(probes, [n_directions], axis=1)
    return spectrum_of(products_with(apply, directions, others), squares)


def products_with(
    apply: Apply, directions: Float[np.ndarray, "m k"], probes: Float[np.ndarray, "m z"]
) -> Products:
    """Return the products with A of a basis of A times the directions, and of the probes."""
    basis = np.linalg.qr(apply(directions))[0]
    image = apply(np.hstack([basis, _beyond(basis, probes)]))
    return Products(basis, image, apply(image))


def with_probes(apply: Apply, found: Products, probes: Float[np.ndarray, "m z"]) -> Products:
    """Return products of more probes beside those that are there."""
    rest = _beyond(found.basis, probes)
    image = apply(rest)
    return Products(
        found.basis,
        np.hstack([found.image, image]),
        np.hstack([found.twice, apply(image)]),
    )


def spectrum_of(found: Products, squares: float) -> Spectrum:
    """Return what some products say of the eigenvalues of A; `squares` is tr A^2."""
    image, twice, k = found.image, found.twice, found.basis.shape[1]
    forms = np.sum(image * twice, axis=0)
    cubes = float(forms[:k].sum() + forms[k:].mean())
    error = float(forms[k:].std(ddof=1) / np.sqrt(len(forms) - k))
    space, moved = _krylov_space(found.basis, image[:, :k], twice[:, :k])
    values, vectors = np.linalg.eigh(space.T @ moved)
    distances = np.linalg.norm(moved @ vectors - space @ (vectors * values), axis=0)
    outside = _beyond(space, twice[:, k:])
    fourths = SAFETY * float(np.mean(np.sum(outside**2, axis=0)))
    return known_spectrum(values, distances, (squares, cubes), error, (fourths, fourths**0.25))


def _beyond(
    basis: Float[np.ndarray, "m k"], columns: Float[np.ndarray, "m z"]
) -> Float[np.ndarray, "m z"]:
    """Return columns without their part along an orthonormal basis."""
    return columns - basis @ (basis.T @ columns)


def known_spectrum(
    values: Float[np.ndarray, " j"],
    distances: Float[np.ndarray, " j"],
    powers: tuple[float, float],
    cubes_error: float,
    beyond: tuple[float, float],
) -> Spectrum:
    """Return a spectrum from Ritz values.

    Parameters
    ----------
    values, distances : ndarray of shape (j,)
        Ritz values, and the norms of their residuals.
    powers : tuple of float
        tr A^2 and tr A^3.
    cubes_error : float
        Standard error of tr A^3.
    beyond : tuple of float
        Bounds on the sum of fourth powers and on the size of the eigenvalues beyond the space.
    """
    fourths, largest = beyond
    # a Ritz value is off by the square of its residual over its distance from other eigenvalues
    gaps = np.maximum(np.abs(values) - largest, distances)
    errors = np.divide(distances**2, gaps, out=np.zeros_like(gaps), where=gaps > 0)
    known = _converged(values, errors)
    others = np.abs(values[~known]) + errors[~known]
    return Spectrum(
        values[known],
        errors[known],
        *powers,
        cubes_error,
        fourths + float(np.sum(others**4)),
        max(largest, float(others.max(initial=0.0))),
    )


def _converged(
    values: Float[np.ndarray, " j"], errors: Float[np.ndarray, " j"]
) -> Bool[np.ndarray, " j"]:
    """Return which Ritz values say more about the tail one by one than as a part of the rest.

    At the largest saddle point, s = 1 / (2 max |mu|), an error e moves the cumulant generating
    function by about 2 mu s^2 e, and an eigenvalue left to the rest by 2 mu^4 s^4.
    """
    largest = float(np.abs(values).max(initial=0.0))
    return np.asarray(4 * errors * largest**2 <= np.abs(values) ** 3) & (np.abs(values) > 0)


def _krylov_space(
    basis: Float[np.ndarray, "m k"],
    image: Float[np.ndarray, "m k"],
    twice: Float[np.ndarray, "m k"],
) -> tuple[Float[np.ndarray, "m j"], Float[np.ndarray, "m j"]]:
    """Return an orthonormal basis W of Q and A Q, and A W, from Q, A Q and A A Q."""
    inner = basis.T @ image
    beyond = image - basis @ inner
    left, sizes, right = np.linalg.svd(beyond, full_matrices=False)
    kept = sizes > DEPENDENT * np.linalg.norm(inner, 2)
    moved = (twice - image @ inner) @ (right[kept].T / sizes[kept])
    return np.hstack([basis, left[:, kept]]), np.hstack([image, moved])
