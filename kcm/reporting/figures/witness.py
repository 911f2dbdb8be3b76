"""Pictures of where a model fails: a line with its band, a map, or bars."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from kcm._optional import optional_module
from kcm.reporting.figures.axes import DIVERGING, LINE, MARKED, SIZE, new_axes
from kcm.reporting.figures.text import legend, literal, name_axes, name_places, set_title, shortened

__all__ = ["Scatter", "draw_bars", "draw_line", "draw_map", "draw_sentence"]

# The residuals' axis reaches this many times as far as the band.
ROOM = 3.0
# Steps of the colours of a map, an odd number: the middle one lies around zero and is white.
N_STEPS = 11
_TICKS = np.linspace(-1, 1, 5)


class Scatter(NamedTuple):
    """Some of the observations.

    Parameters
    ----------
    x, residuals : ndarray of shape (k,)
    told : str
        How many they are.
    """

    x: Float[np.ndarray, " k"]
    residuals: Float[np.ndarray, " k"]
    told: str


def draw_line(
    x: Float[np.ndarray, " m"],
    values: Float[np.ndarray, " m"],
    ends: tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]],
    scatter: Scatter,
    words: tuple[str, str, str],
    level: float,
    ax: Any = None,
) -> Any:
    """Draw the local mean of the residual over one variable, with its band.

    Parameters
    ----------
    x, values : ndarray of shape (m,)
    ends : pair of ndarray of shape (m,)
        Lower and upper end of the band.
    scatter : Scatter
        Observations for the points and the rug; points beyond the axis are not shown.
    words : (str, str, str)
        Names of the variable and the residual, and the title.
    level : float
        Coverage of the band.
    """
    axes = new_axes(ax)
    lower, upper = ends
    point = {"marker": "o", "linestyle": "none", "markersize": 2.5, "color": "0.7"}
    axes.plot(scatter.x, scatter.residuals, label=scatter.told, zorder=1, **point)
    told = f"{100 * level:.4g} % band, simultaneous"
    axes.fill_between(x, lower, upper, color="0.5", alpha=0.45, linewidth=0, label=told, zorder=2)
    axes.plot(x, values, color=LINE, linewidth=1.8, label="local mean", zorder=4)
    _mark(axes, x, values, (lower > 0) | (upper < 0))
    axes.axhline(0, color=LINE, linewidth=0.8, linestyle="--", zorder=3)
    _set_reach(axes, np.concatenate([lower, upper]), scatter.residuals)
    rug = {"marker": "|", "linestyle": "none", "markersize": 7, "color": "0.35"}
    height = np.full(len(scatter.x), 0.015)
    axes.plot(scatter.x, height, transform=axes.get_xaxis_transform(), **rug)
    name_axes(axes, words[0], words[1])
    set_title(axes, words[2])
    legend(axes)
    return axes


def draw_bars(
    levels: Sequence[str],
    values: Float[np.ndarray, " m"],
    ends: tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]],
    words: tuple[str, str, str],
    level: float,
    ax: Any = None,
) -> Any:
    """Draw the local mean of the residual at each level of a category, with simultaneous bars.

    Parameters
    ----------
    levels : sequence of str
    values : ndarray of shape (m,)
        NaN where the cell is fitted exactly, which the picture says.
    ends : pair of ndarray of shape (m,)
        Lower and upper end of the band.
    words : (str, str, str)
        Names of the variable and the residual, and the title.
    level : float
        Coverage of the band.
    """
    axes, (lower, upper) = new_axes(ax), ends
    every, shown = np.arange(len(levels)), np.isfinite(lower)
    places, values, lower, upper = every[shown], values[shown], lower[shown], upper[shown]
    outside = (lower > 0) | (upper < 0)
    colors = [MARKED if out else "white" for out in outside]
    axes.bar(places, values, width=0.6, color=colors, edgecolor=LINE, linewidth=0.8)
    for place in every[~shown]:
        axes.text(place, 0.0, "fitted\nexactly", ha="center", va="bottom", fontsize="small")
    reach = np.vstack([values - lower, upper - values])
    told = f"{100 * level:.4g} % band, simultaneous"
    # white under black, so that the bars are seen on a filled column too
    axes.errorbar(places, values, reach, fmt="none", ecolor="white", elinewidth=3.0)
    style = {"fmt": "none", "ecolor": LINE, "elinewidth": 1.4, "capsize": 4}
    axes.errorbar(places, values, reach, label=told, **style)
    axes.axhline(0, color=LINE, linewidth=0.8)
    axes.set_xlim(-0.6, len(levels) - 0.4)
    name_places(axes, "x", every, levels)
    name_axes(axes, words[0], words[1])
    set_title(axes, words[2])
    legend(axes)
    return axes


def draw_map(
    grid: tuple[Float[np.ndarray, " a"], Float[np.ndarray, " b"]],
    values: Float[np.ndarray, "a b"],
    excludes: Bool[np.ndarray, "a b"],
    scatter: tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]],
    words: tuple[str, str, str, str],
    level: float,
    ax: Any = None,
) -> Any:
    """Draw the local mean of the residual over two variables, and where its band excludes zero.

    Parameters
    ----------
    grid : pair of ndarray of shapes (a,) and (b,)
    values : ndarray of shape (a, b)
        NaN where there are no data.
    excludes : ndarray of bool, shape (a, b)
        Where the band excludes zero: outlined and, where the mean is negative, hatched.
    scatter : pair of ndarray of shape (k,)
        Observations.
    words : (str, str, str, str)
        Names of the two variables and the residual, and the title.
    level : float
        Coverage of the band.
    """
    axes = new_axes(ax)
    largest = float(np.nanmax(np.abs(values))) or 1.0
    steps = np.linspace(-largest, largest, N_STEPS + 1)
    mesh = axes.contourf(*grid, values.T, levels=steps, cmap=DIVERGING)
    bar = axes.figure.colorbar(mesh, ax=axes, format="%.2g", ticks=largest * _TICKS)
    room = 72 * 0.7 * axes.figure.get_figheight()
    bar.set_label(shortened(f"mean {words[2]}", room, "medium", 2))
    # below zero dashed: the sign is seen without colours, too
    lines = {"colors": LINE, "linewidths": 0.5, "alpha": 0.6}
    axes.contour(*grid, values.T, levels=steps[1:-1], negative_linestyles="dashed", **lines)
    point = {"marker": "o", "linestyle": "none", "markersize": 2.0}
    axes.plot(*scatter, color="white", markeredgecolor="0.3", markeredgewidth=0.4, **point)
    _outline(axes, grid, values, excludes)
    told = f"outlined: the {100 * level:.4g} % band excludes 0 (hatched: below)"
    note = told if excludes.any() else f"the {100 * level:.4g} % band contains 0 everywhere"
    name_axes(axes, words[0], words[1])
    set_title(axes, words[3], note)
    return axes


def draw_sentence(sentence: str, title: str, ax: Any = None) -> Any:
    """Write a sentence where there is nothing to draw."""
    axes = new_axes(ax, (SIZE[0], 1.4))
    axes.set_axis_off()
    set_title(axes, title)
    axes.text(0.5, 0.5, literal(sentence), ha="center", va="center", transform=axes.transAxes)
    return axes


def _outline(
    ax: Any,
    grid: tuple[Float[np.ndarray, " a"], Float[np.ndarray, " b"]],
    values: Float[np.ndarray, "a b"],
    excludes: Bool[np.ndarray, "a b"],
) -> None:
    """Draw a line around the region where the band excludes zero, and hatch it below zero."""
    if not excludes.any():
        return
    outlined, negative = excludes.astype(float).T, (excludes & (values < 0)).astype(float).T
    if not excludes.all():
        ax.contour(*grid, outlined, levels=[0.5], colors="white", linewidths=4.0)
        ax.contour(*grid, outlined, levels=[0.5], colors=LINE, linewidths=2.0)
    if negative.any():
        ax.contourf(*grid, negative, levels=[0.5, 1.5], colors="none", hatches=["///"])


def _mark(
    ax: Any,
    x: Float[np.ndarray, " m"],
    values: Float[np.ndarray, " m"],
    out: Bool[np.ndarray, " m"],
) -> None:
    """Draw the part of the line where the band excludes zero thicker, white inside."""
    if not out.any():
        return
    marked = np.where(out, values, np.nan)
    effects = optional_module("matplotlib.patheffects", "plots", "a plot")
    black_around = [effects.withStroke(linewidth=5.0, foreground=LINE)]
    style = {"color": "white", "linewidth": 2.0, "path_effects": black_around}
    ax.plot(x, marked, zorder=5, label="band excludes 0", **style)


def _set_reach(ax: Any, ends: Float[np.ndarray, " m"], residuals: Float[np.ndarray, " k"]) -> None:
    finite = np.abs(ends[np.isfinite(ends)])
    reach = min(ROOM * finite.max(initial=0.0), 1.05 * float(np.abs(residuals).max()))
    if reach > 0:
        ax.set_ylim(-reach, reach)
