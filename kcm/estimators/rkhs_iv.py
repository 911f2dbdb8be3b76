"""Nonparametric instrumental variables in a reproducing kernel Hilbert space."""

import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, final

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from kcm._arrays import as_float_columns
from kcm._variation import check_varies
from kcm.data import as_table, is_table, numeric_column
from kcm.estimators.rkhs_numerics import kernel_sum, weighted
from kcm.estimators.rkhs_selection import CurveProblem, Solution, solve
from kcm.exceptions import DataError, OptionError, RegularizationBiasWarning
from kcm.kernels import Gaussian, Kernel, MedianHeuristic, check_definite
from kcm.moments import FittedMoment, MomentLabels, leverage_scale

__all__ = ["RKHSIV"]

BANDWIDTH_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
# Share of tr L left out of its factor: rounding error, and more than enough for landmarks.
EXACT, APPROXIMATE = 1e-14, 1e-10
BIAS = (
    "the residuals are those of a regularised fit; the bias of the regularisation is not accounted "
    "for, and a small p-value may be due to it. Compare with a fit at a tenth of `regularization_`."
)


@final
class RKHSIV(RegressorMixin, BaseEstimator):
    r"""Nonparametric instrumental-variable regression, E[Y - f(X) | Z] = 0.

    f is a constant plus a function in the RKHS of a kernel l on X, and minimises the maximum
    moment restriction of a kernel k on Z plus a penalty,

    .. math:: \frac{1}{n^2} \sum_{i,j} (y_i - f(x_i)) \, k(z_i, z_j) \, (y_j - f(x_j))
        + \lambda \lVert f - c \rVert_l^2 .

    With the Gram matrices L and K and without the constant c, f(x) = sum_i a_i l(x_i, x) with
    a = (L K L + n^2 lam L)^{-1} L K y.

    Parameters
    ----------
    kernel : Kernel, optional
        l, on the columns of X, with its bandwidth used as given. By default Gaussian, with the
        bandwidth `MedianHeuristic` times 1/4, 1/2, 1, 2 or 4, chosen by leave-out error.
    instrument_kernel : Kernel, optional
        k, on the columns of Z, with its bandwidth used as given. Default `Gaussian()` with the
        median heuristic. It is not chosen by leave-out error, of which it is the yardstick.
    regularization : float, optional
        lam > 0, used as given. By default chosen by leave-out error among 21 values spaced by half
        a power of ten, from 1 down to 1e-10, times mean k(z_i, z_i) mean l(x_i, x_i).
    fit_intercept : bool
        Whether f has a constant without penalty, so that y + 1000 gives f + 1000. Default True.
    leave_out : int
        Rows of a block that are left out together, at most half of the rows. Default 10.
    max_exact : int
        Up to this many rows, the solution is exact. Default 2,000.
    n_landmarks : int
        Beyond, f is sought among the functions sum_i a_i l(x_i, x) over at most this many of the
        rows (Nystroem), chosen by randomly pivoted Cholesky. Default 300.

    Attributes
    ----------
    kernel_, instrument_kernel_ : Kernel
        With their bandwidths as numbers.
    regularization_ : float
        lam.
    leave_out_error_ : float
        The mean over the blocks of b'K b / m^2, at the kernel and lam used.
    landmarks_ : ndarray of shape (r, d)
        Rows of X that span f. r is the numerical rank of L when the solution is exact.
    dual_coef_ : ndarray of shape (r,)
        ``f(x) = intercept_ + sum_i dual_coef_i l(landmarks_i, x)``.
    intercept_ : float
        0 without `fit_intercept`.
    X_fit_, Z_fit_ : ndarray of shape (n, d) and (n, k)
        The data of the fit.
    residuals_ : ndarray of shape (n,)
        y - f(x).
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X has column names.

    Raises
    ------
    OptionError
        When an option is not valid.
    DataError
        When Z has another number of rows than X, a column of X or Z does not vary, or a value is
        missing.

    Warns
    -----
    RegularizationBiasWarning
        By `fitted_moment`.

    Notes
    -----
    *The rule.* Rows are cut into blocks of m = `leave_out` (in an order that depends on n alone,
    and at most 5,000 of them). Each block is left out, rows and columns, of y, L and K, its
    residuals b under the fit to the other rows are computed in closed form, and the mean of
    b'K_B b / m^2 is minimised. This is the maximum moment restriction of data that f has not seen.
    The rule of the code of Zhang et al. (2023) takes only K_B out of K, so that f still fits the
    block through its other entries. On the grid above it takes the weakest lam there is (design of
    Bennett et al., n = 600, 8 replications: mean squared error 3.9 for sin and abs, where this rule
    gives 0.13 and 0.08).
    The diagonal of K_B also counts squared prediction errors, which endogeneity distorts. Its share
    falls with m, and the noise of the criterion rises: m = 10 is a compromise, found by simulation.

    *Costs.* O(n^2 r) operations for K, visited in tiles and never stored, and O(n r^2 + r^3) for
    the rest, for each of the five bandwidths. All values of lam share one eigendecomposition.

    *Identification.* f is identified only as far as Z moves X (completeness). What Z does not see
    is set by the penalty, and `score`, the R^2 of f(X) for Y, says nothing about that: f is not
    the best predictor of Y.

    References
    ----------
    Zhang, Imaizumi, Schoelkopf and Muandet (2023), Instrumental variable regression via kernel
    maximum moment loss, Journal of Causal Inference 11.

    Bennett, Kallus and Schnabel (2019), Deep generalized method of moments for instrumental
    variable analysis, NeurIPS (the design of the example).

    Examples
    --------
    >>> import numpy as np
    >>> import kcm
    >>> rng = np.random.default_rng(0)
    >>> z, e = rng.uniform(-3, 3, (500, 2)), rng.normal(size=500)
    >>> x = z[:, :1] + e[:, None] + rng.normal(0, 0.3, (500, 1))
    >>> y = np.abs(x[:, 0]) + e + rng.normal(0, 0.3, 500)
    >>> fit = kcm.RKHSIV().fit(x, y, z)
    >>> bool(np.mean((fit.predict(x) - np.abs(x[:, 0])) ** 2) < 0.1)
    True
    """

    def __init__(
        self,
        kernel: Any = None,
        instrument_kernel: Any = None,
        regularization: Any = None,
        fit_intercept: Any = True,
        leave_out: Any = 10,
        max_exact: Any = 2_000,
        n_landmarks: Any = 300,
    ) -> None:
        # scikit-learn has options checked by `fit`, not here
        self.kernel = kernel
        self.instrument_kernel = instrument_kernel
        self.regularization = regularization
        self.fit_intercept = fit_intercept
        self.leave_out = leave_out
        self.max_exact = max_exact
        self.n_landmarks = n_landmarks

    def fit(self, X: Any, y: Any, Z: Any = None) -> "RKHSIV":  # noqa: N803 (scikit-learn's names)
        """Fit f.

        Parameters
        ----------
        X : array_like of shape (n, d)
            Treatments.
        y : array_like of shape (n,)
            Outcomes.
        Z : array_like or table of shape (n,) or (n, k), optional
            Instruments, exogenous columns of X among them; rows in the order of X, whatever the
            index. Default X: a regression.

        Returns
        -------
        RKHSIV
            This object.
        """
        _check_options(self)
        checked, outcome = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2
        )
        points, y = as_float_columns(checked, "X"), as_float_columns(outcome, "y")[:, 0]
        _check_treatments(points)
        conditioning, names = _instruments(Z, points, getattr(self, "feature_names_in_", None))
        self.instrument_kernel_ = (self.instrument_kernel or Gaussian()).resolve(conditioning)
        problem = _problem(self, points, y, conditioning)
        solution = solve(
            problem, _candidates(self.kernel, points), self.regularization, int(self.leave_out)
        )
        return _store(self, problem, solution, names)

    def predict(self, X: Any) -> Float[np.ndarray, " n"]:  # noqa: N803
        """Return f at the rows of X.

        Parameters
        ----------
        X : array_like of shape (n, d)

        Returns
        -------
        ndarray of shape (n,)
        """
        check_is_fitted(self)
        points = as_float_columns(validate_data(self, X, dtype=np.float64, reset=False), "X")
        return kernel_sum(
            self.kernel_, self.landmarks_, self.dual_coef_, np.array(self.intercept_), points
        )

    def fitted_moment(self) -> FittedMoment:
        """Return y - f(x) given Z, with its dependence on the fit, for `kcm.KCMTest`.

        The fit is linear in y, and a multiplier draw refits it to the multiplied residuals, at the
        same kernels and lam. The draws are scaled by the leverages (HC2), without which a weakly
        penalised fit is rejected far too often (.2 to .7 of the time instead of .05).

        The size of the test is only roughly right: at a nominal 5 %, with lam as chosen and the
        default kernel of the test, .06 to .09; with a kernel half as wide, which sees more of the
        bias, .06 to .19. At a tenth of the chosen lam, ``RKHSIV(fit.kernel_, regularization=
        fit.regularization_ / 10)``, .05 to .07 and .06 to .10. (The design of Bennett et al. with
        g = sin, step and linear, n = 200 and 400, 500 replications; the standard error is .01.)
        Only a strong rejection, that a smaller lam does not undo, is evidence against the model.

        Returns
        -------
        FittedMoment

        Warns
        -----
        RegularizationBiasWarning
            Always: the null law does not know of the bias of f, nor of the choice of lam.
        """
        check_is_fitted(self)
        warnings.warn(BIAS, RegularizationBiasWarning, stacklevel=2)
        features = kernel_sum(
            self.kernel_, self.landmarks_, self._weights, self._shift, self.X_fit_
        )
        smoothed = weighted(self.instrument_kernel_, self.Z_fit_, features)
        gain = len(features) * smoothed / self._precision
        return FittedMoment(
            self.residuals_,
            self.Z_fit_,
            jacobian=-features,
            influence=gain * self.residuals_[:, None],
            scale=leverage_scale(-features, gain),
            labels=MomentLabels(
                "y - f(x)", self._instrument_names, "estimated: RKHS IV", exogenous=False
            ),
            gain=gain,
        )


def _problem(
    estimator: RKHSIV,
    points: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    conditioning: Float[np.ndarray, "n k"],
) -> CurveProblem:
    n = len(points)
    exact = n <= estimator.max_exact
    return CurveProblem(
        points,
        y,
        estimator.instrument_kernel_,
        conditioning,
        bool(estimator.fit_intercept),
        tolerance=EXACT if exact else APPROXIMATE,
        max_rank=n if exact else int(estimator.n_landmarks),
    )


def _store(
    estimator: RKHSIV, problem: CurveProblem, solution: Solution, names: tuple[str, ...]
) -> RKHSIV:
    mapping = solution.mapping
    estimator.kernel_, estimator.landmarks_ = mapping.kernel, mapping.landmarks
    estimator.regularization_ = solution.regularization
    estimator.leave_out_error_ = solution.error
    estimator.dual_coef_ = mapping.weights @ solution.theta
    estimator.intercept_ = float(mapping.shift @ solution.theta)
    estimator.residuals_ = solution.residuals
    estimator.X_fit_, estimator.Z_fit_ = problem.points, problem.conditioning
    estimator._weights, estimator._shift = mapping.weights, mapping.shift
    estimator._precision, estimator._instrument_names = solution.precision, names
    return estimator


def _candidates(kernel: Kernel | None, points: Float[np.ndarray, "n d"]) -> list[Kernel]:
    """Return the kernel given, or Gaussians around the median heuristic."""
    if kernel is not None:
        return [kernel.resolve(points)]
    bandwidth = MedianHeuristic()(points)
    return [Gaussian(factor * bandwidth) for factor in BANDWIDTH_FACTORS]


def _instruments(
    value: Any, points: Float[np.ndarray, "n d"], feature_names: Sequence[str] | None
) -> tuple[Float[np.ndarray, "n k"], tuple[str, ...]]:
    """Read Z and its names; without Z these are X and its names."""
    if value is None:
        given = [f"x{j + 1}" for j in range(points.shape[1])]
        return points, tuple(given if feature_names is None else feature_names)
    columns, names = _read(value)
    if len(columns) != len(points):
        raise DataError(
            f"`Z` has {len(columns)} rows and `X` has {len(points)}; pass the same observations "
            "in the same order."
        )
    check_varies(columns, names)
    return columns, names


def _read(value: Any) -> tuple[Float[np.ndarray, "n k"], tuple[str, ...]]:
    if is_table(value):
        table, _ = as_table(value, "Z")
        read = [numeric_column(table[name], f"column {name!r} of `Z`") for name in table]
        return as_float_columns(np.column_stack(read), "Z"), tuple(table.columns)
    columns = as_float_columns(value, "Z")
    return columns, tuple(f"z{j + 1}" for j in range(columns.shape[1]))


def _check_treatments(points: Float[np.ndarray, "n d"]) -> None:
    flat = np.flatnonzero(np.ptp(points, axis=0) == 0)
    if len(flat):
        raise DataError(
            f"the columns of `X` must vary, but column {flat[0]} (counted from 0) is the same in "
            "every row; leave it out, a constant is fitted by `fit_intercept`."
        )


def _check_options(estimator: RKHSIV) -> None:
    for name in ("leave_out", "max_exact", "n_landmarks"):
        _check_count(getattr(estimator, name), name)
    for name in ("kernel", "instrument_kernel"):
        _check_kernel(getattr(estimator, name), name)
    if not isinstance(estimator.fit_intercept, bool | np.bool_):
        raise OptionError(
            f"`fit_intercept` must be True or False; got {estimator.fit_intercept!r}."
        )
    value = estimator.regularization
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < np.inf:
        raise OptionError(
            f"`regularization` must be a positive number, or None to have it chosen; got {value!r}."
        )


def _check_count(value: Any, argument: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise OptionError(f"`{argument}` must be a whole number of at least 1; got {value!r}.")


def _check_kernel(value: Any, argument: str) -> None:
    if value is not None and not isinstance(value, Kernel):
        raise OptionError(
            f"`{argument}` must be a kernel such as kcm.kernels.Gaussian(), or None for the "
            f"default; got {value!r}."
        )
    if value is not None:
        check_definite(value, "estimation")
