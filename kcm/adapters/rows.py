"""The observations behind a fit, and the columns that belong to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

from kcm.adapters.estimate import check_has_data
from kcm.adapters.terms import FormulaTerm, formula_terms, named_terms, numpy_alone
from kcm.adapters.weights import counts
from kcm.data import (
    Resolve,
    as_table,
    category_column,
    check_names,
    evaluate_plain,
    is_text,
    plain_columns,
)
from kcm.exceptions import DataError

__all__ = ["FitRows", "gmm_rows", "linearmodels_rows", "sandbox_rows", "statsmodels_rows"]

NamedColumns = tuple[tuple[str, ...], np.ndarray]


@final
@dataclass(frozen=True, slots=True, eq=False)
class FitRows:
    """Where the rows used by a fit come from and which columns are known for them.

    Parameters
    ----------
    n_rows : int
        Rows used by the fit, before repetition.
    n_dropped : int
        Rows of the data that the fit left out because they hold missing values.
    index : pandas.Index, optional
        Labels of the rows used, where the data carried any.
    frame : data frame or mapping, optional
        The data that a formula was evaluated on, all rows.
    kept : ndarray of bool, optional
        Which rows of the data were used; all when None.
    design : ndarray of shape (n_rows, p)
        Columns of the design, the instruments included.
    design_names : tuple of str
        One name a column; names may repeat.
    outcome : mapping of str to ndarray of shape (n_rows,)
        The outcome of a formula by its name, where it is one column.
    exogenous : tuple of int
        Design columns that the moment may be conditioned on by default, by position.
    formula : str, optional
        The formula of the fit.
    terms : tuple of FormulaTerm
        What the formula made the exogenous columns from, where that is known.
    repeats : ndarray of int, optional
        How many observations each row stands for, none for a weight of zero; one when None.
    """

    n_rows: int
    n_dropped: int = 0
    index: pd.Index | None = None
    frame: Any = None
    kept: Bool[np.ndarray, " m"] | None = None
    design: Float[np.ndarray, "n p"] | None = None
    design_names: tuple[str, ...] = ()
    outcome: Mapping[str, np.ndarray] = field(default_factory=dict)
    exogenous: tuple[int, ...] = ()
    formula: str | None = None
    terms: tuple[FormulaTerm, ...] = ()
    repeats: Int[np.ndarray, " n"] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that can be asked for by name, levels of a named index among them."""
        if self.frame is None:
            return (*dict.fromkeys(self.design_names), *_level_names(self.index))
        columns = tuple(str(name) for name in getattr(self.frame, "columns", self.frame))
        return (*columns, *_level_names(getattr(self.frame, "index", None)))

    @property
    def variables(self) -> tuple[str, ...]:
        """Columns that the factors of the formula are functions of.

        linearmodels keeps the design but not the data frame: there they are the exogenous columns
        whose names are no expressions.
        """
        if self.frame is not None:
            return self.names
        named = dict.fromkeys(self.design_names[j] for j in self.exogenous)
        return tuple(name for name in named if not set(name) & set("()[]:"))

    @property
    def used(self) -> Bool[np.ndarray, " n"]:
        """Which of the rows stand for an observation: not those of weight zero."""
        return np.ones(self.n_rows, bool) if self.repeats is None else self.repeats > 0

    @property
    def n_unweighted(self) -> int:
        """Rows of weight zero."""
        return int(np.sum(~self.used))

    def columns(self, names: Sequence[str], argument: str) -> pd.DataFrame:
        """Return columns on the rows used by the fit.

        Raises
        ------
        DataError
            When there is no such column, or the data frame changed since the fit.
        """
        check_names(names, self.names, f"`{argument}`: the data of the fit")
        self.check_unchanged()
        return self.read(names, argument)

    def read(self, names: Sequence[str], argument: str) -> pd.DataFrame:
        """Return columns that are there, of a data frame that was checked to be unchanged."""
        table = as_table({name: _column(self, name) for name in names}, argument)[0]
        return table if self.frame is None or self.kept is None else table[self.kept]

    def check_unchanged(self) -> None:
        """Refuse a data frame that is not the one the model was fitted on.

        Raises
        ------
        DataError
        """
        if self.frame is not None and self.kept is not None:
            _check_unchanged(self, len(_column(self, self.names[0])), self.kept)

    def repeated(self, values: np.ndarray) -> np.ndarray:
        """Repeat rows that stand for several observations, and leave out those of none."""
        return values if self.repeats is None else np.repeat(values, self.repeats, axis=0)


def _level_names(index: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in getattr(index, "names", ()) if name is not None)


def _column(rows: FitRows, name: str) -> Any:
    """Return a column by its name as a string, which is not always the label of the frame."""
    if rows.frame is None:
        return _design_column(rows, name)
    for label in getattr(rows.frame, "columns", rows.frame):
        if str(label) == name:
            return rows.frame[label]
    return pd.Series(_level(rows.frame.index, name), index=rows.frame.index)


def _design_column(rows: FitRows, name: str) -> Any:
    positions = [j for j, known in enumerate(rows.design_names) if known == name]
    if not positions or rows.design is None:
        return np.asarray(_level(rows.index, name))
    first, *others = (rows.design[:, j] for j in positions)
    if any(not np.array_equal(first, other) for other in others):
        raise DataError(
            f"the design of `fit` has {len(positions)} different columns named {name!r}, so the "
            "name does not say which is meant; pass the values themselves, or fit again with a "
            "name for each column."
        )
    return first


def _level(index: Any, name: str) -> Any:
    label = next(label for label in index.names if str(label) == name)
    return index.get_level_values(label).array


def _check_unchanged(rows: FitRows, n_now: int, kept: Bool[np.ndarray, " m"]) -> None:
    if n_now != len(kept):
        raise DataError(
            f"the data frame behind `fit` has {n_now} rows and had {len(kept)} when the "
            "model was fitted; fit again, or pass the variables themselves."
        )
    if not (_same_labels(rows, kept) and _same_values(rows, kept)):
        raise DataError(
            "the data frame behind `fit` changed since the model was fitted; fit again or pass "
            "the variables themselves."
        )


def _same_labels(rows: FitRows, kept: Bool[np.ndarray, " m"]) -> bool:
    if rows.index is None or not isinstance(rows.frame, pd.DataFrame):
        return True
    return bool(rows.frame.index[kept].equals(rows.index))


def _same_values(rows: FitRows, kept: Bool[np.ndarray, " m"]) -> bool:
    """Build again what can be built from the frame alone, and compare it with the fit's design."""
    outcome = (_same_column(rows, name, held, kept) for name, held in rows.outcome.items())
    terms = (_same_term(rows, term, kept) for term in rows.terms if len(term.factors) == 1)
    return all(outcome) and all(terms)


def _same_column(
    rows: FitRows,
    expression: str,
    before: Shaped[np.ndarray, " n"],
    kept: Bool[np.ndarray, " m"],
    resolve: Resolve | None = None,
) -> bool:
    """Compare a plain factor of the columns; what cannot be built again counts as the same."""
    known = resolve or numpy_alone()
    names = plain_columns(expression, rows.names, known)
    if names is None:
        return True
    columns = {name: _column(rows, name) for name in names}
    now = _numbers_now(expression, columns, known)
    return now is None or bool(np.allclose(now[kept], before, rtol=1e-9, atol=0, equal_nan=True))


def _numbers_now(
    expression: str, columns: Mapping[str, Any], resolve: Resolve
) -> Float[np.ndarray, " m"] | None:
    if expression not in columns and any(is_text(pd.Series(c)) for c in columns.values()):
        return None
    values = evaluate_plain(expression, columns, resolve)
    if values is None or np.ndim(values) != 1:
        return None
    numbers = pd.to_numeric(pd.Series(np.asarray(values)), errors="coerce")
    return numbers.to_numpy(float, na_value=np.nan)


def _same_term(rows: FitRows, term: FormulaTerm, kept: Bool[np.ndarray, " m"]) -> bool:
    if rows.design is None:
        return True
    factor, block = term.factors[0], rows.design[:, list(term.positions)]
    category = category_column(factor.expression, rows.names)
    if factor.is_category and factor.expression in rows.names:
        category = factor.expression
    if category is not None:
        return _same_cells(rows, category, block, kept)
    if factor.is_category or block.shape[1] != 1:
        return True
    return _same_column(rows, factor.expression, block[:, 0], kept, factor.resolve)


def _same_cells(
    rows: FitRows, name: str, block: Float[np.ndarray, "n c"], kept: Bool[np.ndarray, " m"]
) -> bool:
    """Whether rows of one category have one row of dummies each."""
    column = as_table({name: _column(rows, name)}, "fit")[0].loc[kept, name]
    codes = pd.factorize(column)[0]
    pairs = pd.DataFrame(np.column_stack([codes, block])).drop_duplicates()
    return len(pairs) == len(np.unique(codes))


def statsmodels_rows(fit: Any) -> FitRows:
    """Rows of a statsmodels fit, by formula or by arrays."""
    model = fit.model
    check_has_data(model)
    data = model.data
    dropped = np.asarray(getattr(data, "missing_row_idx", None) or [], np.int64)
    frame = getattr(data, "frame", None)
    exog = np.asarray(model.exog, float)
    return FitRows(
        n_rows=len(model.endog),
        n_dropped=len(dropped),
        index=_labels(data) if isinstance(frame, pd.DataFrame | None) else None,
        frame=frame,
        kept=_kept(len(model.endog), dropped),
        design=exog,
        design_names=tuple(map(str, model.exog_names[: exog.shape[1]])),
        outcome={} if frame is None else _outcome(model),
        exogenous=tuple(range(exog.shape[1])),
        formula=getattr(model, "formula", None),
        terms=() if frame is None else formula_terms(model),
        repeats=counts(model),
    )


def _outcome(model: Any) -> dict[str, np.ndarray]:
    name = model.endog_names
    return {name: np.asarray(model.endog, float)} if isinstance(name, str) else {}


def _labels(data: Any) -> pd.Index | None:
    """Row labels: statsmodels takes them from the regressors, or else from the outcome."""
    for given in (data.orig_exog, data.orig_endog):
        if isinstance(given, pd.DataFrame | pd.Series):
            return given.index
    return None


def _kept(n_rows: int, dropped: Int[np.ndarray, " k"]) -> Bool[np.ndarray, " m"]:
    kept = np.ones(n_rows + len(dropped), bool)
    kept[dropped] = False
    return kept


def sandbox_rows(fit: Any) -> FitRows:
    """Rows of IV2SLS in statsmodels.sandbox; its instruments include the exogenous variables."""
    model = fit.model
    check_has_data(model)
    instruments = np.asarray(model.instrument, float)
    given = model.instrument_names
    names = _numbered("z", instruments) if given is None else tuple(map(str, given))
    exog = np.asarray(model.exog, float)
    return FitRows(
        n_rows=len(model.endog),
        index=_labels(model.data),
        **_instrumental_design((tuple(map(str, model.exog_names)), exog), (names, instruments)),
    )


def gmm_rows(fit: Any) -> FitRows:
    """Rows of a GMM fit of statsmodels, which pairs all arrays by position."""
    model = fit.model
    if model.endog is None:
        check_has_data(model)
    regressors = model.exog if model.data.orig_exog is None else model.data.orig_exog
    n = len(model.endog)
    return FitRows(
        n_rows=n,
        index=_common_labels(_labels(model.data), model.instrument),
        **_instrumental_design(
            _named_columns(regressors, "x", n), _named_columns(model.instrument, "z", n)
        ),
    )


def _instrumental_design(regressors: NamedColumns, instruments: NamedColumns) -> dict[str, Any]:
    """Design of regressors and instruments side by side; the instruments are exogenous."""
    (x_names, x), (z_names, z) = regressors, instruments
    first, last = x.shape[1], x.shape[1] + z.shape[1]
    return {
        "design": np.hstack([x, z]),
        "design_names": (*x_names, *z_names),
        "exogenous": tuple(range(first, last)),
    }


def _named_columns(values: Any, letter: str, n: int) -> NamedColumns:
    """Columns with their names; numbered where there is not one name each."""
    if values is None:
        return (), np.empty((n, 0))
    array = np.asarray(values, float).reshape(n, -1)
    names = tuple(str(name) for name in getattr(values, "columns", ()))
    return (names if len(names) == array.shape[1] else _numbered(letter, array)), array


def _numbered(letter: str, columns: Shaped[np.ndarray, "n k"]) -> tuple[str, ...]:
    return tuple(f"{letter}{j + 1}" for j in range(columns.shape[1]))


def _common_labels(index: pd.Index | None, instrument: Any) -> pd.Index | None:
    """Row labels of a GMM fit; refused where the instruments carry others."""
    own = getattr(instrument, "index", None)
    if index is None or own is None or index.equals(own):
        return own if index is None else index
    raise DataError(
        "`fit`: the rows of `instrument` carry other labels than those of the outcome and the "
        "regressors. statsmodels paired them by position; give all of them the same index, in "
        "the same order, and fit again."
    )


def linearmodels_rows(fit: Any) -> FitRows:
    """Rows of a linearmodels IV fit. The model keeps its formula but not the data frame."""
    model = fit.model
    blocks = (model.exog, model.instruments, model.endog)
    inputs = (model.dependent, *blocks)
    is_labelled = any(isinstance(b.original, pd.DataFrame | pd.Series) for b in inputs)
    names = tuple(str(name) for block in blocks for name in block.cols)
    n_exogenous = model.exog.shape[1] + model.instruments.shape[1]
    return FitRows(
        n_rows=model.dependent.shape[0],
        n_dropped=int(np.sum(model.isnull)),
        index=model.dependent.pandas.index if is_labelled else None,
        kept=~np.asarray(model.isnull, bool),
        design=np.hstack([block.ndarray for block in blocks]),
        design_names=names,
        exogenous=tuple(range(n_exogenous)),
        formula=model.formula or None,
        terms=named_terms(names[:n_exogenous]) if model.formula else (),
    )
