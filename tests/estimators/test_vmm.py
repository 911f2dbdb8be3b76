"""Efficient estimation. Referees: dense NumPy programs, and GMM where the kernel is linear."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from estimation_designs import EXPONENTIAL, SIMEQ

import kcm
from kcm.estimators import regularization
from kcm.estimators.vmm import optimal_weight
from kcm.exceptions import OptionError
from kcm.gram.pivoted_cholesky import low_rank_factor
from kcm.kernels import Gaussian, Laplace, Linear
from kcm.moments import MomentValues


def skewed(n=250, seed=0):
    rng = np.random.default_rng(seed)
    z, w, u = rng.normal(size=(3, n))
    x = z + 0.5 * z**2 + u + 0.5 * rng.normal(size=n)
    return pd.DataFrame({"y": 1 + x + u * (0.3 + z**2), "x": x, "z": z, "w": w})


def test_the_weight_is_the_regularised_inverse_written_out():
    rng = np.random.default_rng(1)
    x, psi = rng.normal(size=(60, 1)), rng.normal(size=(60, 1))
    k = kcm.gram.matrix(Laplace(0.5), x)  # well conditioned, so that it can be inverted
    factor = low_rank_factor(Laplace(0.5), x, tolerance=1e-15).factor
    values = MomentValues(psi, np.zeros((60, 1, 1)))
    weight = optimal_weight(values, factor, 0.01)
    operator = k @ (psi**2 * k) / 60
    omega = factor.T @ (psi**2 * factor) / 60
    a = 0.01 * np.linalg.eigvalsh(omega)[-1]
    dense = k @ np.linalg.inv(operator + a * k) @ k
    v = rng.normal(size=(60, 1, 3))
    np.testing.assert_allclose(weight.apply(v)[:, 0], dense @ v[:, 0], rtol=1e-8)
    features = weight.features()(v)
    np.testing.assert_allclose(features.T @ features, v[:, 0].T @ weight.apply(v)[:, 0], rtol=1e-9)


@pytest.mark.parametrize("share", [1.0, 1e-3])
def test_linear_estimate_is_that_of_a_dense_program(share):
    data = skewed()
    first = kcm.MMR.from_formula("y ~ x | z + w", data).fit()
    ours = kcm.VMM.from_formula("y ~ x | z + w", data, regularization=share).fit()
    k = kcm.gram.matrix(first.kernel, data[["z", "w"]])
    values, vectors = np.linalg.eigh(k)
    keep = values > 1e-11 * values[-1]
    f = vectors[:, keep] * np.sqrt(values[keep])
    psi = first.resid.to_numpy()[:, None]
    omega = f.T @ (psi**2 * f) / 250
    ridge = share * np.linalg.eigvalsh(omega)[-1] * np.eye(len(omega))
    inverse = np.linalg.inv(omega + ridge)
    s = np.column_stack([np.ones(250), data["x"]])
    slope = f.T @ s / 250
    information = slope.T @ inverse @ slope
    theta = np.linalg.solve(information, slope.T @ inverse @ f.T @ data["y"].to_numpy() / 250)
    np.testing.assert_allclose(ours.params, theta, rtol=1e-5)
    np.testing.assert_allclose(ours.cov_params(), np.linalg.inv(information) / 250, rtol=1e-4)


def dense_influence(results, first, share, columns):
    """Influence of the efficient estimate of a linear equation, from dense matrices."""
    k = kcm.gram.matrix(Laplace(), columns)
    d = first.resid.to_numpy() ** 2
    n = len(d)
    # the largest eigenvalue of Omega is that of K^1/2 D K^1/2 / n, or of D^1/2 K D^1/2 / n
    largest = np.linalg.eigvalsh(np.sqrt(d)[:, None] * k * np.sqrt(d) / n)[-1] / np.mean(d)
    weight = k @ np.linalg.inv(k @ (d[:, None] / np.mean(d) * k) / n + share * largest * k) @ k
    s = np.column_stack([np.ones(n), skewed()["x"]])
    gain = n * weight @ s @ np.linalg.inv(s.T @ weight @ s)
    return gain * results.resid.to_numpy()[:, None]


def test_covariances_are_those_of_a_dense_program():
    data, share = skewed(), 0.01
    towns = np.arange(250) // 5
    first = kcm.MMR.from_formula("y ~ x | z + w", data, Laplace()).fit()
    model = kcm.VMM.from_formula("y ~ x | z + w", data, Laplace(), regularization=share)
    robust = model.fit(cov_type="robust")
    influence = dense_influence(robust, first, share, data[["z", "w"]])
    np.testing.assert_allclose(robust.cov_params(), influence.T @ influence / 250**2, rtol=1e-5)
    sums = pd.DataFrame(influence).groupby(towns).sum().to_numpy()
    clustered = model.fit(groups=towns)
    assert clustered.cov_type == "cluster"
    np.testing.assert_allclose(clustered.cov_params(), sums.T @ sums / 250**2, rtol=1e-5)


def test_a_system_is_weighed_by_the_kronecker_form():
    rng = np.random.default_rng(4)
    x, psi = rng.normal(size=(40, 1)), rng.normal(size=(40, 2)) * [1.0, 30.0]
    f = low_rank_factor(Laplace(0.5), x, tolerance=1e-15).factor
    weight = optimal_weight(MomentValues(psi, np.zeros((40, 2, 1))), f, 0.02)
    size = np.sqrt(np.mean(psi**2, axis=0))
    g = np.array([np.kron(p / size, row) for p, row in zip(psi, f, strict=True)])
    omega = g.T @ g / 40
    ridge = 0.02 * np.linalg.eigvalsh(omega)[-1] * np.eye(len(omega))
    both = np.kron(np.diag(1 / size), f)  # the components one below the other
    dense = both @ np.linalg.inv(omega + ridge) @ both.T
    v = rng.normal(size=(40, 2, 3))
    stacked = np.vstack([v[:, 0], v[:, 1]])
    found = weight.apply(v)
    np.testing.assert_allclose(np.vstack([found[:, 0], found[:, 1]]), dense @ stacked, rtol=1e-8)


def test_units_of_one_equation_do_not_matter_to_the_other():
    data = pd.DataFrame(SIMEQ.draw(np.random.default_rng(0), 300))
    formulas = {"demand": "q ~ p + r | r + w", "supply": "s ~ p + w | r + w"}
    fits = [
        kcm.VMM.from_formula(formulas, data.assign(s=unit * data["q"])).fit() for unit in (1.0, 1e4)
    ]
    for name in ("demand.p", "demand.r"):
        assert fits[1].params[name] == pytest.approx(fits[0].params[name], rel=1e-6)
        assert fits[1].bse[name] == pytest.approx(fits[0].bse[name], rel=1e-6)
    assert fits[1].test().pvalue != fits[0].test().pvalue  # the sum over components is in units


def test_a_first_step_that_stops_early_is_told(monkeypatch):
    data = EXPONENTIAL.draw(np.random.default_rng(2), 100)
    monkeypatch.setattr("kcm.estimators.search.MOST_STEPS", 0)
    with pytest.warns(kcm.ConvergenceWarning):
        results = kcm.VMM(EXPONENTIAL.moment, data).fit({"a": 3.0, "b": -2.0}, maxiter=2)
    assert "The first step did not converge." in results.notes


def test_with_a_linear_kernel_it_is_two_step_gmm():
    """Instruments (1, z, w) and the weights of the first step's residuals, uncentred."""
    data = skewed()
    kernel = 1.0 + Linear()
    first = kcm.MMR.from_formula("y ~ x | z + w", data, kernel).fit()
    ours = kcm.VMM.from_formula("y ~ x | z + w", data, kernel, regularization=1e-12).fit()
    instruments = np.column_stack([np.ones(250), data[["z", "w"]]])
    s = np.column_stack([np.ones(250), data["x"]])
    meat = instruments.T @ (first.resid.to_numpy()[:, None] ** 2 * instruments) / 250
    weight, slope = np.linalg.inv(meat), instruments.T @ s / 250
    bread = np.linalg.inv(slope.T @ weight @ slope)
    theta = bread @ slope.T @ weight @ instruments.T @ data["y"].to_numpy() / 250
    np.testing.assert_allclose(ours.params, theta, rtol=1e-7)
    np.testing.assert_allclose(ours.cov_params(), bread / 250, rtol=1e-7)


def test_losses_are_those_of_a_slow_loop():
    rng = np.random.default_rng(3)
    x, psi = rng.normal(size=(50, 1)), rng.normal(size=(50, 2))
    jacobian = rng.normal(size=(50, 2, 2))
    factor = low_rank_factor(Gaussian(1.0), x).factor[:, :4]
    values = MomentValues(psi, jacobian)
    rows = regularization.moment_rows(psi, factor)
    out = np.arange(50) % 5 == 0
    found = regularization._losses(values, factor, rows, out)

    def parts(keep):
        g = np.array([np.kron(p, f) for p, f in zip(psi[keep], factor[keep], strict=True)])
        b = [np.kron(s, f[:, None]) for s, f in zip(jacobian[keep], factor[keep], strict=True)]
        return np.mean([np.outer(row, row) for row in g], axis=0), np.mean(b, axis=0)

    (omega, slope), (held, held_slope) = parts(~out), parts(out)
    largest = np.linalg.eigvalsh(omega)[-1]

    def inverse(share):
        return np.linalg.inv(omega + share * largest * np.eye(len(omega)))

    unit = np.linalg.inv(slope.T @ inverse(regularization.UNIT_SHARE) @ slope)
    for share, loss in zip(regularization.SHARES[:9], found, strict=False):
        beta = inverse(share) @ slope
        by_hand = np.trace(unit @ (beta.T @ held @ beta - 2 * beta.T @ held_slope))
        assert loss == pytest.approx(by_hand, rel=1e-7)


def test_the_choice_is_the_strongest_within_half_a_standard_error():
    losses = np.array([[1.0, 0.5, 0.2, 0.21], [1.0, -0.15, 0.25, 0.2], [1.0, 0.4, 0.1, 0.3]])
    # differences to the third column: .3, -.4, .3 (mean .067, s.e. .233) in the second
    assert regularization._largest_near_best(losses) == 1
    losses[1, 1] = 0.1  # .3, -.15, .3: mean .15, s.e. .15
    assert regularization._largest_near_best(losses) == 2
    assert regularization._largest_near_best(np.array([[3.0, 1.0], [3.1, 1.0], [3.0, 1.1]])) == 1


def test_the_choice_does_not_depend_on_the_order_of_the_rows():
    data = skewed()
    model = kcm.VMM.from_formula("y ~ x | z + w", data)
    shuffled = kcm.VMM.from_formula("y ~ x | z + w", data.sample(frac=1, random_state=0))
    first, second = model.fit(), shuffled.fit()
    assert first.notes[-1].split(";")[0] == second.notes[-1].split(";")[0]
    np.testing.assert_allclose(first.params, second.params, rtol=1e-5)


def test_ties_in_the_conditioning_do_not_bring_the_order_back():
    data = skewed().assign(z=lambda d: d["z"].round(), w=lambda d: d["w"].round())
    first = kcm.VMM.from_formula("y ~ x | z + w", data).fit()
    shuffled = data.sample(frac=1, random_state=3)
    second = kcm.VMM.from_formula("y ~ x | z + w", shuffled).fit()
    assert first.notes[-1].split(";")[0] == second.notes[-1].split(";")[0]
    np.testing.assert_allclose(first.bse, second.bse, rtol=1e-5)


@pytest.mark.parametrize("n", [4, 6])
def test_tiny_samples(n):
    results = kcm.VMM.from_formula("y ~ x", skewed().head(n)).fit()
    assert np.isfinite(results.bse).all()


def test_an_exact_fit_has_no_efficient_weight():
    data = skewed().assign(y=lambda d: 1 + 2 * d["x"])
    with pytest.raises(kcm.SaturatedModelError, match="the first step fits exactly"):
        kcm.VMM.from_formula("y ~ x | z + w", data).fit()


def test_units_of_the_outcome_do_not_matter():
    data = skewed()
    first = kcm.VMM.from_formula("y ~ x | z + w", data).fit()
    second = kcm.VMM.from_formula("y ~ x | z + w", data.assign(y=1e6 * data["y"])).fit()
    np.testing.assert_allclose(second.params, 1e6 * first.params, rtol=1e-8)
    np.testing.assert_allclose(second.bse, 1e6 * first.bse, rtol=1e-8)


@pytest.mark.parametrize("design", [EXPONENTIAL, SIMEQ], ids=["exponential", "simeq"])
def test_nonlinear_moments_and_systems(design):
    data = design.draw(np.random.default_rng(2), 400)
    results = kcm.VMM(design.moment, data).fit(design.start)
    truth = pd.Series(design.truth)
    assert results.converged
    assert ((results.params - truth).abs() < 4 * results.bse).all()
    assert results.test().pvalue > 0.01


def test_the_summary_says_what_was_done():
    text = kcm.VMM.from_formula("y ~ x | z", skewed(), regularization=0.01).fit().summary()
    assert "Regularization 0.01 of the largest eigenvalue" in text.as_text()
    assert "efficient" in text.as_text()


def test_few_features_are_reported(monkeypatch):
    monkeypatch.setattr("kcm.estimators.vmm.MOST_FEATURES", 6)
    results = kcm.VMM.from_formula("y ~ x | z + w", skewed()).fit()
    assert "6 features" in results.notes[-1]


@pytest.mark.parametrize("value", [0.0, -1.0, 2.0, np.nan])
def test_wrong_regularization(value):
    with pytest.raises(OptionError, match="share of the largest eigenvalue"):
        kcm.VMM.from_formula("y ~ x", skewed(), regularization=value)


def test_a_residual_with_a_kink():
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    data = {"x": x, "y": np.abs(x - 0.5) + 0.3 * rng.normal(size=300)}
    moment = kcm.ConditionalMoment(lambda p, r: r["y"] - jnp.abs(r["x"] - p["c"]), "x")
    results = kcm.VMM(moment, data).fit({"c": 0.0})
    assert results.params["c"] == pytest.approx(0.5, abs=0.15)
