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
