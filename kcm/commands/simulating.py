"""``kcm simulate`` and ``kcm reproduce``."""

import argparse
import sys
import time

from kcm.commands.output import check_can_draw, check_can_write, write_file

__all__ = ["reproduce", "simulate"]


def simulate(options: argparse.Namespace) -> str:
    """Run the study of a file, and return its rejection rates, as text or JSON."""
    from kcm.simulation import read_study

    check_can_write(options.csv, "--csv")
    given = read_study(options.study, allow_code=options.allow_code)
    results = given.study.run(given.rng, options.jobs, sys.stderr.isatty(), options.store)
    if options.csv is not None:
        write_file(options.csv, "--csv", results.to_csv)
    if options.json:
        table = results.rejection_rates(given.level) if results.has_tests else results.estimates()
        return str(table.to_json(orient="records"))
    return str(results.summary(given.level))


def reproduce(options: argparse.Namespace) -> str:
    """Run the experiments of the paper, and return how they compare with what is printed."""
    from kcm.simulation import SEED, product_seconds
    from kcm.simulation import reproduce as run

    check_can_write(options.csv, "--csv")
    check_can_draw(options.figure, "--figure")
    start = time.perf_counter()
    found = run(options.quick, SEED, options.jobs, options.store, sys.stderr.isatty())
    if options.csv is not None:
        frame = found.to_frame()
        write_file(options.csv, "--csv", lambda path: frame.to_csv(path, index=False))
    if options.figure is not None:
        write_file(options.figure, "--figure", found.plot()[0, 0].figure.savefig)
    seconds = time.perf_counter() - start, product_seconds(options.quick)
    told = "It took {:.0f} s; bare matrix products of the same number take {:.0f} s."
    return f"{found.summary()}\n{told.format(*seconds)}"
