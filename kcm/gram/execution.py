"""Where and how contractions are computed: precision, memory, device, mesh, progress."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, final

import jax
import numpy as np

from kcm._options import check_option
from kcm.exceptions import OptionError
from kcm.gram import tiles as _tiles
from kcm.gram.programs import check_process, forget_programs
from kcm.gram.tiles import Layout, layout_of

__all__ = ["Execution", "Precision", "double_arithmetic"]

Precision = Literal["double", "single"]

# The default memory limit is this share of the machine's memory, and at most so many bytes.
MEMORY_SHARE = 4
MOST_MEMORY = 4 * 2**30
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
# Arrays of a tile's size that one visit holds, and copies of the columns that one pass holds.
TILE_COPIES = 4
COLUMN_COPIES = 4
SMALLEST_TILE = 64
# Rows of a tile on an accelerator, which needs larger pieces of work.
ACCELERATOR_TILE = 4_096


@final
@dataclass(frozen=True, slots=True)
class Execution:
    """How contractions are computed; it changes their speed and rounding, not their meaning.

    Parameters
    ----------
    memory_limit : int or str, optional
        Bytes that a contraction may use beyond its inputs and results, or text such as "256 MB"
        or "1.5 GiB". Default: a quarter of the machine's memory, at most 4 GiB (4 GiB where the
        machine does not tell).
    device : jax.Device or str, optional
        "cpu", "gpu", "gpu:1" or a device of `jax.devices()`. Default: JAX's default device.
    mesh : jax.sharding.Mesh, optional
        Devices that share the rows.
    progress : bool
        Show a bar when a pass is predicted to take more than about five seconds. Default True.
    precision : {"double", "mixed", "single"}
        Of the tiles in a test: "mixed", the default, takes double for the statistic and its
        cumulants and single for bootstrap draws; a draw that comes close to the statistic is
        computed again in double. Sums across tiles are always in double precision.

    Raises
    ------
    OptionError
        When an option is not of its kind, or both `device` and `mesh` are given.

    Examples
    --------
    >>> Execution(memory_limit="256 MB").memory
    256000000
    """

    memory_limit: Any = None
    device: Any = None
    mesh: Any = None
    progress: bool = True
    precision: Literal["double", "mixed", "single"] = "mixed"

    def __post_init__(self) -> None:
        check_option(self.precision, ("double", "mixed", "single"), "precision")
        _check_devices(self.device, self.mesh)
        if not isinstance(self.progress, bool | np.bool_):
            raise OptionError(f"`progress` must be True or False; got {self.progress!r}.")
        if self.memory_limit is not None and self.memory < 1:
            raise OptionError(f"`memory_limit` must be positive; got {self.memory_limit!r}.")

    @property
    def memory(self) -> int:
        """Memory limit in bytes."""
        if self.memory_limit is not None:
            return _bytes(self.memory_limit)
        return min(_machine_memory() // MEMORY_SHARE, MOST_MEMORY)

    @property
    def of_statistic(self) -> Precision:
        """Precision of the statistic and of its cumulants."""
        return "single" if self.precision == "single" else "double"

    @property
    def of_draws(self) -> Precision:
        """Precision of bootstrap draws."""
        return "double" if self.precision == "double" else "single"

    @property
    def n_devices(self) -> int:
        """Number of devices that share the rows."""
        return 1 if self.mesh is None else int(self.mesh.devices.size)

    def on_device(self) -> AbstractContextManager[Any]:
        """Make what has no place of its own be computed on the device, until the end of a block."""
        device = as_device(self.device)
        return contextlib.nullcontext() if device is None else jax.default_device(device)

    def layout(self, n: int, itemsize: int = 8, most_rows: int = sys.maxsize) -> Layout:
        """Return how n rows are cut into tiles that fit the memory limit, of at most so many rows.

        Raises
        ------
        OptionError
            When not even the smallest tile or one column fits.
        """
        self._check_memory(n, itemsize)
        fitting = _rows_that_fit(self.memory // 2, itemsize)
        return layout_of(n, min(fitting, most_rows, self._most_rows()), self.n_devices)

    def columns(self, n: int, itemsize: int = 8) -> int:
        """Return how many columns of n numbers one pass may hold.

        Raises
        ------
        OptionError
            When not even the smallest tile and one column fit.
        """
        self._check_memory(n, itemsize)
        return int(self.memory // 2 // (COLUMN_COPIES * itemsize * n))

    def least_memory(self, n: int, itemsize: int = 8) -> int:
        """Return the bytes that the smallest tile and one column of n numbers need."""
        return 2 * itemsize * max(TILE_COPIES * SMALLEST_TILE**2, COLUMN_COPIES * n)

    def _check_memory(self, n: int, itemsize: int) -> None:
        smallest = self.least_memory(n, itemsize)
        if self.memory < smallest:
            raise OptionError(
                f"`memory_limit` is {self.memory:,} bytes, too small for one tile and one column "
                f"of {n:,} rows; the smallest that works is {smallest:,} bytes."
            )

    def _most_rows(self) -> int:
        return _tiles.TILE if platform(self) == "cpu" else ACCELERATOR_TILE


def platform(execution: Execution) -> str:
    """Return the kind of the devices: "cpu", "gpu", ..."""
    if execution.mesh is not None:
        return str(execution.mesh.devices.flat[0].platform)
    device = as_device(execution.device)
    return jax.default_backend() if device is None else str(device.platform)


def as_device(device: Any) -> jax.Device | None:
    """Return the device that a name such as "gpu:1" means."""
    if device is None or isinstance(device, jax.Device):
        return device
    match = re.fullmatch(r"([a-z]+)(?::(\d+))?", str(device))
    try:
        if match is None:
            raise ValueError(device)  # noqa: TRY301, the same answer as to a device that is not there
        return jax.local_devices(backend=match[1])[int(match[2] or 0)]
    except (RuntimeError, ValueError, IndexError) as error:
        known = sorted({f"{d.platform}:{d.id}" for d in jax.local_devices()} | {"cpu:0"})
        raise OptionError(
            f"`device` {device!r} is not there; choose one of those that JAX sees: "
            f"{', '.join(known)}."
        ) from error


@contextlib.contextmanager
def double_arithmetic() -> Iterator[None]:
    """Let JAX compute in double precision, and in full single precision where asked for single.

    The ambient settings come back on leaving. Without the second, a GPU may multiply in TF32.
    It is the door that all computation goes through.
    """
    check_process()
    forget_programs()
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


def _check_devices(device: Any, mesh: Any) -> None:
    if device is not None and mesh is not None:
        raise OptionError("pass `device` or `mesh`, not both.")
    if device is not None and not isinstance(device, str | jax.Device):
        raise OptionError(
            f'`device` must be a name such as "cpu" or "gpu:1" or a jax.Device; got {device!r}.'
        )
    as_device(device)
    if mesh is not None and not isinstance(mesh, jax.sharding.Mesh):
        raise OptionError(f"`mesh` must be a jax.sharding.Mesh; got {type(mesh).__name__}.")


def _bytes(limit: Any) -> int:
    if isinstance(limit, int | np.integer) and not isinstance(limit, bool):
        return min(int(limit), sys.maxsize)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]?I?B?)\s*", str(limit).upper())
    if not isinstance(limit, str) or match is None or match[2] not in UNITS:
        raise OptionError(
            f'`memory_limit` must be bytes (an int) or text such as "256 MB"; got {limit!r}.'
        )
    return int(min(Decimal(match[1]) * UNITS[match[2]], Decimal(sys.maxsize)))


def _machine_memory() -> int:
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names:
        return MEMORY_SHARE * MOST_MEMORY
    return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _rows_that_fit(memory: int, itemsize: int) -> int:
    """Return the largest power of two of rows of which a square tile fits."""
    rows = int((memory / (TILE_COPIES * itemsize)) ** 0.5)
    return 1 << (rows.bit_length() - 1) if rows else 0
