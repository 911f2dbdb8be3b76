"""Whether a kernel reads codes as names, or as numbers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from kcm.gram.matrices import matrix
from kcm.kernels import Kernel

__all__ = ["reads_as_numbers"]

# Rows on which values are compared.
N_COMPARED = 128
ROUNDING = 1e-8


def reads_as_numbers(
    kernel: Kernel, x: Float[np.ndarray, "n d"], columns: Sequence[int]
) -> list[int]:
    """Return the columns in which other numbers for the same levels give another kernel.

    Parameters
    ----------
    kernel : Kernel
        Resolved on `x`.
    x : ndarray of shape (n, d)
        Points.
    columns : sequence of int
        Columns that hold codes without an order.

    Returns
    -------
    list of int
        Some of `columns`. Two levels can be told apart in one way only, so a column with fewer
        than three is never among them.

    Examples
    --------
    >>> from kcm.kernels import AitchisonAitken, Gaussian
    >>> codes = np.array([[0.0], [1.0], [2.0], [1.0]])
    >>> reads_as_numbers(Gaussian(1.0), codes, [0])
    [0]
    >>> reads_as_numbers(AitchisonAitken().resolve(codes), codes, [0])
    []
    """
    chosen = x[np.linspace(0, len(x) - 1, min(N_COMPARED, len(x))).astype(int)]
    return [j for j in columns if _differs(kernel, _with_levels(chosen, x, j), j)]


def _with_levels(
    chosen: Float[np.ndarray, "m d"], x: Float[np.ndarray, "n d"], column: int
) -> Float[np.ndarray, "k d"]:
    """Add a row of each of the first three levels, and its neighbour in the other columns."""
    first = np.unique(x[:, column], return_index=True)[1][:3]
    alike = np.repeat(x[first[:1]], len(first), axis=0)
    alike[:, column] = x[first, column]
    return np.vstack([chosen, alike])


def _differs(kernel: Kernel, x: Float[np.ndarray, "m d"], column: int) -> bool:
    levels, codes = np.unique(x[:, column], return_inverse=True)
    if len(levels) < 3:
        return False
    renamed = x.copy()
    renamed[:, column] = levels[_swapped(len(levels))[codes]]
    before = matrix(kernel, x)
    change = np.abs(matrix(kernel, renamed) - before).max()
    return bool(change > ROUNDING * np.abs(before).max())


def _swapped(n: int) -> Int[np.ndarray, " n"]:
    """Exchange the first two of n levels: the distances of both to the third change."""
    return np.r_[1, 0, np.arange(2, n)]
