"""Which polynomial in age describes log wages? Test each degree.

Wages of 205 Canadian men in 1971. The residual of the right polynomial has mean zero at every age.
"""

import numpy as np
import pandas as pd
import statsmodels.api as sm

import kcm


def main() -> pd.DataFrame:
    """Return one row per degree with the statistic and two p-values."""
    data = kcm.datasets.load_cps71()
    age = (data["age"] - data["age"].mean()) / data["age"].std()
    rows = []
    for degree in range(1, 6):
        fit = sm.OLS(data["logwage"], np.vander(age, degree + 1)).fit()
        asymptotic = kcm.specification_test(fit, conditioning=data[["age"]])
        bootstrap = kcm.specification_test(
            fit, conditioning=data[["age"]], null=kcm.MultiplierBootstrap(999), rng=degree
        )
        rows.append((degree, asymptotic.statistic, asymptotic.pvalue, bootstrap.pvalue))
    return pd.DataFrame(rows, columns=["degree", "statistic", "p asymptotic", "p bootstrap"])


if __name__ == "__main__":
    print(main().round(4).to_string(index=False))
