"""The finite-sample scale of residuals, for any estimator."""

from typing import Any

import numpy as np
from jaxtyping import Float

from kcm._arrays import as_float_columns
from kcm._options import check_option
from kcm.exceptions import DataError
from kcm.moments import Correction, as_blocks, corrected_scale
from kcm.moments.parametrization import orthogonal_parameters
from kcm.moments.scaling import CORRECTIONS

__all__ = ["leverage_scale"]


def leverage_scale(
    jacobian: Any,
    gain: Any,
    variance: Any = None,
    *,
    correction: Correction = "HC4-relative",
) -> Float[np.ndarray, "n q"]:
    r"""What each residual is divided by to have the size of an error, for any estimator.

    To first order the fitted residuals are :math:`M\psi` with :math:`M = I + n^{-1} S L'`. With
    the estimator's working variances V,

    .. math:: s_i^2 = (M V M')_{ii} / V_i
        = 1 + \tfrac2n S_i' L_i + \tfrac{1}{n^2} S_i' (\textstyle\sum_j L_j V_j L_j') S_i / V_i

    is the share of the variance of residual i that fitting leaves when the working variances are
    right. For OLS, and for weighted least squares and generalised linear models with their own
    leverages, it is :math:`1 - h_{ii}`. With :math:`h_i = 1 - s_i^2` and their mean :math:`\bar h`
    the scale is

    .. math:: s_i, \qquad s_i^{\delta_i}, \qquad
        \bar s\, (s_i / \bar s)^{\delta_i}, \quad \bar s^2 = 1 - \bar h, \qquad
        \delta_i = \min(4, h_i / \bar h)

    for "HC2", "HC4" and "HC4-relative".

    Parameters
    ----------
    jacobian : array_like of shape (n, p) or (n, q, p)
        S_i = d psi_i / d theta. (n, p) is for q = 1.
    gain : array_like of shape (n, p) or (n, q, p)
        L_i = d l_i / d psi_i, the influence per unit of residual.
    variance : array_like of shape (n,) or (n, q), optional
        Working variances V_i up to a constant, not negative: 1 / weights for weighted least
        squares, the variance function for a generalised linear model. Default: all equal.
    correction : {"HC4-relative", "HC4", "HC2"}
        "HC2" is right when the working variances are. "HC4" also holds where the variance is large
        at leverage points, and "HC4-relative", the default, there and with many parameters.

    Returns
    -------
    ndarray of shape (n, q)
        1 where the residual is zero whatever the data (leverage one): it carries no information
        and its scale is arbitrary.

    Raises
    ------
    DataError
        When the shapes differ, or on values that are missing, infinite or not numbers.
    OptionError
        When `correction` is not one of the three.

    References
    ----------
    MacKinnon and White (1985), Some heteroskedasticity-consistent covariance matrix estimators
    with improved finite sample properties, Journal of Econometrics 29, 305-325. Cribari-Neto
    (2004), Asymptotic inference under heteroskedasticity of unknown form, Computational Statistics
    and Data Analysis 45, 215-233.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.ones((4, 1))
    >>> leverage_scale(-x, x).round(4).ravel()
    array([0.866, 0.866, 0.866, 0.866])
    """
    check_option(correction, CORRECTIONS, "correction")
    slopes, gains = as_blocks(jacobian, "jacobian"), as_blocks(gain, "gain")
    if slopes.shape != gains.shape:
        raise DataError(
            f"`jacobian` has shape {np.shape(jacobian)} and `gain` has {np.shape(gain)}; expected "
            "the same shape for both, (n, q, p), or (n, p) for one residual component."
        )
    working = _working_variance(variance, slopes.shape[:2])
    return corrected_scale(_squared_scale(slopes, gains, working), correction)


def _working_variance(variance: Any, shape: tuple[int, ...]) -> Float[np.ndarray, "n q"]:
    if variance is None:
        return np.ones(shape)
    working = as_float_columns(variance, "variance")
    if working.shape != shape or (working < 0).any():
        raise DataError(
            f"`variance` must hold one value per residual, not negative, shape {shape}; got shape "
            f"{working.shape} with smallest value {working.min():.3g}."
        )
    return working


def _squared_scale(
    jacobian: Float[np.ndarray, "n q p"],
    gain: Float[np.ndarray, "n q p"],
    variance: Float[np.ndarray, "n q"],
) -> Float[np.ndarray, "n q"]:
    n, orthogonal = len(jacobian), orthogonal_parameters(jacobian, gain)
    if orthogonal is not None:
        jacobian, gain, _ = orthogonal
    spread = np.einsum("icp,ic,icr->pr", gain, variance, gain) / n**2
    fitted = np.einsum("icp,pr,icr->ic", jacobian, spread, jacobian)
    # a residual without variance is zero whatever the data
    share = np.divide(fitted, variance, out=np.zeros_like(fitted), where=variance > 0)
    return 1 + 2 * np.einsum("icp,icp->ic", jacobian, gain) / n + share
