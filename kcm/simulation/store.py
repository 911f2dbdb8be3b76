"""Finished cells of a study as Parquet files, with a manifest of what they belong to."""

import importlib.metadata
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd

from kcm._optional import optional_module
from kcm.exceptions import DataError, OptionError
from kcm.simulation.tables import CellTables

__all__ = ["Store", "open_store"]

FORMAT = 1
MANIFEST = "manifest.json"
_PACKAGES = ("kernel-conditional-moment", "jax", "numpy", "scipy", "statsmodels")


@final
@dataclass(frozen=True, slots=True)
class Store:
    """A folder with the tables of finished cells.

    Files appear complete or not at all: each is written under another name and then renamed.

    Parameters
    ----------
    folder : Path
    """

    folder: Path

    def has(self, cell: int) -> bool:
        """Tell whether a cell is finished."""
        return all(path.is_file() for path in self._paths(cell))

    def read(self, cell: int) -> CellTables:
        """Return the tables of a finished cell.

        Raises
        ------
        DataError
            When a file cannot be read.
        """
        try:
            return CellTables(*(pd.read_parquet(path) for path in self._paths(cell)))
        except (OSError, ValueError) as error:
            raise DataError(
                f"`store`: a table of cell {cell} in {self.folder} cannot be read ({error}); "
                "remove the files of that cell, and it is computed again."
            ) from error

    def write(self, cell: int, tables: CellTables) -> None:
        """Write the tables of a cell.

        Raises
        ------
        DataError
            When they cannot be written, for example because the disk is full.
        """
        # the table that tells that a cell is there comes last
        for path, table in reversed(list(zip(self._paths(cell), tables, strict=True))):
            _write_whole(path, lambda part, table=table: _to_parquet(table, part))

    def _paths(self, cell: int) -> list[Path]:
        return [self.folder / f"cell-{cell:05d}-{name}.parquet" for name in CellTables._fields]


def open_store(folder: Any, contents: Mapping[str, Any]) -> Store:
    """Open a folder for a study, or make one.

    Parameters
    ----------
    folder : str or Path
    contents : mapping
        What the study is, of words and numbers; the same in every run that may add to the folder.

    Raises
    ------
    OptionError
        When the folder belongs to another study, or to other versions of the packages; when
        pyarrow is not installed.
    DataError
        When the folder cannot be made or read.
    """
    optional_module("pyarrow", "parquet", "`store`")
    path = Path(folder)
    own = {"format": FORMAT, "versions": _versions(), **contents}
    manifest = path / MANIFEST
    if manifest.is_file():
        _check_same(_read_manifest(manifest), json.loads(json.dumps(own)), path)
        return Store(path)
    _make_folder(path)
    text = json.dumps(own, indent=2) + "\n"
    _write_whole(manifest, lambda part: part.write_text(text, encoding="utf-8"))
    return Store(path)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        held = next(path.iterdir(), None)
    except OSError as error:
        raise DataError(f"`store`: the folder {path} cannot be made: {error}") from error
    if held is not None:
        raise OptionError(
            f"`store`: the folder {path} holds files and no {MANIFEST}, so it is not the store of "
            "a study; name a new folder."
        )


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"`store`: {path} cannot be read: {error}") from error
    return found if isinstance(found, dict) else {}


def _check_same(found: Mapping[str, Any], own: Mapping[str, Any], path: Path) -> None:
    for name in (*own, *found):
        if found.get(name) == own.get(name):
            continue
        raise OptionError(
            f"`store`: the folder {path} was made with another `{name}`: "
            f"{json.dumps(found.get(name))}, now {json.dumps(own.get(name))}. Results of the two "
            "are not mixed; go back to what it was made with, or name a new folder."
        )


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def _to_parquet(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path, engine="pyarrow", index=False)


def _write_whole(path: Path, write: Any) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        write(part)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(
            f"`store`: {path} could not be written ({error}). Finished cells are kept: make room "
            "and run the study again with the same folder."
        ) from error
