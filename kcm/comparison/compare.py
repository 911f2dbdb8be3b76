"""Several tests of one fitted model: names -> table."""

import warnings
from collections.abc import Sequence
from typing import Any, Literal

from kcm._options import as_generator, did_you_mean, listed
from kcm.adapters import fit_clusters, fit_name, fitted_moment, own_groups, own_kernel
from kcm.comparison.entry import Subject
from kcm.comparison.kernel_rows import KERNEL_TESTS
from kcm.comparison.record import ComparisonTable
from kcm.comparison.registry import names, row
from kcm.exceptions import DependenceWarning, OptionError
from kcm.specification import warn_of_dependence

__all__ = ["compare_tests"]

_ADVICE = "for a test by clusters call kcm.specification_test with kcm.Asymptotic(groups=...)"


def compare_tests(
    fit: Any,
    tests: Literal["all"] | str | Sequence[str] = "all",
    conditioning: Any = None,
    rng: Any = None,
    progress: bool = True,
) -> ComparisonTable:
    """Test one fitted model in several ways, kernel tests and classical ones.

    A test that does not apply to the model, or cannot be computed, has a row that says why.

    Parameters
    ----------
    fit : fitted result, EstimationResults or FittedMoment
        As for `kcm.specification_test`.
    tests : "all", str or list of str
        Names of tests, from `kcm.comparison.names()`. Default "all".
    conditioning : data frame, str, list of str or array_like, optional
        Variables that the residual must not depend on, for the kernel tests; as for
        `kcm.specification_test`. The classical tests look at the regressors and instruments of
        the fit.
    rng : None, int, numpy Generator or JAX key, optional
        Source of the directions that the row Lavergne-Patilea draws where there are two variables
        or more; no other row draws anything.
    progress : bool
        Show a bar where a kernel test takes more than about five seconds. Default True.

    Returns
    -------
    ComparisonTable

    Raises
    ------
    OptionError
        When a name is not known, or an option is not valid.
    UnsupportedModelError
        When the fit is of a type whose influence function is not known here.
    DataError
        When the data cannot be used or aligned.

    Warns
    -----
    DependenceWarning
        When the covariance of the fit allows for serial correlation, or the data look like a panel:
        the tests of the table treat the observations as independent. When it allows for clusters
        and there are rows that do not take them; the tests by kernels do.

    Notes
    -----
    Tests of the mean by kernels (KCM, ICM, Stute, Escanciano, Zheng, Hsiao-Li-Racine,
    Lavergne-Patilea, Dominguez-Lobato) share the law `kcm.Asymptotic()`, with theta estimated. For
    `EstimationResults` KCM has the kernel of the estimate, and is consistent where that kernel sees
    every function, as the default does.

    RESET has the squares and cubes of the fitted values and the HC3 covariance. Rainbow and White's
    test are `linear_rainbow` and `spec_white` of `statsmodels.stats.diagnostic`, Breusch-Pagan is
    the version of Koenker there (`het_breuschpagan`), Harvey-Collier that of lmtest in R. Sargan,
    Wooldridge and J are those of linearmodels, and J of a statsmodels fit its `jtest`. Tests of a
    weighted regression use its weights.

    Examples
    --------
    >>> import statsmodels.formula.api as smf
    >>> import kcm
    >>> fit = smf.ols("logwage ~ age + I(age**2)", data=kcm.datasets.load_cps71()).fit()
    >>> table = kcm.compare_tests(fit, ["KCM", "RESET", "rainbow"])
    >>> [(row.name, f"{row.pvalue:.2g}") for row in table.rows]
    [('KCM', '0.0051'), ('RESET', '3.6e-05'), ('rainbow', '3.4e-05')]
    """
    chosen, generator = _chosen(tests), as_generator(rng)
    moment = fitted_moment(fit, conditioning)
    groups = fit_clusters(fit)
    if groups is None:
        warn_of_dependence(fit, _ADVICE)
    elif own_groups(fit) is None:
        _warn_of_rows_without_clusters(fit, chosen)
    subject = Subject(
        fit=getattr(fit, "_results", fit),
        name=fit_name(fit),
        moment=moment,
        kernel=own_kernel(fit) if conditioning is None else None,
        groups=groups,
        seed=int(generator.integers(2**63)),
        progress=progress,
    )
    model = f"{subject.name}, {moment.labels.moment}"
    return ComparisonTable(model, moment.n_obs, tuple(row(name, subject) for name in chosen))


def _warn_of_rows_without_clusters(fit: Any, chosen: Sequence[str]) -> None:
    """Warn of rows that do not take the clusters of the fit's covariance."""
    without = [name for name in chosen if name not in KERNEL_TESTS]
    if without:
        warnings.warn(
            f"the fit's covariance allows for dependence within clusters (cov_type="
            f"{fit.cov_type!r}), which {listed(without)} do not take into account; rely on the "
            "rows by kernels, or call kcm.specification_test.",
            DependenceWarning,
            stacklevel=3,
        )


def _chosen(tests: Any) -> list[str]:
    """Return the names asked for, each once."""
    known = names()
    if isinstance(tests, str):
        tests = known if tests == "all" else [tests]
    if not isinstance(tests, Sequence) or len(tests) == 0:
        raise OptionError(
            f'`tests` must be "all" or a list of names; got {tests!r}. '
            f"The tests are {listed(known, at_most=len(known))}."
        )
    for name in tests:
        if name not in known:
            raise OptionError(
                f"`tests`: there is no test {name!r}{did_you_mean(str(name), known)} "
                f"The tests are {listed(known, at_most=len(known))}."
            )
    return list(dict.fromkeys(tests))
