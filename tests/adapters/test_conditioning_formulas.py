"""What a formula is conditioned on. Referees: columns built by hand, and fits on plain columns."""

import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from formula_engines import ENGINES, formula_engine
from formula_factors import frame
from linearmodels.iv import IV2SLS
from linearmodels.shared.exceptions import MissingValueWarning
from scipy import stats

import kcm
from kcm.adapters import fitted_moment
from kcm.data.factors import plain_columns, resolve_in


def lagged(values: pd.Series) -> pd.Series:  # formulas call it by name
    return values.shift(1)


@pytest.fixture
def data() -> pd.DataFrame:
    return frame()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    with formula_engine(request.param):
        yield request.param


def as_cells(values: Any) -> list[int]:
    return pd.factorize(np.asarray(values))[0].tolist()


def expect_by_hand(moment: kcm.FittedMoment, expected: pd.DataFrame):
    names = ["".join(name.split()) for name in moment.labels.conditioning]
    assert sorted(names) == sorted("".join(name.split()) for name in expected)
    for name, column in expected.items():
        j = names.index("".join(str(name).split()))
        is_text = not pd.api.types.is_numeric_dtype(column)
        assert moment.labels.kinds[j] == ("unordered" if is_text else "continuous")
        if is_text:
            assert as_cells(moment.conditioning[:, j]) == as_cells(column)
        else:
            np.testing.assert_allclose(moment.conditioning[:, j], column, rtol=1e-12)


class TestProducts:
    @pytest.mark.parametrize("formula", ["y ~ x * lagged(z)", "y ~ x + lagged(z) + x:lagged(z)"])
    def test_factors_with_a_term_of_their_own(self, data: pd.DataFrame, engine: str, formula: str):
        moment = fitted_moment(smf.ols(formula, data).fit())
        expected = pd.DataFrame({"x": data.x, "lagged(z)": data.z.shift(1)}).dropna()
        expect_by_hand(moment, expected)

    def test_factors_without_one(self, data: pd.DataFrame, engine: str):
        moment = fitted_moment(smf.ols("y ~ x:lagged(z)", data).fit())
        expected = {"x": data.x, "x:lagged(z)": data.x * data.z.shift(1)}
        expect_by_hand(moment, pd.DataFrame(expected).dropna())

    def test_category_of_evaluated_numbers(self, data: pd.DataFrame, engine: str):
        moment = fitted_moment(smf.ols("y ~ x + C(k.shift(1))", data).fit())
        codes = data.k.shift(1).dropna()
        assert moment.labels.kinds == ("continuous", "unordered")
        assert as_cells(moment.conditioning[:, 1]) == as_cells(codes)


def adaptive(fit: Any, conditioning: Any = None) -> float:
    return kcm.specification_test(fit, conditioning, kernel=None).pvalue


POWER, KNOTS, ORDER, CUT = 2, [-0.5, 0.0, 0.5], [3, 2, 1, 0], 0.3


class TestNamesOfTheCaller:
    """Referee: the same fit, conditioned on the plain columns by name."""

    @pytest.mark.parametrize(
        ("formula", "columns"),
        [
            ("y ~ np.power(w, POWER)", ["w"]),
            ("y ~ bs(x, knots=KNOTS)", ["x"]),
            ("y ~ x + C(k, levels=ORDER)", None),
            ("y ~ z + I(x > CUT)", ["z", "x"]),
            ("y ~ I(x - CUT)", ["x"]),
            ("y ~ stats.norm.cdf(x)", ["x"]),
            ("y ~ C(pd.cut(w, [0, 1.3, 1.6, 3]))", ["w"]),
            ("y ~ x + k.astype(float)", ["x", "k"]),
            ("y ~ x + w.map(math.log)", ["x", "w"]),
            ("y ~ x.values", ["x"]),
        ],
    )
    def test_what_statsmodels_fits_is_tested(
        self, data: pd.DataFrame, formula: str, columns: list[str] | None
    ):
        assert math.log(1) == stats.norm.cdf(0) - 0.5  # the formulas call them by name
        assert (POWER, len(KNOTS), len(ORDER), CUT) == (2, 3, 4, 0.3)
        fit = smf.ols(formula, data).fit()
        given = data[["x"]].assign(k=data.k.astype(str)) if columns is None else data[columns]
        np.testing.assert_allclose(adaptive(fit), adaptive(fit, given), rtol=1e-10)

    def test_arrays_of_the_caller_are_evaluated(self, data: pd.DataFrame, engine: str):
        outside = data.z.to_numpy()
        moment = fitted_moment(smf.ols("y ~ x + I(x * outside)", data).fit())
        expected = pd.DataFrame({"x": data.x, "I(x * outside)": data.x * outside})
        expect_by_hand(moment, expected)

    def test_functions_of_the_caller_with_names_of_numpy(self, data: pd.DataFrame, engine: str):
        def log(values: pd.Series) -> pd.Series:
            return values.shift(1)

        moment = fitted_moment(smf.ols("y ~ log(w)", data).fit())
        assert log(data.w).isna().sum() == 1
        expect_by_hand(moment, pd.DataFrame({"log(w)": data.w.shift(1)}).dropna())

    def test_days_of_dates(self, data: pd.DataFrame):
        data["date"] = pd.date_range("2020-01-01", periods=len(data), freq="5D")
        moment = fitted_moment(smf.ols("y ~ date.dt.day_of_year", data).fit())
        expect_by_hand(moment, pd.DataFrame({"date.dt.day_of_year": data.date.dt.day_of_year}))

    def test_columns_that_hold_gaps_where_the_factor_has_none(self, data: pd.DataFrame):
        data.loc[3, "x"] = np.nan
        moment = fitted_moment(smf.ols("y ~ np.nan_to_num(x)", data).fit())
        assert moment.labels.conditioning == ("np.nan_to_num(x)",)
        np.testing.assert_allclose(moment.conditioning[:, 0], data.x.fillna(0))


class TestPublishedKinds:
    """Referee: the same fit on plain columns of its own names."""

    def test_lags(self, data: pd.DataFrame):
        plain = data.assign(ylag=data.y.shift(1))
        expected = adaptive(smf.ols("y ~ ylag", plain).fit())
        assert adaptive(smf.ols("y ~ y.shift(1)", data).fit()) == expected
        assert adaptive(smf.ols("y ~ lagged(y)", data).fit()) == expected

    def test_lags_of_linearmodels(self, data: pd.DataFrame):
        plain = data.assign(xl=data.x.shift(1)).dropna()
        expected = adaptive(IV2SLS.from_formula("y ~ 1 + x + xl", plain).fit())
        with pytest.warns(MissingValueWarning):
            fit = IV2SLS.from_formula("y ~ 1 + x + lag(x)", data).fit()
        np.testing.assert_allclose(adaptive(fit), expected, rtol=1e-12)

    def test_lags_of_own_estimators(self, data: pd.DataFrame):
        def estimate(formula: str) -> Any:
            with pytest.warns(kcm.exceptions.MissingRowsWarning):
                return kcm.MMR.from_formula(formula, data.assign(ylag=data.y.shift(1))).fit()

        plain = estimate("y ~ ylag")
        for formula in ("y ~ lag(y)", "y ~ lag(y) | lag(y)"):
            np.testing.assert_allclose(estimate(formula).params, plain.params, rtol=1e-12)

    def test_codes_are_categories(self, data: pd.DataFrame, engine: str):
        text = data.assign(s="m" + data.k.astype(str))
        expected = adaptive(smf.ols("y ~ x + C(s)", text).fit())
        assert adaptive(smf.ols("y ~ x + C(k)", data).fit()) == pytest.approx(expected, rel=1e-12)

    def test_quoted_names(self):
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(80, 3)).round(6)
        text = "y,x,x\n" + "\n".join(",".join(map(str, row)) for row in rows)
        data = pd.read_csv(io.StringIO(text))
        expected = adaptive(sm.OLS(data.y, sm.add_constant(data[["x", "x.1"]])).fit())
        fit = smf.ols('y ~ x + Q("x.1")', data).fit()
        assert adaptive(fit) == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("model", [sm.OLS, lambda y, x: sm.Logit((y > 0) * 1, x)])
    def test_repeated_names_of_a_design(self, data: pd.DataFrame, model: Any):
        x = sm.add_constant(data[["x", "z"]])
        twice = x.set_axis(["const", "price", "price"], axis=1)
        moment = fitted_moment(_quiet(model(data.y, twice)))
        assert moment.labels.conditioning == ("price", "price (2)")
        np.testing.assert_array_equal(moment.conditioning, data[["x", "z"]])

    def test_name_that_stands_for_two_columns(self, data: pd.DataFrame):
        twice = data[["x", "z"]].set_axis(["price", "price"], axis=1)
        fit = sm.OLS(data.y, twice).fit()
        with pytest.raises(kcm.DataError, match="2 different columns named 'price'"):
            fitted_moment(fit, "price")

    def test_instrument_called_like_a_regressor(self, data: pd.DataFrame):
        one, price = data.assign(one=1.0)[["one"]], data[["x"]].set_axis(["price"], axis=1)
        instrument = data[["z"]]
        named = instrument.set_axis(["price"], axis=1)
        expected = fitted_moment(IV2SLS(data.y, one, price, instrument).fit())
        moment = fitted_moment(IV2SLS(data.y, one, price, named).fit())
        assert moment.labels.conditioning == ("price",)
        np.testing.assert_array_equal(moment.conditioning, expected.conditioning)

    def test_instrument_called_like_an_exogenous_regressor(self, data: pd.DataFrame):
        exog = data.assign(one=1.0)[["one", "x"]]
        named = data[["z"]].set_axis(["x"], axis=1)
        moment = fitted_moment(IV2SLS(data.y, exog, data[["w"]], named).fit())
        assert moment.labels.conditioning == ("x", "x (2)")
        np.testing.assert_array_equal(moment.conditioning, data[["x", "z"]])


def _quiet(model: Any) -> Any:
    return model.fit() if isinstance(model, sm.OLS) else model.fit(disp=0)


class TestRepetitions:
    def test_square_of_a_positive_variable(self, data: pd.DataFrame):
        data["wsq"] = data.w**2
        made, plain = (
            kcm.specification_test(smf.ols(f"y ~ w + {square}", data).fit())
            for square in ("I(w**2)", "wsq")
        )
        assert plain.conditioning_names == ("w",)
        assert plain.pvalue == pytest.approx(made.pvalue, rel=1e-9)
        told = "wsq is left out of the conditioning variables: it has one value for each value of w"
        assert told in plain.summary().as_text().replace("\n", " ")

    def test_square_of_a_variable_of_both_signs_says_less_and_stays(self, data: pd.DataFrame):
        fit = smf.ols("y ~ x + xsq", data.assign(xsq=data.x**2)).fit()
        assert fitted_moment(fit).labels.conditioning == ("x", "xsq")

    @pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.SingularMatrixWarning")
    def test_same_cells(self, data: pd.DataFrame):
        data["name"] = data.k.map({0: "d", 1: "b", 2: "a", 3: "c"})
        moment = fitted_moment(smf.ols("y ~ x + firm + name + C(k)", data).fit())
        assert moment.labels.conditioning == ("x", "firm", "name")
        assert "its categories are the values of name" in " ".join(moment.labels.notes)

    def test_what_the_caller_names_stays(self, data: pd.DataFrame):
        data["wsq"] = data.w**2
        moment = fitted_moment(smf.ols("y ~ w", data).fit(), ["w", "wsq"])
        assert moment.labels.conditioning == ("w", "wsq")


class TestContainersOfNames:
    @pytest.mark.parametrize(
        "container", [pd.Index, np.array, set, frozenset, tuple, lambda n: dict.fromkeys(n).keys()]
    )
    def test_names(self, data: pd.DataFrame, container: Any):
        fit = smf.ols("y ~ x", data).fit()
        moment = fitted_moment(fit, container(["w", "x"]))
        assert moment.labels.conditioning == ("w", "x")

    def test_columns_of_a_frame(self, data: pd.DataFrame):
        moment = fitted_moment(smf.ols("y ~ x", data).fit(), data[["z", "firm"]].columns)
        assert moment.labels.conditioning == ("z", "firm")

    def test_index_levels(self, data: pd.DataFrame):
        indexed = data.set_index(["firm", "w"])
        fit = smf.ols("y ~ x", indexed).fit()
        moment = fitted_moment(fit, ["firm", "w", "x"])
        assert moment.labels.kinds == ("unordered", "continuous", "continuous")
        np.testing.assert_array_equal(moment.conditioning[:, 1], data.w)

    def test_index_level_of_a_fit_on_arrays(self, data: pd.DataFrame):
        indexed = data.set_index("w")
        moment = fitted_moment(sm.OLS(indexed.y, indexed[["x"]]).fit(), "w")
        np.testing.assert_array_equal(moment.conditioning[:, 0], data.w)

    def test_groups_by_index_level_and_of_all_rows(self, data: pd.DataFrame):
        data["firm"] = np.arange(len(data)) // 4
        indexed = data.set_index("firm")
        expected = kcm.specification_test(
            smf.ols("y ~ lagged(x)", data).fit(),
            null=kcm.Asymptotic(groups=data.firm[1:].to_numpy()),
        )
        for fit, groups in (
            (smf.ols("y ~ lagged(x)", indexed).fit(), "firm"),
            (smf.ols("y ~ lagged(x)", data).fit(), data.firm.to_numpy()),
        ):
            result = kcm.specification_test(fit, null=kcm.Asymptotic(groups=groups))
            assert result.pvalue == expected.pvalue


class TestPlainColumns:
    """Referee: the expressions read by eye."""

    @pytest.mark.parametrize(
        "expression",
        [
            "x.shift(1)",
            "np.add.accumulate(x)",
            "np.cumsum(x)",
            "np.add(x, w, x)",
            "x @ w",
            "not x",
            "[x]",
            "x if 1 else w",
            "np.where(x)",
            "lag(x)",
            "C(x)",
            "unknown * x",
            "x[1]",
            "np.matmul(x, w)",
            "bs(x, knots=w)",
        ],
    )
    def test_others(self, expression: str):
        assert plain_columns(expression, ["x", "w"], resolve_in({"np": np})) is None

    @pytest.mark.parametrize("expression", ["-x * np.pi", "np.log1p(x) <= 3", "np.clip(x, 0, 1)"])
    def test_plain(self, expression: str):
        assert plain_columns(expression, ["x", "w"], resolve_in({"np": np})) == ("x",)


@pytest.mark.parametrize(
    "factor",
    ["C(k.astype(str))", "k.astype('category')", "pd.Categorical(k)", "C(k.values)", "C(k * 2)"],
)
def test_numbers_cast_to_categories_are_categories(factor):
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.normal(size=300), "k": rng.integers(0, 8, 300)})
    data["y"] = data.x * np.where(data.k % 2, 1.3, 0.7) + rng.normal(size=300)
    expected = kcm.specification_test(smf.ols("y ~ x + C(k)", data).fit())
    found = kcm.specification_test(smf.ols(f"y ~ x + {factor}", data).fit())
    assert found.pvalue == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.conditioning_names == ("x", "k")
    assert found.moment.labels.kinds == ("continuous", "unordered")


def test_intervals_are_conditioned_on_by_their_numbers():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.normal(size=300)})
    data["y"] = rng.normal(size=300)
    result = kcm.specification_test(smf.ols("y ~ pd.cut(x, [-9.0, -0.5, 0.5, 9.0])", data).fit())
    assert result.moment.labels.kinds == ("continuous",)
