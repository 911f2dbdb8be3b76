"""Gram matrices of many small samples, held, and computed in one compiled call."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from kcm.gram.blocks import gram_block
from kcm.gram.cost import value_cost
from kcm.gram.execution import Execution, Precision, double_arithmetic
from kcm.gram.operator import GramOperator
from kcm.gram.pieces import CHUNK
from kcm.gram.tiles import bucket, padded_points
from kcm.kernels import Kernel

__all__ = ["HeldGram", "held_grams"]

# Samples of one call: at most so many, and at most so many numbers (16 MB).
MOST_SAMPLES = 64
MOST_NUMBERS = 2**21


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HeldGram(GramOperator):
    """The exact Gram matrix of a small sample, held as 8 n^2 bytes.

    Parameters
    ----------
    kernel : Kernel
        Resolved.
    points : ndarray of shape (n, d)
    values : ndarray of shape (n, n)
    execution : Execution

    Examples
    --------
    >>> from kcm.kernels import Gaussian
    >>> (gram,) = held_grams([Gaussian(1.0)], [np.array([[0.0], [1.0]])])
    >>> gram.product(np.ones((2, 1))).round(4).ravel()
    array([1.6065, 1.6065])
    """

    kernel: Kernel
    points: Float[np.ndarray, "n d"]
    values: Float[np.ndarray, "n n"]
    execution: Execution = field(default_factory=Execution)

    def diagonal(self) -> Float[np.ndarray, " n"]:
        return np.diag(self.values).copy()

    def product(self, v: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
        return self.values @ v

    def within(
        self,
        v: Float[np.ndarray, "n q"],
        weights: Float[np.ndarray, " n"],
        codes: Int[np.ndarray, " n"] | None,
    ) -> float:
        if codes is None:
            return float(np.diag(self.values) * weights @ np.sum(v**2, axis=1))
        alike = codes[:, None] == codes
        return float(np.sum(self.values * (v @ v.T) * weights[:, None], where=alike))

    def forms(self, v: Float[np.ndarray, "n m"], precision: Precision) -> Float[np.ndarray, " m"]:
        """Return diag(V'KV), in double precision whatever `precision` allows."""
        return np.sum(v * self.product(v), axis=0)


def held_grams(
    kernels: Sequence[Kernel], points: Sequence[Float[np.ndarray, "n d"]]
) -> list[HeldGram]:
    """Return the Gram matrices of resolved kernels on samples of one size.

    A matrix does not depend on the others of the call, to the last bit: the compiled program goes
    through them one by one, and their number is not part of it.

    Parameters
    ----------
    kernels : sequence of Kernel
        Resolved, one per sample; those of one structure share a call.
    points : sequence of ndarray of shape (n, d)

    Returns
    -------
    list of HeldGram
    """
    found: dict[int, HeldGram] = {}
    for places in _alike(kernels, points):
        room = _room(len(points[places[0]]), value_cost(kernels[places[0]]))
        for start in range(0, len(places), room):
            part = places[start : start + room]
            values = _together([kernels[k] for k in part], [points[k] for k in part], room)
            for k, matrix in zip(part, values, strict=True):
                found[k] = HeldGram(kernels[k], points[k], matrix)
    return [found[k] for k in range(len(kernels))]


def _room(n: int, cost: int) -> int:
    most = min(MOST_NUMBERS, int(CHUNK / cost))
    return max(1, min(MOST_SAMPLES, most // bucket(n) ** 2))


def _alike(
    kernels: Sequence[Kernel], points: Sequence[Float[np.ndarray, "n d"]]
) -> list[list[int]]:
    """Group the places whose kernels and points have the same structure and shapes."""
    groups: dict[Any, list[int]] = {}
    for k, (kernel, x) in enumerate(zip(kernels, points, strict=True)):
        leaves, structure = jax.tree.flatten(kernel)
        shapes = tuple(np.shape(leaf) for leaf in leaves)
        groups.setdefault((structure, shapes, x.shape), []).append(k)
    return list(groups.values())


def _together(
    kernels: Sequence[Kernel], points: Sequence[Float[np.ndarray, "n d"]], room: int
) -> list[Float[np.ndarray, "n n"]]:
    count, n = len(kernels), len(points[0])
    filled = [*kernels, *[kernels[-1]] * (room - count)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *filled)
    x = np.zeros((room, bucket(n), points[0].shape[1]))
    x[:count] = [padded_points(sample) for sample in points]
    with double_arithmetic():
        values = np.asarray(_matrices(stacked, x, np.int32(count)))
    return [values[k, :n, :n].copy() for k in range(count)]


@jax.jit
def _matrices(
    kernels: Any, x: Float[Array, "b m d"], count: Int[Array, ""]
) -> Float[Array, "b m m"]:
    def add(k: Int[Array, ""], values: Float[Array, "b m m"]) -> Float[Array, "b m m"]:
        kernel, sample = jax.tree.map(lambda leaf: leaf[k], (kernels, x))
        return values.at[k].set(gram_block(kernel, sample, sample, True))

    return lax.fori_loop(0, count, add, jnp.zeros((len(x), x.shape[1], x.shape[1]), x.dtype))
