"""
Confidence sets: strong, weak and misspecified
==============================================

Collect the values of a coefficient that the test does not reject. With a strong instrument they
form an interval, with a weak one two rays, with an irrelevant one the whole line, and under a wrong
specification there are none. The true coefficient is -1.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import kcm

# %%
# Four designs
# ------------
# z is the instrument of x. Its strength differs, and in the last design y depends on its square,
# which no coefficient of x can explain.


def draw(strength, square=0.0):
    """Draw 120 observations."""
    z, u, e = np.random.default_rng(4).normal(size=(3, 120))
    x = strength * z + u
    y = 1 - x + 0.8 * u + 0.6 * e + square * (z**2 - 1)
    return pd.DataFrame({"y": y, "x": x, "z": z})


designs = {
    "strong": draw(1.0),
    "weak": draw(0.25),
    "irrelevant": draw(0.0),
    "misspecified": draw(1.0, square=0.8),
}
fits = {name: kcm.MMR.from_formula("y ~ x | z", data).fit() for name, data in designs.items()}

# %%
# The sets
# --------
# The p-value is computed at 63 values, the outermost of which stand for the limits, and then
# around the ends of the set. The null law by cumulants is the fast one. Compare with the Wald
# interval, which is always of finite length: where the instrument is irrelevant it excludes the
# truth.

fast = kcm.Asymptotic(method="cumulants")
sets = {name: fit.confidence_set("x", null=fast) for name, fit in fits.items()}
wald = {name: fit.conf_int().loc["x"] for name, fit in fits.items()}
table = pd.DataFrame(
    {
        "confidence set": {name: region.describe() for name, region in sets.items()},
        "Wald": {name: f"[{low:.2f}, {high:.2f}]" for name, (low, high) in wald.items()},
    }
)
print(table.to_string())

# %%
# The p-value as a function of the coefficient. Kept values are grey, the dashed line is 1 -
# level, the dotted one the estimate.

fig, axes = plt.subplots(2, 2, figsize=(8, 6), layout="constrained")
for ax, (name, region) in zip(axes.flat, sets.items(), strict=True):
    region.plot(ax)
    ax.set_title(name)
plt.show()

# %%
# Two parameters
# --------------
# A region of the constant and the slope under the strong instrument, on a grid. The default grid
# of 21 by 21 values within five standard errors ends before the region does, and its summary says
# so; this one is wider and coarser.

grid = {"Intercept": np.linspace(0.9, 1.7, 15), "x": np.linspace(-2.5, -0.7, 15)}
region = fits["strong"].confidence_set(["Intercept", "x"], grid=grid, null=fast)
print(region.summary())
fig, ax = plt.subplots(figsize=(5, 4), layout="constrained")
region.plot(ax)
plt.show()

# %%
# A single question
# -----------------
# To test given values there is no need for a set.

print(fits["weak"].test_at({"x": -1.0}).summary())
