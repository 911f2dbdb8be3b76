"""A simulation study: a grid of cells, replications, and procedures that see the same data."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from kcm._options import MOST_REPETITIONS, check_int
from kcm._progress import counting_bar
from kcm.exceptions import OptionError
from kcm.simulation.cells import Cell, as_cells, entropy_of
from kcm.simulation.describing import described
from kcm.simulation.designs.base import Design, as_design
from kcm.simulation.procedures import Procedure, as_procedures
from kcm.simulation.results import StudyResults, joined
from kcm.simulation.store import Store, open_store
from kcm.simulation.tables import CellTables, tables_of
from kcm.simulation.work import Piece, Work, run_by_workers

__all__ = ["SimulationStudy"]

# Replications that a worker takes at once.
BATCH = 32


@final
@dataclass(frozen=True, slots=True, init=False)
class SimulationStudy:
    """How often tests reject, and how good estimates are, on data whose law is known.

    Parameters
    ----------
    design : str, Design or callable
        A name of `kcm.simulation.designs.names()`, a `Design`, or a function of
        ``(rng, n_obs, **settings)`` that returns a fitted result, a `kcm.FittedMoment`, or a data
        frame with a formula (fitted by OLS; ``"y ~ x | z"`` conditions on z).
    procedures : mapping, or list of str
        By name: a `kcm.KCMTest`; `kcm.simulation.ThetaKnown` of one; the name of a row of
        `kcm.compare_tests`, such as "RESET"; or a function of ``(fit, rng)`` that returns a
        p-value, a result with a `pvalue`, or a fit with `params`, whose estimates are then
        compared with the truth of the design. A list names rows of the comparison.
    n_obs : int or list of int
        Sample sizes.
    settings : mapping or list of mappings, optional
        Values, or lists of values, for the settings of the design; all combinations are cells. A
        list of mappings lists combinations. Default: the design's own.
    n_replications : int
        Samples of each cell. Default 1,000, where the standard error of a rate of .05 is .007.

    Raises
    ------
    OptionError
        When one of these is none of what is listed.

    Notes
    -----
    The data of a replication, and the draws of the procedures on it, have seeds that depend on the
    seed of the study, the cell and the replication alone (`numpy.random.SeedSequence`). So results
    do not depend on the number of workers, the order, interruptions, or the other cells.

    Examples
    --------
    >>> import kcm
    >>> study = kcm.simulation.SimulationStudy(
    ...     "omitted-square", {"KCM": kcm.KCMTest()}, 60, {"size": [0.0, 0.8]}, 20
    ... )
    >>> results = study.run(rng=0, n_jobs=1)
    >>> results.rejection_rates()[["size", "procedure", "n", "rate"]]
       size procedure   n  rate
    0   0.0       KCM  20  0.10
    1   0.8       KCM  20  0.95
    """

    design: Design
    procedures: Mapping[str, Procedure]
    cells: tuple[Cell, ...]
    n_replications: int

    def __init__(
        self,
        design: Any,
        procedures: Any,
        n_obs: Any,
        settings: Any = None,
        n_replications: int = 1_000,
    ) -> None:
        check_int(n_replications, "n_replications", most=MOST_REPETITIONS)
        cells, own = as_cells(n_obs, settings), as_design(design)
        for cell in cells:
            own.check_settings([name for name, _ in cell.settings])
        object.__setattr__(self, "design", own)
        object.__setattr__(self, "procedures", as_procedures(procedures))
        object.__setattr__(self, "cells", cells)
        object.__setattr__(self, "n_replications", n_replications)

    def run(
        self,
        rng: Any = 0,
        n_jobs: int = -1,
        progress: bool = True,
        store: Any = None,
        batch_size: int = BATCH,
    ) -> StudyResults:
        """Run the study.

        Parameters
        ----------
        rng : None, int, numpy Generator or JAX key, optional
            Seed of the study. Default 0.
        n_jobs : int
            Workers; -1, the default, for as many as there are processors. They are joblib's: the
            backend may be changed by ``joblib.parallel_config``, to dask or ray for instance.
        progress : bool
            Show a bar when the study takes more than about five seconds. Default True.
        store : str or Path, optional
            Folder for the tables of finished cells, as Parquet files. Running again resumes.
        batch_size : int
            Replications that a worker takes at once. It changes the speed, not the results.

        Returns
        -------
        StudyResults

        Raises
        ------
        OptionError
            When an option is not valid, or the folder holds another study.
        DataError
            When the folder cannot be read or written.

        Notes
        -----
        A procedure that raises does not stop the study: the replication counts as a failure of
        that procedure, with the message. A sample that cannot be drawn is one of all procedures.
        Warnings are not shown.
        """
        check_int(batch_size, "batch_size")
        _check_jobs(n_jobs)
        entropy = entropy_of(rng)
        folder = None if store is None else open_store(store, self._contents(rng, entropy))
        tables = dict(self._finished(folder))
        open_cells = [k for k in range(len(self.cells)) if k not in tables]
        for k, found in self._computed(open_cells, entropy, n_jobs, progress, batch_size):
            if folder is not None:
                folder.write(k, found)
            tables[k] = found if folder is None else folder.read(k)
        ordered = [tables[k] for k in range(len(self.cells))]
        return joined(self.design, self.cells, list(self.procedures), ordered)

    def _finished(self, folder: Store | None) -> Iterator[tuple[int, CellTables]]:
        for k in range(len(self.cells)):
            if folder is not None and folder.has(k):
                yield k, folder.read(k)

    def _computed(
        self, places: Sequence[int], entropy: int, n_jobs: int, progress: bool, batch_size: int
    ) -> Iterator[tuple[int, CellTables]]:
        """Yield the tables of cells as they are finished."""
        if not places:
            return
        parts = _parts(self.n_replications, batch_size)
        works = (
            Work(self.design, self.procedures, self.cells[k], entropy, part)
            for k in places
            for part in parts
        )
        pieces = run_by_workers(works, n_jobs)
        with counting_bar(len(places) * self.n_replications, "Simulation", progress) as advance:
            for k in places:
                yield k, self._tables(k, _taken(pieces, len(parts), advance))

    def _tables(self, k: int, pieces: list[Piece]) -> CellTables:
        truth = self.design.parameters(**dict(self.cells[k].settings))
        return tables_of(pieces, list(self.procedures), truth)

    def _contents(self, rng: Any, entropy: int) -> dict[str, Any]:
        """Return what a store must hold the results of."""
        if rng is None:
            raise OptionError(
                "`rng` must be a seed where results are stored, so that another run can go on; "
                "got None."
            )
        procedures, design = self.procedures.items(), self.design
        return {
            "design": described(design.draw, "design"),
            "truth": described([design.is_null, design.truth], "design"),
            "procedures": {name: described(one, "procedures") for name, one in procedures},
            "cells": [cell.columns() for cell in self.cells],
            "n_replications": self.n_replications,
            "rng": entropy,
        }


def _parts(n: int, size: int) -> list[range]:
    return [range(start, min(start + size, n)) for start in range(0, n, size)]


def _taken(pieces: Iterator[Piece], count: int, advance: Any) -> list[Piece]:
    taken = []
    for piece in itertools.islice(pieces, count):
        advance(len(piece.replications))
        taken.append(piece)
    return taken


def _check_jobs(n_jobs: Any) -> None:
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0:
        raise OptionError(f"`n_jobs` must be an int other than 0, -1 for all; got {n_jobs!r}.")
