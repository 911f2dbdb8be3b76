"""What a user is told, in a fresh interpreter.

A user runs without the annotation checks of the tests, which would speak first.
"""

import subprocess
import sys
from collections.abc import Iterable

SHOW = """
import kcm, sys
expected = getattr(kcm, sys.argv[1])
for expression in sys.argv[2:]:
    try:
        eval(expression)
    except expected as error:
        print(error)
"""


def messages(expressions: Iterable[str], error: str) -> list[str]:
    """Evaluate each expression and return the messages of the kcm errors of a class."""
    command = [sys.executable, "-c", SHOW, error, *expressions]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
