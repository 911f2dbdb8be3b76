"""The arithmetic of a penalised instrumental-variable fit in an RKHS, on arrays alone."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from kcm import gram
from kcm.exceptions import DataError
from kcm.gram import low_rank_factor
from kcm.kernels import Kernel

__all__ = [
    "FeatureMap",
    "NormalEquations",
    "feature_map",
    "kernel_sum",
    "weighted",
]

# Columns are smoothed in multiples of this many, so that few shapes compile.
COLUMNS = 64
# Rows at which a function is evaluated together.
ROWS = 8_192
# A sum of weights below this share of their absolute sum is rounding error.
ROUNDING = 1e-12


@final
@dataclass(frozen=True, slots=True, eq=False)
class FeatureMap:
    """Features e(x) = W' l(landmarks, x) + shift, in which a function is e(x)'theta.

    Parameters
    ----------
    kernel : Kernel
        l, with its bandwidths as numbers.
    landmarks : ndarray of shape (r, d)
    weights : ndarray of shape (r, p)
        W.
    shift : ndarray of shape (p,)

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> FeatureMap(Gaussian(1.0), np.zeros((4, 2)), np.ones((4, 3)), np.zeros(3)).shift
    array([0., 0., 0.])
    """

    kernel: Kernel
    landmarks: Float[np.ndarray, "r d"]
    weights: Float[np.ndarray, "r p"]
    shift: Float[np.ndarray, " p"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class NormalEquations:
    """Normal equations that are diagonal for every lam: (curvature + lam penalty) theta = target.

    Parameters
    ----------
    features : ndarray of shape (n, p)
        E, one row per observation.
    smoothed : ndarray of shape (n, p)
        W E, with W = K / n^2.
    curvature : ndarray of shape (p,)
        The diagonal of E'W E, which has no other entries.
    penalty : ndarray of shape (p,)
        1, or 0 for the constant.
    target : ndarray of shape (p,)
        E'W y.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones((2, 1))
    >>> equations = NormalEquations(one, one / 4, np.full(1, 0.5), np.ones(1), np.ones(1))
    >>> equations.precision(0.5)
    array([1.])
    """

    features: Float[np.ndarray, "n p"]
    smoothed: Float[np.ndarray, "n p"]
    curvature: Float[np.ndarray, " p"]
    penalty: Float[np.ndarray, " p"]
    target: Float[np.ndarray, " p"]

    def precision(self, regularization: float) -> Float[np.ndarray, " p"]:
        """Return the diagonal of E'W E + lam penalty."""
        return self.curvature + regularization * self.penalty


def weighted(
    kernel: Kernel, conditioning: Float[np.ndarray, "n d"], columns: Float[np.ndarray, "n m"]
) -> Float[np.ndarray, "n m"]:
    """Return W V = K V / n^2 for the columns of V; K is visited in tiles.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Constant
    >>> weighted(Constant(1.0), np.zeros((2, 1)), np.ones((2, 1))).ravel()
    array([0.5, 0.5])
    """
    n, m = columns.shape
    filled = np.pad(columns, ((0, 0), (0, -m % COLUMNS)))
    return gram.matvec(kernel, conditioning, filled)[:, :m] / n**2


def feature_map(
    kernel: Kernel,
    points: Float[np.ndarray, "n d"],
    instrument_kernel: Kernel,
    conditioning: Float[np.ndarray, "n k"],
    base: Float[np.ndarray, "n 2"],
    *,
    fit_intercept: bool,
    tolerance: float,
    max_rank: int,
) -> tuple[FeatureMap, NormalEquations]:
    r"""Return features of a kernel in which the normal equations are diagonal.

    With F F' = L and W = K/n^2, the features are the columns of F, less a multiple of the constant
    that makes 1'W F = 0, rotated by the eigenvectors of F'W F.

    Parameters
    ----------
    kernel : Kernel
        l, with its bandwidths as numbers.
    points : ndarray of shape (n, d)
    instrument_kernel : Kernel
        k, with its bandwidths as numbers.
    conditioning : ndarray of shape (n, k)
    base : ndarray of shape (n, 2)
        W [1, y].
    fit_intercept : bool
        Whether a constant without penalty is the first feature.
    tolerance, max_rank : float, int
        As in `low_rank_factor`, for F.

    Returns
    -------
    FeatureMap
    NormalEquations
        Its `target` needs y only through W y.

    Raises
    ------
    DataError
        When the instrument kernel maps constants to zero.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> x, k = np.arange(4.0)[:, None], Gaussian(1.0)
    >>> base = weighted(k, x, np.hstack([np.ones((4, 1)), x]))
    >>> features, equations = feature_map(
    ...     k, x, k, x, base, fit_intercept=True, tolerance=1e-14, max_rank=4
    ... )
    >>> bool(np.allclose(equations.features.T @ equations.smoothed, np.diag(equations.curvature)))
    True
    """
    factored = low_rank_factor(kernel, points, tolerance, max_rank)
    factor, pivots = factored.factor, factored.pivots
    offset = _constant_part(base[:, 0], factor) if fit_intercept else np.zeros(factor.shape[1])
    centred = factor - offset
    smoothed = weighted(instrument_kernel, conditioning, centred)
    square = centred.T @ smoothed
    curvature, rotation = np.linalg.eigh((square + square.T) / 2)
    back = np.linalg.solve(factor[pivots].T, rotation)
    mapping = FeatureMap(kernel, points[pivots], back, -offset @ rotation)
    equations = NormalEquations(
        centred @ rotation,
        smoothed @ rotation,
        np.maximum(curvature, 0.0),
        np.ones(len(curvature)),
        rotation.T @ (centred.T @ base[:, 1]),
    )
    return _with_constant(mapping, equations, base) if fit_intercept else (mapping, equations)


def _constant_part(
    row_sums: Float[np.ndarray, " n"], factor: Float[np.ndarray, "n r"]
) -> Float[np.ndarray, " r"]:
    """Return 1'W F / 1'W 1, the constant that W sees in each column of F."""
    if row_sums.sum() <= ROUNDING * np.abs(row_sums).sum():
        raise DataError(
            "the instrument kernel maps constants to zero, so a constant cannot be estimated; "
            "pass `fit_intercept=False`, or another `instrument_kernel`."
        )
    return np.asarray(row_sums @ factor / row_sums.sum())


def _with_constant(
    mapping: FeatureMap, equations: NormalEquations, base: Float[np.ndarray, "n 2"]
) -> tuple[FeatureMap, NormalEquations]:
    """Put the constant, which is orthogonal to the features under W, in front of them."""
    n, r = len(base), len(mapping.landmarks)
    weights = np.hstack([np.zeros((r, 1)), mapping.weights])
    shift = np.append(1.0, mapping.shift)
    constant, seen = base.sum(axis=0)
    return FeatureMap(mapping.kernel, mapping.landmarks, weights, shift), NormalEquations(
        np.hstack([np.ones((n, 1)), equations.features]),
        np.hstack([base[:, :1], equations.smoothed]),
        np.append(constant, equations.curvature),
        np.append(0.0, equations.penalty),
        np.append(seen, equations.target),
    )


def kernel_sum(
    kernel: Kernel,
    landmarks: Float[np.ndarray, "r d"],
    weights: Float[np.ndarray, "r ..."],
    shift: Float[np.ndarray, "..."],
    points: Float[np.ndarray, "n d"],
) -> Float[np.ndarray, "n ..."]:
    """Return l(x_i, landmarks) W + shift, a bounded number of points at a time.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> origin = np.zeros((1, 1))
    >>> kernel_sum(Gaussian(1.0), origin, np.array([3.0]), np.array(1.0), origin)
    array([4.])
    """
    starts = range(0, len(points), ROWS)
    parts = [gram.cross(kernel, points[i : i + ROWS], landmarks) @ weights for i in starts]
    return np.concatenate(parts) + shift
