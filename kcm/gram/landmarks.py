"""Landmarks: the points that span a low-rank approximation of a Gram matrix."""

import dataclasses
import math
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from kcm import gram
from kcm._variation import rows_by_value
from kcm.exceptions import DataError, OptionError, SaturatedModelError
from kcm.gram import Execution
from kcm.gram.execution import MOST_MEMORY
from kcm.gram.pivoted_cholesky import LowRankFactor, extended, low_rank_factor
from kcm.kernels import Kernel, check_definite

__all__ = [
    "COLUMN_ROUNDING",
    "MOST_RANK",
    "Landmarks",
    "affordable_rank",
    "choose_landmarks",
    "least_tolerance",
    "number_type",
]

# Landmarks are chosen among at most this many rows.
MOST_CANDIDATES = 16_384
CANDIDATE_SEED = 20_200_723
MOST_RANK = 2_048
# Above this many rows the factor is held in single precision.
DOUBLE_ROWS = 131_072
COLUMN_ROUNDING = 32
# Smallest residual shares that factors in single and double precision can tell from rounding.
SINGLE_TOLERANCE = 1e-5
DOUBLE_TOLERANCE = 1e-12
# Points on which the fast form of a kernel is tried, and its largest error relative to max k(x, x).
N_TRIED = 64
CANCELLING = 1e-6


@final
@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """Points that span an approximation of a Gram matrix, chosen among some of the rows.

    Parameters
    ----------
    kernel : Kernel
        Resolved.
    points : ndarray of shape (n, d)
    own : ndarray of shape (n,)
        diag(K).
    order : ndarray of shape (n,)
        The rows in the order of their values.
    candidates : ndarray of shape (m,)
        Rows among which landmarks are chosen.
    chosen : LowRankFactor
        Of the Gram matrix of the candidates; its pivots are the landmarks.
    execution : Execution

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> found = choose_landmarks(Gaussian(1e-4), np.linspace(0.0, 3.0, 200)[:, None], max_rank=50)
    >>> round(found.unseen_share(), 6)
    1.0
    """

    kernel: Kernel
    points: Float[np.ndarray, "n d"]
    own: Float[np.ndarray, " n"]
    order: Int[np.ndarray, " n"]
    candidates: Int[np.ndarray, " m"]
    chosen: LowRankFactor
    execution: Execution

    @property
    def rows(self) -> Int[np.ndarray, " r"]:
        """The rows that are landmarks."""
        return self.candidates[self.chosen.pivots]

    def triangle(self) -> Float[np.ndarray, "r r"]:
        """Return L with L L' the Gram matrix of the landmarks."""
        return self.chosen.factor[self.chosen.pivots]

    def unseen_share(self) -> float:
        """Return the share of k(x, x) that the landmarks leave out at rows that are none."""
        others = np.ones(len(self.candidates), bool)
        others[self.chosen.pivots] = False
        trace = float(self.own[self.candidates[others]].sum())
        return float(self.chosen.residual[others].sum()) / trace if trace > 0 else 0.0

    def more(self, tolerance: float, max_rank: int) -> "Landmarks":
        """Return these landmarks and further ones."""
        most, points = min(max_rank, len(self.candidates)), self.points[self.candidates]
        chosen = extended(self.chosen, self.kernel, points, tolerance, most)
        return dataclasses.replace(self, chosen=chosen)


def choose_landmarks(
    kernel: Kernel,
    points: Float[np.ndarray, "n d"],
    tolerance: float = 0.01,
    max_rank: int = MOST_RANK,
    execution: Execution | None = None,
) -> Landmarks:
    """Choose the points that span a low-rank approximation, as `low_rank_gram` says.

    The tolerance is that of the trace on the candidates.
    """
    execution = execution or Execution()
    _check_tolerance(tolerance, len(points), execution)
    check_definite(kernel, "a low-rank factor")
    own = gram.diagonal(kernel, points)
    _check_values(kernel, points, own)
    order = rows_by_value(points)
    candidates = _candidates(order)
    most = min(max_rank, len(candidates))
    chosen = low_rank_factor(kernel, points[candidates], tolerance, most)
    return Landmarks(kernel, points, own, order, candidates, chosen, execution)


def _candidates(order: Int[np.ndarray, " n"]) -> Int[np.ndarray, " k"]:
    if len(order) <= MOST_CANDIDATES:
        return order
    rng = np.random.default_rng(CANDIDATE_SEED)
    return order[rng.choice(len(order), MOST_CANDIDATES, replace=False)]


def least_tolerance(n: int, execution: Execution) -> float:
    """Return the smallest residual share that a factor of n rows can tell from rounding."""
    return SINGLE_TOLERANCE if number_type(n, execution) is np.float32 else DOUBLE_TOLERANCE


def affordable_rank(n: int, execution: Execution) -> int:
    """Return the largest rank of a factor of n rows that the memory limit admits.

    Raises
    ------
    OptionError
        When it is below 32.
    """
    columns = 2 * n * np.dtype(number_type(n, execution)).itemsize
    # by default the same rank on every machine
    memory = MOST_MEMORY if execution.memory_limit is None else execution.memory
    rank = min(memory // columns // COLUMN_ROUNDING * COLUMN_ROUNDING, MOST_RANK)
    if rank < COLUMN_ROUNDING:
        smallest = max(columns * COLUMN_ROUNDING, execution.least_memory(n))
        raise OptionError(
            f"`memory_limit` is {memory:,} bytes; the smallest that works for a low-rank "
            f"factor of {n:,} rows is {smallest:,} bytes."
        )
    return int(rank)


def number_type(n: int, execution: Execution) -> type[np.floating]:
    """Return the type of the factor: "mixed" takes double where it is small."""
    small = n <= DOUBLE_ROWS and execution.precision == "mixed"
    return np.float64 if small or execution.precision == "double" else np.float32


def _check_tolerance(tolerance: float, n: int, execution: Execution) -> None:
    least = least_tolerance(n, execution)
    if tolerance < least:
        raise OptionError(
            f"`tolerance` is {tolerance:g}; the smallest for {n:,} rows is {least:g} (above "
            f"{DOUBLE_ROWS:,} rows the factor is held in single precision unless `precision` is "
            '"double").'
        )


def _check_values(
    kernel: Kernel, points: Float[np.ndarray, "n d"], own: Float[np.ndarray, " n"]
) -> None:
    """Refuse a kernel of which no share of the trace can be found."""
    with np.errstate(over="ignore"):
        trace = float(own.sum())
    if not math.isfinite(trace):
        raise DataError(
            f"the kernel {kernel!r} is not finite on these conditioning values, or its sum over "
            "them is not."
        )
    if not trace > 0:
        raise SaturatedModelError(
            f"the kernel {kernel!r} is zero on these conditioning values, so that it sees nothing "
            "of the residuals."
        )
    tried = np.linspace(0, len(points) - 1, N_TRIED).astype(int)
    again = np.diag(gram.cross(kernel, points[tried], points[tried]))
    if np.abs(again - own[tried]).max() > CANCELLING * own[tried].max():
        raise DataError(
            f"the kernel {kernel!r} is so narrow beside the spread of the conditioning values "
            'that its values cancel in a low-rank factor; use method="exact".'
        )
