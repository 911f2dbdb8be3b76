"""The command line: ``kcm test``, ``compare``, ``report``, ``simulate`` and ``reproduce``."""

import argparse
import gc
import os
import sys
import warnings
from collections.abc import Sequence
from pkgutil import resolve_name
from types import MappingProxyType
from typing import NoReturn

from kcm.commands import command_parser
from kcm.exceptions import KCMError

__all__ = ["command", "main"]

# Each is imported when it is called.
COMMANDS: MappingProxyType[str, str] = MappingProxyType(
    {
        "test": "kcm.commands.testing:test",
        "compare": "kcm.commands.testing:compare",
        "report": "kcm.commands.testing:report",
        "simulate": "kcm.commands.simulating:simulate",
        "reproduce": "kcm.commands.simulating:reproduce",
    }
)


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
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has seen enough
        _forget_output()
        code = 0
    except SystemExit:
        _end_output()
        raise
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
    options = command_parser().parse_args(given, argparse.Namespace(words=given))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        code, text = _outcome(options)
    for message in dict.fromkeys(str(w.message) for w in caught):
        print(f"kcm: warning: {message}", file=sys.stderr)
    if code:
        print(text, file=sys.stderr)
        return code
    return _printed(text)


def _outcome(options: argparse.Namespace) -> tuple[int, str]:
    try:
        return 0, resolve_name(COMMANDS[options.command])(options)
    except KCMError as error:
        return 2, _line(error)
    except OSError as error:  # of a file or a disk: nothing in the code can mend it
        return 2, _line(error)


def _line(error: Exception) -> str:
    return "kcm: error: " + " ".join(str(error).split())


def _printed(text: str) -> int:
    """Print the answer; a disk that is full is an error, a reader that has gone is none."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _forget_output()
    except OSError as error:
        _forget_output()
        print(_line(error), file=sys.stderr)
        return 2
    return 0


def _end_output() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _forget_output()


def _forget_output() -> None:
    """Let the interpreter write what is left of standard output to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    command()
