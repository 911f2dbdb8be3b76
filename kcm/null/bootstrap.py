"""The null law by multiplier draws, without refitting."""

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int

from kcm._validation import check_option
from kcm.contraction import Contraction
from kcm.exceptions import OptionError
from kcm.gram.execution import Precision
from kcm.gram.passes import KERNEL_COST
from kcm.null.base import Null, NullDistribution, check_level, group_codes
from kcm.null.multipliers import MULTIPLIERS, Weights

__all__ = ["BootstrapDistribution", "MultiplierBootstrap"]

# Coefficients of a block of draws (256 MB); tiling and products hold a few copies.
BLOCK_SIZE = 2**25
# Draws equal to the statistic up to rounding count as ties.
TIE = 1e-12
# Draws in single precision this close to the statistic, relative to what is rounded, are verified.
CLOSE = 1e-4


@final
@dataclass(frozen=True, slots=True, eq=False)
class BootstrapDistribution(NullDistribution):
    """The empirical law of bootstrap draws.

    Parameters
    ----------
    draws : ndarray of shape (n_resamples,)
        Statistics of the draws, in the units of the test statistic.
    multipliers : str
        The multipliers' law.

    Examples
    --------
    >>> import numpy as np
    >>> BootstrapDistribution(np.array([0.0, 1.0, 2.0]), "rademacher").pvalue(2.0)
    0.5
    """

    draws: Float[np.ndarray, " b"]
    multipliers: str

    def pvalue(self, t: float) -> float:
        """Return (1 + #{draws >= t}) / (1 + n_resamples), which is never 0."""
        tolerance = TIE * max(abs(t), float(np.abs(self.draws).max()))
        return float((1 + np.sum(self.draws >= t - tolerance)) / (1 + len(self.draws)))

    def critical_value(self, level: float) -> float:
        """Return the value that the statistic must exceed for p <= level.

        Infinite when there are too few draws for a p-value this small.
        """
        check_level(level)
        rank = math.floor(level * (1 + len(self.draws)) + 1e-9)
        return float(np.sort(self.draws)[-rank]) if rank > 0 else math.inf

    def describe(self) -> str:
        """Return the law in a few words."""
        return f"{self.multipliers} multiplier bootstrap, {len(self.draws):,} draws"


@final
@dataclass(frozen=True, slots=True, eq=False)
class MultiplierBootstrap(Null):
    r"""The multiplier bootstrap, corrected for the estimation of theta.

    One draw multiplies each scaled residual by an independent multiplier w_i and moves theta by
    the influence that goes with it,

    .. math:: v_l = w \circ \psi_l / s_l + S_l \, n^{-1} \textstyle\sum_j w_j \tilde\ell_j,
        \qquad T^* = n^{-1} \sum_l v_l' K v_l ,

    (1/(n-1) and K without its diagonal for U). For OLS this is exactly the wild bootstrap that
    refits the model; it needs no refitting for any estimator.

    Parameters
    ----------
    n_resamples : int
        Number of draws, at least 1. Default 999.
    weights : {"rademacher", "mammen", "gaussian", "webb", "multinomial"}
        Law of the multipliers. Default "rademacher". "webb" is for few clusters. "multinomial" is
        Algorithm 1 of Muandet et al. (2020) and only valid when theta is known.
    groups : array_like of shape (n,), Series or str, optional
        Cluster labels: one multiplier per cluster. A Series is aligned with the fit by index; a
        name is a column of the data of the fit. With a `FittedMoment`, which carries no index,
        labels are taken by position.

    Raises
    ------
    OptionError
        On an option outside its range, and on "multinomial" with an estimated theta.

    Examples
    --------
    >>> MultiplierBootstrap(n_resamples=199).weights
    'rademacher'
    """

    n_resamples: int = 999
    weights: Weights = "rademacher"
    groups: Any = None

    def __post_init__(self) -> None:
        check_option(self.weights, tuple(MULTIPLIERS), "weights")
        if isinstance(self.n_resamples, bool) or not isinstance(self.n_resamples, int | np.integer):
            raise OptionError(f"`n_resamples` must be an int; got {self.n_resamples!r}.")
        if self.n_resamples < 1:
            raise OptionError(f"`n_resamples` must be at least 1; got {self.n_resamples}.")

    def columns(self, n_obs: int, n_moments: int) -> int:
        per_pass = max(1, BLOCK_SIZE // (n_obs * n_moments))
        return int(self.n_resamples) * n_moments + KERNEL_COST * -(-self.n_resamples // per_pass)

    def distribution(
        self, contraction: Contraction, rng: np.random.Generator
    ) -> BootstrapDistribution:
        """Return the law of the draws; the same `rng` gives the same draws."""
        if self.weights == "multinomial" and not contraction.theta_known:
            raise OptionError(
                '`weights="multinomial"` is valid only when theta is known, and here it is '
                'estimated; use "rademacher".'
            )
        codes = group_codes(self.groups, contraction.n_obs)
        n_multipliers = int(codes.max()) + 1
        draws = np.concatenate(
            [
                draw(contraction, MULTIPLIERS[self.weights](rng, size, n_multipliers), codes)
                for size in _block_sizes(int(self.n_resamples), contraction.scaled_residuals.size)
            ]
        )
        return BootstrapDistribution(draws, self.weights)


def draw(
    contraction: Contraction,
    multipliers: Float[np.ndarray, "b m"],
    codes: Int[np.ndarray, " n"],
) -> Float[np.ndarray, " b"]:
    """Return w'Bw for each row w of `multipliers`, expanded to observations by `codes`.

    A draw in single precision that comes close to the statistic is computed again in double, so
    that the p-value is that of double precision.
    """
    precision = contraction.gram.execution.of_draws
    draws, size = _draws(contraction, multipliers, codes, precision)
    if precision == "single" and contraction.gram.execution.of_statistic == "double":
        close = np.abs(draws - contraction.statistic) <= CLOSE * size
        if close.any():
            draws[close] = _draws(contraction, multipliers[close], codes, "double")[0]
    return draws


def _draws(
    contraction: Contraction,
    multipliers: Float[np.ndarray, "b m"],
    codes: Int[np.ndarray, " n"],
    precision: Precision,
) -> tuple[Float[np.ndarray, " b"], Float[np.ndarray, " b"]]:
    """Return draws, and the size of what is rounded in them."""
    c = contraction
    w = np.ascontiguousarray(multipliers.T[codes])
    columns = np.hstack([r[:, None] * w for r in c.scaled_residuals.T])
    forms = c.gram.forms(columns, precision)
    plain = forms.reshape(c.scaled_residuals.shape[1], -1).sum(axis=0)
    removed = (c.removed * np.sum(c.scaled_residuals**2, axis=1)) @ w**2
    corrected = 2 * np.sum((c.projection.T @ w) * (c.scaled_influence.T @ w), axis=0)
    return c.factor * (plain - removed + corrected), c.factor * (plain + np.abs(corrected))


def _block_sizes(n_resamples: int, n_values: int) -> list[int]:
    block = max(1, BLOCK_SIZE // n_values)
    whole, rest = divmod(n_resamples, block)
    return [block] * whole + [rest] * (rest > 0)
