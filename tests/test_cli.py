"""The command line: the same numbers as Python, and one line for every mistake."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

import kcm
from kcm.cli import main
from kcm.commands.parser import MODELS

FORMULA = "logwage ~ age + I(age**2)"


@pytest.fixture
def run(capsys):
    def call(*words):
        code = main(["test", *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def data(rng):
    x, z = rng.normal(size=(2, 80))
    count = rng.poisson(np.exp(0.3 * x) * rng.gamma(1, 1, size=80))
    return pd.DataFrame({"y": count, "b": 1.0 * (rng.random(80) < 0.5), "x": x, "z": z})


def test_the_readme_command_prints_a_summary(run):
    code, out, err = run(FORMULA, "--data", "cps71")
    assert (code, err) == (0, "")
    assert "E[logwage - x'b | age] = 0" in out
    assert "0.0051" in out
    assert "Rejected at level 0.05" in out


def test_the_readme_shows_what_its_command_prints(run):
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    shown = readme.split("```text\n")[1].split("```")[0]
    assert run(FORMULA, "--data", "cps71")[1] == shown


def test_json_is_the_python_result(run):
    fit = smf.ols(FORMULA, data=kcm.datasets.load_cps71()).fit()
    expected = kcm.specification_test(fit, null=kcm.MultiplierBootstrap(199), rng=3).to_dict()
    code, out, _ = run(FORMULA, "--data", "cps71", "--bootstrap", "199", "--rng", "3", "--json")
    assert code == 0
    assert json.loads(out) == expected


@pytest.mark.parametrize(
    ("name", "kernel"), [("adaptive", "adaptive"), ("laplace", kcm.kernels.Laplace())]
)
def test_a_kernel_by_name_is_that_of_python(run, name, kernel):
    fit = smf.ols(FORMULA, data=kcm.datasets.load_cps71()).fit()
    expected = kcm.specification_test(fit, kernel=kernel).to_dict()
    code, out, _ = run(FORMULA, "--data", "cps71", "--kernel", name, "--json")
    assert code == 0
    assert json.loads(out) == expected


@pytest.mark.parametrize("stop", ["besag-clifford", "confidence"])
def test_draws_that_stop_are_those_of_python(run, stop):
    fit = smf.ols(FORMULA, data=kcm.datasets.load_cps71()).fit()
    null = kcm.MultiplierBootstrap(999, stop=stop)
    expected = kcm.specification_test(fit, null=null, rng=3).to_dict()
    words = ("--bootstrap", "999", "--stop", stop, "--rng", "3", "--json")
    code, out, _ = run(FORMULA, "--data", "cps71", *words)
    assert code == 0
    assert json.loads(out) == expected
    assert stop in expected["null_distribution"]


def test_studentised_draws_and_the_projection_are_those_of_python(run, data, tmp_path):
    data.to_csv(tmp_path / "data.csv", index=False)
    null = kcm.MultiplierBootstrap(99, studentize=True)
    fit = smf.logit("b ~ x + z", data=data).fit(disp=0)
    expected = kcm.specification_test(fit, null=null, rng=3, projection="orthogonal").to_dict()
    words = ("--model", "logit", "--bootstrap", "99", "--studentize", "--rng", "3", "--json")
    source = ("--data", str(tmp_path / "data.csv"), "--projection", "orthogonal")
    code, out, _ = run("b ~ x + z", *source, *words)
    found = json.loads(out)
    assert code == 0
    assert found["pvalue"] == expected["pvalue"]
    assert found["theta"] == "estimated: Logit; orthogonal projection"
    assert "studentised" in found["null_distribution"]


def test_a_low_rank_test_is_that_of_python(run):
    fit = smf.ols(FORMULA, data=kcm.datasets.load_cps71()).fit()
    expected = kcm.specification_test(fit, method="low-rank", memory_limit="100 MB").to_dict()
    words = ("--method", "low-rank", "--memory-limit", "100 MB", "--json")
    code, out, _ = run(FORMULA, "--data", "cps71", *words)
    assert code == 0
    assert json.loads(out) == json.loads(json.dumps(expected))
    assert expected["method"] == "low-rank"


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_files(run, data, tmp_path, suffix):
    path = tmp_path / f"data.{suffix}"
    write = {"parquet": data.to_parquet}.get(suffix, lambda p: data.to_csv(p, index=False))
    write(path)
    expected = kcm.specification_test(smf.ols("z ~ x", data=data).fit()).pvalue
    code, out, _ = run("z ~ x", "--data", str(path), "--json")
    assert code == 0
    assert json.loads(out)["pvalue"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_every_model(run, data, tmp_path, model):
    data.to_csv(tmp_path / "data.csv", index=False)
    response = {"ols": "z", "median": "z", "logit": "b", "probit": "b"}.get(model, "y")
    code, out, err = run(
        f"{response} ~ x", "--data", str(tmp_path / "data.csv"), "--model", model, "--json"
    )
    assert (code, err) == (0, "")
    assert json.loads(out)["theta"].startswith("estimated: ")


@pytest.mark.parametrize(("kernel", "name"), [("laplace", "Laplace"), ("imq", "InverseMulti")])
def test_kernels_and_statistics(run, kernel, name):
    code, out, _ = run(FORMULA, "--data", "cps71", "--kernel", kernel, "--statistic", "V", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["kernel"].startswith(name)
    assert found["statistic_name"] == "V"


def test_wider_conditioning_drops_and_counts_its_missing_rows(run, data, tmp_path):
    data.loc[[3, 7], "z"] = np.nan
    data.loc[9, "x"] = np.nan
    data.to_csv(tmp_path / "data.csv", index=False)
    code, out, err = run(
        "b ~ x", "--data", str(tmp_path / "data.csv"), "--conditioning", "x, z", "--json"
    )
    found = json.loads(out)
    assert code == 0
    assert (found["n_obs"], found["n_dropped"]) == (77, 3)
    assert found["conditioning_names"] == ["x", "z"]
    assert "3 of 80" in err


def test_groups_are_a_column(run, data, tmp_path):
    data["cluster"] = np.arange(80) // 4
    data.to_csv(tmp_path / "data.csv", index=False)
    fit = smf.ols("z ~ x", data=data).fit()
    expected = kcm.specification_test(fit, null=kcm.Asymptotic(groups="cluster")).pvalue
    _, out, _ = run("z ~ x", "--data", str(tmp_path / "data.csv"), "--groups", "cluster", "--json")
    assert json.loads(out)["pvalue"] == pytest.approx(expected, rel=1e-9)


def test_a_bar_names_the_conditioning_variables(run, data, tmp_path):
    data["j"] = np.arange(80) % 3
    data.to_csv(tmp_path / "data.csv", index=False)
    fit = smf.ols("y ~ x", data=data).fit()
    expected = kcm.specification_test(fit, ["x", "j"])
    code, out, _ = run("y ~ x | x + I(j**2)", "--data", str(tmp_path / "data.csv"), "--json")
    found = json.loads(out)
    assert code == 0
    assert found["conditioning_names"] == ["x", "j"]
    assert found["pvalue"] == pytest.approx(expected.pvalue, rel=1e-9)


def test_numpy_is_known_as_np(run, data, tmp_path):
    data["wage"] = np.exp(data.z)
    data.to_csv(tmp_path / "data.csv", index=False)
    expected = kcm.specification_test(smf.ols("z ~ np.abs(x) + C(b)", data=data).fit()).pvalue
    code, out, _ = run(
        "np.log(wage) ~ np.abs(x) + C(b)", "--data", str(tmp_path / "data.csv"), "--json"
    )
    assert code == 0
    assert json.loads(out)["pvalue"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((FORMULA, "--data", "missing.csv"), "there is no file 'missing.csv'"),
        ((FORMULA, "--data", "cps72"), "cps71"),
        (("logwage ~ agee", "--data", "cps71"), "agee"),
        (("wage ~ age", "--data", "cps71"), "wage"),
        (("logwage ~ (age", "--data", "cps71"), "logwage ~ (age"),
        (("logwage", "--data", "cps71"), "logwage"),
        (("logwage ~ age | town", "--data", "cps71"), "town"),
        (("logwage ~ age | 1", "--data", "cps71"), "no variable after `|`"),
        (("logwage ~ age | age | age", "--data", "cps71"), "at most one `|`"),
        (("logwage ~ age | age", "--data", "cps71", "--conditioning", "age"), "keep one of them"),
        ((FORMULA, "--data", "cps71", "--rng", "1"), "add `--bootstrap N`"),
        ((FORMULA, "--data", "cps71", "--stop", "confidence"), "leave `--stop` out"),
        ((FORMULA, "--data", "cps71", "--studentize"), "leave `--studentize` out"),
        ((FORMULA, "--data", "missing.csv"), "check the path, or name a data set: "),
        ((FORMULA, "--data", "cps71", "--conditioning", "agee"), "agee"),
        ((FORMULA, "--data", "cps71", "--conditioning", "age,,"), "split by commas"),
        ((FORMULA, "--data", "cps71", "--bootstrap", "0"), "`n_resamples` must be at least 1"),
        ((FORMULA, "--data", "cps71", "--model", "logit"), "the logit fit"),
        ((FORMULA, "--data", "cps71", "--groups", "town"), "town"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(run, words, message):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith("kcm: error: ")
    assert err.count("\n") == 1
    assert message in err


def test_an_unreadable_file_is_one_line(run, tmp_path):
    (tmp_path / "empty.csv").write_text("")
    code, _, err = run(FORMULA, "--data", str(tmp_path / "empty.csv"))
    assert code == 2
    assert "cannot be read" in err
    (tmp_path / "data.xlsx").write_text("")
    code, _, err = run(FORMULA, "--data", str(tmp_path / "data.xlsx"))
    assert code == 2
    assert "must end in one of" in err


def test_an_unknown_option_is_refused_by_the_parser(run):
    with pytest.raises(SystemExit) as stop:
        run(FORMULA, "--data", "cps71", "--model", "forest")
    assert stop.value.code == 2


class TestCompare:
    @pytest.fixture
    def compare(self, capsys):
        def call(*words):
            code = main(["compare", *words])
            captured = capsys.readouterr()
            return code, captured.out, captured.err

        return call

    def test_json_is_the_python_table(self, compare):
        fit = smf.ols(FORMULA, data=kcm.datasets.load_cps71()).fit()
        expected = kcm.compare_tests(fit, rng=3).to_dict()
        code, out, err = compare(FORMULA, "--data", "cps71", "--rng", "3", "--json")
        assert (code, err) == (0, "")
        found = json.loads(out)
        for row in (*found["rows"], *expected["rows"]):
            del row["seconds"]
        assert found == expected

    def test_text_is_the_summary(self, compare):
        code, out, _ = compare(FORMULA, "--data", "cps71", "--tests", "KCM, rainbow")
        assert code == 0
        assert out.splitlines()[1].strip().startswith("Specification tests: statsmodels OLS")
        assert ("KCM" in out, "rainbow" in out, "RESET" in out) == (True, True, False)

    def test_a_model_and_a_bar(self, compare, data, tmp_path):
        data.to_csv(tmp_path / "data.csv", index=False)
        fit = smf.logit("b ~ x", data=data).fit(disp=0)
        expected = kcm.compare_tests(fit, "KCM", ["x", "z"])["KCM"].pvalue
        words = ("--data", str(tmp_path / "data.csv"), "--model", "logit", "--tests", "KCM")
        code, out, _ = compare("b ~ x | x + z", *words, "--json")
        assert code == 0
        assert json.loads(out)["rows"][0]["pvalue"] == pytest.approx(expected, rel=1e-9)

    def test_an_unknown_test_is_one_line(self, compare):
        code, out, err = compare(FORMULA, "--data", "cps71", "--tests", "KCM,Reset")
        assert (code, out) == (2, "")
        assert err.startswith("kcm: error: `tests`: there is no test 'Reset'")
        assert err.count("\n") == 1
