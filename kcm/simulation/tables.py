"""The tables of a cell: from the pieces of its workers to data frames."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from kcm.simulation.work import Piece

__all__ = ["CellTables", "tables_of"]

_ESTIMATES = ("parameter", "estimate", "bse", "lower", "upper")


class CellTables(NamedTuple):
    """What a cell found, in the order of replications and procedures.

    The time that it took stands apart: it is the one table that another run does not repeat.
    """

    tests: pd.DataFrame
    estimates: pd.DataFrame
    seconds: pd.DataFrame


def tables_of(
    pieces: Sequence[Piece], names: Sequence[str], truth: Mapping[str, float]
) -> CellTables:
    """Return the tables of all pieces of a cell."""
    numbers = np.concatenate([piece.replications for piece in pieces])
    key = {
        "replication": np.repeat(numbers, len(names)),
        "procedure": np.tile(np.array(names, dtype=object), len(numbers)),
    }
    tests = pd.DataFrame(
        {
            **key,
            "pvalue": np.concatenate([piece.pvalues.ravel() for piece in pieces]),
            "statistic": np.concatenate([piece.statistics.ravel() for piece in pieces]),
            "error": np.concatenate([_errors(piece) for piece in pieces]),
        }
    )
    seconds = np.concatenate([piece.seconds.ravel() for piece in pieces])
    return CellTables(
        tests.astype({"procedure": str, "error": str}),
        _estimates(pieces, names, truth),
        pd.DataFrame({**key, "seconds": seconds}).astype({"procedure": str}),
    )


def _errors(piece: Piece) -> np.ndarray:
    errors = np.full(piece.pvalues.shape, "", dtype=object)
    for place, message in piece.errors.items():
        errors[place] = message
    return errors.ravel()


def _estimates(
    pieces: Sequence[Piece], names: Sequence[str], truth: Mapping[str, float]
) -> pd.DataFrame:
    rows = [
        (piece.replications[k], names[j], *estimated)
        for piece in pieces
        for (k, j), all_of_fit in sorted(piece.estimates.items())
        for estimated in all_of_fit
    ]
    table = pd.DataFrame(rows, columns=["replication", "procedure", *_ESTIMATES])
    table["truth"] = np.array([truth.get(name, np.nan) for name in table["parameter"]], float)
    types = {"replication": np.int64, "procedure": str, "parameter": str}
    return table.astype(types | dict.fromkeys(_ESTIMATES[1:], np.float64))
