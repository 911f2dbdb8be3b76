"""The power league: omnibus tests against six departures in one, two and five dimensions.

    python tests/power_league.py run league.npz      # hours: all p-values, n = 200
    python tests/power_league.py table league.npz docs/_static/power_league.csv
    python tests/power_league.py plot docs/_static/power_league.csv docs/_static/power_league.png
    python tests/power_league.py weights league.npz  # how far weights of the members could help

Seeds depend on the cell and the replication alone, so that the numbers do not depend on the number
of workers.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import numpy as np
import pandas as pd
import statsmodels.api as sm
from statsmodels.stats.diagnostic import linear_reset

import kcm
from kcm.adapters import fitted_moment
from kcm.kernels import ICM, Orthant, Precomputed, Smooth, SmoothICM

N_OBS, LEVEL, REPLICATIONS, DIMENSIONS = 200, 0.05, 500, (1, 2, 5)
DEPARTURES = {
    "none": lambda x: np.zeros(len(x)),
    "square": lambda x: 0.25 * (x[:, 0] ** 2 - 1),
    "interaction": lambda x: 0.3 * x[:, 0] * x[:, -1] if x.shape[1] > 1 else 0.1 * x[:, 0] ** 3,
    "sine": lambda x: 0.4 * np.sin(2 * x[:, 0]),
    "fast sine": lambda x: 0.5 * np.sin(4 * x[:, 0]),
    "bump": lambda x: 1.2 * np.exp(-8 * (x[:, 0] - 0.5) ** 2),
    "sine of the sum": lambda x: 0.5 * np.sin(2 * x.sum(axis=1) / np.sqrt(x.shape[1])),
}
KERNELS = {
    "ICM": ICM(transform="arctan"),
    "Stute": Orthant(),
    "Zheng": Smooth(),
    "Lavergne-Patilea": SmoothICM(seed=0),
}
MEMBERS = ["Gaussian, 1/4", "Gaussian, 1/2", "Gaussian, 1", "Gaussian, 2", "Laplace"]
TESTS = ["KCM adaptive", "KCM adaptive, draws", *KERNELS, "Escanciano", "RESET", *MEMBERS]


def escanciano(x):
    """Return the Gram matrix of `kcm.kernels.Projection`, by arc cosines: faster, less exact."""
    total = np.zeros((len(x), len(x)))
    for r in range(len(x)):
        apart = x - x[r]
        lengths = np.sqrt(np.sum(apart**2, axis=1))
        lengths[r] = 1.0
        cosines = np.clip(apart @ apart.T / np.outer(lengths, lengths), -1.0, 1.0)
        np.fill_diagonal(cosines, 1.0)
        shares = (np.pi - np.arccos(cosines)) / (2 * np.pi)
        shares[r], shares[:, r], shares[r, r] = 0.5, 0.5, 1.0
        total += shares
    return total / len(x)


def draw(departure, d, replication):
    """Fit y = 1 + sum x + departure + e by least squares, without the departure."""
    rng = np.random.default_rng([list(DEPARTURES).index(departure), d, replication])
    x = rng.normal(size=(N_OBS, d))
    y = 1 + x.sum(axis=1) + DEPARTURES[departure](x) + rng.normal(size=N_OBS)
    return sm.OLS(y, sm.add_constant(x)).fit(), x


def pvalues(cell):
    """Return the p-value of each test, in the order of `TESTS`."""
    fit, x = draw(*cell)
    moment = fitted_moment(fit)
    adaptive = kcm.KCMTest("adaptive").run(moment)
    drawn = kcm.KCMTest("adaptive", null=kcm.MultiplierBootstrap(499)).run(moment, rng=cell[2])
    classical = [kcm.KCMTest(kernel).run(moment).pvalue for kernel in KERNELS.values()]
    by_place = kcm.FittedMoment(
        moment.residuals, np.arange(N_OBS), moment.jacobian, moment.influence, moment.scale
    )
    projection = Precomputed(escanciano(x / x.std(axis=0)))
    classical.append(kcm.KCMTest(projection).run(by_place).pvalue)
    reset = float(linear_reset(fit, power=3, use_f=True, cov_type="HC3").pvalue)
    members = [member.pvalue for member in adaptive.kernel_tests]
    return [adaptive.pvalue, drawn.pvalue, *classical, reset, *members]


def run(path, replications=REPLICATIONS):
    """Write the p-values of all cells: (departure, d, replication, test)."""
    cells = list(product(DEPARTURES, DIMENSIONS, range(int(replications))))
    with ProcessPoolExecutor(2) as workers:
        found = np.array(list(workers.map(pvalues, cells, chunksize=20)))
    shape = len(DEPARTURES), len(DIMENSIONS), int(replications), len(TESTS)
    np.savez_compressed(path, pvalues=found.reshape(shape))


def rates(found):
    """Return rejection rates: a row for each test, a column for each departure and dimension."""
    columns = pd.MultiIndex.from_product([DEPARTURES, DIMENSIONS], names=["departure", "d"])
    rejected = (found <= LEVEL).mean(axis=2)
    frame = pd.DataFrame(rejected.reshape(-1, len(TESTS)).T, TESTS, columns)
    return frame.sort_index(axis=1, level="d", sort_remaining=False)


def table(source, target):
    """Write the rejection rates."""
    rates(np.load(source)["pvalues"]).to_csv(target)


def weights(source, trials=2_000):
    """Print the smallest worst loss that weights of the members can reach, in this very sample."""
    found = np.load(source)["pvalues"][..., -len(MEMBERS) :]
    tangents = np.tan((0.5 - found.clip(1e-15, 1 - 1e-15)) * np.pi)
    best = (found[1:, ..., :4] <= LEVEL).mean(axis=2).max(axis=-1)
    rng = np.random.default_rng(0)
    candidates = [np.full(len(MEMBERS), 0.2), *rng.dirichlet(np.ones(len(MEMBERS)), trials)]
    worst, power = [], []
    for weight in candidates:
        rejects = (tangents[1:] @ weight >= np.tan((0.5 - LEVEL) * np.pi)).mean(axis=2)
        worst.append((best - rejects).max())
        power.append(rejects.mean())
    least = int(np.argmin(worst))
    print(f"equal weights: worst loss {worst[0]:.3f}, mean power {power[0]:.3f}")
    print(f"best weights {candidates[least].round(2)}: {worst[least]:.3f}, {power[least]:.3f}")
    for d, dimension in enumerate(DIMENSIONS):
        print(
            f"d = {dimension}: {_least_worst_of_smallest(found[:, d], best[:, d], candidates):.3f}"
        )
    together = _least_worst_of_smallest(found, best, candidates)
    print(f"smallest weighted p, level exact in this sample: {together:.3f}")


def _least_worst_of_smallest(found, best, candidates):
    """Return the smallest worst loss of min p_k / w_k with its level exact in the sample."""
    worst = []
    for weight in candidates:
        scores = (found / weight).min(axis=-1)
        critical = np.quantile(scores[0], LEVEL, axis=-1)[None, ..., None]
        worst.append((best - (scores[1:] <= critical).mean(axis=-1)).max())
    return min(worst)


def plot(source, target):
    """Draw the table: the darker, the more power."""
    import matplotlib.pyplot as plt

    frame = pd.read_csv(source, header=[0, 1], index_col=0)
    figure, axes = plt.subplots(figsize=(11, 5), layout="constrained")
    axes.imshow(frame, cmap="Greys", vmin=0, vmax=1.3, aspect="auto")
    for (row, column), rate in np.ndenumerate(frame.to_numpy()):
        dark = "white" if rate > 0.8 else "black"
        axes.text(column, row, f"{rate:.2f}"[1:] if rate < 1 else "1", ha="center", va="center",
                  color=dark, fontsize=8)  # fmt: skip
    axes.set_yticks(range(len(frame)), frame.index)
    labels = [f"{departure}, d = {d}" for departure, d in frame.columns]
    axes.set_xticks(range(frame.shape[1]), labels, rotation=60, ha="right", fontsize=8)
    axes.set_title("Share of samples in which each test rejects at 5 %, n = 200")
    figure.savefig(target, dpi=130)


if __name__ == "__main__":
    {"run": run, "table": table, "weights": weights, "plot": plot}[sys.argv[1]](*sys.argv[2:])
