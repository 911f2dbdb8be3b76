"""A test as one HTML file: the question, the verdict, the pictures, the numbers."""

from kcm.reporting.page import Section, page
from kcm.reporting.result import Compared, Reported, report_page

__all__ = ["Compared", "Reported", "Section", "page", "report_page"]

# for the other rooms
from kcm.reporting.figures.axes import BAND as BAND
from kcm.reporting.figures.axes import LINE as LINE
from kcm.reporting.figures.axes import new_axes as new_axes
from kcm.reporting.figures.members import draw_members as draw_members
from kcm.reporting.figures.null_law import draw_null as draw_null
from kcm.reporting.figures.shares import EXACT as EXACT
from kcm.reporting.figures.shares import draw_shares as draw_shares
from kcm.reporting.figures.size_rates import draw_rates as draw_rates
from kcm.reporting.figures.text import legend as legend
from kcm.reporting.figures.text import literal as literal
from kcm.reporting.figures.text import name_axes as name_axes
from kcm.reporting.figures.text import name_places as name_places
from kcm.reporting.figures.text import set_title as set_title
from kcm.reporting.figures.text import shortened as shortened
from kcm.reporting.figures.witness import Scatter as Scatter
from kcm.reporting.figures.witness import draw_bars as draw_bars
from kcm.reporting.figures.witness import draw_line as draw_line
from kcm.reporting.figures.witness import draw_map as draw_map
from kcm.reporting.figures.witness import draw_sentence as draw_sentence
from kcm.reporting.figures.words import residual_words as residual_words
from kcm.reporting.tables import Grid as Grid
from kcm.reporting.tables import Printed as Printed
from kcm.reporting.tables import Summary as Summary
from kcm.reporting.tables import escape_latex as escape_latex
from kcm.reporting.words import critical_text as critical_text
from kcm.reporting.words import decision as decision
from kcm.reporting.words import dropped_text as dropped_text
from kcm.reporting.words import interval_row as interval_row
from kcm.reporting.words import kernel_rows as kernel_rows
from kcm.reporting.words import pvalue_words as pvalue_words
