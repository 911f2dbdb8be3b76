"""Formulas, tables and arrays, read into samples."""

from kcm.data.alignment import align
from kcm.data.formulas import Roles, formula_variables
from kcm.data.sample import Sample, as_sample

__all__ = ["Roles", "Sample", "align", "as_sample", "formula_variables"]
