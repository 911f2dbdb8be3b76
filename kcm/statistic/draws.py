"""Draws of the multiplier form.

A row of multipliers holds one for each observation or cluster, and after them the normal ones of a
theta from another sample (`kcm.statistic.border`).
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from kcm.gram import LowRankGram, Precision, largest_value
from kcm.statistic.border import border_draws
from kcm.statistic.contraction import Contraction
from kcm.statistic.form import form_matrix
from kcm.statistic.low_rank import LowRankForm, low_rank_draws, low_rank_form

__all__ = ["draw", "drawer"]

# Up to this many clusters draws come from the matrix B itself.
MAX_CLUSTERS = 2_000
# Draws in single precision this close to the statistic, relative to what is rounded, are verified.
CLOSE = 1e-4

Draws = Callable[[Float[np.ndarray, "b l"]], Float[np.ndarray, " b"]]
Offset = float | Float[np.ndarray, " b"]


def drawer(contraction: Contraction, codes: Int[np.ndarray, " n"]) -> Draws:
    """Return the function that turns multipliers, one row per draw, into draws.

    For some clusters B is found once, in double precision, and draws cost nothing: few clusters
    have few draws, which must tie exactly. Otherwise a draw costs a product with the Gram matrix.
    """
    m = int(codes.max()) + 1
    if m < len(codes) and m <= MAX_CLUSTERS:
        return partial(_quadratic, form_matrix(contraction, codes), contraction.offset)
    if isinstance(contraction.gram, LowRankGram):
        return partial(_low_rank, contraction, low_rank_form(contraction), codes)
    return partial(
        draw, contraction, codes, largest_value(contraction.kernel, contraction.conditioning)
    )


def _split(
    contraction: Contraction, codes: Int[np.ndarray, " n"], multipliers: Float[np.ndarray, "b l"]
) -> tuple[Float[np.ndarray, "b m"], Offset]:
    """Return the multipliers of the rows, and e with what the border adds to it."""
    edge = contraction.border
    if edge.n_columns == 0:
        return multipliers, contraction.offset
    rows, normal = np.split(multipliers, [multipliers.shape[1] - edge.n_columns], axis=1)
    return rows, contraction.offset + border_draws(edge, codes, rows, normal)


def _quadratic(
    form: Float[np.ndarray, "l l"], offset: float, multipliers: Float[np.ndarray, "b l"]
) -> Float[np.ndarray, " b"]:
    return offset + np.einsum("bm,bm->b", multipliers @ form, multipliers)


def _low_rank(
    contraction: Contraction,
    form: LowRankForm,
    codes: Int[np.ndarray, " n"],
    multipliers: Float[np.ndarray, "b l"],
) -> Float[np.ndarray, " b"]:
    rows, offset = _split(contraction, codes, multipliers)
    return offset + low_rank_draws(form, codes, rows)


def draw(
    contraction: Contraction,
    codes: Int[np.ndarray, " n"],
    largest: float,
    multipliers: Float[np.ndarray, "b l"],
) -> Float[np.ndarray, " b"]:
    """Return (w, z)'B(w, z) + e for each row of `multipliers`, w expanded by `codes`.

    A draw in single precision that comes close to the statistic is computed again in double, so
    that the p-value is that of double precision. The terms of a form may cancel: its rounding is
    in units of max |k| sum v_i^2, `largest` being max |k|.
    """
    c, execution = contraction, contraction.gram.execution
    rows, offset = _split(c, codes, multipliers)
    draws, summed = _draws(c, codes, rows, execution.of_draws)
    draws += offset
    if execution.precision == "mixed":
        squares = np.bincount(codes, np.sum(c.scaled_residuals**2, axis=1))
        rounded = summed + c.factor * largest * (rows**2 @ squares)
        # a draw that is not finite is close, too
        close = ~(np.abs(draws - c.statistic) > CLOSE * rounded)
        if close.any():
            again = np.broadcast_to(offset, draws.shape)[close]
            draws[close] = again + _draws(c, codes, rows[close], "double")[0]
    return draws


def _draws(
    contraction: Contraction,
    codes: Int[np.ndarray, " n"],
    multipliers: Float[np.ndarray, "b m"],
    precision: Precision,
) -> tuple[Float[np.ndarray, " b"], Float[np.ndarray, " b"]]:
    """Return w'Bw for each row, and the size of what is summed in it."""
    c = contraction
    w = np.ascontiguousarray(multipliers.T[codes])
    columns = np.hstack([r[:, None] * w for r in c.scaled_residuals.T])
    forms = c.gram.forms(columns, precision)
    plain = forms.reshape(c.scaled_residuals.shape[1], -1).sum(axis=0)
    removed = (c.removed * np.sum(c.scaled_residuals**2, axis=1)) @ w**2
    corrected = 2 * np.sum((c.projection.T @ w) * (c.scaled_influence.T @ w), axis=0)
    summed = np.abs(plain) + np.abs(corrected)
    return c.factor * (plain - removed + corrected), c.factor * summed
