"""A conditional moment bound to data: ready to be evaluated at any theta."""

import hashlib
from dataclasses import dataclass
from typing import final

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from kcm._variation import check_varies
from kcm.exceptions import DataError
from kcm.moments.parameters import ParameterTree
from kcm.moments.residuals import TracedResidual, evaluate_residual

__all__ = ["BoundMoment", "MomentValues", "fingerprint"]


def fingerprint(*tables: pd.DataFrame) -> str:
    """Return a text that changes when a value in one of the tables does."""
    columns = (table[name].reset_index(drop=True) for table in tables for name in table)
    hashes = (pd.util.hash_pandas_object(column, index=False).to_numpy() for column in columns)
    return hashlib.sha256(b"".join(each.tobytes() for each in hashes)).hexdigest()


@final
@dataclass(frozen=True, slots=True, eq=False)
class MomentValues:
    """Residuals and their jacobian at one theta.

    Parameters
    ----------
    residuals : ndarray of shape (n, q)
    jacobian : ndarray of shape (n, q, p)
    """

    residuals: Float[np.ndarray, "n q"]
    jacobian: Float[np.ndarray, "n q p"]

    @property
    def finite(self) -> bool:
        """Whether every number is finite."""
        return bool(np.isfinite(self.residuals).all() and np.isfinite(self.jacobian).all())


@final
@dataclass(frozen=True, slots=True, eq=False)
class BoundMoment:
    """A conditional moment on the rows of a data set.

    Parameters
    ----------
    residual : TracedResidual
    tree : ParameterTree
        The parameters by name.
    start : ndarray of shape (p,)
        Where the search for theta starts.
    rows : ndarray of shape (n, k)
        The columns that the residual reads.
    conditioning : ndarray of shape (n, d)
    conditioning_names : tuple of str
    kept : ndarray of int, shape (n,)
        Positions of the rows in the data as given.
    n_dropped : int
        Rows of the data left out because they hold missing values.
    index : pandas.Index, optional
        Labels of the rows, where the data carry any.
    name : str
        The residual in words.
    components : tuple of str
        Names of the q components.
    fingerprint : str
        Of the data behind it, as they were given.
    response : ndarray of shape (n, q), optional
        The outcome of each component, where the residual is an outcome less a prediction.
    exogenous_columns : frozenset of str
        Columns of `rows` that are known to be functions of the conditioning variables, besides
        those that are among them.
    """

    residual: TracedResidual
    tree: ParameterTree
    start: Float[np.ndarray, " p"]
    rows: Float[np.ndarray, "n k"]
    conditioning: Float[np.ndarray, "n d"]
    conditioning_names: tuple[str, ...]
    kept: Int[np.ndarray, " n"]
    n_dropped: int
    index: pd.Index | None
    name: str
    components: tuple[str, ...]
    fingerprint: str
    response: Float[np.ndarray, "n q"] | None = None
    exogenous_columns: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if len(self.rows) < 3:
            raise DataError(f"the data have {len(self.rows)} complete rows; expected at least 3.")
        check_varies(self.conditioning, self.conditioning_names)

    @property
    def n_obs(self) -> int:
        """Number of rows n."""
        return len(self.rows)

    def evaluate(self, theta: Float[np.ndarray, " p"]) -> MomentValues:
        """Return residuals and jacobian at theta."""
        return MomentValues(*evaluate_residual(self.residual, self.tree, theta, self.rows))

    def prediction(self, residuals: Float[np.ndarray, "n q"]) -> Float[np.ndarray, "n 1"] | None:
        """Return the outcome less residuals; None without outcome, or with several equations."""
        outcome = self.response
        return outcome - residuals if outcome is not None and outcome.shape[1] == 1 else None

    def exogenous_parameters(self, theta: Float[np.ndarray, " p"]) -> Bool[np.ndarray, " p"]:
        """Tell which parameters have a jacobian that is a function of the conditioning variables.

        It is one when it stays the same while the values of all other columns go to other rows.
        """
        others = ~np.array([self._is_exogenous(j) for j in range(self.rows.shape[1])])
        moved = self.rows.copy()
        moved[:, others] = np.roll(moved[:, others], 1, axis=0)
        before = self.evaluate(theta).jacobian
        after = evaluate_residual(self.residual, self.tree, theta, moved)[1]
        return np.asarray(np.all(before == after, axis=(0, 1)))

    def _is_exogenous(self, j: int) -> bool:
        if self.residual.columns[j] in self.exogenous_columns:
            return True
        return bool(np.any(np.all(self.rows[:, [j]] == self.conditioning, axis=0)))

    def labelled(self, values: Float[np.ndarray, "n q"]) -> pd.Series | pd.DataFrame:
        """Return one column as a Series and several as a DataFrame, rows as in the data."""
        index = pd.RangeIndex(self.n_obs) if self.index is None else self.index
        if values.shape[1] == 1:
            return pd.Series(values[:, 0], index=index, name=self.components[0])
        return pd.DataFrame(values, index=index, columns=list(self.components))
