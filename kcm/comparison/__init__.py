"""Specification tests of one fitted model, side by side: kernel tests and the classical ones."""

from kcm.comparison.compare import compare_tests
from kcm.comparison.record import ComparisonRow, ComparisonTable
from kcm.comparison.registry import names

__all__ = ["ComparisonRow", "ComparisonTable", "compare_tests", "names"]

# for the other rooms
from kcm.comparison.entry import Subject as Subject
from kcm.comparison.registry import row as row
