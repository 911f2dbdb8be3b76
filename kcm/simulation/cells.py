"""The grid of a study, and the seeds of its replications."""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from kcm._options import check_int
from kcm.exceptions import OptionError

__all__ = ["Cell", "Seeds", "as_cells", "entropy_of", "seeds_of"]

_RESERVED = ("n_obs", "null_true", "replication", "procedure", "pvalue", "statistic", "error")


@final
@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the grid.

    Parameters
    ----------
    n_obs : int
    settings : tuple of (str, value)
        Of the design; words, numbers and booleans.

    Examples
    --------
    >>> Cell(100, (("size", 0.5),)).describe()
    'n_obs=100, size=0.5'
    """

    n_obs: int
    settings: tuple[tuple[str, Any], ...]

    def describe(self) -> str:
        """Return the cell in words."""
        pairs = (("n_obs", self.n_obs), *self.settings)
        return ", ".join(f"{name}={value}" for name, value in pairs)

    def columns(self) -> dict[str, Any]:
        """Return what tells the cell from others, by name."""
        return {"n_obs": self.n_obs, **dict(self.settings)}

    def words(self) -> tuple[int, ...]:
        """Return numbers that are those of this cell in any study."""
        told = json.dumps([self.n_obs, sorted(self.settings)])
        digest = hashlib.sha256(told.encode()).digest()
        return tuple(int.from_bytes(digest[k : k + 4], "little") for k in range(0, 16, 4))


class Seeds(NamedTuple):
    """Of one replication: of its data, and of the draws of every procedure."""

    data: np.random.SeedSequence
    draws: np.random.SeedSequence


def seeds_of(entropy: int, cell: Cell, replication: int) -> Seeds:
    """Return seeds that depend on the study's seed, the cell and the replication alone."""
    own = np.random.SeedSequence(entropy, spawn_key=(*cell.words(), replication))
    return Seeds(*own.spawn(2))


def entropy_of(rng: Any) -> int:
    """Return the number that all seeds of a study start from."""
    from kcm._options import as_generator

    if isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0:
        return int(rng)
    return int(as_generator(rng).integers(2**63))


def as_cells(n_obs: Any, settings: Any) -> tuple[Cell, ...]:
    """Return the grid: every sample size with every combination of the settings.

    Parameters
    ----------
    n_obs : int or sequence of int
    settings : mapping or sequence of mappings or None
        A value or a list of values for each name, of which all combinations are taken; a sequence
        of mappings lists the combinations themselves.

    Raises
    ------
    OptionError
        When a size is not an int of at least 3, a value is neither a word, a number nor a boolean,
        or a cell occurs twice.
    """
    sizes = [int(n) if isinstance(n, np.integer) else n for n in _listed(n_obs)]
    for n in sizes:
        check_int(n, "n_obs", 3)
    cells = [Cell(n, combination) for n in sizes for combination in _combinations(settings)]
    if not cells or len(set(cells)) < len(cells):
        raise OptionError(
            "`n_obs` and `settings` must give at least one cell, and each of them once; got "
            f"n_obs={n_obs!r}, settings={settings!r}."
        )
    return tuple(cells)


def _listed(value: Any) -> list[Any]:
    several = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    return list(value) if several else [value]


def _combinations(settings: Any) -> list[tuple[tuple[str, Any], ...]]:
    if settings is None:
        return [()]
    if isinstance(settings, Mapping):
        return list(_products(settings))
    combinations = _listed(settings)
    if not combinations or not all(isinstance(one, Mapping) for one in combinations):
        raise OptionError(
            "`settings` must be a mapping from names to a value or a list of values, or a list of "
            f"such mappings; got {settings!r}."
        )
    return [pairs for one in combinations for pairs in _products(one)]


def _products(settings: Mapping[str, Any]) -> Iterator[tuple[tuple[str, Any], ...]]:
    choices = [
        [(_name(name), _plain(name, v)) for v in _listed(settings[name])] for name in settings
    ]
    return itertools.product(*choices)


def _name(name: Any) -> str:
    if not isinstance(name, str) or name in _RESERVED:
        raise OptionError(
            f"`settings`: {name!r} cannot be the name of a setting; the tables of a study have "
            f"columns {', '.join(_RESERVED)} of their own."
        )
    return name


def _plain(name: str, value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, str | bool | int | float):
        raise OptionError(
            f"`settings`: {name!r} must be words, numbers or booleans, which name a cell; got "
            f"{value!r}."
        )
    return plain
