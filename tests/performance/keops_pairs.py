"""v'Kv in single precision by pykeops, for an interpreter that has it; prints seconds of rounds.

$KCM_KEOPS_PYTHON tests/performance/keops_pairs.py points_and_v.npz
"""

import contextlib
import json
import sys
from time import perf_counter

import numpy as np

ROUNDS = 15


def main(path: str) -> None:
    with contextlib.redirect_stdout(sys.stderr):  # pykeops tells of its compilation
        import pykeops
        from pykeops.numpy import Genred

        form = Genred("Exp(-SqDist(x, y)) * v", ["x = Vi(5)", "y = Vj(5)", "v = Vj(1)"], axis=1)
        data = np.load(path)
        x, v = data["x"], data["v"]

        def call() -> float:
            return float(v[:, 0] @ form(x, x, v, backend="CPU")[:, 0].astype(np.float64))

        value, times = call(), []
        for _ in range(ROUNDS):
            start = perf_counter()
            call()
            times.append(perf_counter() - start)
    print(json.dumps({"version": pykeops.__version__, "value": value, "seconds": times}))


if __name__ == "__main__":
    main(sys.argv[1])
