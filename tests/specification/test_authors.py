"""The published test with theta given, against the authors' own code."""

import numpy as np
import pytest

from kcm import FittedMoment, KCMTest, MultiplierBootstrap
from kcm.gram import matrix
from kcm.kernels import CoordinatewiseMedian, Gaussian, Orthant, Smooth

CASES = [(data, theta) for data in ("hom60", "het60") for theta in ("H0", "H1", "OLS")]
CASES += [("simeq60", "H0"), ("simeq60", "H1")]
everywhere = pytest.mark.parametrize(("data", "theta"), CASES)


@pytest.fixture
def values(reference, data, theta):
    table = reference("authors/values.csv")
    table = table[(table.dataset == data) & (table.theta == theta)]
    return {(row.test, row.quantity): row.value for row in table.itertuples()}


@pytest.fixture
def moment(reference, values, data):
    frame = reference(f"authors/{data}.csv")
    theta = np.array([v for (test, _), v in values.items() if test == "theta"])
    return {"hom60": regression, "het60": regression, "simeq60": system}[data](frame, theta)


def regression(frame, theta):
    x = frame[["x1", "x2", "x3"]]
    return FittedMoment(frame.y - theta[0] - x @ theta[1:], x)


def system(frame, theta):
    a_d, b_d, a_s, b_s = theta
    demand = frame.q - a_d * frame.p - b_d * frame.r
    supply = frame.q - a_s * frame.p - b_s * frame.w
    return FittedMoment(np.column_stack([demand, supply]), frame[["r", "w"]])


@everywhere
def test_statistic_with_the_authors_bandwidth_rule(moment, values):
    result = KCMTest(Gaussian(CoordinatewiseMedian())).run(moment)
    assert result.mmr == pytest.approx(values["kcm", "stat"], rel=1e-10, abs=0)


@everywhere
@pytest.mark.parametrize("sigma", ["0.5", "1", "2"])
def test_statistic_with_one_bandwidth(moment, values, sigma):
    result = KCMTest(Gaussian(float(sigma))).run(moment)
    assert result.mmr == pytest.approx(values[f"kcm_sigma{sigma}", "stat"], rel=1e-10, abs=0)


@everywhere
def test_multinomial_bootstrap_has_their_moments_and_quantiles(moment, values):
    n, n_draws = moment.n_obs, 20_000
    null = MultiplierBootstrap(n_draws, weights="multinomial")
    test = KCMTest(Gaussian(CoordinatewiseMedian()), null=null)
    # theirs is compared with M^2 = T / n and divides by n^2 where ours divides by n(n - 1)
    draws = test.run(moment, rng=0).null_distribution.draws * (n - 1) / n**2
    found = {"mean": draws.mean(), "sd": draws.std(ddof=1)}
    found |= {f"q{level}": np.quantile(draws, level) for level in (0.5, 0.9, 0.95, 0.99)}
    for name, value in found.items():
        error = np.sqrt(2) * values["kcm", f"boot_{name}_mcse"]
        assert abs(value - values["kcm", f"boot_{name}"]) < 4 * error, name


@everywhere
def test_statistic_of_their_integrated_test(moment, values):
    """`icmtest_simple`: cumulated residuals, the components added."""
    result = KCMTest(Orthant(), "V").run(moment)
    assert result.statistic == pytest.approx(values["icmtest_simple", "stat"], rel=1e-10, abs=0)


@everywhere
def test_statistic_of_their_smooth_test(moment, values):
    """`smoothtest`: K = exp(-|dx|^2 / h), studentised; their n(n - 1) gives the root in front."""
    psi, n = moment.residuals, moment.n_obs
    k = matrix(Smooth(np.sqrt(values["smoothtest", "h"] / 2)), moment.conditioning)
    np.fill_diagonal(k, 0)
    terms = psi @ psi.T * k
    found = np.sqrt(n / (n - 1)) * terms.sum() / np.sqrt(2 * np.sum(terms**2))
    assert found == pytest.approx(values["smoothtest", "stat"], rel=1e-10, abs=0)
