"""Formulas, tables and arrays, read into samples."""

from kcm.data.alignment import align
from kcm.data.encoding import Encoded, encode_column, encode_frame, level_names
from kcm.data.formulas import Roles, formula_variables
from kcm.data.sample import Sample, as_sample

__all__ = [
    "Encoded",
    "Roles",
    "Sample",
    "align",
    "as_sample",
    "encode_column",
    "encode_frame",
    "formula_variables",
    "level_names",
]
