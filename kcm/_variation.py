"""Columns that vary, and an order of rows that is a property of their values."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int

from kcm.exceptions import DataError

__all__ = ["check_varies", "rows_by_value"]


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


def rows_by_value(x: Float64[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
    """Order rows by their distance from the mean on standardised columns, then by their values.

    What is drawn from this order does not change when rows are permuted, or columns are shifted,
    rescaled, mirrored or permuted, save for rows at the same distance.

    Parameters
    ----------
    x : ndarray, shape (n, d)

    Returns
    -------
    ndarray, shape (n,)
        Positions of the rows.

    Examples
    --------
    >>> rows_by_value(np.array([[3.0], [1.0], [0.0]]))
    array([1, 2, 0])
    """
    deviation = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    distance = np.einsum("ij,ij->i", z, z)
    order = np.argsort(distance)
    tied = np.flatnonzero(np.diff(distance[order]) == 0)
    if tied.size:
        places = np.union1d(tied, tied + 1)
        rows = order[places]
        order[places] = rows[np.lexsort((*z[rows].T, distance[rows]))]
    return order
