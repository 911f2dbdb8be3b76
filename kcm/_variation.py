"""Columns that vary, and an order of rows that is a property of their values."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int

from kcm.exceptions import DataError

__all__ = ["check_sizes", "check_varies", "rows_by_value", "units_of"]

# Numbers of which sums, differences and quotients are doubles with all their digits.
LARGEST, SMALLEST_RANGE = 1e307, 1e-290
# Standardised numbers this close to each other are the same up to rounding.
SAME = 1e-9


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
    # a column at a time: its numbers side by side
    columns = np.ascontiguousarray(values.T)
    low, high = columns.min(axis=1) / 2, columns.max(axis=1) / 2  # halves: a sum may overflow
    rounding = 8 * np.finfo(np.float64).eps * np.maximum(np.abs(low), np.abs(high))
    constant = high - low <= rounding
    if constant.any():
        told = ", ".join(repr(name) for name, flat in zip(names, constant, strict=True) if flat)
        raise DataError(
            f"conditioning columns must vary, but {told} is the same in every row (up to "
            "rounding); leave it out."
            if constant.sum() == 1
            else f"conditioning columns must vary, but {told} are the same in every row (up to "
            "rounding); leave them out."
        )


def check_sizes(values: Float64[np.ndarray, "n k"], names: Sequence[str]) -> None:
    """Check that distances of conditioning columns are doubles with all their digits.

    Parameters
    ----------
    values : ndarray, shape (n, k)
        The columns.
    names : sequence of str
        Their k names.

    Raises
    ------
    DataError
        If a column holds numbers beyond 1e307, or varies by less than 1e-290; the message names it
        and a factor.

    Examples
    --------
    >>> check_sizes(np.array([[1.0], [2e200]]), ["age"])
    """
    for name, column in zip(names, values.T, strict=True):
        low, high = float(column.min()), float(column.max())
        largest = max(-low, high)
        if largest > LARGEST:
            raise DataError(
                f"the conditioning column {name!r} holds numbers of {largest:.3g}, and distances "
                f"between such numbers overflow; divide it by {_power_of_ten(largest)}, which "
                "changes its unit only."
            )
        if 0 < high - low < SMALLEST_RANGE:
            raise DataError(
                f"the conditioning column {name!r} varies by {high - low:.3g} only, and distances "
                f"between such numbers are lost in double precision; divide it by "
                f"{_power_of_ten(high - low)}, which changes its unit only."
            )


def _power_of_ten(size: float) -> str:
    return f"1e{math.floor(math.log10(size)):d}"


def units_of(x: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, " d"]:
    """Return a power of two of the size of each column, by which sums and squares are doubles.

    Examples
    --------
    >>> units_of(np.array([[0.0, 3e300], [5.0, 0.0]])) == [8.0, 2.0**999]
    array([ True,  True])
    """
    largest = np.maximum(x.max(axis=0), -x.min(axis=0))
    return np.ldexp(1.0, np.minimum(np.frexp(largest)[1], 1023))


def rows_by_value(x: Float64[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
    """Order rows by their distance from the mean on standardised columns, then by their values.

    What is drawn from this order does not change when rows are permuted, or columns are shifted,
    rescaled, mirrored or permuted, save for rows at the same distance, which mirroring and
    permuting columns may reorder. Numbers are the same up to 1e-9.

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
    z = _standardised(np.ascontiguousarray(x.T))
    distance = np.einsum("ji,ji->i", z, z)
    order = np.argsort(distance)
    larger = _larger(distance[order])
    tied = np.flatnonzero(~larger)
    if tied.size:
        places = np.union1d(tied - 1, tied)
        rows = order[places]
        ranks = [_ranks(column[rows]) for column in z]
        order[places] = rows[np.lexsort((*ranks, np.cumsum(larger)[places]))]
    return order


def _standardised(columns: Float64[np.ndarray, "d n"]) -> Float64[np.ndarray, "d n"]:
    z = columns - columns.mean(axis=1, keepdims=True)
    # a mean far from zero has its rounding error, which moves rows on opposite sides apart
    z -= z.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.einsum("ji,ji->j", z, z) / z.shape[1])[:, None]
    z /= np.where(deviation > 0, deviation, 1.0)
    return z


def _larger(ascending: Float64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Tell which of ascending numbers are larger than the one before by more than rounding."""
    steps = np.diff(ascending, prepend=-np.inf)
    return steps > SAME * np.maximum(np.abs(ascending), 1.0)


def _ranks(values: Float64[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Number values by size; those that differ by rounding have the same number."""
    order = np.argsort(values)
    ranks = np.empty(len(values), np.int64)
    ranks[order] = np.cumsum(_larger(values[order]))
    return ranks
