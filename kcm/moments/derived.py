"""Fitted moments made from fitted moments: of fewer variables, and sums and differences."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from kcm.exceptions import DataError
from kcm.moments.checks import check_own_sample
from kcm.moments.fitted import FittedMoment
from kcm.moments.scaling import scaled_influence

__all__ = ["combined_moment", "marginal_moment"]


def marginal_moment(moment: FittedMoment, columns: Sequence[int]) -> FittedMoment:
    """Condition a moment on some of its conditioning variables only.

    Parameters
    ----------
    moment : FittedMoment
    columns : sequence of int
        Positions of the conditioning variables that stay, at least one.

    Returns
    -------
    FittedMoment
        The residuals and how they depend on theta are the same.

    Examples
    --------
    >>> psi, x = np.zeros(3), np.array([[0.0, 1.0], [1.0, 2.0], [2.0, 0.0]])
    >>> marginal_moment(FittedMoment(psi, x), [1]).labels.conditioning
    ('x2',)
    """
    own, chosen = moment.labels, list(columns)
    labels = replace(
        own,
        conditioning=tuple(own.conditioning[j] for j in chosen),
        kinds=tuple(own.kinds[j] for j in chosen),
        levels=tuple(own.levels[j] for j in chosen),
    )
    return replace(moment, conditioning=moment.conditioning[:, chosen], labels=labels)


def combined_moment(
    first: FittedMoment, second: FittedMoment, sign: Literal[1, -1]
) -> FittedMoment:
    r"""Return the sum or the difference of two moments on the same rows, itself a fitted moment.

    .. math:: \psi = \psi_1 \pm \psi_2, \qquad S = [S_1, \pm S_2], \qquad
        \ell = (\tilde\ell_1, \tilde\ell_2),

    with the parameters of both side by side and the influences recomputed from the scaled
    residuals. A null law of the difference thus accounts for the estimation of both thetas.

    Parameters
    ----------
    first, second : FittedMoment
        With the same rows, conditioning variables and number of components.
    sign : {1, -1}

    Returns
    -------
    FittedMoment

    Raises
    ------
    DataError
        When rows, conditioning variables or components differ, or a theta was estimated on
        another sample.

    Examples
    --------
    >>> x, u, v = np.random.default_rng(0).normal(size=(3, 40))
    >>> difference = combined_moment(FittedMoment(u, x), FittedMoment(v, x), -1)
    >>> bool(np.allclose(difference.residuals[:, 0], u - v))
    True
    """
    _check_same(first, second)
    check_own_sample(first, "the comparison of two moments")
    check_own_sample(second, "the comparison of two moments")
    labels = replace(
        first.labels,
        moment=_joint_words(first.labels.moment, second.labels.moment, sign),
        theta=_joint_theta(first, second),
        n_dropped=max(first.labels.n_dropped, second.labels.n_dropped),
        exogenous=None,
    )
    jacobian, influence = _side_by_side(first, second, sign)
    psi = first.residuals + sign * second.residuals
    return FittedMoment(psi, first.conditioning, jacobian, influence, labels=labels)


def _side_by_side(
    first: FittedMoment, second: FittedMoment, sign: int
) -> tuple[Float[np.ndarray, "n q p"] | None, Float[np.ndarray, "n p"] | None]:
    slopes = [
        factor * moment.jacobian
        for factor, moment in ((1, first), (sign, second))
        if moment.jacobian is not None
    ]
    if not slopes:
        return None, None
    influence = np.hstack([scaled_influence(first), scaled_influence(second)])
    return np.concatenate(slopes, axis=2), influence


def _joint_words(first: str, second: str, sign: int) -> str:
    operator = "+" if sign > 0 else "-"
    if first == second:
        return f"residual 1 {operator} residual 2"
    return f"({first}) {operator} ({second})"


def _joint_theta(first: FittedMoment, second: FittedMoment) -> str:
    told = (first.labels.theta, second.labels.theta)
    estimated = dict.fromkeys(each for each in told if each != "known")
    return " and ".join(estimated) or "known"


def _check_same(first: FittedMoment, second: FittedMoment) -> None:
    if first.residuals.shape != second.residuals.shape:
        raise DataError(
            f"`other` has residuals of shape {second.residuals.shape} and this moment of shape "
            f"{first.residuals.shape}; compare models of the same rows and the same equations."
        )
    if not np.array_equal(first.conditioning, second.conditioning):
        raise DataError(
            "`other` has other conditioning variables than this moment; build both with the same "
            "rows and the same `conditioning`."
        )
