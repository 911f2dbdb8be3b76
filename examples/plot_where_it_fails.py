"""
Where does the model fail?
==========================

A p-value tells that a model is wrong. The witness tells where: at which ages the wages of 205
Canadian men are not what a quadratic in age says, and which of several variables is to blame.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

import kcm

# %%
# A quadratic and a quartic
# -------------------------
# The line is the mean residual near each age, the band holds at all ages at once. The quadratic
# predicts too little around 30 and too much around 45, the dip that a quartic follows; its own
# band contains zero at every age. The two axes have different scales: points beyond are not shown.
# One kernel is named, so that both models are seen at one scale; by default the test combines five.

data = kcm.datasets.load_cps71()
formulas = {
    "quadratic": "logwage ~ age + I(age**2)",
    "quartic": "logwage ~ age + I(age**2) + I(age**3) + I(age**4)",
}
gaussian = kcm.kernels.Gaussian()
results = {
    name: kcm.specification_test(smf.ols(formula, data).fit(), kernel=gaussian)
    for name, formula in formulas.items()
}
fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for ax, (name, result) in zip(axes, results.items(), strict=True):
    result.plot_witness(ax=ax)
    ax.set_title(f"{name}: p = {result.pvalue:.2g}")
plt.show()

# %%
# The same as numbers
# -------------------
# The squared norm of the embedding, without the bias that estimation gives the statistic, and as a
# share of what it could be at most; then the ages at which the band excludes zero.

ages = np.arange(22.0, 64.0)
bands = {name: result.embedding.band(ages, rng=0) for name, result in results.items()}
for name, result in results.items():
    effect = result.embedding.effect_size()
    low, high = effect.conf_int()
    told = ages[bands[name].excludes_zero[:, 0]].astype(int).tolist()
    print(f"{name}: effect size {effect.value:.4f}, 95 % interval {low:.4f} to {high:.4f}")
    print(f"    the band excludes zero at ages {told or 'none'}")

# %%
# How far from significance
# -------------------------
# The null law of the statistic, its critical value and the statistic itself.

fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
results["quadratic"].plot_null(ax=ax)
plt.show()

# %%
# How many men would have been enough? The power at other sample sizes, and the size for 80 %, if
# the departure is the one that this sample shows.

powers = {n: round(kcm.power(results["quadratic"], n), 2) for n in (50, 100, 205, 400)}
print("power by sample size:", powers)
print("observations for 80 %:", kcm.sample_size(results["quadratic"]))

# %%
# Which variable?
# ---------------
# Five regressors, one of which matters by its square, too. Each variable is tested alone.

rng = np.random.default_rng(0)
frame = pd.DataFrame(rng.normal(size=(500, 5)), columns=["a", "b", "c", "d", "e"])
frame["y"] = frame.sum(axis=1) + 0.3 * frame["c"] ** 2 + rng.normal(size=500)
wrong = kcm.specification_test(smf.ols("y ~ a + b + c + d + e", frame).fit())
contributions = wrong.embedding.contributions()
print(contributions.summary())
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
contributions.plot(axes[0])
wrong.plot_witness(contributions.variable, ax=axes[1])
plt.show()

# %%
# Two variables at once
# ---------------------
# An interaction that the model leaves out. The band excludes zero inside the outlines, and is below
# zero where they are hatched.

frame["z"] = frame["a"] + frame["b"] + 0.6 * frame["a"] * frame["b"] + rng.normal(size=500)
product = kcm.specification_test(smf.ols("z ~ a + b", frame).fit())
fig, ax = plt.subplots(figsize=(6, 4.6), layout="constrained")
product.plot_witness(["a", "b"], ax=ax)
plt.show()

# %%
# Two models of the same data
# ---------------------------
# Are the residuals of two models the same function of age on average? The distance of their
# embeddings, with a test that accounts for both estimates.

first, second = (result.embedding for result in results.values())
distance = first.distance(second)
print(distance.summary())
