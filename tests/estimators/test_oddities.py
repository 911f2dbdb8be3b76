"""Estimation on odd data, odd moments and odd wishes.

Each of these once gave a wrong answer without a word, or an error that was none of the library's.
Referees: the same question asked in the ordinary way.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from linearmodels.iv import IV2SLS

import kcm
from kcm.exceptions import DataError, OptionError, SaturatedModelError
from kcm.kernels import Linear

pytestmark = pytest.mark.many_calls

FORMULA = "y ~ x + w | z + w"


def instrumental(n=120, seed=0):
    rng = np.random.default_rng(seed)
    z, w, u, v = rng.normal(size=(4, n))
    x = z + 0.5 * w + u + v
    return pd.DataFrame({"y": 1 + 2 * x - w + u, "x": x, "z": z, "w": w})


def results(**options):
    return kcm.MMR.from_formula(FORMULA, instrumental(), **options).fit()


class TestConfidenceSets:
    @pytest.mark.filterwarnings("ignore::kcm.TiedDistancesWarning")
    @pytest.mark.filterwarnings("ignore::kcm.WeakInstrumentsWarning")
    def test_a_just_identified_estimate_lies_in_its_set(self):
        """There psi'K psi is zero at the estimate: nothing speaks against it."""
        rng = np.random.default_rng(0)
        z = rng.integers(0, 2, size=150).astype(float)
        u = rng.normal(size=150)
        d = (z + u + rng.normal(size=150) > 0.5).astype(float)
        fit = kcm.MMR.from_formula("y ~ d | z", {"y": 1 + 2 * d + u, "d": d, "z": z}).fit()
        region = fit.confidence_set("d")
        assert len(region.intervals) == 1
        assert region.contains(fit.params["d"])
        with pytest.raises(SaturatedModelError, match="kernel sees nothing"):
            fit.test(robust=False)

    def test_with_a_linear_kernel_too(self):
        fit = kcm.MMR.from_formula("y ~ x | z", instrumental(), 1.0 + Linear()).fit()
        ((low, high),) = fit.confidence_set("x").intervals
        assert low < fit.params["x"] < high

    def test_the_other_parameters_may_lie_at_their_bounds(self):
        rng = np.random.default_rng(1)
        x = rng.normal(size=120)
        data = {"x": x, "y": x + 0.5 * rng.normal(size=120)}
        moment = kcm.ConditionalMoment(lambda p, r: r["y"] - p["a"] - p["b"] * r["x"], "x")
        model = kcm.MMR(moment, data)
        free = model.fit({"a": 0.5, "b": 0.0})
        low = free.params["a"] + 0.2  # the bound binds at every value of b near the estimate
        with pytest.warns(kcm.BoundaryWarning):
            fit = model.fit({"a": 1.0, "b": 0.0}, bounds={"a": (low, None)})
        for value in (0.9, 1.0, 1.1):
            referee = free.test_at({"a": low, "b": value})
            assert fit.test_at({"b": value}).pvalue == pytest.approx(referee.pvalue, rel=1e-8)

    def test_a_parameter_that_does_not_matter_at_the_value_is_left_out(self):
        rng = np.random.default_rng(2)
        x = rng.uniform(0, 2, size=120)
        data = {"x": x, "y": 1 + 0.5 * rng.normal(size=120)}

        def residual(params, row):
            return row["y"] - params["c"] - params["a"] * jnp.exp(params["b"] * row["x"])

        model = kcm.MMR(kcm.ConditionalMoment(residual, "x"), data)
        with pytest.warns(kcm.BoundaryWarning):  # b is not identified: a is zero
            fit = model.fit({"c": 0.5, "a": 0.2, "b": 0.5}, bounds={"b": (0.1, 2.0)})
        mean = kcm.MMR(kcm.ConditionalMoment(lambda p, r: r["y"] - p["c"], "x"), data).fit({"c": 0})
        referee = mean.test(kernel=fit.kernel)
        assert fit.test_at({"a": 0.0}).pvalue == pytest.approx(referee.pvalue, rel=1e-6)

    def test_wrong_clusters_are_an_error_and_no_empty_set(self):
        null = kcm.Asymptotic(groups=np.arange(90) // 5)
        with pytest.raises(DataError, match="expected one label for each of the 120 rows"):
            results().confidence_set("x", null=null)

    def test_entries_of_an_array(self):
        data = instrumental()

        def residual(params, row):
            b = params["b"]
            return row["y"] - b[0] - b[1] * row["x"] - b[2] * row["w"]

        fit = kcm.MMR(kcm.ConditionalMoment(residual, "z + w"), data).fit({"b": np.zeros(3)})
        assert fit.test_at({"b[1]": 2.1}).pvalue == pytest.approx(
            results().test_at({"x": 2.1}).pvalue, rel=1e-8
        )
        known = fit.test_at({"b": [1.0, 2.0, -1.0]})
        assert known.pvalue == pytest.approx(
            fit.model.at({"b": [1.0, 2.0, -1.0]}).test().pvalue, rel=1e-10
        )
        again = fit.model.fit(fit.params)
        np.testing.assert_allclose(again.params, fit.params, rtol=1e-10)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"x": [0.0, 1.0]}, "must be 1 finite number"),
            ({"x": None}, "must be 1 finite number"),
            ({"x": np.nan}, "must be 1 finite number"),
            ("x", "must be a mapping of parameter names to values"),
            (pd.Series([1.0, 2.0], index=["x", "x"]), "must name different parameters"),
        ],
    )
    def test_values_that_are_none(self, values, message):
        with pytest.raises(OptionError, match=message):
            results().test_at(values)

    def test_an_empty_set_speaks_for_the_values_tried(self):
        region = results().confidence_set("x", grid=[2.4, 2.6])
        assert region.is_empty
        assert region.describe().endswith("rejected at every value tried")
        assert region.truncated == ((True, False),)
        plane = results().confidence_set(["x", "w"], grid={"x": [30.0, 31.0], "w": [0.0, 1.0]})
        assert plane.is_empty
        assert any(map(any, plane.truncated))

    def test_the_default_grid_stays_within_the_bounds(self):
        model = kcm.MMR.from_formula("y ~ x | z", instrumental())
        fit = model.fit(bounds={"x": (1.5, 2.6)})
        plane = fit.confidence_set(["x", "Intercept"])
        assert plane.values[:, 0].min() >= 1.5
        assert plane.values[:, 0].max() <= 2.6


class TestPrograms:
    """Compiled code is shared only where two residuals compute the same."""

    @staticmethod
    def fits(make):
        data = instrumental()
        moments = [kcm.ConditionalMoment(make(np.array([1.0, c])), "z") for c in (2.0, 5.0)]
        return [kcm.MMR(m, data).at({"b": 2.0}).resid for m in moments]

    def test_arrays_inside_compiled_functions(self):
        def make(a):
            inner = jax.jit(lambda v: v * jnp.sum(a))
            return lambda p, r: r["y"] - p["b"] * r["x"] - inner(r["x"])

        first, second = self.fits(make)
        np.testing.assert_allclose(first - second, 3 * instrumental()["x"], rtol=1e-12)

    def test_custom_derivatives(self):
        def make(a):
            @jax.custom_jvp
            def scaled(v):
                return v

            scaled.defjvp(lambda primals, tangents: (primals[0], tangents[0] * a[1]))
            return lambda p, r: r["y"] - scaled(p["b"]) * r["x"]

        data = instrumental()
        bound = [
            kcm.ConditionalMoment(make(np.array([1.0, c])), "z").bind(data, {"b": 2.0}, "start")
            for c in (1.0, 5.0)
        ]
        first, second = (b.evaluate(b.start).jacobian for b in bound)
        np.testing.assert_allclose(second, 5 * first)

    def test_a_callable_without_a_hash(self):
        class Line:
            __hash__ = None

            def __call__(self, params, row):
                return row["y"] - params["b"] * row["x"]

        fit = kcm.MMR(kcm.ConditionalMoment(Line(), "z"), instrumental()).fit({"b": 0.0})
        assert fit.converged

    def test_optional_columns(self):
        def residual(params, row):
            missing = row["missing"] if "missing" in row.keys() else 0.0  # noqa: SIM118
            return row["y"] - params["b"] * row["x"] - missing - row.get("w", 5.0)

        data = instrumental()
        at = kcm.MMR(kcm.ConditionalMoment(residual, "z"), data).at({"b": 2.0})
        np.testing.assert_allclose(at.resid, data["y"] - 2 * data["x"] - data["w"])


class TestClusters:
    @pytest.mark.filterwarnings("ignore::kcm.WeakInstrumentsWarning")
    def test_labels_of_a_null_go_by_index(self):
        data = instrumental()
        town = pd.Series(np.arange(120) // 4, index=data.index)
        shuffled = town.sample(frac=1, random_state=0)
        fit = kcm.MMR.from_formula(FORMULA, data.assign(town=town)).fit()
        referee = fit.test(null=kcm.Asymptotic(groups=town.to_numpy()), robust=False)
        for groups in (shuffled, "town"):
            null = kcm.Asymptotic(groups=groups)
            assert fit.test(null=null, robust=False).pvalue == referee.pvalue
            assert kcm.specification_test(fit, null=null).pvalue == pytest.approx(referee.pvalue)

    def test_labels_at_a_known_theta_go_by_index_too(self):
        data = instrumental()
        town = pd.Series(np.arange(120) // 4, index=data.index)
        at = kcm.MMR.from_formula(FORMULA, data.assign(town=town)).at(results().params)
        referee = at.test(null=kcm.Asymptotic(groups=town.to_numpy()))
        for groups in (town.sample(frac=1, random_state=0), "town"):
            assert at.test(null=kcm.Asymptotic(groups=groups)).pvalue == referee.pvalue

    def test_one_warning_for_a_null_without_clusters(self):
        fit = kcm.MMR.from_formula(FORMULA, instrumental()).fit(groups=np.arange(120) // 4)
        with pytest.warns(kcm.DependenceWarning) as caught:
            fit.test_at({"x": 2.0}, null=kcm.Asymptotic())
        assert len(caught) == 1

    def test_missing_labels_are_no_cluster(self):
        groups = ["a", np.nan, "b", "c"] * 30
        with pytest.raises(DataError, match="missing labels"):
            kcm.MMR.from_formula(FORMULA, instrumental()).fit(groups=groups)

    def test_one_column_of_labels(self):
        groups = pd.DataFrame({"a": np.arange(120), "b": np.arange(120) // 4})
        with pytest.raises(DataError, match="has 2 columns; pass one"):
            kcm.MMR.from_formula(FORMULA, instrumental()).fit(groups=groups)


class TestChangedData:
    def test_the_instruments_count(self):
        data = instrumental()
        fit = kcm.MMR.from_formula(FORMULA, data).fit()
        data["z"] = data["z"].to_numpy()[::-1].copy()
        with pytest.raises(DataError, match="the data changed since"):
            fit.test_at({"x": 2.0})

    def test_predictions_notice_too(self):
        data = instrumental()
        fit = kcm.MMR.from_formula("y ~ center(x) + w | z + w", data).fit()
        data["x"] += 10
        with pytest.raises(DataError, match="`predict`: the data changed since"):
            fit.predict(data.head())


class TestFormulas:
    @pytest.mark.parametrize("new", ["q", None], ids=["unseen", "missing"])
    def test_categories_that_the_fit_does_not_know(self, new):
        data = instrumental().assign(g=list("abc") * 40)
        fit = kcm.MMR.from_formula("y ~ x + C(g) | z + w", data).fit()
        with pytest.raises(DataError):
            fit.predict(pd.DataFrame({"x": [0.0], "g": [new]}))

    def test_rows_that_the_formula_makes_missing_teach_it_nothing(self):
        data = instrumental().assign(v=lambda d: np.exp(d["y"]))
        data.loc[:9, "v"] = -1.0
        with pytest.warns(kcm.MissingRowsWarning):
            fit = kcm.MMR.from_formula("np.log(v) ~ center(x) | x", data).fit()
        few = data.iloc[20:25]
        np.testing.assert_allclose(fit.predict(few), fit.fittedvalues.loc[few.index], rtol=1e-10)

    @pytest.mark.parametrize(
        ("formula", "message"),
        [
            ("y ~ 1", "mentions no variable to condition on"),
            ("y + x ~ w", "must have one outcome"),
            ("y ~ 0 | x", "has no regressor"),
            ([("a", "y ~ x")], "a formula, a list of formulas or a mapping"),
        ],
    )
    def test_what_is_no_equation_is_refused(self, formula, message):
        with pytest.raises(OptionError, match=message):
            kcm.MMR.from_formula(formula, instrumental()).fit()

    def test_a_constant_alone(self):
        fit = kcm.MMR.from_formula("y ~ 1 | z", instrumental()).fit()
        assert list(fit.params.index) == ["Intercept"]

    def test_bounds_without_a_start(self):
        fit = kcm.MMR.from_formula(FORMULA, instrumental()).fit(bounds={"x": (1.0, 5.0)})
        np.testing.assert_allclose(fit.params, results().params, rtol=1e-6)

    def test_a_name_is_not_a_prefix(self):
        data = instrumental().rename(columns={"w": "x.1"})
        model = kcm.MMR.from_formula("y ~ x + `x.1` | z + `x.1`", data)
        fit = model.fit(bounds={"x": (0.0, 10.0)})
        np.testing.assert_allclose(fit.params, results().params.to_numpy(), rtol=1e-6)

    def test_odd_names_in_tables(self):
        data = instrumental().rename(columns={"x": "a_b", "w": "p&q"})
        fit = kcm.MMR.from_formula("y ~ a_b + `p&q` | z + `p&q`", data).fit()
        assert r"a\_b" in fit.summary().as_latex()
        assert "p&amp;q" in fit.summary().as_html()
        assert "p&q" in fit.summary().as_text()


class TestScales:
    def test_units_of_parameters_do_not_make_restrictions_redundant(self):
        data = instrumental().assign(x=lambda d: 1e8 * d["x"], w=lambda d: 1e-8 * d["w"])
        fit = kcm.MMR.from_formula(FORMULA, data).fit()
        found = fit.wald_test({"x": 2e-8, "w": -1e8})
        assert found.statistic == pytest.approx(
            results().wald_test("x = 2, w = -1").statistic, rel=1e-6
        )

    @pytest.mark.filterwarnings("ignore::kcm.WeakInstrumentsWarning")
    @pytest.mark.parametrize("unit", [1e-12, 1e12])
    def test_units_of_the_outcome(self, unit):
        data = instrumental().assign(y=lambda d: unit * d["y"])
        fit = kcm.MMR.from_formula(FORMULA, data).fit()
        np.testing.assert_allclose(fit.params, unit * results().params, rtol=1e-9)
        assert fit.first_stage.value == pytest.approx(results().first_stage.value)
        assert fit.test().pvalue == pytest.approx(results().test().pvalue, rel=1e-6)

    def test_values_too_large_to_be_squared(self):
        data = instrumental().assign(y=lambda d: 1e200 * d["y"])
        with pytest.raises(DataError, match="too large to be squared"):
            kcm.MMR.from_formula(FORMULA, data).fit()

    @pytest.mark.filterwarnings("ignore::kcm.WeakInstrumentsWarning")
    def test_an_exact_fit_is_a_fit_but_nothing_to_test(self):
        data = instrumental().assign(y=lambda d: 1 + 2 * d["x"])
        fit = kcm.MMR.from_formula(FORMULA, data).fit()
        np.testing.assert_allclose(fit.params, [1.0, 2.0, 0.0], atol=1e-10)
        assert fit.converged
        with pytest.raises(SaturatedModelError, match="nothing to test"):
            fit.test()
        with pytest.raises(OptionError, match="the model fits exactly"):
            fit.confidence_set("x")

    @pytest.mark.parametrize("n", [3, 5, 10])
    def test_tiny_samples(self, n):
        fit = kcm.MMR.from_formula("y ~ x | z", instrumental().head(n)).fit()
        theirs = IV2SLS.from_formula("y ~ 1 + [x ~ z]", instrumental().head(n)).fit()
        linear = kcm.MMR.from_formula("y ~ x | z", instrumental().head(n), 1.0 + Linear()).fit()
        np.testing.assert_allclose(linear.params, theirs.params, rtol=1e-7)
        assert np.isfinite(fit.bse).all()


class TestBounds:
    @pytest.mark.filterwarnings("ignore::kcm.WeakInstrumentsWarning")
    def test_one_parameter_at_its_bound(self):
        moment = kcm.ConditionalMoment(lambda p, r: r["y"] - p["b"] * r["x"], "z")
        model = kcm.MMR(moment, instrumental())
        with pytest.warns(kcm.BoundaryWarning, match="b ended at a bound"):
            fit = model.fit({"b": 0.0}, bounds={"b": (0.0, 1.0)})
        assert fit.params["b"] == 1.0
        at_bound = model.at({"b": 1.0}).test().pvalue
        assert fit.test(robust=False).pvalue == pytest.approx(at_bound)

    def test_restrictions_on_the_others(self):
        model = kcm.MMR.from_formula(FORMULA, instrumental())
        with pytest.warns(kcm.BoundaryWarning):
            fit = model.fit(bounds={"x": (0.0, 1.5)})
        assert fit.wald_test("w = -1").statistic == pytest.approx(
            ((fit.params["w"] + 1) / fit.bse["w"]) ** 2
        )
        with pytest.raises(OptionError, match="at its bound"):
            fit.wald_test("x = 1")

    def test_a_bound_outside_the_domain_is_not_stepped_on(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=150)
        data = {"x": x, "y": np.log(1e-7) * x + 0.01 * rng.normal(size=150)}
        moment = kcm.ConditionalMoment(lambda p, r: r["y"] - jnp.log(p["b"]) * r["x"], "x")
        model = kcm.MMR(moment, data)
        free = model.fit({"b": 1.5e-7})
        bounded = model.fit({"b": 1.5e-7}, bounds={"b": (0, None)})
        assert bounded.params["b"] == pytest.approx(free.params["b"], rel=1e-4)


class TestStarts:
    def test_every_start_given_must_be_defined(self):
        moment = kcm.ConditionalMoment(lambda p, r: r["y"] - jnp.log(p["b"]) * r["x"], "z")
        model = kcm.MMR(moment, instrumental())
        with pytest.raises(DataError, match="not finite in 120 of 120 rows at b = -1"):
            model.fit([{"b": 1.0}, {"b": -1.0}])
        assert model.fit({"b": 1.0}, n_starts=6, rng=0).converged

    def test_a_comparison_among_components(self):
        moment = kcm.ConditionalMoment(
            lambda p, r: (r["y"] - p["b"] * r["x"], r["y"] > p["b"]), "z"
        )
        with pytest.raises(kcm.MomentError, match="bool numbers, which have no derivative"):
            kcm.MMR(moment, instrumental()).fit({"b": 1.0})


class TestRestrictions:
    @pytest.mark.parametrize("text", ["x = 1e-3", "x = 0.001", "x - 1 = -0.999", "x=+1e-3"])
    def test_numbers_in_every_form(self, text):
        fit = results()
        by_name = fit.wald_test({"x": 1e-3})
        assert fit.wald_test(text).statistic == pytest.approx(by_name.statistic, rel=1e-9)

    def test_columns_of_a_frame_go_by_name(self):
        matrix = pd.DataFrame([[1.0, 0.0, 0.0]], columns=["x", "Intercept", "w"])
        fit = results()
        assert fit.wald_test(matrix, 2.0).statistic == pytest.approx(
            fit.wald_test("x = 2").statistic
        )

    @pytest.mark.parametrize(
        ("restriction", "value", "message"),
        [
            ("x", 2.0, "`value` goes with a matrix"),
            ({"x": 0.0}, 2.0, "`value` goes with a matrix"),
            ("x = w = 0", None, "more than one equal sign"),
            ({"x": np.nan}, None, "must be 1 finite number"),
            ({}, None, "must name different parameters"),
            ([], None, "`restriction` must be a text"),
            ("", None, "cannot be read"),
            ("1 = 1", None, "no variance"),
        ],
    )
    def test_what_says_too_much_or_nothing(self, restriction, value, message):
        with pytest.raises(OptionError, match=message):
            results().wald_test(restriction, value)
