"""Clusters of observations: labels, numbered."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from kcm._arrays import decoded
from kcm.exceptions import DataError, OptionError

__all__ = ["group_codes"]


def group_codes(groups: Any, n_obs: int) -> Int[np.ndarray, " n"]:
    """Number the clusters 0, 1, ... in the order of their labels.

    Parameters
    ----------
    groups : array_like or Series of shape (n,), or None
        One label per observation, numbers or text, by position: the index of a pandas Series is
        not looked at, because a `FittedMoment` carries none to match it with. None puts each
        observation in a cluster of its own.
    n_obs : int
        n.

    Returns
    -------
    ndarray of shape (n,)
        Cluster numbers.

    Raises
    ------
    DataError
        On another shape, missing labels, labels of types that have no common order, or fewer
        than 3 clusters.
    OptionError
        On a column name.

    Examples
    --------
    >>> group_codes(["b", "a", "c", "a"], 4)
    array([1, 0, 2, 0])
    """
    if groups is None:
        return np.arange(n_obs)
    if isinstance(groups, str):
        raise OptionError(
            f"`groups` is the column name {groups!r}, but a FittedMoment has no columns; "
            "pass the array of cluster labels."
        )
    # NumPy turns a list of numbers and text into text, a missing label into "nan"
    entries = decoded(groups)
    labels = np.asanyarray(entries, dtype=object if isinstance(groups, list | tuple) else None)
    if labels.shape != (n_obs,):
        raise DataError(
            f"`groups` has shape {labels.shape}; expected one label per observation, ({n_obs},)."
        )
    missing = np.ma.getmaskarray(labels) | pd.isna(np.ma.getdata(labels))
    if missing.any():
        raise DataError(
            f"`groups` has {int(missing.sum())} missing labels; drop those rows before the fit or "
            "name them."
        )
    return _codes(np.ma.getdata(labels))


def _codes(labels: Shaped[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    try:
        levels, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        types = sorted({type(label).__name__ for label in labels.tolist()})
        raise DataError(
            f"`groups` mixes labels that have no common order ({', '.join(types)}); pass all of "
            "them as numbers or all as text."
        ) from error
    if len(levels) < 3:
        raise DataError(
            f"`groups` has {len(levels)} clusters; the null law needs at least 3 of them."
        )
    return codes
