"""The normal law of the smooth tests, whose bandwidth goes to zero as the sample grows."""

import math
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from kcm._records import fixed
from kcm.moments import group_codes
from kcm.null.base import Null
from kcm.null.normal import NormalLaw
from kcm.statistic import Contraction, check_spread, empty_border, form_sums

__all__ = ["StudentizedNormal"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StudentizedNormal(Null):
    r"""The normal law of the smooth tests of Zheng, Fan and Li, and Li and Wang.

    With a bandwidth h that shrinks as the sample grows, the statistic divided by

    .. math:: \mathrm{sd}^2 = 2 f^2 \textstyle\sum_{i \ne j} (\psi_i'\psi_j)^2\, k(x_i, x_j)^2

    (f = 1/(n-1) for U, 1/n for V) is standard normal in large samples, and large values speak
    against the model. The law returned is that of the statistic itself, normal with this standard
    deviation. The mean is zero for U; for V it is the sum of the terms i = j, so that U and V have
    the same p-value.

    Parameters
    ----------
    groups : array_like of shape (n,), Series or str, optional
        Cluster labels. What is squared is then the sum over the pairs of two clusters, and the
        mean is the sum of the pairs within clusters, which leaves those between them. As in
        `MultiplierBootstrap` a Series is aligned with the fit by index, and a name is a column of
        the data of the fit.

    Notes
    -----
    The estimation of theta does not enter: its effect on the statistic vanishes with h, and a
    finite-sample scale of the residuals does not enter either. It vanishes slowly: until then the
    test rejects less often than `level`, and `Asymptotic` with the same kernel holds its size.
    With a bandwidth that does not shrink, such as the median heuristic's, the law is wrong: it is
    far from normal, and a test with an estimated theta hardly rejects.

    Zheng (1996) needs h -> 0 with n h^d -> infinity; a common choice is 1.06 n^(-1/(4+d)) standard
    deviations per column. Departures are found at distances of n^(-1/2) h^(-d/4), farther away
    than by `Asymptotic` with a fixed bandwidth.

    The test takes all pairs of observations (`method="exact"`): a narrow kernel has no low-rank
    factor.

    References
    ----------
    Zheng (1996), A consistent test of functional form via nonparametric estimation techniques,
    Journal of Econometrics 75, 263-289. Li and Wang (1998), A simple consistent bootstrap test for
    a parametric regression function, Journal of Econometrics 87, 145-165.

    Examples
    --------
    >>> import numpy as np
    >>> import kcm
    >>> x, noise = np.random.default_rng(0).normal(size=(2, 200))
    >>> smooth = kcm.kernels.Gaussian(1.06 * x.std() * 200 ** (-1 / 5))
    >>> test = kcm.KCMTest(smooth, null=StudentizedNormal())
    >>> result = test.run(kcm.FittedMoment(np.sin(3 * x) + noise, x))
    >>> round(result.statistic / result.null_distribution.sd, 2)
    16.1
    """

    groups: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", fixed(self.groups))

    @property
    def needs_all_pairs(self) -> bool:
        return True

    @property
    def allows_several_kernels(self) -> bool:
        # normal at small bandwidths only
        return False

    def distribution(self, contraction: Contraction, rng: np.random.Generator) -> NormalLaw:
        """Return the law; `rng` is not used."""
        codes = group_codes(self.groups, contraction.n_obs)
        sums = form_sums(_uncorrected(contraction), codes)
        sd = math.sqrt(2 * sums.off_diagonal_squares)
        check_spread(sd, contraction)
        return NormalLaw(float(sums.diagonal.sum()), sd)


def _uncorrected(contraction: Contraction) -> Contraction:
    """Return the contraction of the residuals themselves, as if theta were known."""
    psi = contraction.moment.residuals
    none = np.zeros((len(psi), 0))
    return replace(
        contraction,
        removed=contraction.removed - contraction.shift.value,
        scaled_residuals=psi,
        scaled_influence=none,
        projection=none,
        jacobian=np.zeros((*psi.shape, 0)),
        inner=none[:0],
        border=empty_border(len(psi)),
    )
