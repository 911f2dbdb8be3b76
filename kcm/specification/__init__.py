"""Is the model right? The one call, the test, its result, combinations of kernels, and power."""

from kcm.specification.api import specification_test
from kcm.specification.combination import CauchyCombination, PenalizedMaximum, UnionBound
from kcm.specification.kcm_test import KCMTest
from kcm.specification.planning import power, sample_size
from kcm.specification.result import KCMTestResult
from kcm.specification.size_check import SizeCheck, SizeRate

__all__ = [
    "CauchyCombination",
    "KCMTest",
    "KCMTestResult",
    "PenalizedMaximum",
    "SizeCheck",
    "SizeRate",
    "UnionBound",
    "power",
    "sample_size",
    "specification_test",
]

# for the other rooms
from kcm.specification.api import warn_of_dependence as warn_of_dependence
from kcm.specification.kcm_test import check_moment as check_moment
from kcm.specification.kcm_test import kernels_on as kernels_on
from kcm.specification.kcm_test import projected as projected
from kcm.specification.kcm_test import together as together
