"""Systems of equations: fitted moments side by side."""

import numpy as np
from jaxtyping import Float

from kcm.exceptions import DataError
from kcm.moments import FittedMoment, MomentLabels, check_own_sample, gain_of

__all__ = ["stack_equations"]


def stack_equations(*moments: FittedMoment) -> FittedMoment:
    """Join equations fitted one by one on the same rows into one system of moments.

    Parameters
    ----------
    *moments : FittedMoment
        One per equation, each with its own parameters and the same conditioning variables.
        All with theta known, or all with theta estimated.

    Returns
    -------
    FittedMoment
        Residuals side by side; jacobian block-diagonal; influence by component.

    Raises
    ------
    DataError
        When rows or conditioning variables differ, known and estimated thetas are mixed, a theta
        was estimated on another sample, or the influence of an equation with several components
        is given in total.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm import FittedMoment
    >>> x, u, v = np.random.default_rng(0).normal(size=(3, 40))
    >>> stack_equations(FittedMoment(u, x), FittedMoment(v, x)).n_components
    2
    """
    _check_equations(moments)
    return FittedMoment(
        np.hstack([m.residuals for m in moments]),
        moments[0].conditioning,
        _block_diagonal([m.jacobian for m in moments if m.jacobian is not None]),
        _block_diagonal([m.influence for m in moments if m.influence is not None]),
        np.hstack([_scale(m) for m in moments]),
        _labels([m.labels for m in moments]),
        _block_diagonal([gain_of(m) for m in moments if m.jacobian is not None]),
        np.hstack([_variance(m) for m in moments]),
    )


def _labels(labels: list[MomentLabels]) -> MomentLabels:
    return MomentLabels(
        moment="(" + ", ".join(each.moment for each in labels) + ")",
        conditioning=labels[0].conditioning,
        theta=" and ".join(dict.fromkeys(each.theta for each in labels)),
        n_dropped=max(each.n_dropped for each in labels),
        kinds=labels[0].kinds,
        levels=labels[0].levels,
        exogenous=_all_exogenous([each.exogenous for each in labels]),
        notes=tuple(dict.fromkeys(note for each in labels for note in each.notes)),
    )


def _all_exogenous(told: list[bool | None]) -> bool | None:
    """Return False where one is, else None where one is not known."""
    if False in told:
        return False
    return None if None in told else True


def _check_equations(moments: tuple[FittedMoment, ...]) -> None:
    if not moments:
        raise DataError("`stack_equations` needs at least one equation.")
    first = moments[0]
    for k, moment in enumerate(moments, start=1):
        same = np.array_equal(moment.conditioning, first.conditioning)
        if not same or moment.labels.kinds != first.labels.kinds:
            raise DataError(
                f"equation {k} has other conditioning variables than equation 1; "
                "build all equations with the same rows and the same `conditioning`."
            )
        if moment.theta_known != first.theta_known:
            raise DataError(
                f"theta is known in one and estimated in the other of equations 1, {k}."
            )
        check_own_sample(moment, "`stack_equations`")
        _check_split(moment, k)


def _check_split(moment: FittedMoment, k: int) -> None:
    q, influence = moment.n_components, moment.influence
    if influence is not None and influence.shape[1] != q:
        raise DataError(
            f"`influence` of equation {k} must be split by component, shape (n, q, p) with "
            f"q = {q}; it is given in total."
        )


def _scale(moment: FittedMoment) -> Float[np.ndarray, "n q"]:
    return np.ones_like(moment.residuals) if moment.scale is None else moment.scale


def _variance(moment: FittedMoment) -> Float[np.ndarray, "n q"]:
    return np.ones_like(moment.residuals) if moment.variance is None else moment.variance


def _block_diagonal(blocks: list[np.ndarray]) -> Float[np.ndarray, "n q p"] | None:
    """Put the parameters of each block in columns of their own; no blocks, no array."""
    if not blocks:
        return None
    widths = np.cumsum([0] + [block.shape[2] for block in blocks])
    padded = [
        np.pad(block, ((0, 0), (0, 0), (start, widths[-1] - start - block.shape[2])))
        for block, start in zip(blocks, widths[:-1], strict=True)
    ]
    return np.concatenate(padded, axis=1)
