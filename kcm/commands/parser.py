"""The words that the command line understands."""

import argparse
from types import MappingProxyType
from typing import Any

__all__ = ["KERNELS", "METHODS", "MODELS", "PROJECTIONS", "STOPS", "command_parser"]

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


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="kcm", description="Kernel conditional moment tests: is a fitted model right?"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    test = commands.add_parser("test", help="fit a model by formula and test its specification")
    _add_model(test)
    _add_test(test)
    test.add_argument("--json", action="store_true", help="print one JSON object")
    test.add_argument(
        "--size-check",
        type=_whole_number,
        nargs="?",
        const=200,
        metavar="N",
        help="simulate right models",
    )
    compare = commands.add_parser("compare", help="fit a model by formula and test it in many ways")
    _add_model(compare)
    compare.add_argument("--tests", metavar="A,B", help="names of tests (default: all)")
    compare.add_argument(
        "--rng",
        type=_whole_number,
        metavar="SEED",
        help="seed of the directions of Lavergne-Patilea",
    )
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


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a whole number; got {text!r}.") from error


def _add_test(parser: argparse.ArgumentParser) -> None:
    """Add how the specification is tested."""
    parser.add_argument(
        "--kernel", choices=(*KERNELS, "adaptive"), help="default: adaptive, several kernels"
    )
    parser.add_argument("--statistic", choices=("U", "V"), default="U", help="default: U")
    parser.add_argument(
        "--bootstrap",
        type=_whole_number,
        metavar="N",
        help="N Rademacher draws (default: asymptotic law)",
    )
    parser.add_argument("--stop", choices=STOPS, help="stop the draws early (default: draw all N)")
    parser.add_argument(
        "--studentize", action="store_true", help="divide each draw by its own spread"
    )
    parser.add_argument("--groups", metavar="COLUMN", help="clusters: one multiplier for each")
    parser.add_argument("--rng", type=_whole_number, metavar="SEED", help="seed of the bootstrap")
    parser.add_argument("--method", choices=METHODS, default="auto", help="default: auto")
    parser.add_argument(
        "--projection", choices=PROJECTIONS, default="estimator", help="default: estimator"
    )
    parser.add_argument("--memory-limit", metavar="SIZE", help='for example "256 MB"')


def _add_simulations(commands: Any) -> None:
    simulate = commands.add_parser("simulate", help="run a simulation study")
    simulate.add_argument("study", metavar="STUDY.toml", help="see the page on simulation")
    simulate.add_argument("--json", action="store_true", help="print one JSON list")
    simulate.add_argument(
        "--allow-code", action="store_true", help="run the design of the file, module:function"
    )
    reproduce = commands.add_parser("reproduce", help="run the experiments of a paper again")
    reproduce.add_argument("paper", choices=("uai2020",), help="Muandet et al. (2020)")
    reproduce.add_argument("--quick", action="store_true", help="fewer trials, draws and sizes")
    reproduce.add_argument("--figure", metavar="FILE", help="draw the panels, as SVG or PNG")
    for command in (simulate, reproduce):
        command.add_argument(
            "--jobs",
            type=_whole_number,
            default=-1,
            metavar="N",
            help="workers (default: all processors)",
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
    parser.add_argument(
        "--categories", metavar="A,B", help="columns to read as categories, such as codes"
    )
    parser.add_argument("--sep", metavar="C", help="of a CSV file (default: by its header)")
    parser.add_argument("--decimal", metavar="C", help="mark of decimals in a CSV file")
    parser.add_argument("--thousands", metavar="C", help="mark of thousands in a CSV file")
    parser.add_argument(
        "--na", action="append", metavar="WORD", help="entry that is missing; may be repeated"
    )
