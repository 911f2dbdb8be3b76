"""The observation-level part of an estimation, and its test."""

import warnings
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from kcm.contraction import StatisticName
from kcm.exceptions import DependenceWarning
from kcm.kernels import Kernel
from kcm.moments import FittedMoment
from kcm.null import Asymptotic, Null
from kcm.omnibus import KCMTest
from kcm.results import KCMTestResult

__all__ = ["FitData", "null_with_groups"]


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
    params: Any
    box: tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]

    def test(
        self, kernel: Kernel, statistic: StatisticName, null: Null | None, rng: Any
    ) -> KCMTestResult:
        """Test the fitted moment."""
        null = null_with_groups(null, self.groups)
        return KCMTest(kernel, statistic, null).run(self.fitted_moment, rng)


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
