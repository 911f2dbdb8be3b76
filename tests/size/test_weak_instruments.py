"""Size with weak instruments, by simulation: of the test at the estimate, and of the robust one.

y = 1 + x + u, x endogenous with a correlation of .9, first stage linear in normal instruments.
Results are printed (pytest -rP); docs/size.md shows them.
"""

import numpy as np
import pytest
from linearmodels.iv import IV2SLS

import kcm

N_REPLICATIONS = 300


def draw(rng, n, strength, m):
    """Draw with m instruments and a first-stage F of `strength` and one on average."""
    z, v, e = rng.normal(size=(n, m)), *rng.normal(size=(2, n))
    x = np.sqrt(strength / n) * z.sum(axis=1) + v
    names = [f"z{j}" for j in range(m)]
    return {"y": 1 + x + 0.9 * v + np.sqrt(0.19) * e, "x": x} | dict(zip(names, z.T, strict=True))


def formula(m):
    return "y ~ x | " + " + ".join(f"z{j}" for j in range(m))


def at_the_estimate(fit):
    return kcm.KCMTest(fit.kernel).run(fit.fitted_moment).pvalue


@pytest.mark.slow
def test_the_robust_test_holds():
    """F = 5, three instruments, 80 observations, 50 replications: two standard errors are .06."""
    rejected = []
    for seed in range(50):
        data = draw(np.random.default_rng([80, seed]), 80, 5, 3)
        fit = kcm.MMR.from_formula(formula(3), data).fit()
        robust = fit.test(null=kcm.Asymptotic(method="cumulants"), robust=True)
        rejected.append([at_the_estimate(fit) <= 0.05, robust.pvalue <= 0.05])
    plain, robust = np.mean(rejected, axis=0)
    print(f"F = 5, n = 80: at the estimate {plain:.3f}, robust {robust:.3f}")
    assert plain > 0.1
    assert robust <= 0.075


@pytest.mark.study
@pytest.mark.filterwarnings("ignore::kcm.WeakInstrumentsWarning")
@pytest.mark.parametrize("strength", [5, 10, 20, 50])
def test_sizes_with_three_instruments(strength):
    """N = 200; the truth, and what the default does."""
    rows = []
    for seed in range(N_REPLICATIONS):
        data = draw(np.random.default_rng([200, seed]), 200, strength, 3)
        first, second = (e.from_formula(formula(3), data).fit() for e in (kcm.MMR, kcm.VMM))
        rows.append(
            [
                at_the_estimate(first),
                at_the_estimate(second),
                first.test(robust=True).pvalue,
                first.test().pvalue if not first.first_stage.is_weak else np.nan,
                first.test_at({"x": 1.0}).pvalue,
                first.first_stage.value,
                second.first_stage.value,
            ]
        )
    pvalues, values = np.array(rows)[:, :5], np.array(rows)[:, 5:]
    # the default is the robust test where the first stage is weak
    pvalues[:, 3] = np.where(np.isnan(pvalues[:, 3]), pvalues[:, 2], pvalues[:, 3])
    rates = np.mean(pvalues <= 0.05, axis=0)
    words = ("MMR at the estimate", "VMM at the estimate", "robust", "default", "at the truth")
    print(f"F = {strength}: {dict(zip(words, rates.round(3), strict=True))}")
    print(f"median effective F of MMR and VMM: {np.median(values, axis=0).round(1)}")
    assert rates[2] <= 0.075
    assert rates[3] <= 0.1


@pytest.mark.study
@pytest.mark.filterwarnings("ignore::kcm.WeakInstrumentsWarning")
@pytest.mark.parametrize("strength", [5, 10, 20])
@pytest.mark.parametrize("m", [1, 10])
def test_sizes_of_two_stage_least_squares(m, strength):
    """N = 200, Gaussian kernel."""
    rows = []
    for seed in range(N_REPLICATIONS):
        data = draw(np.random.default_rng([200, seed]), 200, strength, m)
        instruments = np.column_stack([data[f"z{j}"] for j in range(m)])
        fit = IV2SLS(data["y"], np.ones(200), data["x"], instruments).fit()
        result = kcm.specification_test(fit, kernel=kcm.kernels.Gaussian())
        rows.append([result.pvalue, kcm.first_stage_strength(fit).value])
    pvalues, values = np.array(rows).T
    rate, warned = np.mean(pvalues <= 0.05), np.mean(values < 10)
    print(f"2SLS, {m} instruments, F = {strength}: {rate:.3f}, warned in {warned:.2f}")
    # two standard errors of .05 are .025
    assert rate <= 0.15
