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

from kcm._arrays import as_float_columns
from kcm._records import one_line
from kcm._variation import check_varies
from kcm.data import Encoded, align, as_table, encode_frame, is_table, numeric_column
from kcm.exceptions import DataError, OptionError
from kcm.moments.checks import (
    check_components,
    check_estimate,
    check_labels,
    check_rows,
    check_scale,
    check_working,
)
from kcm.moments.outcomes import Outcomes, TwoStages

__all__ = [
    "FittedMoment",
    "MomentLabels",
    "as_blocks",
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
    and *estimated* otherwise: on these rows, which takes its jacobian and its influence, or on
    another sample, which takes its jacobian and its covariance there.

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
        What residual i is divided by to have the size of an error, in (0, inf), as
        `leverage_scale` gives it. Default 1.
    labels : MomentLabels, optional
        Words for the summary; by default "psi" and the column names, or x1, x2, ... for an array.
    gain : array_like of shape (n, p) or (n, q, p), optional
        L_i = d l_i / d psi_i, the influence per unit of residual. Where rows form clusters the
        scale is found anew, for the rows of each cluster together, from `jacobian`, `gain` and
        `variance`. Default: `influence` over `residuals`.
    variance : array_like of shape (n,) or (n, q), optional
        Working variances of the residuals up to a constant. Default: all equal.
    outcomes : Outcomes or TwoStages, optional
        How the outcome is drawn when the model is right, for `KCMTestResult.size_check`; adapters
        give it. Default: errors are drawn for the residuals.
    covariance : array_like of shape (p, p), optional
        Covariance of theta, where it was estimated on another sample, independent of these rows
        (rows of these that were set aside, too), in place of `influence`.
    influence_sample : array_like of shape (n1, p), optional
        The influence of each of the n1 rows of that other sample, as `influence` scaled so that
        theta_hat - theta is close to its mean. It gives the `covariance`, sum_j l_j l_j' / n1^2.
    index : array_like of shape (n,) or (n, k), optional
        What the model makes of the regressors, such as x'b or the linear predictor: the adaptive
        test looks for departures along it where there are many conditioning columns. Adapters
        give it; it changes nothing else. Default: none.

    Attributes
    ----------
    n_obs, n_components, n_params, n_conditioning : int
        n, q, p (0 when theta is known) and d.

    Raises
    ------
    DataError
        On shapes or indexes that do not match, missing or infinite values, a conditioning column
        that does not vary, fewer than 3 rows, a jacobian without influence or covariance (or the
        reverse), a matrix that is no covariance, or labels that contradict the arrays.

    Notes
    -----
    Rows are matched by label among the arguments that carry a pandas index, in the order of the
    first of them (the residuals, if they carry one); the others are matched by position.

    Whether theta is known is a fact that the null law depends on. It is known when it comes from
    theory or a calibration, or when it is itself the hypothesis. Treating a theta that was
    estimated on these rows as known makes the test unable to reject; treating one from another
    sample as known tests that theta, not the model, and rejects a right model too often.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, psi = rng.normal(size=(2, 50))
    >>> FittedMoment(psi, x).theta_known
    True

    A mean that was estimated on 80 other rows:

    >>> other, one = rng.normal(size=80), np.ones((50, 1))
    >>> moment = FittedMoment(
    ...     psi - other.mean(), x, -one, influence_sample=other[:, None] - other.mean()
    ... )
    >>> moment.labels.theta
    'estimated on another sample of 80 rows'
    """

    residuals: Float[np.ndarray, "n q"]
    conditioning: Float[np.ndarray, "n d"]
    jacobian: Float[np.ndarray, "n q p"] | None
    influence: Float[np.ndarray, "n m p"] | None
    scale: Float[np.ndarray, "n q"] | None
    labels: MomentLabels = eqx.field(static=True)
    gain: Float[np.ndarray, "n q p"] | None
    variance: Float[np.ndarray, "n q"] | None
    outcomes: Outcomes | TwoStages | None = eqx.field(static=True)
    covariance: Float[np.ndarray, "p p"] | None
    index: Float[np.ndarray, "n k"] | None

    def __init__(
        self,
        residuals: Any,
        conditioning: Any,
        jacobian: Any = None,
        influence: Any = None,
        scale: Any = None,
        labels: MomentLabels | None = None,
        gain: Any = None,
        variance: Any = None,
        outcomes: Outcomes | TwoStages | None = None,
        covariance: Any = None,
        *,
        influence_sample: Any = None,
        index: Any = None,
    ) -> None:
        parts = _matched(
            {
                "residuals": residuals,
                "conditioning": conditioning,
                "jacobian": jacobian,
                "influence": influence,
                "scale": scale,
                "gain": gain,
                "variance": variance,
                "index": index,
            }
        )
        self.residuals = as_float_columns(parts["residuals"], "residuals")
        read = _read_conditioning(parts["conditioning"])
        self.conditioning = read.values
        self.jacobian = None if jacobian is None else as_blocks(parts["jacobian"], "jacobian")
        self.influence = None if influence is None else as_blocks(parts["influence"], "influence")
        self.scale = None if scale is None else as_float_columns(parts["scale"], "scale")
        self.covariance = _read_covariance(covariance, influence_sample)
        theta = _estimated(jacobian, covariance, influence_sample)
        _check_words(labels)
        self.labels = _completed(labels or MomentLabels(), read, theta)
        self.gain = None if gain is None else as_blocks(parts["gain"], "gain")
        self.variance = (
            None if variance is None else as_float_columns(parts["variance"], "variance")
        )
        self.outcomes = outcomes
        self.index = None if index is None else as_float_columns(parts["index"], "index")

    def __check_init__(self) -> None:
        check_estimate(self)
        check_rows(self)
        check_components(self)
        check_scale(self.scale)
        check_working(self)
        check_labels(self)
        check_varies(self.conditioning, self.labels.conditioning)

    def __repr__(self) -> str:
        return one_line(self)

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

    @property
    def from_another_sample(self) -> bool:
        """Whether theta was estimated on other rows than these."""
        return self.covariance is not None


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


def _read_covariance(covariance: Any, influence_sample: Any) -> Float[np.ndarray, "p p"] | None:
    """Return the covariance of theta, from the influences of its sample where they are given."""
    if influence_sample is None:
        return None if covariance is None else _matrix(covariance, "covariance")
    if covariance is not None:
        raise DataError(
            "`covariance` and `influence_sample` both tell the error of theta; pass one of them."
        )
    influence = _matrix(influence_sample, "influence_sample")
    return influence.T @ influence / len(influence) ** 2


def _matrix(value: Any, argument: str) -> Float[np.ndarray, "m p"]:
    values = _numbers(as_table(value, argument)[0], argument) if is_table(value) else value
    return as_float_columns(values, argument)


def _estimated(jacobian: Any, covariance: Any, influence_sample: Any) -> str:
    """Return in words how theta was found."""
    if influence_sample is not None:
        return f"estimated on another sample of {len(influence_sample):,} rows"
    if covariance is not None:
        return "estimated on another sample"
    return "known" if jacobian is None else "estimated"


def _completed(labels: MomentLabels, read: Encoded, theta: str) -> MomentLabels:
    return replace(
        labels,
        conditioning=tuple(labels.conditioning) or read.names,
        kinds=tuple(labels.kinds) or read.kinds,
        levels=tuple(labels.levels) or read.levels or ((),) * read.values.shape[1],
        theta=theta if labels.theta == "known" else labels.theta,
    )


def _check_words(labels: Any) -> None:
    """Refuse labels that are no words."""
    if labels is None:
        return
    if not isinstance(labels, MomentLabels):
        raise OptionError(
            f"`labels` must be kcm.MomentLabels(...) or None; got {type(labels).__name__}."
        )
    for name in ("moment", "theta"):
        if not isinstance(getattr(labels, name), str):
            raise OptionError(
                f"`{name}` of the labels must be text; got {getattr(labels, name)!r}."
            )
    for name in ("conditioning", "kinds", "levels"):
        words = getattr(labels, name)
        if not isinstance(words, tuple | list):
            raise OptionError(
                f"`{name}` of the labels must have one entry per conditioning column, in a tuple; "
                f"got {words!r}."
            )
