"""Named parameters, as the tree that a residual function reads and as one vector."""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import jax
import numpy as np
import pandas as pd
from jaxtyping import Float

from kcm._arrays import as_floats
from kcm.exceptions import DataError, OptionError

__all__ = ["ParameterTree", "told_values"]


@final
@dataclass(frozen=True, slots=True)
class ParameterTree:
    """The names and shapes of parameters.

    Build one with `ParameterTree.of`.

    Parameters
    ----------
    structure : jax.tree_util.PyTreeDef
    shapes : tuple of tuple of int
        One per leaf.
    labels : tuple of str
        One per number: ``"beta"``, ``"gamma[0]"``, ``"demand.price"``.

    Examples
    --------
    >>> tree = ParameterTree.of({"beta": 0.9, "gamma": [1.0, 2.0]})
    >>> tree.labels
    ('beta', 'gamma[0]', 'gamma[1]')
    >>> tree.vector({"gamma": [1.0, 2.0], "beta": 0.9}, "start")
    array([0.9, 1. , 2. ])
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, params: Any, argument: str = "start") -> "ParameterTree":
        """Read the structure of parameters given as a mapping, a Series or another pytree.

        Parameters
        ----------
        params : mapping, Series or pytree
            Numbers or arrays by name, in the order that results will list them.
        argument : str
            The argument's name, for messages.

        Returns
        -------
        ParameterTree

        Raises
        ------
        DataError
            When a parameter is not a finite number or an array of them.
        OptionError
            When there are no named parameters, or two labels coincide.
        """
        paths, structure = jax.tree_util.tree_flatten_with_path(_named(params, argument))
        arrays = [_leaf(path, leaf, argument) for path, leaf in paths]
        labels = [
            label for (path, _), a in zip(paths, arrays, strict=True) for label in _labels(path, a)
        ]
        if not labels or len(set(labels)) < len(labels):
            raise OptionError(
                f"`{argument}` must name each parameter once; got the names {labels}."
            )
        return cls(structure, tuple(array.shape for array in arrays), tuple(labels))

    @property
    def n_params(self) -> int:
        """Number of numbers."""
        return len(self.labels)

    def vector(self, params: Any, argument: str) -> Float[np.ndarray, " p"]:
        """Return parameters of this structure as one vector.

        Parameters
        ----------
        params : mapping, Series or pytree
            Also a Series, or a mapping, by `labels`.
        argument : str
            The argument's name, for messages.

        Returns
        -------
        ndarray of shape (p,)

        Raises
        ------
        OptionError
            When names or shapes are not those of this structure.
        """
        if isinstance(params, Mapping | pd.Series) and set(params.keys()) == set(self.labels):
            return _by_label(params, self.labels, argument)
        other = ParameterTree.of(params, argument)
        if set(other.labels) != set(self.labels):
            raise OptionError(
                f"`{argument}` must hold the parameters {', '.join(self.labels)}; got "
                f"{', '.join(other.labels)}."
            )
        leaves = jax.tree_util.tree_leaves(_named(params, argument))
        values = np.concatenate([np.asarray(leaf, float).ravel() for leaf in leaves])
        return values[[other.labels.index(label) for label in self.labels]]

    def tree(self, vector: Any) -> Any:
        """Return the parameters as the tree that the residual reads; traced vectors pass."""
        return jax.tree_util.tree_unflatten(self.structure, self._split(vector))

    def _split(self, vector: Any) -> list[Any]:
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])
        starts = np.concatenate([[0], ends[:-1]])
        parts = zip(starts, ends, self.shapes, strict=True)
        return [vector[int(a) : int(b)].reshape(shape) for a, b, shape in parts]


def told_values(labels: Sequence[str], values: Any) -> str:
    """Write parameters with their values, for messages."""
    return ", ".join(f"{name} = {value:.6g}" for name, value in zip(labels, values, strict=True))


def _named(params: Any, argument: str) -> Any:
    """Keep the order in which a mapping names its parameters; JAX would sort them."""
    if isinstance(params, pd.Series):
        params = _from_labels(params, argument)
    if isinstance(params, Mapping):
        if not all(isinstance(name, str) for name in params):
            raise OptionError(f"the parameters in `{argument}` must have text as names.")
        return OrderedDict((name, _named(value, argument)) for name, value in params.items())
    if isinstance(params, list | tuple) and not hasattr(params, "_fields"):
        return _array(params, argument)
    return params


def _from_labels(values: pd.Series, argument: str) -> dict[str, Any]:
    """Put numbers by label, as results list them, back into arrays and groups."""
    tree: dict[str, Any] = {}
    for label, value in values.items():
        name, _, index = str(label).partition("[")
        *groups, leaf = name.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        if not index:
            branch[leaf] = value
            continue
        branch.setdefault(leaf, {})[tuple(map(int, index.rstrip("]").split(",")))] = value
    return {name: _filled(branch, argument) for name, branch in tree.items()}


def _filled(branch: Any, argument: str) -> Any:
    if not isinstance(branch, dict):
        return branch
    if not all(isinstance(key, tuple) for key in branch):
        return {name: _filled(value, argument) for name, value in branch.items()}
    shape = tuple(np.max(list(branch), axis=0) + 1)
    if math.prod(shape) != len(branch):
        raise OptionError(f"`{argument}` must give every entry of an array of parameters.")
    array = np.empty(shape, object)
    for index, value in branch.items():
        array[index] = value
    return array.astype(float)


def _array(values: Any, argument: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"`{argument}` holds a list that is no array: {values!r}.") from error


def _leaf(path: tuple[Any, ...], leaf: Any, argument: str) -> Float[np.ndarray, "..."]:
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    if not path:
        raise OptionError(
            f"`{argument}` must be a mapping of parameter names to numbers or arrays, such as "
            f'{{"beta": 0.9}}; got {type(leaf).__name__}.'
        )
    subject = f"parameter {name!r} of `{argument}`"
    array = np.asarray(leaf)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{subject} is {array}; give finite numbers.")
    return as_floats(np.atleast_1d(array), subject).reshape(array.shape)


def _labels(path: tuple[Any, ...], array: Float[np.ndarray, "..."]) -> list[str]:
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    if array.ndim == 0:
        return [name]
    return [f"{name}[{', '.join(map(str, index))}]" for index in np.ndindex(array.shape)]


def _by_label(params: Any, labels: tuple[str, ...], argument: str) -> Float[np.ndarray, " p"]:
    values = _array([params[label] for label in labels], argument)
    if values.ndim != 1:
        raise OptionError(f"`{argument}` must give one number for each of {', '.join(labels)}.")
    return as_floats(values, f"`{argument}`").copy()
