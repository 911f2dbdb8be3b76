"""Results of an estimation: labels, inference, tables, pickles, and the way to the test.

Referees: statsmodels, linearmodels and SciPy on the same numbers.
"""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from estimation_designs import EXPONENTIAL, SIMEQ
from linearmodels.iv import IV2SLS
from refusals import messages
from scipy import stats

import kcm
from kcm.exceptions import DataError, OptionError, UnsupportedModelError
from kcm.kernels import Laplace, Linear

FORMULA = "y ~ x + w | z + w"
# of this module and of the designs, for other processes
FOLDERS = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1] / "designs")])


def instrumental(n=200, seed=0):
    rng = np.random.default_rng(seed)
    z, w, u, v = rng.normal(size=(4, n))
    x = z + 0.5 * w + u + v
    frame = pd.DataFrame({"y": 1 + 2 * x - w + u, "x": x, "z": z, "w": w, "other": v**2})
    return frame.set_index(pd.Index([f"i{k}" for k in range(n)])).assign(
        town=[f"town {k // 4}" for k in range(n)]
    )


@pytest.fixture(scope="module")
def results():
    return kcm.MMR.from_formula(FORMULA, instrumental()).fit()


@pytest.fixture(scope="module")
def own():
    data = EXPONENTIAL.draw(np.random.default_rng(1), 150)
    return kcm.MMR(EXPONENTIAL.moment, data).fit(EXPONENTIAL.start)


class TestInference:
    def test_everything_carries_the_names_of_the_parameters(self, results):
        names = ["Intercept", "x", "w"]
        for series in (results.params, results.bse, results.tvalues, results.pvalues):
            assert list(series.index) == names
        assert list(results.cov_params().columns) == names
        assert list(results.conf_int().columns) == ["lower", "upper"]

    def test_pvalues_and_intervals_are_those_of_the_normal_law(self, results):
        z = results.params / results.bse
        np.testing.assert_allclose(results.tvalues, z)
        np.testing.assert_allclose(results.pvalues, 2 * stats.norm.sf(np.abs(z)), rtol=1e-10)
        reach = stats.norm.ppf(0.95) * results.bse
        np.testing.assert_allclose(results.conf_int(0.9)["upper"], results.params + reach)

    @pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
    def test_a_level_is_a_probability(self, results, level):
        with pytest.raises(OptionError, match="`level` must lie strictly between 0 and 1"):
            results.conf_int(level)

    def test_residuals_and_fitted_values_carry_the_rows(self, results):
        data = instrumental()
        assert list(results.resid.index) == list(data.index)
        np.testing.assert_allclose(results.resid + results.fittedvalues, data["y"])
        pd.testing.assert_series_equal(results.predict(), results.fittedvalues)

    def test_a_system_has_a_column_for_each_equation(self):
        data = pd.DataFrame(SIMEQ.draw(np.random.default_rng(0), 100))
        formulas = {"demand": "q ~ p + r | r + w", "supply": "q ~ p + w | r + w"}
        system = kcm.MMR.from_formula(formulas, data).fit()
        assert list(system.resid) == ["demand", "supply"]
        assert list(system.params.index[:3]) == ["demand.Intercept", "demand.p", "demand.r"]
        pd.testing.assert_frame_equal(system.predict(data), system.fittedvalues)

    def test_the_record_is_not_changed_by_its_reader(self, results):
        covariance, residuals = results.cov_params(), results.resid
        covariance.iloc[:] = 0
        residuals.iloc[:] = 0
        assert (results.bse > 0).all()
        assert results.resid.any()


class TestPrediction:
    def test_new_rows(self, results):
        new = pd.DataFrame({"x": [0.0, 1.0], "w": [2.0, 3.0]}, index=["a", "b"])
        by_hand = results.params["Intercept"] + new.to_numpy() @ results.params[["x", "w"]]
        np.testing.assert_allclose(results.predict(new), by_hand)
        assert list(results.predict(new).index) == ["a", "b"]

    def test_transforms_keep_what_they_learned(self):
        data = instrumental()
        fit = kcm.MMR.from_formula("y ~ center(x) + C(town == 'town 0') + w | z + w", data).fit()
        few = data.iloc[:5]
        np.testing.assert_allclose(fit.predict(few), fit.fittedvalues.iloc[:5], rtol=1e-12)

    def test_rows_left_out_do_not_count_for_transforms(self):
        data = instrumental()
        data.loc["i7", "z"] = np.nan
        data.loc["i7", "x"] = 1e6
        with pytest.warns(kcm.MissingRowsWarning):
            fit = kcm.MMR.from_formula("y ~ center(x) + w | z + w", data).fit()
        np.testing.assert_allclose(fit.predict(data.iloc[:5]), fit.fittedvalues.iloc[:5])

    @pytest.mark.parametrize(
        ("new", "message"),
        [
            (pd.DataFrame({"x": [1.0]}), "has no column 'w'"),
            (pd.DataFrame({"x": [1.0], "w": [np.nan]}), "missing values"),
        ],
    )
    def test_incomplete_rows_are_refused(self, results, new, message):
        with pytest.raises(DataError, match=message):
            results.predict(new)

    def test_a_residual_of_one_s_own_predicts_nothing(self, own):
        with pytest.raises(UnsupportedModelError, match="`predict` is defined for a model by form"):
            own.predict({"x": [1.0]})
        with pytest.raises(UnsupportedModelError, match="`fittedvalues` are defined for a model"):
            own.fittedvalues  # noqa: B018 the property raises


class TestWald:
    def test_against_linearmodels(self):
        data = instrumental()
        ours = kcm.MMR.from_formula(FORMULA, data, 1.0 + Linear()).fit()
        theirs = IV2SLS.from_formula("y ~ 1 + w + [x ~ z]", data).fit(cov_type="robust")
        referee = theirs.wald_test(formula="x = 2, w = 0")
        found = ours.wald_test("x = 2, w = 0")
        assert found.statistic == pytest.approx(referee.stat, rel=1e-7)
        assert found.pvalue == pytest.approx(referee.pval, rel=1e-6)
        assert found.df == 2

    @pytest.mark.parametrize(
        "restriction",
        ["x = 2, w = -1", ["x = 2", "w = -1"], {"x": 2, "w": -1}, pd.Series({"x": 2.0, "w": -1.0})],
        ids=["text", "list", "mapping", "series"],
    )
    def test_every_way_to_write_it(self, results, restriction):
        matrix = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        referee = results.wald_test(matrix, [2.0, -1.0])
        assert results.wald_test(restriction).statistic == pytest.approx(referee.statistic)
        assert referee.null_hypothesis == "x = 2, w = -1"

    def test_one_restriction_is_the_square_of_the_z_value(self, results):
        assert results.wald_test("w = 0").statistic == pytest.approx(results.tvalues["w"] ** 2)
        assert results.wald_test("x + 2 * w = 0").null_hypothesis == "x + 2 w = 0"

    def test_names_that_are_not_words(self):
        data = instrumental()
        fit = kcm.MMR.from_formula("y ~ x + I(w ** 2) | z + w", data).fit()
        found = fit.wald_test("`I(w ** 2)` = 0")
        assert found.statistic == pytest.approx(fit.tvalues["I(w ** 2)"] ** 2)

    @pytest.mark.parametrize(
        ("restriction", "message"),
        [
            ("xx = 1", "cannot be read"),
            ("x = = 1", "more than one equal sign"),
            ({"xx": 1.0}, "there is no parameter 'xx'; did you mean 'x'"),
            (np.eye(2), "one column for each of the 3 parameters"),
            ("x = 1, 2 * x = 2", "repeat each other"),
        ],
    )
    def test_what_cannot_be_tested_is_refused(self, results, restriction, message):
        with pytest.raises(OptionError, match=message):
            results.wald_test(restriction)

    def test_summary(self, results):
        assert "chi-square(1)" in str(results.wald_test("x = 2").summary())


class TestSummary:
    def test_text_holds_the_numbers(self, results):
        text = results.summary().as_text()
        for name in results.params.index:
            line = next(row for row in text.splitlines() if row.startswith(name))
            shown = [float(cell) for cell in line.split()[1:]]
            expected = [
                results.params[name],
                results.bse[name],
                results.tvalues[name],
                results.pvalues[name],
                *results.conf_int().loc[name],
            ]
            np.testing.assert_allclose(shown, expected, atol=6e-4)
        assert "E[y - x'b | z, w] = 0" in text
        assert "No. Observations:                 200" in text

    def test_other_formats(self, results):
        summary = results.summary(0.9)
        assert "0.05" in summary.as_text()
        assert summary.as_html().count("<table") == 2
        assert r"\begin{tabular}" in summary.as_latex()
        assert results._repr_html_() == results.summary().as_html()

    def test_dropped_rows_are_told(self):
        data = instrumental()
        data.loc["i3", "y"] = np.nan
        with pytest.warns(kcm.MissingRowsWarning):
            fit = kcm.MMR.from_formula(FORMULA, data).fit()
        assert "1 rows with missing values were left out" in fit.summary().as_text()
        assert fit.test().n_dropped == 1


class TestPickling:
    def test_results_by_formula_survive_whole(self, results):
        copy = pickle.loads(pickle.dumps(results))
        pd.testing.assert_series_equal(copy.params, results.params)
        assert copy.test().pvalue == results.test().pvalue
        assert copy.test_at({"x": 2.0}).pvalue == results.test_at({"x": 2.0}).pvalue
        assert str(copy.summary()) == str(results.summary())

    def test_a_residual_of_a_module_survives(self, own):
        copy = pickle.loads(pickle.dumps(own))
        assert copy.test_at({"b": 0.5}).pvalue == own.test_at({"b": 0.5}).pvalue

    def test_a_lambda_is_left_behind_and_said_so(self):
        moment = kcm.ConditionalMoment(lambda p, r: r["y"] - p["a"] * r["x"], "z")
        fit = kcm.MMR(moment, instrumental()).fit({"a": 0.0})
        copy = pickle.loads(pickle.dumps(fit))
        assert copy.test().pvalue == fit.test().pvalue
        with pytest.raises(DataError, match="defined at the top of a module"):
            copy.confidence_set("a")

    def test_another_process_knows_the_data_again(self, own, tmp_path):
        path = tmp_path / "results.pickle"
        path.write_bytes(pickle.dumps(own))
        program = """
import os, pickle, sys
sys.path[:0] = sys.argv[2].split(os.pathsep)
results = pickle.load(open(sys.argv[1], "rb"))
print(results.test_at({"b": 0.5}).pvalue)
"""
        run = subprocess.run(
            [sys.executable, "-c", program, str(path), FOLDERS],
            capture_output=True,
            text=True,
            check=True,
        )
        assert float(run.stdout) == pytest.approx(own.test_at({"b": 0.5}).pvalue, rel=1e-6)

    def test_a_known_theta_survives_too(self):
        moment = kcm.ConditionalMoment(lambda p, r: r["y"] - p["x"] * r["x"], "z")
        own = kcm.MMR(moment, instrumental())
        by_formula = kcm.MMR.from_formula("y ~ 0 + x | z", instrumental())
        for model in (own, by_formula):
            at = model.at({"x": 2.0})
            assert pickle.loads(pickle.dumps(at)).test().pvalue == at.test().pvalue

    def test_remove_data_keeps_the_numbers(self, results):
        slim = results.remove_data()
        assert len(pickle.dumps(slim)) < len(pickle.dumps(results)) / 5
        assert str(slim.summary()) == str(results.summary())
        for use in (slim.test, lambda: slim.resid, lambda: kcm.specification_test(slim)):
            with pytest.raises(DataError, match="`remove_data` was called"):
                use()

    def test_no_device_array_is_held(self, results):
        import jax

        parts = pickle.dumps(results)
        assert b"jaxlib" not in parts
        assert not isinstance(results.fitted_moment.residuals, jax.Array)


class TestTheWayToTheTest:
    def test_the_front_door_takes_results(self, results):
        assert kcm.specification_test(results).pvalue == results.test().pvalue
        assert kcm.specification_test(results).theta == "estimated: MMR"

    def test_test_takes_its_options(self, results):
        null = kcm.MultiplierBootstrap(199)
        by_method = results.test(Laplace(), "V", null, rng=3)
        by_front_door = kcm.specification_test(results, None, Laplace(), "V", null, rng=3)
        assert by_method.to_dict() == by_front_door.to_dict()

    @pytest.mark.parametrize("wider", [["z", "w", "other"], "frame"])
    def test_conditioning_on_more_than_the_model_uses(self, results, wider):
        data = instrumental()
        names = ["z", "w", "other"]
        conditioning = data[names].sample(frac=1, random_state=0) if wider == "frame" else wider
        found = kcm.specification_test(results, conditioning=conditioning)
        m = results.fitted_moment
        moment = kcm.FittedMoment(m.residuals, data[names], m.jacobian, m.influence, m.scale)
        expected = kcm.KCMTest("adaptive").run(moment)
        assert found.statistic == pytest.approx(expected.statistic, rel=1e-12)
        assert found.conditioning_names == ("z", "w", "other")

    def test_clusters_of_the_covariance_are_those_of_the_test(self):
        data = instrumental()
        fit = kcm.MMR.from_formula(FORMULA, data).fit(groups="town")
        groups = np.arange(200) // 4
        referee = kcm.KCMTest(fit.kernel, null=kcm.Asymptotic(groups=groups)).run(fit.fitted_moment)
        assert fit.test().pvalue == pytest.approx(referee.pvalue)
        assert kcm.specification_test(fit).pvalue == pytest.approx(referee.pvalue)
        with pytest.warns(kcm.DependenceWarning):
            fit.test(null=kcm.Asymptotic())

    @pytest.mark.parametrize("form", ["name", "series", "array", "shuffled"])
    def test_clusters_in_every_form(self, form):
        data = instrumental()
        groups = {
            "name": "town",
            "series": data["town"],
            "array": data["town"].to_numpy(),
            "shuffled": data["town"].sample(frac=1, random_state=0),
        }[form]
        model = kcm.MMR.from_formula(FORMULA, data)
        referee = model.fit(groups=np.arange(200) // 4)
        np.testing.assert_allclose(model.fit(groups=groups).bse, referee.bse, rtol=1e-12)

    def test_clusters_follow_the_rows_that_are_left(self):
        data = instrumental()
        data.loc[["i3", "i90"], "z"] = np.nan
        with pytest.warns(kcm.MissingRowsWarning):
            fit = kcm.MMR.from_formula(FORMULA, data).fit(groups="town")
        complete = data.dropna()
        referee = kcm.MMR.from_formula(FORMULA, complete).fit(groups=complete["town"])
        np.testing.assert_allclose(fit.bse, referee.bse, rtol=1e-12)

    def test_clusters_that_do_not_fit_are_refused(self):
        model = kcm.MMR.from_formula(FORMULA, instrumental())
        with pytest.raises(DataError, match="expected one label for each of the 200 rows"):
            model.fit(groups=np.arange(199))
        with pytest.raises(DataError, match="has no column 'twon'; did you mean 'town'"):
            model.fit(groups="twon")

    def test_data_that_changed_are_noticed(self):
        data = instrumental()
        fit = kcm.MMR.from_formula(FORMULA, data).fit()
        data.loc["i0", "y"] += 1
        for use in (
            lambda: fit.confidence_set("x"),
            lambda: fit.test_at({"x": 2.0}),
            lambda: kcm.specification_test(fit, conditioning=["z", "other"]),
        ):
            with pytest.raises(DataError, match="the data changed since the model was fitted"):
                use()


class TestKnownTheta:
    def test_the_moment_at_given_values(self):
        data = instrumental()
        at = kcm.MMR.from_formula(FORMULA, data).at({"Intercept": 1.0, "x": 2.0, "w": -1.0})
        residual = data["y"] - 1 - 2 * data["x"] + data["w"]
        np.testing.assert_allclose(at.resid, residual, rtol=1e-12)
        moment = kcm.FittedMoment(residual, data[["z", "w"]])
        assert at.test().pvalue == pytest.approx(kcm.KCMTest().run(moment).pvalue, rel=1e-10)
        assert at.fitted_moment.theta_known
        assert at.nobs == 200
        assert at.test().theta == "known: Intercept = 1, x = 2, w = -1"

    def test_wrong_values_are_rejected(self):
        model = kcm.MMR.from_formula(FORMULA, instrumental())
        assert model.at({"Intercept": 1.0, "x": 1.0, "w": -1.0}).test().pvalue < 0.001

    def test_an_estimate_is_accepted_as_it_is(self, results):
        at = results.model.at(results.params)
        np.testing.assert_allclose(at.resid, results.resid, atol=1e-12)

    def test_all_parameters_are_needed(self):
        model = kcm.MMR.from_formula(FORMULA, instrumental())
        with pytest.raises(OptionError, match="must hold the parameters Intercept, x, w"):
            model.at({"x": 1.0})
        with pytest.raises(OptionError, match="`params` is needed"):
            model.at(None)


WRONG = {
    "kcm.MMR(lambda p, r: 0.0, {})": "`moment` must be a kcm.ConditionalMoment",
    'kcm.MMR.from_formula("y ~ x", {"y": [1, 2, 3], "x": [1, 2, 4]}, "rbf")': "`kernel` must be",
    "kcm.MMR.from_formula(3, {})": "`formulas` must be a formula, a list of formulas or a mapping",
    'kcm.MMR.from_formula({"a": 3}, {})': "`formula` must be a string; got int",
    'kcm.MMR.from_formula(["y ~ x", "y ~ z"], {})': "names of their own",
    "kcm.MMR.from_formula([], {})": "one or more equations",
    'kcm.MMR.from_formula("y ~ x", {"y": [1, 2, 4], "x": [1, 2, 5]}).fit(method="newton")': (
        "`method` must be one of 'auto'"
    ),
    'kcm.ConditionalMoment("y - a", "z")': "`residual` must be a function",
    "kcm.ConditionalMoment(lambda p, r: 0.0, [])": "`conditioning` must name at least one",
}


def test_wrong_arguments_are_refused_in_words():
    found = messages(WRONG, "KCMError")
    assert len(found) == len(WRONG), found
    assert all(text in line for text, line in zip(WRONG.values(), found, strict=True)), found


@pytest.mark.parametrize("x64", ["0", "1"])
def test_the_same_in_either_precision_of_jax(x64, results):
    program = """
import os, sys
import numpy as np, pandas as pd, kcm
sys.path[:0] = sys.argv[1].split(os.pathsep)
from test_results import FORMULA, instrumental
print(repr(list(kcm.MMR.from_formula(FORMULA, instrumental()).fit().params)))
"""
    run = subprocess.run(
        [sys.executable, "-c", program, FOLDERS],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"JAX_ENABLE_X64": x64},
    )
    found = [float(part.split("(")[-1].strip("[]()\n ")) for part in run.stdout.split(",")]
    np.testing.assert_allclose(found, results.params, rtol=1e-12)
