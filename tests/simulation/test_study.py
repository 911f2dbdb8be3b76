"""Studies: the same tables by any road, and every mishap with a clear outcome.

Referees: `KCMTest.run` on samples drawn by hand, and the same study by another road.
"""

import dataclasses
import importlib
import importlib.util
import json
import linecache
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import statsmodels.formula.api as smf
from study_designs import formula, quadratic, raises_on_positive, sometimes_nan, uniform

import kcm
from kcm.simulation import SimulationStudy, ThetaKnown, designs, store
from kcm.simulation.cells import seeds_of
from kcm.simulation.describing import described

N, REPLICATIONS = 30, 9
PROCEDURES = {
    "KCM": kcm.KCMTest(),
    "adaptive": kcm.KCMTest("adaptive", "V"),
    "bootstrap": kcm.KCMTest(null=kcm.MultiplierBootstrap(19)),
    "uniform": uniform,
}
SETTINGS = {"size": [0.0, 0.5]}


def study(**changes):
    given = {"design": quadratic, "procedures": PROCEDURES, "n_obs": N, "settings": SETTINGS}
    return SimulationStudy(**(given | {"n_replications": REPLICATIONS} | changes))


@pytest.fixture(scope="module")
def results():
    return study().run(rng=1, n_jobs=1)


def same(first, second):
    pd.testing.assert_frame_equal(first.to_frame(), second.to_frame(), check_exact=True)
    pd.testing.assert_frame_equal(first.parameters, second.parameters, check_exact=True)


class TestNumbers:
    def test_they_are_those_of_the_tests_on_samples_drawn_by_hand(self, results):
        frame = results.to_frame().set_index(["size", "replication", "procedure"])
        for cell in study().cells:
            settings = dict(cell.settings)
            seeds = seeds_of(1, cell, 4)
            moment = quadratic(np.random.default_rng(seeds.data), N, **settings)
            for name in ("KCM", "adaptive", "bootstrap"):
                test, rng = PROCEDURES[name], np.random.default_rng(seeds.draws)
                expected = test.run(moment, rng)
                found = frame.loc[(settings["size"], 4, name)]
                assert found.pvalue == pytest.approx(expected.pvalue, rel=1e-9, abs=0)
                assert found.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=0)
            draw = np.random.default_rng(seeds.draws).random()
            assert frame.loc[(settings["size"], 4, "uniform"), "pvalue"] == draw

    def test_every_sample_is_another_one(self, results):
        statistics = results.to_frame().query("procedure == 'KCM'").statistic
        assert statistics.nunique() == 2 * REPLICATIONS

    def test_a_cell_has_its_numbers_in_any_study(self, results):
        alone = study(settings={"size": 0.5}, n_obs=[N, 40]).run(rng=1, n_jobs=1).to_frame()
        own = results.to_frame().query("size == 0.5").reset_index(drop=True)
        pd.testing.assert_frame_equal(alone[alone.n_obs == N], own, check_exact=True)

    def test_another_seed_gives_others(self, results):
        other = study().run(rng=2, n_jobs=1).to_frame()
        assert (other.pvalue != results.to_frame().pvalue).mean() > 0.7

    def test_a_formula_is_fitted_and_conditions_on_what_is_behind_the_bar(self):
        cell_study = study(design=formula, settings=None, procedures={"KCM": kcm.KCMTest()})
        found = cell_study.run(rng=1, n_jobs=1).to_frame()
        seeds = seeds_of(1, cell_study.cells[0], 0)
        data, _ = formula(np.random.default_rng(seeds.data), N)
        fit = smf.ols("y ~ x", data).fit()
        expected = kcm.specification_test(fit, ["x", "z"], kcm.kernels.Gaussian()).pvalue
        assert found.pvalue[0] == pytest.approx(expected, rel=1e-9)

    def test_rows_of_the_comparison_are_those_of_compare_tests(self):
        rows = study(design="linear", settings=None, procedures=["RESET", "Stute"], n_obs=40)
        found = rows.run(rng=1, n_jobs=1).to_frame()
        seeds = seeds_of(1, rows.cells[0], 0)
        fit = designs.load("linear")(np.random.default_rng(seeds.data), 40)
        expected = [row.pvalue for row in kcm.compare_tests(fit, ["RESET", "Stute"]).rows]
        assert found.pvalue[:2].to_list() == pytest.approx(expected, rel=1e-9)

    def test_theta_known_drops_the_correction(self):
        procedures = {"published": ThetaKnown(kcm.KCMTest())}
        known = study(design="linear", settings=None, n_obs=40, procedures=procedures)
        found = known.run(rng=1, n_jobs=1).to_frame()
        seeds = seeds_of(1, known.cells[0], 0)
        fit = designs.load("linear")(np.random.default_rng(seeds.data), 40)
        moment = kcm.FittedMoment(fit.resid, fit.model.exog[:, 1:])
        assert found.pvalue[0] == pytest.approx(kcm.KCMTest().run(moment).pvalue, rel=1e-9)


DESIGNS = Path(__file__).parents[1] / "designs"

SCRIPT = """
import os
import sys
import joblib
import pandas as pd
sys.path[:0] = sys.argv[1].split(os.pathsep)
import test_study

if __name__ == "__main__":
    from dask.distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster), joblib.parallel_config("dask"):
            found = test_study.study().run(rng=1, progress=False, batch_size=4)
    found.to_frame().to_parquet(sys.argv[2])
"""


class TestRoads:
    @pytest.mark.parametrize("batch_size", [1, 4])
    def test_batches_change_nothing(self, results, batch_size):
        same(study().run(rng=1, n_jobs=1, batch_size=batch_size), results)

    def test_workers_change_nothing(self, results):
        same(study().run(rng=1, n_jobs=2, batch_size=4), results)

    @pytest.mark.slow
    @pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="needs dask")
    def test_a_dask_cluster_changes_nothing(self, results, tmp_path):
        script, table = tmp_path / "script.py", tmp_path / "table.parquet"
        script.write_text(SCRIPT)
        tests = os.pathsep.join([str(Path(__file__).parent), str(DESIGNS)])
        paths = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, str(script), tests, str(table)]
        run = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, check=False
        )
        assert table.exists(), run.stderr.decode()
        expected = results.to_frame().drop(columns="null_true")
        found = pd.read_parquet(table).drop(columns="null_true")
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


class TestMishaps:
    def test_a_procedure_that_raises_is_counted_with_its_message(self):
        procedures = {"raises": raises_on_positive, "uniform": uniform}
        found = study(procedures=procedures).run(rng=1, n_jobs=1)
        frame = found.to_frame().query("procedure == 'raises'")
        raised = frame[frame.pvalue.isna()]
        assert 0 < len(raised) < len(frame)
        assert set(raised.error) == {"RuntimeError: a positive residual"}
        assert found.failures().n.sum() == len(raised)
        rates = found.rejection_rates().set_index(["procedure", "size"])
        assert rates.loc["raises", ["n", "n_failed"]].sum(axis=1).eq(REPLICATIONS).all()
        assert rates.loc["uniform", "n_failed"].eq(0).all()

    def test_a_sample_with_missing_values_is_counted(self):
        found = study(design=sometimes_nan, settings=None).run(rng=1, n_jobs=1)
        by_procedure = found.to_frame().groupby("procedure").error
        failed = by_procedure.apply(lambda errors: tuple(np.flatnonzero(errors != "")))
        assert failed.nunique() == 1
        assert 0 < len(failed.iloc[0]) < REPLICATIONS
        assert found.failures().error.str.contains("the design failed: DataError").all()
        assert found.failures().error.str.contains("1 missing value").all()

    @pytest.mark.parametrize(
        ("result", "told"),
        [
            (1.5, "the p-value is 1.5, which is not in"),
            (np.nan, "the p-value is nan"),
            (None, "must return a p-value"),
            (True, "must return a p-value"),
        ],
    )
    def test_what_is_no_pvalue_is_a_failure(self, result, told):
        procedures = {"odd": lambda fit, rng: result}
        found = study(procedures=procedures, settings=None).run(rng=1, n_jobs=1)
        assert found.to_frame().error.str.contains(told).all()

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"design": "omited-square"}, "did you mean 'omitted-square'"),
            ({"design": 3}, "`design` must be the name of a design"),
            ({"design": "linear", "settings": {"dd": 2}}, "has no setting 'dd'"),
            ({"settings": {"size": [[1.0]]}}, "must be words, numbers or booleans"),
            ({"settings": {"replication": 1}}, "cannot be the name of a setting"),
            ({"settings": 3}, "`settings` must be a mapping"),
            ({"n_obs": [30, 30]}, "each of them once"),
            ({"n_obs": 2}, "`n_obs` must be an int of at least 3"),
            ({"n_obs": []}, "at least one cell"),
            ({"procedures": {}}, "`procedures` must be a mapping"),
            ({"procedures": {"a": 3}}, "'a' must be a kcm.KCMTest"),
            ({"procedures": ["Reset"]}, "did you mean 'RESET'"),
            ({"n_replications": 0}, "`n_replications` must be an int of at least 1"),
        ],
    )
    def test_a_study_that_cannot_be_is_refused(self, changes, told):
        with pytest.raises(kcm.OptionError, match=told):
            study(**changes)

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"n_jobs": 0}, "`n_jobs` must be an int other than 0"),
            ({"batch_size": 0}, "`batch_size`"),
            ({"rng": "a"}, "`rng` must be"),
            ({"rng": None, "store": "x"}, "`rng` must be a seed where results are stored"),
        ],
    )
    def test_options_are_checked(self, options, told):
        with pytest.raises(kcm.OptionError, match=told):
            study().run(**options)


class Interrupted(BaseException):
    """What a user does in the middle."""


def interrupting(after):
    """Return a procedure that stops the process at a call."""
    calls = iter(range(after))

    def procedure(fit, rng):
        if next(calls, None) is None:
            raise Interrupted
        return rng.random()

    return procedure


class TestStore:
    def test_tables_are_read_as_they_were_written(self, results, tmp_path):
        same(study().run(rng=1, n_jobs=1, store=tmp_path / "new"), results)
        same(study().run(rng=1, n_jobs=1, store=tmp_path / "new"), results)

    def test_a_finished_study_computes_nothing(self, tmp_path):
        kept = {"uniform": uniform}
        first = study(procedures=kept).run(rng=1, n_jobs=1, store=tmp_path / "new")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("kcm.simulation.study.run_by_workers", None)
            same(study(procedures=kept).run(rng=1, n_jobs=1, store=tmp_path / "new"), first)

    def test_interrupted_and_resumed(self, results, tmp_path, monkeypatch):
        write, folder = store.Store.write, tmp_path / "new"

        def interrupted(self, cell, tables):
            if cell == 1:
                raise Interrupted
            write(self, cell, tables)

        with monkeypatch.context() as patch:
            patch.setattr(store.Store, "write", interrupted)
            with pytest.raises(Interrupted):
                study().run(rng=1, n_jobs=1, store=folder)
        assert len(list(folder.glob("*-tests.parquet"))) == 1
        same(study().run(rng=1, n_jobs=1, store=folder), results)

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"n_replications": 10}, "another `n_replications`: 9, now 10"),
            ({"settings": {"size": [0.0, 0.6]}}, "another `cells`"),
            ({"procedures": {"uniform": uniform}}, "another `procedures`"),
            ({"design": sometimes_nan, "settings": {}}, "another `design`"),
        ],
    )
    def test_another_study_is_refused(self, tmp_path, changes, told):
        store.open_store(tmp_path / "new", study()._contents(1, 1))
        with pytest.raises(kcm.OptionError, match=told):
            study(**changes).run(rng=1, n_jobs=1, store=tmp_path / "new")

    def test_another_seed_is_refused(self, tmp_path):
        store.open_store(tmp_path / "new", study()._contents(1, 1))
        with pytest.raises(kcm.OptionError, match="another `rng`: 1, now 2"):
            study().run(rng=2, n_jobs=1, store=tmp_path / "new")

    def test_another_version_is_refused(self, tmp_path):
        store.open_store(tmp_path / "new", study()._contents(1, 1))
        manifest = tmp_path / "new" / "manifest.json"
        contents = json.loads(manifest.read_text())
        contents["versions"]["kernel-conditional-moment"] = "0.0.1"
        manifest.write_text(json.dumps(contents))
        with pytest.raises(kcm.OptionError, match=r"another `versions`.*0\.0\.1"):
            study().run(rng=1, n_jobs=1, store=tmp_path / "new")

    def test_a_folder_of_something_else_is_refused(self, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(kcm.OptionError, match="is not the store of a study"):
            study().run(rng=1, n_jobs=1, store=tmp_path)

    def test_a_damaged_table_is_told(self, tmp_path):
        kept = study(procedures={"uniform": uniform})
        kept.run(rng=1, n_jobs=1, store=tmp_path / "new")
        (tmp_path / "new" / "cell-00000-tests.parquet").write_bytes(b"")
        with pytest.raises(kcm.DataError, match=r"a table of cell 0 .* cannot be read"):
            kept.run(rng=1, n_jobs=1, store=tmp_path / "new")

    def test_a_full_disk_leaves_finished_cells_and_no_parts(self, tmp_path, monkeypatch):
        kept, folder, write = study(procedures={"uniform": uniform}), tmp_path / "new", []

        to_parquet = store._to_parquet

        def full(table, path, mark):
            path.write_bytes(b"half of a tab")
            if len(write) == 3:
                raise OSError(28, "No space left on device")
            write.append(path)
            to_parquet(table, path, mark)

        with monkeypatch.context() as patch:
            patch.setattr(store, "_to_parquet", full)
            with pytest.raises(kcm.DataError, match=r"No space left on device.*Finished cells are"):
                kept.run(rng=1, n_jobs=1, store=folder)
        assert not list(folder.glob("*.part"))
        assert len(list(folder.glob("*-tests.parquet"))) == 1
        same(kept.run(rng=1, n_jobs=1, store=folder), kept.run(rng=1, n_jobs=1))

    def test_the_extra_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(kcm.OptionError, match=r"kernel-conditional-moment\[parquet\]"):
            study().run(rng=1, n_jobs=1, store=tmp_path / "new")

    def test_what_has_no_words_cannot_be_stored(self, tmp_path):
        class Odd:
            def __call__(self, fit, rng):
                return 0.5

        with pytest.raises(kcm.OptionError, match="has no words of its own"):
            study(procedures={"odd": Odd()}).run(rng=1, n_jobs=1, store=tmp_path / "new")

    @pytest.mark.parametrize(
        ("damage", "told"),
        [
            ("bytes", "a table of cell 0 .cell-00000-tests.* (does not hold|cannot be read)"),
            ("another cell", "belongs to another cell"),
            ("another table", "is another table of the cell"),
            ("another study", "belongs to another study"),
            ("fewer rows", "has lost rows or gained some"),
            ("other numbers", "does not hold what was written"),
            ("no mark", "belongs to another study"),
        ],
    )
    def test_what_was_not_written_for_the_cell_is_refused(self, tmp_path, damage, told):
        kept, folder = study(procedures={"uniform": uniform}), tmp_path / "new"
        kept.run(rng=1, n_jobs=1, store=folder)
        study(procedures={"uniform": uniform}).run(rng=2, n_jobs=1, store=tmp_path / "other")
        file, other = folder / "cell-00000-tests.parquet", "cell-00001-tests.parquet"
        if damage == "bytes":
            table = pq.read_table(file)
            value = table["pvalue"].to_numpy()[3].tobytes()
            content = file.read_bytes()
            place = content.index(value)
            file.write_bytes(content[:place] + bytes(6) + content[place + 6 :])
        elif damage in ("another cell", "another table", "another study"):
            sources = {
                "another cell": folder / other,
                "another study": tmp_path / "other" / file.name,
            }
            source = sources.get(damage, folder / "cell-00000-seconds.parquet")
            file.write_bytes(source.read_bytes())
        elif damage == "no mark":
            pd.read_parquet(file).to_parquet(file)
        else:
            table = pq.read_table(file)
            changed = table.slice(0, 5)
            if damage == "other numbers":
                place = table.schema.get_field_index("pvalue")
                changed = table.set_column(
                    place, "pvalue", pa.array(table["pvalue"].to_numpy()[::-1])
                )
            pq.write_table(changed, file)
        with pytest.raises(kcm.DataError, match=told):
            kept.run(rng=1, n_jobs=1, store=folder)
        for path in folder.glob("cell-00000-*"):
            path.unlink()
        same(kept.run(rng=1, n_jobs=1, store=folder), kept.run(rng=1, n_jobs=1))

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("SCALE = 0.5", "SCALE = 3.0"),
            ("x**2", "x**3"),
            ("TABLE = [1.0, 2.0]", "TABLE = [1.0, 2.5]"),
            ("GRID = np.arange(5000)", "GRID = np.arange(5000) + (np.arange(5000) == 2500)"),
            ("scale=0.25", "scale=0.75"),
            ("power=1", "power=2"),
            ("SHIFT = 1", "SHIFT = 2"),
            ("return value + 1", "return value + 2"),
        ],
    )
    def test_what_a_design_refers_to_belongs_to_it(self, tmp_path, monkeypatch, old, new):
        monkeypatch.syspath_prepend(tmp_path)
        first = _description(tmp_path, OWN)
        assert _description(tmp_path, OWN) == first
        assert _description(tmp_path, OWN.replace("UNUSED = 1", "UNUSED = 2")) == first
        aside, here = (OTHER.replace(old, new), OWN.replace(old, new))
        assert (aside, here) != (OTHER, OWN)
        assert _description(tmp_path, here, aside) != first

    def test_the_sources_of_the_library_belong_to_a_study(self, tmp_path, monkeypatch):
        study(procedures={"uniform": uniform}).run(rng=1, n_jobs=1, store=tmp_path / "new")
        monkeypatch.setattr(store, "library_digest", lambda: "another")
        with pytest.raises(kcm.OptionError, match="another `sources of kcm`"):
            study(procedures={"uniform": uniform}).run(rng=1, n_jobs=1, store=tmp_path / "new")

    @pytest.mark.slow
    def test_killed_and_resumed_to_the_last_byte(self, tmp_path):
        """A process is killed when it has finished one cell of three."""
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        self._run(whole, 0.0).wait()
        process = self._run(parts, 0.2)
        while not list(parts.glob("*-tests.parquet")):
            time.sleep(0.05)
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        finished = len(list(parts.glob("*-tests.parquet")))
        assert finished < 3
        self._run(parts, 0.0).wait()
        for kind in ("tests", "estimates"):
            for path in whole.glob(f"*-{kind}.parquet"):
                assert path.read_bytes() == (parts / path.name).read_bytes(), path.name

    @staticmethod
    def _run(folder, pause):
        program = f"""
import os, sys, time
sys.path.insert(0, {str(DESIGNS)!r})
import study_designs, kcm
from kcm.simulation import SimulationStudy, work

piece = work.done
def slowly(given):
    time.sleep({pause})
    return piece(given)
work.done = slowly
procedures = {{"KCM": kcm.KCMTest(), "draws": kcm.KCMTest(null=kcm.MultiplierBootstrap(9))}}
study = SimulationStudy(study_designs.quadratic, procedures, 30, {{"size": [0.0, 0.3, 0.6]}}, 12)
study.run(rng=1, n_jobs=1, store={str(folder)!r}, progress=False, batch_size=2)
"""
        return subprocess.Popen([sys.executable, "-c", program])


OTHER = """
SHIFT = 1

def shifted(x):
    return x + SHIFT
"""
OWN = """
import numpy as np
import other_of_design
import kcm

SCALE, UNUSED = 0, 0
SCALE = 0.5
UNUSED = 1
TABLE = [1.0, 2.0]
GRID = np.arange(5000)

class Odd:
    def __init__(self, power):
        self.power = power
    def __call__(self, value):
        return value + 1

ODD = Odd(power=1)

def departure(x):
    return SCALE * x**2

def draw(rng, n_obs, scale=0.25):
    x = rng.normal(size=n_obs)
    bend = departure(x) + other_of_design.shifted(x) + TABLE[1] + ODD(x) + GRID[:1].sum()
    return kcm.FittedMoment(scale * bend + rng.normal(size=n_obs), x)
"""


def _description(folder, own, other=OTHER):
    """Return what a store knows of a design in a module that is read anew.

    No bytecode is written, which Python would read again for a file of the same second and length.
    """
    importlib.invalidate_caches()
    for name, text in (("other_of_design", other), ("own_of_design", own)):
        (folder / f"{name}.py").write_text(text)
        linecache.clearcache()
        sys.modules.pop(name, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        module = importlib.import_module("own_of_design")
    return described(module.draw, "design")


PARENT = """
import os, sys, time
import numpy as np
from pathlib import Path
from kcm.simulation import SimulationStudy

folder = Path(sys.argv[1])

def slowly(fit, rng):
    (folder / str(os.getpid())).touch()
    time.sleep(0.2)
    return 0.5

if __name__ == "__main__":
    study = SimulationStudy("linear", {"slowly": slowly}, 20, None, 4000)
    study.run(n_jobs=2, progress=False, batch_size=1000)
"""


def _runs(process):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks at processes by /proc")
def test_workers_end_with_a_process_that_is_killed(tmp_path):
    script, folder = tmp_path / "parent.py", tmp_path / "workers"
    folder.mkdir()
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, str(script), str(folder)]) as parent:
        while len(list(folder.iterdir())) < 2:
            time.sleep(0.1)
            assert parent.poll() is None
        workers = [path.name for path in folder.iterdir()]
        assert str(parent.pid) not in workers
        parent.kill()
    end = time.monotonic() + 20
    while any(map(_runs, workers)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(_runs, workers))


@pytest.mark.parametrize("design", [*designs.names(), quadratic])
def test_studies_pickle(design):
    procedures = {"KCM": kcm.KCMTest(), "known": ThetaKnown(kcm.KCMTest()), "own": uniform}
    whole = SimulationStudy(design, {**procedures, "RESET": "RESET"}, 40, None, 3)
    again = pickle.loads(pickle.dumps(whole))
    assert repr(again) == repr(whole)
    assert again.design.settings == whole.design.settings
    if design == "linear":
        same(again.run(rng=1, n_jobs=1), whole.run(rng=1, n_jobs=1))


def test_results_are_records(results):
    with pytest.raises(dataclasses.FrozenInstanceError):
        results.design = "another"
    assert repr(results) == f"StudyResults('quadratic', 2 cells, {8 * REPLICATIONS} tests)"
