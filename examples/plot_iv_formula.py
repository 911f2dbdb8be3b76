"""
Instrumental variables by formula
=================================

Estimate a demand equation with an endogenous price by MMR, VMM and two-stage least squares. The
first two use every function of the instrument, so that none has to be chosen, and here their
standard errors are the smaller ones.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from linearmodels.iv import IV2SLS

import kcm

# %%
# Data
# ----
# The price x depends on the cost shifter z along a parabola, and on the unobserved v, which also
# moves demand. The variance of the error grows with abs(z). The coefficient of x is -1.

rng = np.random.default_rng(2)
z, w, v, e = rng.normal(size=(4, 500))
x = 0.5 * z + 0.5 * (z**2 - 1) + 0.5 * w + v
y = 1 - x + 0.5 * w + (0.3 + 0.7 * np.abs(z)) * (0.6 * v + 0.8 * e)
data = pd.DataFrame({"y": y, "x": x, "z": z, "w": w})

# %%
# Estimates
# ---------
# Left of the bar stand the regressors, right of it the variables that the residual has mean zero
# given: the instrument and the exogenous regressor.

formula = "y ~ x + w | z + w"
mmr = kcm.MMR.from_formula(formula, data).fit()
vmm = kcm.VMM.from_formula(formula, data).fit()
tsls = IV2SLS.from_formula("y ~ 1 + w + [x ~ z]", data).fit()
print(mmr.summary())

# %%
# Side by side
# ------------
# Two-stage least squares uses z alone and sees a straight line in it. MMR sees the parabola too;
# VMM also weighs observations by the variance of their error.

estimates = pd.DataFrame({"MMR": mmr.params, "VMM": vmm.params, "2SLS": tsls.params})
errors = pd.DataFrame({"MMR": mmr.bse, "VMM": vmm.bse, "2SLS": tsls.std_errors})
print(pd.concat({"estimate": estimates, "standard error": errors}, axis=1).round(3).to_string())

fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
for row, (name, marker) in enumerate(zip(("2SLS", "MMR", "VMM"), "os^", strict=True)):
    ax.errorbar(
        estimates.loc["x", name],
        row,
        xerr=1.96 * errors.loc["x", name],
        fmt=marker,
        color="black",
        capsize=4,
    )
ax.axvline(-1, color="black", linestyle=":", label="truth")
ax.set(
    yticks=range(3), yticklabels=["2SLS", "MMR", "VMM"], xlabel="coefficient of x, 95 % interval"
)
ax.set(ylim=(-0.6, 2.6))
ax.legend()
plt.show()

# %%
# Hypotheses and predictions
# --------------------------
# Restrictions are written with the names of the parameters. Predictions need the regressors only;
# they answer what y would be if x were set to these values.

print(vmm.wald_test("x = -1, w = 0.5").summary())
print(vmm.predict(pd.DataFrame({"x": [0.0, 1.0], "w": [0.0, 0.0]})).round(3))

# %%
# Is the equation right?
# ----------------------
# The test asks whether the residual has mean zero whatever the values of z and w. It would see a
# wrong form as well as an instrument that enters the equation: here w is left out of it by
# mistake.

test = vmm.test()
without_w = kcm.MMR.from_formula("y ~ x | z + w", data).fit().test()
print(f"p-value as it stands {test.pvalue:.2f}, without w {without_w.pvalue:.2g}")
