"""Pictures of a study: power curves, sizes, and the law of p-values."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from kcm._optional import optional_module
from kcm._options import did_you_mean, listed
from kcm.exceptions import OptionError

__all__ = ["axis_column", "draw_pvalues", "draw_rates", "draw_sizes"]

_MARKERS = ("o", "s", "^", "D", "v", "x", "+", "*")
_STYLES = ("-", "--", ":", "-.")


def axis_column(rates: pd.DataFrame, columns: Sequence[str], asked: str | None) -> str:
    """Return the column that the horizontal axis shows.

    Raises
    ------
    OptionError
        When there is no such column.
    """
    if asked is None:
        varying = [name for name in columns if rates[name].nunique(dropna=False) > 1]
        return varying[-1] if varying else columns[0]
    if asked not in columns:
        raise OptionError(
            f"`x`: the cells have no column {asked!r}{did_you_mean(asked, columns)} "
            f"Their columns are {listed(columns)}."
        )
    return asked


def draw_rates(
    rates: pd.DataFrame, column: str, others: Sequence[str], level: float, ax: Any
) -> Any:
    """Draw one curve per procedure and combination of the other columns."""
    axes = _new_axes(ax)
    keys = ["procedure", *_varying(rates, others)]
    names = list(dict.fromkeys(rates.procedure))
    combinations = list(dict.fromkeys(_keys(rates, keys[1:])))
    for key, frame in rates.groupby(keys, sort=False, dropna=False):
        place = names.index(key[0]), combinations.index(key[1:])
        style = {"color": f"C{place[0]}", "linestyle": _STYLES[place[1] % len(_STYLES)]}
        marker = _MARKERS[place[0] % len(_MARKERS)]
        _errorbars(
            axes, frame, frame[column].to_numpy(), label=_label(keys, key), marker=marker, **style
        )
    axes.axhline(level, color="0.6", linewidth=0.8)
    axes.set(xlabel=column, ylabel=f"rejection rate at {level:g}", ylim=(-0.03, 1.03))
    axes.legend(fontsize="small", frameon=False)
    return axes


def draw_sizes(rates: pd.DataFrame, columns: Sequence[str], level: float, ax: Any) -> Any:
    """Draw one mark per true model and procedure, in rows."""
    axes = _new_axes(ax, 1.2 + 0.28 * len(rates))
    shown = _varying(rates, columns)
    labels = [
        ", ".join([row["procedure"], *(f"{name}={row[name]}" for name in shown)])
        for row in rates.to_dict("records")
    ]
    places = np.arange(len(rates))
    axes.errorbar(rates.rate, places, xerr=_reach(rates), fmt="ko", markersize=4, linewidth=0.9)
    axes.axvline(level, color="0.6", linewidth=0.8)
    axes.set_yticks(places, labels)
    axes.set(xlabel=f"rejection rate at {level:g}", ylim=(len(rates) - 0.5, -0.5))
    return axes


def draw_pvalues(tests: pd.DataFrame, columns: Sequence[str], ax: Any) -> Any:
    """Draw the empirical law of the p-values of each cell and procedure."""
    axes = _new_axes(ax)
    keys = ["procedure", *_varying(tests, columns)]
    for key, frame in tests.groupby(keys, sort=False, dropna=False):
        given = np.sort(frame.pvalue.dropna().to_numpy())
        if len(given):
            axes.ecdf(given, label=_label(keys, key))
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
    axes.set(xlabel="p-value", ylabel="share of samples below", xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize="small", frameon=False)
    return axes


def _new_axes(ax: Any, height: float = 4.2) -> Any:
    if ax is not None:
        return ax
    pyplot = optional_module("matplotlib.pyplot", "plots", "a plot")
    return pyplot.subplots(figsize=(6.5, height), layout="constrained")[1]


def _label(names: Sequence[str], key: Any) -> str:
    """Return the procedure's name, and the settings with theirs."""
    pairs = zip(names[1:], key[1:], strict=True)
    return ", ".join([str(key[0]), *(f"{name}={value}" for name, value in pairs)])


def _varying(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    return [name for name in columns if frame[name].nunique(dropna=False) > 1]


def _keys(frame: pd.DataFrame, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in frame[list(columns)].itertuples(index=False)]


def _errorbars(axes: Any, frame: pd.DataFrame, x: np.ndarray, **style: Any) -> None:
    axes.errorbar(
        x, frame.rate, yerr=_reach(frame), markersize=4, linewidth=1.1, capsize=2, **style
    )


def _reach(frame: pd.DataFrame) -> np.ndarray:
    """Return how far the interval reaches below and above the rate."""
    return np.array([frame.rate - frame.lower, frame.upper - frame.rate]).clip(min=0)
