"""Linear conditional moments by formula: one equation or a system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, final

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from kcm.data import (
    SIDES,
    Sample,
    as_table,
    check_names,
    design_like,
    formula_variables,
    regressor_variables,
)
from kcm.exceptions import DataError, OptionError
from kcm.moments.binding import BoundMoment, fingerprint
from kcm.moments.conditional import Moment
from kcm.moments.parameters import ParameterTree
from kcm.moments.residuals import trace_residual

__all__ = ["LinearMoment"]


@final
@dataclass(frozen=True, slots=True)
class LinearMoment(Moment):
    """Linear equations y = x'b + psi with E[psi | z] = 0, by formula.

    Parameters
    ----------
    formulas : str, sequence of str or mapping of str to str
        ``"y ~ x1 + x2 | z1 + z2"``: outcome, regressors, and after the bar the variables
        conditioned on; without a bar those that the regressors mention. Several formulas make a
        system, whose equations are all conditioned on every variable that one of them names.

    Raises
    ------
    OptionError
        When there is no formula, one is not text, or two equations have the same name.

    Examples
    --------
    >>> LinearMoment({"demand": "q ~ p + r | r + w", "supply": "q ~ p + w | r + w"}).names
    ('demand', 'supply')
    """

    formulas: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "formulas", _by_name(self.formulas))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the equations: those given, or the outcomes."""
        return tuple(name for name, _ in self.formulas)

    def bind(self, data: Any, params: Any, argument: str) -> BoundMoment:
        """Evaluate the formulas on the rows that are complete for all equations."""
        samples, n_dropped = _samples([formula for _, formula in self.formulas], data)
        pairs = list(zip(self.names, samples, strict=True))
        residual = LinearResidual(tuple(_equation(name, sample) for name, sample in pairs))
        tree = ParameterTree.of(residual.zeros(), argument)
        columns = {name: s.matrix(name)[:, 0] for s in samples for name in _design_names(s)}
        conditioning = {n: s.matrix(n)[:, 0] for s in samples for n in s.role("conditioning")}
        if not conditioning:
            raise OptionError(
                "the formula mentions no variable to condition on; name some after a bar, as in "
                "'y ~ 1 | z'."
            )
        traced = trace_residual(residual, tree, tuple(columns), samples[0].n_obs)
        return BoundMoment(
            residual=traced,
            tree=tree,
            start=np.zeros(tree.n_params) if params is None else tree.vector(params, argument),
            rows=np.column_stack([columns[name] for name in traced.columns]),
            conditioning=np.column_stack(list(conditioning.values())),
            conditioning_names=tuple(conditioning),
            kept=samples[0].kept,
            n_dropped=n_dropped,
            index=samples[0].index,
            name=_told(samples),
            components=self.names,
            fingerprint=fingerprint(_variables(self.formulas, data)),
            response=np.hstack([s.matrix(s.role("response")) for s in samples]),
            exogenous_columns=_exogenous(self.formulas, data, samples),
        )

    def predict(
        self, theta: Float[np.ndarray, " p"], rows: pd.DataFrame, new: pd.DataFrame
    ) -> Float[np.ndarray, "m q"]:
        """Predict the outcomes of new rows.

        Parameters
        ----------
        theta : ndarray of shape (p,)
        rows : pandas.DataFrame
            The rows of the estimate: transforms such as `center` keep what they learned there.
        new : pandas.DataFrame
            The variables of the regressors.

        Returns
        -------
        ndarray of shape (m, q)
        """
        designs = [_new_design(formula, rows, new) for _, formula in self.formulas]
        parts = np.split(theta, np.cumsum([design.shape[1] for design in designs])[:-1])
        return np.column_stack([d @ b for d, b in zip(designs, parts, strict=True)])


@final
@dataclass(frozen=True, slots=True)
class Equation:
    """Names of an equation, its outcome and its regressors."""

    name: str
    response: str
    regressors: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class LinearResidual:
    """Outcome less prediction of each equation, as a function of parameters and one row."""

    equations: tuple[Equation, ...]

    def __call__(self, params: Any, row: Mapping[str, Any]) -> list[Any]:
        """Return one residual per equation."""
        own = params if len(self.equations) > 1 else {self.equations[0].name: params}
        return [
            row[e.response] - sum(own[e.name][x] * row[x] for x in e.regressors)
            for e in self.equations
        ]

    def zeros(self) -> dict[str, Any]:
        """Return parameters of zero, by equation where there are several."""
        zeros = {e.name: dict.fromkeys(e.regressors, 0.0) for e in self.equations}
        return zeros if len(zeros) > 1 else next(iter(zeros.values()))


def _by_name(formulas: Any) -> tuple[tuple[str, str], ...]:
    if isinstance(formulas, str):
        formulas = [formulas]
    if isinstance(formulas, Mapping):
        named = tuple((str(name), formula) for name, formula in formulas.items())
    else:
        named = tuple((_outcome(formula), formula) for formula in _listed(formulas))
    if len({name for name, _ in named}) < len(named) or not named:
        raise OptionError(
            f"`formulas` must be one or more equations with names of their own; got "
            f"{[name for name, _ in named]}. Pass a mapping of names to formulas."
        )
    for _, formula in named:
        _outcome(formula)
    return named


def _listed(formulas: Any) -> Sequence[Any]:
    if isinstance(formulas, Sequence) and all(isinstance(f, str) for f in formulas):
        return formulas
    raise OptionError(
        "`formulas` must be a formula, a list of formulas or a mapping of names to formulas; got "
        f"{type(formulas).__name__}."
    )


def _outcome(formula: Any) -> str:
    """Return the left side of a formula, which names its equation."""
    formula_variables(formula, "response")
    return str(formula).partition("~")[0].strip()


def _samples(formulas: Sequence[str], data: Any) -> tuple[list[Sample], int]:
    """Read all formulas on the rows that are complete for each, and count the rows left out."""
    samples = [Sample.from_formula(formula, data) for formula in formulas]
    common = reduce(np.intersect1d, [sample.kept for sample in samples])
    n_dropped = samples[0].n_dropped + samples[0].n_obs - len(common)
    if all(len(sample.kept) == len(common) for sample in samples):
        return samples, n_dropped
    # again on the common rows, because transforms such as `center` look at all rows
    again = [Sample.from_formula(formula, _rows(data, common)) for formula in formulas]
    return [_at(sample, common[sample.kept]) for sample in again], n_dropped


def _variables(formulas: Sequence[tuple[str, str]], data: Any) -> pd.DataFrame:
    """Return the columns that the formulas mention."""
    sides = (formula_variables(formula, side) for _, formula in formulas for side in SIDES)
    return as_table(data, "data")[0][list(dict.fromkeys(name for side in sides for name in side))]


def _exogenous(
    formulas: Sequence[tuple[str, str]], data: Any, samples: Sequence[Sample]
) -> frozenset[str]:
    """Return the regressors that mention no other variables than those conditioned on."""
    conditioning = {name for sample in samples for name in sample.role("conditioning")}
    table = as_table(data, "data")[0].iloc[samples[0].kept].reset_index(drop=True)
    exogenous: set[str] = set()
    for (_, formula), sample in zip(formulas, samples, strict=True):
        if set(formula_variables(formula, "regressors")) <= conditioning:
            exogenous |= set(sample.role("regressors"))
            continue
        variables = regressor_variables(formula, table)
        exogenous |= {name for name, own in variables.items() if set(own) <= conditioning}
    return frozenset(exogenous)


def _rows(data: Any, kept: Int[np.ndarray, " n"]) -> Any:
    table, index = as_table(data, "data")
    if index is None:
        return {name: table[name].array[kept] for name in table}
    return table.set_axis(index, axis=0).iloc[kept]


def _at(sample: Sample, kept: Int[np.ndarray, " n"]) -> Sample:
    return Sample(sample.values, sample.names, sample.index, kept, 0, sample.roles)


def _equation(name: str, sample: Sample) -> Equation:
    response = sample.role("response")
    if len(response) != 1:
        raise OptionError(
            f"the equation {name!r} must have one outcome; got {', '.join(response)}. Write one "
            "formula for each."
        )
    if not sample.role("regressors"):
        raise OptionError(f"the equation {name!r} has no regressor, so nothing to estimate.")
    return Equation(name, response[0], sample.role("regressors"))


def _design_names(sample: Sample) -> tuple[str, ...]:
    return (*sample.role("response"), *sample.role("regressors"))


def _told(samples: Sequence[Sample]) -> str:
    words = [f"{sample.role('response')[0]} - x'b" for sample in samples]
    return words[0] if len(words) == 1 else f"({', '.join(words)})"


def _new_design(formula: str, rows: pd.DataFrame, new: pd.DataFrame) -> Float[np.ndarray, "m p"]:
    names = list(formula_variables(formula, "regressors"))
    check_names(names, list(new.columns), f"`data` for the formula {formula!r}")
    design = design_like(formula, rows, new)
    if new[names].isna().any(axis=None) or design.isna().any(axis=None):
        raise DataError(
            "`data` holds missing values in the regressors' variables; leave out those rows."
        )
    return design.to_numpy(float)
