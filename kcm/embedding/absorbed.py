"""What the estimate of theta takes up of all that the kernel sees."""

from kcm.gram import Execution, diagonal, quadratic_forms
from kcm.kernels import Kernel, check_definite
from kcm.moments import FittedMoment, jacobian_span

__all__ = ["absorbed_share"]


def absorbed_share(moment: FittedMoment, kernel: Kernel, execution: Execution) -> float:
    """Return tr(Pi K) / tr K, Pi the projection on the span of the jacobian.

    Of a function drawn from the Gaussian process with covariance k it is the share of the variance,
    at the points of the sample, that lies in that span: another theta would produce it, so that no
    test can see it. With q components the jacobian has n q rows and K stands q times on the
    diagonal. It is zero where theta was not estimated on these rows.

    Raises
    ------
    OptionError
        With a kernel that is positive on weights that sum to zero only.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> x, ones = np.array([0.0, 1.0, 2.0]), np.ones(3)
    >>> mean = FittedMoment(x - 1, x, jacobian=-ones, influence=x - 1)
    >>> round(absorbed_share(mean, Gaussian(1e6), Execution()), 6)
    1.0
    """
    check_definite(kernel, "the absorbed share")
    if moment.jacobian is None or moment.from_another_sample:
        return 0.0
    n, q = moment.residuals.shape
    columns = jacobian_span(moment.jacobian).basis.reshape(n, -1)
    with execution.on_device():
        absorbed = quadratic_forms([kernel], moment.conditioning, columns, "double", execution)
    return float(absorbed.sum() / (q * diagonal(kernel, moment.conditioning).sum()))
