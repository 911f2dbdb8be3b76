"""The form B_0 without its diagonal as products with it, by passes over tiles."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from kcm.statistic.contraction import Contraction
from kcm.statistic.form import apply_form, form_sums
from kcm.statistic.low_rank import size_of

__all__ = ["TiledForm", "tiled_form"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class TiledForm:
    """B_0 in units of the residuals, of which no matrix is held.

    With theta from another sample it has a border [[B_0, C], [C', A]] of normal multipliers.

    Attributes
    ----------
    apply : callable
        Returns B_0 V for columns V, by one pass.
    trace : float
        tr B.
    squares : float
        tr B_0^2.
    """

    apply: Callable[[Float[np.ndarray, "l r"]], Float[np.ndarray, "l r"]]
    trace: float
    squares: float


def tiled_form(contraction: Contraction, codes: Int[np.ndarray, " n"]) -> TiledForm:
    """Return B_0 with its traces; `codes` are cluster numbers."""
    sums, unit = form_sums(contraction, codes), size_of(contraction) ** 2
    edge = contraction.border
    cross, corner = edge.summed(codes) / unit, edge.corner / unit

    def apply(v: Float[np.ndarray, "l r"]) -> Float[np.ndarray, "l r"]:
        rows, normal = np.split(v, [len(sums.diagonal)])
        inside = (apply_form(contraction, codes, rows) - sums.diagonal[:, None] * rows) / unit
        return np.vstack([inside + cross @ normal, cross.T @ rows + corner @ normal])

    squares = sums.off_diagonal_squares / unit**2
    squares += 2 * float(np.sum(cross**2)) + float(np.sum(corner**2))
    trace = float(sums.diagonal.sum()) / unit + float(np.trace(corner))
    return TiledForm(apply, trace, squares)
