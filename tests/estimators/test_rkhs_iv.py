"""RKHSIV. Referees: the published formula in dense NumPy, refits, and scikit-learn's checks."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

import kcm
from kcm.estimators import rkhs_selection
from kcm.estimators.rkhs_iv import RKHSIV
from kcm.estimators.rkhs_numerics import feature_map, weighted
from kcm.exceptions import DataError, OptionError, RegularizationBiasWarning
from kcm.kernels import Gaussian, Laplace, MedianHeuristic, Subspace

KERNELS = {
    "gaussian": (Gaussian(1.0), Gaussian(2.0)),
    "laplace": (Laplace(1.5), Laplace(2.0)),
    "scaled": (3.0 * Gaussian(0.7), Gaussian(2.0) + 0.5 * Laplace(1.0)),
}
every_kernel = pytest.mark.parametrize("kernels", KERNELS.values(), ids=KERNELS.keys())
with_or_without_intercept = pytest.mark.parametrize("fit_intercept", [True, False])


def sample(n, seed=0):
    """Draw one data set of the design of Bennett, Kallus and Schnabel (2019), g = sin."""
    rng = np.random.default_rng(seed)
    z, e = rng.uniform(-3, 3, (n, 2)), rng.normal(size=n)
    x = z[:, 0] + e + rng.normal(0, np.sqrt(0.1), n)
    return x[:, None], np.sin(x) + e + rng.normal(0, np.sqrt(0.1), n), z


def pointwise(kernel, x, y):
    """k(x_i, y_j) by definition, in double precision."""
    if isinstance(kernel, Gaussian):
        return np.exp(-((x[:, None] - y[None]) ** 2).sum(axis=2) / (2 * kernel.bandwidth**2))
    if isinstance(kernel, Laplace):
        return np.exp(-np.abs(x[:, None] - y[None]).sum(axis=2) / kernel.bandwidth)
    return sum_or_scaled(kernel, x, y)


def sum_or_scaled(kernel, x, y):
    if hasattr(kernel, "factor"):
        return kernel.factor * pointwise(kernel.kernel, x, y)
    return pointwise(kernel.left, x, y) + pointwise(kernel.right, x, y)


def dense_coefficients(gram_x, weight, y, lam, fit_intercept):
    """Solve (W L + lam I) a = W (y - c), with c from the condition 1'W (y - L a - c) = 0."""
    if fit_intercept:
        sums = weight.sum(axis=1)
        weight = weight - np.outer(sums, sums) / sums.sum()
    return np.linalg.solve(weight @ gram_x + lam * np.eye(len(y)), weight @ y)


def dense_fit(gram_x, weight, y, lam, fit_intercept):
    """Return the coefficients and the constant."""
    a = dense_coefficients(gram_x, weight, y, lam, fit_intercept)
    rest = weight @ (y - gram_x @ a)
    return a, rest.sum() / weight.sum() if fit_intercept else 0.0


class TestSolution:
    @every_kernel
    @with_or_without_intercept
    @pytest.mark.parametrize("lam", [1e-2, 1e-4, 1e-6])
    def test_equals_the_published_formula_solved_densely(self, kernels, fit_intercept, lam):
        x, y, z = sample(300)
        new = np.linspace(-4, 4, 50)[:, None]
        gram_x, gram_z = (pointwise(k, p, p) for k, p in zip(kernels, (x, z), strict=True))
        a, constant = dense_fit(gram_x, gram_z / 300**2, y, lam, fit_intercept)
        fit = RKHSIV(*kernels, lam, fit_intercept=fit_intercept).fit(x, y, z)
        np.testing.assert_allclose(fit.predict(x), gram_x @ a + constant, rtol=0, atol=1e-8)
        expected = pointwise(kernels[0], new, x) @ a + constant
        np.testing.assert_allclose(fit.predict(new), expected, rtol=0, atol=1e-8)
        np.testing.assert_allclose(fit.residuals_, y - fit.predict(x), rtol=0, atol=1e-9)

    def test_is_the_function_that_its_coefficients_say(self):
        x, y, z = sample(100)
        fit = RKHSIV().fit(x, y, z)
        cross = pointwise(Gaussian(float(fit.kernel_.bandwidth[0])), x, fit.landmarks_)
        np.testing.assert_allclose(
            fit.predict(x), cross @ fit.dual_coef_ + fit.intercept_, rtol=0, atol=1e-9
        )

    def test_minimises_the_penalised_risk(self):
        """Referee: the objective itself, at functions nearby."""
        x, y, z = sample(60)
        gram_x, gram_z = pointwise(Gaussian(1.0), x, x), pointwise(Gaussian(2.0), z, z)
        a, constant = dense_fit(gram_x, gram_z / 60**2, y, 1e-3, True)
        fit = RKHSIV(Gaussian(1.0), Gaussian(2.0), 1e-3).fit(x, y, z)

        def objective(f, a):
            return (y - f) @ gram_z @ (y - f) / 60**2 + 1e-3 * a @ gram_x @ a

        least = objective(fit.predict(x), a)
        rng = np.random.default_rng(1)
        for _ in range(20):
            step = 0.01 * rng.normal(size=60)
            assert objective(gram_x @ (a + step) + constant + 0.01 * rng.normal(), a + step) > least

    def test_a_constant_moves_the_fit_by_itself(self):
        x, y, z = sample(150)
        fit, moved = RKHSIV().fit(x, y, z), RKHSIV().fit(x, y + 1000.0, z)
        assert moved.regularization_ == fit.regularization_
        np.testing.assert_allclose(moved.predict(x) - 1000.0, fit.predict(x), rtol=0, atol=1e-8)

    def test_units_of_the_data_do_not_matter(self):
        x, y, z = sample(150)
        fit = RKHSIV().fit(x, y, z)
        other = RKHSIV().fit(100 * x - 7, 3 * y, 0.01 * z + 5)
        assert other.regularization_ == fit.regularization_
        np.testing.assert_allclose(
            other.predict(100 * x - 7), 3 * fit.predict(x), rtol=0, atol=1e-6
        )

    def test_without_instruments_it_is_a_regression(self):
        x, y, _ = sample(200)
        fit, same = RKHSIV().fit(x, y), RKHSIV().fit(x, y, x)
        np.testing.assert_allclose(fit.predict(x), same.predict(x), rtol=0, atol=1e-12)

    def test_exogenous_treatments_are_found(self):
        """Referee: the function that made the data."""
        rng = np.random.default_rng(0)
        x = rng.uniform(-3, 3, (600, 1))
        fit = RKHSIV().fit(x, np.sin(2 * x[:, 0]) + 0.3 * rng.normal(size=600))
        assert np.mean((fit.predict(x) - np.sin(2 * x[:, 0])) ** 2) < 0.01


class TestLandmarks:
    def test_many_landmarks_agree_with_the_exact_solution(self):
        x, y, z = sample(1_200)
        options = {"kernel": Gaussian(0.5), "regularization": 1e-4}
        exact = RKHSIV(**options).fit(x, y, z)
        some = RKHSIV(**options, max_exact=1_000, n_landmarks=100).fit(x, y, z)
        assert len(some.landmarks_) <= 100 < 1_200
        np.testing.assert_allclose(some.predict(x), exact.predict(x), rtol=0, atol=1e-6)

    def test_few_landmarks_give_the_best_function_on_them(self):
        """Referee: the normal equations of f = sum_i a_i l(x_i, .) over the landmarks, densely."""
        x, y, z = sample(300)
        fit = RKHSIV(
            Laplace(1.0), Gaussian(2.0), 1e-3, fit_intercept=False, max_exact=100, n_landmarks=20
        ).fit(x, y, z)
        weight = pointwise(Gaussian(2.0), z, z) / 300**2
        cross = pointwise(Laplace(1.0), x, fit.landmarks_)
        own = pointwise(Laplace(1.0), fit.landmarks_, fit.landmarks_)
        a = np.linalg.solve(cross.T @ weight @ cross + 1e-3 * own, cross.T @ weight @ y)
        assert len(fit.landmarks_) == 20
        np.testing.assert_allclose(fit.predict(x), cross @ a, rtol=0, atol=1e-9)


class TestLeaveOutError:
    @with_or_without_intercept
    @pytest.mark.parametrize("size", [1, 2, 7])
    @pytest.mark.parametrize("lam", [1e-2, 1e-5])
    def test_equals_refitting(self, fit_intercept, size, lam):
        n = 60
        x, y, z = sample(n)
        weight = pointwise(Gaussian(2.0), z, z) / n**2
        gram_x = pointwise(Gaussian(1.0), x, x)
        blocks = rkhs_selection.left_out_blocks(n, size)
        residuals, errors = [], []
        for block in blocks:
            kept = np.setdiff1d(np.arange(n), block)
            a, constant = dense_fit(
                gram_x[np.ix_(kept, kept)], weight[np.ix_(kept, kept)], y[kept], lam, fit_intercept
            )
            residuals.append(y[block] - gram_x[np.ix_(block, kept)] @ a - constant)
            gram_block = weight[np.ix_(block, block)] * n**2
            errors.append(residuals[-1] @ gram_block @ residuals[-1] / size**2)
        fit = RKHSIV(
            Gaussian(1.0), Gaussian(2.0), lam, fit_intercept=fit_intercept, leave_out=size
        ).fit(x, y, z)
        assert fit.leave_out_error_ == pytest.approx(np.mean(errors), rel=1e-7)
        found = closed_form_residuals(x, y, z, lam, blocks, fit_intercept)
        np.testing.assert_allclose(found, residuals, rtol=0, atol=1e-7)

    def test_the_smallest_error_is_chosen(self):
        """Referee: a search over fits with kernel and lam given."""
        x, y, z = sample(120)
        fit = RKHSIV().fit(x, y, z)
        bandwidth = MedianHeuristic()(x)
        errors = {
            (factor, lam): RKHSIV(Gaussian(factor * bandwidth), None, lam).fit(x, y, z)
            for factor in (0.25, 0.5, 1.0, 2.0, 4.0)
            for lam in 10.0 ** -np.arange(0, 10.25, 0.5)
        }
        best = min(errors.values(), key=lambda one: one.leave_out_error_)
        assert fit.leave_out_error_ == pytest.approx(best.leave_out_error_, rel=1e-10)
        assert fit.regularization_ == pytest.approx(best.regularization_)
        np.testing.assert_allclose(fit.kernel_.bandwidth, best.kernel_.bandwidth)

    def test_blocks_are_disjoint_and_do_not_depend_on_global_state(self):
        np.random.seed(1)
        first = rkhs_selection.left_out_blocks(103, 10)
        np.random.seed(2)
        np.testing.assert_array_equal(rkhs_selection.left_out_blocks(103, 10), first)
        assert first.shape == (10, 10)
        assert len(np.unique(first)) == 100

    @pytest.mark.parametrize(("n", "size", "shape"), [(5, 10, (2, 2)), (50_000, 10, (500, 10))])
    def test_blocks_take_half_of_the_rows_at_most_and_are_limited(self, n, size, shape):
        assert rkhs_selection.left_out_blocks(n, size).shape == shape


def closed_form_residuals(x, y, z, lam, blocks, fit_intercept):
    n = len(y)
    base = weighted(Gaussian(2.0), z, np.stack([np.ones(n), y], axis=1))
    _, equations = feature_map(
        Gaussian(1.0), x, Gaussian(2.0), z, base,
        fit_intercept=fit_intercept, tolerance=1e-14, max_rank=n,
    )  # fmt: skip
    grams = rkhs_selection.gram_blocks(Gaussian(2.0), z, blocks)
    return rkhs_selection.left_out_residuals(equations, base[:, 1], y, lam, blocks, grams)


class TestFittedMoment:
    @with_or_without_intercept
    def test_a_draw_is_the_refitted_smoother(self, fit_intercept):
        """Referee: fits to the multiplied residuals, by the dense formula."""
        x, y, z = sample(80)
        fit = RKHSIV(Gaussian(1.0), Gaussian(2.0), 1e-4, fit_intercept).fit(x, y, z)
        with pytest.warns(RegularizationBiasWarning, match="bias of the regularisation"):
            moment = fit.fitted_moment()
        multiplied = np.random.default_rng(1).choice([-1.0, 1.0], 80) * fit.residuals_
        gram_x = pointwise(Gaussian(1.0), x, x)
        weight = pointwise(Gaussian(2.0), z, z) / 80**2
        a, constant = dense_fit(gram_x, weight, multiplied, 1e-4, fit_intercept)
        weights = multiplied / fit.residuals_
        shift = weights @ moment.influence[:, 0] / 80
        draw = multiplied + moment.jacobian[:, 0] @ shift
        np.testing.assert_allclose(draw, multiplied - gram_x @ a - constant, rtol=0, atol=1e-8)

    def test_the_scale_is_the_row_norm_of_the_residual_maker(self):
        """Referee: I - H, its columns the dense fits to unit vectors."""
        x, y, z = sample(50)
        fit = RKHSIV(Gaussian(1.0), Gaussian(2.0), 1e-4).fit(x, y, z)
        with pytest.warns(RegularizationBiasWarning):
            moment = fit.fitted_moment()
        gram_x = pointwise(Gaussian(1.0), x, x)
        weight = pointwise(Gaussian(2.0), z, z) / 50**2
        fits = [dense_fit(gram_x, weight, unit, 1e-4, True) for unit in np.eye(50)]
        maker = np.eye(50) - np.stack([gram_x @ a + constant for a, constant in fits], axis=1)
        np.testing.assert_allclose(
            moment.scale[:, 0], np.linalg.norm(maker, axis=1), rtol=0, atol=1e-7
        )

    @pytest.mark.filterwarnings("ignore::kcm.exceptions.RegularizationBiasWarning")
    def test_it_can_be_tested(self):
        x, y, z = sample(300)
        moment = RKHSIV().fit(x, y, pd.DataFrame(z, columns=["rain", "wind"])).fitted_moment()
        result = kcm.KCMTest().run(moment)
        assert 0 < result.pvalue <= 1
        assert "rain, wind" in result.null_hypothesis
        assert result.theta == "estimated: RKHS IV"

    @pytest.mark.filterwarnings("ignore::kcm.exceptions.RegularizationBiasWarning")
    def test_an_excluded_instrument_that_is_not_excluded_is_found(self):
        x, y, z = sample(400)
        fit = RKHSIV().fit(x, y + z[:, 1], z)
        assert kcm.KCMTest().run(fit.fitted_moment()).pvalue < 0.001


@parametrize_with_checks([RKHSIV()])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


class TestBoundary:
    def test_a_clone_has_the_same_options(self):
        estimator = RKHSIV(Gaussian(1.0), Laplace(2.0), 0.5, leave_out=3)
        copy = clone(estimator)
        assert repr(copy) == repr(estimator)
        assert copy.get_params()["leave_out"] == 3

    def test_rules_of_given_kernels_are_resolved(self):
        x, y, z = sample(80)
        fit = RKHSIV(Laplace(), Subspace(Gaussian(), 0), 1e-3).fit(x, y, z)
        np.testing.assert_allclose(fit.kernel_.bandwidth, MedianHeuristic()(x))
        np.testing.assert_allclose(
            fit.instrument_kernel_.kernel.bandwidth, MedianHeuristic()(z[:, :1])
        )

    def test_data_are_left_alone_and_copied(self):
        x, y, z = sample(60)
        copies = x.copy(), y.copy(), z.copy()
        fit = RKHSIV().fit(x, y, z)
        for array, copy in zip((x, y, z), copies, strict=True):
            np.testing.assert_array_equal(array, copy)
        z[:] = 0.0
        np.testing.assert_array_equal(fit.Z_fit_, copies[2])

    def test_it_can_be_pickled(self):
        x, y, z = sample(60)
        fit = RKHSIV().fit(x, y, z)
        again = pickle.loads(pickle.dumps(fit))
        np.testing.assert_array_equal(again.predict(x), fit.predict(x))

    def test_not_fitted(self):
        with pytest.raises(NotFittedError):
            RKHSIV().predict(np.zeros((2, 1)))
        with pytest.raises(NotFittedError):
            RKHSIV().fitted_moment()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"regularization": 0.0}, "`regularization` must be a positive number"),
            ({"regularization": "auto"}, "`regularization` must be a positive number"),
            ({"leave_out": 0}, "`leave_out` must be a whole number of at least 1; got 0"),
            ({"max_exact": 1.5}, "`max_exact` must be a whole number"),
            ({"n_landmarks": True}, "`n_landmarks` must be a whole number"),
            ({"kernel": "rbf"}, "`kernel` must be a kernel such as .* or None for the default"),
            ({"instrument_kernel": 1.0}, "`instrument_kernel` must be a kernel such as"),
        ],
    )
    def test_options_are_checked(self, options, message):
        x, y, z = sample(30)
        with pytest.raises(OptionError, match=message):
            RKHSIV(**options).fit(x, y, z)

    def test_rows_must_match(self):
        x, y, z = sample(30)
        with pytest.raises(DataError, match="`Z` has 29 rows and `X` has 30"):
            RKHSIV().fit(x, y, z[1:])

    def test_missing_instruments_are_refused(self):
        x, y, z = sample(30)
        z[3, 1] = np.nan
        with pytest.raises(
            DataError, match=r"`Z` holds 1 missing value \(first in row 3, column 1"
        ):
            RKHSIV().fit(x, y, z)

    def test_columns_must_vary(self):
        x, y, z = sample(30)
        with pytest.raises(DataError, match=r"column 1 \(counted from 0\) is the same"):
            RKHSIV().fit(np.hstack([x, np.ones((30, 1))]), y, z)
        with pytest.raises(DataError, match="'z2' is the same in every row"):
            RKHSIV().fit(x, y, np.stack([z[:, 0], np.ones(30)], axis=1))
