"""The effective F of fits with instruments."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from kcm.adapters.dispatch import align_to_fit, instrumental_estimate
from kcm.adapters.estimate import Estimate
from kcm.adapters.estimation import is_estimation
from kcm.exceptions import OptionError, UnsupportedModelError
from kcm.moments import FirstStageStrength, FittedMoment, group_codes, smallest_ratio

__all__ = ["effective_f", "first_stage_strength"]

# A regressor that the instruments explain up to this share of its size is one of them.
SPANNED = 1e-8


def first_stage_strength(fit: Any, *, groups: Any = None) -> FirstStageStrength:
    r"""Measure how strongly instruments identify the coefficients of endogenous regressors.

    Parameters
    ----------
    fit : fitted result or EstimationResults
        As for `specification_test`.
    groups : array_like of shape (n,), optional
        Clusters, one label a row of the fit. Default: errors of the first stage are independent;
        for `EstimationResults`, which have the measure as `first_stage`, as their covariance.

    Returns
    -------
    FirstStageStrength
        Infinite where no regressor is endogenous.

    Raises
    ------
    UnsupportedModelError
        For a FittedMoment, which holds no instruments, and for fits that are not known.
    OptionError
        When `groups` come with `EstimationResults`.

    Notes
    -----
    With P the projection on the instruments, both sides less their projection on the exogenous
    regressors, D the endogenous regressors and v the residuals of the first stage,

    .. math:: F = \min_c \frac{c'D'PDc}{c'\bigl(\sum_i P_{ii} v_i v_i'\bigr)c} .

    For one endogenous regressor this is the effective F of Montiel Olea and Pflueger (2013), for
    one instrument too the robust F of the first stage. For several it is the statistic of Lewis
    and Mertens (2022). For a moment of your own D is the part of the jacobian that instruments do
    not explain exactly. The bias of two-stage least squares is about 1/F of its worst case.

    References
    ----------
    Montiel Olea and Pflueger (2013), A robust test for weak instruments, Journal of Business and
    Economic Statistics 31, 358-369. Lewis and Mertens (2022), A robust test for weak instruments
    for 2SLS with multiple endogenous regressors, Federal Reserve Bank of New York Staff Report
    1020.

    Examples
    --------
    >>> import numpy as np
    >>> from linearmodels.iv import IV2SLS
    >>> import kcm
    >>> z, v, e = np.random.default_rng(0).normal(size=(3, 200))
    >>> fit = IV2SLS(v + e, np.ones(200), 0.1 * z + v, z).fit()
    >>> kcm.first_stage_strength(fit).is_weak
    True
    """
    if isinstance(fit, FittedMoment):
        raise UnsupportedModelError(
            "`fit` must be a fitted result; a FittedMoment does not hold the instruments."
        )
    if is_estimation(fit):
        if groups is not None:
            raise OptionError(
                "`groups` are those of the covariance of the estimate; pass them to `fit`."
            )
        strength: FirstStageStrength = fit.first_stage
        return strength
    found = instrumental_estimate(fit)
    if found is None:
        return FirstStageStrength(float("inf"), ())
    estimate, names = found
    jacobian, instruments = _weighted(estimate)
    codes = None
    if groups is not None:
        codes = group_codes(align_to_fit(fit, groups, "groups"), len(jacobian))
    value, endogenous = effective_f(jacobian, instruments, codes)
    moved = tuple(name for name, is_moved in zip(names, endogenous, strict=True) if is_moved)
    return FirstStageStrength(value, moved)


def effective_f(
    jacobian: Float[np.ndarray, "n p"],
    instruments: Float[np.ndarray, "n m"],
    groups: np.ndarray | None = None,
) -> tuple[float, Bool[np.ndarray, " p"]]:
    """Return the effective F, and which columns are endogenous.

    Parameters
    ----------
    jacobian : ndarray of shape (n, p)
        Regressors, of either sign.
    instruments : ndarray of shape (n, m)
        The exogenous regressors included.
    groups : ndarray of int, shape (n,), optional

    Returns
    -------
    value : float
    endogenous : ndarray of bool, shape (p,)
    """
    basis = _basis(instruments)
    size = np.linalg.norm(jacobian, axis=0)
    left = jacobian - basis @ (basis.T @ jacobian)
    endogenous = np.linalg.norm(left, axis=0) > SPANNED * size
    if not endogenous.any():
        return float("inf"), endogenous
    # instruments without what the exogenous regressors explain, orthonormal
    excluded = basis
    if not endogenous.all():
        given = _basis(jacobian[:, ~endogenous])
        excluded = _basis(basis - given @ (given.T @ basis))
    seen = excluded.T @ jacobian[:, endogenous]
    noise = _noise(excluded, left[:, endogenous], groups)
    return smallest_ratio(np.linalg.pinv(seen.T @ seen, hermitian=True), noise), endogenous


def _noise(
    instruments: Float[np.ndarray, "n k"],
    residuals: Float[np.ndarray, "n m"],
    groups: np.ndarray | None,
) -> Float[np.ndarray, "m m"]:
    """Return the sum of v_g' P_gg v_g."""
    if groups is None:
        leverage = np.sum(instruments**2, axis=1)
        return (leverage[:, None] * residuals).T @ residuals
    sums = np.zeros((int(groups.max()) + 1, instruments.shape[1], residuals.shape[1]))
    np.add.at(sums, groups, instruments[:, :, None] * residuals[:, None, :])
    return np.tensordot(sums, sums, axes=((0, 1), (0, 1)))


def _weighted(
    estimate: Estimate,
) -> tuple[Float[np.ndarray, "n p"], Float[np.ndarray, "n m"]]:
    instruments = np.asarray(estimate.instruments)
    if estimate.variance is None:
        return estimate.jacobian, instruments
    root = 1 / np.sqrt(estimate.variance[:, None])
    return root * estimate.jacobian, root * instruments


def _basis(columns: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n k"]:
    """Return an orthonormal basis of columns in units of their size."""
    size = np.linalg.norm(columns, axis=0)
    moved = size > SPANNED * size.max(initial=0.0)
    left, singular, _ = np.linalg.svd(columns[:, moved] / size[moved], full_matrices=False)
    return left[:, singular > SPANNED * singular.max(initial=0.0)]
