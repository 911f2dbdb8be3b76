"""
A moment of your own
====================

Estimate an exponential model with an endogenous regressor from its residual, written as a function
of one observation, and test it. The same data with a linear residual: the estimates look precise,
and the test rejects the form.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import kcm

# %%
# Data
# ----
# Spending y grows exponentially with x. The error of y moves with x through v, so that regression
# is inconsistent; z moves x and is independent of the error.

rng = np.random.default_rng(1)
z, v, e = rng.normal(size=(3, 400))
x = 0.8 * z + 0.6 * v
data = pd.DataFrame({"y": np.exp(0.5 + 0.5 * x) + 0.5 * v + 0.5 * e, "x": x, "z": z})

# %%
# The moment
# ----------
# The claim is E[y - exp(a + b x) | z] = 0. The residual reads the parameters and the columns by
# name, for one row, with functions of ``jax.numpy``; its derivatives are found automatically.


def exponential(params, row):
    """Spending less its prediction."""
    return row["y"] - jnp.exp(params["a"] + params["b"] * row["x"])


moment = kcm.ConditionalMoment(exponential, "z", name="y - exp(a + b x)")
results = kcm.MMR(moment, data).fit({"a": 0.0, "b": 0.0})
print(results.summary())

# %%
# The test
# --------
# It uses the same kernel and knows that a and b were estimated. There is no sign of a
# misspecification.

right = results.test()
print(right.summary())

# %%
# The wrong form
# --------------
# A linear residual, estimated in the same way. Its standard errors are no warning; its test is.


def linear(params, row):
    """Spending less a line in x."""
    return row["y"] - params["a"] - params["b"] * row["x"]


line = kcm.MMR(kcm.ConditionalMoment(linear, "z", name="y - a - b x"), data)
wrong_results = line.fit({"a": 0.0, "b": 0.0})
wrong = wrong_results.test()
print(
    pd.DataFrame({"estimate": wrong_results.params, "standard error": wrong_results.bse}).round(3)
)
print(f"p-value of the linear form: {wrong.pvalue:.2g}")

# %%
# Where it fails
# --------------
# Means of the residual in ten groups of z with two standard errors. Under the right form they lie
# around zero; the linear residual is too high at both ends and a little too low between.

groups = pd.qcut(data["z"], 10)
fig, axes = plt.subplots(1, 2, figsize=(8, 3.5), sharey=True, layout="constrained")
for ax, fit, test in zip(axes, (results, wrong_results), (right, wrong), strict=True):
    means = fit.resid.groupby(groups, observed=True).agg(["mean", "sem"])
    ax.errorbar(
        data["z"].groupby(groups, observed=True).mean(),
        means["mean"],
        2 * means["sem"],
        fmt="o",
        color="black",
        capsize=3,
    )
    ax.axhline(0, color="0.5", linewidth=0.8)
    ax.set(xlabel="z", title=f"{fit.model.moment.name}: p = {test.pvalue:.2g}")
axes[0].set_ylabel("mean residual")
plt.show()
