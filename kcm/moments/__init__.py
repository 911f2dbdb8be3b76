"""Conditional moments: as a model states them, bound to data, and evaluated at an estimate."""

from kcm.moments.binding import BoundMoment, MomentValues
from kcm.moments.checks import check_own_sample
from kcm.moments.conditional import ConditionalMoment, Moment
from kcm.moments.derived import combined_moment, marginal_moment
from kcm.moments.fitted import FittedMoment, MomentLabels, as_blocks
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

# for the other rooms
from kcm.moments.clusters import group_codes as group_codes
from kcm.moments.first_stage import WEAK_FOR_KERNELS as WEAK_FOR_KERNELS
from kcm.moments.first_stage import FirstStageStrength as FirstStageStrength
from kcm.moments.first_stage import smallest_ratio as smallest_ratio
from kcm.moments.first_stage import warn_of_weak_instruments as warn_of_weak_instruments
from kcm.moments.leverage import leverage_scale as leverage_scale
from kcm.moments.orthogonal import jacobian_span as jacobian_span
from kcm.moments.outcomes import BinomialOutcomes as BinomialOutcomes
from kcm.moments.outcomes import CountOutcomes as CountOutcomes
from kcm.moments.outcomes import GammaOutcomes as GammaOutcomes
from kcm.moments.outcomes import GeneralizedPoissonOutcomes as GeneralizedPoissonOutcomes
from kcm.moments.outcomes import InverseGaussianOutcomes as InverseGaussianOutcomes
from kcm.moments.outcomes import Outcomes as Outcomes
from kcm.moments.outcomes import TwoStages as TwoStages
from kcm.moments.outcomes import take_rows as take_rows
from kcm.moments.parametrization import well_conditioned as well_conditioned
from kcm.moments.scaling import CORRECTIONS as CORRECTIONS
from kcm.moments.stacking import stack_equations as stack_equations
