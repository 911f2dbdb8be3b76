"""From a seed to an input."""

from collections.abc import Callable

import numpy as np

from .broken_data import broken_data_case
from .case import Case
from .clusters import cluster_case
from .commands import broken_file_case, command_case
from .comparisons import comparison_case
from .containers import container_case, estimation_container_case
from .dense import dense_case
from .execution import execution_case
from .extremes import extreme_case
from .fits import fit_case, instrumental_case
from .formulas import formula_case
from .invariance import invariance_case
from .new_rows import new_rows_case
from .wrong_options import wrong_option_case

__all__ = ["make"]

# How often each area is drawn.
AREAS: tuple[tuple[Callable[[np.random.Generator], Case], int], ...] = (
    (fit_case, 16),
    (instrumental_case, 6),
    (invariance_case, 10),
    (formula_case, 10),
    (container_case, 10),
    (estimation_container_case, 5),
    (dense_case, 7),
    (command_case, 8),
    (broken_file_case, 6),
    (wrong_option_case, 8),
    (broken_data_case, 7),
    (cluster_case, 4),
    (comparison_case, 3),
    (execution_case, 5),
    (extreme_case, 7),
    (new_rows_case, 5),
)


def make(seed: int) -> Case:
    """Return the input of a seed, the same wherever it is made."""
    rng = np.random.default_rng([18, seed])
    weights = np.array([weight for _, weight in AREAS], float)
    area = int(rng.choice(len(AREAS), p=weights / weights.sum()))
    return AREAS[area][0](rng)
