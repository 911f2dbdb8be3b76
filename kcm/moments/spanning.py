"""Whether the equations behind an estimate make the residuals sum to zero."""

import numpy as np
from jaxtyping import Float

from kcm.exceptions import OptionError
from kcm.moments.fitted import FittedMoment
from kcm.moments.scaling import scaled_influence, scaled_residuals

__all__ = ["check_spans_constant"]

# Sums below this share of the sum of absolute values count as zero, and below a larger one where
# the equations are so close to collinear that a solver leaves more.
ROUNDING, LARGEST_ROUNDING = 1e-8, 1e-4
DIGITS = 1e3 * float(np.finfo(np.float64).eps)


def check_spans_constant(moment: FittedMoment) -> None:
    r"""Refuse a moment whose residuals, or whose multiplier draws, do not sum to zero.

    A draw is :math:`v_l = w_l r_l + S_l n^{-1} \sum_j w_j \tilde l_j`, with r the scaled residuals
    and l~ the influence recomputed from them. It sums to zero for all weights w if and only if
    :math:`r_i + (n^{-1} \sum_l S_l)' \tilde l_i = 0` for each row i and component.

    Parameters
    ----------
    moment : FittedMoment

    Raises
    ------
    OptionError
        Where a sum is above 1e-8 of that of the absolute values (up to 1e-4 where the columns of
        the jacobian, each in its own unit, are nearly collinear). A kernel that is positive
        semi-definite only on weights that sum to zero (`kcm.kernels.Energy`) says nothing about
        such a moment.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = np.random.default_rng(0).normal(size=(2, 50))
    >>> psi, one = y - y.mean(), np.ones((50, 1))
    >>> check_spans_constant(FittedMoment(psi, x, jacobian=-one, influence=psi[:, None]))
    """
    if moment.jacobian is None:
        raise OptionError(_told("with theta known nothing makes the residuals sum to zero"))
    if moment.from_another_sample:
        raise OptionError(
            _told("with theta from another sample nothing makes the residuals sum to zero")
        )
    psi, rounding = moment.residuals, _rounding(moment.jacobian)
    if (np.abs(psi.sum(axis=0)) > rounding * np.abs(psi).sum(axis=0)).any():
        raise OptionError(_told("the residuals of this fit do not"))
    own = scaled_residuals(moment)
    shift = scaled_influence(moment) @ moment.jacobian.mean(axis=0).T
    size = np.max(np.abs(own) + np.abs(shift), axis=0)
    if (np.abs(own + shift).max(axis=0) > rounding * size).any():
        raise OptionError(_told("the multiplier draws of this fit do not"))


def _rounding(jacobian: Float[np.ndarray, "n q p"]) -> float:
    """Return the share that a solver of nearly collinear equations may leave."""
    columns = jacobian.reshape(-1, jacobian.shape[2])
    size = np.abs(columns).max(axis=0)
    triangle = np.linalg.qr(columns / np.where(size > 0, size, 1.0), mode="r")
    values = np.linalg.svd(triangle, compute_uv=False)
    condition = values[0] / max(values[-1], values[0] * np.finfo(np.float64).eps)
    return float(np.clip(DIGITS * condition**2, ROUNDING, LARGEST_ROUNDING))


def _told(reason: str) -> str:
    return (
        "`kernel` is positive semi-definite only on weights that sum to zero, as the residuals of "
        f"least squares with a constant do, but {reason}. Include a constant among the regressors "
        "(and the instruments), or use kcm.kernels.Gaussian()."
    )
