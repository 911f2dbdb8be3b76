"""The observations behind a fit, and the columns that belong to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, Shaped

from kcm._tables import as_table
from kcm.adapters.estimate import check_has_data
from kcm.adapters.glm import frequencies
from kcm.data.names import check_names
from kcm.exceptions import DataError

__all__ = ["FitRows", "gmm_rows", "linearmodels_rows", "sandbox_rows", "statsmodels_rows"]


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
        Which rows of `frame` were used; all when None.
    design : mapping of str to ndarray of shape (n_rows,)
        Columns of the design, the instruments included.
    outcome : mapping of str to ndarray of shape (n_rows,)
        The outcome of a formula by its name, where it is one column.
    exogenous : tuple of str
        Design columns that the moment may be conditioned on by default.
    formula : str, optional
        The formula of the fit.
    repeats : ndarray of int, optional
        How many observations each row stands for; one when None.
    """

    n_rows: int
    n_dropped: int = 0
    index: pd.Index | None = None
    frame: Any = None
    kept: Bool[np.ndarray, " m"] | None = None
    design: Mapping[str, np.ndarray] = field(default_factory=dict)
    outcome: Mapping[str, np.ndarray] = field(default_factory=dict)
    exogenous: tuple[str, ...] = ()
    formula: str | None = None
    repeats: Int[np.ndarray, " n"] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that can be asked for by name."""
        if self.frame is None:
            return tuple(self.design)
        return tuple(str(name) for name in getattr(self.frame, "columns", self.frame))

    def columns(self, names: Sequence[str], argument: str) -> pd.DataFrame:
        """Return columns on the rows used by the fit.

        Raises
        ------
        DataError
            When there is no such column, or the data frame changed since the fit.
        """
        check_names(names, self.names, f"`{argument}`: the data of the fit")
        table = as_table({name: _column(self, name) for name in names}, argument)[0]
        if self.kept is None:
            return table
        _check_unchanged(self, len(table), self.kept)
        return table[self.kept]

    def repeated(self, values: np.ndarray) -> np.ndarray:
        """Repeat rows that stand for several observations."""
        return values if self.repeats is None else np.repeat(values, self.repeats, axis=0)


def _column(rows: FitRows, name: str) -> Any:
    """Return a column by its name as a string, which is not always the label of the frame."""
    if rows.frame is None:
        return rows.design[name]
    labels = getattr(rows.frame, "columns", rows.frame)
    return rows.frame[next(label for label in labels if str(label) == name)]


def _check_unchanged(rows: FitRows, n_now: int, kept: Bool[np.ndarray, " m"]) -> None:
    """Refuse a data frame that is not the one the model was fitted on."""
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
    """Compare the variables that the fit holds as they are: no transforms, no intercept."""
    held = {**rows.outcome, **rows.design}
    raw = [name for name in held if name.isidentifier() and name != "Intercept"]
    return all(_equal(rows, name, held[name], kept) for name in raw if name in rows.names)


def _equal(
    rows: FitRows, name: str, held: Shaped[np.ndarray, " n"], kept: Bool[np.ndarray, " m"]
) -> bool:
    column = as_table({name: _column(rows, name)}, "fit")[0].loc[kept, name]
    now = pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan)
    return bool(np.array_equal(now, held))


def statsmodels_rows(fit: Any) -> FitRows:
    """Rows of a statsmodels fit, by formula or by arrays."""
    model = fit.model
    check_has_data(model)
    data = model.data
    dropped = np.asarray(getattr(data, "missing_row_idx", None) or [], np.int64)
    frame = getattr(data, "frame", None)
    names = tuple(map(str, model.exog_names[: model.exog.shape[1]]))
    return FitRows(
        n_rows=len(model.endog),
        n_dropped=len(dropped),
        index=_labels(data) if isinstance(frame, pd.DataFrame | None) else None,
        frame=frame,
        kept=None if frame is None else _kept(len(model.endog), dropped),
        design=dict(zip(names, np.asarray(model.exog, float).T, strict=True)),
        outcome=_outcome(model),
        exogenous=names,
        formula=getattr(model, "formula", None),
        repeats=frequencies(model) if hasattr(model, "freq_weights") else None,
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
    columns = np.asarray(model.instrument, float).T
    given = model.instrument_names
    names = [f"z{j + 1}" for j in range(len(columns))] if given is None else map(str, given)
    instruments = dict(zip(names, columns, strict=True))
    exog = dict(zip(map(str, model.exog_names), np.asarray(model.exog, float).T, strict=True))
    return FitRows(
        n_rows=len(model.endog),
        index=_labels(model.data),
        design=exog | instruments,
        exogenous=tuple(instruments),
    )


def gmm_rows(fit: Any) -> FitRows:
    """Rows of a GMM fit of statsmodels, which pairs all arrays by position."""
    model = fit.model
    if model.endog is None:
        check_has_data(model)
    regressors = model.exog if model.data.orig_exog is None else model.data.orig_exog
    instruments = _labelled_columns(model.instrument, "z")
    return FitRows(
        n_rows=len(model.endog),
        index=_common_labels(_labels(model.data), model.instrument),
        design=_labelled_columns(regressors, "x") | instruments,
        exogenous=tuple(instruments),
    )


def _labelled_columns(values: Any, letter: str) -> dict[str, np.ndarray]:
    """Columns by name; by position where they have no names, or not one each."""
    if values is None:
        return {}
    array = np.asarray(values, float)
    columns = array.reshape(len(array), -1).T
    names = [str(name) for name in getattr(values, "columns", ())]
    if len(set(names)) != len(columns):
        names = [f"{letter}{j + 1}" for j in range(len(columns))]
    return dict(zip(names, columns, strict=True))


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
    exogenous = tuple(str(name) for block in blocks[:2] for name in block.cols)
    design = {
        str(name): column
        for block in blocks
        for name, column in zip(block.cols, block.ndarray.T, strict=True)
    }
    inputs = (model.dependent, *blocks)
    is_labelled = any(isinstance(b.original, pd.DataFrame | pd.Series) for b in inputs)
    return FitRows(
        n_rows=model.dependent.shape[0],
        n_dropped=int(np.sum(model.isnull)),
        index=model.dependent.pandas.index if is_labelled else None,
        design=design,
        exogenous=exogenous,
        formula=model.formula or None,
    )
