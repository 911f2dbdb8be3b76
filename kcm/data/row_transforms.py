"""Which formulas call transforms that look at more than one row."""

import re

__all__ = ["learns_from_rows", "uses_neighbouring_rows"]

_LEARNING = re.compile(
    r"\b(center|scale|standardize|poly|bs|cr|cs|cc|te|hashed|basis_spline|cubic_spline"
    r"|natural_cubic_spline|cyclic_cubic_spline)\s*\("
)
_SHIFTS = re.compile(r"\b(lag|shift|diff)\s*\(")


def uses_neighbouring_rows(formula: str) -> bool:
    """Tell whether a formula calls ``lag``, ``shift`` or ``diff``.

    Parameters
    ----------
    formula : str
        The formula.

    Returns
    -------
    bool
        True if leaving out rows would change what the formula means.

    Examples
    --------
    >>> uses_neighbouring_rows("y ~ lag(x)"), uses_neighbouring_rows("y ~ lagged")
    (True, False)
    """
    return _SHIFTS.search(formula) is not None


def learns_from_rows(formula: str) -> bool:
    """Tell whether a formula calls a transform that computes something from all rows.

    Parameters
    ----------
    formula : str
        The formula, or a part of it.

    Returns
    -------
    bool
        True if other rows would change what the formula means.

    Examples
    --------
    >>> learns_from_rows("y ~ center(x)"), learns_from_rows("y ~ centered + np.log(x)")
    (True, False)
    """
    return _LEARNING.search(formula) is not None
