"""The two packages that statsmodels reads formulas with."""

from collections.abc import Iterator
from contextlib import contextmanager

import statsmodels.formula

__all__ = ["ENGINES", "formula_engine"]

ENGINES = ["patsy", "formulaic"]


@contextmanager
def formula_engine(name: str) -> Iterator[None]:
    """Let statsmodels read formulas with one of them, until the end of a block."""
    options = statsmodels.formula.options
    before = options.formula_engine
    options.formula_engine = name
    try:
        yield
    finally:
        options.formula_engine = before
