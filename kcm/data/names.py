"""Names of columns: read and looked up."""

from collections.abc import Iterable, Sequence

from kcm._options import did_you_mean, listed
from kcm.exceptions import DataError

__all__ = ["as_names", "check_names"]


def as_names(names: str | Iterable[object]) -> tuple[str, ...]:
    """Read one name or several into a tuple of strings.

    Parameters
    ----------
    names : str or iterable of str
        The names.

    Returns
    -------
    tuple of str
        The names.

    Examples
    --------
    >>> as_names("age"), as_names(["age", 0])
    (('age',), ('age', '0'))
    """
    return (names,) if isinstance(names, str) else tuple(str(name) for name in names)


def check_names(names: Iterable[str], known: Sequence[str], owner: str) -> None:
    """Check that columns asked for by name exist.

    Parameters
    ----------
    names : iterable of str
        The columns asked for.
    known : sequence of str
        The columns that exist.
    owner : str
        How messages name what holds the columns, for example "`data`".

    Raises
    ------
    DataError
        If one does not exist; the message suggests close matches and lists the columns.

    Examples
    --------
    >>> check_names(["age"], ["age", "logwage"], "`data`")
    """
    for name in names:
        if name not in known:
            raise DataError(
                f"{owner} has no column {name!r}{did_you_mean(name, known)} The columns are: "
                f"{listed(known)}."
            )
