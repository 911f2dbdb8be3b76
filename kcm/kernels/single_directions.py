"""Kernels of the smooth test in single directions."""

from typing import Any, Literal

import numpy as np

from kcm._options import check_int
from kcm.exceptions import OptionError
from kcm.kernels._directions import MOST_DIRECTIONS, drawn_directions, unit_rows
from kcm.kernels.bandwidth import Bandwidth
from kcm.kernels.smooth_icm import SmoothICM

__all__ = ["single_directions"]


def single_directions(
    preferred: Any,
    n_directions: int | None = None,
    seed: int = 0,
    bandwidth: Bandwidth | None = None,
    shape: Literal["gaussian", "laplace", "triangular"] = "gaussian",
) -> list[SmoothICM]:
    r"""Return a kernel for the preferred direction, then one for each direction drawn.

    They are what `kcm.PenalizedMaximum` chooses from in the test of Lavergne and Patilea (2008):
    the preferred direction is the one where a departure would be looked for first, often that of
    the fitted index.

    Parameters
    ----------
    preferred : array_like of shape (d,)
        b* with any length but 0, in the space of the columns divided by the bandwidths: for the
        index of a fit its slopes times the standard deviations of the columns.
    n_directions : int, optional
        Directions drawn uniformly from the sphere, besides. Default 20 times the whole root of d;
        none in one column, where all are the same.
    seed : int
        Of the drawn directions. Default 0.
    bandwidth : float, array_like of shape (d,), or BandwidthRule, optional
        As in `SmoothICM`, whose default is this one's.
    shape : {"gaussian", "laplace", "triangular"}
        As in `SmoothICM`. Default "gaussian".

    Returns
    -------
    list of SmoothICM
        Each with one direction.

    Raises
    ------
    OptionError
        When an argument is outside its range.
    DataError
        When `preferred` is not finite.

    References
    ----------
    Lavergne and Patilea (2008), Breaking the curse of dimensionality in nonparametric testing,
    Journal of Econometrics 143, 103-122.

    Examples
    --------
    >>> kernels = single_directions([3.0, 4.0], n_directions=5)
    >>> len(kernels), kernels[0].directions.round(12).tolist()
    (6, [[0.6, 0.8]])
    """
    if np.ndim(preferred) != 1 or not np.size(preferred):
        raise OptionError(
            "`preferred` must be one direction, an array of shape (d,); got an array of shape "
            f"{np.shape(preferred)}."
        )
    first, d = unit_rows(preferred, "preferred"), np.size(preferred)
    check_int(seed, "seed", least=0)
    if n_directions is not None:
        check_int(n_directions, "n_directions", most=MOST_DIRECTIONS)
    drawn = drawn_directions(d, n_directions, seed) if d > 1 else np.zeros((0, 1))
    how: dict[str, Any] = {} if bandwidth is None else {"bandwidth": bandwidth}
    return [SmoothICM(directions=b, shape=shape, **how) for b in (first, *drawn)]
