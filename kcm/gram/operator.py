"""A Gram matrix as what it does: products and quadratic forms."""

import abc
from dataclasses import dataclass, field
from typing import final

import numpy as np
from jaxtyping import Float, Int

from kcm._records import one_line
from kcm.gram.contractions import product, quadratic_forms
from kcm.gram.execution import Execution, Precision
from kcm.gram.matrices import diagonal
from kcm.gram.within import within_clusters
from kcm.kernels import Kernel

__all__ = ["Contracted", "GramOperator", "TiledGram"]


class GramOperator(abc.ABC):
    """The Gram matrix of a kernel on a sample, or an approximation of it.

    Attributes
    ----------
    kernel : Kernel
        Resolved.
    points : ndarray of shape (n, d)
    execution : Execution

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> isinstance(TiledGram(Gaussian(1.0), np.zeros((3, 1))), GramOperator)
    True
    """

    __slots__ = ()

    kernel: Kernel
    points: Float[np.ndarray, "n d"]
    execution: Execution

    def __repr__(self) -> str:
        return one_line(self)

    @abc.abstractmethod
    def diagonal(self) -> Float[np.ndarray, " n"]:
        """Return k(x_i, x_i)."""

    @abc.abstractmethod
    def product(self, v: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
        """Return K V in the precision of the statistic."""

    def contracted(self, v: Float[np.ndarray, "n q"], s: Float[np.ndarray, "n m"]) -> "Contracted":
        """Return sum_c v_c'K v_c and K S, in one pass and in the precision of the statistic."""
        q, whole = v.shape[1], self.product(np.hstack([v, s]))
        form = float(np.sum(v * whole[:, :q]))
        return Contracted(form, whole[:, q:], np.zeros((0, s.shape[1])))

    def inner(self, v: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "k m"]:
        """Return F'V, F the factor of K; without rows where it has none."""
        return np.zeros((0, v.shape[1]))

    def outer(self, inner: Float[np.ndarray, "k m"]) -> Float[np.ndarray, "n m"]:
        """Return F A for A with a row per column of F; zeros where K has no factor."""
        return np.zeros((len(self.points), inner.shape[1]))

    @abc.abstractmethod
    def within(
        self,
        v: Float[np.ndarray, "n q"],
        weights: Float[np.ndarray, " n"],
        codes: Int[np.ndarray, " n"] | None,
    ) -> float:
        """Return the sum of K_ij v_i'v_j w_i over pairs of one cluster, of i = j without codes.

        `weights` are equal within a cluster.
        """

    @abc.abstractmethod
    def forms(self, v: Float[np.ndarray, "n m"], precision: Precision) -> Float[np.ndarray, " m"]:
        """Return diag(V'KV)."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Contracted:
    """Columns V and S contracted with K = F F' + K_1.

    Attributes
    ----------
    form : float
        sum_c v_c'K v_c.
    smoothed : ndarray of shape (n, m)
        K_1 S.
    inner : ndarray of shape (k, m)
        F'S, without rows where K has no factor.
    """

    form: float
    smoothed: Float[np.ndarray, "n m"]
    inner: Float[np.ndarray, "k m"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TiledGram(GramOperator):
    """The exact Gram matrix, visited in tiles and never held.

    Parameters
    ----------
    kernel : Kernel
        Resolved.
    points : ndarray of shape (n, d)
    execution : Execution

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> gram = TiledGram(Gaussian(1.0), np.array([[0.0], [1.0]]))
    >>> gram.product(np.ones((2, 1))).round(4).ravel()
    array([1.6065, 1.6065])
    """

    kernel: Kernel
    points: Float[np.ndarray, "n d"]
    execution: Execution = field(default_factory=Execution)

    def diagonal(self) -> Float[np.ndarray, " n"]:
        return diagonal(self.kernel, self.points)

    def product(self, v: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
        return product(self.kernel, self.points, v, self.execution.of_statistic, self.execution)

    def within(
        self,
        v: Float[np.ndarray, "n q"],
        weights: Float[np.ndarray, " n"],
        codes: Int[np.ndarray, " n"] | None,
    ) -> float:
        if codes is None:
            return float(self.diagonal() * weights @ np.sum(v**2, axis=1))
        return within_clusters(self.kernel, self.points, v, weights, codes, self.execution)

    def forms(self, v: Float[np.ndarray, "n m"], precision: Precision) -> Float[np.ndarray, " m"]:
        return quadratic_forms([self.kernel], self.points, v, precision, self.execution)[0]
