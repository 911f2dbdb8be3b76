"""A test as one HTML file: the question, the verdict, the pictures, the numbers."""

from kcm.reporting.page import Section, page
from kcm.reporting.result import Compared, Reported, report_page

__all__ = ["Compared", "Reported", "Section", "page", "report_page"]
