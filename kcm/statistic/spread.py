"""A null law must have a spread: one without it says nothing."""

import numpy as np

from kcm.exceptions import DataError
from kcm.statistic.contraction import ROUNDING, Contraction

__all__ = ["check_spread", "no_spread"]


def no_spread() -> DataError:
    """Return the error that a law without variance raises."""
    return DataError(
        "the null law is a constant: no pair of observations is within reach of the kernel. "
        "Pass a wider `bandwidth`."
    )


def check_spread(spread: float, contraction: Contraction) -> None:
    """Refuse a law whose spread is rounding error: no pair of observations is within reach.

    Parameters
    ----------
    spread : float
        A standard deviation, or the largest distance of draws from the statistic.
    contraction : Contraction

    Raises
    ------
    DataError
    """
    squares = np.sum(contraction.scaled_residuals**2, axis=1)
    summed = contraction.factor * float(contraction.gram.diagonal() @ squares)
    # draws in single precision that are close to the statistic are computed again in double
    if not spread > ROUNDING["double"] * summed:
        raise no_spread()
