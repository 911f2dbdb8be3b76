"""One row on which a p-value rests: its leverage is close to one."""

import numpy as np

from kcm.moments.fitted import FittedMoment
from kcm.moments.scaling import scaled_residuals

__all__ = ["high_leverage_notes"]

# A leverage above about one half: its residual enters the law four times as large.
SMALL_SCALE = 0.25
# Such a row decides where it makes up more than this share of the squares of all rows.
DECIDING_SHARE = 0.5


def high_leverage_notes(moment: FittedMoment) -> tuple[str, ...]:
    """Name the row, if there is one, whose scaled residual outweighs all others.

    Fitting pulls the residual of such a row towards zero. The scale (`leverage_scale`) undoes that,
    so that the law of the statistic is that of this row's product with itself and others, and
    departures elsewhere cannot be told from it.
    """
    if moment.scale is None or moment.scale.min() >= SMALL_SCALE:
        return ()
    squares = scaled_residuals(moment) ** 2
    row, component = np.unravel_index(np.argmax(squares), squares.shape)
    scale, share = moment.scale[row, component], squares[row, component] / squares.sum()
    if not (scale < SMALL_SCALE and share > DECIDING_SHARE):
        return ()
    return (
        f"The p-value rests on row {row} (counted from 0), whose leverage is close to one: its "
        f"residual enters the law {1 / scale:.0f} times as large, {share:.0%} of all squares. Fit "
        "without this row, and see result.size_check()",
    )
