"""What a kernel value costs, by which work is cut into pieces of a second."""

from typing import Any

import jax
import numpy as np

from kcm.gram.pieces import CHUNK
from kcm.gram.tiles import ROUNDING
from kcm.kernels import Orthant, Projection, SmoothICM

__all__ = ["KERNEL_COST", "most_rows", "value_cost"]

# Time of one value of a usual kernel in units of a product with it.
KERNEL_COST = 32
# The same of what some kernels do for each of their points or directions.
COSTS: tuple[tuple[Any, str, int], ...] = (
    (Projection, "anchors", 1_500),
    (Orthant, "anchors", 4),
    (SmoothICM, "directions", KERNEL_COST),
)


def value_cost(kernel: Any) -> int:
    """Return the time of a value, or of one of each kernel of several, in products."""

    def is_long(node: Any) -> bool:
        return isinstance(node, Projection | Orthant | SmoothICM)

    parts = [node for node in jax.tree.leaves(kernel, is_leaf=is_long) if is_long(node)]
    return KERNEL_COST + sum(map(_of_points, parts))


def _of_points(kernel: Any) -> int:
    """Return the time of a kernel that goes through points; one column takes ranks alone."""
    for cls, name, cost in COSTS:
        points = getattr(kernel, name, None) if isinstance(kernel, cls) else None
        if points is not None and np.shape(points)[1] > 1:
            return cost * len(points)
    return 0


def most_rows(kernel: Any) -> int:
    """Return how many rows a tile has at most, so that it takes about a second."""
    rows = int((2 * CHUNK / value_cost(kernel)) ** 0.5)
    return max(ROUNDING, rows // ROUNDING * ROUNDING)
