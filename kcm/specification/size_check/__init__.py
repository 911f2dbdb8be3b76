"""How often the test rejects right models on the user's own regressors."""

from kcm.specification.size_check.check import check_size
from kcm.specification.size_check.record import SizeCheck, SizeRate
from kcm.specification.size_check.subject import Subject

__all__ = ["SizeCheck", "SizeRate", "Subject", "check_size"]
