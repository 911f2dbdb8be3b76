"""Weak instruments: the effective F and the test that holds.

Referees: dense matrices and loops over rows, the first stage of linearmodels, and the p-values of
known values on a fine grid.
"""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import statsmodels.api as sm
import statsmodels.formula.api as smf
from linearmodels.iv import IV2SLS, IVGMM, IVLIML
from statsmodels.sandbox.regression import gmm

import kcm
from kcm.estimators.first_stage import PENALTIES, left_out_residuals
from kcm.estimators.robust import is_robust
from kcm.estimators.vmm import optimal_weight
from kcm.estimators.weighting import KernelWeight
from kcm.exceptions import OptionError, UnsupportedModelError, WeakInstrumentsWarning
from kcm.gram.pivoted_cholesky import low_rank_factor
from kcm.moments import MomentValues

pytestmark = pytest.mark.many_calls

N = 60
FORMULA = "y ~ x + w | z + w"
FAST = kcm.Asymptotic(method="cumulants")


def draw(n=N, seed=0, strength=1.0, wrong=0.0):
    """Draw y = 1 + x + w + u, x endogenous; `wrong` lets z^2 into the outcome."""
    z, w, v, e = np.random.default_rng(seed).normal(size=(4, n))
    x = strength * z + 0.5 * w + v
    u = 0.9 * v + np.sqrt(1 - 0.9**2) * e
    return pd.DataFrame({"y": 1 + x + w + u + wrong * (z**2 - 1), "x": x, "w": w, "z": z})


def two_endogenous(n=N, seed=1, strength=1.0):
    z, r, v, s, e = np.random.default_rng(seed).normal(size=(5, n))
    columns = {"x": strength * z + v, "t": strength * r + 0.5 * v + s, "z": z, "r": r}
    return pd.DataFrame(columns | {"y": 1 + columns["x"] + columns["t"] + v + 0.3 * e})


def gram_of(data, *names):
    return kcm.gram.matrix(kcm.kernels.Gaussian(), data[list(names)].to_numpy())


def residuals_by_refits(targets, known, k):
    """Kernel ridge with free `known`, each row left out; the penalty with the least squares."""
    n = len(targets)
    values, vectors = np.linalg.eigh(k)
    features = vectors * np.sqrt(np.maximum(values, 0))
    projector = np.eye(n) - known @ np.linalg.pinv(known)
    largest = np.linalg.eigvalsh(projector @ k @ projector)[-1]
    tried = []
    for penalty in [*(PENALTIES * largest), np.inf]:
        used = features if np.isfinite(penalty) else features[:, :0]
        design = np.hstack([known, used])
        ridge = (
            np.hstack(
                [
                    np.zeros((used.shape[1], known.shape[1])),
                    np.sqrt(penalty) * np.eye(used.shape[1]),
                ]
            )
            if used.shape[1]
            else np.zeros((0, design.shape[1]))
        )
        residuals = np.zeros(n)
        for i in range(n):
            others = np.arange(n) != i
            rows = np.vstack([design[others], ridge])
            outcome = np.append(targets[others], np.zeros(len(ridge)))
            residuals[i] = targets[i] - design[i] @ np.linalg.lstsq(rows, outcome)[0]
        tried.append(residuals)
    return min(tried, key=lambda r: r @ r)


def partialled(weight, exogenous):
    seen = weight @ exogenous
    return weight - seen @ np.linalg.solve(exogenous.T @ seen, seen.T)


def strength_by_hand(weight, endogenous, exogenous, residuals, groups=None):
    """The smallest c'Ac / c'Nc, N by a loop over groups."""
    inner = partialled(weight, exogenous)
    groups = np.arange(len(weight)) if groups is None else groups
    noise = np.zeros((endogenous.shape[1], endogenous.shape[1]))
    for g in np.unique(groups):
        own = groups == g
        noise += residuals[own].T @ inner[np.ix_(own, own)] @ residuals[own]
    return scipy.linalg.eigh(endogenous.T @ inner @ endogenous, noise, eigvals_only=True)[0]


@pytest.fixture(scope="module")
def data():
    return draw()


@pytest.fixture(scope="module")
def dense(data):
    """The Gram matrix, the exogenous columns, and residuals of the first stage by refits."""
    k = gram_of(data, "z", "w")
    exogenous = np.column_stack([np.ones(N), data["w"]])
    return k, exogenous, residuals_by_refits(data["x"].to_numpy(), exogenous, k)[:, None]


@pytest.fixture(scope="module")
def weak():
    return kcm.MMR.from_formula("y ~ x | z", draw(80, 3, 0.1)).fit()


class TestKernelStrength:
    def test_residuals_are_those_of_refits(self, data, dense):
        k, exogenous, expected = dense
        values, vectors = np.linalg.eigh(k)
        features = vectors * np.sqrt(np.maximum(values, 0))
        found = left_out_residuals(data[["x"]].to_numpy(), exogenous, features)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)

    def test_it_is_the_ratio_of_dense_matrices(self, data, dense):
        k, exogenous, residuals = dense
        first = kcm.MMR.from_formula(FORMULA, data).fit().first_stage
        expected = strength_by_hand(k, data[["x"]].to_numpy(), exogenous, residuals)
        assert first.value == pytest.approx(expected, rel=1e-5)
        assert first.names == ("x",)
        assert first.threshold == 15

    def test_rows_of_a_cluster_may_move_together(self, data, dense):
        k, exogenous, residuals = dense
        groups = np.arange(N) // 4
        first = kcm.MMR.from_formula(FORMULA, data).fit(groups=groups).first_stage
        expected = strength_by_hand(k, data[["x"]].to_numpy(), exogenous, residuals, groups)
        assert first.value == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("groups", [None, np.arange(N) // 4])
    def test_efficient_estimates_have_that_of_their_weight(self, data, dense, groups):
        k, exogenous, residuals = dense
        first = kcm.MMR.from_formula(FORMULA, data).fit().resid.to_numpy()
        first = first / np.sqrt(np.mean(first**2))
        root = scipy.linalg.sqrtm(k + 1e-12 * np.eye(N)).real
        omega = root.T @ (first[:, None] ** 2 * root) / N
        ridge = 0.01 * np.linalg.eigvalsh(omega)[-1] * np.eye(N)
        weight = root @ np.linalg.solve(omega + ridge, root.T)
        expected = strength_by_hand(weight, data[["x"]].to_numpy(), exogenous, residuals, groups)
        fit = kcm.VMM.from_formula(FORMULA, data, regularization=0.01).fit(groups=groups)
        assert fit.first_stage.value == pytest.approx(expected, rel=1e-4)

    def test_of_several_endogenous_regressors_the_weakest_direction_counts(self):
        data = two_endogenous()
        k, exogenous = gram_of(data, "z", "r"), np.ones((N, 1))
        moved = data[["x", "t"]].to_numpy()
        residuals = np.column_stack([residuals_by_refits(x, exogenous, k) for x in moved.T])
        first = kcm.MMR.from_formula("y ~ x + t | z + r", data).fit().first_stage
        assert first.names == ("x", "t")
        expected = strength_by_hand(k, moved, exogenous, residuals)
        assert first.value == pytest.approx(expected, rel=1e-5)
        angles = np.linspace(0, np.pi, 2_001)
        inner = partialled(k, exogenous)
        lowest = np.inf
        for c in np.column_stack([np.cos(angles), np.sin(angles)]):
            noise = np.diag(inner) @ (residuals @ c) ** 2
            lowest = min(lowest, (moved @ c) @ inner @ (moved @ c) / noise)
        assert first.value == pytest.approx(lowest, rel=1e-4)

    def test_units_and_exogenous_parts_of_the_regressor_do_not_matter(self, data):
        other = data.assign(x=1e4 * (data["x"] + 3 * data["w"] - 7), w=1e-3 * data["w"])
        kernel = kcm.kernels.Gaussian([0.9, 1.1]), kcm.kernels.Gaussian([0.9, 1.1e-3])
        values = [
            kcm.MMR.from_formula(FORMULA, d, k).fit().first_stage.value
            for d, k in zip((data, other), kernel, strict=True)
        ]
        assert values[1] == pytest.approx(values[0], rel=1e-6)

    def test_without_identification_it_is_about_one(self):
        values = []
        for seed in range(20):
            fit = kcm.MMR.from_formula("y ~ x | z", draw(80, seed, 0.0)).fit()
            values.append(fit.first_stage.value)
        # twice the Monte Carlo standard error is about .5
        assert 0.5 < np.mean(values) < 1.5

    def test_it_is_proportional_to_the_number_of_observations(self):
        small, large = (
            np.mean(
                [
                    kcm.MMR.from_formula("y ~ x | z", draw(n, s, 0.5)).fit().first_stage.value
                    for s in range(6)
                ]
            )
            for n in (200, 800)
        )
        assert 3 < large / small < 5


def weights(points, n_components):
    kernel = kcm.kernels.Gaussian(0.5)
    factor = low_rank_factor(kernel, points, max_rank=9)
    residuals = np.random.default_rng(5).normal(size=(len(points), n_components))
    values = MomentValues(residuals, np.zeros((len(points), n_components, 0)))
    yield KernelWeight(kernel, points)
    yield optimal_weight(values, factor.factor, 0.1)


@pytest.mark.parametrize("groups", [None, np.arange(24) // 3])
def test_what_noise_would_show_is_a_sum_over_groups(groups):
    """Referee: the weight itself, applied to the rows of one group after the other."""
    rng = np.random.default_rng(0)
    points, v = rng.normal(size=(24, 2)), rng.normal(size=(24, 2, 3))
    own = np.arange(24) if groups is None else groups
    for weight in weights(points, 2):
        expected = np.zeros((3, 3))
        for g in np.unique(own):
            part = np.where((own == g)[:, None, None], v, 0.0)
            expected += np.tensordot(part, weight.apply(part), axes=((0, 1), (0, 1)))
        np.testing.assert_allclose(weight.spread(v, groups), expected, rtol=1e-8)


class TestExogenousParameters:
    @pytest.mark.parametrize(
        ("formula", "endogenous"),
        [
            ("y ~ x + w", ()),
            ("y ~ x + w + I(w**2) + x:w | z + w", ("x", "x:w")),
            ("y ~ w + np.exp(w) | w", ()),
            ("y ~ x + C(town) | z + town", ("x",)),
            ("y ~ poly(w, 2) + x | w + z", ("x",)),
        ],
    )
    def test_regressors_of_the_conditioning_variables_are_exogenous(self, formula, endogenous):
        data = draw().assign(town=np.arange(N) % 3)
        fit = kcm.MMR.from_formula(formula, data).fit()
        assert fit.first_stage.names == endogenous
        assert bool(endogenous) == np.isfinite(fit.first_stage.value)

    def test_systems(self):
        data = draw().assign(q=lambda d: d["w"] - d["x"])
        system = {"one": "y ~ x + w | z + w", "two": "q ~ w | z + w"}
        fit = kcm.MMR.from_formula(system, data).fit()
        assert fit.first_stage.names == ("one.x",)

    def test_functions(self, data):
        def residual(params, row):
            return row["y"] - jnp.exp(params["a"] * row["w"]) - params["b"] * row["x"]

        start = {"a": 0.1, "b": 1.0}
        fit = kcm.MMR(kcm.ConditionalMoment(residual, ["z", "w"]), data).fit(start)
        assert fit.first_stage.names == ("b",)
        regression = kcm.MMR(kcm.ConditionalMoment(residual, ["x", "w"]), data).fit(start)
        assert regression.first_stage == kcm.FirstStageStrength(np.inf, ())
        assert regression.first_stage.describe() == "no endogenous regressor"


def instrumental(m=1, n=200, seed=0, strength=0.3):
    rng = np.random.default_rng(seed)
    z, w, v, e = rng.normal(size=(n, m)), *rng.normal(size=(3, n))
    v = v * (1 + 0.5 * z[:, 0] ** 2)
    x = strength * z.sum(axis=1) + 0.5 * w + v
    exog = np.column_stack([np.ones(n), w])
    return 1 + x + w + v + e, exog, x, z


def loop(endogenous, exogenous, instruments, groups=None):
    """The effective F with loops over rows."""
    partial = lambda a: a - exogenous @ np.linalg.lstsq(exogenous, a)[0]  # noqa: E731
    x, z = partial(endogenous), partial(instruments)
    projector = z @ np.linalg.pinv(z)
    return strength_by_hand(projector, x, np.ones((len(x), 1)), x - projector @ x, groups)


class TestEffectiveF:
    def test_of_one_instrument_it_is_the_robust_f_of_the_first_stage(self):
        fit = IV2SLS(*instrumental()).fit(cov_type="robust")
        reported = fit.first_stage.diagnostics["f.stat"].iloc[0]
        first = kcm.first_stage_strength(fit)
        assert first.value == pytest.approx(reported, rel=1e-8)
        assert first.names == ("endog",)
        assert first.threshold == 10

    def test_weights(self):
        weights = np.random.default_rng(1).uniform(0.5, 2, size=200)
        fit = IV2SLS(*instrumental(), weights=weights).fit(cov_type="robust")
        reported = fit.first_stage.diagnostics["f.stat"].iloc[0]
        assert kcm.first_stage_strength(fit).value == pytest.approx(reported, rel=1e-8)

    @pytest.mark.parametrize("groups", [None, np.arange(200) // 5])
    def test_of_several_instruments_it_is_that_of_a_loop(self, groups):
        y, exog, x, z = instrumental(m=4)
        first = kcm.first_stage_strength(IV2SLS(y, exog, x, z).fit(), groups=groups)
        assert first.value == pytest.approx(loop(x[:, None], exog, z, groups), rel=1e-8)

    def test_of_several_endogenous_regressors(self):
        y, exog, x, z = instrumental(m=3)
        both = np.column_stack([x, x * z[:, 0]])
        first = kcm.first_stage_strength(IV2SLS(y, exog, both, z).fit())
        assert first.value == pytest.approx(loop(both, exog, z), rel=1e-8)
        assert len(first.names) == 2

    def test_every_fit_by_instruments_has_it(self):
        y, exog, x, z = instrumental(m=3)
        design, instruments = np.column_stack([exog, x]), np.column_stack([exog, z])
        fits = [
            IVLIML(y, exog, x, z).fit(),
            IVGMM(y, exog, x, z).fit(),
            gmm.IV2SLS(y, design, instruments).fit(),
            gmm.LinearIVGMM(y, design, instruments).fit(maxiter=2, optim_args={"disp": 0}),
        ]
        expected = loop(x[:, None], exog, z)
        for fit in fits:
            assert kcm.first_stage_strength(fit).value == pytest.approx(expected, rel=1e-6)

    def test_the_linear_kernel_has_it_too(self):
        """With one centred instrument, but for the residuals of the first stage."""
        y, _, x, z = instrumental()
        z = z - z.mean()
        data = {"y": y, "x": x, "z": z[:, 0]}
        kernel = 1e6 + kcm.kernels.Linear()
        fit = kcm.MMR.from_formula("y ~ x | z", data, kernel).fit()
        classical = kcm.first_stage_strength(IV2SLS(y, np.ones(200), x, z).fit())
        assert fit.first_stage.value == pytest.approx(classical.value, rel=0.1)

    def test_other_fits_have_nothing_to_be_weak(self):
        data = draw()
        counts = np.arange(N) % 3
        for fit in (smf.ols("y ~ x", data).fit(), sm.Poisson(counts, np.ones(N)).fit(disp=0)):
            assert kcm.first_stage_strength(fit) == kcm.FirstStageStrength(np.inf, ())

    def test_estimates_have_their_own(self, weak):
        assert kcm.first_stage_strength(weak) is weak.first_stage
        with pytest.raises(OptionError, match=r"pass them to `fit`"):
            kcm.first_stage_strength(weak, groups=np.arange(80))
        with pytest.raises(UnsupportedModelError, match="does not hold the instruments"):
            kcm.first_stage_strength(weak.fitted_moment)


class TestWarnings:
    @pytest.mark.parametrize("estimator", [IV2SLS, IVLIML])
    def test_a_test_of_weak_instruments_warns(self, estimator):
        fit = estimator(*instrumental(strength=0.05)).fit()
        with pytest.warns(WeakInstrumentsWarning, match=r"effective F is .* for endog, below 10"):
            kcm.specification_test(fit)

    def test_strong_instruments_do_not_warn(self):
        kcm.specification_test(IV2SLS(*instrumental(strength=2.0)).fit())
        kcm.MMR.from_formula("y ~ x | z", draw(300)).fit().test()

    def test_the_front_door_warns_for_estimates(self, weak):
        with pytest.warns(WeakInstrumentsWarning, match=r"test\(robust=True\)` holds"):
            kcm.specification_test(weak)

    def test_the_summary_tells(self, weak, data):
        assert "effective F" in str(weak.summary())
        assert "weak: below 15" in str(weak.remove_data().summary())
        strong = kcm.MMR.from_formula("y ~ x | z", draw(300)).fit()
        assert "(not weak)" in str(strong.summary())
        assert "First stage" not in str(kcm.MMR.from_formula("y ~ w", data).fit().summary())


class TestRobustTest:
    def test_it_is_the_largest_pvalue(self, weak):
        grid = np.concatenate([np.linspace(-4, 6, 26), [-1e6, 1e6]])
        on_grid = max(weak.test_at({"x": value}, null=FAST).pvalue for value in grid)
        found = weak.test(robust=True, null=FAST)
        assert found.pvalue >= on_grid - 1e-6
        assert found.pvalue == pytest.approx(on_grid, abs=0.01)

    def test_the_law_is_that_of_the_value_found(self):
        fit = kcm.MMR.from_formula("y ~ x | z", draw(80, 3, 0.5)).fit()
        found = fit.test(robust=True)
        value = float(found.theta.rpartition(" = ")[2])
        assert found.theta.startswith("where the p-value is largest: x = ")
        assert found.pvalue == pytest.approx(fit.test_at({"x": value}).pvalue, abs=1e-4)

    def test_of_two_endogenous_parameters(self):
        fit = kcm.MMR.from_formula("y ~ x + t | z + r", two_endogenous(40, 2, 0.4)).fit()
        found = fit.test(robust=True, null=FAST)
        values = np.random.default_rng(0).normal([1, 1], [1, 1], size=(15, 2))
        tried = [fit.test_at({"x": a, "t": b}, null=FAST).pvalue for a, b in values]
        assert found.pvalue >= max(tried) - 1e-3

    def test_the_default_is_robust_where_instruments_are_weak(self, weak):
        with pytest.warns(WeakInstrumentsWarning, match="the largest over these parameters"):
            default = weak.test()
        assert default.pvalue == weak.test(robust=True).pvalue
        assert "largest over x" in str(default.summary())
        with pytest.warns(WeakInstrumentsWarning, match="may then reject a right model too often"):
            plain = weak.test(robust=False)
        assert plain.pvalue == kcm.KCMTest(weak.kernel).run(weak.fitted_moment).pvalue

    def test_strong_instruments_change_nothing(self):
        fit = kcm.MMR.from_formula("y ~ x | z", draw(300)).fit()
        plain = kcm.KCMTest(fit.kernel).run(fit.fitted_moment)
        assert fit.test().pvalue == fit.test(robust=False).pvalue == plain.pvalue
        assert fit.test(robust=True).pvalue > plain.pvalue

    def test_without_an_endogenous_parameter_there_is_one_test(self, data):
        fit = kcm.MMR.from_formula("y ~ w", data).fit()
        assert fit.test(robust=True).pvalue == fit.test().pvalue

    def test_a_wrong_model_is_rejected(self):
        fit = kcm.MMR.from_formula("y ~ x | z", draw(150, 0, 0.5, wrong=2.0)).fit()
        assert fit.first_stage.is_weak
        assert fit.test(robust=True).pvalue < 0.01

    def test_another_kernel_and_draws(self, weak):
        kernel, null = kcm.kernels.Laplace(), kcm.MultiplierBootstrap(99)
        first, second = (weak.test(kernel, null=null, rng=3, robust=True) for _ in range(2))
        assert first.pvalue == second.pvalue
        assert isinstance(first.kernel, kcm.kernels.Laplace)

    def test_bounds_are_kept(self):
        """The regressor has nothing to do with the instrument, so far values fit the best."""
        model = kcm.MMR.from_formula("y ~ x | z", draw(60, 2, 0.0, wrong=3.0))
        free = model.fit().test(robust=True, null=FAST)
        bounded = model.fit(bounds={"x": (-3.0, 4.0)})
        found = bounded.test(robust=True, null=FAST)
        assert abs(float(free.theta.rpartition(" = ")[2])) > 20
        assert -3 <= float(found.theta.rpartition(" = ")[2]) <= 4
        assert found.pvalue < 0.05 < free.pvalue

    @pytest.mark.filterwarnings("ignore::kcm.BoundaryWarning")
    def test_a_parameter_at_a_bound_is_endogenous_too(self):
        data = draw(60, 2, 0.3)
        fit = kcm.MMR.from_formula("y ~ x | z", data).fit(bounds={"x": (3.0, 9.0)})
        assert fit.params["x"] == 3.0
        assert fit.first_stage.names == ("x",)
        free = kcm.MMR.from_formula("y ~ x | z", data).fit()
        assert fit.first_stage.value == pytest.approx(free.first_stage.value, rel=1e-6)
        found = fit.test(robust=True, null=FAST)
        tried = [fit.test_at({"x": value}, null=FAST).pvalue for value in (3.0, 4.0, 6.0, 9.0)]
        assert found.pvalue >= max(tried) - 1e-6

    def test_a_wrong_option_is_refused(self, weak):
        with pytest.raises(OptionError, match=r"`robust` must be True, False or None"):
            is_robust("yes", weak.first_stage)
