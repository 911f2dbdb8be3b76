"""The kernel between a sample and other points, in blocks of rows of the sample."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from kcm._progress import progress_bar
from kcm.exceptions import OptionError
from kcm.gram.execution import Execution
from kcm.gram.matrices import cross_block
from kcm.gram.passes import KERNEL_COST
from kcm.kernels import Kernel

__all__ = ["cross_product", "row_blocks"]

# Arrays of the size of a block that are held at once, and the most rows of a block.
COPIES = 6
MOST_ROWS = 8_192


def row_blocks(n: int, m: int, execution: Execution) -> Iterator[slice]:
    """Yield the rows of blocks of kernel values between n points and m others.

    Parameters
    ----------
    n, m : int
    execution : Execution
        Six blocks of doubles fit its memory limit.

    Raises
    ------
    OptionError
        When not even one row fits.

    Examples
    --------
    >>> list(row_blocks(10_000, 100, Execution()))
    [slice(0, 8192, None), slice(8192, 10000, None)]
    """
    rows = min(MOST_ROWS, execution.memory // (8 * COPIES * max(m, 1)))
    if rows < 1:
        raise OptionError(
            f"`memory_limit` is {execution.memory:,} bytes, too small for kernel values at {m:,} "
            f"points; the smallest that works is {8 * COPIES * m:,} bytes. Or ask for fewer points."
        )
    for first in range(0, n, rows):
        yield slice(first, min(first + rows, n))


def cross_product(
    kernel: Kernel,
    x: Float[np.ndarray, "n d"],
    v: Float[np.ndarray, "n k"],
    at: Float[np.ndarray, "m d"],
    execution: Execution,
) -> Float[np.ndarray, "m k"]:
    """Return sum_i k(x_i, at_j) v_i in double precision, without holding n m kernel values.

    Parameters
    ----------
    kernel : Kernel
        Resolved.
    x : ndarray of shape (n, d)
        Points of the sample.
    v : ndarray of shape (n, k)
        Coefficients.
    at : ndarray of shape (m, d)
        Other points.
    execution : Execution

    Returns
    -------
    ndarray of shape (m, k)

    Examples
    --------
    >>> from kcm.kernels import Gaussian
    >>> x, one = np.array([[0.0], [1.0]]), np.ones((2, 1))
    >>> cross_product(Gaussian(1.0), x, one, np.array([[1.0]]), Execution()).round(4)
    array([[1.6065]])
    """
    total, per_row = np.zeros((len(at), v.shape[1])), len(at) * (KERNEL_COST + v.shape[1])
    with progress_bar(float(len(x) * per_row), "Witness", execution.progress) as done:
        for rows in row_blocks(len(x), len(at), execution):
            total += cross_block(kernel, x[rows], at).T @ v[rows]
            done(float(rows.stop - rows.start) * per_row)
    return total
