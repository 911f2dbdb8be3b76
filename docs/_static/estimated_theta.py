"""Draw estimated_theta.svg from the tables of the two studies in examples/.

kcm simulate examples/estimated_theta.toml --csv small.csv
kcm simulate examples/estimated_theta_large.toml --csv large.csv
python docs/_static/estimated_theta.py small.csv large.csv docs/_static
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from kcm.simulation.rates import rejections, wilson

LEVEL = 0.05


def rates_of(path):
    """Return rejection rates with Wilson's intervals from the rows of a study."""
    rows = pd.read_csv(path)
    groups = rows.groupby(["n_obs", "size", "procedure"], sort=False).pvalue
    found = groups.agg(n="count", count=lambda p: rejections(p.to_numpy(), LEVEL)).reset_index()
    ends = np.array([wilson(*pair) for pair in zip(found["count"], found.n, strict=True)])
    found["rate"], found["lower"], found["upper"] = found["count"] / found.n, *ends.T
    return found


def draw(ax, frame, x):
    """Draw one curve per procedure."""
    for k, (name, own) in enumerate(frame.groupby("procedure", sort=False)):
        reach = np.array([own.rate - own.lower, own.upper - own.rate]).clip(min=0)
        style = {"color": f"C{k}", "marker": "os^D"[k], "markersize": 4, "linewidth": 1.1}
        ax.errorbar(own[x], own.rate, yerr=reach, capsize=2, label=name, **style)
    ax.axhline(LEVEL, color="0.6", linewidth=0.8)
    ax.set(xlabel=x, ylabel="rejection rate")


small, large, folder = sys.argv[1:]
rates = pd.concat([rates_of(small), rates_of(large)], ignore_index=True)
rates.round(4).to_csv(Path(folder) / "estimated_theta.csv", index=False)
fig, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
draw(axes[0], rates[rates["size"] == 0], "n_obs")
draw(axes[1], rates[rates["size"] == 0.4], "n_obs")
draw(axes[2], rates[rates.n_obs == 100], "size")
for ax, title in zip(axes, ("size 0: a true model", "size 0.4", "n = 100"), strict=True):
    ax.set_title(title, fontsize="medium")
for ax in axes[:2]:
    ax.set_xscale("log")
axes[0].set_ylim(-0.005, 0.25)
axes[0].legend(fontsize="small", frameon=False)
fig.savefig(Path(folder) / "estimated_theta.svg", metadata={"Date": None})
