"""Minimum-MMR estimation."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from jaxtyping import Float

from kcm.estimators.base import Estimator, Search, prepare_estimator
from kcm.estimators.search import Minimum
from kcm.estimators.weighting import KernelWeight
from kcm.kernels import Kernel
from kcm.moments import BoundMoment, Moment

__all__ = ["MMR"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MMR(Estimator):
    r"""Estimation by the minimum of the squared maximum moment restriction.

    .. math:: \hat\theta = \mathrm{argmin}_\theta \; n^{-2}
        \textstyle\sum_{ij} \psi_i(\theta)' k(x_i, x_j) \psi_j(\theta) .

    It uses every moment that the kernel sees, so that no instruments have to be chosen. Linear
    moments have the closed form (S'KS)^{-1} S'Ky. For others `scipy.optimize.least_squares`
    minimises the features F'psi of a low-rank factor FF' of K, with exact jacobians, and
    Gauss-Newton steps on the exact, tiled objective follow until nothing is left. With

    .. math:: l_i = -A^{-1} \bigl(n^{-1}\textstyle\sum_j S_j' k(x_j, x_i)\bigr) \psi_i, \qquad
        A = n^{-2} S'KS,

    the influence of observation i, the covariance is the mean of l_i l_i' over n.

    Parameters
    ----------
    moment : Moment
        A `ConditionalMoment`; `from_formula` makes linear ones.
    data : data frame or mapping
        Of pandas, Polars or Arrow, or columns by name.
    kernel : Kernel, optional
        On the conditioning variables. Default `kcm.kernels.Gaussian()` with the median heuristic.

    Raises
    ------
    OptionError
        When `moment` or `kernel` is something else.

    References
    ----------
    Muandet, Jitkrittum and Kuebler (2020), Kernel conditional moment test via maximum moment
    restriction, UAI, appendix B. Zhang, Imaizumi, Schoelkopf and Muandet (2023), Instrumental
    variable regression via kernel maximum moment loss, Journal of Causal Inference 11.

    Examples
    --------
    >>> import numpy as np
    >>> import kcm
    >>> z, u, e = np.random.default_rng(0).normal(size=(3, 400))
    >>> data = {"price": z + u, "cost": z, "sales": 3 - 2 * (z + u) + u + e}
    >>> results = kcm.MMR.from_formula("sales ~ price | cost", data).fit()
    >>> results.params.round(1).to_dict()
    {'Intercept': 2.9, 'price': -1.9}
    >>> results.test().pvalue > 0.05
    True
    """

    moment: Moment
    data: Any
    kernel: Kernel | None = None
    cov_types: ClassVar[tuple[str, ...]] = ("robust", "cluster")

    def __post_init__(self) -> None:
        prepare_estimator(self)

    def _minimise(
        self,
        bound: BoundMoment,
        kernel: Kernel,
        starts: list[Float[np.ndarray, " p"]],
        search: Search,
    ) -> tuple[Minimum, tuple[str, ...]]:
        return search(KernelWeight(kernel, bound.conditioning), starts), ()
