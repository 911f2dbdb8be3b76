"""Conditional moments as a user states them: a residual, and what it is conditioned on."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import pandas as pd

from kcm._arrays import as_float_columns_with_missing
from kcm.data import Sample, align, as_table, check_names, formula_variables, is_table, is_text
from kcm.exceptions import DataError, MomentError, OptionError
from kcm.moments.binding import BoundMoment, fingerprint
from kcm.moments.parameters import ParameterTree
from kcm.moments.residuals import trace_residual

__all__ = ["ConditionalMoment", "Moment"]


class Moment(abc.ABC):
    """The claim E[psi(Z; theta) | X] = 0, before it meets data.

    Examples
    --------
    >>> isinstance(ConditionalMoment(lambda params, row: row["y"] - params["b"], "x"), Moment)
    True
    """

    __slots__ = ()

    @abc.abstractmethod
    def bind(self, data: Any, params: Any, argument: str) -> BoundMoment:
        """Read the rows and the parameters that the moment needs.

        Parameters
        ----------
        data : data frame or mapping
        params : mapping, Series or pytree, or None
            Parameter values by name.
        argument : str
            The name of the argument that held `params`, for messages.
        """


@final
@dataclass(frozen=True, slots=True, eq=False)
class ConditionalMoment(Moment):
    r"""Your own conditional moment, :math:`E[\psi(Z; \theta) \mid X] = 0`.

    Parameters
    ----------
    residual : callable
        ``residual(params, row)`` for ONE observation, written with `jax.numpy`: `params` holds the
        parameters by name, as the start of the search gives them (numbers or arrays), `row` the
        value of each column by name. It returns psi, one number, or a vector (array, list or
        tuple) of q numbers for a moment of q components. The sample is covered by `jax.vmap` and
        jacobians come from automatic differentiation.
    conditioning : str, list of str, data frame or array_like of shape (n,) or (n, d)
        The variables X: the name of a column, several names, the right side of a formula such as
        ``"z1 + np.log(z2)"`` (the variables that it mentions), or the values themselves, aligned
        with the data by index where both carry one.
    name : str, optional
        The residual in words, for summaries. Default: the name of the function.
    components : sequence of str, optional
        Names of the q components. Default psi1, psi2, ...

    Raises
    ------
    OptionError
        When `residual` cannot be called, or `conditioning` names nothing.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> import kcm
    >>> def decay(params, row):
    ...     return row["y"] - params["a"] * jnp.exp(-params["b"] * row["x"])
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(0, 3, size=200)
    >>> data = {"x": x, "y": 2 * np.exp(-0.5 * x) + 0.1 * rng.normal(size=200)}
    >>> results = kcm.MMR(kcm.ConditionalMoment(decay, "x"), data).fit({"a": 1.0, "b": 1.0})
    >>> results.params.round(1).to_dict()
    {'a': 2.0, 'b': 0.5}
    """

    residual: Any
    conditioning: Any
    name: str | None = None
    components: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if not callable(self.residual):
            raise OptionError(
                "`residual` must be a function of (params, row); got "
                f"{type(self.residual).__name__}."
            )
        if isinstance(self.conditioning, str | Sequence) and not len(self.conditioning):
            raise OptionError("`conditioning` must name at least one variable; got none.")

    def bind(self, data: Any, params: Any, argument: str) -> BoundMoment:
        """Read the columns that the residual uses and the conditioning variables."""
        if params is None:
            raise OptionError(
                f"`{argument}` is needed: it names the parameters of the residual and says where "
                'to start, for example {"beta": 0.9}.'
            )
        tree = ParameterTree.of(params, argument)
        table, index = as_table(data, "data")
        traced = trace_residual(self.residual, tree, tuple(table.columns), len(table))
        conditioning = _conditioning(self.conditioning, table, index)
        sample = _complete(table, index, traced.columns, conditioning)
        return BoundMoment(
            residual=traced,
            tree=tree,
            start=tree.vector(params, argument),
            rows=sample.values[:, : len(traced.columns)],
            conditioning=sample.values[:, len(traced.columns) :],
            conditioning_names=tuple(conditioning.columns),
            kept=sample.kept,
            n_dropped=sample.n_dropped,
            index=sample.index,
            name=self.name or str(getattr(self.residual, "__name__", "psi")),
            components=_components(self.components, traced.n_components),
            fingerprint=fingerprint(table[list(traced.columns)], conditioning),
        )


def _components(names: Sequence[str] | None, q: int) -> tuple[str, ...]:
    if names is None:
        return ("psi",) if q == 1 else tuple(f"psi{c + 1}" for c in range(q))
    if len(set(names)) != q or len(names) != q:
        raise MomentError(
            f"`components` must name each of the {q} numbers that `residual` returns; got "
            f"{list(names)}."
        )
    return tuple(names)


def _conditioning(given: Any, table: pd.DataFrame, index: pd.Index | None) -> pd.DataFrame:
    """Conditioning variables on all rows of the data."""
    names = _names(given, table)
    if names is not None:
        check_names(names, list(table.columns), "`conditioning`: the data")
        return table[list(names)].reset_index(drop=True)
    values, own = _values(given)
    if own is not None and index is not None:
        values = align(values.set_axis(own, axis=0), index, "conditioning")
    if len(values) != len(table):
        raise DataError(
            f"`conditioning` has {len(values)} rows and the data have {len(table)}; pass one row "
            "for each row of the data, or a data frame with the index of the data."
        )
    return values.reset_index(drop=True)


def _names(given: Any, table: pd.DataFrame) -> tuple[str, ...] | None:
    if isinstance(given, str):
        return (given,) if given in table.columns else _formula_names(given)
    if isinstance(given, Sequence) and all(isinstance(name, str) for name in given):
        return tuple(dict.fromkeys(given))
    return None


def _formula_names(part: str) -> tuple[str, ...]:
    return formula_variables(f"y ~ {part.strip().lstrip('|')}", "regressors")


def _values(given: Any) -> tuple[pd.DataFrame, pd.Index | None]:
    if is_table(given):
        return as_table(given, "conditioning")
    columns = as_float_columns_with_missing(given, "conditioning")
    return pd.DataFrame(columns, columns=[f"x{j + 1}" for j in range(columns.shape[1])]), None


def _complete(
    table: pd.DataFrame,
    index: pd.Index | None,
    columns: Sequence[str],
    conditioning: pd.DataFrame,
) -> Sample:
    """Rows without missing values in the columns used, conditioning variables last."""
    _refuse_text(conditioning)
    used = [table[name].array for name in columns]
    used += [conditioning[name].array for name in conditioning]
    told = [*columns, *(_distinct(str(name), columns) for name in conditioning)]
    frame = pd.DataFrame(dict(zip(told, used, strict=True)), index=index)
    return Sample.from_frame(frame if index is not None else dict(frame))


def _distinct(name: str, taken: Sequence[str]) -> str:
    return f"{name} (conditioning)" if name in taken else name


def _refuse_text(conditioning: pd.DataFrame) -> None:
    for name in conditioning:
        if is_text(conditioning[name]):
            raise DataError(
                f"`conditioning`: the variable {name!r} holds text or categories; estimation takes "
                "numeric variables, for example indicators from pandas.get_dummies."
            )
