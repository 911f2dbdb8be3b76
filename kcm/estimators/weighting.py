"""The positive semi-definite weight W of the objective psi'W psi / n^2."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import solve_triangular

from kcm import gram
from kcm.gram import LowRankFactor, low_rank_factor
from kcm.kernels import Kernel

__all__ = ["Features", "KernelWeight", "OptimalWeight", "Weight", "inner_products"]


# From residuals of shape (n, q, m) to features of shape (r, m).
Features = Callable[[np.ndarray], np.ndarray]


class Weight(abc.ABC):
    """A weight that acts on residuals of shape (n, q), and on several of them at once."""

    __slots__ = ()

    @abc.abstractmethod
    def apply(self, v: Float[np.ndarray, "n q m"]) -> Float[np.ndarray, "n q m"]:
        """Return W v for each of the m vectors."""

    @abc.abstractmethod
    def features(self) -> Features:
        """Return the map v -> F'v with F F' = W, or close to it."""

    @abc.abstractmethod
    def spread(
        self, v: Float[np.ndarray, "n q m"], groups: Int[np.ndarray, " n"] | None
    ) -> Float[np.ndarray, "m m"]:
        """Return the sum of v_g'W v_g over groups of rows, or over rows: v'W v if v were noise."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class KernelWeight(Weight):
    """W = K, the same for every component: the squared maximum moment restriction.

    Products are exact and tiled; features come from a low-rank factor.

    Parameters
    ----------
    kernel : Kernel
        Resolved.
    conditioning : ndarray of shape (n, d)
    factor : LowRankFactor, optional
        Of K; found when features are asked for, unless it is given.
    """

    kernel: Kernel
    conditioning: Float[np.ndarray, "n d"]
    factor: LowRankFactor | None = None

    def apply(self, v: Float[np.ndarray, "n q m"]) -> Float[np.ndarray, "n q m"]:
        columns = v.reshape(len(v), -1)
        return gram.matvec(self.kernel, self.conditioning, columns).reshape(v.shape)

    def features(self) -> Features:
        low_rank = self.factor or low_rank_factor(self.kernel, self.conditioning)
        return partial(_factor_products, low_rank.factor)

    def spread(
        self, v: Float[np.ndarray, "n q m"], groups: Int[np.ndarray, " n"] | None
    ) -> Float[np.ndarray, "m m"]:
        diagonal = gram.diagonal(self.kernel, self.conditioning)
        if groups is None:
            return inner_products(diagonal[:, None, None] * v, v)
        factor = (self.factor or low_rank_factor(self.kernel, self.conditioning)).factor
        rest = np.maximum(diagonal - np.sum(factor**2, axis=1), 0.0)
        sums = _sums(v, factor, groups)
        return np.tensordot(sums, sums, axes=((0, 1), (0, 1))) + inner_products(
            rest[:, None, None] * v, v
        )


@final
@dataclass(frozen=True, slots=True, eq=False)
class OptimalWeight(Weight):
    r"""The regularised inverse of the covariance operator of the moments.

    With :math:`f_i` the rows of a factor F of K, :math:`g_i = \tilde\psi_i \otimes f_i` and
    :math:`\Omega = n^{-1}\sum_i g_i g_i'`,

    .. math:: W = (I_q \otimes F)\,(\Omega + a I)^{-1}\,(I_q \otimes F)' ,

    which for q = 1 is K (K D K / n + a K)^+ K with D = diag(psi^2). Each component of psi is in
    units of `size` first, so that a does not depend on the units of the equations.

    Parameters
    ----------
    factor : ndarray of shape (n, r)
        F.
    size : ndarray of shape (q,)
        Root mean square of each component.
    triangle : ndarray of shape (qr, qr)
        Lower Cholesky factor of Omega + a I.
    """

    factor: Float[np.ndarray, "n r"]
    size: Float[np.ndarray, " q"]
    triangle: Float[np.ndarray, "k k"]

    def apply(self, v: Float[np.ndarray, "n q m"]) -> Float[np.ndarray, "n q m"]:
        n, q, m = v.shape
        weighted = solve_triangular(self.triangle, self.features()(v), lower=True, trans="T")
        by_component = weighted.reshape(q, -1, m).transpose(1, 0, 2).reshape(-1, q * m)
        return (self.factor @ by_component).reshape(n, q, m) / self.size[:, None]

    def features(self) -> Features:
        return lambda v: solve_triangular(
            self.triangle, _factor_products(self.factor, v / self.size[:, None]), lower=True
        )

    def spread(
        self, v: Float[np.ndarray, "n q m"], groups: Int[np.ndarray, " n"] | None
    ) -> Float[np.ndarray, "m m"]:
        sums = _sums(v / self.size[:, None], self.factor, groups)
        n_groups, k, m = sums.shape
        columns = sums.transpose(1, 0, 2).reshape(k, n_groups * m)
        seen = solve_triangular(self.triangle, columns, lower=True).reshape(k, n_groups, m)
        return np.tensordot(seen, seen, axes=((0, 1), (0, 1)))


def inner_products(
    left: Float[np.ndarray, "n q m"], right: Float[np.ndarray, "n q k"]
) -> Float[np.ndarray, "m k"]:
    """Return left'right, summed over rows and components."""
    return np.tensordot(left, right, axes=((0, 1), (0, 1)))


def _factor_products(
    factor: Float[np.ndarray, "n r"], v: Float[np.ndarray, "n q m"]
) -> Float[np.ndarray, "s m"]:
    """Return F'v_c for each component c, one below the other."""
    n, q, m = v.shape
    products = factor.T @ v.reshape(n, q * m)
    return products.reshape(-1, q, m).transpose(1, 0, 2).reshape(-1, m)


def _sums(
    v: Float[np.ndarray, "n q m"],
    factor: Float[np.ndarray, "n r"],
    groups: Int[np.ndarray, " n"] | None,
) -> Float[np.ndarray, "g s m"]:
    """Return F'v of the rows of each group, the components one below the other."""
    n, _, m = v.shape
    rows = (v[:, :, None, :] * factor[:, None, :, None]).reshape(n, -1, m)
    if groups is None:
        return rows
    sums = np.zeros((int(groups.max()) + 1, *rows.shape[1:]))
    np.add.at(sums, groups, rows)
    return sums
