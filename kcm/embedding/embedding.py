"""The conditional moment embedding of a fitted moment."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int

from kcm._options import MOST_REPETITIONS, as_generator, check_int, check_level
from kcm.embedding.absorbed import absorbed_share
from kcm.embedding.band import WitnessBand, witness_band
from kcm.embedding.contributions import Contributions, KernelOfVariables, contributions
from kcm.embedding.distance import EmbeddingDistance
from kcm.embedding.effect import effect_size
from kcm.embedding.estimate import InnerEstimate, NormEstimate
from kcm.embedding.local_mean import local_mean, smoothed_at
from kcm.embedding.norm import squared_norm
from kcm.embedding.picture import chosen_variables, witness_picture
from kcm.embedding.points import as_points, positions
from kcm.embedding.projections import Projections, projections, standard_error
from kcm.exceptions import DataError, OptionError
from kcm.gram import Execution
from kcm.kernels import Kernel, for_kinds
from kcm.moments import FittedMoment, combined_moment, group_codes, marginal_moment
from kcm.null import Asymptotic, Computation, Outcome

__all__ = ["ConditionalMomentEmbedding"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ConditionalMomentEmbedding:
    r"""The function that the residuals leave in the space of the kernel: where a model fails.

    .. math:: \hat\mu(x) = \tfrac1n \textstyle\sum_i \psi_i\, k(x_i, x)

    estimates mu(x) = E[psi k(X, x)], which is zero everywhere when E[psi | X] = 0, and whose
    squared norm is the squared maximum moment restriction M^2. `result.embedding` of a test and
    `results.embedding()` of an estimation make one.

    Parameters
    ----------
    moment : FittedMoment
    kernel : Kernel
        Bandwidth rules are resolved on the conditioning variables.
    groups : array_like of shape (n,), optional
        Cluster labels, by position: errors and bands then take the rows of a cluster as
        dependent.
    memory_limit, device, mesh, progress
        How it is computed, as in `kcm.KCMTest`.

    Raises
    ------
    OptionError
        When an argument is not of its kind.

    Notes
    -----
    Nothing computed is held: each call makes its passes. With q components values have q columns.

    References
    ----------
    Muandet, Jitkrittum and Kuebler (2020), Kernel conditional moment test via maximum moment
    restriction, UAI, sections 3 and A.

    Examples
    --------
    >>> import kcm
    >>> x, e = np.random.default_rng(0).normal(size=(2, 200))
    >>> moment = kcm.FittedMoment(x**2 - 1 + e, x)
    >>> embedding = ConditionalMomentEmbedding(moment, kcm.kernels.Gaussian())
    >>> embedding.local_mean([0.0, 2.0]).round(1).ravel()
    array([-0.7,  0.7])
    """

    moment: FittedMoment
    kernel: Kernel
    groups: Any = None
    memory_limit: Any = None
    device: Any = None
    mesh: Any = None
    progress: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.moment, FittedMoment):
            told = type(self.moment).__name__
            raise OptionError(f"`moment` must be a kcm.FittedMoment; got {told}.")
        if not isinstance(self.kernel, Kernel):
            raise OptionError(
                f"`kernel` must be a kernel such as kcm.kernels.Gaussian(); got {self.kernel!r}."
            )
        object.__setattr__(self, "kernel", self.kernel.resolve(self.moment.conditioning))
        self._execution()
        self._codes()

    def __repr__(self) -> str:
        labels = self.moment.labels
        told = f"E[{labels.moment} | {', '.join(labels.conditioning)}]"
        return f"ConditionalMomentEmbedding({told}, n_obs={self.moment.n_obs}, {self.kernel!r})"

    @property
    def norm(self) -> NormEstimate:
        """The squared norm M^2, with standard error and confidence interval.

        From the U statistic, less its bias from the estimation of theta; the error is that of
        sqrt(n) (M^2_U - M^2) -> N(0, 4 s^2), which the influence enters. Two passes over pairs.
        """
        found, execution = self._projections(), self._execution()
        return squared_norm(self.moment, self.kernel, found, self._codes(), execution)

    def effect_size(self) -> NormEstimate:
        r"""Return M^2 over E[psi'psi k(X, X)], a number between 0 and 1.

        It has no unit: 0 when the model is right, and the more of the residual's size is in its
        conditional mean, and the smoother that is for the kernel, the larger.

        Returns
        -------
        NormEstimate

        Raises
        ------
        OptionError
            With a kernel that is positive on weights that sum to zero only.
        """
        return effect_size(self.moment, self.kernel, self._projections(), self._codes())

    def absorbed_share(self) -> float:
        """Return the share of what the kernel sees that the estimate of theta takes up.

        tr(Pi K) / tr K, Pi the projection on the span of the jacobian: 0 with theta known, 1 where
        nothing is left to see. With an endogenous regressor it is indicative only.
        """
        return absorbed_share(self.moment, self.kernel, self._execution())

    def witness(self, x: Any) -> Float[np.ndarray, "m q"]:
        """Return mu_hat at new points.

        Parameters
        ----------
        x : array_like of shape (m,) or (m, d), or table
            Points; a table has a column for each conditioning variable, with categories as they
            were in the data.

        Returns
        -------
        ndarray of shape (m, q)
            In units of the residual times the kernel; large where the residuals of many
            observations are of one sign.

        Raises
        ------
        DataError
            When `x` does not have the conditioning variables, or a level that is not known.
        """
        return self._smoothed(x)[:, :-1]

    def local_mean(self, x: Any) -> Float[np.ndarray, "m q"]:
        """Return mu_hat over the kernel density n^-1 sum_i k(x_i, x): the mean residual near x.

        Parameters
        ----------
        x : array_like of shape (m,) or (m, d), or table
            Points, as for `witness`.

        Returns
        -------
        ndarray of shape (m, q)
            In units of the residual; NaN where no observation is within reach of the kernel.

        Raises
        ------
        DataError
            As `witness`.
        OptionError
            When the kernel sums to less than zero somewhere, so that it weighs nothing.
        """
        return local_mean(self._smoothed(x), self.kernel)

    def density(self, x: Any) -> Float[np.ndarray, " m"]:
        """Return n^-1 sum_i k(x_i, x) at points as for `witness`: what the local mean is over."""
        return self._smoothed(x)[:, -1]

    def band(
        self, x: Any, level: float = 0.95, rng: Any = None, n_resamples: int = 999
    ) -> WitnessBand:
        """Return the witness with a band that holds at all the points at once.

        Parameters
        ----------
        x : array_like of shape (m,) or (m, d), or table
            Points, as for `witness`.
        level : float
            Coverage, in (0, 1). Default 0.95.
        rng : None, int, numpy Generator or JAX key, optional
            Source of the multipliers; the same value gives the same band.
        n_resamples : int
            Multiplier draws. Default 999.

        Returns
        -------
        WitnessBand
            Of the witness; `over_density()` makes it one of the local mean. Where it excludes
            zero the model fails.
        """
        check_level(level)
        check_int(n_resamples, "n_resamples", most=MOST_REPETITIONS)
        points, generator = as_points(x, self.moment.labels), as_generator(rng)
        execution = self._execution()
        problem = self.moment, self.kernel, self._codes(), points
        with execution.on_device():
            return witness_band(*problem, level, n_resamples, generator, execution)

    def inner(self, other: "ConditionalMomentEmbedding") -> InnerEstimate:
        """Return the inner product with the embedding of another model of the same rows.

        Parameters
        ----------
        other : ConditionalMomentEmbedding
            Its kernel is not looked at: both are embedded by this kernel.

        Returns
        -------
        InnerEstimate
            (||mu_1 + mu_2||^2 - ||mu_1 - mu_2||^2) / 4, positive where the two models fail in
            the same way.

        Raises
        ------
        DataError
            When the rows, conditioning variables or equations differ.
        """
        codes = self._codes()
        total, rest = (self._with(other, sign)._projections() for sign in (1, -1))
        value = (total.norm(codes).value - rest.norm(codes).value) / 4
        errors = (total.errors - rest.errors) / 4
        return InnerEstimate(value, 2 * standard_error(errors, codes))

    def distance(self, other: "ConditionalMomentEmbedding") -> EmbeddingDistance:
        """Return the squared distance to the embedding of another model (CMMD), and test it.

        Parameters
        ----------
        other : ConditionalMomentEmbedding
            Of the same rows, conditioning variables and number of equations. Its kernel is not
            looked at: both are embedded by this kernel.

        Returns
        -------
        EmbeddingDistance
            Its null hypothesis is that both residuals have the same conditional mean.

        Raises
        ------
        DataError
            When the rows, conditioning variables or equations differ, or the residuals do not.
        """
        apart = self._with(other, -1)
        if not np.any(apart.moment.residuals):
            raise DataError("`other` has the same residuals as this moment; their distance is 0.")
        outcome = apart._outcome()
        statistic = outcome.contraction.statistic
        labels = apart.moment.labels
        return EmbeddingDistance(
            apart.norm,
            statistic,
            outcome.pvalue,
            outcome.law,
            outcome.certificate,
            f"E[{labels.moment} | {', '.join(labels.conditioning)}] = 0",
        )

    def contributions(self, kernel: Kernel | None = None) -> Contributions:
        """Return the share of n M^2 of each observation and of each conditioning variable.

        Parameters
        ----------
        kernel : Kernel, optional
            Taken for one variable alone and for all but one; its bandwidth rules are resolved on
            these. Default: the default kernel of the variables.

        Returns
        -------
        Contributions
            With a test of each variable alone and one of all others, p-values adjusted by Holm's
            rule. A variable in whose values the model is saturated has a share of 0 and p = 1.
        """
        moment = self.moment

        def test_of(columns: list[int]) -> KernelOfVariables:
            return KernelOfVariables.found(self._of(columns, kernel)._outcome)

        return contributions(self._projections(), moment.labels.conditioning, test_of)

    def marginal(
        self, variables: str | Sequence[str], kernel: Kernel | None = None
    ) -> "ConditionalMomentEmbedding":
        """Return the embedding of the same residuals given some of the variables only.

        Parameters
        ----------
        variables : str or sequence of str
            Conditioning variables.
        kernel : Kernel, optional
            Default: the default kernel of these variables; that of this embedding where they are
            all of its variables in their order.

        Returns
        -------
        ConditionalMomentEmbedding

        Raises
        ------
        OptionError
            When a variable is not one of the conditioning variables.
        """
        return self._of(positions(variables, self.moment.labels), kernel)

    def plot_witness(
        self,
        variables: str | Sequence[str] | None = None,
        level: float = 0.95,
        component: int = 0,
        kernel: Kernel | None = None,
        rng: Any = 0,
        ax: Any = None,
    ) -> Any:
        """Plot the local mean of the residual given one or two variables, with its band.

        A number: a line with the simultaneous band over the residuals and a rug of the data. A
        category: bars. Two numbers: a map with the region outlined where the band excludes zero.

        Parameters
        ----------
        variables : str or sequence of str, optional
            One conditioning variable, or two that hold numbers. Default: all, if they are one or
            two.
        level : float
            Coverage of the band, in (0, 1). Default 0.95.
        component : int
            Equation of a vector moment, from 0. Default 0.
        kernel : Kernel, optional
            As for `marginal`: default the kernel of this embedding where all its variables are
            drawn, and the default kernel of those drawn where they are not.
        rng : None, int, numpy Generator or JAX key, optional
            Source of the band's multipliers. Default 0: the picture is the same every time.
        ax : matplotlib Axes, optional
            Default: a new figure.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        OptionError
            When the variables cannot be drawn, or matplotlib is not installed.
        """
        chosen = chosen_variables(variables, self.moment.labels)
        return witness_picture(self.marginal(chosen, kernel), component, level, rng, ax)

    def _of(self, columns: list[int], kernel: Kernel | None) -> "ConditionalMomentEmbedding":
        if kernel is None and columns == list(range(self.moment.n_conditioning)):
            return self
        moment = marginal_moment(self.moment, columns)
        return replace(self, moment=moment, kernel=kernel or for_kinds(moment.labels.kinds))

    def _with(self, other: Any, sign: Any) -> "ConditionalMomentEmbedding":
        if not isinstance(other, ConditionalMomentEmbedding):
            told = type(other).__name__
            raise OptionError(f"`other` must be a ConditionalMomentEmbedding; got {told}.")
        return replace(self, moment=combined_moment(self.moment, other.moment, sign))

    def _smoothed(self, x: Any) -> Float[np.ndarray, "m k"]:
        """Return the witness at points, and the density in the last column."""
        points, execution = as_points(x, self.moment.labels), self._execution()
        with execution.on_device():
            return smoothed_at(self.moment, self.kernel, points, execution)

    def _projections(self) -> Projections:
        execution = self._execution()
        with execution.on_device():
            return projections(self.moment, self.kernel, self._codes(), execution)

    def _outcome(self) -> Outcome:
        """Return the asymptotic test of the U statistic."""
        computation = Computation("auto", None, self._execution())
        null, rng = Asymptotic(groups=self.groups), np.random.default_rng(0)
        return computation.outcome(self.moment, self.kernel, "U", null, rng)

    def _execution(self) -> Execution:
        return Execution(self.memory_limit, self.device, self.mesh, self.progress)

    def _codes(self) -> Int[np.ndarray, " n"]:
        return group_codes(self.groups, self.moment.n_obs)
