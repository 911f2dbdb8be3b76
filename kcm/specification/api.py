"""The front door: test a fitted model."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from kcm.adapters import (
    CLUSTERED,
    SERIAL,
    align_to_fit,
    first_stage_strength,
    fit_clusters,
    fit_column,
    fit_panel,
    fitted_moment,
    is_estimation,
    own_kernel,
)
from kcm.exceptions import DependenceWarning
from kcm.kernels import Kernel
from kcm.moments import FittedMoment, warn_of_weak_instruments
from kcm.null import Asymptotic, Method, Null, with_groups
from kcm.specification.combination import PenalizedMaximum
from kcm.specification.kcm_test import KCMTest
from kcm.specification.result import KCMTestResult
from kcm.statistic import StatisticName

__all__ = ["specification_test", "warn_of_dependence"]

_WEAK = (
    "the test at the estimate may then reject a right model too often; "
    "`kcm.MMR.from_formula(...).fit().test(robust=True)` holds"
)
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
    *,
    data: Any = None,
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
        `EstimationResults` on their own conditioning variables, the kernel of the estimate. It is
        the same test at every n: beyond 5e11 products for all kernels (about 13,000 observations)
        those that need most rank stay exact as far as the work goes and the others are low-rank;
        one of which its factor sees less than a tenth is left out, and the summary names it. With
        `StudentizedNormal` and draws that `stop`, which combine no kernels, one is the default and
        a note says so: `kcm.kernels.Gaussian()` with the median heuristic, times kernels of
        categories where there are such variables (`kcm.kernels.for_frame`).
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
    data : data frame, mapping or tuple, optional
        Rows that the fit has not used: the test is of them, at the parameters of the fit, and its
        law takes the error of these from the rows of the fit. For a fit by formula a table with
        the columns of the formula, whose transforms and categories stay those of the fit; for one
        on arrays ``(endog, exog)``, a mapping of such names (with "offset" or "exposure" where the
        fit has them; "instrument" for IV2SLS of statsmodels; "dependent", "exog", "endog" and
        "instruments" for linearmodels), or a table with columns of the same names. Rows with
        missing values are left out and counted. `conditioning` and groups are then those of these
        rows. Not for GMM fits of statsmodels. Default: the rows of the fit.

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
        way become the groups of a null law that has none, on the rows of the fit.
    WeakInstrumentsWarning
        When `first_stage_strength` of the fit is weak.

    Examples
    --------
    >>> import statsmodels.formula.api as smf
    >>> import kcm
    >>> fit = smf.ols("logwage ~ age + I(age**2)", data=kcm.datasets.load_cps71()).fit()
    >>> result = kcm.specification_test(fit)
    >>> round(result.pvalue, 4)
    0.0017

    The fit on one half of the rows, tested on the other:

    >>> rows = kcm.datasets.load_cps71()
    >>> fit = smf.ols("logwage ~ age + I(age**2)", data=rows[::2]).fit()
    >>> kcm.specification_test(fit, data=rows[1::2]).theta
    'estimated on another sample of 103 rows: OLS'
    """
    moment = fitted_moment(fit, conditioning, data=data)
    null = _null_of(null, fit, data)
    if kernel is None and conditioning is None:
        kernel = own_kernel(fit)
    notes: tuple[str, ...] = ()
    if kernel is None:
        kernel, notes = _default_kernel(moment, null)
    how = method, tolerance, memory_limit, precision, device, mesh, progress, projection
    test = KCMTest(kernel, statistic, null, *how)
    if getattr(null, "groups", None) is None:
        warn_of_dependence(fit, data=data)
    if not isinstance(fit, FittedMoment):
        _warn_of_first_stage(fit, getattr(null, "groups", None) if data is None else None)
    result = test.run(moment, rng)
    return replace(result, certificate=result.certificate.with_notes(notes))


def _warn_of_first_stage(fit: Any, groups: Any) -> None:
    """Warn of weak instruments, in the clusters of the test unless the fit has its own."""
    strength = first_stage_strength(fit, groups=None if is_estimation(fit) else groups)
    warn_of_weak_instruments(strength, _WEAK, stacklevel=4)


def _default_kernel(
    moment: FittedMoment, null: Any
) -> tuple[Literal["adaptive"] | None, tuple[str, ...]]:
    """Return "adaptive" where kernels can be combined; else None, and a note that says so."""
    if not isinstance(null, Null) or null.allows_several_kernels:
        return "adaptive", ()
    if "continuous" not in moment.labels.kinds:  # the adaptive test has one kernel there
        return None, ()
    reason = "draws that `stop`" if hasattr(null, "stop") else type(null).__name__
    return None, (
        f"one kernel was taken, and not the several of the default, which {reason} cannot combine",
    )


def _null_of(null: Null | None, fit: Any, data: Any) -> Null:
    """Return the null law to use, with groups on the observations of the fit.

    Where it has none they are the clusters of the fit's covariance, on the fit's own rows; a
    FittedMoment has no labels to go by.
    """
    if null is None:
        return Asymptotic(groups=_clusters(fit, data))
    if not isinstance(null, Null) or isinstance(fit, FittedMoment) or not hasattr(null, "groups"):
        return null
    groups = null.groups
    if groups is None:
        clusters = _clusters(fit, data)
        return null if clusters is None else with_groups(null, clusters)
    values = fit_column(fit, groups, data) if isinstance(groups, str) else groups
    return with_groups(null, align_to_fit(fit, values, "groups", data))


def _clusters(fit: Any, data: Any) -> Any:
    """Return the clusters of the fit on its own rows; None on others."""
    return fit_clusters(fit) if data is None else None


def warn_of_dependence(fit: Any, advice: str = _PASS_GROUPS, *, data: Any = None) -> None:
    """Warn, from the caller's caller, when the observations of a fit may depend on each other.

    Parameters
    ----------
    fit : fitted result
    advice : str
        What to do about clusters, as the end of a sentence.
    data : data frame, mapping or tuple, optional
        Rows that the fit has not used, in place of its own.

    Warns
    -----
    DependenceWarning
    """
    message = _dependence(fit, advice, data)
    if message is not None:
        warnings.warn(message, DependenceWarning, stacklevel=3)


def _dependence(fit: Any, advice: str, data: Any) -> str | None:
    """Say why the observations may depend on each other; None where nothing tells so."""
    cov_type = getattr(fit, "cov_type", None)
    if cov_type in CLUSTERED:
        return (
            f"the fit's covariance allows for dependence within clusters ({cov_type=}), the test "
            f"treats the observations as independent; {advice}."
        )
    if cov_type in SERIAL:
        return (
            f"the fit's covariance allows for serial correlation ({cov_type=}), the test treats "
            "the observations as independent. If the model holds given the past, as an "
            "autoregression does, its errors are not correlated and nothing is to be done. If "
            "they are, let blocks of rows that follow each other be the groups, each longer than "
            f"the correlation lasts (`groups = np.arange(n) // 20`), and {advice}."
        )
    unit = fit_panel(fit, data)
    if unit is None:
        return None
    return (
        f"the data look like a panel: each {unit!r} is observed several times, and the test treats "
        f"the observations as independent; {advice.replace('groups=...', f'groups={unit!r}')}."
    )
