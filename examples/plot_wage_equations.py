"""
Returns to schooling
====================

The wage equations of Mroz (1987) and Card (1995) by MMR with a Gaussian kernel, beside ordinary and
two-stage least squares, and the test of each. On both data sets the standard error of MMR is below
that of two-stage least squares, and the equation is not rejected at 5 %.
"""

import warnings

import matplotlib.pyplot as plt
import pandas as pd
import statsmodels.formula.api as smf
from linearmodels.datasets import card, mroz
from linearmodels.iv import IV2SLS

import kcm

# %%
# Married women
# -------------
# Schooling is endogenous; its instruments are the schooling of mother and father. Wages are known
# for the 428 women who work, and the others are left out.

women = mroz.load().dropna(subset=["lwage"])
kernel = kcm.kernels.Gaussian()
women_mmr = kcm.MMR.from_formula(
    "lwage ~ educ + exper + I(exper**2) | motheduc + fatheduc + exper", women, kernel
).fit()
women_tsls = IV2SLS.from_formula(
    "lwage ~ 1 + exper + I(exper**2) + [educ ~ motheduc + fatheduc]", women
).fit()
women_ols = smf.ols("lwage ~ educ + exper + I(exper**2)", women).fit(cov_type="HC0")
print(women_mmr.summary())

# %%
# Young men
# ---------
# The instrument is growing up near a college. Experience is age less schooling less 6 and
# therefore endogenous too: condition on age in its place. This is Card's equation without the
# indicators of regions. None of its variables is missing in any of the 3,010 rows.

men = card.load()
men_mmr = kcm.MMR.from_formula(
    "lwage ~ educ + exper + I(exper**2) + black + south + smsa"
    " | nearc4 + age + black + south + smsa",
    men,
    kernel,
).fit()
men_tsls = IV2SLS.from_formula(
    "lwage ~ 1 + black + south + smsa + [educ + exper + I(exper**2) ~ nearc4 + age + I(age**2)]",
    men,
).fit()
men_ols = smf.ols("lwage ~ educ + exper + I(exper**2) + black + south + smsa", men).fit(
    cov_type="HC0"
)
print(men_mmr.summary())

# %%
# The coefficient of schooling
# ----------------------------
# The kernel sees interactions of the instruments with the other variables, and their curvature,
# which two-stage least squares does not. That is where the smaller standard errors come from, and
# it rests on more: the error has mean zero given these variables, instead of being uncorrelated
# with them. The test below is about this stronger claim.

table = pd.DataFrame(
    [
        ("women", "OLS", women_ols.params["educ"], women_ols.bse["educ"]),
        ("women", "2SLS", women_tsls.params["educ"], women_tsls.std_errors["educ"]),
        ("women", "MMR", women_mmr.params["educ"], women_mmr.bse["educ"]),
        ("men", "OLS", men_ols.params["educ"], men_ols.bse["educ"]),
        ("men", "2SLS", men_tsls.params["educ"], men_tsls.std_errors["educ"]),
        ("men", "MMR", men_mmr.params["educ"], men_mmr.bse["educ"]),
    ],
    columns=["data", "estimator", "educ", "standard error"],
).set_index(["data", "estimator"])
print(table.round(4))

# %%
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for row, ((who, name), (estimate, error)) in enumerate(table.iterrows()):
    ax.errorbar(
        estimate,
        -row,
        xerr=1.96 * error,
        fmt="o" if who == "women" else "s",
        markerfacecolor="black" if name == "MMR" else "white",
        color="black",
        capsize=4,
    )
ax.set(
    yticks=[-row for row in range(len(table))],
    yticklabels=[f"{who}, {name}" for who, name in table.index],
    xlabel="coefficient of schooling, 95 % interval",
)
plt.show()

# %%
# The tests
# ---------
# Does the residual have mean zero given the instruments and the exogenous variables? Nothing
# speaks against it. Living near a college is a weak instrument, as a warning says; by default
# the test then takes the largest p-value over the coefficients. Here is the one at the estimate.

with warnings.catch_warnings():
    warnings.simplefilter("ignore", kcm.WeakInstrumentsWarning)
    tests = {"women": women_mmr.test(robust=False), "men": men_mmr.test(robust=False)}
print(tests["men"].summary())
print(pd.Series({who: test.pvalue for who, test in tests.items()}, name="p-value").round(3))

# %%
# Is there a return at all?
# -------------------------
# Living near a college says little about schooling, and standard errors lean on the strength of
# an instrument. The test at a given coefficient, the others estimated anew, does not. No return
# to schooling is rejected for the men.

no_return = men_mmr.test_at({"educ": 0.0})
print(f"p-value of a coefficient of zero: {no_return.pvalue:.4f}")
