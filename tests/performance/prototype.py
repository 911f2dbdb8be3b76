"""The least that a low-rank test can do, as a peer: uniform landmarks, two passes, no certificate.

F = K_nm L^-T and G'G with G = diag(psi) F + l S'F/n, in tiles and in single precision, and the
eigenvalues of G'G / n. What kcm adds: landmarks until the residual trace is small, rounding under
control, the exact diagonal and three cumulants, and the interval for the exact p-value.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["prototype"]

RANK = 256
TILE = 1_000


def prototype(data: dict[str, np.ndarray]) -> np.ndarray:
    """Return the eigenvalues of the form of OLS data whose rows fill tiles."""
    x = data["x"] / data["x"].std(axis=0)
    n, rng = len(x), np.random.default_rng(0)
    points = (x / _bandwidth(x[rng.choice(n, 2_000, replace=False)])).astype(np.float32)
    landmarks = points[rng.choice(n, RANK, replace=False)]
    gram = np.exp(-_squares(landmarks.astype(float), landmarks.astype(float)) / 2)
    triangle = np.linalg.cholesky(gram + 1e-6 * np.eye(RANK))
    inverse = np.linalg.inv(triangle).astype(np.float32)
    psi, influence = _tiles(data["psi"][:, None]), _tiles(data["influence"].reshape(n, -1))
    jacobian = _tiles(data["jacobian"].reshape(n, -1))
    seen, factor = _factor(_tiles(points), jacobian, landmarks, inverse)
    return np.linalg.eigvalsh(np.asarray(_form(factor, psi, influence, seen.T / n)) / n)


def _bandwidth(x: np.ndarray) -> float:
    upper = np.triu_indices(len(x), 1)
    return float(np.sqrt(np.median(_squares(x, x)[upper]) / 2))


def _squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sum((x[:, None] - y) ** 2, axis=2)


def _tiles(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(-1, TILE, rows.shape[1]).astype(np.float32)


@jax.jit
def _factor(points: Any, jacobian: Any, landmarks: Any, inverse: Any) -> Any:
    def visit(total: Any, tile: Any) -> Any:
        x, s = tile
        half = jnp.sum(x**2, axis=1, keepdims=True) / 2 + jnp.sum(landmarks**2, axis=1) / 2
        factor = jnp.exp(x @ landmarks.T - half) @ inverse.T
        return total + factor.T @ s, factor

    start = jnp.zeros((RANK, jacobian.shape[2]), jnp.float32)
    return lax.scan(visit, start, (points, jacobian))


@jax.jit
def _form(factor: Any, psi: Any, influence: Any, moved: Any) -> Any:
    def visit(total: Any, tile: Any) -> Any:
        f, r, ell = tile
        g = r * f + ell @ moved
        return total + g.T @ g, ()

    start = jnp.zeros((RANK, RANK), jnp.float32)
    return lax.scan(visit, start, (factor, psi, influence))[0]
