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

# for the other rooms
from kcm.data.brackets import split_outside as split_outside
from kcm.data.column_functions import NAMESPACE as NAMESPACE
from kcm.data.encoding import repetitions as repetitions
from kcm.data.encoding import select as select
from kcm.data.entries import check_entries as check_entries
from kcm.data.factors import Resolve as Resolve
from kcm.data.factors import category_column as category_column
from kcm.data.factors import evaluate_plain as evaluate_plain
from kcm.data.factors import inner_of_category as inner_of_category
from kcm.data.factors import plain_columns as plain_columns
from kcm.data.factors import resolve_in as resolve_in
from kcm.data.factors import spoken_names as spoken_names
from kcm.data.files import SUFFIXES as SUFFIXES
from kcm.data.files import FileFormat as FileFormat
from kcm.data.files import TableFile as TableFile
from kcm.data.files import read_file as read_file
from kcm.data.formulas import SIDES as SIDES
from kcm.data.formulas import design as design
from kcm.data.formulas import design_like as design_like
from kcm.data.formulas import regressor_variables as regressor_variables
from kcm.data.names import check_names as check_names
from kcm.data.plain_formulas import Factor as Factor
from kcm.data.plain_formulas import check_plain as check_plain
from kcm.data.plain_formulas import read_factors as read_factors
from kcm.data.row_transforms import learns_from_rows as learns_from_rows
from kcm.data.tables import as_table as as_table
from kcm.data.tables import column_kind as column_kind
from kcm.data.tables import is_table as is_table
from kcm.data.tables import is_text as is_text
from kcm.data.tables import numeric_column as numeric_column
