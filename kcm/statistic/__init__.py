"""The statistic T = n MMR^2, and the multiplier form B with T* = w'Bw that its null law is of."""

# for the other rooms
from kcm.statistic.border import covariance_root as covariance_root
from kcm.statistic.border import empty_border as empty_border
from kcm.statistic.contraction import Contraction as Contraction
from kcm.statistic.contraction import StatisticName as StatisticName
from kcm.statistic.contraction import contract as contract
from kcm.statistic.draws import MAX_CLUSTERS as MAX_CLUSTERS
from kcm.statistic.draws import drawer as drawer
from kcm.statistic.form import apply_form as apply_form
from kcm.statistic.form import form_matrix as form_matrix
from kcm.statistic.form import form_sums as form_sums
from kcm.statistic.krylov import krylov_spectrum as krylov_spectrum
from kcm.statistic.krylov import products_with as products_with
from kcm.statistic.krylov import spectrum_of as spectrum_of
from kcm.statistic.krylov import with_probes as with_probes
from kcm.statistic.low_rank import low_rank_form as low_rank_form
from kcm.statistic.low_rank import low_rank_of as low_rank_of
from kcm.statistic.low_rank import low_rank_sums as low_rank_sums
from kcm.statistic.low_rank import size_of as size_of
from kcm.statistic.low_rank_spectrum import can_hold as can_hold
from kcm.statistic.low_rank_spectrum import held_spectrum as held_spectrum
from kcm.statistic.shift import largest_shift as largest_shift
from kcm.statistic.spectrum import Spectrum as Spectrum
from kcm.statistic.spread import check_spread as check_spread
from kcm.statistic.spread import no_spread as no_spread
from kcm.statistic.studentized_form import studentized_drawer as studentized_drawer
from kcm.statistic.tiled import tiled_form as tiled_form
