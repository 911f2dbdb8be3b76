"""Files of the shell: read as they were meant, or refused. Referee: pandas on plain columns."""

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

import kcm
from kcm.cli import main
from kcm.commands.output import write_file
from kcm.data.entries import check_entries
from kcm.data.files import FileFormat, read_file
from kcm.exceptions import DataError

N = 60
Y, X = np.arange(N) * 37 % 91, np.arange(N) * 13 % 17 / 10


def rows(field, header="y,x"):
    return "\n".join([header, *(field(i) for i in range(N))]) + "\n"


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        code = main(["test", *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def pvalue(x=X, y=Y):
    frame = pd.DataFrame({"y": y, "x": x}).dropna()
    return kcm.specification_test(smf.ols("y ~ x", frame).fit()).pvalue


GAP = np.where(np.arange(N) == 5, np.nan, X)
READ = {
    "semicolons": ("d.csv", rows(lambda i: f"{Y[i]};{X[i]}", "y;x"), (), X),
    "decimal commas": ("d.csv", rows(lambda i: f"{Y[i]};{X[i]}".replace(".", ","), "y;x"), (), X),
    "tabs": ("d.tsv", rows(lambda i: f"{Y[i]}\t{X[i]}", "y\tx"), (), X),
    "tabs in a csv": ("d.csv", rows(lambda i: f"{Y[i]}\t{X[i]}", "y\tx"), (), X),
    "bars": ("d.csv", rows(lambda i: f"{Y[i]}|{X[i]}", "y|x"), (), X),
    "a mark of order": ("d.csv", "\ufeff" + rows(lambda i: f"{Y[i]},{X[i]}"), (), X),
    "blanks": ("d.csv", rows(lambda i: f"{Y[i]}, {X[i]}", "y, x"), (), X),
    "spaces": ("d.csv", rows(lambda i: f"{Y[i]} {X[i]}", "y x"), ("--sep", " "), X),
    "tab by name": ("d.csv", rows(lambda i: f"{Y[i]}\t{X[i]}", "y\tx"), ("--sep", "tab"), X),
    "points": ("d.csv", rows(lambda i: f"{Y[i]},{X[i] if i != 5 else '.'}"), ("--na", "."), GAP),
    "n/a": ("d.csv", rows(lambda i: f"{Y[i]},{X[i] if i != 5 else 'n/a'}"), (), GAP),
    "thousands": (
        "d.csv",
        rows(lambda i: f'{Y[i]},"{1000 + i:,}"'),
        ("--thousands", ","),
        1000.0 + np.arange(N),
    ),
    "three decimals": (
        "d.csv",
        rows(lambda i: f"{Y[i]};{1 + i / 1000:.3f}".replace(".", ","), "y;x"),
        ("--decimal", ","),
        1 + np.arange(N) / 1000,
    ),
    "german": (
        "d.csv",
        rows(lambda i: f"{Y[i]};1.{i:03d},5", "y;x"),
        ("--decimal", ",", "--thousands", "."),
        1000.5 + np.arange(N),
    ),
}


@pytest.mark.parametrize("kind", READ)
def test_read_as_it_was_meant(run, tmp_path, kind):
    name, text, words, x = READ[kind]
    (tmp_path / name).write_text(text, encoding="utf-8")
    code, out, err = run("y ~ x", "--data", name, "--json", *words)
    assert (code, err) == (0, "")
    assert json.loads(out)["pvalue"] == pytest.approx(pvalue(x), rel=1e-6)


REFUSED = {
    "one field more": (
        rows(lambda i: f"{i},{Y[i]},{X[i]}"),
        "line 2 of d.csv has 3 fields and the",
    ),
    "one row more": (
        rows(lambda i: f"{Y[i]},{X[i]}" + ",7" * (i == 5)),
        "line 7 of d.csv has 3 fields and the header has 2 (y, x), so columns would be shifted",
    ),
    "one field less": (
        rows(lambda i: f"{Y[i]},{X[i]}"[: None if i != 5 else 1]),
        "line 7 of d.csv",
    ),
    "repeated header": (
        rows(lambda i: f"{Y[i]},{X[i]},1", "y,x,x"),
        "the header of d.csv repeats the column name 'x'; give every column its own name",
    ),
    "odd entries": (
        rows(lambda i: f"{Y[i]},{X[i] if i not in (5, 9) else '.'}"),
        "column 'x' of d.csv holds numbers and the entry '.' in row 5 (line 7 of the file), and 1 "
        'more like it; add `--na "."` if that stands for a missing value, or `--categories x` if',
    ),
    "a dash": (rows(lambda i: f"{Y[i]},{X[i] if i != 5 else '-'}"), 'add `--na "-"`'),
    "mostly odd": (
        rows(lambda i: f"{Y[i]},{X[i] if i % 3 == 0 else '.'}"),
        "holds numbers and the entry '.' in row 1 (line 3 of the file), and 39 more like it",
    ),
    "thousands": (
        rows(lambda i: f'{Y[i]},"{1000 + i:,}"'),
        "holds the entry '1,000' in row 0 (line 2 of the file), and 59 more like it; add "
        '`--thousands ","` if the comma parts thousands, `--decimal ","` if decimals',
    ),
    "some thousands": (
        rows(lambda i: f'{Y[i]},"{990 + i:,}"'),
        "holds numbers and the entry '1,000' in row 10 (line 12 of the file), and 49 more like it",
    ),
    "millions": (rows(lambda i: f'{Y[i]},"{10**6 + i:,}"'), 'add `--thousands ","`, or'),
    "decimal comma": (rows(lambda i: f'{Y[i]},"{i},5"'), 'add `--decimal ","`, or'),
    "german": (
        rows(lambda i: f"{Y[i]};1.{i:03d},5", "y;x"),
        'add `--decimal "," --thousands "."`',
    ),
    "both marks": (
        rows(lambda i: f"{Y[i]}.5;{i},5", "y;x"),
        "holds the entry '0,5' in row 0 (line 2 of the file), and 59 more like it; add `--dec",
    ),
    "percent": (rows(lambda i: f"{Y[i]},{i}%"), "take the `%` off in the file"),
    "money": (rows(lambda i: f"{Y[i]},€{i}"), "take the sign of the currency off in the file"),
    "unit": (
        rows(lambda i: f"{Y[i]},{50 + i}kg"),
        "column 'x' of d.csv holds numbers with the unit 'kg' ('50kg') in row 0 (line 2 of the "
        "file), and 59 more like it; take the unit off in the file, or `--categories x` if",
    ),
    "gaps": (rows(lambda i: f"{Y[i]},1 {i:03d}"), "write it without the gaps"),
    "infinite": (
        rows(lambda i: f"{Y[i]},{X[i] if i != 5 else 'inf'}"),
        "column 'x' of d.csv holds an infinite value in row 5 (line 7 of the file); add `--na=inf`",
    ),
    "large integers": (
        rows(lambda i: f"{Y[i]},{2**53 + 1 + i}"),
        "holds the integer 9007199254740993, beyond what double precision holds (2**53), in row 0",
    ),
    "large integers with a gap": (
        rows(lambda i: f"{Y[i]},{2**53 + 1 + i if i else ''}"),
        "beyond what double precision holds (2**53), in row 1 (line 3 of the file)",
    ),
    "huge integers": (rows(lambda i: f"{Y[i]},{10**25 + i}"), "beyond what double precision holds"),
    "dates": (
        rows(lambda i: f"{Y[i]},2020-01-{1 + i % 28:02d}"),
        "column 'x' of d.csv holds dates ('2020-01-01'); make it a number beforehand, for ex",
    ),
    "other dates": (rows(lambda i: f"{Y[i]},{1 + i % 28}/1/2020"), "holds dates ('1/1/2020')"),
    "a header alone": ("y,x\n", "d.csv has a header and no rows; give a file"),
    "nothing": ("", "d.csv cannot be read, because it is empty."),
    "blank lines": ("\n\n", "d.csv cannot be read, because it is empty."),
    "an open quote": ('y,x\n1,"2\n3,4\n', "cannot be read"),
    "nothing known": (
        rows(lambda i: f"{Y[i]},"),
        "has no row without missing values in the variables that are used",
    ),
    "words": (
        rows(lambda i: f"{'abc'[i % 3]},{X[i]}"),
        "the outcome 'y' holds text ('a', 'b', 'c'), and the ols fit needs numbers; write I(y == '",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_in_one_sentence(run, tmp_path, kind):
    text, told = REFUSED[kind]
    (tmp_path / "d.csv").write_text(text, encoding="utf-8")
    code, out, err = run("y ~ x", "--data", "d.csv")
    assert (code, out) == (2, "")
    assert err.startswith("kcm: error: ")
    assert err.count("\n") == 1
    assert told in err


def test_other_text_than_utf8(run, tmp_path):
    (tmp_path / "d.csv").write_bytes("y,x\n1,é\n".encode("latin-1"))
    code, _, err = run("y ~ x", "--data", "d.csv")
    assert code == 2
    assert "d.csv cannot be read, because it is not UTF-8 text (byte 6); save it as UTF-8." in err


@pytest.mark.parametrize("name", ["d.csv.gz", "d.parquet"])
def test_damaged_files(run, tmp_path, name):
    (tmp_path / name).write_bytes(b"no such thing")
    code, _, err = run("y ~ x", "--data", name)
    assert code == 2
    assert f"{name} cannot be read: " in err
    assert err.count("\n") == 1


def test_a_folder(run, tmp_path):
    (tmp_path / "tables").mkdir()
    code, _, err = run("y ~ x", "--data", "tables")
    assert code == 2
    assert "`--data`: 'tables' is a folder; name one file in it." in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--na", "."), "`--na` says how a CSV file is written; 'cps71' is none."),
        (("--sep", "ab"), "`--sep` must be one character; got 'ab'."),
        (("--decimal", ",", "--thousands", ","), "`--decimal` and `--thousands` must differ"),
        (("--categories", "agee"), "`--categories`: `--data` has no column 'agee'; did you mean"),
    ],
)
def test_options_of_files(run, words, told):
    code, _, err = run("logwage ~ age", "--data", "cps71", *words)
    assert code == 2
    assert told in err


def test_categories_that_look_like_numbers(run, tmp_path, rng):
    kids = np.array(["1", "2", "3+"])[np.arange(N) % 3]
    frame = pd.DataFrame({"y": rng.normal(size=N), "x": X, "kids": kids, "code": np.arange(N) % 4})
    frame.to_csv(tmp_path / "d.csv", index=False)
    assert "holds numbers and the entry '3+'" in run("y ~ x + kids", "--data", "d.csv")[2]
    named = frame.assign(code=frame.code.astype("category"))
    expected = kcm.specification_test(smf.ols("y ~ x + kids + code", named).fit()).pvalue
    words = ("--data", "d.csv", "--json", "--categories", "kids,code")
    code, out, _ = run("y ~ x + kids + code", *words)
    assert code == 0
    assert json.loads(out)["pvalue"] == pytest.approx(expected, rel=1e-6)
    expected = kcm.specification_test(smf.ols("y ~ x", named).fit(), ["x", "kids", "code"]).pvalue
    found = run("y ~ x | x + C(kids) + C(code)", "--data", "d.csv", "--json")[1]
    assert json.loads(found)["pvalue"] == pytest.approx(expected, rel=1e-6)


class TestParquet:
    @pytest.fixture
    def frame(self, rng):
        known = rng.random(N) > 0.1
        age = pd.array(rng.integers(18, 65, N), dtype="Int64")
        age[~known] = pd.NA
        frame = pd.DataFrame({"y": rng.normal(size=N), "age": age})
        return frame.assign(z=rng.normal(size=N), g=list("ab" * (N // 2)))

    @pytest.mark.parametrize(
        "write",
        [
            lambda d, p: d.to_parquet(p),
            lambda d, p: d.set_index("age").to_parquet(p),
            lambda d, p: d.set_index(["g", "age"]).to_parquet(p),
            lambda d, p: d.convert_dtypes(dtype_backend="pyarrow").to_parquet(p),
            lambda d, p: d.astype({"g": "category"}).to_parquet(p),
            lambda d, p: d.astype({"g": "string"}).to_parquet(p),
        ],
        ids=["nullable", "index", "two levels", "arrow", "category", "string"],
    )
    def test_types_and_indexes(self, run, tmp_path, frame, write):
        write(frame, tmp_path / "d.parquet")
        plain = frame.astype({"age": float}).dropna()
        expected = kcm.specification_test(smf.ols("y ~ age + g", plain).fit())
        code, out, err = run("y ~ age + g", "--data", "d.parquet", "--json")
        found = json.loads(out)
        assert (code, err) == (0, "")
        assert found["pvalue"] == pytest.approx(expected.pvalue, rel=1e-6)
        assert found["n_dropped"] == N - len(plain)

    def test_what_is_no_number(self, run, tmp_path, frame):
        days = pd.date_range("2020-01-01", periods=N)
        odd = frame.assign(day=days, date=[day.date() for day in days], big=2**53 + 1)
        odd.assign(text=["."] + ["1"] * (N - 1)).to_parquet(tmp_path / "d.parquet")
        told = {
            "day": "holds dates ('2020-01-01')",
            "date": "holds dates ('2020-01-01')",
            "big": "beyond what double precision holds (2**53), in row 0, and 59 more",
            "text": "entry '.' in row 0; write the column as numbers, or `--categories text` if",
        }
        for name, words in told.items():
            code, _, err = run(f"y ~ {name}", "--data", "d.parquet")
            assert code == 2
            assert words in err, err

    def test_decimals_are_numbers(self, tmp_path):
        from decimal import Decimal

        pd.DataFrame({"x": [Decimal("1.5"), None]}).to_parquet(tmp_path / "d.parquet")
        found = read_file(tmp_path / "d.parquet", FileFormat()).frame.x
        assert found.dtype == float
        assert found[0] == 1.5


class TestOutcomes:
    """Truths and words as outcomes, on the shell as in Python."""

    @pytest.fixture
    def data(self, rng, tmp_path):
        x = rng.normal(size=200)
        b = (x + rng.logistic(size=200) > 0).astype(int)
        frame = pd.DataFrame({"x": x, "b": b, "t": b == 1, "ans": np.where(b, "yes", "no")})
        frame.to_csv(tmp_path / "b.csv", index=False)
        return frame

    @pytest.mark.parametrize("outcome", ["t", "ans", "I(ans == 'yes')", "I(b > 0)", 'Q("t")'])
    @pytest.mark.parametrize("model", ["logit", "probit"])
    def test_two_values(self, run, data, outcome, model):
        fit = getattr(smf, model)("b ~ x", data).fit(disp=0)
        expected = kcm.specification_test(fit).pvalue
        words = ("--model", model, "--data", "b.csv", "--json")
        code, out, err = run(f"{outcome} ~ x", *words)
        assert code == 0
        assert json.loads(out)["pvalue"] == pytest.approx(expected, rel=1e-6)
        warned = "warning: the outcome 'ans' holds text: 1 stands for 'yes', 0 for 'no'."
        assert (warned in err) is (outcome == "ans")

    def test_a_line_through_truths(self, run, data):
        expected = kcm.specification_test(smf.ols("b ~ x", data).fit()).pvalue
        _, out, _ = run("t ~ x", "--data", "b.csv", "--json")
        assert json.loads(out)["pvalue"] == pytest.approx(expected, rel=1e-6)
        assert "write I(ans == 'yes') for it" in run("ans ~ x", "--data", "b.csv")[2]

    @pytest.mark.parametrize("suffix", ["csv", "parquet"])
    def test_conditioning_on_words_and_truths(self, run, data, tmp_path, suffix):
        data["day"] = np.array(["Fri", "Sat", "Sun"])[np.arange(200) % 3]
        data["w"] = data.x + (data.day == "Sun")
        data.loc[[4, 9], "day"] = None
        write = {"csv": lambda p: data.to_csv(p, index=False), "parquet": data.to_parquet}
        write[suffix](tmp_path / f"w.{suffix}")
        plain = data.dropna()
        fit = smf.ols("w ~ x", plain).fit()
        expected = kcm.specification_test(fit, ["x", "day", "t"])
        ways = (("w ~ x | x + day + t",), ("w ~ x", "--conditioning", "x,day,t"))
        for words in ways:
            code, out, err = run(*words, "--data", f"w.{suffix}", "--json")
            found = json.loads(out)
            assert code == 0
            assert found["pvalue"] == pytest.approx(expected.pvalue, rel=1e-6)
            assert (found["n_obs"], found["n_dropped"]) == (198, 2)
            assert "dropped 2 of 200 rows with missing values in: day" in err


class TestOutput:
    @pytest.mark.parametrize(
        ("path", "told"),
        [
            ("there", "`--output`: there is a folder; name a file in it."),
            ("no/such/r.html", "`--output`: there is no folder 'no/such'; make it first."),
        ],
    )
    def test_a_path_is_tried_before_the_work(self, run, tmp_path, capsys, monkeypatch, path, told):
        (tmp_path / "there").mkdir()
        monkeypatch.setattr("kcm.commands.testing.fitted_model", None)
        assert main(["report", "logwage ~ age", "--data", "cps71", "--output", path]) == 2
        assert told in capsys.readouterr().err

    def test_a_full_disk_loses_nothing(self, run, tmp_path):
        def write(path):
            if path.parent == tmp_path:
                path.write_text("half")
                raise OSError(28, "No space left on device")
            path.write_text("all")

        (tmp_path / "old.csv").write_text("before")
        told = (
            r"`--csv`: .*old.csv could not be written \(No space .*\). Its contents lie in (.*) in"
        )
        with pytest.raises(DataError, match=told) as caught:
            write_file(str(tmp_path / "old.csv"), "--csv", write)
        assert (tmp_path / "old.csv").read_text() == "before"
        assert not list(tmp_path.glob(".*part*"))
        place = str(caught.value).split("lie in ")[1].removesuffix(" instead.")
        with open(place, encoding="utf-8") as kept:
            assert kept.read() == "all"


def test_a_few_doses_are_categories():
    check_entries(pd.Series(["10 mg", "20 mg", "40 mg"] * 9), "column 'dose'", ())
