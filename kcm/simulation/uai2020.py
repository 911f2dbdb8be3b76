"""Figures 2 and 3 of Muandet, Jitkrittum and Kuebler (2020), run again beside what was printed."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd

from kcm.exceptions import OptionError
from kcm.simulation.published_tests import PublishedICM, PublishedKCM, PublishedSmooth
from kcm.simulation.replication import Replication
from kcm.simulation.study import SimulationStudy

__all__ = ["Panel", "panels", "product_seconds", "published_rates", "reproduce"]

N_TRIALS = 300
N_RESAMPLES = 1_000
LEVEL = 0.05
SIZES = (100, 200, 400, 600, 800, 1_000)
DELTAS = tuple(float(delta) for delta in np.linspace(1e-4, 1e-2, 6))
SEED = 2020
QUICK_SIZE = 500


@final
@dataclass(frozen=True, slots=True)
class Panel:
    """One panel of a figure.

    Parameters
    ----------
    figure : int
    label : str
        As in the table of published rates, such as "(a) REG-HOM".
    design : str
    n_obs : tuple of int
    deltas : tuple of float
        Standard deviation of the perturbation of theta.
    n_printed : int
        Trials behind the printed rates; they are multiples of one over this number.
    """

    figure: int
    label: str
    design: str
    n_obs: tuple[int, ...]
    deltas: tuple[float, ...]
    n_printed: int = N_TRIALS


def panels() -> tuple[Panel, ...]:
    """Return the nine panels.

    Examples
    --------
    >>> [panel.label for panel in panels()][:2], sum(len(p.n_obs) * len(p.deltas) for p in panels())
    (['(a) REG-HOM', '(b) REG-HET'], 54)
    """
    return (
        Panel(2, "(a) REG-HOM", "reg-hom", SIZES, (0.01,), 290),
        Panel(2, "(b) REG-HET", "reg-het", SIZES, (0.01,), 299),
        Panel(2, "(c) SIMEQ", "simeq", SIZES, (0.01,)),
        Panel(2, "(d) REG-HOM", "reg-hom", (500,), DELTAS),
        Panel(2, "(e) REG-HET", "reg-het", (500,), DELTAS),
        Panel(2, "(f) SIMEQ", "simeq", (500,), DELTAS),
        Panel(3, "REG-HOM", "reg-hom", SIZES, (0.0,)),
        Panel(3, "REG-HET", "reg-het", SIZES, (0.0,)),
        Panel(3, "SIMEQ", "simeq", SIZES, (0.0,), 290),
    )


def published_rates() -> pd.DataFrame:
    """Return the 162 printed rejection rates, read off the vector graphics of the paper.

    Returns
    -------
    pandas.DataFrame
        Columns figure, panel, test, n, delta and rejection_rate.

    Examples
    --------
    >>> published_rates().shape
    (162, 6)
    """
    source = resources.files("kcm") / "_datasets" / "uai2020_figures.csv"
    with source.open(encoding="utf-8") as file:
        return pd.read_csv(file)


def reproduce(
    quick: bool = False,
    rng: Any = SEED,
    n_jobs: int = -1,
    store: Any = None,
    progress: bool = True,
) -> Replication:
    """Run the experiments of the paper again: KCM, ICM and Smooth with theta given.

    Parameters
    ----------
    quick : bool
        A tenth of the trials with 200 draws, and samples of at most 500. Default False: 300
        trials with 1,000 draws, 48,600 tests.
    rng : int, numpy Generator or JAX key
        Default 2020.
    n_jobs : int
        Workers; -1, the default, for as many as there are processors.
    store : str or Path, optional
        Folder for finished cells, one folder below it a panel. Running again resumes.
    progress : bool
        Show a bar for each panel that takes more than about five seconds. Default True.

    Returns
    -------
    Replication

    Raises
    ------
    OptionError
        As `SimulationStudy.run`.

    Examples
    --------
    The full run takes minutes; it is compared with these rates.

    >>> published_rates().query("panel == '(a) REG-HOM' and n == 100").rejection_rate.to_list()
    [0.552, 0.29, 0.266]
    """
    if isinstance(quick, bool):
        tables = list(_tables(quick, rng, n_jobs, store, progress))
        return Replication(pd.concat(tables, ignore_index=True))
    raise OptionError(f"`quick` must be True or False; got {quick!r}.")


def product_seconds(quick: bool = False) -> float:
    """Return the seconds that the matrix products of `reproduce` alone take here.

    Each draw is a product with one matrix for KCM and for ICM, and with two for Smooth. One product
    of each size is timed, on as many threads as the linear algebra takes.

    Parameters
    ----------
    quick : bool
        As for `reproduce`.

    Returns
    -------
    float

    Examples
    --------
    >>> product_seconds(quick=True) > 0
    True
    """
    n_trials, n_draws = _amount(quick)
    cells = [n for panel in panels() for n in _sizes(panel, quick) for _ in panel.deltas]
    return sum(4 * n_trials * cells.count(n) * _one_product(n_draws, n) for n in set(cells))


def _one_product(n_draws: int, n: int) -> float:
    w, form = np.ones((n_draws, n), np.float32), np.ones((n, n), np.float32)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        w @ form
        times.append(time.perf_counter() - start)
    return min(times)


def _amount(quick: bool) -> tuple[int, int]:
    """Return the numbers of trials and of draws."""
    return (N_TRIALS // 10, 200) if quick else (N_TRIALS, N_RESAMPLES)


def _sizes(panel: Panel, quick: bool) -> list[int]:
    return [n for n in panel.n_obs if not quick or n <= QUICK_SIZE]


def _tables(
    quick: bool, rng: Any, n_jobs: int, store: Any, progress: bool
) -> Iterator[pd.DataFrame]:
    printed = published_rates()
    for k, panel in enumerate(panels()):
        study = _study(panel, _sizes(panel, quick), *_amount(quick))
        folder = None if store is None else Path(store) / f"panel-{k + 1}"
        # panels of one design differ in their settings, those of others in their seed
        results = study.run(_seed(rng, k), n_jobs, progress, folder, batch_size=10)
        own = printed[(printed.figure == panel.figure) & (printed.panel == panel.label)]
        yield _beside(own, results.rejection_rates(LEVEL), panel)


def _study(panel: Panel, sizes: Sequence[int], n_trials: int, n_draws: int) -> SimulationStudy:
    tests = {
        "KCM": PublishedKCM(n_draws, LEVEL),
        "ICM": PublishedICM(n_draws, LEVEL),
        "Smooth": PublishedSmooth(n_draws, LEVEL),
    }
    return SimulationStudy(panel.design, tests, sizes, {"delta": list(panel.deltas)}, n_trials)


def _seed(rng: Any, panel: int) -> Any:
    from kcm.simulation.cells import entropy_of

    return entropy_of(rng) + panel


def _beside(printed: pd.DataFrame, rates: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Return the rates of a panel with the printed ones, matched by test, size and delta."""
    found = rates.rename(columns={"n": "n_trials", "procedure": "test"})
    own = printed.rename(columns={"n": "n_obs", "rejection_rate": "printed"})
    # the file has deltas rounded to five digits
    own, found = (frame.assign(place=(frame.delta * 1e5).round()) for frame in (own, found))
    joined = own.merge(found.drop(columns="delta"), on=["test", "n_obs", "place"])
    kept = ["figure", "panel", "test", "n_obs", "delta", "printed"]
    columns = [*kept, "rate", "lower", "upper", "n_trials"]
    return joined[columns].assign(n_printed=panel.n_printed)
