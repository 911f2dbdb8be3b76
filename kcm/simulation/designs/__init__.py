"""Data-generating processes by name: documented, with their truth, fitted as is usual.

Those of the paper have theta given; all others estimate it. `names()` lists them, `load(name)`
returns one, and ``design.settings`` shows what may be varied.
"""

from types import MappingProxyType

from kcm._options import did_you_mean, listed
from kcm.exceptions import OptionError
from kcm.simulation.designs.base import Design
from kcm.simulation.designs.errors import ERRORS
from kcm.simulation.designs.instrumental import INSTRUMENTAL
from kcm.simulation.designs.limited import LIMITED
from kcm.simulation.designs.published import PUBLISHED
from kcm.simulation.designs.regression import REGRESSION

__all__ = ["ERRORS", "Design", "load", "names"]

_ALL: MappingProxyType[str, Design] = MappingProxyType(
    {design.name: design for design in (*PUBLISHED, *REGRESSION, *LIMITED, *INSTRUMENTAL)}
)


def names() -> tuple[str, ...]:
    """Names that `load` knows.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> "reg-hom" in names() and "logit" in names()
    True
    """
    return tuple(_ALL)


def load(name: str) -> Design:
    """Return a design by its name.

    Parameters
    ----------
    name : str
        One of `names()`.

    Returns
    -------
    Design

    Raises
    ------
    OptionError
        When there is no such design.

    Examples
    --------
    >>> load("reg-hom").null_is_true(delta=0.01)
    False
    """
    if name not in _ALL:
        raise OptionError(
            f"`design`: there is no design {name!r}{did_you_mean(str(name), _ALL)} "
            f"The designs are {listed(_ALL)}."
        )
    return _ALL[name]
