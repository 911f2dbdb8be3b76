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

# for the other rooms
from kcm.simulation.study_file import read_study as read_study
from kcm.simulation.uai2020 import SEED as SEED
from kcm.simulation.uai2020 import product_seconds as product_seconds
from kcm.simulation.uai2020 import reproduce as reproduce
