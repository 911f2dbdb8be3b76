"""Right models whose variance grows where the leverage is, and models with many regressors."""

import numpy as np
import statsmodels.api as sm


def _least_squares(regressors, sd):
    """Make y = 1 + sum x + sd(x) z, fitted by least squares."""

    def design(rng, n):
        x = regressors(rng, n)
        y = 1 + x.sum(axis=1) + sd(x) * rng.normal(size=n)
        return sm.OLS(y, sm.add_constant(x)).fit()

    return design


def _lognormal(d):
    return lambda rng, n: np.exp(rng.normal(size=(n, d)))


def _normal(d):
    return lambda rng, n: rng.normal(size=(n, d))


def _first(x):
    return x[:, 0]


def _equal(x):
    return np.ones(len(x))


def wls_with_wrong_weights(rng, n):
    """Draw equal variances, and weigh as if they were exp(2 x)."""
    x = rng.normal(size=n)
    y = 1 + x + rng.normal(size=n)
    return sm.WLS(y, sm.add_constant(x), weights=np.exp(-2 * x)).fit()


def poisson_fit_to_gamma_mixed_counts(rng, n):
    x = rng.exponential(size=n)
    counts = rng.poisson(np.exp(0.3 + 0.4 * x) * rng.gamma(2, 0.5, size=n))
    return sm.GLM(counts, sm.add_constant(x), family=sm.families.Poisson()).fit()


LOGNORMAL = _least_squares(_lognormal(1), _first)
EXPONENTIAL = _least_squares(lambda rng, n: rng.exponential(size=(n, 1)), _first)

# name: design, sample size, bounds of the rate at 5 %
SKEWED = {
    "lognormal-100": (LOGNORMAL, 100, (0.03, 0.07)),
    "lognormal-200": (LOGNORMAL, 200, (0.03, 0.07)),
    "lognormal-500": (LOGNORMAL, 500, (0.03, 0.07)),
    "lognormal-1000": (LOGNORMAL, 1_000, (0.03, 0.07)),
    "exponential-100": (EXPONENTIAL, 100, (0.03, 0.07)),
    "exponential-200": (EXPONENTIAL, 200, (0.03, 0.07)),
    "five-lognormal-200": (_least_squares(_lognormal(5), _first), 200, (0.03, 0.07)),
    "wrong-weights-100": (wls_with_wrong_weights, 100, (0.03, 0.075)),
    "two-chi-square-100": (
        _least_squares(lambda rng, n: rng.chisquare(2, size=(n, 2)), _first),
        100,
        (0.03, 0.085),
    ),
    "gamma-mixed-counts-200": (poisson_fit_to_gamma_mixed_counts, 200, (0.03, 0.07)),
    "normal-d20-200": (_least_squares(_normal(20), _equal), 200, (0.02, 0.07)),
    "normal-d50-200": (_least_squares(_normal(50), _equal), 200, (0.02, 0.07)),
}


def omitted_square(d):
    """Make y = 1 + sum x + .4 (x1^2 - 1) + e, fitted without the square."""

    def design(rng, n):
        x = rng.normal(size=(n, d))
        y = 1 + x.sum(axis=1) + 0.4 * (x[:, 0] ** 2 - 1) + rng.normal(size=n)
        return sm.OLS(y, sm.add_constant(x)).fit()

    return design
