"""The null law by multiplier draws, without refitting."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, final, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from kcm._options import MOST_REPETITIONS, check_level, check_option
from kcm._progress import progress_bar
from kcm._records import fixed
from kcm.exceptions import OptionError
from kcm.gram import KERNEL_COST, LowRankGram, TiledGram
from kcm.moments import group_codes
from kcm.null.base import Null, NullDistribution
from kcm.null.multipliers import MULTIPLIERS, Draw, Weights
from kcm.null.stopping import (
    AllDraws,
    BesagClifford,
    Stop,
    StoppingRule,
    check_stopping,
    exceeds,
    stopping_rule,
)
from kcm.statistic import MAX_CLUSTERS, Contraction, check_spread, drawer, studentized_drawer

__all__ = ["BootstrapDistribution", "MultiplierBootstrap"]

# Most coefficients of a block of draws (256 MB), and the bytes that one of them takes in copies.
BLOCK_SIZE = 2**25
COEFFICIENT_BYTES = 64
# Draws of the first block when they may stop; each block is twice as large as the one before.
FIRST_BLOCK = 100
# So many draws do not all equal the statistic by chance.
FEW_DRAWS = 19
# Rounding of a draw in single precision, relative to what is summed: seen up to 4e-7.
SINGLE_TIE = 1e-6


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BootstrapDistribution(NullDistribution):
    """The empirical law of bootstrap draws.

    Parameters
    ----------
    draws : ndarray of shape (n_drawn,)
        Statistics of the draws, in their order and in the units of the test statistic.
    multipliers : str
        The multipliers' law.
    rule : StoppingRule, optional
        The rule that stopped the draws (`kcm.null.stopping`). Default `AllDraws()`.
    n_resamples : int, optional
        Number of draws asked for. Default: the number of `draws`.
    studentized : bool
        Whether each draw was divided by its own standard deviation, and multiplied by that of the
        sample.

    Examples
    --------
    >>> import numpy as np
    >>> law = BootstrapDistribution(np.array([0.0, 1.0, 2.0]), "rademacher")
    >>> law.pvalue(2.0)
    0.5
    >>> [round(end, 3) for end in law.pvalue_interval(2.0)]
    [0.008, 0.906]
    """

    draws: Float[np.ndarray, " b"]
    multipliers: str
    rule: StoppingRule = field(default_factory=AllDraws)
    n_resamples: int | None = None
    studentized: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "draws", fixed(self.draws))

    @property
    def complete(self) -> bool:
        """Whether the draws are draws of the statistic, none left out and none studentised."""
        return isinstance(self.rule, AllDraws) and not self.studentized

    def pvalue(self, t: float) -> float:
        """Return the p-value, which is never 0.

        It is (1 + g) / (1 + n_drawn), g the number of draws that are at least t. With
        `stop="besag-clifford"` it is exceedances / n where the n-th draw was the last one
        needed.

        Raises
        ------
        OptionError
            With `stop="besag-clifford"`, when the draws stopped before they could tell: for a t
            above the statistic.
        """
        return self.rule.pvalue(self._exceeding(t), self._asked())

    def pvalue_interval(self, t: float, confidence: float = 0.95) -> tuple[float, float]:
        """Return an interval of the p-value that infinitely many draws would have.

        It holds with at least the probability `confidence`, in (0, 1), also where the draws
        stopped: Clopper and Pearson's of all draws, its like for Besag and Clifford's rule, and a
        confidence sequence for `stop="confidence"`. Raises as `pvalue` does.
        """
        check_level(confidence, "confidence")
        return self.rule.interval(self._exceeding(t), self._asked(), confidence)

    def critical_value(self, level: float) -> float:
        """Return the value that the statistic must exceed for p <= level.

        Infinite when all draws are too few for a p-value this small. Not a number when the draws
        stopped before they could tell; p is then above the level.
        """
        check_level(level)
        return self.rule.critical_value(self.draws, self._asked(), level)

    def describe(self) -> str:
        """Return the law in a few words."""
        studentized = "studentised, " if self.studentized else ""
        return f"{self.multipliers} multiplier bootstrap, {studentized}{self._counted()}"

    def _counted(self) -> str:
        drawn, asked = len(self.draws), self._asked()
        if isinstance(self.rule, AllDraws):
            return f"{drawn:,} draws"
        if drawn < asked:
            return f"{drawn:,} of {asked:,} draws (stopped: {self.rule.name})"
        return f"all {drawn:,} draws ({self.rule.name})"

    def _exceeding(self, t: float) -> Bool[np.ndarray, " b"]:
        return exceeds(self.draws, t)

    def _asked(self) -> int:
        return len(self.draws) if self.n_resamples is None else self.n_resamples


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
        Number of draws, from 1 to 1,000,000,000. Default 999.
    weights : {"rademacher", "mammen", "gaussian", "webb", "multinomial"}
        Law of the multipliers. Default "rademacher". "webb" is for few clusters. "multinomial" is
        Algorithm 1 of Muandet et al. (2020) and only valid when theta is known.
    groups : array_like of shape (n,), Series or str, optional
        Cluster labels: one multiplier per cluster. A Series is aligned with the fit by index; a
        name is a column of the data of the fit. With a `FittedMoment`, which carries no index,
        labels are taken by position.
    stop : {"besag-clifford", "confidence"}, optional
        When to stop before `n_resamples`. "besag-clifford": at the draw that is the
        `exceedances`-th to reach the statistic; the p-value is as valid as that of all draws, at
        every level, and only large ones save draws. "confidence": as soon as a confidence sequence
        for the p-value of infinitely many draws excludes `level`; small p-values stop as well, and
        the p-value printed is an estimate. Default: all are drawn.
    level : float, optional
        The level that `stop="confidence"` decides, in (0, 1). Default 0.05.
    exceedances : int, optional
        Draws that reach the statistic before `stop="besag-clifford"` stops, at least 1 and at most
        `n_resamples`. Default 10: p-values to about a third of themselves, and at level a the
        decision of the first 10 / a - 1 draws (199 at .05, 999 at .01). With level * (n_resamples
        + 1) the decision at that level is always that of all the draws.
    resampling_risk : float, optional
        Largest probability that `stop="confidence"` stops on the wrong side of `level`, in (0, 1).
        Default 0.001.
    studentize : bool
        Compare (T - tr B) / sd with (T* - tr B*) / sd*, the mean tr B and the standard deviation sd
        of the law found anew from the residuals of each draw. It rejects a true model less often
        where the variance is large at leverage points, at a small cost in power; a draw takes
        twice the time. Not with `groups`, nor with a low-rank factor. Default False.

    Raises
    ------
    OptionError
        On an option outside its range or without the `stop` that it belongs to, on "multinomial"
        with an estimated theta, on `studentize` with "multinomial" or `groups`, and on `studentize`
        with a theta from another sample.
    DataError
        On `studentize` where the influence is given in total for several residual components.

    Notes
    -----
    With `studentize`, the residuals of a draw are v as above, r* = v / s are scaled as r = psi / s
    are, and B* is B with r* in the place of r and the influence L_i r*_i, L_i = l_i / psi_i the
    influence per unit of residual (zero where psi_i is): tr B* = sum_i B*_ii and
    sd*^2 = 2 sum_{i != j} B*_ij^2. The influence has to be proportional to the residual, as it is
    where the estimating equations are. Where it is not (negative binomials and generalised
    Poisson models with an estimated dispersion) studentised draws reject too often: use plain
    ones. The draws of the law are tr B + sd (T* - tr B*) / sd*, in
    the units of T, and are found in double precision. With theta known and Rademacher multipliers
    squares do not change with the draw, and nothing changes.

    A theta from another sample moves by a normal error with its covariance, whatever the `weights`
    of the rows are.

    A generator that is passed in as `rng` is left where the draws that count leave it.

    References
    ----------
    Besag and Clifford (1991), Sequential Monte Carlo p-values, Biometrika 78, 301-304. Ding, Gandy
    and Hahn (2020), A simple method for implementing Monte Carlo tests, Computational Statistics
    35, 1373-1392.

    Examples
    --------
    >>> MultiplierBootstrap(n_resamples=199).weights
    'rademacher'

    Draws until the verdict at .05 is sure:

    >>> import numpy as np
    >>> import kcm
    >>> x, noise = np.random.default_rng(0).normal(size=(2, 100))
    >>> null = MultiplierBootstrap(99_999, stop="confidence")
    >>> result = kcm.KCMTest(null=null).run(kcm.FittedMoment(x + noise, x), rng=0)
    >>> result.null_distribution.describe()
    'rademacher multiplier bootstrap, 242 of 99,999 draws (stopped: confidence)'
    """

    n_resamples: int = 999
    weights: Weights = "rademacher"
    groups: Any = None
    stop: Stop | None = None
    level: float | None = None
    exceedances: int | None = None
    resampling_risk: float | None = None
    studentize: bool = False

    def __post_init__(self) -> None:
        check_option(self.weights, tuple(MULTIPLIERS), "weights")
        if isinstance(self.n_resamples, bool) or not isinstance(self.n_resamples, int | np.integer):
            raise OptionError(f"`n_resamples` must be an int; got {self.n_resamples!r}.")
        if not 1 <= self.n_resamples <= MOST_REPETITIONS:
            raise OptionError(
                f"`n_resamples` must be at least 1 and at most {MOST_REPETITIONS:,}; got "
                f"{self.n_resamples}."
            )
        if self.stop is not None:
            check_option(self.stop, get_args(Stop), "stop")
        check_stopping(self.stop, self.level, self.exceedances, self.resampling_risk)
        _check_reachable(self._rule(), int(self.n_resamples))
        _check_studentized(self)
        object.__setattr__(self, "groups", fixed(self.groups))

    @property
    def needs_all_pairs(self) -> bool:
        return bool(self.studentize)

    @property
    def allows_several_kernels(self) -> bool:
        # draws that stop are others for each kernel
        return self.stop is None

    def products_per_pair(self, n_obs: int, n_multipliers: int, n_moments: int) -> int:
        if n_multipliers < n_obs and n_multipliers <= MAX_CLUSTERS:
            return 2 * KERNEL_COST
        n_passes = -(-int(self.n_resamples) * n_obs * n_moments // BLOCK_SIZE)
        squares = (n_moments * (n_moments + 1) // 2) ** 2 if self.studentize else 0
        return int(self.n_resamples) * (n_moments + squares) + KERNEL_COST * n_passes

    def distribution(
        self, contraction: Contraction, rng: np.random.Generator
    ) -> BootstrapDistribution:
        """Return the law of the draws; the same `rng` gives the same draws."""
        if self.weights == "multinomial" and not contraction.moment.theta_known:
            raise OptionError(
                '`weights="multinomial"` is valid only when theta is known, and here it is '
                'estimated; use "rademacher".'
            )
        codes = group_codes(self.groups, contraction.n_obs)
        rule, asked = self._rule(), int(self.n_resamples)
        draws = self._draws(contraction, rng, codes)
        if len(draws) >= FEW_DRAWS:
            check_spread(float(np.abs(draws - contraction.statistic).max()), contraction)
        return BootstrapDistribution(draws, self.weights, rule, asked, bool(self.studentize))

    def _rule(self) -> StoppingRule:
        return stopping_rule(self.stop, self.level, self.exceedances, self.resampling_risk)

    def _draws(
        self, contraction: Contraction, rng: np.random.Generator, codes: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, " b"]:
        law, m, rule = MULTIPLIERS[self.weights], int(codes.max()) + 1, self._rule()
        source = _source(contraction, law, m, rng)
        quiet, draws = _quiet(contraction), np.empty(0)
        draw = studentized_drawer(quiet) if self.studentize else drawer(quiet, codes)
        statistic, width = contraction.statistic, _tie_width(contraction)
        work = float(contraction.scaled_residuals.size * contraction.n_obs)
        with _bar(contraction, work * int(self.n_resamples)) as done:
            for size in _block_sizes(self, contraction):
                before = rng.bit_generator.state
                block = draw(source(size))
                tied = np.abs(block - statistic) <= width
                draws = np.append(draws, np.where(tied, statistic, block))
                done(work * size)
                stop = rule.stops_at(exceeds(draws, statistic))
                if stop is not None:
                    # take from the generator what the draws that count take
                    rng.bit_generator.state = before
                    law(rng, stop - (len(draws) - size), m)
                    return draws[:stop]
        return draws


def _source(
    contraction: Contraction, law: Draw, m: int, rng: np.random.Generator
) -> Callable[[int], Float[np.ndarray, "b l"]]:
    """Return what gives multipliers, one row per draw: of the law, then the normal ones.

    Those have a generator of their own, so that blocks of any size give the same draws.
    """
    k = contraction.border.n_columns
    if k == 0:
        return lambda size: law(rng, size, m)
    normal = np.random.default_rng(rng.integers(2**63))
    return lambda size: np.hstack([law(rng, size, m), normal.standard_normal((size, k))])


def _tie_width(contraction: Contraction) -> float:
    """Return how far rounding moves draws in single precision that tie with the statistic.

    In double precision `exceeds` sees to it.
    """
    gram = contraction.gram
    single = gram.execution.precision == "single"
    if isinstance(gram, LowRankGram):
        single = gram.dtype == np.float32
    if not single:
        return 0.0
    squares = np.sum(contraction.scaled_residuals**2, axis=1)
    summed = contraction.factor * float(gram.diagonal() @ squares)
    return SINGLE_TIE * max(summed, abs(contraction.statistic))


def _quiet(contraction: Contraction) -> Contraction:
    """Return the contraction with no bar of its own: the draws have one."""
    gram: Any = contraction.gram
    execution = replace(gram.execution, progress=False)
    return replace(contraction, gram=replace(gram, execution=execution))


def _bar(contraction: Contraction, work: float) -> AbstractContextManager[Callable[[float], None]]:
    exact = isinstance(contraction.gram, TiledGram)
    return progress_bar(work if exact else 0.0, "Draws", contraction.gram.execution.progress)


def _block_sizes(null: MultiplierBootstrap, contraction: Contraction) -> Iterator[int]:
    held = min(BLOCK_SIZE, contraction.gram.execution.memory // COEFFICIENT_BYTES)
    most = max(1, held // contraction.scaled_residuals.size)
    left = int(null.n_resamples)
    size = most if null.stop is None else FIRST_BLOCK
    while left > 0:
        size = min(size, most, left)
        yield size
        left, size = left - size, 2 * size


def _check_reachable(rule: StoppingRule, n_resamples: int) -> None:
    if isinstance(rule, BesagClifford) and rule.exceedances > n_resamples:
        raise OptionError(
            f"`exceedances` is {rule.exceedances} and `n_resamples` {n_resamples}, so that nothing "
            "could stop the draws; `exceedances` must be at most `n_resamples`."
        )


def _check_studentized(null: MultiplierBootstrap) -> None:
    if not isinstance(null.studentize, bool | np.bool_):
        raise OptionError(f"`studentize` must be True or False; got {null.studentize!r}.")
    if null.studentize and null.groups is not None:
        raise OptionError(
            "`studentize=True` has no form for clusters; leave `groups` or `studentize` out."
        )
    if null.studentize and null.weights == "multinomial":
        raise OptionError(
            '`studentize=True` needs independent multipliers, and those of `weights="multinomial"` '
            'are not; use "rademacher".'
        )
