"""Rejection rates beside printed ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd

from kcm._optional import optional_module
from kcm.reporting import Grid, literal

__all__ = ["Replication"]

# Joint standard errors within which nearly all rates should lie, and all of them.
NEAR, FAR = 2.5, 4.0


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Replication:
    """Rejection rates of an experiment that was run again.

    Parameters
    ----------
    rates : pandas.DataFrame
        One row per point of the figures: figure, panel, test, n_obs, delta, printed, rate, lower
        and upper (Wilson's 95 % interval), n_trials and n_printed.

    Examples
    --------
    >>> row = {"figure": 2, "panel": "(a)", "test": "KCM", "n_obs": 100, "delta": 0.01}
    >>> row |= {"printed": 0.55, "rate": 0.53, "lower": 0.47, "upper": 0.59}
    >>> found = Replication(pd.DataFrame([row | {"n_trials": 300, "n_printed": 290}]))
    >>> found.to_frame().z.round(2).to_list()
    [-0.49]
    """

    rates: pd.DataFrame

    def __repr__(self) -> str:
        return self.summary().notes[0]

    def to_frame(self) -> pd.DataFrame:
        """Return the rates with z, their difference in joint standard errors.

        The standard error is that of two shares with the common rate, which is taken off 0 and 1
        by half a success in each direction.
        """
        r = self.rates
        n, m = r.n_trials.to_numpy(float), r.n_printed.to_numpy(float)
        common = (n * r.rate + m * r.printed + 0.5) / (n + m + 1)
        error = np.sqrt(common * (1 - common) * (1 / n + 1 / m))
        return r.assign(z=(r.rate - r.printed) / error)

    def share_within(self, standard_errors: float = NEAR) -> float:
        """Return the share of rates within so many joint standard errors of the printed one."""
        return float((self.to_frame().z.abs() <= standard_errors).mean())

    def summary(self) -> Grid:
        """Return all rates for reading, and how many are near the printed ones.

        Returns
        -------
        Grid
        """
        frame = self.to_frame()
        headers = ("Figure", "panel", "test", "n", "delta", "printed", "found", "95 %", "z")
        rows = tuple(_cells(row) for row in frame.to_dict("records"))
        near, far = int((frame.z.abs() <= NEAR).sum()), float(frame.z.abs().max())
        notes = (
            f"{near} of {len(frame)} rates lie within {NEAR} joint standard errors of the printed "
            f"one; the largest difference is {far:.2f}.",
            f"{frame.n_trials.min()} trials here; printed are 300, but 290 in Figure 2 (a) and "
            "3 (c) and 299 in 2 (b), of which the printed rates are multiples.",
        )
        return Grid("Muandet, Jitkrittum and Kuebler (2020), again", headers, rows, notes)

    def plot(self, axes: Any = None) -> Any:
        """Draw the panels: found with intervals, and printed.

        Parameters
        ----------
        axes : array of matplotlib Axes, optional
            Nine of them. Default: a new figure, three by three.

        Returns
        -------
        array of matplotlib Axes

        Raises
        ------
        OptionError
            When matplotlib is not installed.
        """
        if axes is None:
            pyplot = optional_module("matplotlib.pyplot", "plots", "a plot")
            axes = pyplot.subplots(3, 3, figsize=(10, 9), layout="constrained")[1]
        panels = self.rates.groupby(["figure", "panel"], sort=False)
        for ax, ((figure, label), frame) in zip(np.ravel(axes), panels, strict=False):
            _draw_panel(ax, frame)
            ax.set_title(f"Figure {figure} {label}", fontsize="medium")
        np.ravel(axes)[0].legend(fontsize="small", frameon=False)
        return axes


def _cells(row: Mapping[Any, Any]) -> tuple[str, ...]:
    place = str(row["figure"]), row["panel"], row["test"], str(row["n_obs"]), f"{row['delta']:g}"
    interval = f"[{row['lower']:.3f}, {row['upper']:.3f}]"
    return (*place, f"{row['printed']:.3f}", f"{row['rate']:.3f}", interval, f"{row['z']:.2f}")


def _draw_panel(ax: Any, frame: pd.DataFrame) -> None:
    column = "n_obs" if frame.n_obs.nunique() > 1 else "delta"
    for k, (test, own) in enumerate(frame.groupby("test", sort=False)):
        reach = np.array([own.rate - own.lower, own.upper - own.rate]).clip(min=0)
        style = {"color": f"C{k}", "marker": "os^"[k % 3], "markersize": 4, "linewidth": 1.1}
        ax.errorbar(own[column], own.rate, yerr=reach, label=literal(f"{test}"), capsize=2, **style)
        ax.plot(
            own[column],
            own.printed,
            color=f"C{k}",
            linestyle=":",
            label=literal(f"{test}, printed"),
        )
    ax.set(xlabel=column, ylabel="rejection rate")
