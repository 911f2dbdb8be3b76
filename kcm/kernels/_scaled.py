"""What kernels with a bandwidth share."""

import abc
import dataclasses

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from kcm._typing import Columns, Point, Value
from kcm.kernels._distances import half_squares, squared_distance
from kcm.kernels.bandwidth import (
    Bandwidth,
    MedianHeuristic,
    as_bandwidth,
    check_bandwidth,
    numbers,
    resolve_bandwidth,
)
from kcm.kernels.base import Kernel

__all__ = ["BandwidthKernel", "DistanceKernel"]


class BandwidthKernel(Kernel):
    """A kernel with one length, or one per column, or a rule that finds them."""

    bandwidth: Bandwidth = eqx.field(converter=as_bandwidth, default_factory=MedianHeuristic)

    def __check_init__(self) -> None:
        check_bandwidth(self.bandwidth)

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        resolved: Kernel = dataclasses.replace(self, bandwidth=resolve_bandwidth(self.bandwidth, x))
        return resolved


class DistanceKernel(BandwidthKernel):
    """A smooth function of the scaled squared distance, whose whole matrix has a faster form."""

    def __call__(self, x: Point, y: Point) -> Value:
        return self.of_half_squares(-squared_distance(x, y, numbers(self.bandwidth)) / 2)

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        return self.of_half_squares(half_squares(x, y, numbers(self.bandwidth)))

    @abc.abstractmethod
    def of_half_squares(self, half_squares: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the kernel where minus half of the squared distance has these values."""
