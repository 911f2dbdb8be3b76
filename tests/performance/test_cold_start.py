"""Time from nothing to a printed summary, beside that of importing three large packages.

    python -m pytest -m performance tests/performance -s

Each figure is the median of whole processes run in turn; no time is a pass mark.
"""

import subprocess
import sys
from time import perf_counter

import numpy as np

ROUNDS = 5
PEER = "import jax, pandas, statsmodels.api"
COMMANDS = {
    PEER: ["-c", PEER],
    "import kcm": ["-c", "import kcm"],
    "import kcm; kcm.MMR": ["-c", "import kcm; kcm.MMR"],
    "kcm test --help": ["-m", "kcm.cli", "test", "--help"],
    "kcm test, 205 rows": ["-m", "kcm.cli", "test", "logwage ~ age", "--data", "cps71"],
}


def seconds(words):
    """Return the time of one process of Python, from its start to its end."""
    start = perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - start


def test_a_small_test_against_bare_imports(benchmark):
    rounds = [[seconds(words) for words in COMMANDS.values()] for _ in range(ROUNDS + 1)]
    medians = np.median(rounds[1:], axis=0)  # the first round compiles modules and fills caches
    ratios = dict(zip(COMMANDS, medians / medians[0], strict=True))
    print("\n" + f"{'median of ' + str(ROUNDS) + ' processes':<38}seconds  ratio")
    for (name, ratio), median in zip(ratios.items(), medians, strict=True):
        print(f"{name:<38}{median:7.2f}  {ratio:5.2f}")
    benchmark.extra_info |= ratios
    benchmark.pedantic(lambda: seconds(COMMANDS["kcm test, 205 rows"]), rounds=1)
    assert ratios["kcm test, 205 rows"] < 10  # something is broken, not slow
