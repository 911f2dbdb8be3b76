"""The kernel conditional moment test: kernel, statistic and null law -> result."""

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from kcm._validation import as_generator, check_option
from kcm.contraction import Contraction, StatisticName, contract
from kcm.exceptions import DataError, OptionError, SaturatedModelError
from kcm.kernels import Gaussian, Kernel
from kcm.moments import FittedMoment, MomentLabels
from kcm.null import Asymptotic, Null
from kcm.results import KCMTestResult

__all__ = ["KCMTest"]


@final
@dataclass(frozen=True, slots=True)
class KCMTest:
    r"""Configuration of the kernel conditional moment test.

    The statistic is n times the squared maximum moment restriction,

    .. math:: T_U = \tfrac{1}{n-1} \textstyle\sum_{i \ne j} \psi_i' k(x_i, x_j) \psi_j, \qquad
        T_V = \tfrac1n \sum_{i,j} \psi_i' k(x_i, x_j) \psi_j ,

    and large values speak against E[psi | X] = 0. With a kernel that is integrally strictly
    positive definite on all conditioning columns (Gaussian, Laplace, inverse multiquadric) every
    departure is found when n is large enough, save those that the estimate of theta absorbs.

    Parameters
    ----------
    kernel : Kernel, optional
        Default `Gaussian()`, with the median heuristic on the conditioning columns.
    statistic : {"U", "V"}
        Default "U", unbiased for the squared maximum moment restriction.
    null : Null, optional
        `Asymptotic()` (default) or `MultiplierBootstrap()`.

    Raises
    ------
    OptionError
        When an option is not one of those listed.

    References
    ----------
    Muandet, Jitkrittum and Kuebler (2020), Kernel conditional moment test via maximum moment
    restriction, UAI.

    Examples
    --------
    >>> import numpy as np
    >>> import kcm
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=200)
    >>> psi = np.sin(2 * x) + rng.normal(size=200)
    >>> KCMTest().run(kcm.FittedMoment(psi, x)).pvalue < 0.01
    True
    """

    kernel: Kernel | None = None
    statistic: StatisticName = "U"
    null: Null | None = None

    def __post_init__(self) -> None:
        check_option(self.statistic, ("U", "V"), "statistic")
        if self.kernel is not None and not isinstance(self.kernel, Kernel):
            raise OptionError(
                f"`kernel` must be a kernel such as kcm.kernels.Gaussian(); got {self.kernel!r}."
            )
        if self.null is not None and not isinstance(self.null, Null):
            raise OptionError(
                f"`null` must be kcm.Asymptotic() or kcm.MultiplierBootstrap(); got {self.null!r}."
            )

    def run(self, fitted_moment: FittedMoment, rng: Any = None) -> KCMTestResult:
        """Test a fitted moment.

        Parameters
        ----------
        fitted_moment : FittedMoment
        rng : None, int, numpy Generator or JAX key, optional
            Source of the bootstrap's multipliers; the same value gives the same result. Not used
            by the asymptotic law.

        Returns
        -------
        KCMTestResult

        Raises
        ------
        SaturatedModelError
            When all residuals are zero, or the kernel sees nothing of them.
        DataError
            When the kernel is not finite on the data.
        OptionError
            When the null law is not valid for this moment.
        """
        _check_moment(fitted_moment)
        kernel = (self.kernel or Gaussian()).resolve(fitted_moment.conditioning)
        with np.errstate(over="ignore", invalid="ignore"):
            contraction = contract(fitted_moment, kernel, self.statistic)
            _check_finite(contraction)
        null = (self.null or Asymptotic()).distribution(contraction, as_generator(rng))
        statistic, n = contraction.statistic, fitted_moment.n_obs
        names = fitted_moment.labels
        return KCMTestResult(
            statistic=statistic,
            pvalue=null.pvalue(statistic),
            null_distribution=null,
            n_obs=n,
            kernel=kernel,
            mmr=statistic / n,
            statistic_name=self.statistic,
            null_hypothesis=f"{_conditional_mean(names)} = 0",
            alternative=f"{_conditional_mean(names)} is not 0 everywhere",
            conditioning_names=names.conditioning,
            theta=names.theta,
            n_dropped=names.n_dropped,
        )


def _conditional_mean(labels: MomentLabels) -> str:
    return f"E[{labels.moment} | {', '.join(labels.conditioning)}]"


def _check_moment(moment: Any) -> None:
    if not isinstance(moment, FittedMoment):
        raise OptionError(
            f"`fitted_moment` must be a FittedMoment; got {type(moment).__name__}. "
            "For a fitted model call kcm.specification_test(fit)."
        )
    if not np.any(moment.residuals):
        raise SaturatedModelError("all `residuals` are zero, so there is nothing to test.")


def _check_finite(contraction: Contraction) -> None:
    if not math.isfinite(float(np.sum(contraction.scaled_residuals**2))):
        raise DataError("the `residuals` are too large to be squared; divide them by a constant.")
    if not math.isfinite(contraction.statistic):
        raise DataError(
            f"the statistic is {contraction.statistic}: the kernel {contraction.kernel!r} "
            "is not finite on these conditioning values."
        )
