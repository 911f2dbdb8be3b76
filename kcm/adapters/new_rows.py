"""New rows for a fit: outcome and regressors, as the fit would have read them."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, final

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from kcm._arrays import as_float_columns_with_missing, as_floats
from kcm._options import listed
from kcm.adapters.rows import FitRows, linearmodels_rows
from kcm.adapters.terms import formula_terms
from kcm.data import (
    as_table,
    check_names,
    column_kind,
    design,
    formula_variables,
    is_table,
    learns_from_rows,
)
from kcm.exceptions import DataError, UnsupportedModelError

__all__ = ["NewRows", "instrumental_new_rows", "linearmodels_new_rows", "statsmodels_new_rows"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class NewRows:
    """Complete rows that a fit has not used.

    Parameters
    ----------
    outcome : ndarray of shape (n,)
    exog : ndarray of shape (n, p)
        Columns as those of the fit.
    offset : ndarray of shape (n,)
        What is added to the linear predictor, the logarithm of an exposure included.
    rows : FitRows
        Where the rows come from.
    """

    outcome: Float[np.ndarray, " n"]
    exog: Float[np.ndarray, "n p"]
    offset: Float[np.ndarray, " n"]
    rows: FitRows


def statsmodels_new_rows(fit: Any, data: Any) -> NewRows:
    """Rows for a statsmodels fit, by its formula or by arrays."""
    if getattr(fit.model, "formula", None) is not None:
        return _by_formula(fit.model, data)
    return _by_arrays(fit.model, data)


def _by_formula(model: Any, data: Any) -> NewRows:
    given = [name for name in ("offset", "exposure") if getattr(model, name, None) is not None]
    if given:
        raise UnsupportedModelError(
            f"`fit` has an {given[0]}, and its formula does not say where that of new rows is. Fit "
            'the model on arrays and pass `data={"endog": ..., "exog": ..., '
            f'"{given[0]}": ...}}`.'
        )
    if not is_table(data):
        raise DataError(
            f"`data` must be a table with the columns of the formula {model.formula!r}; got "
            f"{type(data).__name__}."
        )
    table, index = as_table(data, "data")
    names = [
        name
        for side in ("response", "regressors")
        for name in formula_variables(model.formula, side)
    ]
    check_names(names, list(map(str, table)), f"`data` for the formula {model.formula!r}")
    _check_levels(model.data.frame, table, names)
    complete = ~table[list(dict.fromkeys(names))].isna().any(axis=1).to_numpy()
    _check_some(complete)
    part = table[complete].reset_index(drop=True)
    with _explained(model.formula):
        exog = _evaluated(model.data.model_spec, part)
        outcome = _outcome(model, part)
    finite = ~(np.isnan(outcome) | np.isnan(exog).any(axis=1))
    complete[complete] = finite
    columns = tuple(map(str, model.exog_names[: exog.shape[1]]))
    rows = FitRows(
        n_rows=int(complete.sum()),
        n_dropped=int((~complete).sum()),
        index=None if index is None else index[complete],
        frame=table if index is None else table.set_axis(index, axis=0),
        kept=complete,
        design=exog[finite],
        design_names=columns,
        exogenous=tuple(range(len(columns))),
        formula=model.formula,
        terms=formula_terms(model),
    )
    return _checked(NewRows(outcome[finite], exog[finite], np.zeros(rows.n_rows), rows))


@contextmanager
def _explained(formula: str) -> Iterator[None]:
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            # formulaic warns of a category that the fit has not seen
            warnings.simplefilter("error")
            yield
    # a formula runs the caller's own expressions, which may raise anything
    except Exception as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DataError(
            f"the formula {formula!r} could not be evaluated on `data`: {reason}."
        ) from error


def _check_levels(before: Any, table: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuse categories that the fit has not seen; its coefficients say nothing about them."""
    if not is_table(before):
        return
    known = as_table(before, "fit")[0]
    for name in dict.fromkeys(names):
        if name not in known or column_kind(known[name]) == "continuous":
            continue
        new = pd.unique(table[name].dropna().astype(object))
        unseen = sorted(set(map(str, new)) - set(known[name].dropna().astype(str)))
        if unseen:
            raise DataError(
                f"`data`: the column {name!r} holds {listed(unseen)}, which the rows of the fit do "
                "not; leave out those rows, or fit again on rows that hold all of them."
            )


def _evaluated(spec: Any, table: pd.DataFrame) -> Float[np.ndarray, "n p"]:
    """Evaluate a design by what its formula learned from the rows of the fit."""
    if not type(spec).__module__.startswith("patsy"):
        found = spec.get_model_matrix(table, context={"np": np}, na_action="ignore")
        return np.asarray(found, float)
    import patsy

    keep = patsy.NAAction(on_NA="raise", NA_types=[])
    return np.asarray(patsy.dmatrix(spec, table, NA_action=keep), float)


def _outcome(model: Any, table: pd.DataFrame) -> Float[np.ndarray, " n"]:
    spec = getattr(model.data.orig_endog, "design_info", None)
    if spec is not None:
        return _one_outcome(_evaluated(spec, table), model)
    response = model.formula.partition("~")[0]
    if learns_from_rows(response):
        raise DataError(
            f"the outcome {response.strip()!r} is computed from all rows of the fit, which keeps "
            "no record of it; transform the outcome before the fit"
        )
    return _one_outcome(design(f"{response} ~ 1", table)[0].to_numpy(float), model)


def _one_outcome(values: Float[np.ndarray, "n k"], model: Any) -> Float[np.ndarray, " n"]:
    """Return the outcome; successes and failures as the share of successes."""
    if values.shape[1] == 1:
        return values[:, 0]
    if values.shape[1] == 2 and hasattr(model, "n_trials"):
        return values[:, 0] / values.sum(axis=1)
    raise DataError(f"the outcome has {values.shape[1]} columns; expected one.")


def _by_arrays(model: Any, data: Any) -> NewRows:
    names = tuple(map(str, model.exog_names[: model.exog.shape[1]]))
    needed = [name for name in ("offset", "exposure") if getattr(model, name, None) is not None]
    if is_table(data) and not isinstance(data, Mapping):
        parts = _parts_of_table(model, as_table(data, "data")[0], names, needed)
    else:
        parts = _parts(data, ("endog", "exog"), needed)
    columns = {name: _columns(parts[name], name) for name in ("endog", "exog", *needed)}
    exog = _in_order(columns["exog"], parts["exog"], names)
    outcome = _one_outcome(columns["endog"], model)
    offset = np.zeros(len(exog))
    for name in needed:
        values = columns[name][:, 0]
        offset = offset + (np.log(values) if name == "exposure" else values)
    kept = _complete([outcome, exog, offset])
    index = _index(data, parts)
    rows = FitRows(
        n_rows=int(kept.sum()),
        n_dropped=int((~kept).sum()),
        index=None if index is None else index[kept],
        design=exog[kept],
        design_names=names,
        exogenous=tuple(range(len(names))),
    )
    return _checked(NewRows(outcome[kept], exog[kept], offset[kept], rows))


def _parts_of_table(
    model: Any, table: pd.DataFrame, names: tuple[str, ...], needed: Sequence[str]
) -> dict[str, Any]:
    """Take outcome and regressors from a table by the names that the fit has for them."""
    constant = {
        name: column[0]
        for name, column in zip(names, np.asarray(model.exog, float).T, strict=True)
        if name not in table and np.ptp(column) == 0
    }
    outcome = [model.endog_names] if isinstance(model.endog_names, str) else model.endog_names
    asked = [*outcome, *(name for name in names if name not in constant), *needed]
    owner = "`data` (the fit is one on arrays, with columns of these names)"
    check_names(asked, list(map(str, table)), owner)
    return {
        "endog": table[list(outcome)],
        "exog": table.assign(**constant)[list(names)],
        **{name: table[[name]] for name in needed},
    }


def _parts(data: Any, names: tuple[str, ...], needed: Sequence[str]) -> dict[str, Any]:
    """Read the arrays of new rows: a mapping of them by name, or a tuple in order."""
    told = ", ".join(f'"{name}": ...' for name in (*names, *needed))
    form = f"`data` must be ({', '.join(names)}) or {{{told}}}, in the layout of the fit"
    if isinstance(data, Mapping):
        lacking = [name for name in (*names, *needed) if name not in data]
        if lacking:
            raise DataError(f"{form}; {listed(lacking)} is missing.")
        return {name: data[name] for name in (*names, *needed)}
    if not isinstance(data, tuple | list) or len(data) != len(names) or needed:
        raise DataError(f"{form}; got {type(data).__name__}.")
    return dict(zip(names, data, strict=True))


def _columns(values: Any, name: str) -> Float[np.ndarray, "n k"]:
    argument = f"{name}` of `data"
    if is_table(values):
        table = as_table(values, argument)[0]
        columns = [as_floats(table[c].to_numpy(), f"column {c!r} of `{argument}`") for c in table]
        return np.column_stack(columns)
    return as_float_columns_with_missing(values, argument)


def _in_order(
    columns: Float[np.ndarray, "n p"], given: Any, names: tuple[str, ...]
) -> Float[np.ndarray, "n p"]:
    """Return regressors in the order of the fit: by name where both have names."""
    own = [str(name) for name in getattr(given, "columns", ())]
    if own and set(own) == set(names):
        return columns[:, [own.index(name) for name in names]]
    if columns.shape[1] != len(names):
        raise DataError(
            f"`exog` of `data` has {columns.shape[1]} columns and the fit {len(names)}: "
            f"{listed(names)}. Pass the same columns, the constant included."
        )
    return columns


def _complete(parts: Sequence[Float[np.ndarray, "..."]]) -> Bool[np.ndarray, " n"]:
    lengths = {len(part) for part in parts}
    if len(lengths) > 1:
        raise DataError(f"the arrays of `data` have different numbers of rows: {sorted(lengths)}.")
    missing = [np.isnan(part.reshape(len(part), -1)).any(axis=1) for part in parts]
    complete = ~np.any(missing, axis=0)
    _check_some(complete)
    return complete


def _check_some(complete: Bool[np.ndarray, " n"]) -> None:
    if complete.sum() < 3:
        raise DataError(
            f"`data` has {int(complete.sum())} complete rows of {len(complete)}; a test needs at "
            "least 3."
        )


def _index(data: Any, parts: Mapping[str, Any]) -> pd.Index | None:
    given = [data, *parts.values()]
    labelled = (each.index for each in given if isinstance(each, pd.DataFrame | pd.Series))
    return next(labelled, None)


def _checked(new: NewRows) -> NewRows:
    """Refuse outcomes or regressors that are infinite."""
    if not all(np.isfinite(part).all() for part in (new.outcome, new.exog, new.offset)):
        raise DataError(
            "`data`: the outcome, a regressor or the offset is infinite in some rows; leave them "
            "out, or check the transforms of the formula."
        )
    return new


def instrumental_new_rows(fit: Any, data: Any) -> NewRows:
    """Rows for IV2SLS of statsmodels.sandbox: outcome, regressors and instruments."""
    model = fit.model
    parts = _parts(data, ("endog", "exog", "instrument"), ())
    columns = {name: _columns(part, name) for name, part in parts.items()}
    exog = _in_order(columns["exog"], parts["exog"], tuple(map(str, model.exog_names)))
    given = model.instrument_names
    names = [f"z{j + 1}" for j in range(model.instrument.shape[1])] if given is None else given
    instruments = _in_order(columns["instrument"], parts["instrument"], tuple(map(str, names)))
    outcome = _one_outcome(columns["endog"], model)
    kept, index = _complete([outcome, exog, instruments]), _index(data, parts)
    rows = FitRows(
        n_rows=int(kept.sum()),
        n_dropped=int((~kept).sum()),
        index=None if index is None else index[kept],
        design=np.hstack([exog, instruments])[kept],
        design_names=(*map(str, model.exog_names), *map(str, names)),
        exogenous=tuple(range(exog.shape[1], exog.shape[1] + instruments.shape[1])),
    )
    return _checked(NewRows(outcome[kept], exog[kept], np.zeros(rows.n_rows), rows))


def linearmodels_new_rows(fit: Any, data: Any) -> NewRows:
    """Rows for an IV fit of linearmodels, read by a model of the same class."""
    old = fit.model
    model = _model_by_formula(old, data) if old.formula else _model_by_arrays(old, data)
    blocks = ("exog", "endog", "instruments")
    before, now = ([str(c) for b in blocks for c in getattr(m, b).cols] for m in (old, model))
    if before != now:
        raise DataError(
            f"`data` gives the columns {listed(now)} and the fit has {listed(before)}; pass rows "
            "with the same variables and the same categories."
        )
    exog = np.hstack([model.exog.ndarray, model.endog.ndarray])
    outcome, rows = model.dependent.ndarray[:, 0], linearmodels_rows(SimpleNamespace(model=model))
    rows = replace(rows, formula=old.formula or None)
    return _checked(NewRows(outcome, exog, np.zeros(len(exog)), rows))


def _model_by_formula(old: Any, data: Any) -> Any:
    if learns_from_rows(old.formula):
        raise UnsupportedModelError(
            f"the formula {old.formula!r} computes a column from all rows (a centre, a scale or a "
            "spline), and linearmodels keeps no record of what it found in the rows of the fit; "
            "make the column before the fit."
        )
    if not is_table(data):
        raise DataError(
            f"`data` must be a table with the columns of the formula {old.formula!r}; got "
            f"{type(data).__name__}."
        )
    table, index = as_table(data, "data")
    frame = table if index is None else table.set_axis(index, axis=0)
    return _read(lambda: type(old).from_formula(old.formula, frame))


def _model_by_arrays(old: Any, data: Any) -> Any:
    names = ("dependent", "exog", "endog", "instruments")
    present = [n for n in names if n == "dependent" or getattr(old, n).shape[1] > 0]
    parts = _parts(data, tuple(present), ())
    if "endog" not in parts:
        return _read(lambda: type(old)(parts["dependent"], parts["exog"]))
    return _read(lambda: type(old)(*(parts.get(name) for name in names)))


def _read(build: Callable[[], Any]) -> Any:
    try:
        with warnings.catch_warnings():
            # of rows left out for missing values, which are counted
            warnings.simplefilter("ignore")
            return build()
    # a formula runs the caller's own expressions, which may raise anything
    except Exception as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DataError(f"linearmodels could not read `data`: {reason}.") from error
