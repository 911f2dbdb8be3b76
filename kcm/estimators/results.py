"""The results of an estimation."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
import pandas as pd
from jaxtyping import Int

from kcm._options import check_level
from kcm.data import as_table
from kcm.embedding import ConditionalMomentEmbedding
from kcm.estimators.confidence import ConfidenceSet
from kcm.estimators.convergence import Convergence
from kcm.estimators.estimates import Estimates
from kcm.estimators.fitdata import FitData, aligned_null, no_model, null_with_groups
from kcm.estimators.inversion import invert
from kcm.estimators.options import read_names, read_values
from kcm.estimators.prediction import predicted
from kcm.estimators.profile import Profile, build_profile
from kcm.estimators.robust import is_robust, robust_test
from kcm.estimators.tables import EstimationSummary, estimation_summary
from kcm.exceptions import ConvergenceWarning, DataError, OptionError, UnsupportedModelError
from kcm.kernels import Kernel
from kcm.moments import BoundMoment, FirstStageStrength, FittedMoment
from kcm.null import Null
from kcm.specification import KCMTest, KCMTestResult
from kcm.statistic import StatisticName

if TYPE_CHECKING:
    from kcm.estimators.base import Estimator

__all__ = ["EstimationResults"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EstimationResults(Estimates):
    """Estimates of the parameters of a conditional moment, with their inference.

    Attributes
    ----------
    params : pandas.Series
        Estimates by parameter name.
    covariance : pandas.DataFrame
        Their covariance; NaN for a parameter at a bound.
    cov_type : str
        "robust", "cluster" or "efficient".
    nobs : int
        Observations used.
    estimator : str
        "MMR" or "VMM".
    kernel : Kernel
        The kernel with its bandwidths as numbers.
    convergence : Convergence
        How the search ended: converged, message, n_iterations, gradient_norm, step, objective.
    first_stage : FirstStageStrength
        How strongly the conditioning variables identify the endogenous parameters.
    notes : tuple of str
        Sentences below the summary.
    data : FitData or None
        Residuals, fitted moment and rows; None after `remove_data`.
    model : Estimator or None
        The estimator that was fitted, with its data; None after `remove_data`, and after
        unpickling when its residual function could not be pickled (a lambda, or one that is
        defined inside a function).

    Examples
    --------
    >>> import kcm
    >>> data = kcm.datasets.load_cps71()
    >>> results = kcm.MMR.from_formula("logwage ~ age + I(age**2)", data).fit()
    >>> results.params.round(4).to_dict()
    {'Intercept': 10.5626, 'age': 0.1474, 'I(age ** 2)': -0.0017}
    """

    params: pd.Series
    covariance: pd.DataFrame
    cov_type: str
    nobs: int
    estimator: str
    kernel: Kernel
    convergence: Convergence
    first_stage: FirstStageStrength
    notes: tuple[str, ...]
    data: FitData | None
    model: "Estimator | None"

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value:.6g}" for name, value in self.params.items())
        return f"EstimationResults({self.estimator}, nobs={self.nobs}, {told})"

    def _repr_html_(self) -> str:
        return self.summary().as_html()

    def __reduce__(self) -> tuple[Any, ...]:
        names = self.__slots__
        parts = {name: getattr(self, name) for name in names}
        if self.model is not None and not self.model.picklable:
            parts["model"] = None
        return type(self), tuple(parts[name] for name in names)

    @property
    def converged(self) -> bool:
        """Whether the search reached a minimum."""
        return self.convergence.converged

    @property
    def fitted_moment(self) -> FittedMoment:
        """The moment at the estimate, for any test."""
        return self._data().fitted_moment

    @property
    def resid(self) -> pd.Series | pd.DataFrame:
        """Residuals psi: a Series, or a DataFrame with a column per component."""
        return self._data().resid.copy()

    @property
    def fittedvalues(self) -> pd.Series | pd.DataFrame:
        """Predicted outcomes, for a model by formula."""
        fitted = self._data().fittedvalues
        if fitted is None:
            raise UnsupportedModelError(
                "`fittedvalues` are defined for a model by formula; a residual function of your "
                "own does not say what it predicts. Use `resid`."
            )
        return fitted.copy()

    def test(
        self,
        kernel: Kernel | None = None,
        statistic: StatisticName = "U",
        null: Null | None = None,
        rng: Any = None,
        *,
        robust: bool | None = None,
    ) -> KCMTestResult:
        """Test the specification: that the moment holds at some theta.

        Parameters
        ----------
        kernel : Kernel, optional
            Default: the kernel of the estimation.
        statistic : {"U", "V"}
            Default "U".
        null : Null, optional
            Default `kcm.Asymptotic()`, by clusters where the covariance is; of the robust test as
            for `confidence_set`.
        rng : None, int, numpy Generator or JAX key, optional
            Source of the bootstrap's multipliers.
        robust : bool, optional
            False: the test at the estimate, whose law relies on strong identification. True: the
            largest p-value of `test_at` over the endogenous parameters, within their bounds, the
            others estimated anew at each value. It holds however weak the instruments are and is
            conservative where they are strong; without an endogenous parameter the two are one.
            By default True where `first_stage` is weak; the summary says so.

        Returns
        -------
        KCMTestResult

        Warns
        -----
        WeakInstrumentsWarning
            When `first_stage` is weak, unless `robust` is True.
        DependenceWarning
            When the covariance is by clusters and `null` is not.
        """
        if is_robust(robust, self.first_stage):
            fixed = read_names(self.first_stage.names, list(self.params.index))
            profile = self._profile("test", fixed, (statistic, null), rng)
            spread = self.covariance.to_numpy()[np.ix_(fixed, fixed)]
            start = self.params.to_numpy(), spread
            return robust_test(profile, start, kernel, self.first_stage)
        data = self._data()
        null = null_with_groups(aligned_null(null, self.model, data.kept), data.groups)
        kernel = self.kernel if kernel is None else kernel
        return KCMTest(kernel, statistic, null).run(data.fitted_moment, rng)

    def test_at(
        self,
        params: Any,
        statistic: StatisticName = "U",
        null: Null | None = None,
        rng: Any = None,
    ) -> KCMTestResult:
        """Test given values of some parameters, the others estimated anew.

        Parameters
        ----------
        params : mapping or Series
            Values by parameter name. Given all parameters, theta is known.
        statistic : {"U", "V"}
            Default "U".
        null : Null, optional
            As for `confidence_set`.
        rng : None, int, numpy Generator or JAX key, optional
            Source of the bootstrap's multipliers.

        Returns
        -------
        KCMTestResult
            The test of the moment at these values: it rejects when they are wrong and when the
            model is.
        """
        fixed, values = read_values(params, list(self.params.index))
        profile = self._profile("test_at", fixed, (statistic, null), rng)
        point = profile.at(values, self.params.to_numpy())
        if not point.converged:
            warnings.warn(
                "the search for the other parameters found no minimum; p is too small if anything",
                ConvergenceWarning,
                stacklevel=2,
            )
        return profile.result(point.moment)

    def embedding(self, kernel: Kernel | None = None) -> ConditionalMomentEmbedding:
        """Return the conditional moment embedding at the estimate: where the model fails.

        Parameters
        ----------
        kernel : Kernel, optional
            Default: the kernel of the estimation. Clusters are those of the covariance.
        """
        return ConditionalMomentEmbedding(self.fitted_moment, kernel or self.kernel, self.groups)

    def confidence_set(
        self,
        names: str | Sequence[str],
        level: float = 0.95,
        grid: Any = None,
        statistic: StatisticName = "U",
        null: Null | None = None,
        rng: Any = None,
    ) -> ConfidenceSet:
        """Collect the values of one or two parameters that the specification test keeps.

        Parameters
        ----------
        names : str or sequence of str
            One or two parameters; the others are estimated anew at each value.
        level : float
            Coverage, in (0, 1). Default 0.95.
        grid : array_like or mapping of arrays, optional
            Values to try; for two parameters an array for each by name. By default, for one
            parameter, a grid around the estimate that reaches 1,000 standard errors, then the
            limits; for two, 8 standard errors.
        statistic : {"U", "V"}
            Default "U".
        null : Null, optional
            Default `kcm.Asymptotic()`, by clusters where the covariance is; from three cumulants
            beyond 500 observations.
        rng : None, int, numpy Generator or JAX key, optional
            For a bootstrap null; every value sees the same draws.

        Returns
        -------
        ConfidenceSet
            Valid when the instruments are weak for the named parameters, as long as the others
            (estimated by `MMR`) are identified given these. Empty when the model is wrong.
        """
        check_level(level)
        fixed = read_names(names, list(self.params.index))
        if len(fixed) > 2:
            raise OptionError(
                f"`names` must be one or two parameters; got {len(fixed)}. Use `test_at` for more."
            )
        profile = self._profile("confidence_set", fixed, (statistic, null), rng)
        theta, errors = self.params.to_numpy(), self.bse.to_numpy()[fixed]
        return invert(profile, theta, errors, level, grid)

    def predict(self, data: Any = None) -> pd.Series | pd.DataFrame:
        """Predict the outcome of a model by formula.

        Parameters
        ----------
        data : data frame or mapping, optional
            New rows of the regressors' variables. Default: the rows of the estimate.

        Returns
        -------
        pandas.Series or pandas.DataFrame
            One column per equation of a system.
        """
        if data is None:
            return self.fittedvalues
        self.bound("predict")
        model = self.require_model("predict")
        rows = as_table(model.data, "data")[0].iloc[self._data().kept]
        return predicted(model.moment, self.params, rows, data)

    def remove_data(self) -> "EstimationResults":
        """Return the results without the data: estimates, covariance and summary stay."""
        return replace(self, data=None, model=None)

    def summary(self, level: float = 0.95) -> EstimationSummary:
        """Return a summary in the layout of statsmodels.

        Parameters
        ----------
        level : float
            Coverage of the confidence intervals, in (0, 1). Default 0.95.

        Returns
        -------
        EstimationSummary
            Prints as text; also ``as_html()``, ``as_latex()`` and ``as_csv()``.
        """
        return estimation_summary(self, level)

    @property
    def groups(self) -> Int[np.ndarray, " n"] | None:
        """Cluster numbers of the observations; None where they are independent."""
        return self._data().groups

    def bound(self, method: str) -> BoundMoment:
        """Read the model's data again; data that changed since the fit are refused.

        Parameters
        ----------
        method : str
            What it is needed for, for messages.

        Returns
        -------
        BoundMoment
        """
        return self._data().bound_again(self.require_model(method), method)

    def require_model(self, method: str) -> "Estimator":
        """Return the model, or say why there is none."""
        if self.model is None:
            raise no_model(method)
        return self.model

    def _profile(
        self,
        method: str,
        fixed: Sequence[int],
        test: tuple[StatisticName, Null | None],
        rng: Any,
    ) -> Profile:
        bound, data, (statistic, null) = self.bound(method), self._data(), test
        options = statistic, aligned_null(null, self.model, data.kept)
        return build_profile(bound, self.kernel, data, fixed, options, rng)

    def _data(self) -> FitData:
        if self.data is None:
            raise DataError("these results hold no data: `remove_data` was called. Fit again.")
        return self.data
