"""Draw time and memory against n, from processes of their own.

python tests/performance/plot_scaling.py docs/_static/scaling.png
"""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

SIZES = {
    "exact": (100, 300, 1_000, 2_000, 5_000, 10_000, 20_000),
    "low-rank": (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
    "statistic": (100, 1_000, 10_000, 30_000, 100_000),
    "dense": (100, 300, 1_000, 3_000, 8_000),
}
LABELS = {
    "exact": ("kcm, exact test", "o-"),
    "low-rank": ("kcm, low-rank test", "s--"),
    "statistic": ("kcm, exact statistic, single precision", "^:"),
    "dense": ("scikit-learn + NumPy, dense test", "x-."),
}


def measure(road: str, n: int) -> dict[str, float]:
    """Return what scaling.py prints."""
    command = [sys.executable, Path(__file__).with_name("scaling.py"), road, str(n)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    print(road, n, measured, flush=True)
    return measured


def main(path: str) -> None:
    """Measure all sizes and draw two panels."""
    figure, (time, memory) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for road, sizes in SIZES.items():
        found = [measure(road, n) for n in sizes]
        label, style = LABELS[road]
        time.loglog(sizes, [f["seconds"] for f in found], style, color="black", label=label)
        growth = [max(f["growth"] / 1e6, 1.0) for f in found]
        memory.loglog(sizes, growth, style, color="black", label=label)
    time.set(xlabel="observations", ylabel="seconds, after compilation")
    memory.set(xlabel="observations", ylabel="growth of the peak memory, MB (1 or less: 1)")
    memory.legend(fontsize="small")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1])
