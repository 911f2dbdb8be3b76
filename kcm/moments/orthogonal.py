"""The moment with the directions of its jacobian projected out, in place of the estimator's own."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from kcm.exceptions import OptionError, SaturatedModelError
from kcm.moments.fitted import FittedMoment
from kcm.moments.scaling import corrected_scale

__all__ = ["Span", "jacobian_span", "orthogonal_moment"]

# Singular values of the jacobian, columns of size 1, below this share of the largest are rounding.
RANK = 1e-10
# Residuals of which the projection leaves no more than this share are in the span of the jacobian.
ROUNDING = 1e-12
# Slopes of rows with equal conditioning that differ by more than this share of their size differ.
SAME = 1e-8


class Span(NamedTuple):
    """The span of the stacked jacobian S, n q rows: an orthonormal basis Q, and W with Q = S W."""

    basis: Float[np.ndarray, "m r"]
    weights: Float[np.ndarray, "p r"]


def orthogonal_moment(moment: FittedMoment) -> FittedMoment:
    r"""Replace the estimator's own projection by the orthogonal one.

    .. math:: \psi \to P\psi, \quad P = I - S(S'S)^{-1}S', \qquad
        \ell_{ic} = -(S'S/n)^{-1} S_{ic}\, \psi_{ic}, \qquad s_{ic}^2 = P_{ic,ic},

    with the scale that `leverage_scale` makes of s^2, and S the jacobian with the n q components of
    all rows below each other: a system is projected jointly. A multiplier draw of the new moment is
    P (w o P psi). For least squares with equal weights nothing changes. For others P psi has lost
    what the estimate left of the span of S, and the law what the estimate would move: any estimator
    that is root-n consistent will do (Escanciano 2024), and the test can be more powerful.

    Parameters
    ----------
    moment : FittedMoment
        With theta estimated, and a jacobian that is a function of variables given which the
        residual has mean zero: those of the regression, not an endogenous regressor. Where
        `labels.exogenous` is None this is taken from the caller.

    Returns
    -------
    FittedMoment
        The labels say so after `theta`.

    Raises
    ------
    OptionError
        With theta known; where `labels.exogenous` is False; and where it is None and rows with
        equal conditioning variables have different jacobians.
    SaturatedModelError
        When the residuals lie in the span of the jacobian.

    Examples
    --------
    >>> x, y = np.random.default_rng(0).normal(size=(2, 50))
    >>> one, psi = np.ones((50, 1)), y - np.median(y)
    >>> moment = FittedMoment(psi, x, jacobian=-one, influence=psi[:, None])
    >>> round(abs(float(orthogonal_moment(moment).residuals.mean())), 12)
    0.0
    """
    if moment.jacobian is None:
        raise OptionError(
            '`projection="orthogonal"` projects out what the estimate of theta moves, and here '
            "theta is known: there is nothing to project out. Leave `projection` out."
        )
    _check_exogenous(moment, moment.jacobian)
    return _projected(moment, jacobian_span(moment.jacobian), moment.jacobian.shape)


def _projected(moment: FittedMoment, span: Span, shape: tuple[int, int, int]) -> FittedMoment:
    n, q, p = shape
    before = moment.residuals.ravel()
    psi = before - span.basis @ (span.basis.T @ before)
    if np.linalg.norm(psi) <= ROUNDING * np.linalg.norm(before):
        raise SaturatedModelError(
            "the residuals lie in the span of the jacobian, so that the orthogonal projection "
            "leaves nothing to test: the model has as many parameters as it has data points."
        )
    gain = -n * (span.basis @ span.weights.T)
    scale = corrected_scale((1 - np.sum(span.basis**2, axis=1)).reshape(n, q))
    return FittedMoment(
        psi.reshape(n, q),
        moment.conditioning,
        moment.jacobian,
        (gain * psi[:, None]).reshape(n, q, p),
        scale,
        replace(moment.labels, theta=f"{moment.labels.theta}; orthogonal projection"),
        gain.reshape(n, q, p),
        outcomes=moment.outcomes,
        index=moment.index,
    )


def jacobian_span(jacobian: Float[np.ndarray, "n q p"]) -> Span:
    """Return Q and W; W Q' is the generalised inverse of S, whatever the units of theta."""
    n, q, p = jacobian.shape
    stacked = jacobian.reshape(n * q, p)
    sizes = np.linalg.norm(stacked, axis=0)
    sizes = np.where(sizes > 0, sizes, 1.0)
    basis, values, turned = np.linalg.svd(stacked / sizes, full_matrices=False)
    kept = values > RANK * values.max(initial=0.0)
    weights = turned[kept].T / values[kept] / sizes[:, None]
    return Span(basis[:, kept], weights)


def _check_exogenous(moment: FittedMoment, jacobian: Float[np.ndarray, "n q p"]) -> None:
    exogenous = moment.labels.exogenous
    if exogenous is not None and not exogenous:
        raise OptionError(
            '`projection="orthogonal"` needs residuals whose derivative in theta is a function of '
            "exogenous variables, as in least squares and generalised linear models, and that of "
            f"this fit ({moment.labels.theta}) is not: a true model would be rejected. Use "
            'projection="estimator".'
        )
    if exogenous is None and _varies_at_ties(moment.conditioning, jacobian):
        raise OptionError(
            '`projection="orthogonal"` needs a `jacobian` that is a function of the conditioning '
            "variables, and here rows with equal conditioning variables have different ones. Use "
            'projection="estimator"; if the jacobian is a function of exogenous variables that '
            "are not conditioned on, say so by MomentLabels(exogenous=True)."
        )


def _varies_at_ties(
    conditioning: Float[np.ndarray, "n d"], jacobian: Float[np.ndarray, "n q p"]
) -> bool:
    flat = jacobian.reshape(len(jacobian), -1)
    first, place = np.unique(conditioning, axis=0, return_index=True, return_inverse=True)[1:]
    difference = np.abs(flat - flat[first][place.ravel()])
    return bool((difference > SAME * np.abs(flat).max(axis=0)).any())
