"""The front door: test a fitted model."""

import warnings
from collections.abc import Sequence
from typing import Any, Literal

from kcm.adapters import (
    align_to_fit,
    fit_clusters,
    fit_column,
    fit_panel,
    fitted_moment,
    own_kernel,
)
from kcm.combination import PenalizedMaximum
from kcm.computation import Method, takes_all_pairs
from kcm.contraction import StatisticName
from kcm.exceptions import DependenceWarning
from kcm.kernels import Kernel
from kcm.kernels.frames import N_SCALES
from kcm.moments import FittedMoment
from kcm.null import Asymptotic, Null
from kcm.null.base import with_groups
from kcm.omnibus import KCMTest
from kcm.results import KCMTestResult

__all__ = ["specification_test", "warn_of_dependence"]

# Values of `cov_type` in statsmodels, then in linearmodels.
_SERIAL = frozenset({"HAC", "hac-panel", "hac-groupsum", "nw-panel", "nw-groupsum", "kernel"})
_CLUSTERED = frozenset({"cluster", "cluster-crv3", "cluster-jk", "clustered"})
_PASS_GROUPS = "pass `null=kcm.Asymptotic(groups=...)`"


def specification_test(
    fit: Any,
    conditioning: Any = None,
    kernel: Kernel | Sequence[Kernel] | PenalizedMaximum | Literal["adaptive"] | None = None,
    statistic: StatisticName = "U",
    null: Null | None = None,
    rng: Any = None,
    method: Method = "auto",
    tolerance: float | None = None,
    memory_limit: Any = None,
    precision: Literal["double", "mixed", "single"] = "mixed",
    device: Any = None,
    mesh: Any = None,
    progress: bool = True,
    projection: Literal["estimator", "orthogonal"] = "estimator",
) -> KCMTestResult:
    """Test whether a fitted model is correctly specified.

    The null hypothesis is that the residual has conditional mean zero given the conditioning
    variables. That theta was estimated is taken into account.

    Parameters
    ----------
    fit : fitted result, EstimationResults or FittedMoment
        From statsmodels: OLS, WLS, GLS with diagonal weights, GLM, Logit, Probit, Poisson,
        NegativeBinomial, NegativeBinomialP, GeneralizedPoisson, QuantReg, IV2SLS, IVGMM,
        LinearIVGMM, NonlinearIVGMM and your own subclasses of GMM whose moments are instruments
        times one residual; from linearmodels: OLS, IV2SLS, IVLIML, IVGMM and IVGMMCUE; and what
        `kcm.MMR` and `kcm.VMM` return.
    conditioning : data frame, str, list of str or array_like, optional
        Variables that the residual must not depend on. By default the variables that the formula
        mentions, or the design columns that vary; for instrumental variables and GMM the exogenous
        variables and the instruments. May be wider than the model, to look for omitted variables.
        A frame is aligned with the fit by index. Strings, booleans and categories are taken too.
    kernel : Kernel, "adaptive", list of Kernel or PenalizedMaximum, optional
        "adaptive" combines Gaussian and Laplace kernels of several bandwidths, and a list its
        kernels, as in `kcm.KCMTest`; `kcm.PenalizedMaximum` chooses one. Default "adaptive"; for
        `EstimationResults` on their own conditioning variables, the kernel of the estimate. One
        kernel, `kcm.kernels.Gaussian()` with the median heuristic, times kernels of categories
        where there are such variables (`kcm.kernels.for_frame`), is the default where the five of
        "adaptive" cannot be had: beyond 5e11 products for all of them (about 13,000 observations),
        with `method="low-rank"`, `StudentizedNormal` and draws that `stop`.
    statistic : {"U", "V"}
        Default "U".
    null : Null, optional
        `kcm.Asymptotic()` (default), `kcm.MultiplierBootstrap()` or `kcm.StudentizedNormal()`.
    rng : None, int, numpy Generator or JAX key, optional
        Source of randomness of the bootstrap.
    method, tolerance, memory_limit, precision, device, mesh, progress
        How the test is computed, as in `kcm.KCMTest`: exact or low-rank, within which memory, in
        which precision and where. The defaults suit samples of any size.
    projection : {"estimator", "orthogonal"}
        How the law takes the estimation of theta into account, as in `kcm.KCMTest`. Default
        "estimator"; "orthogonal" is for models without endogenous regressors.

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

    Warns
    -----
    DependenceWarning
        When the null law has no groups and the covariance of the fit allows for serial correlation
        or clusters in two ways, or the data look like a panel. Clusters of the covariance in one
        way become the groups of a null law that has none.

    Examples
    --------
    >>> import statsmodels.formula.api as smf
    >>> import kcm
    >>> fit = smf.ols("logwage ~ age + I(age**2)", data=kcm.datasets.load_cps71()).fit()
    >>> result = kcm.specification_test(fit)
    >>> round(result.pvalue, 4)
    0.0014
    """
    moment = fitted_moment(fit, conditioning)
    null = _null_of(null, fit)
    if kernel is None and conditioning is None:
        kernel = own_kernel(fit)
    if kernel is None:
        kernel = _default_kernel(moment, null, method)
    how = method, tolerance, memory_limit, precision, device, mesh, progress, projection
    test = KCMTest(kernel, statistic, null, *how)
    if getattr(null, "groups", None) is None:
        warn_of_dependence(fit)
    return test.run(moment, rng)


def _default_kernel(moment: FittedMoment, null: Any, method: str) -> Literal["adaptive"] | None:
    """Return "adaptive" where all pairs are affordable with each of its kernels."""
    if method == "low-rank" or not isinstance(null, Null) or not null.allows_several_kernels:
        return None
    return "adaptive" if takes_all_pairs(moment, null, N_SCALES) else None


def _null_of(null: Null | None, fit: Any) -> Null:
    """Return the null law to use, with groups on the observations of the fit.

    Where it has none they are the clusters of the fit's covariance; a FittedMoment has no labels
    to go by.
    """
    if null is None:
        return Asymptotic(groups=fit_clusters(fit))
    if not isinstance(null, Null) or isinstance(fit, FittedMoment) or not hasattr(null, "groups"):
        return null
    groups = null.groups
    if groups is None:
        clusters = fit_clusters(fit)
        return null if clusters is None else with_groups(null, clusters)
    values = fit_column(fit, groups) if isinstance(groups, str) else groups
    return with_groups(null, align_to_fit(fit, values, "groups"))


def warn_of_dependence(fit: Any, advice: str = _PASS_GROUPS) -> None:
    """Warn, from the caller's caller, when the observations of a fit may depend on each other.

    Parameters
    ----------
    fit : fitted result
    advice : str
        What to do about clusters, as the end of a sentence.

    Warns
    -----
    DependenceWarning
    """
    message = _dependence(fit, advice)
    if message is not None:
        warnings.warn(message, DependenceWarning, stacklevel=3)


def _dependence(fit: Any, advice: str) -> str | None:
    """Say why the observations may depend on each other; None where nothing tells so."""
    cov_type = getattr(fit, "cov_type", None)
    if cov_type in _CLUSTERED:
        return (
            f"the fit's covariance allows for dependence within clusters ({cov_type=}), the test "
            f"treats the observations as independent; {advice}."
        )
    if cov_type in _SERIAL:
        return (
            f"the fit's covariance allows for serial correlation ({cov_type=}), the test treats "
            "the observations as independent. If the model holds given the past, as an "
            "autoregression does, its errors are not correlated and nothing is to be done. If "
            "they are, let blocks of rows that follow each other be the groups, each longer than "
            f"the correlation lasts (`groups = np.arange(n) // 20`), and {advice}."
        )
    unit = fit_panel(fit)
    if unit is None:
        return None
    return (
        f"the data look like a panel: each {unit!r} is observed several times, and the test treats "
        f"the observations as independent; {advice.replace('groups=...', f'groups={unit!r}')}."
    )
