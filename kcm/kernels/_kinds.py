"""Products of kernels over the kinds of the columns."""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import mul

from kcm.kernels.base import Kernel
from kcm.kernels.subspace import Subspace

__all__ = ["KINDS", "product_over_kinds"]

KINDS = ("continuous", "unordered", "ordered")


def product_over_kinds(
    kinds: Sequence[str], kernel_of: Callable[[str, list[int]], Kernel]
) -> Kernel:
    """Multiply one kernel for each kind of column that there is.

    Parameters
    ----------
    kinds : sequence of {"continuous", "unordered", "ordered"}
        One per column, at least one.
    kernel_of : callable
        From a kind and the positions of its columns to the kernel on those.

    Examples
    --------
    >>> from kcm.kernels import Gaussian
    >>> product_over_kinds(["continuous"], lambda kind, columns: Gaussian(1.0))
    Subspace(kernel=Gaussian(bandwidth=1), columns=(0,))
    """
    columns = {kind: [j for j, own in enumerate(kinds) if own == kind] for kind in KINDS}
    parts = (Subspace(kernel_of(kind, own), tuple(own)) for kind, own in columns.items() if own)
    return reduce(mul, parts)
