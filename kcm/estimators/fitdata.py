"""The observation-level part of an estimation."""

import warnings
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from kcm.estimators.options import read_labels
from kcm.exceptions import DataError, DependenceWarning, MissingRowsWarning
from kcm.moments import BoundMoment, FittedMoment
from kcm.null import Asymptotic, Null, with_groups

__all__ = ["FitData", "aligned_null", "no_model", "null_with_groups"]

# Residuals that are computed again agree to this share of the largest.
SAME = 1e-9


@final
@dataclass(frozen=True, slots=True, eq=False)
class FitData:
    """What `EstimationResults.remove_data` removes.

    Parameters
    ----------
    fitted_moment : FittedMoment
    resid : Series or DataFrame
    fittedvalues : Series, DataFrame or None
    kept : ndarray of int, shape (n,)
        Positions of the rows used in the data.
    groups : ndarray of int, shape (n,), or None
        Cluster numbers.
    fingerprint : str
        Of the data behind the moment.
    params : mapping or pytree
        The estimate as the residual reads it.
    box : tuple of ndarray of shape (p,)
        Lower and upper bounds.
    """

    fitted_moment: FittedMoment
    resid: pd.Series | pd.DataFrame
    fittedvalues: pd.Series | pd.DataFrame | None
    kept: Int[np.ndarray, " n"]
    groups: Int[np.ndarray, " n"] | None
    fingerprint: str
    params: Any
    box: tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]

    def bound_again(self, model: Any, method: str) -> BoundMoment:
        """Read the model's data again; data that changed since the fit are refused."""
        with warnings.catch_warnings():
            # told when the model was fitted
            warnings.simplefilter("ignore", MissingRowsWarning)
            bound: BoundMoment = model.moment.bind(model.data, self.params, "params")
        if not self.same_as(bound):
            raise DataError(f"`{method}`: the data changed since the model was fitted; fit again.")
        return bound

    def same_as(self, bound: BoundMoment) -> bool:
        """Tell whether a moment that was read again is the one of the estimate."""
        if bound.fingerprint != self.fingerprint:
            return False
        residuals = bound.labelled(bound.evaluate(bound.start).residuals).to_numpy()
        before = self.resid.to_numpy()
        # another processor may round otherwise
        close = np.abs(residuals - before) <= SAME * np.abs(before).max()
        return bool(close.all())


def no_model(method: str) -> DataError:
    """Return the error of results without a model."""
    return DataError(
        f"`{method}` needs the model and its data: they were removed, or these results "
        "were pickled with a residual function that cannot be (a lambda, or one defined "
        "inside a function). Fit again, with a function defined at the top of a module."
    )


def aligned_null(null: Null | None, model: Any, kept: Int[np.ndarray, " n"]) -> Null | None:
    """Return a null with its cluster labels brought to the observations.

    Parameters
    ----------
    null : Null or None
    model : Estimator or None
        Without it labels are taken by position.
    kept : ndarray of int, shape (n,)
        Positions of the observations in the data.

    Returns
    -------
    Null or None
    """
    if null is None or null.groups is None or model is None:
        return null
    return with_groups(null, read_labels(null.groups, model.data, kept))


def null_with_groups(null: Null | None, groups: Int[np.ndarray, " n"] | None) -> Null:
    """Return the null to use: by default the asymptotic law, by clusters where there are any.

    Warns
    -----
    DependenceWarning
        When there are clusters and the null given has none.
    """
    if null is None:
        return Asymptotic(groups=groups)
    if groups is not None and null.groups is None:
        warnings.warn(
            "the covariance is by clusters, the null law takes the observations as independent; "
            "pass the clusters to it: `null=kcm.Asymptotic(groups=...)`.",
            DependenceWarning,
            stacklevel=4,
        )
    return null
