"""Memory of processes, for tests of it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")


def memory(name: str) -> float:
    """Return "VmRSS", the resident memory, or "VmHWM", its peak, of this process in bytes.

    The peak that getrusage tells includes that of the process which started this one.
    """
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024.0 if found else float("nan")


def numbers_of(program: str) -> list[float]:
    """Return the numbers that a program prints, which may use `memory` and modules of the tests."""
    path = os.pathsep.join(
        filter(None, [str(TESTS), str(TESTS / "designs"), os.environ.get("PYTHONPATH")])
    )
    command = [sys.executable, "-c", f"from performance.memory import memory\n{program}"]
    environment = os.environ | {"PYTHONPATH": path}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return [float(word) for word in run.stdout.split()]
