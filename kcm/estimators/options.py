"""What a caller asks of a fit, read: starts, bounds and clusters."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from kcm._arrays import decoded
from kcm._options import as_generator, check_int, did_you_mean
from kcm.data import align, as_table, check_names, is_table
from kcm.exceptions import DataError, OptionError
from kcm.moments import BoundMoment, group_codes, told_values

__all__ = [
    "Box",
    "check_start",
    "read_bounds",
    "read_groups",
    "read_labels",
    "read_names",
    "read_starts",
    "read_values",
    "several",
]

# Each is a search of its own.
MOST_STARTS = 100_000

Box = tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]


def read_bounds(bounds: Any, labels: Sequence[str]) -> Box:
    """Read bounds by parameter name.

    Parameters
    ----------
    bounds : mapping, optional
        ``(lower, upper)`` by parameter; None for no bound. The name of an array of parameters, or
        of a group, bounds all its entries.
    labels : sequence of str

    Returns
    -------
    lower, upper : ndarray of shape (p,)

    Raises
    ------
    OptionError
        On names that are not parameters, and on bounds that are not pairs in order.
    """
    lower, upper = np.full(len(labels), -np.inf), np.full(len(labels), np.inf)
    if bounds is not None and not isinstance(bounds, Mapping):
        raise OptionError(
            "`bounds` must be a mapping of parameter names to (lower, upper); got "
            f"{type(bounds).__name__}."
        )
    for name, pair in (bounds or {}).items():
        own = _positions(str(name), labels)
        lower[own], upper[own] = _pair(str(name), pair, len(own))
    return lower, upper


def _positions(name: str, labels: Sequence[str]) -> list[int]:
    if name in labels:
        return [list(labels).index(name)]
    own = [j for j, label in enumerate(labels) if label.startswith((f"{name}[", f"{name}."))]
    if not own:
        raise OptionError(f"there is no parameter {name!r}{did_you_mean(name, labels)}")
    return own


def read_names(names: Any, labels: Sequence[str]) -> list[int]:
    """Return the positions of parameters by name; an array or a group stands for its entries.

    Raises
    ------
    OptionError
        On names that are not parameters, and on parameters named twice.
    """
    given = [names] if isinstance(names, str) else names
    if not isinstance(given, Iterable) or not all(isinstance(name, str) for name in given):
        raise OptionError(f"`names` must be a parameter's name or a list of them; got {names!r}.")
    found = [j for name in given for j in _positions(name, labels)]
    if not found or len(set(found)) < len(found):
        raise OptionError(f"`names` must name different parameters; got {names!r}.")
    return found


def read_values(params: Any, labels: Sequence[str]) -> tuple[list[int], Float[np.ndarray, " k"]]:
    """Return positions and values of parameters given by name.

    Raises
    ------
    OptionError
        On names that are not parameters, or given twice, and on values that are not numbers.
    """
    if not isinstance(params, Mapping | pd.Series):
        raise OptionError(
            f"`params` must be a mapping of parameter names to values; got {type(params).__name__}."
        )
    pairs = [(str(name), value) for name, value in params.items()]
    own = read_names([name for name, _ in pairs], labels)
    return own, np.concatenate([_numbers(name, value, labels) for name, value in pairs])


def _numbers(name: str, value: Any, labels: Sequence[str]) -> Float[np.ndarray, " k"]:
    size = len(_positions(name, labels))
    try:
        values = np.ravel(np.asarray(value)).astype(float)
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if len(values) != size or not np.isfinite(values).all():
        raise OptionError(f"the value of {name!r} must be {size} finite number; got {value!r}.")
    return values


def _pair(name: str, pair: Any, size: int) -> Box:
    try:
        low, high = pair
        lower = np.broadcast_to(np.ravel(-np.inf if low is None else low).astype(float), size)
        upper = np.broadcast_to(np.ravel(np.inf if high is None else high).astype(float), size)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"`bounds` of {name!r} must be a pair (lower, upper); got {pair!r}."
        ) from error
    if not (lower < upper).all():
        raise OptionError(f"`bounds` of {name!r} must have lower < upper; got {pair!r}.")
    return lower, upper


def read_starts(
    start: Any, bound: BoundMoment, box: Box, n_starts: int, rng: Any
) -> list[Float[np.ndarray, " p"]]:
    """Return the starts given, filled up to `n_starts` by draws around the first.

    Raises
    ------
    OptionError
        When a start lies outside the bounds, `n_starts` is not a positive number, or `rng` no
        source of randomness.
    """
    check_int(n_starts, "n_starts", most=MOST_STARTS)
    # the default start of a formula, zero, may lie outside the bounds
    default = [np.clip(bound.start, *box)]
    given = [bound.tree.vector(each, "start") for each in several(start)] or default
    for theta in given:
        _check_inside(theta, box, bound.tree.labels)
    generator = as_generator(rng)
    return given + [_draw(generator, given[0], box) for _ in range(n_starts - len(given))]


def several(start: Any) -> list[Any]:
    """Return a list of starts from one start, a list of them, or none."""
    if start is None:
        return []
    is_list = isinstance(start, list | tuple) and not hasattr(start, "_fields")
    if is_list and not start:
        raise OptionError("`start` is an empty list; give at least one start.")
    return list(start) if is_list else [start]


def _draw(rng: Any, first: Float[np.ndarray, " p"], box: Box) -> Float[np.ndarray, " p"]:
    """Uniform between two finite bounds, otherwise normal around the first start."""
    lower, upper = box
    inside = np.isfinite(lower) & np.isfinite(upper)
    around = first + np.maximum(np.abs(first), 1.0) * rng.normal(size=len(first))
    low, high = np.where(inside, lower, 0.0), np.where(inside, upper, 1.0)
    return np.clip(np.where(inside, rng.uniform(low, high), around), lower, upper)


def _check_inside(theta: Float[np.ndarray, " p"], box: Box, labels: Sequence[str]) -> None:
    lower, upper = box
    for label, value, low, high in zip(labels, theta, lower, upper, strict=True):
        if not low <= value <= high:
            raise OptionError(
                f"`start` has {label} = {value:.6g} outside its bounds ({low:.6g}, {high:.6g}); "
                "start inside them."
            )


def check_start(bound: BoundMoment, theta: Float[np.ndarray, " p"]) -> None:
    """Refuse a start at which a residual or its derivative is not finite.

    Raises
    ------
    DataError
        With the number of rows and the first of them.
    """
    values = bound.evaluate(theta)
    if values.finite:
        return
    psi = np.isfinite(values.residuals).all(axis=1)
    bad = ~(psi & np.isfinite(values.jacobian).all(axis=(1, 2)))
    first = int(np.flatnonzero(bad)[0])
    label = bound.kept[first] if bound.index is None else bound.index[first]
    what = "derivative of the residual" if psi.all() else "residual"
    told = told_values(bound.tree.labels, theta)
    raise DataError(
        f"the {what} is not finite in {int(bad.sum())} of {len(bad)} rows at {told} (first: row "
        f"{label!r}). Start where it is defined, or leave out those rows."
    )


def read_groups(cov_type: str, groups: Any, data: Any, bound: BoundMoment) -> Any:
    """Number the clusters of the rows used; None for independent observations.

    Parameters
    ----------
    cov_type : {"robust", "efficient", "cluster"}
    groups : str, Series or array_like, optional
        Name of a column of the data, labels aligned by index, or one label a row.
    data : data frame or mapping
    bound : BoundMoment

    Returns
    -------
    ndarray of int of shape (n,), or None

    Raises
    ------
    OptionError
        When `cov_type` and `groups` contradict each other.
    DataError
        When labels are missing or cannot be aligned.
    """
    if (cov_type == "cluster") != (groups is not None):
        raise OptionError(
            '`cov_type="cluster"` and `groups` belong together; '
            f"got cov_type={cov_type!r} and groups={'None' if groups is None else 'given'}."
        )
    return (
        None if groups is None else group_codes(read_labels(groups, data, bound.kept), bound.n_obs)
    )


def read_labels(groups: Any, data: Any, kept: Int[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    """Return cluster labels of the rows used: by column name, by index, or by position.

    Raises
    ------
    DataError
        When there is no such column, or the labels cannot be aligned.
    """
    table, index = as_table(data, "data")
    if isinstance(groups, str):
        check_names([groups], list(table.columns), "`groups`: the data")
        return np.asarray(table[groups])[kept]
    if is_table(groups):
        values, own = as_table(groups, "groups")
        if values.shape[1] > 1:
            raise DataError(
                f"`groups` has {values.shape[1]} columns; pass one, with a label for each row."
            )
        if own is not None and index is not None:
            labelled = values.set_axis(own, axis=0).iloc[:, 0]
            return np.asarray(align(labelled, index[kept], "groups"))
        groups = np.asarray(values.iloc[:, 0])
    # NumPy would turn a list of text and missing labels into text
    is_list = isinstance(groups, list | tuple)
    labels = np.asanyarray(decoded(groups), object if is_list else None)
    return _by_position(labels, len(table), kept)


def _by_position(labels: np.ndarray, n_rows: int, kept: Int[np.ndarray, " n"]) -> np.ndarray:
    if labels.ndim != 1 or len(labels) not in (n_rows, len(kept)):
        raise DataError(
            f"`groups` has shape {labels.shape}; expected one label for each of the {n_rows} rows "
            f"of the data, or of the {len(kept)} that are complete."
        )
    return labels[kept] if len(labels) == n_rows else labels
