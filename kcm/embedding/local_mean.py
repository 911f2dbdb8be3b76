"""The witness at new points, and the mean residual near them."""

import numpy as np
from jaxtyping import Float

from kcm.exceptions import OptionError
from kcm.gram import Execution, cross_product
from kcm.kernels import Kernel
from kcm.moments import FittedMoment

__all__ = ["local_mean", "smoothed_at"]


def smoothed_at(
    moment: FittedMoment, kernel: Kernel, points: Float[np.ndarray, "m d"], execution: Execution
) -> Float[np.ndarray, "m k"]:
    """Return n^-1 sum_i (psi_i, 1) k(x_i, x): the witness, and the density in the last column."""
    n = moment.n_obs
    columns = np.hstack([moment.residuals, np.ones((n, 1))])
    return cross_product(kernel, moment.conditioning, columns, points, execution) / n


def local_mean(smoothed: Float[np.ndarray, "m k"], kernel: Kernel) -> Float[np.ndarray, "m q"]:
    """Divide the witness by the density; NaN where that is zero.

    Raises
    ------
    OptionError
        Where the density is negative.
    """
    density = smoothed[:, -1:]
    if (density < 0).any():
        raise OptionError(
            f"`kernel` ({kernel!r}) sums to less than zero at some points, so there is no local "
            "mean; use a kernel without negative values such as kcm.kernels.Gaussian(), or look at "
            "`witness`."
        )
    return smoothed[:, :-1] / np.where(density > 0, density, np.nan)
