"""Conditional moments: as a model states them, bound to data, and evaluated at an estimate."""

from kcm.moments.binding import BoundMoment, MomentValues
from kcm.moments.checks import check_own_sample
from kcm.moments.conditional import ConditionalMoment, Moment
from kcm.moments.derived import combined_moment, marginal_moment
from kcm.moments.fitted import (
    FittedMoment,
    MomentLabels,
    as_blocks,
)
from kcm.moments.high_leverage import high_leverage_notes
from kcm.moments.linear import LinearMoment
from kcm.moments.orthogonal import orthogonal_moment
from kcm.moments.parameters import ParameterTree, told_values
from kcm.moments.scaling import (
    Correction,
    Scaled,
    corrected_scale,
    gain_of,
    scaled_influence,
    scaled_moment,
    scaled_residuals,
)
from kcm.moments.spanning import check_spans_constant

__all__ = [
    "BoundMoment",
    "ConditionalMoment",
    "Correction",
    "FittedMoment",
    "LinearMoment",
    "Moment",
    "MomentLabels",
    "MomentValues",
    "ParameterTree",
    "Scaled",
    "as_blocks",
    "check_own_sample",
    "check_spans_constant",
    "combined_moment",
    "corrected_scale",
    "gain_of",
    "high_leverage_notes",
    "marginal_moment",
    "orthogonal_moment",
    "scaled_influence",
    "scaled_moment",
    "scaled_residuals",
    "told_values",
]
