"""Formulas from the shell are data. Referees: the fit in Python, a file that no one makes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

import kcm
from kcm.cli import main
from kcm.data.column_functions import lag, poly
from kcm.data.plain_formulas import check_plain, read_factors
from kcm.exceptions import OptionError

TOUCH = "open('made','w')"
CODE = [
    f"eval({TOUCH!r})",
    "np.f2py.os.system('touch made')",
    "np.load('made')",
    "np.log.__class__(x)",
    "x.to_csv('made')",
    "x.map(print)",
    "__import__('os').system('touch made')",
    "I(__import__('os').system('touch made'))",
    f"I({TOUCH})",
    f"C(x, {TOUCH})",
    f"C(x, Treatment({TOUCH}))",
    f"C(x, levels=[{TOUCH}])",
    f"bs(x, df={TOUCH})",
    f"bs(x, **{TOUCH})",
    f"np.log(*{TOUCH})",
    f"np.where(x > 0, {TOUCH}, 0)",
    f"lag(x, {TOUCH})",
    f"I([{TOUCH} for i in x])",
    f"I(x if {TOUCH} else x)",
    f"I((lambda: {TOUCH})())",
    f"I((k := {TOUCH}))",
    f"Q('x')({TOUCH})",
    f"Q({TOUCH})",
    "Q('x').to_csv('made')",
    "getattr(np, 'load')('made')",
    f"I(x)[{TOUCH}]",
    f"{{{TOUCH}}}",
    f"`{TOUCH}`",
    f"x + I({TOUCH}) - I({TOUCH})",
    f"x:I({TOUCH})",
    f"(x + I({TOUCH}))**2",
    "np.log(x, out=z)",
    "np.log(x, z)",
    "I(9**9**9)",
    "I('a' * 9)",
    "I(x << 9)",
    "I(x @ z)",
    "I(x and z)",
    "I(x.T)",
    "abs(x)",
    "print(x)",
    "lag(x, -1)",
    "lag(x, 1.5)",
    "bs(x, df=100000000)",
    "bs(x, df=300, degree=299)",
    "bs(x, 300, None, 299)",
    "poly(x, 1000)",
    "poly(x, -1)",
    "x**9999999999",
    "(x + z)**(99999999999)",
    "(x + z + day)**9",
    "lag(C(day))",
    "C(x, **z)",
    "I(" + "-" * 3000 + "x)",
    "np.log('\\x41')",
]


@pytest.fixture
def file(rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, z, e = rng.normal(size=(3, 90))
    data = pd.DataFrame({"y": x + e, "x": x, "z": z, "day": np.arange(90) % 3, "a b": z})
    data.to_csv("data.csv", index=False)
    return "data.csv"


@pytest.fixture
def run(capsys):
    def call(*words):
        code = main(list(words))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.mark.parametrize("code", CODE)
@pytest.mark.parametrize("place", ["y ~ {}", "{} ~ x", "y ~ x | {}"])
def test_code_is_refused_and_not_run(file, run, code, place):
    status, out, err = run("test", place.format(code), "--data", file)
    assert (status, out) == (2, "")
    assert err.startswith("kcm: error: ")
    assert err.count("\n") == 1
    assert not Path("made").exists()


@pytest.mark.parametrize("command", ["test", "compare", "report"])
def test_every_command_refuses_it_by_name(file, run, command):
    status, _, err = run(command, f"y ~ eval({TOUCH!r})", "--data", file)
    assert status == 2
    assert "calls `eval`. A formula from the shell or from a file is data, not code" in err
    assert not Path("made").exists()


@pytest.mark.parametrize("words", [("--conditioning", TOUCH), ("--groups", TOUCH)])
def test_names_of_columns_are_names(file, run, words):
    status, _, err = run("test", "y ~ x", "--data", file, *words)
    assert status == 2
    assert "has no column" in err
    assert not Path("made").exists()


def test_a_python_function_is_named_with_the_one_of_numpy():
    with pytest.raises(OptionError, match=r"calls `log`; did you mean 'np.log'"):
        check_plain("y ~ log(x)")


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ np.log(np.abs(x)) + np.log1p(I(z**2)) + np.exp(x) + np.expm1(z)",
        "y ~ np.sqrt(np.abs(x)) + np.power(x, 3) + np.where(z > 0, 1, 0)",
        "y ~ scale(x) + center(z) + standardize(x):z",
        "y ~ bs(x, df=4) + z",
        "y ~ cc(x, df=3) - 1",
        "y ~ cr(x, df=3) - 1",
        "y ~ C(day, Treatment(reference=2)) + x",
        "y ~ C(day, Sum) * x",
        "y ~ C(day, Helmert) + C(day, Diff):x",
        'y ~ Q("a b") + x - 1',
        "y ~ (x + z)**2",
        "y ~ I(2 * x - z / 3) + I(x**2) + I(x % 2)",
        "y ~ I((x > 0) & (z <= 1))",
    ],
)
def test_what_is_listed_is_fitted_as_in_python(file, run, formula):
    data = pd.read_csv(file)
    expected = kcm.specification_test(smf.ols(formula, data).fit(), data[["x", "z"]]).pvalue
    words = ("--data", file, "--conditioning", "x,z", "--json")
    status, out, err = run("test", formula, *words)
    assert (status, err) == (0, "")
    assert json.loads(out)["pvalue"] == pytest.approx(expected, rel=1e-6)


def test_polynomials_span_the_powers(file, run):
    data = pd.read_csv(file)
    fit = smf.ols("y ~ x + I(x**2) + I(x**3)", data).fit()
    expected = kcm.specification_test(fit, data[["x", "z"]]).pvalue
    for formula in ("y ~ poly(x, 3)", "y ~ poly(x, degree=3, raw=True)"):
        words = ("--data", file, "--conditioning", "x,z", "--json")
        assert json.loads(run("test", formula, *words)[1])["pvalue"] == pytest.approx(expected)
    with_gap = poly([1.0, np.nan, 2.0, 4.0], 2)
    assert np.isnan(with_gap).all(axis=1).tolist() == [False, True, False, False]


class TestLags:
    """Referee: a column made beforehand."""

    @pytest.fixture
    def series(self, rng, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        x = pd.Series(rng.normal(size=120))
        data = pd.DataFrame({"x": x, "xlag": x.shift(1), "xdiff": x.diff(), "xlag2": x.shift(2)})
        data["w"] = 1 + np.square(data.xlag.fillna(0)) + 0.3 * rng.normal(size=120)
        data.to_csv("data.csv", index=False)
        return data

    @pytest.mark.parametrize(
        ("formula", "column"),
        [
            ("w ~ lag(x)", "xlag"),
            ("w ~ diff(x)", "xdiff"),
            ("w ~ lag(x, 2)", "xlag2"),
            ("w ~ lag(x) | lag(x)", "xlag"),
            ("w ~ xlag | lag(x)", "xlag"),
        ],
    )
    @pytest.mark.filterwarnings("ignore::kcm.exceptions.MissingRowsWarning")
    def test_the_previous_row_is_regressor_and_conditioning(self, series, run, formula, column):
        plain = series.dropna(subset=[column])
        expected = kcm.specification_test(smf.ols(f"w ~ {column}", plain).fit())
        status, out, _ = run("test", formula, "--data", "data.csv", "--json")
        found = json.loads(out)
        assert status == 0
        assert found["pvalue"] == pytest.approx(expected.pvalue, rel=1e-6)
        assert (found["n_obs"], found["n_dropped"]) == (len(plain), 120 - len(plain))

    def test_a_row_that_was_left_out_is_no_previous_row(self):
        whole = pd.Series([1.0, 2.0, 3.0, 4.0])
        assert lag(whole.drop(1)).fillna(-1).tolist() == [-1, -1, 3]
        assert lag(whole, 2).fillna(-1).tolist() == [-1, -1, 1, 2]


@pytest.mark.parametrize("formula", ["y ~ x + C(lag(k))", "y ~ x | C(lag(k)) + x"])
def test_lags_of_categories_are_those_of_a_plain_column(formula, run, tmp_path, monkeypatch):
    """Numbers that name categories, one row before; referee: the column, made by pandas."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.normal(size=80), "k": np.arange(80) * 7 % 4})
    data["y"] = data.x + 0.6 * data.x**2 * (data.k == 2) + rng.normal(size=80)
    data.to_csv("d.csv", index=False)
    data["lagged"] = data.k.shift(1)
    plain = data.dropna().astype({"lagged": "category"})
    regressors = "x + C(lagged)" if "|" not in formula else "x"
    fit = smf.ols(f"y ~ {regressors}", plain).fit()
    expected = kcm.specification_test(fit, plain[["x", "lagged"]]).pvalue
    status, out, _ = run("test", formula, "--data", "d.csv", "--json")
    assert status == 0
    assert json.loads(out)["pvalue"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("formula", ["y ~ (x + z)**2 + I(x**12)", "y ~ I((x + z)**9) + poly(z, 3)"])
def test_powers_of_columns_and_pairs_are_read(formula):
    check_plain(formula)


def test_factors_tell_what_they_are():
    found = read_factors("y ~ C(k) + lag(x) + np.log(z) | x", "regressors")
    told = [(f.columns, f.is_category, f.shifts) for f in found if f.columns]
    assert told == [(("k",), True, False), (("x",), False, True), (("z",), False, False)]
