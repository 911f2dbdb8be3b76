"""How often tests reject, by simulation, and how often they may."""

import numpy as np

import kcm
from kcm.adapters import fitted_moment

N_REPLICATIONS = 1_000
BOUNDS = {200: (0.03, 0.07), 100: (0.025, 0.08)}
TESTS = {
    "asymptotic": {},
    "rademacher": {"null": kcm.MultiplierBootstrap(199)},
}


def rejection_rates(design, n, tests, n_replications=N_REPLICATIONS, level=0.05):
    """Share of replications that each test rejects; seeds depend on the replication only."""
    rejected = {name: 0 for name in tests}
    for replication in range(n_replications):
        data, draws = np.random.SeedSequence([n, replication]).spawn(2)
        moment = fitted_moment(design(np.random.default_rng(data), n))
        for name, options in tests.items():
            result = kcm.KCMTest(**options).run(moment, np.random.default_rng(draws))
            rejected[name] += result.pvalue <= level
    rates = {name: count / n_replications for name, count in rejected.items()}
    print(f"n = {n}: {rates}")
    return rates


ADAPTIVE = {
    "cauchy": {"kernel": "adaptive"},
    "smallest": {"kernel": "adaptive", "null": kcm.MultiplierBootstrap(199)},
}
