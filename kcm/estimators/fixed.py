"""A conditional moment at parameters that are given, not estimated."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd
from jaxtyping import Int

from kcm.estimators.fitdata import aligned_null
from kcm.estimators.fitted import known_moment
from kcm.kernels import Kernel
from kcm.moments import BoundMoment, FittedMoment, told_values
from kcm.null import Null
from kcm.specification import KCMTest, KCMTestResult
from kcm.statistic import StatisticName

__all__ = ["FixedParameters", "fix_parameters"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class FixedParameters:
    """A moment at a theta that is known, ready to be tested.

    Attributes
    ----------
    params : pandas.Series
        The values given.
    resid : pandas.Series or pandas.DataFrame
        Residuals, a column per component.
    fitted_moment : FittedMoment
        With theta known: no jacobian, no influence.
    kernel : Kernel
        The estimator's kernel.
    model : Estimator or None
        The estimator, with its data; None after unpickling when its residual function could not
        be pickled. Cluster labels then go by position.
    kept : ndarray of int, shape (n,)
        Positions of the rows used in the data.

    Examples
    --------
    >>> import numpy as np
    >>> import kcm
    >>> x, e = np.random.default_rng(0).normal(size=(2, 100))
    >>> model = kcm.MMR.from_formula("y ~ x", {"x": x, "y": 1 + 2 * x + e})
    >>> model.at({"Intercept": 1.0, "x": 2.0}).test().theta
    'known: Intercept = 1, x = 2'
    """

    params: pd.Series
    resid: pd.Series | pd.DataFrame
    fitted_moment: FittedMoment
    kernel: Kernel
    model: Any
    kept: Int[np.ndarray, " n"]

    def __reduce__(self) -> tuple[Any, ...]:
        model = self.model if self.model is not None and self.model.picklable else None
        parts = (self.params, self.resid, self.fitted_moment, self.kernel, model, self.kept)
        return type(self), parts

    @property
    def nobs(self) -> int:
        """Observations used."""
        return self.fitted_moment.n_obs

    def test(
        self,
        kernel: Kernel | None = None,
        statistic: StatisticName = "U",
        null: Null | None = None,
        rng: Any = None,
    ) -> KCMTestResult:
        """Test that the moment holds at these parameters.

        Parameters
        ----------
        kernel : Kernel, optional
            Default: the estimator's.
        statistic : {"U", "V"}
            Default "U".
        null : Null, optional
            Default `kcm.Asymptotic()`; labels of its clusters as in `Estimator.fit`.
        rng : None, int, numpy Generator or JAX key, optional
            Source of the bootstrap's multipliers.

        Returns
        -------
        KCMTestResult
        """
        null = aligned_null(null, self.model, self.kept)
        kernel = self.kernel if kernel is None else kernel
        return KCMTest(kernel, statistic, null).run(self.fitted_moment, rng)


def fix_parameters(bound: BoundMoment, kernel: Kernel, model: Any) -> FixedParameters:
    """Evaluate a moment at the parameters that it is bound with."""
    residuals = bound.evaluate(bound.start).residuals
    params = pd.Series(bound.start, index=list(bound.tree.labels), name="params")
    told = told_values(bound.tree.labels, bound.start)
    moment = known_moment(bound, residuals, f"known: {told}")
    return FixedParameters(params, bound.labelled(residuals), moment, kernel, model, bound.kept)
