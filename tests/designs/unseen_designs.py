"""Right models for which nothing was tuned: written after the law, before any rate was known.

Each design takes a generator and a sample size and returns a fitted result or a `FittedMoment`;
those of `CLUSTERED_DESIGNS` return cluster labels too.
"""

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf
from linearmodels.iv import IV2SLS

import kcm
from kcm.adapters import fitted_moment


def _least_squares(x, errors):
    return sm.OLS(1 + x.sum(axis=1) + errors, sm.add_constant(x)).fit()


def heavy_tailed_regressors(rng, n):
    x = rng.standard_t(3, size=(n, 2))
    return _least_squares(x, (1 + np.abs(x[:, 0])) * rng.normal(size=n))


def rare_dummy(rng, n):
    """Draw a dummy of 3 % with twice the variance."""
    rare = np.zeros(n)
    rare[rng.choice(n, max(3, round(0.03 * n)), replace=False)] = 1
    x = np.column_stack([rare, rng.normal(size=n)])
    return _least_squares(x, np.sqrt(1 + rare) * rng.normal(size=n))


def mixture_of_scales(rng, n):
    x = rng.normal(size=(n, 1)) * np.where(rng.random((n, 1)) < 0.1, 5, 1)
    return _least_squares(x, np.sqrt(0.5 + 0.5 * x[:, 0] ** 2) * rng.normal(size=n))


def chi_square_errors(rng, n):
    x = rng.normal(size=(n, 3))
    return _least_squares(x, rng.chisquare(3, size=n) - 3)


def discrete_regressor(rng, n):
    x = rng.poisson(2, size=(n, 1)).astype(float)
    return _least_squares(x, (1 + x[:, 0]) * rng.normal(size=n))


def laplace_errors_uniform_regressors(rng, n):
    x = rng.uniform(size=(n, 4))
    return _least_squares(x, (0.2 + x[:, 0]) * rng.laplace(size=n))


def rare_successes(rng, n):
    """Draw a logit with about 15 % successes and a skewed regressor."""
    x = rng.exponential(size=(n, 2))
    chance = 1 / (1 + np.exp(2.8 - 0.6 * x.sum(axis=1)))
    return sm.Logit((rng.random(n) < chance).astype(float), sm.add_constant(x)).fit(disp=0)


def counts_lognormal_regressor(rng, n):
    x = np.exp(0.5 * rng.normal(size=n))
    counts = rng.poisson(np.exp(0.2 + 0.5 * x))
    return sm.GLM(counts, sm.add_constant(x), family=sm.families.Poisson()).fit()


def skewed_instrument(rng, n):
    z, v = rng.exponential(size=n) - 1, rng.normal(size=n)
    x = z + v
    u = (0.5 + z**2) ** 0.5 * (0.6 * v + 0.8 * rng.normal(size=n))
    return IV2SLS(1 + x + u, np.ones((n, 1)), x, z).fit()


def median_growing_errors(rng, n):
    x = rng.exponential(size=(n, 1))
    y = 1 + x[:, 0] + (0.5 + x[:, 0]) * rng.normal(size=n)
    return sm.QuantReg(y, sm.add_constant(x)).fit()


def quartic(rng, n):
    x = rng.normal(size=n)
    data = pd.DataFrame({"x": x, "y": 1 + x - 0.5 * x**2 + rng.normal(size=n)})
    return smf.ols("y ~ x + I(x**2) + I(x**3) + I(x**4)", data).fit()


def pareto_regressor(rng, n):
    x = rng.pareto(2.5, size=(n, 1))
    return _least_squares(x, rng.standard_t(5, size=n))


def twelve_correlated_regressors(rng, n):
    common = rng.normal(size=(n, 1))
    x = np.sqrt(0.7) * common + np.sqrt(0.3) * rng.normal(size=(n, 12))
    return _least_squares(x, np.exp(0.3 * x[:, 0]) * rng.normal(size=n))


def thirty_regressors_ten_dummies(rng, n):
    x = rng.normal(size=(n, 30))
    x[:, :10] = x[:, :10] > 0.8
    return _least_squares(x, rng.normal(size=n))


def four_variables_all_products(rng, n):
    x = rng.normal(size=(n, 4))
    data = pd.DataFrame(x, columns=list("abcd"))
    data["y"] = (
        1 + x.sum(axis=1) + x[:, 0] * x[:, 1] + (1 + 0.5 * x[:, 2] ** 2) * rng.normal(size=n)
    )
    return smf.ols("y ~ (a + b + c + d)**2", data).fit()


def gamma_skewed_regressor(rng, n):
    x = rng.chisquare(1, size=n)
    mean = np.exp(0.5 + 0.3 * x)
    family = sm.families.Gamma(sm.families.links.Log())
    return sm.GLM(rng.gamma(2, mean / 2), sm.add_constant(x), family=family).fit()


def right_weights_exponential(rng, n):
    x = rng.exponential(size=n)
    sd = 0.2 + x
    y = 1 + x + sd * rng.normal(size=n)
    return sm.WLS(y, sm.add_constant(x), weights=sd**-2).fit()


def treatment_with_interaction(rng, n):
    """Draw 10 % treated with four times the variance, and an effect that grows with x."""
    treated, x = (rng.random(n) < 0.1).astype(float), rng.normal(size=n)
    data = pd.DataFrame({"d": treated, "x": x})
    data["y"] = 1 + x + treated * (1 + x) + (1 + treated) * rng.normal(size=n)
    return fitted_moment(smf.ols("y ~ d * x", data).fit(), data[["d", "x"]])


def two_humps(rng, n):
    right = rng.random((n, 1)) < 0.3
    x = rng.normal(size=(n, 1)) * 0.5 + np.where(right, 4, 0)
    return _least_squares(x, np.where(right[:, 0], 2, 0.5) * rng.normal(size=n))


def endogenous_lognormal_instrument(rng, n):
    """Draw a linear model estimated by minimum maximum moment restriction."""
    z, v = np.exp(0.5 * rng.normal(size=n)), rng.normal(size=n)
    x = z + 0.7 * v
    u = np.exp(0.3 * z) * (0.5 * v + 0.8 * rng.normal(size=n))
    return kcm.MMR.from_formula("y ~ x | z", {"y": 1 + x + u, "x": x, "z": z}).fit().fitted_moment


UNSEEN = {
    design.__name__.replace("_", "-"): design
    for design in (
        heavy_tailed_regressors,
        rare_dummy,
        mixture_of_scales,
        chi_square_errors,
        discrete_regressor,
        laplace_errors_uniform_regressors,
        rare_successes,
        counts_lognormal_regressor,
        skewed_instrument,
        median_growing_errors,
        quartic,
        pareto_regressor,
        twelve_correlated_regressors,
        thirty_regressors_ten_dummies,
        four_variables_all_products,
        gamma_skewed_regressor,
        right_weights_exponential,
        treatment_with_interaction,
        two_humps,
        endogenous_lognormal_instrument,
    )
}


def unequal_clusters(rng, n):
    """Draw about n / 6 clusters of 1 to 30 rows that share an error and a skewed regressor."""
    sizes = np.minimum(1 + rng.geometric(0.18, size=n), 30)
    groups = np.repeat(np.arange(n), sizes)[:n]
    m = groups.max() + 1
    x = rng.exponential(size=(m, 1))[groups] + 0.5 * rng.normal(size=(n, 1))
    error = np.sqrt(x[:, 0] ** 2 + 0.2) * (rng.normal(size=m)[groups] + rng.normal(size=n))
    return _least_squares(x, error), groups


def cluster_dummies(rng, n):
    """Draw 30 clusters, a regressor that is constant within them, and a dummy of three of them."""
    groups = np.arange(n) % 30
    level = rng.normal(size=30)[groups]
    x = np.column_stack([level, groups < 3, rng.normal(size=n)]).astype(float)
    return _least_squares(x, rng.normal(size=30)[groups] + rng.normal(size=n)), groups


CLUSTERED_DESIGNS = {"unequal-clusters": unequal_clusters, "cluster-dummies": cluster_dummies}
