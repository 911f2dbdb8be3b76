"""Sums over the pairs of rows that lie in one cluster."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from kcm.gram.blocks import gram_block, in_precision
from kcm.gram.execution import Execution
from kcm.gram.passes import pass_over_pairs
from kcm.gram.traversal import Found
from kcm.kernels import Kernel

__all__ = ["within_clusters"]


def within_clusters(
    kernel: Kernel,
    points: Float[np.ndarray, "n d"],
    v: Float[np.ndarray, "n q"],
    weights: Float[np.ndarray, " n"],
    codes: Int[np.ndarray, " n"],
    execution: Execution,
) -> float:
    """Return the sum of k(x_i, x_j) v_i'v_j w_i over all pairs of one cluster, in one pass."""
    lower, moved, precision = in_precision(kernel, points, execution.of_statistic)
    number = np.float32 if precision == "single" else np.float64
    rows = {"x": moved, "v": v.astype(number), "weights": weights.astype(number)}
    rows["labels"] = codes.astype(np.int32)
    return float(pass_over_pairs(visit_within, lower, rows, execution).total)


def visit_within(kernel: Any, a: dict[str, Array], b: dict[str, Array], same: bool) -> Found:
    """Add the entries of a tile whose rows carry the same label."""
    values = gram_block(kernel, a["x"], b["x"], same).astype(a["v"].dtype)
    entries = values * (a["v"] @ b["v"].T) * a["weights"][:, None]
    alike = a["labels"][:, None] == b["labels"][None, :]
    total = jnp.sum(jnp.where(alike, entries, jnp.zeros_like(entries)), dtype=jnp.float64)
    return Found(total if same else 2 * total)
