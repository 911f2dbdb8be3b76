"""The power league: omnibus tests against six departures in one to fifty columns.

In tests/designs:

    python power_league.py run league.npz      # an hour and more: all p-values, n = 200
    python power_league.py table league.npz docs/_static/power_league.csv
    python power_league.py plot docs/_static/power_league.csv docs/_static/power_league.png
    python power_league.py many many.npz 200   # the adaptive test in 10, 20, 50 columns
    python power_league.py kernels wider.npz   # p-values of twenty kernels
    python power_league.py combinations wider.npz  # how little any combination could lose

Seeds depend on the cell and the replication alone, so that the numbers do not depend on the number
of workers.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import combinations, product

import numpy as np
import pandas as pd
import scipy
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from statsmodels.stats.diagnostic import linear_reset

import kcm
from kcm.adapters import fitted_moment
from kcm.kernels import (
    ICM,
    Additive,
    Gaussian,
    Laplace,
    LinearIndex,
    Matern,
    MedianHeuristic,
    Orthant,
    Precomputed,
    Smooth,
    SmoothICM,
    Spectral,
)

N_OBS, LEVEL, REPLICATIONS, DIMENSIONS = 200, 0.05, 500, (1, 2, 5)
MANY_COLUMNS = 10, 20, 50
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
SPECTRAL = {
    "spectral Gaussian": Spectral(Gaussian(), 0.1),
    "spectral Laplace": Spectral(Laplace(), 0.1),
}
MEMBERS = ["Gaussian, 1/4", "Gaussian, 1", "Gaussian, 2", "Laplace, 1", "Laplace, 2"]
SINGLE = ["Gaussian, 1/4", "Gaussian, 1/2", "Gaussian, 1", "Gaussian, 2"]
ADAPTIVE = ["KCM adaptive", "KCM adaptive, draws"]
WITH_SPECTRAL = "KCM adaptive and two spectral"
MANY = ["additive Laplace", "index"]
TESTS = [
    *[*ADAPTIVE, *KERNELS, "Escanciano", "RESET", *MEMBERS, "Gaussian, 1/2", *MANY, *SPECTRAL],
    WITH_SPECTRAL,
]


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
    classical.append(of_matrix(moment, escanciano(x / x.std(axis=0))))
    reset = float(linear_reset(fit, power=3, use_f=True, cov_type="HC3").pvalue)
    members = [member.pvalue for member in adaptive.kernel_tests]
    median = MedianHeuristic()(moment.conditioning)
    one_column = Additive(Laplace(median / np.sqrt(x.shape[1])))
    more = [Gaussian(median / 2), one_column, LinearIndex(fit.params[1:]), *SPECTRAL.values()]
    alone = [kcm.KCMTest(kernel).run(moment).pvalue for kernel in more]
    and_spectral = [*members, *alone[-len(SPECTRAL) :]]
    rest = [adaptive.pvalue, drawn.pvalue, *classical, reset, *members, *alone]
    return [*rest, combined(and_spectral)]


def combined(found):
    """Return the Cauchy combination of p-values."""
    tangents = np.tan((0.5 - np.clip(found, 1e-15, 1 - 1e-15)) * np.pi)
    return scipy.stats.cauchy.sf(tangents.mean())


def of_matrix(moment, matrix):
    """Return the p-value with a Gram matrix as it is."""
    parts = moment.residuals, np.arange(N_OBS), moment.jacobian, moment.influence, moment.scale
    return kcm.KCMTest(Precomputed(matrix / matrix.max())).run(kcm.FittedMoment(*parts)).pvalue


def run(path, replications=REPLICATIONS, function=pvalues, dimensions=DIMENSIONS):
    """Write the p-values of all cells: (departure, d, replication, test)."""
    cells = list(product(DEPARTURES, dimensions, range(int(replications))))
    with ProcessPoolExecutor(2) as workers:
        found = np.array(list(workers.map(function, cells, chunksize=20)))
    shape = len(DEPARTURES), len(dimensions), int(replications), -1
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


SCALES = 0.25, 0.5, 1.0, 2.0
FAMILIES = {"Gaussian": Gaussian, "Laplace": Laplace, "Exponential": partial(Matern, nu=0.5)}
SUMS = [(0, 1), (2, 3), (0, 2), (1, 2)]
WIDER = [f"{family}, {scale:g}" for family in FAMILIES for scale in SCALES]
WIDER += ["Gaussian, 4", *(f"sum of {family}s" for family in FAMILIES)]
WIDER += [f"Gaussians, {SCALES[i]:g} and {SCALES[j]:g}" for i, j in SUMS]


def pvalues_of_wider(cell):
    """Return the p-value with each kernel of `WIDER`; sums are of matrices of equal norm."""
    moment = fitted_moment(draw(*cell)[0])
    x = moment.conditioning
    median = MedianHeuristic()(x)
    found = {
        name: [kcm.gram.matrix(kernel(scale * median), x) for scale in SCALES]
        for name, kernel in FAMILIES.items()
    }
    sums = [sum(map(_of_norm_one, matrices)) for matrices in found.values()]
    gaussians = [_of_norm_one(matrix) for matrix in found["Gaussian"]]
    pairs = [gaussians[i] + gaussians[j] for i, j in SUMS]
    alone = [matrix for matrices in found.values() for matrix in matrices]
    widest = kcm.gram.matrix(Gaussian(4 * median), x)
    return [of_matrix(moment, matrix) for matrix in [*alone, widest, *sums, *pairs]]


def _of_norm_one(matrix):
    return matrix / np.sqrt(np.sum(matrix**2) - np.sum(np.diag(matrix) ** 2))


def kernels(path, replications=REPLICATIONS):
    """Write the p-values of the twenty kernels."""
    run(path, replications, pvalues_of_wider)


def pvalues_of_members(cell):
    """Return the p-value of each member of the adaptive test of many columns."""
    result = kcm.KCMTest("adaptive").run(fitted_moment(draw(*cell)[0]))
    return [one.pvalue for one in result.kernel_tests]


def many(path, replications=REPLICATIONS):
    """Write and print how often five kernels reject, and the two for many columns besides."""
    run(path, replications, pvalues_of_members, MANY_COLUMNS)
    found = np.load(path)["pvalues"]
    for k, d in enumerate(MANY_COLUMNS):
        five = [_rejected(found[cell, k, :, : len(MEMBERS)]) for cell in range(len(DEPARTURES))]
        seven = [_rejected(found[cell, k]) for cell in range(len(DEPARTURES))]
        alone = (found[:, k] <= LEVEL).mean(axis=1).T
        rows = {"five kernels": five, "KCM adaptive": seven}
        rows |= dict(zip([*MEMBERS, *MANY], alone, strict=True))
        print(f"d = {d}", pd.DataFrame(rows, list(DEPARTURES)).T.round(2).to_string(), sep="\n")


def _rejected(found):
    return np.mean([combined(row) <= LEVEL for row in found])


def combinations_of(source):
    """Print the least that combinations lose to the best Gaussian in their worst cell."""
    found = np.load(source)["pvalues"].clip(1e-12, 1 - 1e-6)
    best = (found[1:, ..., : len(SCALES)] <= LEVEL).mean(axis=2).max(axis=-1)
    tangents = np.tan((0.5 - found) * np.pi)
    chosen = [c for size in (2, 3, 4, 5) for c in combinations(range(len(WIDER)), size)]
    scores = {
        "Cauchy": lambda members: tangents[..., members].mean(axis=-1),
        "smallest p-value, its level exact": lambda members: -found[..., members].min(axis=-1),
    }
    critical = {"Cauchy": np.tan((0.5 - LEVEL) * np.pi)}
    for name, score in scores.items():
        worst = [_losses(score(list(c)), best, critical.get(name)) for c in chosen]
        least = int(np.argmin([losses.max() for losses in worst]))
        told = ", ".join(WIDER[k] for k in chosen[least])
        print(f"{name}: {worst[least].max():.3f}, mean {(best - worst[least]).mean():.3f} ({told})")
    for d, dimension in enumerate(DIMENSIONS):
        weighted, worst = _best_of_all_functions(found[:, d], best[:, d])
        print(f"d = {dimension}, any function: at least {weighted:.3f}; this one {worst:.3f}")


def _losses(scores, best, critical=None):
    """Return best power less that of large scores, by default at the exact level of the sample."""
    if critical is None:
        critical = np.quantile(scores[0], 1 - LEVEL, axis=-1)[None, ..., None]
    return best - (scores[1:] > critical).mean(axis=-1)


def _best_of_all_functions(found, best, rounds=30):
    """Return the weighted and the worst loss of the likelihood ratio of the least favourable mix.

    Whatever weights the departures have, a test loses at least their mean loss in its worst cell,
    and no test loses less than the likelihood ratio of the mix does in the mean. The ratio is
    fitted by logistic regression and judged on the folds that it has not seen.
    """
    n = found.shape[1]
    columns = found.reshape(-1, found.shape[-1])
    features = [scipy.stats.norm.isf(columns), columns**-0.25, -np.log(columns)]
    scaled = StandardScaler().fit_transform(np.hstack(features))
    mix, reached = np.full(len(best), 1 / len(best)), []
    for _ in range(rounds):
        losses = _losses(_held_out(scaled, mix, n), best)
        reached.append((float(mix @ losses), float(losses.max())))
        mix = mix * np.exp(6 * losses)
        mix /= mix.sum()
    return reached[-1]


def _held_out(features, mix, n):
    wrong = np.arange(len(features)) >= n
    weights = np.concatenate([np.ones(n), np.repeat(mix * len(mix), n)])
    folds, scores = np.arange(len(features)) % n % 5, np.empty(len(features))
    for fold in range(5):
        kept = folds != fold
        fit = LogisticRegression(C=0.1, max_iter=300)
        fit.fit(features[kept], wrong[kept], sample_weight=weights[kept])
        scores[~kept] = fit.decision_function(features[~kept])
    return scores.reshape(-1, n)


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
    commands = {"run": run, "table": table, "plot": plot}
    commands |= {"many": many, "kernels": kernels, "combinations": combinations_of}
    commands[sys.argv[1]](*sys.argv[2:])
