"""The front door: test a fitted model."""

import dataclasses
from typing import Any

from kcm.adapters import align_to_fit, fit_column, fitted_moment
from kcm.contraction import StatisticName
from kcm.kernels import Kernel
from kcm.null import Asymptotic, Null
from kcm.omnibus import KCMTest
from kcm.results import KCMTestResult

__all__ = ["specification_test"]


def specification_test(
    fit: Any,
    conditioning: Any = None,
    kernel: Kernel | None = None,
    statistic: StatisticName = "U",
    null: Null | None = None,
    rng: Any = None,
) -> KCMTestResult:
    """Test whether a fitted model is correctly specified.

    The null hypothesis is that the residual has conditional mean zero given the conditioning
    variables. That theta was estimated is taken into account.

    Parameters
    ----------
    fit : fitted result or FittedMoment
        From statsmodels: OLS, WLS, GLS with diagonal weights, GLM, Logit, Probit, Poisson,
        NegativeBinomial, GeneralizedPoisson, QuantReg, IV2SLS; from linearmodels: IV2SLS, IVLIML,
        IVGMM.
    conditioning : data frame, str, list of str or array_like, optional
        Variables that the residual must not depend on. By default the variables that the formula
        mentions, or the design columns that vary; for instrumental variables the exogenous
        variables and the instruments. May be wider than the model, to look for omitted variables.
        A frame is aligned with the fit by index.
    kernel : Kernel, optional
        Default `kcm.kernels.Gaussian()` with the median heuristic.
    statistic : {"U", "V"}
        Default "U".
    null : Null, optional
        `kcm.Asymptotic()` (default) or `kcm.MultiplierBootstrap()`.
    rng : None, int, numpy Generator or JAX key, optional
        Source of randomness of the bootstrap.

    Returns
    -------
    KCMTestResult

    Raises
    ------
    UnsupportedModelError
        When the fit is of a type whose influence function is not known here.
    DataError
        When the data cannot be used or aligned.
    OptionError
        When an option is not valid.

    Examples
    --------
    >>> import statsmodels.formula.api as smf
    >>> import kcm
    >>> fit = smf.ols("logwage ~ age + I(age**2)", data=kcm.datasets.load_cps71()).fit()
    >>> result = kcm.specification_test(fit)
    >>> round(result.pvalue, 4)
    0.0042
    """
    moment = fitted_moment(fit, conditioning)
    test = KCMTest(kernel, statistic, _with_aligned_groups(null or Asymptotic(), fit))
    return test.run(moment, rng)


def _with_aligned_groups(null: Null, fit: Any) -> Null:
    groups = getattr(null, "groups", None)
    if groups is None or not dataclasses.is_dataclass(null):
        return null
    values = fit_column(fit, groups) if isinstance(groups, str) else groups
    return dataclasses.replace(null, groups=align_to_fit(fit, values, "groups"))
