"""Outcomes by seed in a file of JSON lines, so that a campaign can be stopped and resumed."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from .case import Case, Outcome, Verdict

__all__ = ["bad", "campaign", "table"]

STOPPED = "stopped"
# As bad as anything that is neither right nor clearly refused.
BAD = (Verdict.WRONG, Verdict.CRASH, Verdict.HANG, Verdict.UNCLEAR)


def campaign(
    seeds: Iterable[int],
    make: Callable[[int], Case],
    judge: Callable[[Case], Outcome],
    path: Path,
) -> dict[int, dict[str, str]]:
    """Judge the inputs that the file does not have yet, and return all outcomes by seed.

    A line is written before an input is tried: one without an outcome ended the process.
    """
    wanted = list(seeds)
    known = _read(path)
    for seed in wanted:
        if seed in known:
            continue
        case = make(seed)
        begun = {"seed": seed, "area": case.area, "told": case.told, "verdict": Verdict.CRASH.value}
        _append(path, begun)
        try:
            outcome = judge(case)
        except KeyboardInterrupt:  # whoever stops a campaign has not found a crash
            _append(path, begun | {"verdict": STOPPED})
            raise
        known[seed] = begun | {"verdict": outcome.verdict.value, "detail": outcome.detail}
        _append(path, known[seed])
    return {seed: known[seed] for seed in wanted}


def _append(path: Path, line: dict[str, object]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _read(path: Path) -> dict[int, dict[str, str]]:
    if not path.exists():
        return {}
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    last = {line["seed"]: line for line in lines}  # the later line of a seed counts
    return {seed: line for seed, line in last.items() if line["verdict"] != STOPPED}


def bad(outcomes: dict[int, dict[str, str]]) -> list[str]:
    """Inputs that are neither right nor clearly refused, one line each."""
    words = {verdict.value for verdict in BAD}
    return [
        f"seed {seed} ({o['area']}: {o['told']}) {o['verdict']}: {o.get('detail', '')}"
        for seed, o in outcomes.items()
        if o["verdict"] in words
    ]


def table(outcomes: dict[int, dict[str, str]]) -> str:
    """Number of inputs by area and verdict, as a table of Markdown."""
    counts = Counter((o["area"], o["verdict"]) for o in outcomes.values())
    areas = sorted({area for area, _ in counts})
    verdicts = [verdict.value for verdict in Verdict]
    lines = [f"| inputs | {' | '.join(verdicts)} | all |", "|---|" + "---:|" * (len(verdicts) + 1)]
    for area in [*areas, "all"]:
        of_area = [
            sum(c for (a, v), c in counts.items() if v == verdict and area in (a, "all"))
            for verdict in verdicts
        ]
        lines.append(f"| {area} | " + " | ".join(f"{c:,}" for c in [*of_area, sum(of_area)]) + " |")
    return "\n".join(lines)
