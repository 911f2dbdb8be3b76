"""Studies from the shell. Referee: the same study in Python, and the text of each message."""

import json

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
        ("omitted-square", "no.such.module:draw", "cannot be imported"),
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
    from pathlib import Path

    files = sorted((Path(__file__).parent.parent / "examples").glob("*.toml"))
    assert files
    for path in files:
        assert read_study(path).study.n_replications >= 10


def test_reproduce_has_a_paper_and_no_other(run):
    with pytest.raises(SystemExit):
        run("reproduce", "uai2021")
