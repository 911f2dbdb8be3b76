"""What kernels with a bandwidth share."""

import abc
import copy
import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from kcm._typing import Columns, Point, Value
from kcm.kernels._distances import half_squares, reach, squared_distance
from kcm.kernels._parameters import Numbers
from kcm.kernels._words import kernel_name, lengths_text, listed_columns
from kcm.kernels.bandwidth import (
    Bandwidth,
    BandwidthRule,
    MedianHeuristic,
    as_bandwidth,
    check_bandwidth,
    numbers,
    resolve_bandwidth,
)
from kcm.kernels.base import Kernel

__all__ = [
    "BandwidthKernel",
    "DistanceKernel",
    "MatrixDistances",
    "everywhere_by_differences",
    "measures_distances",
    "with_lengths",
]

# Distances, in bandwidths, up to which a product of matrices gives their squares to some 1e-11.
FARTHEST = 2.0**8.5
Distances = TypeVar("Distances", bound="MatrixDistances")
Lengthy = TypeVar("Lengthy", bound="BandwidthKernel")


class MatrixDistances(Kernel):
    """A kernel whose distances come from a product of matrices, or one by one where that is coarse.

    `resolve` looks at the points: how they are found is part of the compiled program.
    """

    _by_differences: bool = eqx.field(static=True, init=False, repr=False, default=False)

    def _with_digits(
        self: Distances,
        resolved: Distances,
        x: Float[np.ndarray, "n d"],
        bandwidth: Numbers,
        farthest: float = FARTHEST,
    ) -> Distances:
        """Return the resolved kernel, by differences where the points reach far."""
        far = self._by_differences or reach(x, bandwidth) > farthest
        return _by_differences(resolved) if far else resolved


def _by_differences(kernel: Distances) -> Distances:
    changed = copy.copy(kernel)
    object.__setattr__(changed, "_by_differences", True)
    return changed


def everywhere_by_differences(kernel: Kernel) -> Kernel:
    """Return a kernel all of whose distances are found one by one."""

    def has_distances(node: object) -> bool:
        return isinstance(node, MatrixDistances)

    def changed(node: object) -> object:
        return _by_differences(node) if isinstance(node, MatrixDistances) else node

    result: Kernel = jax.tree.map(changed, kernel, is_leaf=has_distances)
    return result


def measures_distances(kernel: Kernel) -> bool:
    """Tell whether some part of a kernel compares points by lengths."""

    def has_lengths(node: object) -> bool:
        return isinstance(node, MatrixDistances | BandwidthKernel)

    return any(map(has_lengths, jax.tree.leaves(kernel, is_leaf=has_lengths)))


def with_lengths(kernel: Lengthy, bandwidth: Numbers) -> Lengthy:
    """Return a kernel with the numbers of its rule; one that has numbers stays as it is."""
    if not isinstance(kernel.bandwidth, BandwidthRule):
        return kernel
    return dataclasses.replace(kernel, bandwidth=bandwidth)


class BandwidthKernel(Kernel):
    """A kernel with one length, or one per column, or a rule that finds them."""

    bandwidth: Bandwidth = eqx.field(converter=as_bandwidth, default_factory=MedianHeuristic)

    def __check_init__(self) -> None:
        check_bandwidth(self.bandwidth)

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        return with_lengths(self, resolve_bandwidth(self.bandwidth, x))

    def describe(self, names: Sequence[str]) -> str:
        if isinstance(self.bandwidth, BandwidthRule):
            lengths = f"{listed_columns(names)} ({self.bandwidth!r})"
        else:
            lengths = lengths_text(numbers(self.bandwidth), names)
        return f"{kernel_name(self)} on {lengths}"


class DistanceKernel(MatrixDistances, BandwidthKernel):
    """A smooth function of the scaled squared distance, whose whole matrix has a faster form."""

    def __call__(self, x: Point, y: Point) -> Value:
        return self.of_half_squares(-squared_distance(x, y, numbers(self.bandwidth)) / 2)

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        bandwidth, how = numbers(self.bandwidth), self._by_differences
        return self.of_half_squares(half_squares(x, y, bandwidth, by_differences=how))

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        bandwidth = resolve_bandwidth(self.bandwidth, x)
        return self._with_digits(with_lengths(self, bandwidth), x, bandwidth)

    @abc.abstractmethod
    def of_half_squares(self, half_squares: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the kernel where minus half of the squared distance has these values."""
