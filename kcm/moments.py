"""The seam of the library: a conditional moment evaluated at its estimate.

Adapters and estimators hand over a `FittedMoment`; tests read nothing else.
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from kcm._validation import as_float_columns
from kcm._variation import check_varies
from kcm.exceptions import DataError

__all__ = [
    "FittedMoment",
    "MomentLabels",
    "leverage_scale",
    "scaled_influence",
    "scaled_residuals",
    "stack_equations",
]

# A residual whose leverage is one is zero by construction; below this its scale means nothing.
_SMALLEST_SCALE = 1e-5


@dataclass(frozen=True, slots=True)
class MomentLabels:
    """The words that go with the numbers of a `FittedMoment`.

    Parameters
    ----------
    moment : str
        The residual as a formula in words, for instance ``"logwage - x'b"``.
    conditioning : tuple of str
        Names of the conditioning variables, one per column.
    theta : str
        ``"known"``, or how theta was estimated, for instance ``"estimated: OLS"``.
    n_dropped : int
        Rows of the data that the fit left out because they hold missing values.

    Examples
    --------
    >>> MomentLabels(moment="wage - x'b", conditioning=("age",)).theta
    'known'
    """

    moment: str = "psi"
    conditioning: tuple[str, ...] = ()
    theta: str = "known"
    n_dropped: int = 0


class FittedMoment(eqx.Module):
    r"""A conditional moment at theta: residuals, and how they depend on the estimate.

    The claim is :math:`E[\psi(Z; \theta) \mid X] = 0`. Theta is *known* when no jacobian is given
    and *estimated* otherwise; an estimated theta needs both its jacobian and its influence.

    Parameters
    ----------
    residuals : array_like of shape (n,) or (n, q)
        psi(Z_i; theta), in the units of the outcome.
    conditioning : array_like or data frame of shape (n,) or (n, d)
        The variables X, in their own units.
    jacobian : array_like of shape (n, p) or (n, q, p), optional
        d psi_i / d theta. (n, p) is for q = 1.
    influence : array_like of shape (n, p) or (n, q, p), optional
        l_i with sqrt(n) (theta_hat - theta) = n^-1/2 sum_i l_i + o_p(1), in total or split by the
        component of psi it comes from. The split is needed when q > 1 and a `scale` is given.
    scale : array_like of shape (n,) or (n, q), optional
        Finite-sample scale s_i of each residual, in (0, inf), as `leverage_scale` gives it.
        Default 1.
    labels : MomentLabels, optional
        Words for the summary; by default "psi" and the column names, or x1, x2, ...

    Attributes
    ----------
    n_obs, n_components, n_params, n_conditioning : int
        n, q, p (0 when theta is known) and d.

    Raises
    ------
    DataError
        On shapes that do not match, missing or infinite values, a conditioning column that does
        not vary, fewer than 3 rows, or a jacobian without influence (or the reverse).

    Notes
    -----
    Whether theta is known is a fact that the null law depends on: treating an estimated theta as
    known makes the test unable to reject.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, psi = rng.normal(size=(2, 50))
    >>> FittedMoment(psi, x).theta_known
    True
    """

    residuals: Float[np.ndarray, "n q"]
    conditioning: Float[np.ndarray, "n d"]
    jacobian: Float[np.ndarray, "n q p"] | None
    influence: Float[np.ndarray, "n m p"] | None
    scale: Float[np.ndarray, "n q"] | None
    labels: MomentLabels = eqx.field(static=True)

    def __init__(
        self,
        residuals: Any,
        conditioning: Any,
        jacobian: Any = None,
        influence: Any = None,
        scale: Any = None,
        labels: MomentLabels | None = None,
    ) -> None:
        self.residuals = as_float_columns(residuals, "residuals")
        self.conditioning = as_float_columns(conditioning, "conditioning")
        self.jacobian = _as_blocks(jacobian, "jacobian")
        self.influence = _as_blocks(influence, "influence")
        self.scale = None if scale is None else as_float_columns(scale, "scale")
        names = _column_names(conditioning, self.conditioning.shape[1])
        self.labels = labels or MomentLabels(
            conditioning=names, theta="known" if jacobian is None else "estimated"
        )

    def __check_init__(self) -> None:
        _check_pairing(self.jacobian, self.influence)
        _check_rows(self)
        _check_components(self)
        _check_scale(self.scale)
        check_varies(self.conditioning, self.labels.conditioning)

    @property
    def n_obs(self) -> int:
        return self.residuals.shape[0]

    @property
    def n_components(self) -> int:
        return self.residuals.shape[1]

    @property
    def n_params(self) -> int:
        return 0 if self.jacobian is None else self.jacobian.shape[2]

    @property
    def n_conditioning(self) -> int:
        return self.conditioning.shape[1]

    @property
    def theta_known(self) -> bool:
        return self.jacobian is None


def _as_blocks(value: Any, argument: str) -> Float[np.ndarray, "n m p"] | None:
    """Bring (n, p) and (n, m, p) to (n, m, p), with the checks of the two-dimensional case."""
    if value is None:
        return None
    array = np.asarray(value)
    if array.ndim != 3:
        return as_float_columns(value, argument)[:, None, :]
    flat = as_float_columns(array.reshape(len(array), -1), argument)
    return flat.reshape(array.shape)


def _column_names(conditioning: Any, n_columns: int) -> tuple[str, ...]:
    columns = getattr(conditioning, "columns", None)
    if columns is None:
        return tuple(f"x{j + 1}" for j in range(n_columns))
    return tuple(str(name) for name in columns)


def _check_pairing(jacobian: Any, influence: Any) -> None:
    if (jacobian is None) == (influence is None):
        return
    given, lacking = ("jacobian", "influence") if influence is None else ("influence", "jacobian")
    raise DataError(
        f"`{given}` was given without `{lacking}`. An estimated theta needs both; "
        "leave out both only when theta is known and was not fitted on these data."
    )


def _check_rows(moment: FittedMoment) -> None:
    n = len(moment.residuals)
    if n < 3:
        raise DataError(f"`residuals` has {n} rows; a test needs at least 3.")
    for argument in ("conditioning", "jacobian", "influence", "scale"):
        value = getattr(moment, argument)
        if value is not None and len(value) != n:
            raise DataError(
                f"`{argument}` has {len(value)} rows and `residuals` has {n}; "
                "pass the same observations in the same order."
            )


def _check_components(moment: FittedMoment) -> None:
    q = moment.residuals.shape[1]
    if moment.scale is not None and moment.scale.shape[1] != q:
        raise DataError(
            f"`scale` has {moment.scale.shape[1]} columns; "
            f"expected one per residual component, {q}."
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
    if jacobian[1] != q:
        raise DataError(
            f"`jacobian` has {jacobian[1]} components; expected shape (n, q, p) with q = {q} "
            "as in `residuals`."
        )
    if influence[1] not in (1, q):
        raise DataError(
            f"`influence` has {influence[1]} components; "
            f"expected (n, p), or (n, q, p) with q = {q}."
        )
    if jacobian[2] != influence[2]:
        raise DataError(
            f"`jacobian` has {jacobian[2]} parameters and `influence` has {influence[2]}; "
            "both describe the same theta."
        )


def _check_scale(scale: Float[np.ndarray, "n q"] | None) -> None:
    if scale is not None and not (scale > 0).all():
        raise DataError(
            f"`scale` has {int((scale <= 0).sum())} values that are not positive; "
            "use 1 where the scale is unknown."
        )


def leverage_scale(
    jacobian: Float[np.ndarray, "n q p"], gain: Float[np.ndarray, "n q p"]
) -> Float[np.ndarray, "n q"]:
    r"""Finite-sample scale of each residual (HC2), for any estimator.

    To first order the fitted residuals are :math:`M\psi` with
    :math:`M = I + n^{-1} S L_\psi'`; the scale is the norm of the row of M, which for OLS is
    :math:`\sqrt{1 - h_{ii}}`.

    Parameters
    ----------
    jacobian : ndarray of shape (n, q, p)
        S_i = d psi_i / d theta.
    gain : ndarray of shape (n, q, p)
        L_i = d l_i / d psi_i, the influence per unit of residual.

    Returns
    -------
    ndarray of shape (n, q)
        1 where the row is zero: an observation of leverage one has residual zero whatever the
        data, so it carries no information and its scale is arbitrary.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.ones((4, 1, 1))
    >>> leverage_scale(-x, x).round(4).ravel()
    array([0.866, 0.866, 0.866, 0.866])
    """
    n = len(jacobian)
    second = np.einsum("icp,icr->pr", gain, gain) / n**2
    squared = (
        1
        + 2 * np.einsum("icp,icp->ic", jacobian, gain) / n
        + np.einsum("icp,pr,icr->ic", jacobian, second, jacobian)
    )
    scale = np.sqrt(np.maximum(squared, 0.0))
    return np.where(scale < _SMALLEST_SCALE, 1.0, scale)


def scaled_residuals(moment: FittedMoment) -> Float[np.ndarray, "n q"]:
    """psi_i / s_i, the residuals that multipliers act on."""
    return moment.residuals if moment.scale is None else moment.residuals / moment.scale


def scaled_influence(moment: FittedMoment) -> Float[np.ndarray, "n p"]:
    """The influence recomputed from the scaled residuals, summed over components."""
    if moment.influence is None:
        return np.zeros((moment.n_obs, 0))
    if moment.scale is None:
        return moment.influence.sum(axis=1)
    return (moment.influence / moment.scale[:, :, None]).sum(axis=1)


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
        When rows or conditioning variables differ, or known and estimated thetas are mixed.

    Examples
    --------
    >>> import numpy as np
    >>> x, u, v = np.random.default_rng(0).normal(size=(3, 40))
    >>> stack_equations(FittedMoment(u, x), FittedMoment(v, x)).n_components
    2
    """
    _check_equations(moments)
    labels = MomentLabels(
        moment="(" + ", ".join(m.labels.moment for m in moments) + ")",
        conditioning=moments[0].labels.conditioning,
        theta=" and ".join(dict.fromkeys(m.labels.theta for m in moments)),
        n_dropped=max(m.labels.n_dropped for m in moments),
    )
    known = moments[0].theta_known
    return FittedMoment(
        np.hstack([m.residuals for m in moments]),
        moments[0].conditioning,
        None if known else _block_diagonal([_known(m.jacobian) for m in moments]),
        None if known else _block_diagonal([_by_component(m) for m in moments]),
        np.hstack([_scale(m) for m in moments]),
        labels,
    )


def _check_equations(moments: tuple[FittedMoment, ...]) -> None:
    if not moments:
        raise DataError("`stack_equations` needs at least one equation.")
    first = moments[0]
    for k, moment in enumerate(moments[1:], start=2):
        if not np.array_equal(moment.conditioning, first.conditioning):
            raise DataError(
                f"equation {k} has other conditioning variables than equation 1; "
                "build all equations with the same rows and the same `conditioning`."
            )
        if moment.theta_known != first.theta_known:
            raise DataError(
                f"theta is known in one and estimated in the other of equations 1, {k}."
            )


def _known(array: Float[np.ndarray, "n m p"] | None) -> Float[np.ndarray, "n m p"]:
    if array is None:
        raise DataError("theta is known in one equation and estimated in another.")
    return array


def _by_component(moment: FittedMoment) -> Float[np.ndarray, "n q p"]:
    influence = _known(moment.influence)
    if influence.shape[1] != moment.n_components:
        raise DataError("`influence` of each equation must be split by component, (n, q, p).")
    return influence


def _scale(moment: FittedMoment) -> Float[np.ndarray, "n q"]:
    return np.ones_like(moment.residuals) if moment.scale is None else moment.scale


def _block_diagonal(blocks: list[np.ndarray]) -> Float[np.ndarray, "n q p"]:
    widths = np.cumsum([0] + [block.shape[2] for block in blocks])
    padded = [
        np.pad(block, ((0, 0), (0, 0), (start, widths[-1] - start - block.shape[2])))
        for block, start in zip(blocks, widths[:-1], strict=True)
    ]
    return np.concatenate(padded, axis=1)
