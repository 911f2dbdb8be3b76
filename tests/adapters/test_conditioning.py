"""Conditioning variables and labels. Referees: the data frame, and a formula read by eye."""

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from linearmodels.iv import IV2SLS, IVGMM
from linearmodels.shared.exceptions import MissingValueWarning
from statsmodels.sandbox.regression import gmm as sandbox

import kcm
from kcm.adapters import align_to_fit, fit_column, fitted_moment
from kcm.adapters.bar import bar_position
from kcm.null import Null


def frame(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    data = pd.DataFrame(rng.normal(size=(n, 4)), columns=["x", "z", "e", "y"])
    data["w"] = rng.uniform(1, 2, n)
    data["k"] = rng.integers(0, 4, n)
    data["count"] = rng.poisson(2, n)
    data["firm"] = rng.choice(["a", "b", "c"], n)
    data["one"] = 1.0
    return data.set_index(pd.Index(rng.permutation(n) + 100, name="person"))


@pytest.fixture
def data() -> pd.DataFrame:
    return frame()


@pytest.fixture
def holes() -> pd.DataFrame:
    """Missing x in rows 3 and 10, missing w in row 20."""
    data = frame()
    data.iloc[[3, 10], data.columns.get_loc("x")] = np.nan
    data.iloc[20, data.columns.get_loc("w")] = np.nan
    return data


def expect(moment: kcm.FittedMoment, data: pd.DataFrame, *names: str):
    assert moment.labels.conditioning == names
    np.testing.assert_allclose(moment.conditioning, data[list(names)].to_numpy(float))


class TestDefault:
    @pytest.mark.parametrize(
        ("formula", "names"),
        [
            ("y ~ x", ("x",)),
            ("y ~ x + I(x**2)", ("x",)),
            ("y ~ x * z", ("x", "z")),
            ("y ~ x:z", ("x", "z")),
            ("y ~ z + np.log(w) + x", ("z", "w", "x")),
            ("y ~ x + C(k)", ("x", "k")),
            ("y ~ np.exp(z) - 1", ("z",)),
            ("np.log(w) ~ x", ("x",)),
            ("y ~ 0 + one + x", ("x",)),
        ],
    )
    def test_variables_of_the_formula(
        self, data: pd.DataFrame, formula: str, names: tuple[str, ...]
    ):
        expect(fitted_moment(smf.ols(formula, data).fit()), data, *names)

    def test_offsets_exposures_and_weights_are_not_among_them(self, data: pd.DataFrame):
        fit = smf.glm(
            "count ~ x",
            data,
            family=sm.families.Poisson(),
            offset=data.z,
            exposure=data.w,
            var_weights=data.w,
        ).fit()
        moment = fitted_moment(fit)
        expect(moment, data, "x")
        assert moment.labels.moment == "count - exp(x'b + offset + log(exposure))"

    def test_rows_left_out_by_the_fit_are_left_out(self, holes: pd.DataFrame):
        moment = fitted_moment(smf.ols("y ~ x", holes).fit())
        expect(moment, holes.dropna(subset="x"), "x")
        assert moment.labels.n_dropped == 2

    def test_rows_left_out_for_a_weight_are_left_out(self, holes: pd.DataFrame):
        moment = fitted_moment(smf.wls("y ~ x", holes, weights=holes.w).fit())
        expect(moment, holes.dropna(subset=["x", "w"]), "x")
        assert moment.labels.n_dropped == 3

    def test_repeated_labels_of_the_data_do_no_harm(self, holes: pd.DataFrame):
        repeated = holes.set_axis([1] * len(holes), axis=0)
        expect(fitted_moment(smf.ols("y ~ x", repeated).fit()), repeated.dropna(subset="x"), "x")

    def test_subset_of_the_data(self, data: pd.DataFrame):
        fit = smf.ols("y ~ x", data, subset=data.z > 0).fit()
        expect(fitted_moment(fit), data[data.z > 0], "x")

    @pytest.mark.filterwarnings("ignore:Using dict data:DeprecationWarning")
    @pytest.mark.parametrize("kind", ["polars", "dict"])
    def test_other_data_of_a_formula(self, data: pd.DataFrame, kind: str):
        columns = {name: data[name].to_numpy() for name in ("x", "y")}
        given = pl.DataFrame(columns) if kind == "polars" else columns
        expect(fitted_moment(smf.ols("y ~ x", given).fit()), data, "x")

    def test_columns_of_a_design_that_vary(self, data: pd.DataFrame):
        fit = sm.OLS(data.y, data[["one", "x", "w"]]).fit()
        expect(fitted_moment(fit), data, "x", "w")

    def test_columns_of_an_array(self, data: pd.DataFrame):
        fit = sm.OLS(data.y.to_numpy(), data[["one", "x", "w"]].to_numpy()).fit()
        moment = fitted_moment(fit)
        assert moment.labels.conditioning == ("x1", "x2")
        assert moment.labels.moment == "y - x'b"
        np.testing.assert_array_equal(moment.conditioning, data[["x", "w"]])

    def test_intercept_only_needs_conditioning(self, data: pd.DataFrame):
        fit = smf.ols("y ~ 1", data).fit()
        with pytest.raises(kcm.DataError, match=r"`conditioning` is needed: the fit has no regr"):
            fitted_moment(fit)
        expect(fitted_moment(fit, "x"), data, "x")

    def test_variable_from_outside_the_data_is_taken_as_evaluated(self, data: pd.DataFrame):
        outside = data.z.to_numpy()
        moment = fitted_moment(smf.ols("y ~ x + outside", data).fit())
        expect(moment, data.assign(outside=outside), "x", "outside")

    def test_text_and_categories_become_codes(self, data: pd.DataFrame):
        grade = pd.Categorical(data.k.map(list("dbca").__getitem__), list("dbca"), ordered=True)
        moment = fitted_moment(smf.ols("y ~ x + C(firm) + C(g)", data.assign(g=grade)).fit())
        assert moment.labels.conditioning == ("x", "firm", "g")
        assert moment.labels.kinds == ("continuous", "unordered", "ordered")
        firm = data.firm.map({"a": 0, "b": 1, "c": 2})
        np.testing.assert_array_equal(moment.conditioning, np.c_[data.x, firm, data.k])


class TestDefaultOfInstrumentalVariables:
    def test_exogenous_variables_and_instruments(self, data: pd.DataFrame):
        fit = IV2SLS(data.y, data[["one", "x"]], data[["e"]], data[["z", "w"]]).fit()
        expect(fitted_moment(fit), data, "x", "z", "w")

    def test_variables_that_are_columns_of_the_design(self, data: pd.DataFrame):
        fit = IVGMM.from_formula("y ~ 1 + x + I(x**2) + [e ~ z + w]", data).fit()
        expect(fitted_moment(fit), data, "x", "z", "w")

    def test_columns_of_the_design_where_variables_are_not(self, data: pd.DataFrame):
        fit = IV2SLS.from_formula("y ~ 1 + np.log(w) + [e ~ z]", data).fit()
        moment = fitted_moment(fit)
        assert moment.labels.conditioning == ("np.log(w)", "z")
        np.testing.assert_allclose(moment.conditioning[:, 0], np.log(data.w))

    def test_least_squares_of_linearmodels(self, data: pd.DataFrame):
        expect(fitted_moment(IV2SLS(data.y, data[["one", "x"]], None, None).fit()), data, "x")

    def test_missing_rows(self, holes: pd.DataFrame):
        with pytest.warns(MissingValueWarning):
            fit = IV2SLS.from_formula("y ~ 1 + x + [e ~ z]", holes).fit()
        moment = fitted_moment(fit)
        expect(moment, holes.dropna(subset="x"), "x", "z")
        assert moment.labels.n_dropped == 2
        expect(fitted_moment(fit, holes[["k"]]), holes.dropna(subset="x"), "k")

    def test_arrays(self, data: pd.DataFrame):
        y, exog, e, z = (data[c].to_numpy() for c in ("y", ["one", "x"], "e", ["z", "w"]))
        moment = fitted_moment(IV2SLS(y, exog, e, z).fit())
        assert moment.labels.conditioning == ("exog.1", "instruments.0", "instruments.1")
        expect(fitted_moment(IV2SLS(y, exog, e, z).fit(), data[["k"]]), data, "k")

    def test_sandbox(self, data: pd.DataFrame):
        fit = sandbox.IV2SLS(data.y, data[["one", "e"]], data[["one", "z", "w"]]).fit()
        moment = fitted_moment(fit)
        expect(moment, data, "z", "w")
        assert moment.labels.theta == "estimated: IV2SLS"

    def test_sandbox_arrays(self, data: pd.DataFrame):
        fit = sandbox.IV2SLS(data.y, data[["one", "e"]], data[["one", "z", "w"]].to_numpy()).fit()
        assert fitted_moment(fit).labels.conditioning == ("z2", "z3")


class TestRequested:
    def test_names(self, data: pd.DataFrame):
        fit = smf.ols("y ~ x", data).fit()
        expect(fitted_moment(fit, "z"), data, "z")
        expect(fitted_moment(fit, ["z", "x", "z"]), data, "z", "x")
        expect(fitted_moment(fit, ("z", "x")), data, "z", "x")

    def test_names_of_a_design(self, data: pd.DataFrame):
        fit = sm.OLS(data.y, data[["one", "x", "w"]]).fit()
        expect(fitted_moment(fit, "w"), data, "w")
        with pytest.raises(kcm.DataError, match=r"no column 'z'.*The columns are: one, x, w"):
            fitted_moment(fit, "z")

    def test_unknown_name_is_helped(self, data: pd.DataFrame):
        fit = smf.ols("y ~ x", data).fit()
        with pytest.raises(kcm.DataError, match=r"no column 'firn'; did you mean 'firm'"):
            fitted_moment(fit, ["x", "firn"])

    @pytest.mark.parametrize("kind", ["formula", "design"])
    def test_frame_is_aligned_by_label_and_may_be_longer(self, holes: pd.DataFrame, kind: str):
        fit = (
            smf.ols("y ~ x", holes).fit()
            if kind == "formula"
            else sm.OLS(holes.y, holes[["one", "x"]], missing="drop").fit()
        )
        wide = frame()[["z", "x", "k"]].sort_index()
        expect(fitted_moment(fit, wide), frame()[holes.x.notna()], "z", "x", "k")
        expect(fitted_moment(fit, wide.z), frame()[holes.x.notna()], "z")

    @pytest.mark.parametrize("kind", ["array", "list", "polars", "no labels"])
    def test_rows_without_labels_are_taken_in_order(self, data: pd.DataFrame, kind: str):
        fit = smf.ols("y ~ x", data).fit()
        given = {
            "array": data.z.to_numpy(),
            "list": data.z.tolist(),
            "polars": pl.Series("z", data.z.to_numpy()),
            "no labels": {"z": data.z.to_numpy()},
        }[kind]
        np.testing.assert_array_equal(fitted_moment(fit, given).conditioning[:, 0], data.z)

    def test_labels_do_not_matter_where_the_fit_has_none(self, data: pd.DataFrame):
        fit = sm.OLS(data.y.to_numpy(), data[["one", "x"]].to_numpy()).fit()
        expect(fitted_moment(fit, data[["z"]]), data, "z")

    def test_labels_of_the_outcome_alone_count(self, data: pd.DataFrame):
        fit = sm.OLS(data.y, data[["one", "x"]].to_numpy()).fit()
        expect(fitted_moment(fit, data[["z"]].sort_index()), data, "z")

    def test_masked_entries_are_missing(self, data: pd.DataFrame):
        fit = smf.ols("y ~ x", data).fit()
        masked = np.ma.masked_greater(data.z.to_numpy(), 1.5)
        with pytest.raises(kcm.DataError, match=rf"missing in {masked.mask.sum()} of the 60 rows"):
            fitted_moment(fit, masked)

    def test_data_of_the_caller_are_not_changed(self, data: pd.DataFrame):
        before = data.copy()
        fitted_moment(smf.ols("y ~ x", data).fit(), data[["z", "k"]])
        pd.testing.assert_frame_equal(data, before)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (lambda d: d.z.iloc[:40], "lacks 20 of the 60 row labels"),
            (lambda d: pd.concat([d.z, d.z]), "repeats 60 labels"),
            (lambda d: d.z.to_numpy()[:40], "has 40 rows and the fit used 60; pass the rows"),
            (lambda d: "w", "'w' is missing in 1 of the 60 rows used by the fit; refit"),
            (lambda d: "one", "must vary, but 'one'"),
            (lambda d: d.one, "must vary, but 'one'"),
            (lambda d: d.firm.where(d.index != d.index[3]), "'firm' is missing in 1 of the 60"),
            (lambda d: d.firm.where(d.firm == "a", "a"), "'firm' must vary.*one level 'a'"),
            (lambda d: "p" + d.index.to_series().astype(str), "'person' has 60 levels in 60 rows"),
            (lambda d: d.z.replace(d.z.iloc[0], np.inf), "1 infinite value"),
            (lambda d: [], "is an empty list"),
            (lambda d: d[[]], "`conditioning` is empty"),
            (lambda d: np.ones((60, 2, 2)), "`conditioning` must be one- or two-dimensional"),
        ],
    )
    def test_unusable_values_are_refused(self, holes: pd.DataFrame, given: Any, message: str):
        fit = smf.ols("y ~ z", holes).fit()
        with pytest.raises(kcm.DataError, match=message):
            fitted_moment(fit, given(holes))

    def test_rows_left_out_are_mentioned(self, holes: pd.DataFrame):
        fit = smf.ols("y ~ x", holes).fit()
        with pytest.raises(
            kcm.DataError, match=r"has 60 rows and the fit used 58, 2 with missing values left out"
        ):
            fitted_moment(fit, holes.z.to_numpy())

    def test_data_that_grew_since_the_fit_are_refused(self, data: pd.DataFrame):
        fit = smf.ols("y ~ x", data).fit()
        data.loc[999] = data.iloc[0]
        with pytest.raises(
            kcm.DataError, match=r"has 61 rows and had 60 when the model was fitted"
        ):
            fitted_moment(fit)


CHANGES: dict[str, Any] = {
    "sorted by label": lambda d: d.sort_index(inplace=True),
    "sorted, labels kept": lambda d: d.__setitem__(slice(None), d.sort_values("x").to_numpy()),
    "column reassigned": lambda d: d.__setitem__("x", d.x.to_numpy()[::-1].copy()),
    "column of text": lambda d: d.__setitem__("x", "a"),
    "outcome reassigned": lambda d: d.__setitem__("y", 2 * d.y),
    "entry lost": lambda d: d.__setitem__("x", d.x.where(d.x < d.x.max())),
    "new labels": lambda d: d.reset_index(inplace=True),
}


class TestChangedData:
    """Referee: what was done to the data frame between the fit and the test."""

    @pytest.mark.filterwarnings("ignore:The inplace keyword")
    @pytest.mark.parametrize("change", CHANGES)
    def test_change_is_noticed(self, change: str):
        data = frame().drop(columns="firm")
        fit = smf.ols("y ~ x + z", data).fit()
        CHANGES[change](data)
        for use in (
            lambda: fitted_moment(fit),
            lambda: fitted_moment(fit, "w"),
            lambda: fit_column(fit, "k"),
        ):
            with pytest.raises(kcm.DataError, match=r"behind `fit` changed since the model was f"):
                use()

    @pytest.mark.filterwarnings("ignore:The inplace keyword")
    def test_variables_themselves_are_still_taken(self, data: pd.DataFrame):
        fit, before = smf.ols("y ~ x", data).fit(), data.copy()
        data.sort_index(inplace=True)
        expect(fitted_moment(fit, before[["x"]]), before, "x")

    def test_outcome_is_compared_where_regressors_are_transformed(self, data: pd.DataFrame):
        fit = smf.ols("y ~ np.exp(x)", data).fit()
        data["y"] = data.y.to_numpy()[::-1].copy()
        with pytest.raises(kcm.DataError, match=r"changed since"):
            fitted_moment(fit)

    @pytest.mark.parametrize(
        "fit",
        [
            lambda d: smf.ols("y ~ x + C(k) + np.log(w)", d).fit(),
            lambda d: smf.logit("binary ~ x + k", d).fit(disp=0),
            lambda d: smf.glm("count ~ x", d, family=sm.families.Poisson(), var_weights=d.k).fit(),
            lambda d: smf.glm("k + count ~ x", d, family=sm.families.Binomial()).fit(),
            lambda d: smf.wls("y ~ x", d, weights=d.w).fit(),
        ],
        ids=["transforms", "Logit", "GLM", "two outcomes", "WLS"],
    )
    def test_data_as_they_were_are_accepted(self, holes: pd.DataFrame, fit: Any):
        given = holes.dropna(subset="w").assign(
            binary=(holes.z > 0).astype("int8"),
            k=(holes.k + 1).astype("Int64").astype(int),
            Intercept=3.0,
            x=holes.x.astype("float32"),
        )
        result = fit(given)
        given["new"] = 1.0
        expect(fitted_moment(result, "z"), given.dropna(subset="x"), "z")

    def test_nullable_numbers_are_compared(self, data: pd.DataFrame):
        data["k"] = data.k.astype("Int64")
        fit = sm.OLS.from_formula("y ~ x", data).fit()
        expect(fitted_moment(fit, "k"), data, "k")


class TestBar:
    def test_bar_read_as_or_is_refused(self, data: pd.DataFrame):
        fit = smf.ols("y ~ k | count", data).fit()
        with pytest.raises(kcm.DataError, match=r"took the `\|` in the formula 'y ~ k \| count'"):
            fitted_moment(fit)

    def test_or_inside_brackets_is_meant(self, data: pd.DataFrame):
        expect(fitted_moment(smf.ols("y ~ I(k | count)", data).fit()), data, "k", "count")

    @pytest.mark.parametrize(
        ("formula", "position"),
        [("y ~ x|z", 5), ("y ~ I(a|b) | z", 11), ("y ~ Q('a|b') + `c|d`", None), ("y ~ x", None)],
    )
    def test_position(self, formula: str, position: int | None):
        assert bar_position(formula) == position


DEPENDENT: dict[str, Any] = {
    "HAC": lambda d: smf.ols("y ~ x", d).fit(cov_type="HAC", cov_kwds={"maxlags": 2}),
    "hac-panel": lambda d: smf.ols("y ~ x", d).fit(
        cov_type="nw-panel", cov_kwds={"groups": np.arange(60) // 10, "maxlags": 2}
    ),
    "hac-groupsum": lambda d: smf.ols("y ~ x", d).fit(
        cov_type="hac-groupsum", cov_kwds={"time": np.arange(60) % 10, "maxlags": 2}
    ),
    "kernel": lambda d: IV2SLS(d.y, d[["one"]], d[["x"]], d[["z"]]).fit(cov_type="kernel"),
}


@pytest.mark.filterwarnings("ignore::kcm.WeakInstrumentsWarning")
class TestDependence:
    """Referee: the covariance that the fit was asked for."""

    @pytest.mark.parametrize("cov_type", DEPENDENT)
    def test_dependence_without_groups_is_warned_of(self, data: pd.DataFrame, cov_type: str):
        fit = DEPENDENT[cov_type](data)
        with pytest.warns(kcm.exceptions.DependenceWarning, match=r"groups=") as caught:
            kcm.specification_test(fit)
        assert f"(cov_type='{cov_type}')" in str(caught[0].message)

    @pytest.mark.parametrize("cov_type", DEPENDENT)
    def test_groups_are_enough(self, data: pd.DataFrame, cov_type: str):
        null = kcm.Asymptotic(groups=np.arange(60) // 2)
        assert kcm.specification_test(DEPENDENT[cov_type](data), null=null).pvalue > 0

    def test_robust_covariance_is_not_warned_of(self, data: pd.DataFrame):
        assert kcm.specification_test(smf.ols("y ~ x", data).fit(cov_type="HC1")).pvalue > 0


class Plain(Null):
    """A null law of the caller's own, not a dataclass."""

    def __init__(self, groups: Any):
        self.groups = groups

    def distribution(self, contraction, rng):
        return kcm.Asymptotic(groups=self.groups).distribution(contraction, rng)


class TestGroups:
    def test_groups_that_cannot_be_aligned_are_refused(self, data: pd.DataFrame):
        with pytest.raises(kcm.OptionError, match=r"`null` \(Plain\) has groups.*a dataclass"):
            kcm.specification_test(smf.ols("y ~ x", data).fit(), null=Plain(data.index))

    def test_own_law_without_groups(self, data: pd.DataFrame):
        fit = smf.ols("y ~ x", data).fit()
        assert kcm.specification_test(fit, null=Plain(None)).pvalue == pytest.approx(
            kcm.specification_test(fit).pvalue
        )

    @pytest.mark.parametrize("law", [Plain, lambda groups: kcm.Asymptotic(groups=groups)])
    def test_fitted_moment_takes_groups_in_its_order(self, data: pd.DataFrame, law: Any):
        moment = fitted_moment(smf.ols("y ~ x", data).fit())
        pairs = pd.Series(np.arange(60) // 2, data.index)
        null = kcm.Asymptotic(groups=pairs.to_numpy())
        expected = kcm.KCMTest("adaptive", null=null).run(moment).pvalue
        assert kcm.specification_test(moment, null=law(pairs)).pvalue == expected


class TestColumns:
    def test_column_of_the_data_on_the_rows_used(self, holes: pd.DataFrame):
        column = fit_column(smf.ols("y ~ x", holes).fit(), "firm")
        assert column.tolist() == holes.dropna(subset="x").firm.tolist()

    def test_unknown_column(self, data: pd.DataFrame):
        with pytest.raises(kcm.DataError, match=r"no column 'village'"):
            fit_column(smf.ols("y ~ x", data).fit(), "village")

    def test_values_are_aligned_by_label(self, holes: pd.DataFrame):
        fit = smf.ols("y ~ x", holes).fit()
        groups = align_to_fit(fit, holes.firm.sort_index(), "groups")
        assert groups.tolist() == holes.dropna(subset="x").firm.tolist()

    def test_columns_stay_columns(self, data: pd.DataFrame):
        fit = smf.ols("y ~ x", data).fit()
        assert align_to_fit(fit, data[["firm", "k"]], "groups").shape == (60, 2)
        assert align_to_fit(fit, data.firm.tolist(), "groups").shape == (60,)

    def test_wrong_number_of_values_names_the_argument(self, data: pd.DataFrame):
        with pytest.raises(kcm.DataError, match=r"`groups` has 59 rows and the fit used 60"):
            align_to_fit(smf.ols("y ~ x", data).fit(), data.k.to_numpy()[1:], "groups")

    def test_repeated_rows(self, data: pd.DataFrame):
        fit = smf.glm("count ~ x", data, family=sm.families.Poisson(), freq_weights=data.k).fit()
        groups = align_to_fit(fit, fit_column(fit, "firm"), "groups")
        assert groups.tolist() == data.firm.repeat(data.k).tolist()
        assert len(groups) == fitted_moment(fit).n_obs

    def test_fitted_moment_has_rows_but_no_columns(self, data: pd.DataFrame):
        moment = fitted_moment(smf.ols("y ~ x", data).fit())
        assert align_to_fit(moment, data.k, "groups").tolist() == data.k.tolist()
        with pytest.raises(kcm.DataError, match=r"a FittedMoment holds no column 'k'"):
            fit_column(moment, "k")


class TestLabels:
    @pytest.mark.parametrize(
        ("fit", "moment", "theta"),
        [
            (lambda d: smf.ols("y ~ x", d).fit(), "y - x'b", "OLS"),
            (lambda d: smf.wls("y ~ x", d, weights=d.w).fit(), "y - x'b", "WLS"),
            (lambda d: smf.poisson("count ~ x", d).fit(disp=0), "count - exp(x'b)", "Poisson"),
            (lambda d: smf.logit("b ~ x", d).fit(disp=0), "b - P(b=1 | x'b)", "Logit"),
            (lambda d: smf.probit("b ~ x", d).fit(disp=0), "b - P(b=1 | x'b)", "Probit"),
            (lambda d: smf.glm("y ~ x", d).fit(), "y - x'b", "GLM (Gaussian)"),
            (
                lambda d: smf.glm("b ~ x", d, family=sm.families.Binomial()).fit(),
                "b - logit^-1(x'b)",
                "GLM (Binomial)",
            ),
            (
                lambda d: smf.glm("b + k ~ x", d, family=sm.families.Binomial()).fit(),
                "b/(b + k) - logit^-1(x'b)",
                "GLM (Binomial)",
            ),
            (
                lambda d: IV2SLS(d.y, d[["one"]], d[["e"]], d[["z"]]).fit(),
                "y - x'b",
                "IV2SLS",
            ),
        ],
    )
    def test_moment_and_theta_in_words(self, data: pd.DataFrame, fit: Any, moment: str, theta: str):
        data = data.assign(b=(data.y > data.x / 2).astype(int), k=data.k + 1)
        labels = fitted_moment(fit(data)).labels
        assert labels.moment == moment
        assert labels.theta == f"estimated: {theta}"


class TestRoute:
    def test_fit_survives_a_pickle(self, data: pd.DataFrame):
        fit = smf.ols("y ~ x", data).fit()
        expect(fitted_moment(pickle.loads(pickle.dumps(fit))), data, "x")

    def test_result_without_its_wrapper(self, data: pd.DataFrame):
        expect(fitted_moment(smf.ols("y ~ x", data).fit()._results), data, "x")

    def test_class_derived_from_a_model(self, data: pd.DataFrame):
        class Mine(sm.OLS):
            pass

        expect(fitted_moment(Mine.from_formula("y ~ x", data).fit()), data, "x")

    def test_fitted_moment_is_returned_as_it_is(self, data: pd.DataFrame):
        moment = fitted_moment(smf.ols("y ~ x", data).fit())
        assert fitted_moment(moment) is moment

    def test_front_door_takes_groups_by_name(self, data: pd.DataFrame):
        data["pair"] = np.arange(60) // 2
        fit = smf.ols("y ~ x", data).fit()
        by_name, by_value = (
            kcm.specification_test(fit, null=kcm.Asymptotic(groups=groups)).pvalue
            for groups in ("pair", data.pair.sort_index())
        )
        assert by_name == by_value

    def test_libraries_are_not_imported_to_recognise_a_fit(self):
        code = (
            "import sys, kcm, kcm.adapters\n"
            "try: kcm.adapters.fitted_moment('no fit')\n"
            "except kcm.UnsupportedModelError: pass\n"
            "print({'statsmodels', 'linearmodels', 'sklearn', 'formulaic'} & set(sys.modules))"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert run.stdout.strip() == "set()", run.stderr
