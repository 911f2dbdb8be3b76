"""How strongly the conditioning variables identify the parameters: the effective F statistic."""

import warnings
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from kcm._options import listed
from kcm.exceptions import WeakInstrumentsWarning

__all__ = [
    "WEAK_FOR_KERNELS",
    "FirstStageStrength",
    "smallest_ratio",
    "warn_of_weak_instruments",
]

# Below it the specification test rejects a right model too often: docs/size.md, "Weak instruments".
WEAK = 10.0
# The same for the F of a kernel, which spreads its weight over more directions.
WEAK_FOR_KERNELS = 15.0
# Stands for infinity where the noise is zero up to rounding.
LARGEST = 1e12


@final
@dataclass(frozen=True, slots=True)
class FirstStageStrength:
    """How strongly the conditioning variables identify the endogenous parameters.

    Attributes
    ----------
    value : float
        The effective F: what is seen of the first stage in units of what noise alone would show,
        in the weakest direction. About 1 without identification; infinite where no regressor is
        endogenous.
    names : tuple of str
        The parameters that it is about, or the endogenous regressors.
    threshold : float
        Below it the instruments count as weak: 10 for two-stage least squares and its kin, 15 for
        `MMR` and `VMM`.

    Examples
    --------
    >>> FirstStageStrength(4.2, ("price",)).is_weak
    True
    """

    value: float
    names: tuple[str, ...]
    threshold: float = WEAK

    @property
    def is_weak(self) -> bool:
        """Whether instruments this weak let the specification test reject too often."""
        return self.value < self.threshold

    def describe(self) -> str:
        """Return the strength in words."""
        if not self.names:
            return "no endogenous regressor"
        word = f"weak: below {self.threshold:g}" if self.is_weak else "not weak"
        told = f"{self.value:.1f}" if self.value < LARGEST else "no noise"
        return f"{told} for {listed(self.names)} ({word})"


def smallest_ratio(inverse: Float[np.ndarray, "m m"], noise: Float[np.ndarray, "m m"]) -> float:
    """Return the smallest c'Ac / c'Nc over c, from the inverse of A.

    Parameters
    ----------
    inverse : ndarray of shape (m, m)
        A^-1, symmetric.
    noise : ndarray of shape (m, m)
        N, positive semi-definite; it may be singular.

    Returns
    -------
    float
        1e12 where N is zero up to rounding.

    Examples
    --------
    >>> smallest_ratio(np.diag([0.5, 0.25]), np.diag([1.0, 1.0]))
    2.0
    """
    values, vectors = np.linalg.eigh((noise + noise.T) / 2)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    largest = float(np.linalg.eigvalsh(root.T @ inverse @ root)[-1])
    return 1 / max(largest, 1 / LARGEST)


def warn_of_weak_instruments(
    strength: FirstStageStrength, advice: str, stacklevel: int = 3
) -> None:
    """Warn where instruments are weak.

    Parameters
    ----------
    strength : FirstStageStrength
    advice : str
        What follows from it and what to do, as the end of a sentence.
    stacklevel : int
        As in `warnings.warn`. Default 3, the caller's caller.

    Warns
    -----
    WeakInstrumentsWarning
    """
    if strength.is_weak:
        warnings.warn(
            f"the instruments may be weak: the effective F is {strength.value:.1f} for "
            f"{listed(strength.names)}, below {strength.threshold:g}; {advice}.",
            WeakInstrumentsWarning,
            stacklevel=stacklevel,
        )
