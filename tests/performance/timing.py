"""What the timings share: best medians, a table, and the data of the examples."""

from collections.abc import Callable, Sequence
from time import perf_counter, sleep
from typing import Any

import numpy as np

PAUSE = 0.3

__all__ = ["best_medians", "ols_data", "print_table", "seconds"]


def seconds(call: Callable[[], Any]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


def best_medians(
    calls: dict[str, Callable[[], Any]], rounds: int = 5, repeats: int = 3
) -> dict[str, float]:
    """Return a time for each call: the smallest of some medians over rounds.

    Each call has its rounds to itself, after one that compiles and a pause: the threads of one
    library keep the processor busy for a while after their product, and would slow the next down.
    """
    medians = {
        name: [_median(call, rounds) for _ in range(repeats)] for name, call in calls.items()
    }
    return {name: min(found) for name, found in medians.items()}


def _median(call: Callable[[], Any], rounds: int) -> float:
    call()
    sleep(PAUSE)
    return float(np.median([seconds(call) for _ in range(rounds)]))


def print_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows of text and numbers below their heads."""
    texts = [list(heads), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[k]) for row in texts) for k in range(len(heads))]
    print(f"\n\n{title}")
    for row in texts:
        cells = [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
        print("  ".join(cells).rstrip())


def _text(cell: Any) -> str:
    return f"{cell:.3g}" if isinstance(cell, float) and cell < 100 else str(cell)


def ols_data(n: int, seed: int = 1) -> dict[str, np.ndarray]:
    """Return the parts of a fitted moment of OLS on five regressors and a constant, psi the error.

    Six parameters: psi, x, the jacobian of psi in theta, and the influence of each row on theta.
    """
    rng = np.random.default_rng(seed)
    x, error = rng.normal(size=(n, 5)), rng.normal(size=n)
    design = np.column_stack([np.ones(n), x])
    gain = design @ np.linalg.inv(design.T @ design / n)
    psi = error - design @ (gain.T @ error / n)
    return {"psi": psi, "x": x, "jacobian": -design, "influence": gain * psi[:, None]}
