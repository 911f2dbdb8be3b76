"""A linear regression as arrays, whichever library fitted it."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float

from kcm.comparison.entry import Subject, not_applicable

__all__ = ["Regression", "linear_regression", "orthonormal"]

_STATSMODELS = ("statsmodels OLS", "statsmodels WLS", "statsmodels GLS")
_LINEARMODELS = ("linearmodels OLS", "linearmodels IV2SLS", "linearmodels IVLIML")


@final
@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """Least squares of `outcome` on `design`, both times the roots of the weights.

    Parameters
    ----------
    outcome : ndarray of shape (n,)
    design : ndarray of shape (n, p)
    regressors : ndarray of shape (n, p)
        The design without the weights.
    root_weights : ndarray of shape (n,)
        1 without weights.
    params : ndarray of shape (p,)
    """

    outcome: Float[np.ndarray, " n"]
    design: Float[np.ndarray, "n p"]
    regressors: Float[np.ndarray, "n p"]
    root_weights: Float[np.ndarray, " n"]
    params: Float[np.ndarray, " p"]

    @property
    def fitted(self) -> Float[np.ndarray, " n"]:
        """Fitted values, in the units of the outcome before weighting."""
        return np.asarray(self.regressors @ self.params)

    @property
    def residuals(self) -> Float[np.ndarray, " n"]:
        """Residuals times the roots of the weights."""
        return np.asarray(self.outcome - self.design @ self.params)

    @property
    def weighted(self) -> bool:
        """Whether the weights differ."""
        return bool(np.ptp(self.root_weights) > 0)

    @property
    def has_constant(self) -> bool:
        """Whether a regressor is constant."""
        return bool((np.ptp(self.regressors, axis=0) == 0).any())

    @property
    def basis(self) -> Float[np.ndarray, "n r"]:
        """Columns that span those of the design, uncorrelated and of mean square 1.

        No test that looks at the span alone depends on them, and they keep digits where the
        design is collinear or its columns are of very different size.
        """
        return np.sqrt(len(self.outcome)) * orthonormal(self.design)


def orthonormal(matrix: Float[np.ndarray, "n p"], least: float = 0.0) -> Float[np.ndarray, "n r"]:
    """Orthonormal basis of the columns, each column brought to unit length first.

    Directions below `least` of the largest singular value, or rounding, are left out.

    Examples
    --------
    >>> orthonormal(np.array([[1.0, 1e9], [1.0, 1e9], [1.0, 1e9]])).shape
    (3, 1)
    """
    size = np.linalg.norm(matrix, axis=0)
    scaled = matrix / np.where(size > 0, size, 1.0)
    left, values, _ = np.linalg.svd(scaled, full_matrices=False)
    smallest = values[0] * max(least, max(matrix.shape) * np.finfo(float).eps)
    return np.asarray(left[:, values > smallest])


def linear_regression(subject: Subject) -> Regression:
    """Read a linear regression.

    Parameters
    ----------
    subject : Subject

    Returns
    -------
    Regression

    Raises
    ------
    UnsupportedModelError
        When the fit is of any other model.
    """
    if subject.name in _STATSMODELS:
        return _of_statsmodels(subject.fit)
    # without an endogenous regressor two-stage least squares is least squares
    if subject.name in _LINEARMODELS and not subject.fit.model.endog.shape[1]:
        return _of_linearmodels(subject.fit)
    raise not_applicable("This test is for linear regressions by least squares", subject)


def _of_statsmodels(fit: Any) -> Regression:
    model = fit.model
    roots = np.asarray(model.whiten(np.ones(len(model.endog))), float)
    used = roots != 0  # rows of weight zero are no observations
    return Regression(
        outcome=np.asarray(model.wendog, float)[used],
        design=np.asarray(model.wexog, float)[used],
        regressors=np.asarray(model.exog, float)[used],
        root_weights=roots[used],
        params=np.asarray(fit.params, float),
    )


def _of_linearmodels(fit: Any) -> Regression:
    model = fit.model
    regressors = np.asarray(model.exog.ndarray, float)
    roots = np.sqrt(np.asarray(model.weights.ndarray, float)[:, 0])
    return Regression(
        outcome=roots * np.asarray(model.dependent.ndarray, float)[:, 0],
        design=roots[:, None] * regressors,
        regressors=regressors,
        root_weights=roots,
        params=np.asarray(fit.params, float),
    )
