"""What a study found: tables, and the pictures of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd

from kcm._options import check_level
from kcm.exceptions import OptionError
from kcm.reporting import Grid
from kcm.simulation import drawing
from kcm.simulation.cells import Cell
from kcm.simulation.designs.base import Design
from kcm.simulation.rates import empirical_quantile, rejections, wilson
from kcm.simulation.summaries import accuracy, durations, estimates_grid, uniformity
from kcm.simulation.tables import CellTables

__all__ = ["StudyResults", "joined"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StudyResults:
    """Results of a simulation study.

    Attributes
    ----------
    design : str
    cell_columns : tuple of str
        The columns that tell the cells apart: ``n_obs`` and the settings.
    tests : pandas.DataFrame
        One row per cell, replication and procedure, as `to_frame` returns it.
    parameters : pandas.DataFrame
        One row per estimate of a parameter, with its truth.
    seconds : pandas.DataFrame
        Time that each procedure took, on average over the replications of a batch.

    Examples
    --------
    >>> import kcm
    >>> study = kcm.simulation.SimulationStudy("linear", {"KCM": kcm.KCMTest()}, 50, None, 10)
    >>> results = study.run(n_jobs=1)
    >>> results.to_frame().columns.to_list()
    ['n_obs', 'null_true', 'replication', 'procedure', 'pvalue', 'statistic', 'error']
    >>> int(results.rejection_rates().n.sum())
    10
    """

    design: str
    cell_columns: tuple[str, ...]
    tests: pd.DataFrame
    parameters: pd.DataFrame
    seconds: pd.DataFrame

    def __repr__(self) -> str:
        shape = f"{self._cells(self.tests).ngroups} cells, {len(self.tests):,} tests"
        return f"StudyResults({self.design!r}, {shape})"

    def _repr_html_(self) -> str:
        return self.summary().as_html()

    @property
    def has_tests(self) -> bool:
        """Whether there is a procedure that tests, and not only ones that return fits."""
        return not self._with_tests().empty

    def to_frame(self) -> pd.DataFrame:
        """Return all results, one row per cell, replication and procedure.

        Returns
        -------
        pandas.DataFrame
            The columns of the cell; null_true (missing where the design does not say); replication,
            procedure, pvalue and statistic (NaN where there is none), and error, a message, empty
            where nothing went wrong.
        """
        return self.tests.copy()

    def rejection_rates(self, level: float = 0.05, confidence: float = 0.95) -> pd.DataFrame:
        """Return the share of replications that each procedure rejects.

        Parameters
        ----------
        level : float
            Of the tests. Default 0.05.
        confidence : float
            Of the intervals, which are Wilson's. Default 0.95.

        Returns
        -------
        pandas.DataFrame
            One row per cell and procedure: n p-values, n_failed without one, rate, lower, upper.
        """
        check_level(level)
        check_level(confidence, "confidence")

        def rates(pvalues: np.ndarray) -> dict[str, Any]:
            n, count = int(np.isfinite(pvalues).sum()), rejections(pvalues, level)
            lower, upper = wilson(count, n, confidence)
            rate = count / n if n else np.nan
            found = {"n": n, "n_failed": len(pvalues) - n, "rate": rate}
            return {**found, "lower": lower, "upper": upper}

        return self._by_cell(self._with_tests(), rates)

    def size_adjusted_power(
        self, level: float = 0.05, null: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return rejection rates at the level that the true model's p-values give.

        A procedure rejects where its p-value is at most the empirical quantile, at `level`, of its
        p-values under the null hypothesis.

        Parameters
        ----------
        level : float
            Default 0.05.
        null : mapping, optional
            Settings of the null cells, for example ``{"size": 0.0}``; the other columns are those
            of the cell. Default: the cell of the same size where the model is right, and of
            several the one that shares most settings.

        Returns
        -------
        pandas.DataFrame
            One row per cell where the model is wrong, and procedure: critical_pvalue and rate with
            Wilson's interval, which takes the critical value as known.

        Raises
        ------
        OptionError
            When a cell has no null cell, or several.
        """
        check_level(level)
        by_cell = {key: frame for key, frame in self._cells(self._with_tests())}
        rows = []
        for key, frame in by_cell.items():
            if frame.null_true.iloc[0] is True:
                continue
            match = _null_cell(key, by_cell, self.cell_columns, null)
            for name, own in frame.groupby("procedure", sort=False):
                null_own = match[match.procedure == name].pvalue.to_numpy()
                critical = empirical_quantile(null_own, level)
                pvalues = own.pvalue.to_numpy()
                n, count = int(np.isfinite(pvalues).sum()), rejections(pvalues, critical)
                ends = dict(zip(("lower", "upper"), wilson(count, n), strict=True))
                adjusted = {"critical_pvalue": critical, "rate": count / n if n else np.nan}
                place = dict(zip(self.cell_columns, key, strict=True))
                rows.append({**place, "procedure": name, **adjusted, **ends})
        return pd.DataFrame(rows)

    def pvalue_uniformity(self) -> pd.DataFrame:
        """Test whether p-values are uniform where the model is right.

        Returns
        -------
        pandas.DataFrame
            One row per null cell and procedure: the largest distance of the empirical law from the
            uniform (Kolmogorov and Smirnov) and its p-value. P-values of a bootstrap lie on a
            grid, which alone is at a distance of up to 1 / (draws + 1).
        """
        frame = self._with_tests()
        return self._by_cell(frame[[value is True for value in frame.null_true]], uniformity)

    def estimates(self, confidence: float = 0.95) -> pd.DataFrame:
        """Return how good estimates are, of procedures that return fits.

        Parameters
        ----------
        confidence : float
            Of the interval of the coverage. Default 0.95.

        Returns
        -------
        pandas.DataFrame
            One row per cell, procedure and parameter: n, truth, bias, sd, rmse, the mean standard
            error, and the coverage of 95 % intervals with Wilson's interval.
        """
        check_level(confidence, "confidence")
        keys = [*self.cell_columns, "procedure", "parameter"]
        groups = self.parameters.groupby(keys, sort=False, dropna=False)
        rows = [
            {**dict(zip(keys, key, strict=True)), **accuracy(frame, confidence)}
            for key, frame in groups
        ]
        return pd.DataFrame(rows)

    def failures(self) -> pd.DataFrame:
        """Return how often each message came, by cell and procedure."""
        failed = self.tests[self.tests.error != ""]
        keys = [*self.cell_columns, "procedure", "error"]
        return failed.groupby(keys, sort=False, dropna=False).size().reset_index(name="n")

    def runtime(self) -> pd.DataFrame:
        """Return the seconds that a replication took, by cell and procedure, and in total."""
        return self._by_cell(self.seconds, durations, "seconds")

    def summary(self, level: float = 0.05) -> Grid:
        """Return the rejection rates for reading.

        Returns
        -------
        Grid
            Prints as text; `as_html()` and `as_latex()` for documents. Of a study without tests,
            how good the estimates are.
        """
        if not self.has_tests:
            return estimates_grid(self.estimates(), self.cell_columns, self.design)
        rates = self.rejection_rates(level)
        title = f"Rejection rates at {level:g}, {self.design}"
        headers = (*self.cell_columns, "procedure", "n", "rate", "95 % interval")
        rows = tuple(_cells_of(row, self.cell_columns) for row in rates.to_dict("records"))
        failed = int(rates.n_failed.sum())
        notes = (f"{failed:,} failures; see failures().",) if failed else ()
        return Grid(title, headers, rows, notes)

    def to_latex(self, level: float = 0.05) -> str:
        """Return the rejection rates as a LaTeX tabular."""
        return self.summary(level).as_latex()

    def to_csv(self, path: Any) -> None:
        """Write all results, one row per cell, replication and procedure, to a CSV file."""
        self.tests.to_csv(Path(path), index=False)

    def plot_power(self, x: str | None = None, level: float = 0.05, ax: Any = None) -> Any:
        """Plot rejection rates with their intervals against a column of the cells.

        Parameters
        ----------
        x : str, optional
            Default: the one column that varies, or of several the last setting.
        level : float
            Default 0.05.
        ax : matplotlib Axes, optional
            Default: a new figure.

        Returns
        -------
        matplotlib Axes
        """
        self._check_has_tests()
        rates = self.rejection_rates(level)
        column = drawing.axis_column(rates, self.cell_columns, x)
        others = [name for name in self.cell_columns if name != column]
        return drawing.draw_rates(rates, column, others, level, ax)

    def plot_size(self, level: float = 0.05, ax: Any = None) -> Any:
        """Plot the rejection rates of true models beside the nominal level.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        OptionError
            When there is no cell where the model is right.
        """
        self._check_has_tests()
        rates = self.rejection_rates(level)
        right = rates[[value is True for value in rates.null_true]]
        if right.empty:
            raise OptionError("no cell of the study is known to have a true model.")
        return drawing.draw_sizes(right, self.cell_columns, level, ax)

    def plot_pvalues(self, axes: Any = None) -> Any:
        """Plot the empirical law of the p-values: a panel per cell, a curve per procedure.

        More than six procedures have a panel each.

        Parameters
        ----------
        axes : array of matplotlib Axes, optional
            One per panel. Default: a new figure.

        Returns
        -------
        array of matplotlib Axes
        """
        self._check_has_tests()
        return drawing.draw_pvalues(self._with_tests(), self.cell_columns, axes)

    def _check_has_tests(self) -> None:
        if not self.has_tests:
            raise OptionError("the study has no test, only estimates; see `estimates()`.")

    def _with_tests(self) -> pd.DataFrame:
        """Return the rows of procedures that test; the others never have a p-value."""
        fits = set(self.parameters.procedure)
        return self.tests[~self.tests.procedure.isin(fits)]

    def _cells(self, frame: pd.DataFrame) -> Any:
        return frame.groupby(list(self.cell_columns), sort=False, dropna=False)

    def _by_cell(self, frame: pd.DataFrame, of: Any, column: str = "pvalue") -> pd.DataFrame:
        keys = [*self.cell_columns, "null_true", "procedure"]
        groups = frame.groupby(keys, sort=False, dropna=False)
        rows = [
            {**dict(zip(keys, key, strict=True)), **of(own[column].to_numpy())}
            for key, own in groups
        ]
        return pd.DataFrame(rows, columns=[*keys, *of(np.zeros(0))])


def joined(
    design: Design, cells: Sequence[Cell], procedures: Sequence[str], tables: Sequence[CellTables]
) -> StudyResults:
    """Return the results of all cells, each table with the columns of its cell in front."""
    truths = [design.null_is_true(**dict(cell.settings)) for cell in cells]
    names = tuple(dict.fromkeys(name for cell in cells for name in cell.columns()))
    frames = [
        pd.concat(
            [
                _labelled(table[k], cell, truth, names)
                for cell, truth, table in zip(cells, truths, tables, strict=True)
            ],
            ignore_index=True,
        )
        for k in range(len(CellTables._fields))
    ]
    return StudyResults(design.name, names, *frames)


def _labelled(
    table: pd.DataFrame, cell: Cell, truth: bool | None, names: Sequence[str]
) -> pd.DataFrame:
    values = cell.columns()
    front = pd.DataFrame({name: [values.get(name)] * len(table) for name in names})
    front["null_true"] = pd.Series([truth] * len(table), dtype=object)
    return pd.concat([front, table.reset_index(drop=True)], axis=1)


def _null_cell(
    key: tuple[Any, ...],
    by_cell: Mapping[tuple[Any, ...], pd.DataFrame],
    columns: Sequence[str],
    null: Mapping[str, Any] | None,
) -> pd.DataFrame:
    own = dict(zip(columns, key, strict=True))
    wanted = None if null is None else {**own, **null}
    found = []
    for other, frame in by_cell.items():
        values = dict(zip(columns, other, strict=True))
        if wanted is not None:
            fits = values == wanted
        else:
            fits = frame.null_true.iloc[0] is True and values["n_obs"] == own["n_obs"]
        if fits:
            found.append((sum(values[name] == own[name] for name in columns), frame))
    most = max((shared for shared, _ in found), default=0)
    best = [frame for shared, frame in found if shared == most]
    if len(best) == 1:
        return best[0]
    raise OptionError(
        f"`null`: the cell {own} has {len(best)} null cells to be compared with; name the settings "
        'of the one that is meant, such as null={"size": 0.0}, and make it a cell of the study.'
    )


def _cells_of(row: Mapping[Any, Any], columns: Sequence[str]) -> tuple[str, ...]:
    place = tuple(str(row[name]) for name in columns)
    interval = f"[{row['lower']:.3f}, {row['upper']:.3f}]"
    return (*place, str(row["procedure"]), str(row["n"]), f"{row['rate']:.3f}", interval)
