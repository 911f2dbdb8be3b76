"""What is known of the eigenvalues of a quadratic form."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from kcm._records import fix_arrays

__all__ = ["Spectrum"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """What is known of the eigenvalues of B_0, the form without its diagonal.

    Attributes
    ----------
    leading : ndarray of shape (k,)
        Leading eigenvalues.
    errors : ndarray of shape (k,)
        How far each can be off.
    squares, cubes : float
        tr B_0^2 and tr B_0^3, with those of the leading eigenvalues.
    cubes_error : float
        Standard error of `cubes`.
    fourths_rest : float
        Bound on the sum of the fourth powers of the other eigenvalues.
    largest_rest : float
        Bound on their absolute value.
    """

    leading: Float[np.ndarray, " k"]
    errors: Float[np.ndarray, " k"]
    squares: float
    cubes: float
    cubes_error: float
    fourths_rest: float
    largest_rest: float

    def __post_init__(self) -> None:
        fix_arrays(self)
