"""Files that a command writes: tried before the work, written whole, and not lost."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kcm._optional import optional_module
from kcm.exceptions import DataError

__all__ = ["check_can_draw", "check_can_write", "write_file"]


def check_can_write(path: str | None, option: str) -> None:
    """Refuse a path that no file can be written to, before there is anything to lose.

    Parameters
    ----------
    path : str or None
        None where nothing is to be written.
    option : str
        Of the command line, for messages.

    Raises
    ------
    DataError

    Examples
    --------
    >>> check_can_write("rates.csv", "--csv")
    """
    if path is None:
        return
    file = Path(path)
    if file.is_dir():
        raise DataError(f"`{option}`: {path} is a folder; name a file in it.")
    if not file.absolute().parent.is_dir():
        raise DataError(f"`{option}`: there is no folder {str(file.parent)!r}; make it first.")
    try:
        _try(file)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"`{option}`: {path} cannot be written ({reason}); name another file."
        ) from error


def check_can_draw(path: str | None, option: str) -> None:
    """Refuse a path of no picture that can be written, before there is anything to lose.

    Parameters
    ----------
    path, option
        As for `check_can_write`.

    Raises
    ------
    DataError
    """
    check_can_write(path, option)
    if path is None:
        return
    backend = optional_module("matplotlib.backend_bases", "plots", "a plot")
    suffix = Path(path).suffix.removeprefix(".").lower()
    if suffix not in backend.FigureCanvasBase.filetypes:
        told = f"ends in .{suffix}" if suffix else "has no ending"
        raise DataError(
            f"`{option}`: {path} {told}, which says no kind of picture; name a file such as "
            f"{Path(path).stem}.png or {Path(path).stem}.pdf."
        )


def _try(file: Path) -> None:
    if file.exists() and not os.access(file, os.W_OK):
        raise PermissionError(13, "no permission")
    if not file.exists() or file.is_file():
        with tempfile.TemporaryFile(dir=file.absolute().parent) as trial:
            trial.write(b"kcm")


def write_file(path: str, option: str, write: Callable[[Path], Any]) -> None:
    """Write a file under another name and rename it; where that fails, keep it elsewhere.

    Parameters
    ----------
    path : str
    option : str
        Of the command line, for messages.
    write : callable
        Writes to the path that it is given, whose suffix is that of `path`.

    Raises
    ------
    DataError
        When the file could not be written; it says where the contents lie instead.

    Examples
    --------
    >>> write_file("note.txt", "--csv", lambda part: part.write_text("all"))
    >>> Path("note.txt").read_text()
    'all'
    """
    file = Path(path)
    part = file.with_name(f".{file.stem}.part{file.suffix}")
    try:
        if file.exists() and not file.is_file():  # a device or a pipe has no other name
            write(file)
            return
        write(part)
        os.replace(part, file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(
            f"`{option}`: {path} could not be written ({error.strerror or error}). "
            f"{_kept_elsewhere(file, write)}"
        ) from error


def _kept_elsewhere(file: Path, write: Callable[[Path], Any]) -> str:
    try:
        place = Path(tempfile.mkdtemp(prefix="kcm-")) / file.name
        write(place)
    except OSError:
        return "There is no room elsewhere either; make some and run the command again."
    return f"Its contents lie in {place} instead."
