"""What follows from estimates and their covariance alone."""

import abc
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from kcm._options import check_level
from kcm.estimators.wald import WaldTestResult, wald_test
from kcm.reporting import Printed

__all__ = ["Estimates"]


class Estimates(abc.ABC):
    """Estimates of parameters, with a covariance and what can be inferred from the two.

    Attributes
    ----------
    params : pandas.Series
    covariance : pandas.DataFrame

    Examples
    --------
    >>> import kcm
    >>> issubclass(kcm.EstimationResults, Estimates)
    True
    """

    __slots__ = ()

    params: pd.Series
    covariance: pd.DataFrame

    @abc.abstractmethod
    def summary(self, level: float = 0.95) -> Printed:
        """Return a summary."""

    @property
    def bse(self) -> pd.Series:
        """Standard errors."""
        errors = np.sqrt(np.diag(self.covariance))
        return pd.Series(errors, index=self.params.index, name="std_error")

    @property
    def tvalues(self) -> pd.Series:
        """Estimates over standard errors."""
        return (self.params / self.bse).rename("tvalue")

    @property
    def pvalues(self) -> pd.Series:
        """Two-sided p-values of zero, by the normal law."""
        values = 2 * ndtr(-np.abs(self.tvalues.to_numpy()))
        return pd.Series(values, index=self.params.index, name="pvalue")

    def cov_params(self) -> pd.DataFrame:
        """Return the covariance of the estimates."""
        return self.covariance.copy()

    def conf_int(self, level: float = 0.95) -> pd.DataFrame:
        """Return Wald confidence intervals: columns "lower" and "upper".

        Where identification may be weak use `confidence_set`.

        Parameters
        ----------
        level : float
            Coverage, in (0, 1). Default 0.95.

        Returns
        -------
        pandas.DataFrame
        """
        check_level(level)
        reach = ndtri((1 + level) / 2) * self.bse
        return pd.DataFrame({"lower": self.params - reach, "upper": self.params + reach})

    def wald_test(self, restriction: Any, value: Any = None) -> WaldTestResult:
        """Test linear restrictions.

        Parameters
        ----------
        restriction : str, list of str, mapping or array_like of shape (m, p)
            ``"a = 1, b + c = 0"``, with names that are not words in backticks; values by
            parameter name; or a matrix R for R theta = value.
        value : array_like of shape (m,), optional
            Default 0.

        Returns
        -------
        WaldTestResult
        """
        return wald_test(self.params, self.covariance, restriction, value)
