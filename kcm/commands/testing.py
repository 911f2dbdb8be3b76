"""``kcm test``, ``kcm compare`` and ``kcm report``."""

import argparse
import dataclasses
import json
import shlex
import sys
from pkgutil import resolve_name

import kcm
from kcm.commands.fitting import Fitted, fitted_model
from kcm.commands.output import check_can_write, write_file
from kcm.commands.parser import KERNELS
from kcm.exceptions import OptionError

__all__ = ["compare", "report", "test"]


def test(options: argparse.Namespace) -> str:
    """Return the test of a model, as text or JSON."""
    null = _null(options)
    result = _result(options, null, fitted_model(options))
    n, shown = options.size_check, sys.stderr.isatty()
    check = None if n is None else result.size_check(n, progress=shown)
    if options.json:
        return json.dumps(result.to_dict() | ({"size_check": check.to_dict()} if check else {}))
    return "\n".join(str(one.summary()) for one in (result, check) if one is not None)


def compare(options: argparse.Namespace) -> str:
    """Return the table of tests of a model, as text or JSON."""
    table = _table(options, fitted_model(options), options.rng)
    return json.dumps(table.to_dict()) if options.json else str(table.summary())


def report(options: argparse.Namespace) -> str:
    """Write the report of a test, other tests beside it, and return where it lies."""
    check_can_write(options.output, "--output")
    null, fitted = _null(options), fitted_model(options)
    result, table = _result(options, null, fitted), _table(options, fitted, options.rng or 0)
    call = f"kcm {shlex.join(options.words)}"
    write_file(options.output, "--output", lambda path: result.report(path, table, call))
    return str(options.output)


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


def _table(options: argparse.Namespace, fitted: Fitted, rng: int | None) -> "kcm.ComparisonTable":
    tests = "all" if options.tests is None else [name.strip() for name in options.tests.split(",")]
    return kcm.compare_tests(fitted.fit, tests, fitted.conditioning, rng)


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
