"""The default kernel of columns of any type."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from kcm.kernels._index import index_weights
from kcm.kernels._kinds import product_over_kinds
from kcm.kernels.additive import Additive
from kcm.kernels.bandwidth import MedianHeuristic
from kcm.kernels.base import Kernel
from kcm.kernels.discrete import AitchisonAitken, WangVanRyzin
from kcm.kernels.linear_index import LinearIndex
from kcm.kernels.stationary import Gaussian, Laplace

__all__ = ["for_frame", "for_kinds", "scales_for_kinds"]

# Multiples of the median heuristic in the adaptive test; docs/power.md compares them with others.
# Each Gram matrix is a power of the widest of its family.
GAUSSIAN_SCALES = (0.25, 1.0, 2.0)
LAPLACE_SCALES = (1.0, 2.0)
# Continuous columns from which on kernels of one column and of the index are among them.
MANY_COLUMNS = 8


def for_frame(frame: Any) -> Kernel:
    """Return the product kernel that suits the types of the columns of a table.

    A `Gaussian` with the median heuristic on the numbers, times an `AitchisonAitken` on strings,
    booleans and categories without an order, times a `WangVanRyzin` on ordered categories (Polars
    enums among them), each with its rule. It is the default kernel of a test whose conditioning
    variables are not all numbers; call it to build upon.

    Parameters
    ----------
    frame : DataFrame, Series or mapping
        Of pandas, Polars or Arrow, or columns by name. Only the types of the columns are used.

    Returns
    -------
    Kernel
        It acts on the numbers and codes of `kcm.data.encode_frame`.

    Raises
    ------
    DataError
        When `frame` is not a table.

    Examples
    --------
    >>> for_frame({"city": ["Rome", "Oslo", "Rome"], "member": [True, False, False]})
    AitchisonAitken(smoothing=None, n_levels=None)
    """
    # pandas is loaded by those who have a table
    from kcm.data import as_table, column_kind

    table, _ = as_table(frame, "frame")
    return for_kinds([column_kind(table[name]) for name in table])


def for_kinds(kinds: Sequence[str]) -> Kernel:
    """Return the product kernel of columns of known kinds.

    Parameters
    ----------
    kinds : sequence of {"continuous", "unordered", "ordered"}
        One per column, at least one.

    Returns
    -------
    Kernel
        As `for_frame`.

    Examples
    --------
    >>> for_kinds(["continuous", "continuous"])
    Gaussian(bandwidth=MedianHeuristic())
    """
    return _product(kinds, Gaussian())


def scales_for_kinds(
    kinds: Sequence[str],
    x: Float[np.ndarray, "n d"],
    index: Float[np.ndarray, "n k"] | None = None,
) -> tuple[Kernel, ...]:
    """Return the kernel of `for_kinds` in the versions that the adaptive test combines.

    Parameters
    ----------
    kinds : sequence of {"continuous", "unordered", "ordered"}
        One per column, at least one.
    x : ndarray of shape (n, d)
        The columns, of which the median heuristic is found once.
    index : ndarray of shape (n, k), optional
        The index of the model, such as x'b.

    Returns
    -------
    tuple of Kernel
        With the Gaussian at 1/4, 1 and 2 times the median heuristic, and with the Laplace kernel
        at 1 and 2 times; one kernel where no column is continuous. From eight continuous columns
        on also with the sum of Laplace kernels of one column each, and with a Gaussian of the
        linear function of the columns closest to the index, where it explains half of it.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [3.0]])
    >>> [float(kernel.bandwidth[0].round(2)) for kernel in scales_for_kinds(["continuous"], x)]
    [0.35, 1.41, 2.83, 1.41, 2.83]
    """
    chosen = [j for j, kind in enumerate(kinds) if kind == "continuous"]
    if not chosen:
        return (for_kinds(kinds),)
    columns = x[:, chosen]
    median = MedianHeuristic()(columns)
    continuous: list[Kernel] = [
        *(Gaussian(multiple * median) for multiple in GAUSSIAN_SCALES),
        *(Laplace(multiple * median) for multiple in LAPLACE_SCALES),
    ]
    if len(chosen) >= MANY_COLUMNS:
        # the joint median over the root of their number is about one standard deviation of each
        continuous += [Additive(Laplace(median / np.sqrt(len(chosen))))]
        continuous += _of_index(columns, index)
    return tuple(_product(kinds, kernel) for kernel in continuous)


def _of_index(x: Float[np.ndarray, "n d"], index: Float[np.ndarray, "n k"] | None) -> list[Kernel]:
    """Return the kernel of the index, as far as it is a linear function of the columns."""
    weights = None if index is None else index_weights(x, index)
    return [] if weights is None else [LinearIndex(weights)]


def _product(kinds: Sequence[str], continuous: Kernel) -> Kernel:
    kernels = {"continuous": continuous, "unordered": AitchisonAitken(), "ordered": WangVanRyzin()}
    if len(set(kinds)) == 1:
        return kernels[kinds[0]]
    return product_over_kinds(kinds, lambda kind, columns: kernels[kind])
