"""Simulation studies: designs whose truth is known, procedures, rejection rates and estimates.

>>> from kcm.simulation import designs
>>> designs.load("logit").settings
mappingproxy({'size': 0.0})
"""

from kcm.simulation import designs
from kcm.simulation.designs import Design
from kcm.simulation.procedures import ThetaKnown
from kcm.simulation.results import StudyResults
from kcm.simulation.study import SimulationStudy

__all__ = ["Design", "SimulationStudy", "StudyResults", "ThetaKnown", "designs"]
