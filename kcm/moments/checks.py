"""What a fitted moment must satisfy: rows, components and parameters that belong together."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from kcm.exceptions import DataError

if TYPE_CHECKING:
    from kcm.moments.fitted import FittedMoment

__all__ = [
    "check_components",
    "check_estimate",
    "check_labels",
    "check_own_sample",
    "check_rows",
    "check_scale",
    "check_working",
]

# A covariance that differs from its transpose by more than this share is none.
ASYMMETRY = 1e-8


def check_estimate(moment: "FittedMoment") -> None:
    """Refuse a jacobian without the error of theta, the error without it, and two errors."""
    jacobian, influence, covariance = moment.jacobian, moment.influence, moment.covariance
    if influence is not None and covariance is not None:
        raise DataError(
            "`influence` says that theta was estimated on these rows, `covariance` and "
            "`influence_sample` that it was estimated on others; pass one of them."
        )
    if (jacobian is None) != (influence is None and covariance is None):
        raise DataError(_unpaired(jacobian is None, influence is None))
    if jacobian is not None and covariance is not None:
        _check_covariance(covariance, jacobian.shape[2])
        if moment.gain is not None:
            raise DataError(
                "`gain` is the influence per unit of the residuals of these rows, and theta was "
                "estimated on others; leave `gain` out."
            )


def _unpaired(no_jacobian: bool, no_influence: bool) -> str:
    if not no_jacobian:
        lacking = "`jacobian` was given without `influence`"
    elif no_influence:
        lacking = "`covariance` or `influence_sample` was given without `jacobian`"
    else:
        lacking = "`influence` was given without `jacobian`"
    return (
        f"{lacking}. A theta that was estimated on these rows needs `jacobian` and `influence`, "
        "one from another sample `jacobian` and the `covariance` of theta or the "
        "`influence_sample` of the rows it was estimated on; leave all out only when theta is "
        "known: from theory or a calibration, or because it is itself the hypothesis."
    )


def _check_covariance(covariance: Float[np.ndarray, "a b"], p: int) -> None:
    if covariance.shape != (p, p):
        raise DataError(
            f"the covariance of theta has shape {covariance.shape} and `jacobian` has {p} "
            "parameters; pass `covariance` of shape (p, p) or `influence_sample` of shape (n1, p) "
            "for the same theta."
        )
    size = np.sqrt(np.abs(np.diag(covariance)))
    unit = covariance / np.outer(np.where(size > 0, size, 1.0), np.where(size > 0, size, 1.0))
    symmetric = np.abs(unit - unit.T).max(initial=0.0) <= ASYMMETRY
    if not symmetric or np.linalg.eigvalsh(unit).min(initial=0.0) < -ASYMMETRY * p:
        raise DataError(
            "`covariance` must be a covariance matrix of theta, symmetric and without negative "
            "eigenvalues."
        )


def check_rows(moment: "FittedMoment") -> None:
    """Refuse fewer than 3 rows, and arrays of other numbers of rows."""
    n = len(moment.residuals)
    if n < 3:
        raise DataError(f"`residuals` has {n} rows; a test needs at least 3.")
    for argument in ("conditioning", "jacobian", "influence", "scale", "gain", "variance", "index"):
        value = getattr(moment, argument)
        if value is not None and len(value) != n:
            raise DataError(
                f"`{argument}` has {len(value)} rows and `residuals` has {n}; "
                "pass the same observations in the same order."
            )


def check_components(moment: "FittedMoment") -> None:
    """Refuse arrays whose components or parameters do not belong together."""
    q = moment.residuals.shape[1]
    if moment.scale is not None and moment.scale.shape[1] != q:
        raise DataError(
            f"`scale` has {moment.scale.shape[1]} columns; "
            f"expected one per residual component, {q}."
        )
    if moment.jacobian is not None and moment.jacobian.shape[1] != q:
        raise DataError(
            f"`jacobian` has {moment.jacobian.shape[1]} components; expected shape (n, q, p) with "
            f"q = {q} as in `residuals`."
        )
    if moment.jacobian is None or moment.influence is None:
        return
    _check_blocks(moment.jacobian.shape, moment.influence.shape, q)
    if q > 1 and moment.influence.shape[1] == 1 and moment.scale is not None:
        raise DataError(
            f"`influence` is given in total for {q} residual components together with a `scale`; "
            "pass it split by component, shape (n, q, p), so that each part can be scaled."
        )


def _check_blocks(jacobian: tuple[int, ...], influence: tuple[int, ...], q: int) -> None:
    if influence[1] not in (1, q):
        raise DataError(
            f"`influence` has {influence[1]} components; "
            f"expected (n, p), or (n, q, p) with q = {q}."
        )
    if jacobian[2] != influence[2]:
        raise DataError(
            f"`jacobian` has {jacobian[2]} parameters and `influence` has {influence[2]}; "
            "both describe the same theta: pass one column for each of its parameters in both."
        )


def check_scale(scale: Float[np.ndarray, "n q"] | None) -> None:
    """Refuse a scale that is not positive."""
    if scale is not None and not (scale > 0).all():
        raise DataError(
            f"`scale` has {int((scale <= 0).sum())} values that are not positive; "
            "use 1 where the scale is unknown."
        )


def check_working(moment: "FittedMoment") -> None:
    """Refuse a gain or a working variance that belongs to other residuals or parameters."""
    gain, variance, jacobian = moment.gain, moment.variance, moment.jacobian
    if gain is not None and (jacobian is None or gain.shape != jacobian.shape):
        shape = "no `jacobian` is given" if jacobian is None else f"`jacobian` has {jacobian.shape}"
        raise DataError(
            f"`gain` has shape {gain.shape} and {shape}; expected one number per residual and "
            "parameter, the shape of `jacobian`."
        )
    sizes = moment.residuals.shape
    if variance is not None and (variance.shape != sizes or (variance < 0).any()):
        raise DataError(
            f"`variance` must hold one value per residual, not negative, shape {sizes}; got shape "
            f"{variance.shape} with smallest value {variance.min():.3g}."
        )


def check_labels(moment: "FittedMoment") -> None:
    """Refuse words that contradict the arrays."""
    labels, d = moment.labels, moment.n_conditioning
    if len(labels.kinds) != d or not {*labels.kinds} <= {"continuous", "unordered", "ordered"}:
        raise DataError(
            f"`labels` has the kinds {labels.kinds}; expected 'continuous', 'unordered' or "
            f"'ordered' for each column of `conditioning`, {d}."
        )
    if len(labels.levels) != d:
        raise DataError(
            f"`labels` has levels for {len(labels.levels)} conditioning variables; expected one "
            f"tuple of names per column of `conditioning`, {d}, empty where it holds numbers."
        )
    if len(labels.conditioning) != d:
        raise DataError(
            f"`labels` names {len(labels.conditioning)} conditioning variables "
            f"{labels.conditioning}; expected one per column of `conditioning`, {d}."
        )
    if moment.theta_known and labels.theta.lower().startswith("estimated"):
        raise DataError(
            f"`labels` says theta is {labels.theta!r}, but no `jacobian` is given; pass `jacobian` "
            "and `influence` (for a theta from another sample `covariance` or "
            '`influence_sample`), or theta="known" when it comes from theory or a calibration.'
        )


def check_own_sample(moment: "FittedMoment", what: str) -> None:
    """Refuse a theta from another sample where its error is not taken into account."""
    if moment.from_another_sample:
        raise DataError(
            f"{what} takes the error of theta from the influence of these rows, and theta was "
            "estimated on others; it is available for a moment with `influence`, or with theta "
            "known. The test itself takes both."
        )
