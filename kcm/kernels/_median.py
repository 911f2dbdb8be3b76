"""The distances of all pairs of points, by blocks of rows: their median and their mean."""

from collections.abc import Iterator

import numpy as np
import scipy
from jaxtyping import Float

__all__ = ["mean_positive_distance", "median_distance"]

# Names of the distances of SciPy.
EUCLIDEAN, CITY_BLOCK = "euclidean", "cityblock"

# Rows of a block, whose distances to all points are held.
BLOCK = 128
# So many points tell where the median lies, within three standard errors of a quantile of theirs.
N_TRIED = 1_024
WITHIN = 0.05


def median_distance(points: Float[np.ndarray, "n d"], metric: str = EUCLIDEAN) -> float:
    """Return the median of the distances of all pairs i < j, Euclidean or city-block.

    Distances below those near the median are counted, those near it kept: a tenth of them.
    """
    n = len(points)
    if n <= N_TRIED:
        return float(np.median(scipy.spatial.distance.pdist(points, metric), overwrite_input=True))
    n_pairs = n * (n - 1) // 2
    ranks = np.array([(n_pairs - 1) // 2, n_pairs // 2])
    n_below, near = _near(points, metric, *_bracket(points, metric))
    if not n_below <= ranks[0] <= ranks[1] < n_below + len(near):
        # the points tried were not like the others
        n_below, near = 0, scipy.spatial.distance.pdist(points, metric)
    return float(np.mean(np.partition(near, ranks - n_below)[ranks - n_below]))


def mean_positive_distance(points: Float[np.ndarray, "n d"], metric: str = EUCLIDEAN) -> float:
    """Return the mean of the distances that are not zero, Euclidean or city-block."""
    sums = [(block.sum(), np.count_nonzero(block)) for block in _blocks(points, metric)]
    total, count = np.sum(sums, axis=0)
    return float(total / count)


def _bracket(points: Float[np.ndarray, "n d"], metric: str) -> tuple[float, float]:
    """Return two distances between which the median is expected."""
    chosen = points[np.linspace(0, len(points) - 1, N_TRIED).astype(int)]
    distances = scipy.spatial.distance.pdist(chosen, metric)
    low, high = np.quantile(distances, [0.5 - WITHIN, 0.5 + WITHIN], overwrite_input=True)
    return float(low), float(high)


def _near(
    points: Float[np.ndarray, "n d"], metric: str, low: float, high: float
) -> tuple[int, Float[np.ndarray, " k"]]:
    """Return the number of distances below `low`, and those from there to `high`."""
    n_below, near = 0, []
    for block in _blocks(points, metric):
        n_below += int(np.count_nonzero(block < low))
        near.append(block[(block >= low) & (block <= high)])
    return n_below, np.concatenate(near)


def _blocks(points: Float[np.ndarray, "n d"], metric: str) -> Iterator[Float[np.ndarray, " k"]]:
    """Yield the distances of pairs i < j, those of the rows of a block at a time."""
    for start in range(0, len(points), BLOCK):
        rows = points[start : start + BLOCK]
        yield scipy.spatial.distance.pdist(rows, metric)
        yield scipy.spatial.distance.cdist(rows, points[start + BLOCK :], metric).ravel()
