"""The linear function of the columns that is closest to an index."""

import numpy as np
from jaxtyping import Float

__all__ = ["index_weights"]

# Share of the variance of an index from which on a linear function stands for it.
LEAST_SHARE = 0.5


def index_weights(
    x: Float[np.ndarray, "n d"], index: Float[np.ndarray, "n k"]
) -> Float[np.ndarray, "k d"] | None:
    """Return the slopes of the regression of an index on the columns; None where it explains less.

    The function of the columns is what a test may look at: given x, a residual that has mean zero
    has mean zero given any function of x, but not given an index of regressors outside x.
    """
    deviations = x.std(axis=0)
    columns = (x - x.mean(axis=0)) / deviations
    centred = index - index.mean(axis=0)
    slopes = np.linalg.lstsq(columns, centred, rcond=None)[0]
    explained = np.sum((columns @ slopes) ** 2, axis=0)
    spread = np.sum(centred**2, axis=0)
    close = (explained > 0) & (explained >= LEAST_SHARE * spread)
    return slopes.T / deviations if close.all() else None
