"""How a search for theta ended."""

from dataclasses import dataclass
from typing import final

__all__ = ["Convergence"]


@final
@dataclass(frozen=True, slots=True)
class Convergence:
    """How the search for the minimum ended.

    Parameters
    ----------
    converged : bool
        Whether the last Gauss-Newton step, on the exact objective, is below a ten-thousandth of
        a standard error in every parameter that is not at a bound.
    message : str
        What the search says, and how many exact steps followed it.
    n_iterations : int
        Evaluations of the moment by the search, plus the Gauss-Newton steps after it.
    gradient_norm : float
        Euclidean norm of the gradient of the objective psi'W psi / n^2.
    step : float
        Largest Gauss-Newton step that is left, in standard errors.
    objective : float
        psi'W psi / n^2 at the estimate.

    Examples
    --------
    >>> Convergence(True, "closed form", 1, 0.0, 0.0, 0.1).converged
    True
    """

    converged: bool
    message: str
    n_iterations: int
    gradient_norm: float
    step: float
    objective: float
