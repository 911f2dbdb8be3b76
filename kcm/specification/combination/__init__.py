"""Tests of one hypothesis with several kernels, made one."""

from kcm.specification.combination.penalized_maximum import (
    PENALIZED,
    PenalizedMaximum,
    UnionBound,
    chosen,
)
from kcm.specification.combination.pvalues import CauchyCombination, combined_pvalues
from kcm.specification.combination.record import Combined, KernelTest
from kcm.specification.combination.settings import Settings, joint_outcome

__all__ = [
    "PENALIZED",
    "CauchyCombination",
    "Combined",
    "KernelTest",
    "PenalizedMaximum",
    "Settings",
    "UnionBound",
    "chosen",
    "combined_pvalues",
    "joint_outcome",
]
