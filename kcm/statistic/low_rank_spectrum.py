"""The spectrum of a low-rank form whose features can be held."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from kcm.statistic.krylov import krylov_spectrum
from kcm.statistic.low_rank import LowRankForm, LowRankSums, exchanged, grouped_features
from kcm.statistic.spectrum import Spectrum

__all__ = ["can_hold", "held_spectrum"]

# Numbers of H that are held: 32 MB.
MOST_NUMBERS = 4_000_000


def can_hold(form: LowRankForm) -> bool:
    """Tell whether H is small enough to be held."""
    rows, columns = len(form.gram.points), form.moved.shape[0] * form.gram.columns
    return rows * columns <= MOST_NUMBERS


def held_spectrum(
    form: LowRankForm,
    sums: LowRankSums,
    codes: Int[np.ndarray, " n"],
    probes: Float[np.ndarray, "m r"],
    n_directions: int,
) -> Spectrum:
    """Return the spectrum of B_0 = f (H J H' - diag), with the traces that are known exactly.

    Parameters
    ----------
    form : LowRankForm
    sums : LowRankSums
    codes : ndarray of int, shape (n,)
        Cluster numbers.
    probes : ndarray of shape (m, r)
        As for `krylov_spectrum`.
    n_directions : int
    """
    features = grouped_features(form, codes)
    turned = exchanged(features, form.moved.shape[1])
    own = np.sum(features * turned, axis=1)

    def apply(v: Float[np.ndarray, "m r"]) -> Float[np.ndarray, "m r"]:
        return np.asarray(form.factor * (features @ (turned.T @ v) - own[:, None] * v))

    found = krylov_spectrum(apply, probes, sums.squares, n_directions)
    return replace(found, cubes=sums.cubes, cubes_error=0.0)
