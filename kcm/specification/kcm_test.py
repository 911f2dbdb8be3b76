"""The kernel conditional moment test: kernel, statistic and null law -> result."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Int

from kcm._options import as_generator, check_option, listed
from kcm._records import fixed
from kcm._variation import check_sizes
from kcm.exceptions import OptionError, SaturatedModelError
from kcm.gram import Execution, reads_as_numbers
from kcm.kernels import Kernel, for_kinds, measures_distances, scales_for_kinds
from kcm.moments import (
    FittedMoment,
    MomentLabels,
    check_spans_constant,
    group_codes,
    high_leverage_notes,
    orthogonal_moment,
    well_conditioned,
)
from kcm.null import Asymptotic, Computation, Method, Null, Outcome, Problem
from kcm.specification.combination import (
    Combined,
    KernelTest,
    PenalizedMaximum,
    Settings,
    joint_outcome,
)
from kcm.specification.members import Members, members
from kcm.specification.result import KCMTestResult
from kcm.statistic import StatisticName

__all__ = ["KCMTest", "check_moment", "kernels_on", "projected", "together"]


@final
@dataclass(frozen=True, slots=True)
class KCMTest:
    r"""Configuration of the kernel conditional moment test.

    The statistic is n times the squared maximum moment restriction,

    .. math:: T_U = \tfrac{1}{n-1} \textstyle\sum_{i \ne j} \psi_i' k(x_i, x_j) \psi_j, \qquad
        T_V = \tfrac1n \sum_{i,j} \psi_i' k(x_i, x_j) \psi_j ,

    and large values speak against E[psi | X] = 0. With a kernel that is integrally strictly
    positive definite on all conditioning columns (Gaussian, Laplace, inverse multiquadric) every
    departure is found when n is large enough, save those that the estimate of theta absorbs.

    Parameters
    ----------
    kernel : Kernel, "adaptive", list of Kernel or PenalizedMaximum, optional
        "adaptive" takes Gaussians at 1/4, 1 and 2 times the median heuristic, and Laplace kernels
        at 1 and 2 times (times the kernels of categories), so that slow, fast and local
        departures are found; from eight numeric columns on also an `Additive` kernel, and a
        `LinearIndex` kernel of the index of the fit, where the moment has one that is close to a
        linear function of the columns. It combines their p-values: by the Cauchy combination, or
        with a bootstrap null by the smallest p-value in the same draws. A list of kernels is
        combined in the same way; `kcm.PenalizedMaximum` chooses one. Default `Gaussian()`, with
        the median heuristic on the conditioning columns; where some hold categories, strings or
        booleans, the product kernel of `kcm.kernels.for_frame`.
    statistic : {"U", "V"}
        Default "U", unbiased for the squared maximum moment restriction.
    null : Null, optional
        `Asymptotic()` (default), `MultiplierBootstrap()`, or for a bandwidth that goes to zero
        `StudentizedNormal()`.
    method : {"auto", "exact", "low-rank"}
        "exact" uses all pairs of observations, "low-rank" a Nystroem factor of the Gram matrix and
        says in the result's `certificate` how far its p-value can be from the exact one. "auto",
        the default, is exact up to 5e11 products (about 30,000 observations) and low-rank beyond;
        where a low-rank p-value leaves the decision at .01, .05 or .10 open it refines the factor
        or computes exactly, and says so. The kernels of "adaptive" share this work (about 13,000
        observations): beyond, those that need most rank stay exact as far as it goes, the notes
        tell the rank of the others, and name a kernel of which its factor sees next to nothing,
        which is left out.
    tolerance : float, optional
        The low-rank factor leaves out at most this share of the trace of the Gram matrix, as far
        as its rank (at most 2,048) and `memory_limit` allow. Default 0.01.
    memory_limit : int or str, optional
        Bytes, or text such as "256 MB", for the computation beyond the data. Default: a quarter of
        the machine's memory, at most 4 GiB.
    precision : {"double", "mixed", "single"}
        Of the tiles of the Gram matrix: "mixed", the default, takes double for the statistic and
        its cumulants and single for bootstrap draws, of which those close to the statistic are
        computed again in double. Sums are always in double.
    device : jax.Device or str, optional
        Where to compute: "cpu", "gpu", "gpu:1". Default: JAX's default device.
    mesh : jax.sharding.Mesh, optional
        Several devices that share the work.
    progress : bool
        Show a bar when the work is predicted to take more than about five seconds. Default True.
    projection : {"estimator", "orthogonal"}
        How the null law takes the estimation of theta into account. "estimator", the default and
        valid always, by the influence of the estimator itself. "orthogonal" projects residuals and
        draws on the complement of the jacobian, by P = I - S (S'S)^-1 S'; it can be more powerful
        and is valid where S is a function of exogenous variables, as in least squares (where it
        changes nothing) and generalised linear models. It is refused with theta known, for
        instrumental variables, GMM and quantile regression; with a `FittedMoment` of your own or
        an `MMR` or `VMM` estimate, asking for it asserts that it is valid.

    Raises
    ------
    OptionError
        When an option is not one of those listed, or not for the null.

    References
    ----------
    Muandet, Jitkrittum and Kuebler (2020), Kernel conditional moment test via maximum moment
    restriction, UAI.

    Examples
    --------
    >>> import numpy as np
    >>> import kcm
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=200)
    >>> psi = np.sin(2 * x) + rng.normal(size=200)
    >>> KCMTest().run(kcm.FittedMoment(psi, x)).pvalue < 0.01
    True
    """

    kernel: Kernel | Sequence[Kernel] | PenalizedMaximum | Literal["adaptive"] | None = None
    statistic: StatisticName = "U"
    null: Null | None = None
    method: Method = "auto"
    tolerance: float | None = None
    memory_limit: Any = None
    precision: Literal["double", "mixed", "single"] = "mixed"
    device: Any = None
    mesh: Any = None
    progress: bool = True
    projection: Literal["estimator", "orthogonal"] = "estimator"

    def __post_init__(self) -> None:
        check_option(self.projection, ("estimator", "orthogonal"), "projection")
        check_option(self.statistic, ("U", "V"), "statistic")
        _check_kernel(self.kernel)
        if self.null is not None and not isinstance(self.null, Null):
            raise OptionError(
                "`null` must be kcm.Asymptotic(), kcm.MultiplierBootstrap() or "
                f"kcm.StudentizedNormal(); got {self.null!r}."
            )
        check_option(self.method, ("auto", "exact", "low-rank"), "method")
        _check_tolerance(self.tolerance, self.method)
        _check_all_pairs(self.null, self.method)
        self._computation()

    def _computation(self) -> Computation:
        where = self.memory_limit, self.device, self.mesh
        execution = Execution(*where, progress=self.progress, precision=self.precision)
        tolerance = None if self.tolerance is None else float(self.tolerance)
        return Computation(self.method, tolerance, execution)

    def run(self, fitted_moment: FittedMoment, rng: Any = None) -> KCMTestResult:
        """Test a fitted moment.

        Parameters
        ----------
        fitted_moment : FittedMoment
        rng : None, int, numpy Generator or JAX key, optional
            Source of the bootstrap's multipliers; the same value gives the same result. Not used
            by the asymptotic law.

        Returns
        -------
        KCMTestResult

        Raises
        ------
        SaturatedModelError
            When all residuals are zero, or the kernel sees nothing of them.
        DataError
            When the kernel is not finite on the data.
        OptionError
            When the null law, the kernel or the projection is not valid for this moment.
        """
        check_moment(fitted_moment)
        _check_shared(rng, self.mesh)
        moment = projected(fitted_moment, self.projection)
        generator, names = as_generator(rng), moment.labels
        kernels = kernels_on(moment, self.kernel)
        posed = well_conditioned(moment)
        several = _outcomes(self._computation(), posed, kernels, self, generator)
        tests = tuple(_kernel_test(outcome) for outcome in several.outcomes)
        found = together(several.outcomes, self)
        test_groups = getattr(self.null, "groups", None)
        groups = None if test_groups is None else fixed(group_codes(test_groups, moment.n_obs))
        certificate = found.certificate.with_notes(several.notes)
        rows = _clusters(groups) if groups is not None else high_leverage_notes(moment)
        notes = (*certificate.notes, *names.notes, *rows)
        return KCMTestResult(
            statistic=found.statistic,
            pvalue=found.pvalue,
            null_distribution=found.law,
            n_obs=fitted_moment.n_obs,
            kernel=tests[found.leading].kernel,
            mmr=tests[found.leading].statistic / fitted_moment.n_obs,
            statistic_name=found.name,
            null_hypothesis=f"{_conditional_mean(names)} = 0",
            alternative=f"{_conditional_mean(names)} is not 0 everywhere",
            conditioning_names=names.conditioning,
            theta=names.theta,
            n_dropped=names.n_dropped,
            certificate=replace(certificate, notes=notes),
            kernel_tests=tests,
            moment=moment,
            groups=groups,
            settings=_settings(self),
        )


def _clusters(groups: Int[np.ndarray, " n"]) -> tuple[str, ...]:
    return (f"The null law has one multiplier for each of {groups.max() + 1:,} clusters",)


def _conditional_mean(labels: MomentLabels) -> str:
    return f"E[{labels.moment} | {', '.join(labels.conditioning)}]"


def check_moment(moment: Any) -> None:
    """Refuse what is not a moment, and one without residuals."""
    if not isinstance(moment, FittedMoment):
        raise OptionError(
            f"`fitted_moment` must be a FittedMoment; got {type(moment).__name__}. "
            "For a fitted model call kcm.specification_test(fit)."
        )
    if not np.any(moment.residuals):
        raise SaturatedModelError("all `residuals` are zero, so there is nothing to test.")


def projected(moment: FittedMoment, projection: str) -> FittedMoment:
    """Return the moment that the projection asks for."""
    return orthogonal_moment(moment) if projection == "orthogonal" else moment


def _check_kernel(kernel: Any) -> None:
    several = isinstance(kernel, list | tuple) and len(kernel) > 0
    given = kernel if several else [kernel]
    if kernel is None or is_adaptive(kernel) or isinstance(kernel, PenalizedMaximum):
        return
    if not all(isinstance(k, Kernel) for k in given):
        raise OptionError(
            "`kernel` must be a kernel such as kcm.kernels.Gaussian(), a list of one kernel or "
            f'more, kcm.PenalizedMaximum(...) or "adaptive"; got {kernel!r}.'
        )


def is_adaptive(kernel: Any) -> bool:
    """Tell whether an argument asks for the adaptive test."""
    return isinstance(kernel, str) and kernel == "adaptive"


def _outcomes(
    computation: Computation,
    moment: FittedMoment,
    kernels: Sequence[Kernel],
    test: KCMTest,
    rng: np.random.Generator,
) -> Members:
    """Return what each kernel finds, all with the same draws."""
    state, null = rng.bit_generator.state, test.null or Asymptotic()
    if is_adaptive(test.kernel) and len(kernels) > 1:
        fixed = test.statistic, null, rng, computation.execution
        return members([Problem(moment, kernel, *fixed) for kernel in kernels], computation)
    outcomes = []
    for kernel in kernels:
        rng.bit_generator.state = state
        outcomes.append(computation.outcome(moment, kernel, test.statistic, null, rng))
    return Members(tuple(outcomes), ())


def together(outcomes: Sequence[Outcome], test: KCMTest) -> Combined:
    """Return the one outcome, the one chosen of several, or their combination."""
    return joint_outcome(outcomes, test.statistic, _maximum(test))


def _maximum(test: KCMTest) -> PenalizedMaximum | None:
    return test.kernel if isinstance(test.kernel, PenalizedMaximum) else None


def _settings(test: KCMTest) -> Settings:
    """Return how the test is run."""
    return Settings(test.statistic, test.null or Asymptotic(), _maximum(test))


def _kernel_test(outcome: Outcome) -> KernelTest:
    contraction, law, certificate, pvalue = outcome
    return KernelTest(contraction.kernel, contraction.statistic, pvalue, law, certificate)


def kernels_on(moment: FittedMoment, given: Any) -> tuple[Kernel, ...]:
    """Return resolved kernels: those given, the adaptive ones, or the one for the columns."""
    kinds = moment.labels.kinds
    _check_sizes(moment, given)
    if is_adaptive(given):
        given = scales_for_kinds(kinds, moment.conditioning, moment.index)
    if isinstance(given, PenalizedMaximum):
        given = given.kernels
    kernels = given if isinstance(given, list | tuple) else (given or for_kinds(kinds),)
    return tuple(_kernel_on(moment, kernel) for kernel in kernels)


def _check_sizes(moment: FittedMoment, given: Any) -> None:
    """Refuse columns of numbers, by name, whose distances are no doubles."""
    several = given.kernels if isinstance(given, PenalizedMaximum) else given
    kernels = several if isinstance(several, list | tuple) else [several]
    if any(not isinstance(k, Kernel) or measures_distances(k) for k in kernels):
        names, kinds = moment.labels.conditioning, moment.labels.kinds
        numbers = [j for j, kind in enumerate(kinds) if kind == "continuous"]
        check_sizes(moment.conditioning[:, numbers], [names[j] for j in numbers])


def _kernel_on(moment: FittedMoment, given: Kernel) -> Kernel:
    """Resolve a kernel and check that it fits."""
    labels, points = moment.labels, moment.conditioning
    kernel = given.resolve(points)
    if kernel.conditionally_positive:
        check_spans_constant(moment)
    unordered = [j for j, kind in enumerate(labels.kinds) if kind == "unordered"]
    misread = [labels.conditioning[j] for j in reads_as_numbers(kernel, points, unordered)]
    if misread:
        raise OptionError(
            f"`kernel` takes the codes of {listed(misread)} for numbers, but the levels have no "
            "order. Leave it out, or use kcm.kernels.AitchisonAitken() on such columns as "
            "kcm.kernels.for_frame does."
        )
    return kernel


def _check_all_pairs(null: Null | None, method: str) -> None:
    if method == "low-rank" and null is not None and null.needs_all_pairs:
        raise OptionError(
            '`method="low-rank"` is not for laws that need all pairs of observations, as '
            "StudentizedNormal() and MultiplierBootstrap(studentize=True) do; use "
            'method="exact" or "auto".'
        )


def _check_shared(rng: Any, mesh: Any) -> None:
    if rng is None and mesh is not None and mesh.is_multi_process:
        raise OptionError(
            "`rng` must be a seed where the devices of `mesh` belong to several processes, so that "
            "all of them draw the same multipliers; got None."
        )


def _check_tolerance(tolerance: Any, method: str) -> None:
    if tolerance is None:
        return
    number = isinstance(tolerance, Real) and not isinstance(tolerance, bool)
    # a fraction may be above zero and no float
    if not (number and 0 < tolerance < 1 and float(tolerance) > 0):
        raise OptionError(f"`tolerance` must lie strictly between 0 and 1; got {tolerance!r}.")
    if method == "exact":
        raise OptionError('`tolerance` is for a low-rank factor; method="exact" uses none.')
