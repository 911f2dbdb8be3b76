"""Contractions with a Gram matrix that is never stored.

The only hot path of the library: diag(V'KV), K V and what else a test needs, from tiles of the
upper triangle. Sums across tiles are in double precision whatever the precision of the tiles and
JAX's ambient setting, which is left alone.
"""

from kcm.gram.contractions import matvec, quadratic_form, quadratic_forms
from kcm.gram.execution import Execution
from kcm.gram.matrices import cross, diagonal, matrix
from kcm.gram.operator import GramOperator, TiledGram

__all__ = [
    "Execution",
    "GramOperator",
    "TiledGram",
    "cross",
    "diagonal",
    "matrix",
    "matvec",
    "quadratic_form",
    "quadratic_forms",
]

# for the other rooms
from kcm.gram.blocks import gram_block as gram_block
from kcm.gram.blocks import in_precision as in_precision
from kcm.gram.blocks import largest_value as largest_value
from kcm.gram.execution import Precision as Precision
from kcm.gram.held import HeldGram as HeldGram
from kcm.gram.held import held_grams as held_grams
from kcm.gram.landmarks import COLUMN_ROUNDING as COLUMN_ROUNDING
from kcm.gram.landmarks import Landmarks as Landmarks
from kcm.gram.landmarks import affordable_rank as affordable_rank
from kcm.gram.landmarks import choose_landmarks as choose_landmarks
from kcm.gram.landmarks import least_tolerance as least_tolerance
from kcm.gram.low_rank import LowRankGram as LowRankGram
from kcm.gram.low_rank import factored as factored
from kcm.gram.low_rank import low_rank_gram as low_rank_gram
from kcm.gram.low_rank import refined as refined
from kcm.gram.low_rank import whole_factor as whole_factor
from kcm.gram.matrices import cross_block as cross_block
from kcm.gram.matrices import pairwise as pairwise
from kcm.gram.passes import KERNEL_COST as KERNEL_COST
from kcm.gram.passes import fetched as fetched
from kcm.gram.passes import pass_over_pairs as pass_over_pairs
from kcm.gram.pivoted_cholesky import LowRankFactor as LowRankFactor
from kcm.gram.pivoted_cholesky import low_rank_factor as low_rank_factor
from kcm.gram.rectangle import cross_product as cross_product
from kcm.gram.rectangle import row_blocks as row_blocks
from kcm.gram.relabelling import reads_as_numbers as reads_as_numbers
from kcm.gram.tiles import Layout as Layout
from kcm.gram.tiles import bucket as bucket
from kcm.gram.tiles import padded_points as padded_points
from kcm.gram.traversal import Found as Found
from kcm.gram.traversal import Sums as Sums
