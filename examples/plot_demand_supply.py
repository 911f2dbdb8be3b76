"""
Demand and supply
=================

Estimate a market of two equations jointly, by formula and as a moment of two components, and test
both equations at once. A supply curve without its cost shifter is rejected.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import kcm

# %%
# Data
# ----
# Quantity q and price p clear the market: demand shifts with income r, supply with wages w.

rng = np.random.default_rng(1)
r, w, u_demand, u_other = rng.normal(size=(4, 400))
u_demand, u_supply = 0.5 * u_demand, 0.25 * u_demand + 0.45 * u_other
p = (9 + 2 * r + 2 * w + u_demand - u_supply) / 2
data = pd.DataFrame({"q": 10 - p + 2 * r + u_demand, "p": p, "r": r, "w": w})

# %%
# By formula
# ----------
# One formula an equation, by name. Both equations are conditioned on all exogenous variables.

system = {"demand": "q ~ p + r | r + w", "supply": "q ~ p + w | r + w"}
results = kcm.MMR.from_formula(system, data).fit()
print(results.summary())

# %%
# The joint test, and a restriction across equations: are the two slopes of one size?

joint = results.test()
slopes = results.wald_test("`demand.p` + `supply.p` = 0")
print(joint.summary())
print(slopes.summary())

# %%
# As a moment of your own
# -----------------------
# A residual of two components with the parameters in groups gives the same estimates. This is the
# form for equations that are not linear, or that share parameters.


def market(params, row):
    """Residuals of demand and of supply."""
    demand, supply = params["demand"], params["supply"]
    return (
        row["q"] - demand["a"] - demand["p"] * row["p"] - demand["r"] * row["r"],
        row["q"] - supply["a"] - supply["p"] * row["p"] - supply["w"] * row["w"],
    )


moment = kcm.ConditionalMoment(market, ["r", "w"], components=("demand", "supply"))
start = {"demand": {"a": 0.0, "p": 0.0, "r": 0.0}, "supply": {"a": 0.0, "p": 0.0, "w": 0.0}}
own = kcm.MMR(moment, data).fit(start)
print(pd.DataFrame({"formula": results.params.to_numpy(), "own": own.params}).round(4))

# %%
# With a single slope b for both, -b in demand and b in supply:


def one_slope(params, row):
    """Residuals of a market whose two slopes are of one size."""
    demand = row["q"] - params["a"] + params["b"] * row["p"] - params["r"] * row["r"]
    supply = row["q"] - params["c"] - params["b"] * row["p"] - params["w"] * row["w"]
    return demand, supply


restricted = kcm.MMR(kcm.ConditionalMoment(one_slope, ["r", "w"]), data).fit(
    dict.fromkeys("abrcw", 0.0)
)
print(pd.DataFrame({"estimate": restricted.params, "standard error": restricted.bse}).round(3))

# %%
# What the curves say
# -------------------
# The cloud of prices and quantities is neither demand nor supply, and neither is the regression
# line through it.

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(data["q"], data["p"], ".", color="0.75")
prices = np.array([data["p"].min(), data["p"].max()])
at_means = pd.DataFrame({"p": prices, "r": data["r"].mean(), "w": data["w"].mean()})
curves = results.predict(at_means)
ax.plot(curves["demand"], prices, "-", color="black", label="demand")
ax.plot(curves["supply"], prices, "--", color="black", label="supply")
regression = np.polyval(np.polyfit(data["p"], data["q"], 1), prices)
ax.plot(regression, prices, ":", color="black", label="OLS")
ax.set(xlabel="quantity", ylabel="price")
ax.legend(loc="center left")
plt.show()

# %%
# A wrong system
# --------------
# Supply without wages: the joint test rejects. Test the equations one by one to see which it is.

wrong = {"demand": "q ~ p + r | r + w", "supply": "q ~ p | r + w"}
tests = {"both": kcm.MMR.from_formula(wrong, data).fit().test()}
for name, equation in wrong.items():
    tests[name] = kcm.MMR.from_formula(equation, data).fit().test()
print(pd.Series({name: test.pvalue for name, test in tests.items()}, name="p-value").round(4))
