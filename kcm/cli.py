"""The command line: ``kcm test``, ``compare``, ``report``, ``simulate`` and ``reproduce``."""

import argparse
import dataclasses
import gc
import json
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from pkgutil import resolve_name
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import kcm
from kcm.exceptions import DataError, KCMError, OptionError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["command", "main"]

# Command-line name -> class, imported when it is chosen.
KERNELS: MappingProxyType[str, str] = MappingProxyType(
    {
        "gaussian": "kcm.kernels:Gaussian",
        "laplace": "kcm.kernels:Laplace",
        "imq": "kcm.kernels:InverseMultiquadric",
    }
)
MODELS: MappingProxyType[str, str] = MappingProxyType(
    {
        "ols": "statsmodels.regression.linear_model:OLS",
        "logit": "statsmodels.discrete.discrete_model:Logit",
        "probit": "statsmodels.discrete.discrete_model:Probit",
        "poisson": "statsmodels.discrete.discrete_model:Poisson",
        "negative-binomial": "statsmodels.discrete.discrete_model:NegativeBinomial",
        "median": "statsmodels.regression.quantile_regression:QuantReg",
    }
)
METHODS = ("auto", "exact", "low-rank")
PROJECTIONS = ("estimator", "orthogonal")
STOPS = ("besag-clifford", "confidence")
SUFFIXES = (".csv", ".csv.gz", ".parquet", ".pq")


def command() -> NoReturn:
    """Run the command line as a process of its own, and end it.

    Of what one test makes, nearly everything lives until the process ends: the garbage collector
    would take .3 s or more, of the 2 s of a small test, to find nothing.

    Raises
    ------
    SystemExit
        Always, with the code that `main` returns.
    """
    gc.disable()
    code = main()
    gc.freeze()  # keeps the interpreter from looking through all modules once more at its end
    sys.exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after ``kcm``; by default those of the process.

    Returns
    -------
    int
        0, or 2 when something in the call must be changed; a line on standard error says what.

    Examples
    --------
    >>> main(["test", "logwage ~ age", "--data", "no-such-file.csv"])
    2
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(given, argparse.Namespace(words=given))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        code, text = _outcome(options)
    for message in dict.fromkeys(str(w.message) for w in caught):
        print(f"kcm: warning: {message}", file=sys.stderr)
    print(text, file=sys.stderr if code else sys.stdout)
    return code


def _outcome(options: argparse.Namespace) -> tuple[int, str]:
    try:
        return 0, _COMMANDS[options.command](options)
    except KCMError as error:
        return 2, "kcm: error: " + " ".join(str(error).split())


class Fitted(NamedTuple):
    """A fit, the names of the variables to condition on, and rows left out for missing values."""

    fit: Any
    conditioning: list[str] | None
    n_dropped: int


def _fitted(options: argparse.Namespace) -> Fitted:
    from kcm.data import Sample

    data = read_data(options.data)
    formula, names = _split(options.formula, _names(options.conditioning))
    _check_variables(formula, data)
    complete = Sample.from_frame(data, names) if names else None
    rows = data if complete is None else data.iloc[complete.kept]
    n_dropped = complete.n_dropped if complete else 0
    return Fitted(_fit(options.model, formula, rows), names or None, n_dropped)


def _test(options: argparse.Namespace) -> str:
    result = _result(options, _null(options), _fitted(options))
    n, shown = options.size_check, sys.stderr.isatty()
    check = None if n is None else result.size_check(n, progress=shown)
    if options.json:
        return json.dumps(result.to_dict() | ({"size_check": check.to_dict()} if check else {}))
    return "\n".join(str(one.summary()) for one in (result, check) if one is not None)


def _result(
    options: argparse.Namespace, null: "kcm.null.Null", fitted: Fitted
) -> "kcm.KCMTestResult":
    result = kcm.specification_test(
        fitted.fit,
        conditioning=fitted.conditioning,
        kernel=resolve_name(KERNELS[name])() if (name := options.kernel) in KERNELS else name,
        statistic=options.statistic,
        null=null,
        rng=options.rng,
        method=options.method,
        memory_limit=options.memory_limit,
        projection=options.projection,
    )
    return dataclasses.replace(result, n_dropped=result.n_dropped + fitted.n_dropped)


def _compare(options: argparse.Namespace) -> str:
    table = _table(options, _fitted(options), options.rng)
    return json.dumps(table.to_dict()) if options.json else str(table.summary())


def _table(options: argparse.Namespace, fitted: Fitted, rng: int | None) -> "kcm.ComparisonTable":
    tests = "all" if options.tests is None else [name.strip() for name in options.tests.split(",")]
    return kcm.compare_tests(fitted.fit, tests, fitted.conditioning, rng)


def _report(options: argparse.Namespace) -> str:
    """Write the report of a test, other tests beside it, and return where it lies."""
    null, fitted = _null(options), _fitted(options)
    result, table = _result(options, null, fitted), _table(options, fitted, options.rng or 0)
    return str(result.report(options.output, table, f"kcm {shlex.join(options.words)}"))


def _simulate(options: argparse.Namespace) -> str:
    from kcm.simulation.study_file import read_study

    given = read_study(options.study)
    results = given.study.run(given.rng, options.jobs, sys.stderr.isatty(), options.store)
    if options.csv is not None:
        results.to_csv(options.csv)
    if options.json:
        return str(results.rejection_rates(given.level).to_json(orient="records"))
    return str(results.summary(given.level))


def _reproduce(options: argparse.Namespace) -> str:
    from kcm.simulation.uai2020 import SEED, product_seconds, reproduce

    start = time.perf_counter()
    found = reproduce(options.quick, SEED, options.jobs, options.store, sys.stderr.isatty())
    if options.csv is not None:
        found.to_frame().to_csv(options.csv, index=False)
    if options.figure is not None:
        found.plot()[0, 0].figure.savefig(options.figure)
    seconds = time.perf_counter() - start, product_seconds(options.quick)
    told = "It took {:.0f} s; bare matrix products of the same number take {:.0f} s."
    return f"{found.summary()}\n{told.format(*seconds)}"


_COMMANDS: MappingProxyType[str, Callable[[argparse.Namespace], str]] = MappingProxyType(
    {
        "test": _test,
        "compare": _compare,
        "report": _report,
        "simulate": _simulate,
        "reproduce": _reproduce,
    }
)


def _split(formula: str, names: list[str]) -> tuple[str, list[str]]:
    """Part a formula at its bar: what to fit, and the variables to condition on."""
    from kcm.adapters.bar import bar_position
    from kcm.data import formula_variables

    after = formula_variables(formula, "conditioning")
    bar = bar_position(formula)
    if bar is None:
        return formula, names
    if names:
        raise OptionError(
            f"`--conditioning` and the `|` in the formula {formula!r} both name the conditioning "
            "variables; keep one of them."
        )
    if not after:
        raise OptionError(f"the formula {formula!r} names no variable after `|`.")
    return formula[:bar].strip(), list(after)


def read_data(source: str) -> "pd.DataFrame":
    """Read a CSV or Parquet file, or a data set by its name.

    Parameters
    ----------
    source : str
        A path that ends in .csv, .csv.gz, .parquet or .pq, or a name of `kcm.datasets`.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    DataError
        When there is no such file or data set, or the file cannot be read.

    Examples
    --------
    >>> read_data("cps71").shape
    (205, 2)
    """
    path = Path(source)
    if path.is_file():
        return _read_file(path)
    if path.name.lower().endswith(SUFFIXES) or path.parent != Path():
        known = ", ".join(kcm.datasets.names())
        raise DataError(
            f"`--data`: there is no file {source!r}; check the path, or name a data set: {known}."
        )
    return kcm.datasets.load(source)


def _read_file(path: Path) -> "pd.DataFrame":
    import pandas as pd

    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        raise DataError(f"`--data`: {path} must end in one of {', '.join(SUFFIXES)}.")
    try:
        return pd.read_csv(path) if ".csv" in name else pd.read_parquet(path)
    except ImportError as error:
        raise DataError("`--data`: Parquet needs pyarrow: python -m pip install pyarrow") from error
    except (OSError, ValueError) as error:
        raise DataError(f"`--data`: {path} cannot be read: {error}") from error


def _check_variables(formula: str, data: "pd.DataFrame") -> None:
    """Refuse a formula that does not parse, or whose variables are not columns."""
    from kcm.data import formula_variables
    from kcm.data.names import check_names

    for side in ("response", "regressors"):
        check_names(formula_variables(formula, side), list(data.columns), "`--data`")


def _fit(model: str, formula: str, data: "pd.DataFrame") -> Any:
    import numpy as np

    quiet = {} if model in ("ols", "median") else {"disp": 0}
    build = resolve_name(MODELS[model]).from_formula
    try:
        return build(formula, data=data, eval_env={"np": np}).fit(**quiet)
    except Exception as error:
        raise DataError(f"the {model} fit of {formula!r} failed: {error}") from error


def _null(options: argparse.Namespace) -> "kcm.Asymptotic | kcm.MultiplierBootstrap":
    if options.bootstrap is None:
        _check_nothing_drawn(options)
        return kcm.Asymptotic(groups=options.groups)
    how = {"groups": options.groups, "stop": options.stop, "studentize": options.studentize}
    return kcm.MultiplierBootstrap(options.bootstrap, **how)


def _check_nothing_drawn(options: argparse.Namespace) -> None:
    """Refuse options of the bootstrap without one."""
    used = {
        "--rng": (options.rng is not None, "is the seed of the bootstrap"),
        "--stop": (options.stop is not None, "ends the draws of the bootstrap"),
        "--studentize": (options.studentize, "divides the draws of the bootstrap by their spread"),
    }
    for name, (is_given, meaning) in used.items():
        if is_given:
            raise OptionError(
                f"`{name}` {meaning} and the asymptotic law draws nothing; add `--bootstrap N` or "
                f"leave `{name}` out."
            )


def _names(text: str | None) -> list[str]:
    if text is None:
        return []
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise OptionError(f"`--conditioning` must be column names split by commas; got {text!r}.")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kcm", description="Kernel conditional moment tests: is a fitted model right?"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    test = commands.add_parser("test", help="fit a model by formula and test its specification")
    _add_model(test)
    _add_test(test)
    test.add_argument("--json", action="store_true", help="print one JSON object")
    test.add_argument(
        "--size-check", type=int, nargs="?", const=200, metavar="N", help="simulate right models"
    )
    compare = commands.add_parser("compare", help="fit a model by formula and test it in many ways")
    _add_model(compare)
    compare.add_argument("--tests", metavar="A,B", help="names of tests (default: all)")
    compare.add_argument("--rng", type=int, metavar="SEED", help="seed of random directions")
    compare.add_argument("--json", action="store_true", help="print one JSON object")
    report = commands.add_parser("report", help="write a test, pictures and all, as an HTML file")
    _add_model(report)
    _add_test(report)
    report.add_argument("--tests", metavar="A,B", help="other tests beside it (default: all)")
    report.add_argument(
        "--output", default="report.html", metavar="FILE", help="default: report.html"
    )
    _add_simulations(commands)
    return parser


def _add_test(parser: argparse.ArgumentParser) -> None:
    """Add how the specification is tested."""
    parser.add_argument(
        "--kernel", choices=(*KERNELS, "adaptive"), help="default: adaptive, several kernels"
    )
    parser.add_argument("--statistic", choices=("U", "V"), default="U", help="default: U")
    parser.add_argument(
        "--bootstrap", type=int, metavar="N", help="N Rademacher draws (default: asymptotic law)"
    )
    parser.add_argument("--stop", choices=STOPS, help="stop the draws early (default: draw all N)")
    parser.add_argument("--studentize", action="store_true", help="divide draws by their spread")
    parser.add_argument("--groups", metavar="COLUMN", help="clusters: one multiplier for each")
    parser.add_argument("--rng", type=int, metavar="SEED", help="seed of the bootstrap")
    parser.add_argument("--method", choices=METHODS, default="auto", help="default: auto")
    parser.add_argument(
        "--projection", choices=PROJECTIONS, default="estimator", help="default: estimator"
    )
    parser.add_argument("--memory-limit", metavar="SIZE", help='for example "256 MB"')


def _add_simulations(commands: Any) -> None:
    simulate = commands.add_parser("simulate", help="run a simulation study")
    simulate.add_argument("study", metavar="STUDY.toml", help="see the page on simulation")
    simulate.add_argument("--json", action="store_true", help="print one JSON list")
    reproduce = commands.add_parser("reproduce", help="run the experiments of a paper again")
    reproduce.add_argument("paper", choices=("uai2020",), help="Muandet et al. (2020)")
    reproduce.add_argument("--quick", action="store_true", help="fewer trials, draws and sizes")
    reproduce.add_argument("--figure", metavar="FILE", help="draw the panels, as SVG or PNG")
    for command in (simulate, reproduce):
        command.add_argument(
            "--jobs", type=int, default=-1, metavar="N", help="workers (default: all processors)"
        )
        command.add_argument("--store", metavar="DIR", help="folder of finished cells, to resume")
        command.add_argument("--csv", metavar="FILE", help="write all results to a file")


def _add_model(parser: argparse.ArgumentParser) -> None:
    """Add what names the model and its data."""
    parser.add_argument(
        "formula", metavar="FORMULA", help='"y ~ x", or "y ~ x | z" to condition on z'
    )
    parser.add_argument(
        "--data", required=True, metavar="FILE_OR_NAME", help="CSV or Parquet file, or a data set"
    )
    parser.add_argument(
        "--conditioning", metavar="A,B", help="columns (default: those the formula mentions)"
    )
    parser.add_argument("--model", choices=MODELS, default="ols", help="default: ols")


if __name__ == "__main__":
    command()
