"""Several kernels on the same points, each evaluated only where no other gives it."""

from collections.abc import Sequence
from typing import NamedTuple, final

import equinox as eqx
from jaxtyping import Array, Float

from kcm.gram.blocks import gram_block
from kcm.kernels import Kernel

__all__ = ["Family", "family_of"]


class Step(NamedTuple):
    """How one kernel is found: as a power of the values of an evaluated one."""

    base: int
    exponent: int


@final
class Family(eqx.Module):
    """Kernels of which some are whole powers of others.

    Parameters
    ----------
    evaluated : tuple of Kernel
        Resolved kernels that are evaluated.
    steps : tuple of Step
        For each kernel of the family, in the order they were given.

    Examples
    --------
    >>> from kcm.kernels import Gaussian
    >>> family_of([Gaussian(0.5), Gaussian(1.0)]).steps
    (Step(base=0, exponent=4), Step(base=0, exponent=1))
    """

    evaluated: tuple[Kernel, ...]
    steps: tuple[Step, ...] = eqx.field(static=True)

    def blocks(
        self, x: Float[Array, "r d"], y: Float[Array, "s d"], same: bool
    ) -> list[Float[Array, "r s"]]:
        """Return one tile for each kernel."""
        values = [gram_block(kernel, x, y, same) for kernel in self.evaluated]
        return [values[step.base] ** step.exponent for step in self.steps]


def family_of(kernels: Sequence[Kernel]) -> Family:
    """Find which of some resolved kernels are whole powers of others."""
    evaluated: list[Kernel] = []
    steps: dict[int, Step] = {}
    for place in _widest_first(kernels):
        steps[place] = _step(kernels[place], evaluated)
        if steps[place].base == len(evaluated):
            evaluated.append(kernels[place])
    return Family(tuple(evaluated), tuple(steps[place] for place in range(len(kernels))))


def _widest_first(kernels: Sequence[Kernel]) -> list[int]:
    """Order kernels so that a power comes after its base."""

    def n_bases(place: int) -> int:
        exponents = [kernels[place].power_of(other) for other in kernels]
        return sum(exponent is not None and exponent > 1 for exponent in exponents)

    return sorted(range(len(kernels)), key=n_bases)


def _step(kernel: Kernel, evaluated: list[Kernel]) -> Step:
    for base, other in enumerate(evaluated):
        exponent = kernel.power_of(other)
        if exponent is not None:
            return Step(base, exponent)
    return Step(len(evaluated), 1)
