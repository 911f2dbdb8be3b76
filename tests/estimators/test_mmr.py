"""Minimum-MMR estimation.

Referees: linearmodels and statsmodels where a linear kernel makes it their estimator, dense NumPy
programs that share no code with the library, and scipy's general minimiser.
"""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from estimation_designs import EULER, EXPONENTIAL, NONLINEAR, SIMEQ
from hypothesis import given, settings
from hypothesis import strategies as st
from linearmodels.datasets import card, mroz
from linearmodels.iv import IV2SLS
from scipy.optimize import minimize
from scipy.spatial.distance import pdist, squareform

import kcm
from kcm.estimators import search
from kcm.exceptions import DataError, IdentificationError, MomentError, OptionError
from kcm.kernels import Gaussian, Laplace, Linear

INSTRUMENTAL = "y ~ x + w | z + w"


def instrumental(n=300, seed=0):
    rng = np.random.default_rng(seed)
    z, w, u, v = rng.normal(size=(4, n))
    x = z + 0.5 * w + u + v
    y = 1 + 2 * x - w + u * (1 + 0.5 * np.abs(z))
    return pd.DataFrame({"y": y, "x": x, "z": z, "w": w}, index=[f"i{k}" for k in range(n)])


def gaussian_gram(x, kernel):
    return np.exp(-squareform(pdist(x / kernel.bandwidth, "sqeuclidean")) / 2)


def dense_linear(design, outcome, gram):
    """Parameters and HC0 standard errors of the linear minimum-MMR estimator, written out."""
    n = len(outcome)
    inverse = np.linalg.inv(design.T @ gram @ design)
    theta = inverse @ design.T @ gram @ outcome
    residual = outcome - design @ theta
    meat = (gram @ design) * residual[:, None]
    spread = inverse @ meat.T @ meat @ inverse
    return theta, np.sqrt(np.diag(spread)), residual @ gram @ residual / n


class TestLinearKernel:
    """With k(x, y) = 1 + x'y and as many instruments as parameters."""

    def test_just_identified_is_two_stage_least_squares(self):
        data = instrumental()
        ours = kcm.MMR.from_formula(INSTRUMENTAL, data, 1.0 + Linear()).fit()
        theirs = IV2SLS.from_formula("y ~ 1 + w + [x ~ z]", data).fit(cov_type="robust")
        names = list(theirs.params.index)
        np.testing.assert_allclose(ours.params[names], theirs.params, rtol=1e-8)
        np.testing.assert_allclose(ours.bse[names], theirs.std_errors, rtol=1e-8)
        np.testing.assert_allclose(ours.cov_params().loc[names, names], theirs.cov, rtol=1e-8)

    def test_conditioning_on_the_regressors_is_least_squares(self):
        data = instrumental()
        ours = kcm.MMR.from_formula("y ~ x + w", data, 1.0 + Linear()).fit()
        theirs = sm.OLS(data["y"], sm.add_constant(data[["x", "w"]])).fit(cov_type="HC0")
        np.testing.assert_allclose(ours.params, theirs.params, rtol=1e-8)
        np.testing.assert_allclose(ours.bse, theirs.bse, rtol=1e-8)

    def test_clusters_are_those_of_linearmodels(self):
        data = instrumental()
        groups = pd.Series(np.arange(300) // 6, index=data.index)
        ours = kcm.MMR.from_formula(INSTRUMENTAL, data, 1.0 + Linear()).fit(groups=groups)
        fit = IV2SLS.from_formula("y ~ 1 + w + [x ~ z]", data)
        theirs = fit.fit(cov_type="clustered", clusters=groups)
        names = list(theirs.params.index)
        assert ours.cov_type == "cluster"
        np.testing.assert_allclose(ours.bse[names], theirs.std_errors, rtol=1e-8)

    def test_the_units_of_a_kernel_do_not_matter_when_just_identified(self):
        data = instrumental()
        fits = [
            kcm.MMR.from_formula(INSTRUMENTAL, data, 3.0 + Linear([h, 1.0])).fit().params
            for h in (0.1, 1.0, 30.0)
        ]
        np.testing.assert_allclose(fits[0], fits[1], rtol=1e-8)
        np.testing.assert_allclose(fits[2], fits[1], rtol=1e-8)


@pytest.mark.parametrize("kernel", [Gaussian(), Laplace(), Gaussian(0.3) + 0.1], ids=repr)
def test_statistic_is_the_concentrated_form(kernel):
    data = instrumental(200)
    results = kcm.MMR.from_formula(INSTRUMENTAL, data, kernel).fit()
    k = kcm.gram.matrix(results.kernel, data[["z", "w"]])
    s, y = np.column_stack([np.ones(200), data[["x", "w"]]]), data["y"].to_numpy()
    projected = k - k @ s @ np.linalg.solve(s.T @ k @ s, s.T @ k)
    by_hand = y @ projected @ y / 200
    test = kcm.KCMTest(results.kernel, "V").run(results.fitted_moment)
    assert test.statistic == pytest.approx(by_hand, rel=1e-9)
    assert 200 * results.convergence.objective == pytest.approx(by_hand, rel=1e-9)


REAL = {
    "card": (
        card,
        "lwage ~ educ + exper + expersq + black + south + smsa"
        " | nearc4 + exper + expersq + black + south + smsa",
    ),
    "mroz": (
        mroz,
        "np.log(wage) ~ educ + exper + expersq | motheduc + fatheduc + exper + expersq",
    ),
}


@pytest.mark.parametrize(("source", "formula"), REAL.values(), ids=REAL.keys())
def test_real_wage_equations_are_those_of_a_dense_program(source, formula):
    names = [part.strip() for part in formula.replace("|", "+").replace("~", "+").split("+")]
    raw = [name.removeprefix("np.log(").removesuffix(")") for name in names]
    data = source.load()[list(dict.fromkeys(raw))].dropna()
    results = kcm.MMR.from_formula(formula, data).fit()
    left, right = formula.split("|")
    regressors = [part.strip() for part in left.split("~")[1].split("+")]
    conditioning = [part.strip() for part in right.split("+")]
    y = np.log(data["wage"]) if "wage" in data else data["lwage"]
    design = np.column_stack([np.ones(len(data)), data[regressors]])
    gram = gaussian_gram(data[conditioning].to_numpy(float), results.kernel)
    theta, errors, _ = dense_linear(design, y.to_numpy(), gram)
    np.testing.assert_allclose(results.params, theta, rtol=1e-6)
    np.testing.assert_allclose(results.bse, errors, rtol=1e-5)


class TestNonlinear:
    @pytest.mark.parametrize("name", NONLINEAR)
    def test_minimum_is_that_of_a_general_minimiser(self, name):
        design = NONLINEAR[name]
        data = design.draw(np.random.default_rng(3), 150)
        results = kcm.MMR(design.moment, data).fit(design.start)
        columns = design.moment.conditioning
        conditioning = np.column_stack([data[c] for c in np.atleast_1d(columns)])
        gram = gaussian_gram(conditioning, results.kernel)
        bound = design.moment.bind(data, design.start, "start")

        def objective(theta):
            psi = bound.evaluate(theta).residuals
            return np.sum(psi * (gram @ psi)) / 150**2 * 1e4

        start = results.params.to_numpy() + 0.3 * results.bse.to_numpy()
        tight = {"xatol": 1e-10, "fatol": 1e-15, "maxiter": 5_000, "maxfev": 5_000}
        referee = minimize(objective, start, method="Nelder-Mead", options=tight)
        np.testing.assert_allclose(results.params, referee.x, atol=2e-5 * results.bse.max())
        assert results.converged

    def test_standard_errors_are_those_of_a_dense_program(self):
        data = EXPONENTIAL.draw(np.random.default_rng(5), 250)
        results = kcm.MMR(EXPONENTIAL.moment, data).fit(EXPONENTIAL.start)
        fitted = np.exp(results.params["a"] + results.params["b"] * data["x"])
        slope = -np.column_stack([fitted, fitted * data["x"]])
        gram = gaussian_gram(data["z"][:, None], results.kernel)
        curvature = np.linalg.inv(slope.T @ gram @ slope)
        influence = -curvature @ (gram @ slope).T * (data["y"] - fitted)
        np.testing.assert_allclose(results.cov_params(), influence @ influence.T, rtol=1e-6)

    def test_the_paper_s_system_is_recovered(self):
        data = SIMEQ.draw(np.random.default_rng(0), 500)
        results = kcm.MMR(SIMEQ.moment, data).fit(SIMEQ.start)
        truth = pd.Series(SIMEQ.truth)
        interval = results.conf_int(0.99)
        assert (np.abs(results.params - truth) < 0.02).all()
        assert ((interval["lower"] < truth) & (truth < interval["upper"])).all()

    def test_the_same_system_by_formulas(self):
        data = SIMEQ.draw(np.random.default_rng(0), 200)
        own = kcm.MMR(SIMEQ.moment, data).fit(SIMEQ.start)
        formulas = {"demand": "q ~ 0 + p + r | r + w", "supply": "q ~ 0 + p + w | r + w"}
        system = kcm.MMR.from_formula(formulas, data).fit()
        np.testing.assert_allclose(system.params[own.params.index], own.params, rtol=1e-9)
        np.testing.assert_allclose(system.bse[own.params.index], own.bse, rtol=1e-9)
        assert system.test().pvalue == pytest.approx(own.test().pvalue, rel=1e-6)

    @pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
    def test_every_method_finds_the_same(self, method):
        data = EULER.draw(np.random.default_rng(1), 200)
        model = kcm.MMR(EULER.moment, data)
        found, referee = model.fit(EULER.start, method=method), model.fit(EULER.start)
        gap = (found.params - referee.params).abs() / referee.bse
        assert gap.max() < 1e-6

    @pytest.mark.parametrize("method", ["auto", "trf"])
    def test_a_search_finds_the_closed_form(self, method):
        data = instrumental()

        def residual(params, row):
            return row["y"] - params["c"] - params["x"] * row["x"] - params["w"] * row["w"]

        model = kcm.MMR(kcm.ConditionalMoment(residual, "z + w"), data)
        results = model.fit({"c": 5.0, "x": -3.0, "w": 0.0}, method=method)
        closed = kcm.MMR.from_formula(INSTRUMENTAL, data).fit()
        np.testing.assert_allclose(results.params, closed.params, rtol=1e-9)
        assert (results.convergence.message == "closed form") == (method == "auto")

    def test_several_starts_find_the_lower_minimum(self):
        rng = np.random.default_rng(2)
        x = rng.uniform(0, 6, size=300)
        data = {"x": x, "y": np.sin(2 * x) + 0.1 * rng.normal(size=300)}
        moment = kcm.ConditionalMoment(lambda p, r: r["y"] - jnp.sin(p["w"] * r["x"]), "x")
        model = kcm.MMR(moment, data, Gaussian(0.3))
        trapped = model.fit({"w": 5.0})
        given = model.fit([{"w": 5.0}, {"w": 2.2}])
        drawn = model.fit({"w": 5.0}, n_starts=20, bounds={"w": (0.1, 8.0)}, rng=0)
        assert trapped.convergence.objective > 10 * given.convergence.objective
        assert given.params["w"] == pytest.approx(2.0, abs=0.05)
        assert drawn.params["w"] == pytest.approx(given.params["w"], abs=1e-6)

    def test_the_same_rng_draws_the_same_starts(self):
        data = EXPONENTIAL.draw(np.random.default_rng(1), 100)
        model = kcm.MMR(EXPONENTIAL.moment, data)
        fits = [model.fit(EXPONENTIAL.start, n_starts=3, rng=5) for _ in range(2)]
        assert fits[0].convergence == fits[1].convergence

    def test_a_low_rank_draft_is_polished_on_the_exact_objective(self, monkeypatch):
        data = EXPONENTIAL.draw(np.random.default_rng(1), 200)
        exact = kcm.MMR(EXPONENTIAL.moment, data).fit(EXPONENTIAL.start)
        monkeypatch.setattr(search, "TOLERANCE", 1e-3)
        drafted = kcm.MMR(EXPONENTIAL.moment, data).fit(EXPONENTIAL.start)
        assert ((drafted.params - exact.params).abs() / exact.bse).max() < 1e-6


class TestBounds:
    def test_a_bound_that_does_not_bind_changes_nothing(self):
        data = EXPONENTIAL.draw(np.random.default_rng(1), 200)
        model = kcm.MMR(EXPONENTIAL.moment, data)
        free = model.fit(EXPONENTIAL.start)
        bounded = model.fit(EXPONENTIAL.start, bounds={"b": (None, 3.0), "a": (-5, 5)})
        assert ((bounded.params - free.params).abs() / free.bse).max() < 1e-6

    def test_a_bound_that_binds_is_reached_and_reported(self):
        data = EXPONENTIAL.draw(np.random.default_rng(1), 200)
        model = kcm.MMR(EXPONENTIAL.moment, data)
        with pytest.warns(kcm.BoundaryWarning, match="b ended at a bound"):
            results = model.fit(EXPONENTIAL.start, bounds={"b": (-1.0, 0.2)})
        assert results.params["b"] == 0.2
        assert np.isnan(results.bse["b"])
        assert results.bse["a"] > 0

        def fixed(params, row):
            return row["y"] - jnp.exp(params["a"] + 0.2 * row["x"])

        referee = kcm.MMR(kcm.ConditionalMoment(fixed, "z"), data).fit({"a": 0.0})
        assert results.params["a"] == pytest.approx(referee.params["a"], rel=1e-8)
        assert results.bse["a"] == pytest.approx(referee.bse["a"], rel=1e-8)
        assert results.test().pvalue == pytest.approx(referee.test().pvalue, rel=1e-6)

    def test_a_linear_moment_keeps_its_bounds(self):
        data = instrumental()
        model = kcm.MMR.from_formula(INSTRUMENTAL, data)
        with pytest.warns(kcm.BoundaryWarning, match="x ended at a bound"):
            results = model.fit(bounds={"x": (0.0, 1.5)}, start={"Intercept": 0, "x": 1, "w": 0})
        assert results.params["x"] == 1.5

    def test_bounds_of_a_group_hold_for_all_its_parameters(self):
        data = SIMEQ.draw(np.random.default_rng(0), 200)
        model = kcm.MMR(SIMEQ.moment, data)
        with pytest.warns(kcm.BoundaryWarning, match=r"demand\.r ended"):
            results = model.fit(SIMEQ.start, bounds={"demand": (-1.5, 1.5)})
        assert results.params["demand.r"] == 1.5

    @pytest.mark.parametrize(
        ("bounds", "message"),
        [
            ({"c": (0, 1)}, "there is no parameter 'c'"),
            ({"b": 1.0}, "must be a pair"),
            ({"b": (1.0, 1.0)}, "must have lower < upper"),
            ({"b": (1.0, 2.0)}, r"`start` has b = 0 outside its bounds \(1, 2\)"),
            ([(0, 1)], "must be a mapping of parameter names"),
        ],
    )
    def test_wrong_bounds_are_refused(self, bounds, message):
        data = EXPONENTIAL.draw(np.random.default_rng(1), 50)
        with pytest.raises(OptionError, match=message):
            kcm.MMR(EXPONENTIAL.moment, data).fit(EXPONENTIAL.start, bounds=bounds)


class TestIdentification:
    def test_parameters_that_only_add_up_are_named(self):
        def residual(params, row):
            return row["y"] - (params["a"] + params["b"]) - params["c"] * row["x"]

        model = kcm.MMR(kcm.ConditionalMoment(residual, "z"), instrumental())
        with pytest.raises(IdentificationError, match=r"collinear in a, b\."):
            model.fit({"a": 0.0, "b": 0.0, "c": 0.0})

    def test_too_few_instruments_for_a_linear_kernel(self):
        model = kcm.MMR.from_formula("y ~ x + w | z", instrumental(), 1.0 + Linear())
        with pytest.raises(IdentificationError, match="do not tell apart"):
            model.fit()

    def test_a_nonlinear_product(self):
        def residual(params, row):
            return row["y"] - params["a"] * params["b"] * jnp.exp(params["c"] * row["x"])

        model = kcm.MMR(kcm.ConditionalMoment(residual, "z"), instrumental())
        with pytest.raises(IdentificationError, match=r"collinear in a, b\."):
            model.fit({"a": 1.0, "b": 1.0, "c": 0.1})

    def test_collinear_regressors(self):
        data = instrumental().assign(double=lambda d: 2 * d["w"])
        with pytest.raises(IdentificationError, match=r"collinear in w, double\."):
            kcm.MMR.from_formula("y ~ x + w + double | z + w", data).fit()

    def test_units_do_not_decide_what_is_identified(self):
        data = instrumental().assign(tiny=lambda d: 1e-9 * d["w"])
        results = kcm.MMR.from_formula("y ~ x + tiny | z + w", data).fit()
        referee = kcm.MMR.from_formula(INSTRUMENTAL, data).fit()
        assert results.params["tiny"] == pytest.approx(1e9 * referee.params["w"], rel=1e-8)
        assert results.tvalues["tiny"] == pytest.approx(referee.tvalues["w"], rel=1e-8)


class TestBadInput:
    def test_a_start_where_the_residual_is_not_finite(self):
        data = instrumental().assign(positive=lambda d: np.abs(d["x"]))

        def residual(params, row):
            return row["y"] - jnp.log(params["a"] + row["positive"])

        model = kcm.MMR(kcm.ConditionalMoment(residual, "z"), data)
        message = r"residual is not finite in \d+ of 300 rows at a = -1 \(first: row 'i"
        with pytest.raises(DataError, match=message):
            model.fit({"a": -1.0})

    def test_a_start_where_the_derivative_is_not_finite(self):
        def residual(params, row):
            return row["y"] - jnp.sqrt(params["a"]) * row["x"]

        model = kcm.MMR(kcm.ConditionalMoment(residual, "z"), instrumental())
        with pytest.raises(DataError, match="derivative of the residual is not finite in 300"):
            model.fit({"a": 0.0})

    def test_a_parameter_that_does_not_enter(self):
        def residual(params, row):
            return row["y"] - params["a"] * row["x"]

        model = kcm.MMR(kcm.ConditionalMoment(residual, "z"), instrumental())
        with pytest.raises(MomentError, match="parameter idle, more does not enter"):
            model.fit({"a": 0.0, "idle": 1.0, "more": 2.0})

    def test_a_parameter_without_effect_at_the_start_only(self):
        data = EXPONENTIAL.draw(np.random.default_rng(1), 200)

        def residual(params, row):
            return row["y"] - params["c"] * jnp.exp(params["b"] * row["x"])

        model = kcm.MMR(kcm.ConditionalMoment(residual, "z"), data)
        results = model.fit({"c": 0.0, "b": 0.5})
        referee = kcm.MMR(EXPONENTIAL.moment, data).fit(EXPONENTIAL.start)
        assert results.params["b"] == pytest.approx(referee.params["b"], rel=1e-6)

    def test_no_start(self):
        with pytest.raises(OptionError, match="`start` is needed"):
            kcm.MMR(EXPONENTIAL.moment, instrumental()).fit()

    def test_data_without_variation_in_a_conditioning_column(self):
        data = instrumental().assign(z=1.0)
        with pytest.raises(DataError, match="'z' is the same in every row"):
            kcm.MMR.from_formula(INSTRUMENTAL, data).fit()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"method": "closed-form"}, "for residuals that are linear in the parameters"),
            ({"method": "lm", "bounds": {"b": (0, 1)}}, '`method="lm"` knows no `bounds`'),
            ({"n_starts": 0}, "`n_starts` must be an int of at least 1"),
            ({"maxiter": 0}, "`maxiter` must be an int of at least 1"),
            ({"cov_type": "HC3"}, "`cov_type` must be one of 'robust', 'cluster'"),
            ({"cov_type": "cluster"}, "belong together"),
            ({"cov_type": "robust", "groups": np.arange(50)}, "belong together"),
            ({"start": []}, "`start` is an empty list"),
            ({"start": {"a": 0.0, "c": 0.0}}, "raised KeyError"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:the search did not reach")
    def test_wrong_options(self, options, message):
        data = EXPONENTIAL.draw(np.random.default_rng(1), 50)
        with pytest.raises((OptionError, MomentError), match=message):
            kcm.MMR(EXPONENTIAL.moment, data).fit(**({"start": EXPONENTIAL.start} | options))

    def test_a_search_that_is_cut_short_says_so(self):
        data = EXPONENTIAL.draw(np.random.default_rng(1), 100)

        def hard(params, row):
            return row["y"] - jnp.exp(params["a"] + params["b"] * row["x"]) ** 3

        model = kcm.MMR(kcm.ConditionalMoment(hard, "z"), data)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(search, "MOST_STEPS", 0)
            with pytest.warns(kcm.ConvergenceWarning, match="did not reach a minimum"):
                results = model.fit({"a": 1.0, "b": -1.0}, maxiter=2)
        assert not results.converged
        assert results.convergence.step > 1e-6
        assert "Converged:                          NO" in results.summary().as_text()


class TestInvariance:
    def test_order_of_the_rows(self):
        data = pd.DataFrame(EXPONENTIAL.draw(np.random.default_rng(1), 150))
        first = kcm.MMR(EXPONENTIAL.moment, data).fit(EXPONENTIAL.start)
        shuffled = data.sample(frac=1, random_state=1)
        second = kcm.MMR(EXPONENTIAL.moment, shuffled).fit(EXPONENTIAL.start)
        assert ((first.params - second.params).abs() / first.bse).max() < 1e-6
        np.testing.assert_allclose(first.bse, second.bse, rtol=1e-6)

    @settings(max_examples=10)
    @given(st.floats(-50, 50), st.floats(0.01, 100))
    def test_units_of_a_conditioning_variable(self, shift, scale):
        data = instrumental(100)
        first = kcm.MMR.from_formula(INSTRUMENTAL, data).fit()
        moved = data.assign(z=shift + scale * data["z"])
        second = kcm.MMR.from_formula(INSTRUMENTAL, moved).fit()
        np.testing.assert_allclose(first.params, second.params, rtol=1e-8)
        np.testing.assert_allclose(first.bse, second.bse, rtol=1e-8)

    def test_the_data_are_not_changed(self):
        data = instrumental()
        before = data.copy()
        kcm.MMR.from_formula(INSTRUMENTAL, data).fit().test()
        pd.testing.assert_frame_equal(data, before)

    def test_a_sample_is_data(self):
        data = instrumental()
        sample = kcm.data.Sample.from_frame(data)
        first = kcm.MMR.from_formula(INSTRUMENTAL, sample).fit()
        second = kcm.MMR.from_formula(INSTRUMENTAL, data).fit()
        pd.testing.assert_series_equal(first.params, second.params)
