"""Finished cells of a study as Parquet files, with a manifest of what they belong to."""

import hashlib
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
from kcm.simulation.describing import library_digest
from kcm.simulation.tables import CellTables

__all__ = ["Store", "open_store"]

FORMAT = 2
_MARK = b"kcm"
MANIFEST = "manifest.json"
_PACKAGES = ("kernel-conditional-moment", "jax", "numpy", "scipy", "statsmodels")


@final
@dataclass(frozen=True, slots=True)
class Store:
    """A folder with the tables of finished cells.

    Files appear complete or not at all: each is written under another name and then renamed.

    Each tells in its metadata which study, cell and table it is, how many rows it has, and a
    digest of them.

    Parameters
    ----------
    folder : Path
    study : str
        A digest of what the study is.
    """

    folder: Path
    study: str

    def has(self, cell: int) -> bool:
        """Tell whether a cell is finished."""
        return all(path.is_file() for path in self._paths(cell))

    def read(self, cell: int) -> CellTables:
        """Return the tables of a finished cell.

        Raises
        ------
        DataError
            When a file cannot be read, or is not what was written for this cell.
        """
        names, paths = CellTables._fields, self._paths(cell)
        return CellTables(*(self._table(cell, *pair) for pair in zip(names, paths, strict=True)))

    def _table(self, cell: int, name: str, path: Path) -> pd.DataFrame:
        try:
            table, mark = _from_parquet(path)
            expected = self._mark(cell, name, table)
        # what pyarrow raises on a damaged file has no common base
        except Exception as error:
            raise _unusable(path, cell, f"cannot be read ({error})") from error
        for key, value in expected.items():
            if mark.get(key) != value:
                raise _unusable(path, cell, _MISFITS[key])
        return table

    def write(self, cell: int, tables: CellTables) -> None:
        """Write the tables of a cell.

        Raises
        ------
        DataError
            When they cannot be written, for example because the disk is full.
        """
        parts = zip(CellTables._fields, self._paths(cell), tables, strict=True)
        # the table that tells that a cell is there comes last
        for name, path, table in reversed(list(parts)):
            mark = self._mark(cell, name, table)
            _write_whole(path, lambda part, t=table, m=mark: _to_parquet(t, part, m))

    def _mark(self, cell: int, name: str, table: pd.DataFrame) -> dict[str, Any]:
        place = {"study": self.study, "cell": cell, "table": name}
        return {**place, "rows": len(table), "sha256": _digest(table)}

    def _paths(self, cell: int) -> list[Path]:
        return [self.folder / f"cell-{cell:05d}-{name}.parquet" for name in CellTables._fields]


_MISFITS = {
    "study": "belongs to another study",
    "cell": "belongs to another cell",
    "table": "is another table of the cell",
    "rows": "has lost rows or gained some",
    "sha256": "does not hold what was written",
}


def _unusable(path: Path, cell: int, told: str) -> DataError:
    return DataError(
        f"`store`: a table of cell {cell} ({path.name} in {path.parent}) {told}; remove the files "
        "of that cell, and it is computed again."
    )


def _digest(table: pd.DataFrame) -> str:
    """Return a digest of names, types and entries, the same whatever wrote the file."""
    found = hashlib.sha256()
    for name in table.columns:
        values = table[name].to_numpy()
        is_text = values.dtype.kind not in "iufb"
        entries = json.dumps(values.tolist()).encode() if is_text else values.tobytes()
        kind = "text" if is_text else values.dtype.str
        found.update(f"{name} {kind} {len(entries)};".encode() + entries)
    return found.hexdigest()


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
    own = {
        "format": FORMAT,
        "versions": _versions(),
        "sources of kcm": library_digest(),
        **contents,
    }
    study = hashlib.sha256(json.dumps(own).encode()).hexdigest()
    manifest = path / MANIFEST
    if manifest.is_file():
        _check_same(_read_manifest(manifest), json.loads(json.dumps(own)), path)
        return Store(path, study)
    _make_folder(path)
    text = json.dumps(own, indent=2) + "\n"
    _write_whole(manifest, lambda part: part.write_text(text, encoding="utf-8"))
    return Store(path, study)


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


def _to_parquet(table: pd.DataFrame, path: Path, mark: Mapping[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = pa.Table.from_pandas(table, preserve_index=False)
    own = {**(whole.schema.metadata or {}), _MARK: json.dumps(mark).encode()}
    pq.write_table(whole.replace_schema_metadata(own), path)


def _from_parquet(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pyarrow.parquet as pq

    whole = pq.read_table(path)
    mark = json.loads((whole.schema.metadata or {}).get(_MARK, b"{}"))
    return whole.to_pandas(), mark


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
