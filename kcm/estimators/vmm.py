"""Efficient estimation: the kernel variational method of moments."""

import math
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from jaxtyping import Float

from kcm.estimators.base import Estimator, Search, prepare_estimator
from kcm.estimators.regularization import (
    WEAKEST,
    choose_regularization,
    component_sizes,
    moment_covariance,
    moment_rows,
)
from kcm.estimators.search import Minimum, fits_exactly
from kcm.estimators.weighting import KernelWeight, OptimalWeight
from kcm.exceptions import ConvergenceWarning, OptionError, SaturatedModelError
from kcm.gram import LowRankFactor, low_rank_factor
from kcm.kernels import Kernel
from kcm.moments import BoundMoment, Moment, MomentValues

__all__ = ["VMM"]

# The features of the optimal weight: a hundredth of the weakest regularisation.
TOLERANCE = 1e-10
MOST_FEATURES = 500


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class VMM(Estimator):
    r"""Efficient estimation from a conditional moment: the kernel variational method of moments.

    Two steps: `MMR` gives residuals :math:`\tilde\psi`, then

    .. math:: \hat\theta = \mathrm{argmin}_\theta \; n^{-2}\, \psi(\theta)' K
        \bigl(n^{-1} K \tilde D K + a K\bigr)^{+} K \psi(\theta), \qquad
        \tilde D = \mathrm{diag}(\tilde\psi^2),

    the optimally weighted continuum of moments, with the inverse of their covariance operator
    regularised in the norm of the RKHS. Where a goes to zero slowly it is as efficient as GMM with
    the optimal instruments :math:`E[S|X]/E[\psi^2|X]`, which nobody has to know.

    The default covariance is the efficient one, n^-1 (n^-2 S'WS)^{-1} with W the weight above;
    "robust" is the sandwich with the influence of each observation.

    Parameters
    ----------
    moment : Moment
        A `ConditionalMoment`; `from_formula` makes linear ones.
    data : data frame or mapping
        Of pandas, Polars or Arrow, or columns by name.
    kernel : Kernel, optional
        On the conditioning variables. Default `kcm.kernels.Gaussian()` with the median heuristic.
    regularization : float, optional
        a, as a share of the largest eigenvalue of the covariance operator; in (0, 1]. By default
        chosen from 1, 10^-0.5, ..., 10^-8 by five-fold cross-validation of the optimal
        instruments: the largest share for which the mean of (psi'h)^2 - 2 S'h on the rows left
        out is within half a standard error of the lowest.

    Raises
    ------
    OptionError
        When `moment`, `kernel` or `regularization` is something else.
    SaturatedModelError
        By `fit`, when the first step fits exactly.

    Notes
    -----
    K is replaced by F F', a low-rank factor with at most 500 columns whose residual trace is
    10^-10 of the trace of K unless that limit is met first; the summary says which. Time
    O(n r^2 + r^3), memory O(n r). The components of a system are weighed in units of their root
    mean square residual. The folds of the cross-validation, and Omega, take the observations as
    independent, also with ``groups``; the covariance by clusters does not.

    References
    ----------
    Bennett and Kallus (2023), The variational method of moments, Journal of the Royal Statistical
    Society B 85, 810-841. Carrasco and Florens (2000), Generalization of GMM to a continuum of
    moment conditions, Econometric Theory 16, 797-834.

    Examples
    --------
    >>> import numpy as np
    >>> import kcm
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(0, 2, size=500)
    >>> data = {"x": x, "y": 1 + x + (0.1 + x**2) * rng.normal(size=500)}
    >>> errors = [
    ...     estimator.from_formula("y ~ x", data).fit().bse["x"] for estimator in (kcm.MMR, kcm.VMM)
    ... ]
    >>> bool(errors[1] < 0.8 * errors[0])
    True
    """

    moment: Moment
    data: Any
    kernel: Kernel | None = None
    regularization: float | None = None
    cov_types: ClassVar[tuple[str, ...]] = ("efficient", "robust", "cluster")

    def __post_init__(self) -> None:
        prepare_estimator(self)
        a = self.regularization
        if a is not None and not (isinstance(a, int | float) and math.isfinite(a) and 0 < a <= 1):
            raise OptionError(
                "`regularization` must be a share of the largest eigenvalue in (0, 1], or None to "
                f"choose it; got {a!r}."
            )

    def _minimise(
        self,
        bound: BoundMoment,
        kernel: Kernel,
        starts: list[Float[np.ndarray, " p"]],
        search: Search,
    ) -> tuple[Minimum, tuple[str, ...]]:
        features = low_rank_factor(kernel, bound.conditioning, TOLERANCE, MOST_FEATURES)
        first = search(KernelWeight(kernel, bound.conditioning, features), starts)
        if fits_exactly(first.values, first.theta):
            raise SaturatedModelError(
                "the first step fits exactly: the residuals are zero up to rounding, so the "
                "moments have no variance to weigh them by. Use `kcm.MMR`."
            )
        share = self.regularization
        if share is None:
            share = choose_regularization(first.values, features.factor, bound.conditioning)
        second = search(optimal_weight(first.values, features.factor, share), [first.theta])
        return second, (*_told_of_first(first), _told(share, features))


def _told_of_first(first: Minimum) -> tuple[str, ...]:
    if first.convergence.converged:
        return ()
    warnings.warn(
        "the first step, by MMR, did not reach a minimum, and the weights rest on it; use another "
        "`start`, several of them (`n_starts`), or a larger `maxiter`.",
        ConvergenceWarning,
        stacklevel=5,
    )
    return ("The first step did not converge.",)


def _told(share: float, features: LowRankFactor) -> str:
    weakest = ", the weakest there is" if share <= WEAKEST else ""
    return (
        f"Regularization {share:.3g} of the largest eigenvalue{weakest}; {features.rank} features, "
        f"residual trace {features.residual_share:.2g} of the kernel's."
    )


def optimal_weight(
    values: MomentValues, factor: Float[np.ndarray, "n r"], share: float
) -> OptimalWeight:
    """Return the weight (Omega + a I)^-1 on the features, a relative to Omega's largest eigenvalue.

    Parameters
    ----------
    values : MomentValues
        At the first estimate.
    factor : ndarray of shape (n, r)
    share : float

    Returns
    -------
    OptimalWeight
    """
    size = component_sizes(values.residuals)
    omega = moment_covariance(moment_rows(values.residuals / size, factor))
    largest = float(np.linalg.eigvalsh(omega)[-1])
    ridge = share * largest * np.eye(len(omega))
    return OptimalWeight(factor, size, np.linalg.cholesky(omega + ridge))
