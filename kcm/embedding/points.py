"""New points, read as the conditioning variables of a moment were."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from kcm._arrays import as_float_columns
from kcm._options import did_you_mean, listed
from kcm.data import as_table, is_table, numeric_column
from kcm.exceptions import DataError, OptionError
from kcm.moments import MomentLabels

__all__ = ["as_points", "positions"]


def as_points(x: Any, labels: MomentLabels) -> Float[np.ndarray, "m d"]:
    """Return points in the columns and the codes of a moment.

    Parameters
    ----------
    x : array_like or table
        An array of shape (m, d) or, with one variable, (m,), with codes for categories; or a
        table with the conditioning variables by name, categories as they were in the data.
    labels : MomentLabels

    Returns
    -------
    ndarray of shape (m, d)

    Raises
    ------
    DataError
        When a variable or a level is not known, or an entry is missing.

    Examples
    --------
    >>> labels = MomentLabels(conditioning=("city",), kinds=("unordered",), levels=(("a", "b"),))
    >>> as_points({"city": ["b", "a"]}, labels).ravel()
    array([1., 0.])
    """
    if not is_table(x):
        points = as_float_columns(x, "x")
        if points.shape[1] != len(labels.conditioning):
            raise DataError(
                f"`x` has {points.shape[1]} columns; expected one per conditioning variable, "
                f"{len(labels.conditioning)}: {listed(labels.conditioning)}."
            )
        return points
    table, _ = as_table(x, "x")
    lacking = [name for name in labels.conditioning if name not in table]
    if lacking:
        raise DataError(
            f"`x` lacks {listed(lacking)}; expected a column for each conditioning variable, and "
            f"got {listed(str(name) for name in table)}."
        )
    pairs = zip(labels.conditioning, labels.levels, strict=True)
    columns = [_column(table[name], levels, name) for name, levels in pairs]
    return as_float_columns(np.column_stack(columns), "x")


def _column(column: Any, levels: tuple[str, ...], name: str) -> Float[np.ndarray, " m"]:
    if not levels:
        return numeric_column(column, f"column {name!r} of `x`")
    codes = {level: float(code) for code, level in enumerate(levels)}
    words = [str(entry) for entry in column]
    unknown = [word for word in dict.fromkeys(words) if word not in codes]
    if unknown:
        raise DataError(
            f"column {name!r} of `x` has the levels {listed(unknown)}, which the data of the test "
            f"do not have; they have {listed(levels)}."
        )
    return np.array([codes[word] for word in words])


def positions(variables: str | Sequence[str], labels: MomentLabels) -> list[int]:
    """Return the positions of conditioning variables.

    Raises
    ------
    OptionError
        When one is not a conditioning variable, or none is named.

    Examples
    --------
    >>> positions("age", MomentLabels(conditioning=("sex", "age")))
    [1]
    """
    chosen = [variables] if isinstance(variables, str) else list(variables)
    known = labels.conditioning
    if not chosen:
        raise OptionError(f"`variables` is empty; name at least one of {listed(known)}.")
    for name in chosen:
        if name not in known:
            hint = did_you_mean(str(name), known)
            raise OptionError(
                f"`variables` has {name!r}, which is not conditioned on{hint} "
                f"The conditioning variables are {listed(known)}."
            )
    return [known.index(name) for name in chosen]
