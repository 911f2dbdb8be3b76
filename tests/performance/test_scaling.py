"""Large samples: time after compilation and memory, each in a process of its own.

python -m pytest -m performance tests/performance/test_scaling.py -s
"""

import json
import subprocess
import sys
from pathlib import Path

from performance.memory import on_linux
from performance.timing import print_table

HEADS = ["", "seconds", "growth of the peak, MB", "peak, MB", "left out", "p", "exact p within"]
PROTOTYPE = "n = 1,000,000, prototype of rank 256"
CASES = {
    "n = 100,000, exact v'Kv, single precision": ("statistic", 100_000),
    "n = 100,000, auto": ("auto", 100_000),
    "n = 1,000,000, low rank": ("low-rank", 1_000_000),
    PROTOTYPE: ("prototype", 1_000_000),
}


def measure(road, n):
    command = [sys.executable, Path(__file__).with_name("scaling.py"), road, str(n)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(found.stdout.splitlines()[-1])


@on_linux
def test_large_samples(benchmark):
    found = {name: measure(*case) for name, case in CASES.items()}
    rows = [
        [name, f["seconds"], round(f["growth"] / 1e6), round(f["peak"] / 1e6), *certified(f)]
        for name, f in found.items()
    ]
    print_table("OLS, five regressors and a constant", HEADS, rows)
    ratio = found["n = 1,000,000, low rank"]["seconds"] / found[PROTOTYPE]["seconds"]
    print(f"low rank / prototype: {ratio:.2f}")
    benchmark.extra_info |= {name: f["seconds"] for name, f in found.items()}
    benchmark.pedantic(lambda: None)
    assert found["n = 1,000,000, low rank"]["share"] <= 0.01


def certified(found):
    if "share" not in found:
        return ["", "", ""]
    low, high = found["interval"]
    return [f"{found['share']:.4f}", f"{found['pvalue']:.4f}", f"[{low:.4f}, {high:.4f}]"]
