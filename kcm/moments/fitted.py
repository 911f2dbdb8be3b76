"""The seam of the library: a conditional moment evaluated at its estimate.

Adapters and estimators hand over a `FittedMoment`; tests read nothing else.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, final

import equinox as eqx
import numpy as np
import pandas as pd
from jaxtyping import Float

from kcm._tables import as_table, is_table, numeric_column
from kcm._validation import as_float_columns
from kcm._variation import check_varies
from kcm.data import Encoded, align, encode_frame
from kcm.exceptions import DataError

__all__ = [
    "FittedMoment",
    "MomentLabels",
    "as_blocks",
    "scaled_influence",
    "scaled_residuals",
]


@final
@dataclass(frozen=True, slots=True)
class MomentLabels:
    """The words that go with the numbers of a `FittedMoment`.

    Parameters
    ----------
    moment : str
        The residual as a formula in words, for instance ``"logwage - x'b"``.
    conditioning : tuple of str
        Names of the conditioning variables, one per column; by default those of the columns.
    theta : str
        ``"known"``, or how theta was estimated, for instance ``"estimated: OLS"``. A moment with
        a jacobian turns ``"known"`` into ``"estimated"``.
    n_dropped : int
        Rows of the data that the fit left out because they hold missing values.
    kinds : tuple of {"continuous", "unordered", "ordered"}
        What each conditioning column holds: numbers, or codes of categories without or with an
        order; by default as the types of a table say, and numbers for an array.
    exogenous : bool, optional
        Whether the jacobian is a function of exogenous variables, given which the residual has
        mean zero, as in least squares and generalised linear models; False with an endogenous
        regressor. Default None, not known. The orthogonal projection asks for it.
    levels : tuple of tuple of str
        Names of the levels behind the codes 0, 1, ... of each conditioning column, in their
        order, none where it holds numbers; by default as a table says. Pictures show them, and
        new points are read by them.
    notes : tuple of str
        What a reader of the test has to know on its variables and rows, as sentences without a
        full stop; the summary ends with them.

    Examples
    --------
    >>> MomentLabels(moment="wage - x'b", conditioning=("age",)).theta
    'known'
    """

    moment: str = "psi"
    conditioning: tuple[str, ...] = ()
    theta: str = "known"
    n_dropped: int = 0
    kinds: tuple[str, ...] = ()
    exogenous: bool | None = None
    levels: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


@final
class FittedMoment(eqx.Module):
    r"""A conditional moment at theta: residuals, and how they depend on the estimate.

    The claim is :math:`E[\psi(Z; \theta) \mid X] = 0`. Theta is *known* when no jacobian is given
    and *estimated* otherwise; an estimated theta needs both its jacobian and its influence.

    Parameters
    ----------
    residuals : array_like of shape (n,) or (n, q)
        psi(Z_i; theta), in the units of the outcome.
    conditioning : array_like or table of shape (n,) or (n, d)
        The variables X, in their own units: an array, a pandas, Polars or Arrow table or named
        column, or a mapping of columns by name. Strings, booleans and categories of a table become
        codes of their levels (`kcm.data.encode_frame`).
    jacobian : array_like of shape (n, p) or (n, q, p), optional
        d psi_i / d theta. (n, p) is for q = 1.
    influence : array_like of shape (n, p) or (n, q, p), optional
        l_i with sqrt(n) (theta_hat - theta) = n^-1/2 sum_i l_i + o_p(1), in total or split by the
        component of psi it comes from. The split is needed when q > 1 and a `scale` is given.
    scale : array_like of shape (n,) or (n, q), optional
        Finite-sample scale s_i of each residual, in (0, inf), as `leverage_scale` gives it.
        Default 1.
    labels : MomentLabels, optional
        Words for the summary; by default "psi" and the column names, or x1, x2, ... for an array.

    Attributes
    ----------
    n_obs, n_components, n_params, n_conditioning : int
        n, q, p (0 when theta is known) and d.

    Raises
    ------
    DataError
        On shapes or indexes that do not match, missing or infinite values, a conditioning column
        that does not vary, fewer than 3 rows, a jacobian without influence (or the reverse), or
        labels that contradict the arrays.

    Notes
    -----
    Rows are matched by label among the arguments that carry a pandas index, in the order of the
    first of them (the residuals, if they carry one); the others are matched by position.

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
        parts = _matched(
            {
                "residuals": residuals,
                "conditioning": conditioning,
                "jacobian": jacobian,
                "influence": influence,
                "scale": scale,
            }
        )
        self.residuals = as_float_columns(parts["residuals"], "residuals")
        read = _read_conditioning(parts["conditioning"])
        self.conditioning = read.values
        self.jacobian = None if jacobian is None else as_blocks(parts["jacobian"], "jacobian")
        self.influence = None if influence is None else as_blocks(parts["influence"], "influence")
        self.scale = None if scale is None else as_float_columns(parts["scale"], "scale")
        self.labels = _completed(labels or MomentLabels(), read, jacobian is None)

    def __check_init__(self) -> None:
        _check_pairing(self.jacobian, self.influence)
        _check_rows(self)
        _check_components(self)
        _check_scale(self.scale)
        _check_labels(self)
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


def _matched(parts: dict[str, Any]) -> dict[str, Any]:
    """Read the tables among the parts, rows in the order of the first index that one carries."""
    tables = {name: as_table(part, name) for name, part in parts.items() if is_table(part)}
    index = next((own for _, own in tables.values() if own is not None), None)
    ordered = {name: _in_order(*tables[name], index, name) for name in tables}
    return parts | {
        name: encode_frame(table) if name == "conditioning" else _numbers(table, name)
        for name, table in ordered.items()
    }


def _in_order(
    table: pd.DataFrame, own: pd.Index | None, index: pd.Index | None, argument: str
) -> pd.DataFrame:
    if own is None or index is None:
        return table
    return align(table.set_axis(own, axis=0), index, argument)


def _numbers(table: pd.DataFrame, argument: str) -> Float[np.ndarray, "n k"]:
    columns = [numeric_column(table[name], f"column {name!r} of `{argument}`") for name in table]
    return np.column_stack(columns)


def as_blocks(value: Any, argument: str) -> Float[np.ndarray, "n m p"]:
    """Bring (n, p) and (n, m, p) to (n, m, p), with the checks of the two-dimensional case."""
    try:
        array = np.asanyarray(value)  # keeps a mask
    except (TypeError, ValueError):
        return as_float_columns(value, argument)[:, None, :]  # which says what is wrong
    if array.ndim not in (1, 2, 3):
        raise DataError(
            f"`{argument}` must have shape (n, p) or (n, q, p); got {array.ndim} dimensions."
        )
    if array.ndim < 3:
        return as_float_columns(array, argument)[:, None, :]
    flat = as_float_columns(array.reshape(len(array), math.prod(array.shape[1:])), argument)
    return flat.reshape(array.shape)


def _read_conditioning(given: Any) -> Encoded:
    if isinstance(given, Encoded):
        return given._replace(values=as_float_columns(given.values, "conditioning"))
    values = as_float_columns(given, "conditioning")
    d = values.shape[1]
    return Encoded(values, tuple(f"x{j + 1}" for j in range(d)), ("continuous",) * d)


def _completed(labels: MomentLabels, read: Encoded, theta_known: bool) -> MomentLabels:
    return replace(
        labels,
        conditioning=tuple(labels.conditioning) or read.names,
        kinds=tuple(labels.kinds) or read.kinds,
        levels=tuple(labels.levels) or read.levels or ((),) * read.values.shape[1],
        theta="estimated" if labels.theta == "known" and not theta_known else labels.theta,
    )


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


def _check_labels(moment: FittedMoment) -> None:
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
            'and `influence`, or theta="known" when theta was not fitted on these data.'
        )


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
