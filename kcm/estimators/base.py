"""What minimum-distance estimators share: from a moment and data to a search and results."""

import abc
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, TypeVar

import numpy as np
from jaxtyping import Float

from kcm._options import check_int, check_option
from kcm._records import one_line
from kcm.data import Sample
from kcm.estimators.fixed import FixedParameters, fix_parameters
from kcm.estimators.inference import estimation_results
from kcm.estimators.options import check_start, read_bounds, read_groups, read_starts, several
from kcm.estimators.results import EstimationResults
from kcm.estimators.search import METHODS, Minimum, Problem, SearchMethod, minimise
from kcm.exceptions import OptionError
from kcm.kernels import Gaussian, Kernel, check_definite
from kcm.moments import BoundMoment, LinearMoment, Moment

__all__ = ["Estimator", "Search", "prepare_estimator"]

# From a weight and starts to the minimum of the estimator's objective.
Search = Callable[..., Minimum]
Own = TypeVar("Own", bound="Estimator")


class Estimator(abc.ABC):
    """An estimator of theta in E[psi(Z; theta) | X] = 0 that minimises a form psi'W psi.

    Attributes
    ----------
    moment : Moment
    data : data frame or mapping
    kernel : Kernel or None

    Examples
    --------
    >>> import kcm
    >>> issubclass(kcm.MMR, Estimator)
    True
    """

    __slots__ = ()

    moment: Moment
    data: Any
    kernel: Kernel | None
    cov_types: ClassVar[tuple[str, ...]]

    def __repr__(self) -> str:
        return one_line(self)

    @classmethod
    def from_formula(
        cls: type[Own], formula: Any, data: Any, kernel: Kernel | None = None, **options: Any
    ) -> Own:
        """Build the estimator of one or several linear equations.

        Parameters
        ----------
        formula : str, list of str or mapping of str to str
            ``"y ~ x1 + x2 | z1 + z2"``: outcome, regressors, and after the bar the variables that
            the equation is conditioned on (by default those that the regressors mention), words
            and categories by an indicator of each level. A list or mapping of
            formulas makes a system; each of its equations is conditioned on the variables of all.
        data : data frame or mapping
            Of pandas, Polars or Arrow, or columns by name.
        kernel : Kernel, optional
            Default `Gaussian()`.
        **options
            Further options of the estimator.

        Returns
        -------
        Estimator
        """
        return cls(LinearMoment(formula), data, kernel, **options)  # type: ignore[call-arg]

    def fit(
        self,
        start: Any = None,
        bounds: Any = None,
        method: SearchMethod = "auto",
        n_starts: int = 1,
        cov_type: str | None = None,
        groups: Any = None,
        maxiter: int = 200,
        rng: Any = None,
    ) -> EstimationResults:
        """Estimate theta.

        Parameters
        ----------
        start : mapping, Series or pytree, or a list of them
            Where the search starts: parameter values by name, as the residual reads them. The
            lowest minimum from several starts is kept. Not needed with a formula.
        bounds : mapping, optional
            ``(lower, upper)`` by parameter name, None for no bound.
        method : {"auto", "closed-form", "trf", "dogbox", "lm"}
            "closed-form" where the residual is linear in theta, which "auto" (the default)
            recognises; otherwise a method of `scipy.optimize.least_squares`, "trf" by default,
            with exact jacobians.
        n_starts : int
            Starts in all; those not given are drawn around the first one, or within the bounds
            where both are finite. One that is drawn where the residual is not finite counts for
            nothing. Default 1.
        cov_type : str, optional
            "robust" (heteroskedasticity, HC0), the default of `MMR`; "efficient", which `VMM` has
            and takes by default; "cluster" (sums of the influence within `groups`), the default
            when there are groups.
        groups : str, Series or array_like of shape (n,), optional
            Clusters: the name of a column of the data, or labels.
        maxiter : int
            Most evaluations of the moment by the search from one start, before the exact
            Gauss-Newton steps. Default 200.
        rng : None, int, numpy Generator or JAX key, optional
            For the starts that are drawn.

        Returns
        -------
        EstimationResults

        Raises
        ------
        MomentError
            When the residual cannot be traced, has a wrong shape, or leaves out a parameter.
        DataError
            When data are missing, constant or not numbers, or the residual is not finite.
        IdentificationError
            When the moment does not determine the parameters; it names those involved.
        SaturatedModelError
            By `VMM`, when its first step fits exactly.
        OptionError
            When an option is not valid, or a start lies outside its bounds.

        Warns
        -----
        ConvergenceWarning
            When the search stopped before it reached a minimum.
        BoundaryWarning
            When a parameter ended at a bound; the others are then treated as if it were known.
        """
        cov_type = self._cov_type(cov_type, groups)
        check_option(method, METHODS, "method")
        check_int(maxiter, "maxiter")
        first = next(iter(several(start)), None)
        bound, kernel = self._bind(first, "start")
        box = read_bounds(bounds, bound.tree.labels)
        if method == "lm" and np.isfinite(box).any():
            raise OptionError('`method="lm"` knows no `bounds`; use "trf" or "dogbox".')
        starts = read_starts(start, bound, box, n_starts, rng)
        for given in starts[: max(1, len(several(start)))]:
            check_start(bound, given)
        codes = read_groups(cov_type, groups, self.data, bound)
        problem = Problem(bound.evaluate, bound.tree.labels, *box)
        search = partial(minimise, problem, method=method, maxiter=maxiter)
        minimum, notes = self._minimise(bound, kernel, starts, search)
        return estimation_results(self, bound, kernel, minimum, cov_type, codes, box, notes)

    def at(self, params: Any) -> FixedParameters:
        """Fix theta at given values, for the test of a moment whose theta is known.

        Known are values from theory or a calibration, or those that are themselves the hypothesis.
        Estimates of another sample are not: for these `kcm.specification_test(results, data=...)`.

        Parameters
        ----------
        params : mapping, Series or pytree
            All parameters by name.

        Returns
        -------
        FixedParameters
            With ``test()``.

        Raises
        ------
        MomentError, DataError, OptionError
            As `fit`.
        """
        if params is None:
            raise OptionError("`params` is needed: the value of each parameter by name.")
        bound, kernel = self._bind(params, "params")
        check_start(bound, bound.start)
        return fix_parameters(bound, kernel, self)

    @property
    def picklable(self) -> bool:
        """Whether the moment, with its residual function, can be pickled."""
        try:
            pickle.dumps(self.moment)
        except (pickle.PicklingError, AttributeError, TypeError):
            return False
        return True

    @abc.abstractmethod
    def _minimise(
        self,
        bound: BoundMoment,
        kernel: Kernel,
        starts: list[Float[np.ndarray, " p"]],
        search: Search,
    ) -> tuple[Minimum, tuple[str, ...]]:
        """Return the minimum, and notes for the summary."""

    def _bind(self, params: Any, argument: str) -> tuple[BoundMoment, Kernel]:
        bound = self.moment.bind(self.data, params, argument)
        return bound, (self.kernel or Gaussian()).resolve(bound.conditioning)

    def _cov_type(self, cov_type: str | None, groups: Any) -> str:
        if cov_type is None:
            return "cluster" if groups is not None else self.cov_types[0]
        return check_option(cov_type, self.cov_types, "cov_type")


def prepare_estimator(estimator: Estimator) -> None:
    """Refuse what is not a moment or a kernel, and read a sample as a data frame."""
    if not isinstance(estimator.moment, Moment):
        raise OptionError(
            "`moment` must be a kcm.ConditionalMoment(residual, conditioning); got "
            f"{type(estimator.moment).__name__}. For a formula use from_formula."
        )
    if estimator.kernel is not None and not isinstance(estimator.kernel, Kernel):
        raise OptionError(
            f"`kernel` must be a kernel such as kcm.kernels.Gaussian(); got {estimator.kernel!r}."
        )
    if estimator.kernel is not None:
        check_definite(estimator.kernel, "estimation")
    if isinstance(estimator.data, Sample):
        object.__setattr__(estimator, "data", estimator.data.frame())
