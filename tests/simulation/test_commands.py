"""Studies from the shell. Referee: the same study in Python, and the text of each message."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import kcm
from kcm.cli import main
from kcm.simulation import SimulationStudy, ThetaKnown
from kcm.simulation.study_file import read_study, the_fit

STUDY = """
[study]
design = "omitted-square"
n_obs = 40
n_replications = 6
rng = 5
level = 0.1

[settings]
size = [0.0, 0.5]

[procedures.KCM]

[procedures.published]
theta = "known"
statistic = "V"

[procedures.draws]
kernel = "laplace"
null = "bootstrap"
n_resamples = 19
weights = "mammen"

[procedures.RESET]
test = "RESET"

[procedures.fit]
test = "estimates"
"""


@pytest.fixture
def run(capsys):
    def call(*words):
        code = main(list(words))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    return path


def test_a_file_is_the_study_in_python(run, file, tmp_path):
    procedures = {
        "KCM": kcm.KCMTest(),
        "published": ThetaKnown(kcm.KCMTest(statistic="V")),
        "draws": kcm.KCMTest(
            kcm.kernels.Laplace(), null=kcm.MultiplierBootstrap(19, weights="mammen")
        ),
        "RESET": "RESET",
        "fit": the_fit,
    }
    study = SimulationStudy("omitted-square", procedures, 40, {"size": [0.0, 0.5]}, 6)
    expected = study.run(rng=5, n_jobs=1, progress=False)
    table = tmp_path / "all.csv"
    words = ("--jobs", "1", "--store", str(tmp_path / "cells"), "--csv", str(table))
    code, out, err = run("simulate", str(file), *words)
    assert (code, err) == (0, "")
    assert out.strip() == str(expected.summary(0.1))
    assert pd.read_csv(table).pvalue.to_list() == pytest.approx(
        expected.to_frame().pvalue.to_list(), nan_ok=True
    )
    code, out, _ = run("simulate", str(file), *words, "--json")
    rates = expected.rejection_rates(0.1)
    assert [row["rate"] for row in json.loads(out)] == pytest.approx(rates.rate.to_list())


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("n_obs", "n_osb", "[study] has the key 'n_osb', which is not known; did you mean 'n_obs'"),
        ("[settings]", "[setings]", "has the key 'setings', which is not known; did you mean"),
        ("theta =", "teta =", "[procedures.published] has the key 'teta'"),
        ("n_obs = 40", "", "[study] lacks the key 'n_obs'"),
        ("[study]", "[[study]]", "`study` must be a table"),
        ("omitted-square", "omited-square", "did you mean 'omitted-square'"),
        ("omitted-square", "no.such.module:draw", "is code: the file asks to import a module and"),
        ('"omitted-square"', "3", "`design` must be a name in quotes; got 3"),
        ("size =", "sise =", "has no setting 'sise'; did you mean 'size'"),
        ("laplace", "laplacian", "`kernel` must be one of"),
        ("n_resamples = 19", "n_resamples = 0", "`n_resamples` must be at least 1"),
        ('null = "bootstrap"', 'null = "cumulants"', "n_resamples, weights belong to the bootst"),
        ('null = "bootstrap"', 'null = "bootstarp"', "`null` must be one of"),
        ('"known"', '"unknown"', "`theta` must be one of"),
        ('test = "RESET"', 'test = "Reset"', "did you mean 'RESET'"),
        ('test = "RESET"', 'test = "RESET"\nkernel = "imq"', "with `test` has the key 'kernel'"),
        ("n_replications = 6", "n_replications = 6.5", "`n_replications` must be an int"),
        ("rng = 5", "rng = -5", "`rng` must be an int of at least 0"),
        ("n_obs = 40", "n_obs = ", "is no TOML file"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(run, file, old, new, told):
    file.write_text(STUDY.replace(old, new, 1))
    code, out, err = run("simulate", str(file), "--jobs", "1")
    assert (code, out) == (2, "")
    assert err.startswith("kcm: error: ")
    assert err.count("\n") == 1
    assert told in err


def test_a_file_that_is_not_there_is_one_line(run, tmp_path):
    code, _, err = run("simulate", str(tmp_path / "none.toml"))
    assert code == 2
    assert "there is no study" in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ('kernel = "adaptive"', kcm.KCMTest("adaptive")),
        ('null = "cumulants"', kcm.KCMTest(null=kcm.Asymptotic("cumulants"))),
        ('null = "studentized-normal"', kcm.KCMTest(null=kcm.StudentizedNormal())),
        ('projection = "orthogonal"', kcm.KCMTest(projection="orthogonal")),
    ],
)
def test_options_of_a_test(file, words, expected):
    file.write_text(STUDY.replace("[procedures.KCM]", f"[procedures.KCM]\n{words}"))
    found = read_study(file).study.procedures["KCM"].test
    assert repr(found.null or kcm.Asymptotic()) == repr(expected.null or kcm.Asymptotic())
    assert (found.kernel, found.projection) == (expected.kernel, expected.projection)


def test_the_studies_of_the_documents_can_be_read():
    files = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))
    assert files
    for path in files:
        assert read_study(path).study.n_replications >= 10


def test_reproduce_has_a_paper_and_no_other(run):
    with pytest.raises(SystemExit):
        run("reproduce", "uai2021")


MODULE = """
import pathlib
pathlib.Path("imported").touch()
from kcm.simulation.designs import load

draw = load("omitted-square").draw
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return the path of a study whose design is a function of a module of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_designs.py").write_text(MODULE)
    (tmp_path / "own.toml").write_text(STUDY.replace("omitted-square", "own_designs:draw"))
    return tmp_path / "own.toml"


def test_code_in_a_file_is_refused_before_it_runs(run, own):
    code, out, err = run("simulate", str(own), "--jobs", "1")
    assert (code, out) == (2, "")
    assert "`design` 'own_designs:draw' is code" in err
    assert "Add `--allow-code` if you trust both." in err
    assert not (own.parent / "imported").exists()


def test_code_runs_where_it_is_allowed(run, own):
    code, out, _ = run("simulate", str(own), "--jobs", "1", "--allow-code")
    assert code == 0
    assert "Rejection rates at 0.1, omitted_square" in out
    assert (own.parent / "imported").exists()


def test_a_module_that_is_not_there_is_one_line(run, file):
    file.write_text(STUDY.replace("omitted-square", "no.such.module:draw"))
    code, _, err = run("simulate", str(file), "--allow-code")
    assert code == 2
    assert "cannot be imported" in err


def test_a_study_of_estimates_alone_has_a_table(run, tmp_path):
    text = STUDY[: STUDY.index("[procedures.KCM]")] + '[procedures.fit]\ntest = "estimates"\n'
    (tmp_path / "fits.toml").write_text(text)
    results = read_study(tmp_path / "fits.toml").study.run(rng=5, n_jobs=1, progress=False)
    assert results.rejection_rates().empty
    assert {"n", "rate"} <= {*results.rejection_rates().columns}
    expected = results.estimates()
    code, out, _ = run("simulate", str(tmp_path / "fits.toml"), "--jobs", "1")
    assert code == 0
    assert out.splitlines()[1].strip() == "Estimates, omitted-square"
    assert f"{expected.bias[0]:.3f}" in out
    code, out, _ = run("simulate", str(tmp_path / "fits.toml"), "--jobs", "1", "--json")
    assert [row["bias"] for row in json.loads(out)] == pytest.approx(expected.bias.to_list())
    for picture in (results.plot_power, results.plot_size, results.plot_pvalues):
        with pytest.raises(kcm.OptionError, match="the study has no test, only estimates"):
            picture()


@pytest.mark.parametrize(
    ("path", "told"),
    [("there", "is a folder; name a file in it"), ("no/rates.csv", "there is no folder 'no'")],
)
def test_a_table_is_tried_before_the_study_runs(run, file, tmp_path, monkeypatch, path, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    monkeypatch.setattr(SimulationStudy, "run", None)
    code, _, err = run("simulate", str(file), "--csv", path)
    assert code == 2
    assert told in err
    assert err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line_and_the_table_lies_elsewhere(run, file):
    code, out, err = run("simulate", str(file), "--jobs", "1", "--csv", "/dev/full")
    assert (code, out) == (2, "")
    assert "`--csv`: /dev/full could not be written (No space left on device). Its contents" in err
    place = err.split("lie in ")[1].split(" instead")[0]
    assert len(pd.read_csv(place)) == 60


SHELL = [sys.executable, "-c", "from kcm.cli import command; command()"]


def test_a_closed_pipe_ends_quietly():
    for words in (["--help"], ["compare", "logwage ~ age", "--data", "cps71", "--tests", "RESET"]):
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen([*SHELL, *words], **both) as process:
            process.stdout.close()
            assert process.stderr.read().decode() == ""
        assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_behind_the_answer_is_one_line():
    words = ["compare", "logwage ~ age", "--data", "cps71", "--tests", "RESET"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*SHELL, *words], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert done.stderr.decode() == "kcm: error: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("name", ["x.foo", "x"])
def test_a_figure_of_no_kind_is_refused_before_the_work(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kcm.simulation.uai2020.reproduce", None)
    assert main(["reproduce", "uai2020", "--quick", "--figure", name]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"kcm: error: `--figure`: {name} ")
    assert told.endswith("which says no kind of picture; name a file such as x.png or x.pdf.\n")
