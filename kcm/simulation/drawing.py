"""Pictures of a study: power curves, sizes, and the law of p-values."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from kcm._optional import optional_module
from kcm._options import did_you_mean, listed
from kcm.exceptions import OptionError
from kcm.reporting import LINE, legend, literal, name_axes, name_places, new_axes, shortened

__all__ = ["axis_column", "draw_pvalues", "draw_rates", "draw_sizes"]

# Told apart with any kind of colour vision (Okabe and Ito 2008).
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "x", "+", "*")
_STYLES = ("-", "--", ":", "-.")
# Curves of one panel at most, panels of one row at most, and the inches of a panel.
MOST_CURVES = 6
MOST_PANELS = 4
PANEL = 2.1


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
    axes = new_axes(ax)
    keys = ["procedure", *_varying(rates, others)]
    names = list(dict.fromkeys(rates.procedure))
    combinations = list(dict.fromkeys(_keys(rates, keys[1:])))
    for key, frame in rates.groupby(keys, sort=False, dropna=False):
        place = names.index(key[0]), combinations.index(key[1:])
        color = _COLORS[place[0] % len(_COLORS)]
        style = {"color": color, "linestyle": _STYLES[place[1] % len(_STYLES)]}
        marker = _MARKERS[place[0] % len(_MARKERS)]
        _errorbars(
            axes, frame, frame[column].to_numpy(), label=_label(keys, key), marker=marker, **style
        )
    axes.axhline(level, color="0.6", linewidth=0.8)
    axes.set_ylim(-0.03, 1.03)
    name_axes(axes, column, f"rejection rate at {level:g}")
    legend(axes)
    return axes


def draw_sizes(rates: pd.DataFrame, columns: Sequence[str], level: float, ax: Any) -> Any:
    """Draw one mark per true model and procedure, in rows."""
    axes = new_axes(ax, (6.4, 1.2 + 0.28 * len(rates)))
    shown = _varying(rates, columns)
    labels = [
        ", ".join([row["procedure"], *(f"{name} = {row[name]}" for name in shown)])
        for row in rates.to_dict("records")
    ]
    places = np.arange(len(rates))
    axes.errorbar(rates.rate, places, xerr=_reach(rates), fmt="ko", markersize=4, linewidth=0.9)
    axes.axvline(level, color="0.6", linewidth=0.8)
    name_places(axes, "y", places, labels)
    axes.set_ylim(len(rates) - 0.5, -0.5)
    name_axes(axes, f"rejection rate at {level:g}")
    return axes


def draw_pvalues(tests: pd.DataFrame, columns: Sequence[str], axes: Any) -> np.ndarray:
    """Draw the empirical law of the p-values: a panel for each cell, a curve for each procedure.

    Of many procedures each has panels of its own.

    Raises
    ------
    OptionError
        When there are fewer axes than panels.
    """
    varying, names = _varying(tests, columns), list(dict.fromkeys(tests.procedure))
    keys = [*varying, *(["procedure"] if len(names) > MOST_CURVES else [])]
    panels = list(tests.groupby(keys, sort=False, dropna=False)) if keys else [((), tests)]
    every = _grid(len(panels), tests[keys[-1]].nunique(dropna=False) if keys else 1, axes)
    for ax, (key, frame) in zip(every, panels, strict=True):
        _draw_curves(ax, frame, names)
        words = ", ".join(f"{name} = {value}" for name, value in zip(keys, key, strict=True))
        ax.set_title(shortened(words, 72 * PANEL, "small", 2), fontsize="small")
    _explain_panels(every, one_figure=axes is None)
    return every


def _grid(n_panels: int, n_last: int, axes: Any) -> np.ndarray:
    """Return axes, by default of a new figure, in rows that run through the last setting."""
    if axes is not None:
        given = np.ravel(axes)
        if len(given) < n_panels:
            raise OptionError(
                f"`axes` must hold one of matplotlib's Axes for each of the {n_panels} panels; "
                f"got {len(given)}. Leave it out for a new figure."
            )
        return given[:n_panels]
    pyplot = optional_module("matplotlib.pyplot", "plots", "a plot")
    width = n_last if 1 < n_last <= MOST_PANELS else min(MOST_PANELS, n_panels)
    n_rows = -(-n_panels // width)
    size = (PANEL * width + 0.6, PANEL * n_rows + 1.0)
    style = {"sharex": True, "sharey": True, "squeeze": False, "layout": "constrained"}
    every = pyplot.subplots(n_rows, width, figsize=size, **style)[1].ravel()
    for ax in every[n_panels:]:
        ax.remove()
    return every[:n_panels]


def _draw_curves(ax: Any, frame: pd.DataFrame, names: Sequence[str]) -> None:
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
    for name, own in frame.groupby("procedure", sort=False):
        place, given = names.index(name), np.sort(own.pvalue.dropna().to_numpy())
        if len(names) > MOST_CURVES:
            style = {"color": LINE}
        else:
            style = {"color": _COLORS[place], "linestyle": _STYLES[place % len(_STYLES)]}
        if len(given):
            ax.ecdf(given, label=literal(str(name)), linewidth=1.3, **style)
    ax.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])


def _explain_panels(every: np.ndarray, *, one_figure: bool) -> None:
    """Name the axes and the curves, once where the panels share a figure."""
    found: dict[str, Any] = {}
    for ax in every:
        found |= {label: line for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    for ax in every:
        is_lowest = not one_figure or ax in _lowest(every)
        ax.set_xlabel("p-value" if is_lowest else "")
        ax.tick_params(labelbottom=is_lowest)
    style = {"fontsize": "small", "frameon": False}
    if one_figure:
        every[0].figure.supylabel("share of samples below", fontsize="medium")
        place = {"loc": "outside lower center", "ncols": min(3, max(len(found), 1))}
        every[0].figure.legend([*found.values()], [*found], **place, **style)
        return
    for ax in every:
        ax.set_ylabel("share of samples below")
    every[0].legend([*found.values()], [*found], **style)


def _lowest(every: np.ndarray) -> list[Any]:
    """Return the lowest panel of each column."""
    columns = {ax.get_subplotspec().colspan.start: ax for ax in every}
    return list(columns.values())


def _label(names: Sequence[str], key: Any) -> str:
    """Return the procedure's name, and the settings with theirs."""
    pairs = zip(names[1:], key[1:], strict=True)
    return literal(", ".join([str(key[0]), *(f"{name} = {value}" for name, value in pairs)]))


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
