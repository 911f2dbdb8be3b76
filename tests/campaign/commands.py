"""Files by the command line. Referee: the test in Python on the frame that was written."""

import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

import kcm
from kcm.cli import main
from kcm.exceptions import OptionError

from .case import Case
from .samples import choose, sample

__all__ = ["broken_file_case", "command_case"]


def run(words: list[str]) -> dict[str, Any]:
    """Run ``kcm`` in this process: its JSON, or its line on standard error as an error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as end:
            code = int(end.code or 0)
    if code == 0:
        return json.loads(out.getvalue())
    last = err.getvalue().strip().splitlines()[-1]
    if code != 2 or "error:" not in last:
        raise RuntimeError(f"exit {code}: {last}")
    raise OptionError(last.partition("error:")[2].strip())


def _parquet(data: pd.DataFrame, path: Path) -> None:
    data.to_parquet(path, index=False)


WRITERS: dict[str, tuple[str, Callable[[pd.DataFrame, Path], None]]] = {
    "csv": (".csv", lambda d, p: d.to_csv(p, index=False)),
    "semicolons": (".csv", lambda d, p: d.to_csv(p, index=False, sep=";")),
    "decimal commas": (".csv", lambda d, p: d.to_csv(p, index=False, sep=";", decimal=",")),
    "tabs": (".tsv", lambda d, p: d.to_csv(p, index=False, sep="\t")),
    "windows": (".csv", lambda d, p: d.to_csv(p, index=False, lineterminator="\r\n")),
    "marked": (".csv", lambda d, p: d.to_csv(p, index=False, encoding="utf-8-sig")),
    "quoted": (".csv", lambda d, p: d.to_csv(p, index=False, quoting=1)),
    "missing NA": (".csv", lambda d, p: d.to_csv(p, index=False, na_rep="NA")),
    "parquet": (".parquet", _parquet),
    "parquet nullable": (".parquet", lambda d, p: _parquet(d.convert_dtypes(), p)),
    "parquet category": (".parquet", lambda d, p: _parquet(d.astype({"g": "category"}), p)),
}
MODELS: dict[str, tuple[str, Callable[[str, pd.DataFrame], Any]]] = {
    "ols": ("y", lambda f, d: smf.ols(f, d).fit()),
    "logit": ("b", lambda f, d: smf.logit(f, d).fit(disp=0)),
    "poisson": ("count", lambda f, d: smf.poisson(f, d).fit(disp=0)),
    "median": ("y", lambda f, d: smf.quantreg(f, d).fit(0.5)),
}
RIGHT_SIDES = ("x", "x + w", "np.log(w) + x", "x + C(k)", "x + g", "x + I(x**2)", "x * w", "lag(x)")


def _lagged(side: str, data: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Write a lag as a column, as the referee has no such function."""
    return side.replace("lag(x)", "before"), data.assign(before=data.x.shift(1))


def command_case(rng: np.random.Generator) -> Case:
    """``kcm test --json`` of a file."""
    data, model = sample(rng).round(6), str(choose(rng, MODELS))
    outcome, fit = MODELS[model]
    side, writer = str(choose(rng, RIGHT_SIDES)), str(choose(rng, WRITERS))
    kernel = [[], ["--kernel", "gaussian"], ["--kernel", "laplace"]][int(rng.integers(3))]
    if rng.random() < 0.3 and "lag" not in side:
        data.loc[rng.choice(len(data), 4, replace=False), "x"] = np.nan
    suffix, write = WRITERS[writer]
    names = {"gaussian": kcm.kernels.Gaussian(), "laplace": kcm.kernels.Laplace()}
    chosen = None if not kernel or side in ("x + g", "x + C(k)") else names[kernel[1]]
    kernel = [] if chosen is None else kernel

    def by_command() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"data{suffix}"
            write(data, path)
            formula = f"{outcome} ~ {side}"
            words = ["test", formula, "--data", str(path), "--model", model, *kernel, "--json"]
            return _common(run(words))

    def by_python() -> Any:
        text, frame = _lagged(side, data)
        frame = frame.dropna() if text != side else data.dropna()
        result = kcm.specification_test(fit(f"{outcome} ~ {text}", frame), kernel=chosen)
        return _common(result.to_dict())

    told = f"{writer}, {model}, {side}, {' '.join(kernel)}"
    return Case("command line", told, by_command, by_python, 1e-5)


def _common(found: dict[str, Any]) -> Any:
    return {"pvalue": found["pvalue"], "n_obs": found["n_obs"]}


def _insert(entry: str) -> Callable[[list[list[str]], np.random.Generator], None]:
    def change(rows: list[list[str]], rng: np.random.Generator) -> None:
        rows[int(rng.integers(1, len(rows)))][0] = entry

    return change


def _all_entries(template: str) -> Callable[[list[list[str]], np.random.Generator], None]:
    def change(rows: list[list[str]], rng: np.random.Generator) -> None:
        for row in rows[1:]:
            row[0] = template.format(row[0])

    return change


def _longer(rows: list[list[str]], rng: np.random.Generator) -> None:
    for row in rows[1:] if rng.random() < 0.5 else rows[3:5]:
        row.append("7")


def _shorter(rows: list[list[str]], rng: np.random.Generator) -> None:
    rows[int(rng.integers(1, len(rows)))].pop()


def _repeated(rows: list[list[str]], rng: np.random.Generator) -> None:
    rows[0][1] = rows[0][0]


def _only_header(rows: list[list[str]], rng: np.random.Generator) -> None:
    del rows[1:]


def _no_column(rows: list[list[str]], rng: np.random.Generator) -> None:
    rows[0][0] = "another"


def _constant(rows: list[list[str]], rng: np.random.Generator) -> None:
    for row in rows[1:]:
        row[0] = "2"


BROKEN: dict[str, Callable[[list[list[str]], np.random.Generator], None]] = {
    **{f"entry {e!r}": _insert(e) for e in ("-", ".", "n.a.x", "1,000", "inf", "5%", "2020-01-01")},
    **{f"entry {e!r}": _insert(e) for e in ("1e400", "12345678901234567890123", "0x1F", "1_000")},
    "percent": _all_entries("{}%"),
    "currency": _all_entries("${}"),
    "complex": _all_entries("{}+1j"),
    "longer rows": _longer,
    "a shorter row": _shorter,
    "repeated name": _repeated,
    "header only": _only_header,
    "no such column": _no_column,
    "constant": _constant,
}
WRONG_WORDS: tuple[tuple[str, ...], ...] = (
    ("--kernel", "rbf"),
    ("--statistic", "W"),
    ("--bootstrap", "-3"),
    ("--bootstrap", "many"),
    ("--bootstrap", "99999999999999999999"),
    ("--groups", "nobody"),
    ("--conditioning", "nobody"),
    ("--conditioning", ""),
    ("--memory-limit", "lots"),
    ("--memory-limit", "-1 GB"),
    ("--rng", "-1"),
    ("--rng", "3"),
    ("--stop", "confidence"),
    ("--projection", "sideways"),
    ("--model", "lasso"),
    ("--sep", "much too long"),
    ("--decimal", ";;"),
    ("--thousands", ""),
    ("--size-check", "0"),
)
WRONG_FORMULAS = (
    "y ~ eval('1')",
    "y ~ np.f2py.os.system('true')",
    "y ~ __import__('os')",
    "y ~ x.values",
    "y ~ nobody",
    "y ~",
    "~ x",
    "y",
    "",
    "y ~ x ~ w",
    "y ~ (x",
    "y ~ 9**9**9",
    "y ~ x | nobody",
    "y ~ 1",
    "y ~ lag(x, -1)",
    "y ~ np.log(x, out=w)",
    "y ~ [x ~ w]",
    "y ~ {x}",
    "y ~ x + `w`",
    "y ~ I(lambda: x)",
)


def broken_file_case(rng: np.random.Generator) -> Case:
    """A file, an option or a formula that must be refused in one line."""
    data = sample(rng)[["x", "w", "y"]].round(5)
    rows = [list(data.columns), *data.astype(str).to_numpy().tolist()]
    formula, words = "y ~ x", ()
    kind = int(rng.integers(3))
    if kind == 0:
        told = str(choose(rng, BROKEN))
        BROKEN[told](rows, rng)
    elif kind == 1:
        words = WRONG_WORDS[int(rng.integers(len(WRONG_WORDS)))]
        told = " ".join(words)
    else:
        formula = str(choose(rng, WRONG_FORMULAS))
        told = formula
    text = "\n".join(",".join(row) for row in rows) + "\n"

    def call() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "data.csv"
            path.write_text(text, encoding="utf-8")
            return _common(run(["test", formula, "--data", str(path), *words, "--json"]))

    return Case("broken files", told, call)
