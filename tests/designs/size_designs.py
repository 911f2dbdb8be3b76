"""Data-generating processes under the null, each fitted in the usual way.

Each design takes a generator and a sample size and returns what a user would hold: a fitted
result, or a `FittedMoment`.
"""

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf
from linearmodels.iv import IV2SLS, IVGMM, IVGMMCUE, IVLIML
from statsmodels.sandbox.regression import gmm

import kcm
from kcm.adapters import fitted_moment


def _normal(rng, x):
    return rng.normal(size=len(x))


def _heteroskedastic(rng, x):
    return rng.normal(size=len(x)) * np.sqrt(0.1 + 0.1 * np.sum(x**2, axis=1))


def _exponential(rng, x):
    return rng.exponential(size=len(x)) - 1


def _leverage(rng, x):
    return rng.normal(size=len(x)) * np.sqrt(0.1 + 0.9 * x[:, 0] ** 2)


def _ols(d, errors):
    def design(rng, n):
        x = rng.normal(size=(n, d))
        return sm.OLS(1 + x.sum(axis=1) + errors(rng, x), sm.add_constant(x)).fit()

    return design


def wls(rng, n):
    x = rng.normal(size=(n, 2))
    y = 1 + x.sum(axis=1) + _heteroskedastic(rng, x)
    return sm.WLS(y, sm.add_constant(x), weights=1 / (0.1 + 0.1 * np.sum(x**2, axis=1))).fit()


def wls_steep(rng, n):
    """Draw errors of sd exp(x): weights that differ by factors of thousands."""
    x = rng.normal(size=n)
    y = 1 + x + np.exp(x) * rng.normal(size=n)
    return sm.WLS(y, sm.add_constant(x), weights=np.exp(-2 * x)).fit()


def _index(rng, n, scale=1.0):
    x = rng.normal(size=(n, 2))
    return sm.add_constant(x), scale * (0.3 + 0.5 * x[:, 0] - 0.5 * x[:, 1])


def logit(rng, n):
    design, index = _index(rng, n)
    return sm.Logit((rng.random(n) < 1 / (1 + np.exp(-index))).astype(float), design).fit(disp=0)


def probit(rng, n):
    design, index = _index(rng, n)
    return sm.Probit((rng.normal(size=n) < index).astype(float), design).fit(disp=0)


def poisson(rng, n):
    design, index = _index(rng, n)
    return sm.Poisson(rng.poisson(np.exp(index)), design).fit(disp=0)


def poisson_overdispersed(rng, n):
    design, index = _index(rng, n)
    return sm.Poisson(rng.poisson(np.exp(index) * rng.gamma(2, 0.5, size=n)), design).fit(disp=0)


def negative_binomial(rng, n):
    design, index = _index(rng, n)
    y = rng.poisson(np.exp(index) * rng.gamma(2, 0.5, size=n))
    return sm.NegativeBinomial(y, design).fit(disp=0, maxiter=200)


def _from_poisson(model, y, design):
    """Fit by Newton steps from the Poisson estimates: the default start often fails."""
    start = np.append(sm.Poisson(y, design).fit(disp=0).params, 0.3)
    return model(y, design).fit(start_params=start, method="newton", disp=0)


def negative_binomial_p(rng, n):
    design, index = _index(rng, n)
    y = rng.poisson(np.exp(index) * rng.gamma(2, 0.5, size=n))
    return _from_poisson(sm.NegativeBinomialP, y, design)


def generalized_poisson(rng, n):
    """Draw the sizes of families that start with a Poisson number and have Poisson offspring.

    Their law is generalized Poisson (Consul and Jain 1973). Other overdispersed counts will not
    do: the estimator of the mean is inconsistent when the likelihood is wrong.
    """
    design, index = _index(rng, n)
    generation = rng.poisson(np.exp(index) / 1.3)
    y = generation.copy()
    while generation.any():
        generation = rng.poisson(0.3 / 1.3 * generation)
        y += generation
    return _from_poisson(sm.GeneralizedPoisson, y, design)


def trials(rng, n):
    design, index = _index(rng, n)
    successes = rng.binomial(8, 1 / (1 + np.exp(-index)))
    counts = np.column_stack([successes, 8 - successes])
    return sm.GLM(counts, design, family=sm.families.Binomial()).fit()


def gls(rng, n):
    x = rng.normal(size=(n, 2))
    y = 1 + x.sum(axis=1) + _heteroskedastic(rng, x)
    return sm.GLS(y, sm.add_constant(x), sigma=0.1 + 0.1 * np.sum(x**2, axis=1)).fit()


def sandbox_2sls(rng, n):
    y, x, z = _endogenous(rng, n, 2)
    return gmm.IV2SLS(y, sm.add_constant(x), sm.add_constant(z)).fit()


def gamma_log(rng, n):
    design, index = _index(rng, n)
    family = sm.families.Gamma(sm.families.links.Log())
    return sm.GLM(rng.gamma(2, np.exp(index) / 2), design, family=family).fit()


def quantile(rng, n):
    x = rng.normal(size=(n, 2))
    y = 1 + x.sum(axis=1) + rng.normal(size=n) * np.sqrt(0.5 + 0.2 * x[:, 0] ** 2)
    return sm.QuantReg(y, sm.add_constant(x)).fit()


def _endogenous(rng, n, k):
    """Draw y, the endogenous x and k instruments, with a nonlinear first stage."""
    z, h, v, w = rng.normal(size=(n, k)), *rng.normal(size=(3, n))
    first_stage = 1.5 * np.tanh(z.sum(axis=1)) + 0.7 * (z[:, 0] ** 2 - 1)
    x = first_stage + 0.8 * h + 0.6 * v
    return 1 + x + 0.8 * h + 0.6 * w, x, z


def _instrumental(estimator, k, fit_options=None, **model_options):
    def design(rng, n):
        y, x, z = _endogenous(rng, n, k)
        return estimator(y, np.ones((n, 1)), x, z, **model_options).fit(**(fit_options or {}))

    return design


def ivgmm_sandbox(rng, n):
    y, x, z = _endogenous(rng, n, 3)
    model = gmm.IVGMM(y, sm.add_constant(x), sm.add_constant(z))
    return model.fit(maxiter=2, optim_args={"disp": 0})


def ivgmm_exponential(rng, n):
    """Draw y = exp(x'b) + e, e correlated with x and heteroskedastic in the instruments."""
    z, h, v, w = rng.normal(size=(n, 3)), *rng.normal(size=(3, n))
    x = sm.add_constant(np.tanh(z.sum(axis=1)) + 0.4 * h + 0.3 * v)
    y = np.exp(x @ [0.2, 0.5]) + (0.5 * h + 0.5 * w) * np.sqrt(0.5 + 0.5 * z[:, 0] ** 2)
    model = gmm.NonlinearIVGMM(y, x, sm.add_constant(z), lambda b, x: np.exp(x @ b))
    return model.fit(np.array([0.0, 0.1]), maxiter=2, optim_args={"disp": 0})


class MultiplicativeError(gmm.GMM):
    """E[z (y / exp(x'b) - 1)] = 0, written as a user would."""

    def momcond(self, params):
        """Return the moment conditions."""
        ratio = self.endog / np.exp(self.exog @ params)
        return self.instrument * (ratio - 1)[:, None]


def gmm_subclass(rng, n):
    """Draw y = exp(x'b) times a gamma variable that moves x."""
    z, v, u = rng.normal(size=(n, 3)), rng.normal(size=n), rng.gamma(4, 0.25, size=n)
    x = sm.add_constant(np.tanh(z.sum(axis=1)) + 0.5 * (u - 1) + 0.3 * v)
    model = MultiplicativeError(np.exp(x @ [0.2, 0.5]) * u, x, sm.add_constant(z))
    return model.fit(np.array([0.0, 0.1]), maxiter=2, optim_args={"disp": 0})


def simeq(rng, n):
    """Draw the demand and supply system of Muandet et al. (2020), each equation by 2SLS."""
    r, w = rng.normal(size=(2, n))
    v = rng.multivariate_normal([0, 0], 1e-3 * np.array([[1, 0.5**0.5], [0.5**0.5, 1]]), size=n)
    q, p = r - w + v[:, 0], r + w + v[:, 1]
    instruments = np.column_stack([r, w])
    demand = IV2SLS(q, r, p, w).fit()
    supply = IV2SLS(q, w, p, r).fit()
    return kcm.stack_equations(
        fitted_moment(demand, instruments), fitted_moment(supply, instruments)
    )


def clustered(size):
    """Make clusters of a size that share an error and a regressor."""

    def design(rng, n):
        groups = np.arange(n) // size
        x = rng.normal(size=(n // size, 1))[groups] + 0.5 * rng.normal(size=(n, 1))
        error = (rng.normal(size=n // size)[groups] + rng.normal(size=n)) / np.sqrt(2)
        return sm.OLS(1 + x[:, 0] + error, sm.add_constant(x)).fit()

    return design


def mixed(rng, n):
    """Draw a wage from age, a city and a grade: a number, a string and an ordered category."""
    data = pd.DataFrame(
        {
            "age": rng.normal(size=n),
            "city": rng.choice(["Bern", "Lyon", "Turin"], size=n),
            "grade": pd.Categorical.from_codes(
                rng.integers(3, size=n), ["low", "mid", "high"], ordered=True
            ),
        }
    )
    level = (
        data["city"].map({"Bern": 0.0, "Lyon": 0.5, "Turin": -0.5}) + 0.5 * data["grade"].cat.codes
    )
    data["wage"] = (
        1 + data["age"] + level + rng.normal(size=n) * np.sqrt(0.5 + 0.5 * data["age"] ** 2)
    )
    fit = smf.ols("wage ~ age + C(city) + C(grade)", data=data).fit()
    return fitted_moment(fit, data[["age", "city", "grade"]])


def uncorrected(design):
    """Declare theta known although the residuals are those of a fit: the published procedure."""

    def declared(rng, n):
        moment = fitted_moment(design(rng, n))
        return kcm.FittedMoment(moment.residuals, moment.conditioning)

    return declared


def known(rng, n):
    x = rng.normal(size=(n, 2))
    return kcm.FittedMoment(_heteroskedastic(rng, x), x)


DESIGNS = {
    "ols-d1-normal": _ols(1, _normal),
    "ols-d1-heteroskedastic": _ols(1, _heteroskedastic),
    "ols-d1-exponential": _ols(1, _exponential),
    "ols-d5-normal": _ols(5, _normal),
    "ols-d5-heteroskedastic": _ols(5, _heteroskedastic),
    "ols-d5-exponential": _ols(5, _exponential),
    "logit": logit,
    "poisson": poisson,
    "2sls-just-identified": _instrumental(IV2SLS, 1),
    "2sls-over-identified": _instrumental(IV2SLS, 3),
    "simeq": simeq,
}
OTHER_MODELS = {
    "wls": wls,
    "wls-steep": wls_steep,
    "probit": probit,
    "negative-binomial": negative_binomial,
    "negative-binomial-p": negative_binomial_p,
    "generalized-poisson": generalized_poisson,
    "binomial-trials": trials,
    "gamma-log": gamma_log,
    "gls": gls,
    "quantile": quantile,
    "liml": _instrumental(IVLIML, 3),
    "fuller": _instrumental(IVLIML, 3, fuller=1),
    "gmm": _instrumental(IVGMM, 3),
    "gmm-cue": _instrumental(IVGMMCUE, 3, {"display": False}),
    "2sls-sandbox": sandbox_2sls,
    "ivgmm-sandbox": ivgmm_sandbox,
    "ivgmm-exponential": ivgmm_exponential,
    "gmm-subclass": gmm_subclass,
    "known": known,
}
HEAVY_LEVERAGE = {
    "ols": _ols(1, _leverage),
    "poisson-overdispersed": poisson_overdispersed,
}


def omitted_square(rng, n):
    """Draw y = 1 + sum x + .3 (x1^2 - 1) + e, fitted without the square."""
    x = rng.normal(size=(n, 5))
    y = 1 + x.sum(axis=1) + 0.3 * (x[:, 0] ** 2 - 1) + rng.normal(size=n)
    return sm.OLS(y, sm.add_constant(x)).fit()


def omitted_square_at_leverage(rng, n):
    """Draw y = 1 + x + .3 (x^2 - 1) + e, e of sd sqrt(.1 + .9 x^2), fitted without the square."""
    x = rng.normal(size=(n, 1))
    y = 1 + x[:, 0] + 0.3 * (x[:, 0] ** 2 - 1) + _leverage(rng, x)
    return sm.OLS(y, sm.add_constant(x)).fit()


def interaction(size):
    """Make a logit of x1 + x2 + size x1 x2, fitted without the product."""

    def design(rng, n):
        x = rng.normal(size=(n, 2))
        index = x.sum(axis=1) + size * x[:, 0] * x[:, 1]
        y = (rng.random(n) < 1 / (1 + np.exp(-index))).astype(float)
        return sm.Logit(y, sm.add_constant(x)).fit(disp=0)

    return design
