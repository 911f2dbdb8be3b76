"""One piece of a study: some replications of one cell, by every procedure."""

import functools
import os
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
from jaxtyping import Float

from kcm.simulation.cells import Cell, Seeds, seeds_of
from kcm.simulation.designs.base import Design
from kcm.simulation.findings import Estimated, Finding, failure
from kcm.simulation.procedures import Procedure
from kcm.simulation.subjects import Subject, subject_of

__all__ = ["Piece", "Work", "done", "run_by_workers"]

# Seconds between two looks of a worker at whether the process that it works for is there.
LOOK = 0.5


@final
@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What a worker is told.

    Parameters
    ----------
    design : Design
    procedures : mapping of str to Procedure
    cell : Cell
    entropy : int
        The study's seed.
    replications : range
    """

    design: Design
    procedures: Mapping[str, Procedure]
    cell: Cell
    entropy: int
    replications: range


class Piece(NamedTuple):
    """What comes back: one row per replication, one column per procedure.

    Errors and estimates are by row and column; most rows have none.
    """

    replications: range
    pvalues: Float[np.ndarray, "r m"]
    statistics: Float[np.ndarray, "r m"]
    seconds: Float[np.ndarray, "r m"]
    errors: dict[tuple[int, int], str]
    estimates: dict[tuple[int, int], tuple[Estimated, ...]]


def done(work: Work) -> Piece:
    """Draw the samples and run the procedures on one thread, so that sums have one order."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _done(work)


def _done(work: Work) -> Piece:
    seeds = [seeds_of(work.entropy, work.cell, k) for k in work.replications]
    needs_moment = any(procedure.needs_moment for procedure in work.procedures.values())
    drawn = [_drawn(work, seed, needs_moment) for seed in seeds]
    columns, seconds = [], []
    for procedure in work.procedures.values():
        start = time.perf_counter()
        columns.append(_column(procedure, drawn, seeds))
        seconds.append((time.perf_counter() - start) / len(seeds))
    return _piece(work.replications, columns, np.tile(seconds, (len(seeds), 1)))


def _drawn(work: Work, seed: Seeds, needs_moment: bool) -> Subject | Finding:
    rng, settings = np.random.default_rng(seed.data), dict(work.cell.settings)
    try:
        return subject_of(work.design(rng, work.cell.n_obs, **settings), needs_moment)
    except Exception as error:  # of a design: the sample counts as a failure of every procedure
        found = failure(error)
        return found._replace(error=f"the design failed: {found.error}")


def _column(
    procedure: Procedure, drawn: list[Subject | Finding], seeds: list[Seeds]
) -> list[Finding]:
    places = [k for k, one in enumerate(drawn) if isinstance(one, Subject)]
    subjects = [one for one in drawn if isinstance(one, Subject)]
    found = procedure.findings(subjects, [seeds[k].draws for k in places])
    by_place = dict(zip(places, found, strict=True))
    return [one if isinstance(one, Finding) else by_place[k] for k, one in enumerate(drawn)]


def _piece(
    replications: range, columns: list[list[Finding]], seconds: Float[np.ndarray, "r m"]
) -> Piece:
    cells = {(k, j): f for j, column in enumerate(columns) for k, f in enumerate(column)}
    return Piece(
        replications,
        np.array([[f.pvalue for f in column] for column in columns]).T,
        np.array([[f.statistic for f in column] for column in columns]).T,
        seconds,
        {place: f.error for place, f in cells.items() if f.error},
        {place: f.estimates for place, f in cells.items() if f.estimates},
    )


def run_by_workers(works: Any, n_jobs: int) -> Any:
    """Yield the pieces in the order of the works, from joblib's workers."""
    import joblib

    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
    return parallel(joblib.delayed(_done_for)(os.getpid(), work) for work in works)


def _done_for(process: int, work: Work) -> Piece:
    """Return the piece; a worker that is a child of the process ends with it, also if killed."""
    if os.getppid() == process:
        _end_with(process)
    return done(work)


@functools.cache
def _end_with(process: int) -> threading.Thread:
    watch = threading.Thread(target=_watch, args=(process,), daemon=True)
    watch.start()
    return watch


def _watch(process: int) -> None:
    while os.getppid() == process:
        time.sleep(LOOK)
    os._exit(1)  # nobody is left to tell
