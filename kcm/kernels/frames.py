"""The default kernel of columns of any type."""

from collections.abc import Sequence
from functools import reduce
from operator import mul
from types import MappingProxyType
from typing import Any

from kcm.kernels.bandwidth import MedianHeuristic
from kcm.kernels.base import Kernel, Subspace
from kcm.kernels.discrete import AitchisonAitken, WangVanRyzin
from kcm.kernels.stationary import Gaussian

__all__ = ["for_frame", "for_kinds", "scales_for_kinds"]

_KERNELS: MappingProxyType[str, type[Kernel]] = MappingProxyType(
    {"continuous": Gaussian, "unordered": AitchisonAitken, "ordered": WangVanRyzin}
)
# Multiples of the median heuristic in the adaptive test; squared they differ by fours, so that each
# Gram matrix is a power of the widest.
SCALES = (0.25, 0.5, 1.0, 2.0)


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
    from kcm._tables import as_table, column_kind

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
    return _for_kinds(kinds, 1.0)


def scales_for_kinds(kinds: Sequence[str]) -> tuple[Kernel, ...]:
    """Return the kernel of `for_kinds` at the bandwidths of the adaptive test.

    Parameters
    ----------
    kinds : sequence of {"continuous", "unordered", "ordered"}
        One per column, at least one.

    Returns
    -------
    tuple of Kernel
        The Gaussian at 1/4, 1/2, 1 and 2 times the median heuristic; one kernel where no column is
        continuous.

    Examples
    --------
    >>> [kernel.bandwidth.multiple for kernel in scales_for_kinds(["continuous"])]
    [0.25, 0.5, 1.0, 2.0]
    """
    if "continuous" not in kinds:
        return (for_kinds(kinds),)
    return tuple(_for_kinds(kinds, multiple) for multiple in SCALES)


def _for_kinds(kinds: Sequence[str], multiple: float) -> Kernel:
    columns = {kind: tuple(j for j, own in enumerate(kinds) if own == kind) for kind in _KERNELS}
    parts = [(_kernel(kind, multiple), chosen) for kind, chosen in columns.items() if chosen]
    if len(parts) == 1:
        return parts[0][0]
    return reduce(mul, (Subspace(kernel, chosen) for kernel, chosen in parts))


def _kernel(kind: str, multiple: float) -> Kernel:
    return Gaussian(MedianHeuristic(multiple)) if kind == "continuous" else _KERNELS[kind]()
