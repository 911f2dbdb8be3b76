"""The published tests and the table of their rates.

Referees: the authors' functions (tests/reference/authors), `KCMTest` with the same multipliers'
law, and a slow loop.
"""

import numpy as np
import pytest
from scipy import stats

from kcm import FittedMoment, KCMTest, MultiplierBootstrap
from kcm.exceptions import OptionError
from kcm.kernels import CoordinatewiseMedian, Gaussian, Orthant
from kcm.simulation import uai2020
from kcm.simulation.published_tests import (
    PublishedICM,
    PublishedKCM,
    PublishedSmooth,
    counts,
    gaussian_form,
    normals,
    quadratic_forms,
    squared,
    total,
)

CASES = [(data, theta) for data in ("hom60", "het60") for theta in ("H0", "H1")]
CASES += [("simeq60", "H0"), ("simeq60", "H1")]


def moment_of(frame, theta):
    if "q" not in frame:
        x = frame[["x1", "x2", "x3"]]
        return FittedMoment(frame.y - theta[0] - x @ theta[1:], x)
    a_d, b_d, a_s, b_s = theta
    demand = frame.q - a_d * frame.p - b_d * frame.r
    supply = frame.q - a_s * frame.p - b_s * frame.w
    return FittedMoment(np.column_stack([demand, supply]), frame[["r", "w"]])


@pytest.mark.parametrize(("data", "theta"), CASES)
def test_statistics_are_those_of_the_authors(reference, data, theta, rng):
    table = reference("authors/values.csv")
    table = table[(table.dataset == data) & (table.theta == theta)]
    values = {(row.test, row.quantity): row.value for row in table.itertuples()}
    own = np.array([v for (test, _), v in values.items() if test == "theta"])
    moment = moment_of(reference(f"authors/{data}.csv"), own)
    kcm, icm = PublishedKCM(), PublishedICM()
    n = moment.n_obs
    found = kcm.statistic(kcm.form(moment, rng)) / n
    assert found == pytest.approx(values["kcm", "stat"], rel=1e-4, abs=1e-9)
    found = icm.statistic(icm.form(moment, rng))
    assert found == pytest.approx(values["icmtest_simple", "stat"], rel=1e-4)
    smooth = PublishedSmooth()
    found = smooth.statistic(smooth.form(moment, rng))
    assert values["smoothtest", "h"] == pytest.approx(n ** (-1 / 5))
    assert found == pytest.approx(values["smoothtest", "stat"], rel=1e-3, abs=1e-4)


@pytest.fixture(scope="module")
def moment():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((60, 2))
    return FittedMoment(rng.standard_normal((60, 2)) + 0.25 * x[:, [0]], x)


@pytest.mark.parametrize(
    ("published", "test"),
    [
        (
            PublishedKCM(20_000),
            KCMTest(
                Gaussian(CoordinatewiseMedian()),
                null=MultiplierBootstrap(20_000, weights="multinomial"),
            ),
        ),
        (
            PublishedICM(20_000),
            KCMTest(Orthant(), "V", null=MultiplierBootstrap(20_000, weights="gaussian")),
        ),
    ],
    ids=["KCM", "ICM"],
)
def test_pvalues_are_those_of_the_library(moment, published, test):
    found = published(moment, np.random.default_rng(1)).pvalue
    expected = test.run(moment, rng=2).pvalue
    error = np.sqrt(2 * expected * (1 - expected) / 20_000)
    assert 0.001 < expected < 0.9
    assert abs(found - expected) < 4 * error + 0.002


def test_smooth_draws_are_studentised_one_by_one(moment, rng):
    test = PublishedSmooth()
    form = test.form(moment, rng)
    w = test.multipliers(rng, 40, 60)
    found = test.statistics(form, w)
    whole, _ = form  # of fewer rows than a block has columns
    for row, value in zip(w.astype(float), found, strict=True):
        terms = np.outer(row, row) * whole
        expected = np.sqrt(60 / 59) * terms.sum() / np.sqrt(2 * np.sum(terms**2))
        assert value == pytest.approx(expected, rel=1e-3)
    for level in (-0.8, 0.0, 0.7):
        assert test.reaching(form, w, level) == np.sum(found >= level)


def test_normal_numbers_are_standard_normal(rng):
    """Referee: scipy's law, and independence of the two numbers of a pair."""
    found = normals(rng, 401, 251)
    assert found.shape == (401, 251)
    assert stats.kstest(found.ravel(), "norm").pvalue > 0.001
    halves = found.ravel()[:100_000].reshape(2, -1)
    assert abs(np.corrcoef(halves**2)[0, 1]) < 0.02
    assert found.dtype == np.float32


@pytest.mark.parametrize("n", [5, 128, 300])
def test_forms_by_blocks(rng, n):
    """Referee: the whole matrix, in double precision."""
    x, psi = rng.standard_normal((n, 2)), rng.standard_normal((n, 2))
    w = rng.standard_normal((4, n), dtype=np.float32)
    form = gaussian_form(FittedMoment(psi, x), np.array([1.0, 4.0]))
    z = x / [1, 2]
    whole = np.exp(-((z[:, None] - z) ** 2).sum(axis=2)) * (psi @ psi.T)
    np.fill_diagonal(whole, 0)
    for power, found in ((1, form), (2, squared(form))):
        expected = np.einsum("bi,ij,bj->b", w, whole**power, w)
        assert quadratic_forms(found, w) == pytest.approx(expected, rel=1e-4, abs=1e-3 * n)
        assert total(found) == pytest.approx(np.sum(whole**power), rel=1e-4, abs=1e-4 * n)


@pytest.mark.parametrize("test", [PublishedKCM, PublishedICM, PublishedSmooth])
def test_drawing_ends_once_the_decision_is_settled(test):
    """Referee: the same draws to their end, on samples of which about half are rejected."""
    every, settled = test(400), test(400, level=0.05)
    decisions = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((30, 2))
        one = FittedMoment(rng.standard_normal(30) + 0.8 * x[:, 0], x)
        p, least = (t(one, np.random.default_rng(seed)).pvalue for t in (every, settled))
        assert least == p if p <= 0.05 else 0.05 < least <= p
        decisions.append(p <= 0.05)
    assert 5 < sum(decisions) < 35


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_levels_lie_between_0_and_1(level):
    with pytest.raises(OptionError, match=r"`level` must lie strictly between 0 and 1"):
        PublishedKCM(level=level)


def test_counts_are_multinomial(rng):
    found = counts(rng, 4_000, 20)
    assert (found.sum(axis=1) == 20).all()
    assert found.var(axis=0).mean() == pytest.approx(1 - 1 / 20, rel=0.03)
    assert np.cov(found[:, 0], found[:, 1])[0, 1] == pytest.approx(-1 / 20, abs=0.05)


def test_the_printed_rates_are_all_there():
    printed = uai2020.published_rates()
    points = {(p.figure, p.label): len(p.n_obs) * len(p.deltas) for p in uai2020.panels()}
    assert len(printed) == 162 == 3 * sum(points.values())
    assert set(points) == set(zip(printed.figure, printed.panel, strict=True))
    assert printed.rejection_rate.between(0, 1).all()
    for panel in uai2020.panels():
        own = printed[(printed.figure == panel.figure) & (printed.panel == panel.label)]
        off = own.rejection_rate * panel.n_printed
        assert (off - off.round()).abs().max() < 0.5 * panel.n_printed / 1_000 + 1e-9


def test_the_products_are_counted(monkeypatch):
    """4 products a trial, of n_draws n^2 terms: 300 trials at six sizes twice, and at n = 500."""
    monkeypatch.setattr(uai2020, "_one_product", lambda n_draws, n: float(n_draws * n**2))
    squares = sum(n**2 for n in (100, 200, 400, 600, 800, 1_000))
    expected = 4 * 300 * 1_000 * (6 * squares + 18 * 500**2)
    assert uai2020.product_seconds() == expected
