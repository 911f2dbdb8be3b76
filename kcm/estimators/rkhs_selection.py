"""Which kernel and how much regularisation: leave-out error in closed form."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from kcm import gram
from kcm.estimators.rkhs_numerics import FeatureMap, NormalEquations, feature_map, weighted
from kcm.kernels import Kernel

__all__ = [
    "CurveProblem",
    "Solution",
    "gram_blocks",
    "left_out_blocks",
    "left_out_error",
    "left_out_residuals",
    "solve",
]

# lam relative to mean k(z, z) mean l(x, x), from the strongest to the weakest.
REGULARIZATIONS = 10.0 ** -np.arange(0.0, 10.25, 0.5)
BLOCK_SEED = 20_101_007
# Rows left out at most, in blocks: the choice hardly depends on more of them.
MOST_LEFT_OUT = 5_000


@final
@dataclass(frozen=True, slots=True, eq=False)
class CurveProblem:
    """The data of a fit, and what does not depend on the kernel and on lam.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        X.
    y : ndarray of shape (n,)
    instrument_kernel : Kernel
        With its bandwidths as numbers.
    conditioning : ndarray of shape (n, k)
        Z.
    fit_intercept : bool
    tolerance, max_rank : float, int
        As in `low_rank_factor`, for the factor of L.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> x = np.arange(9.0)[:, None]
    >>> CurveProblem(x, x[:, 0], Gaussian(1.0), x, True, 1e-14, 9).fit_intercept
    True
    """

    points: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    instrument_kernel: Kernel
    conditioning: Float[np.ndarray, "n k"]
    fit_intercept: bool
    tolerance: float
    max_rank: int


@final
@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """A fit: the features, their coefficients, and what it was chosen by.

    Parameters
    ----------
    mapping : FeatureMap
    theta : ndarray of shape (p,)
        Coefficients of the features.
    precision : ndarray of shape (p,)
        The diagonal of E'W E + lam penalty.
    residuals : ndarray of shape (n,)
    regularization : float
        lam.
    error : float
        Leave-out error.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> x, k = np.arange(9.0)[:, None], Gaussian(1.0)
    >>> solve(CurveProblem(x, x[:, 0], k, x, True, 1e-14, 9), [k], 1e-3, 2).regularization
    0.001
    """

    mapping: FeatureMap
    theta: Float[np.ndarray, " p"]
    precision: Float[np.ndarray, " p"]
    residuals: Float[np.ndarray, " n"]
    regularization: float
    error: float


def solve(
    problem: CurveProblem, kernels: Sequence[Kernel], regularization: float | None, block_size: int
) -> Solution:
    """Return the fit with the smallest leave-out error.

    Parameters
    ----------
    problem : CurveProblem
    kernels : sequence of Kernel
        Candidates, with their bandwidths as numbers.
    regularization : float or None
        lam, or None for the values that `REGULARIZATIONS` gives.
    block_size : int
        Rows left out together.

    Returns
    -------
    Solution

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Gaussian
    >>> x, k = np.linspace(0, 6, 60)[:, None], Gaussian(1.0)
    >>> fit = solve(CurveProblem(x, np.sin(x[:, 0]), k, x, True, 1e-14, 60), [k], None, 2)
    >>> bool(np.abs(fit.residuals).max() < 1e-2)
    True
    """
    columns = np.stack([np.ones(len(problem.y)), problem.y], axis=1)
    base = weighted(problem.instrument_kernel, problem.conditioning, columns)
    blocks = left_out_blocks(len(problem.y), block_size)
    grams = gram_blocks(problem.instrument_kernel, problem.conditioning, blocks)
    fits = (_best_of(problem, k, regularization, base, blocks, grams) for k in kernels)
    return min(fits, key=lambda fit: fit.error)


def _best_of(
    problem: CurveProblem,
    kernel: Kernel,
    regularization: float | None,
    base: Float[np.ndarray, "n 2"],
    blocks: Int[np.ndarray, "b m"],
    grams: Float[np.ndarray, "b m m"],
) -> Solution:
    """Return the fit with the best lam for one kernel."""
    mapping, equations = feature_map(
        kernel,
        problem.points,
        problem.instrument_kernel,
        problem.conditioning,
        base,
        fit_intercept=problem.fit_intercept,
        tolerance=problem.tolerance,
        max_rank=problem.max_rank,
    )
    given = _scaled_grid(problem, kernel) if regularization is None else [regularization]
    errors = [
        left_out_error(
            left_out_residuals(equations, base[:, 1], problem.y, lam, blocks, grams), grams
        )
        for lam in given
    ]
    best = int(np.argmin(errors))
    precision = equations.precision(given[best])
    theta = equations.target / precision
    residuals = problem.y - equations.features @ theta
    return Solution(mapping, theta, precision, residuals, given[best], errors[best])


def _scaled_grid(problem: CurveProblem, kernel: Kernel) -> list[float]:
    """Return the values of lam that are tried, in the units of the two kernels."""
    scale = gram.diagonal(kernel, problem.points).mean()
    scale *= gram.diagonal(problem.instrument_kernel, problem.conditioning).mean()
    return [float(value) for value in scale * REGULARIZATIONS]


def left_out_blocks(n: int, size: int) -> Int[np.ndarray, "b m"]:
    """Cut rows into blocks of a size, in an order that depends on n alone.

    At most half of the rows make a block, at most 5,000 rows are in a block, and what is left over
    after cutting is in none.

    Examples
    --------
    >>> left_out_blocks(7, 2).shape, left_out_blocks(3, 2).shape
    ((3, 2), (3, 1))
    """
    size = min(size, n // 2)
    count = max(min(n, MOST_LEFT_OUT) // size, 2)
    order = np.random.default_rng(BLOCK_SEED).permutation(n)
    return order[: count * size].reshape(count, size)


def gram_blocks(
    kernel: Kernel, points: Float[np.ndarray, "n d"], blocks: Int[np.ndarray, "b m"]
) -> Float[np.ndarray, "b m m"]:
    """Return the Gram matrix of each block of rows.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.kernels import Constant
    >>> gram_blocks(Constant(2.0), np.zeros((4, 1)), np.array([[0, 1], [2, 3]])).shape
    (2, 2, 2)
    """
    with jax.enable_x64(True):
        return np.array(_gram_blocks(kernel, points[blocks]))


@jax.jit
def _gram_blocks(kernel: Kernel, points: Float[Array, "b m d"]) -> Float[Array, "b m m"]:
    return jax.vmap(kernel.matrix)(points)


def left_out_residuals(
    equations: NormalEquations,
    base: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    regularization: float,
    blocks: Int[np.ndarray, "b m"],
    grams: Float[np.ndarray, "b m m"],
) -> Float[np.ndarray, "b m"]:
    r"""Return the residuals of each block under the fit without its rows, without refitting.

    With C = E (E'WE + lam J)^{-1} E', the residuals e = y - CWy and g = We, the residuals b of the
    block B under the fit to the other rows solve

    .. math:: C_{BB} \, a + (I - CW)_{BB} \, b &= e_B, \\
        -(I - WC)_{BB} \, a + (W - WCW)_{BB} \, b &= g_B ,

    which is the Woodbury identity for the 2m rows and columns of E'WE that the block takes part in.

    Parameters
    ----------
    equations : NormalEquations
    base : ndarray of shape (n,)
        W y.
    y : ndarray of shape (n,)
    regularization : float
        lam.
    blocks : ndarray of shape (b, m)
        Rows of each block.
    grams : ndarray of shape (b, m, m)
        K of each block.

    Returns
    -------
    ndarray of shape (b, m)

    Examples
    --------
    >>> import numpy as np
    >>> one, w = np.ones((3, 1)), np.eye(3) / 9  # K = I: the mean of the other rows
    >>> mean = NormalEquations(one, w @ one, np.full(1, 3 / 9), np.zeros(1), np.full(1, 6 / 9))
    >>> y = np.array([0.0, 0.0, 6.0])
    >>> left_out_residuals(mean, w @ y, y, 1.0, np.array([[2]]), np.ones((1, 1, 1))).round(6)
    array([[6.]])
    """
    n, m = len(y), blocks.shape[1]
    precision = equations.precision(regularization)
    theta = equations.target / precision
    # rows of E in units of 1/n and of W E in units of n, so that all entries are of order one
    own = equations.features[blocks] / n
    seen = equations.smoothed[blocks] * n
    right = np.concatenate([y[blocks] / n - own @ theta, base[blocks] * n - seen @ theta], axis=1)
    rows = np.concatenate([own, seen], axis=1)
    system = (rows / precision) @ rows.transpose(0, 2, 1)
    system[:, :m, m:] -= np.eye(m)
    system[:, m:, :m] -= np.eye(m)
    system[:, m:, m:] -= grams
    return -n * np.linalg.solve(system, right[..., None])[:, m:, 0]


def left_out_error(residuals: Float[np.ndarray, "b m"], grams: Float[np.ndarray, "b m m"]) -> float:
    """Return the mean over blocks of b'K b / m^2, the squared MMR of what was left out.

    Examples
    --------
    >>> import numpy as np
    >>> left_out_error(np.array([[1.0, 1.0]]), np.ones((1, 2, 2)))
    1.0
    """
    forms = np.einsum("bi,bij,bj->b", residuals, grams, residuals)
    return float(forms.mean() / residuals.shape[1] ** 2)
