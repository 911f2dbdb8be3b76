"""Columns that vary, and columns that do not."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from kcm.exceptions import DataError

__all__ = ["check_varies"]


def check_varies(values: Float64[np.ndarray, "n k"], names: Sequence[str]) -> None:
    """Check that no conditioning column is constant up to rounding.

    Parameters
    ----------
    values : ndarray, shape (n, k)
        The columns.
    names : sequence of str
        Their k names.

    Raises
    ------
    DataError
        If a column's largest and smallest value differ by at most 8 eps times its largest
        magnitude; the message names the columns.

    Examples
    --------
    >>> check_varies(np.array([[1.0], [2.0]]), ["age"])
    """
    rounding = 8 * np.finfo(np.float64).eps * np.abs(values).max(axis=0)
    constant = np.ptp(values, axis=0) <= rounding
    if constant.any():
        told = ", ".join(repr(name) for name, flat in zip(names, constant, strict=True) if flat)
        raise DataError(
            f"conditioning columns must vary, but {told} is the same in every row (up to "
            "rounding); leave it out."
        )
