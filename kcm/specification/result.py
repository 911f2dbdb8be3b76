"""The record that every test returns."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from jaxtyping import Int

from kcm._options import as_generator, check_level
from kcm.embedding import ConditionalMomentEmbedding
from kcm.exceptions import DataError, OptionError
from kcm.kernels import Kernel
from kcm.moments import FittedMoment
from kcm.null import BootstrapDistribution, Certificate, NullDistribution, method_rows
from kcm.reporting import (
    Compared,
    Summary,
    critical_text,
    decision,
    draw_members,
    draw_null,
    dropped_text,
    interval_row,
    kernel_rows,
    pvalue_words,
    report_page,
)
from kcm.specification.combination import PENALIZED, KernelTest, Settings
from kcm.specification.size_check import SizeCheck, Subject, check_size

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KCMTestResult", "KernelTest"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class KCMTestResult:
    """Outcome of a kernel conditional moment test.

    Plain numbers, NumPy arrays and words: it pickles, and holds of the model no more than the
    arrays of its fitted moment, n (q + d + 2 q p) numbers, for the embedding and the pictures;
    `remove_data` gives a copy without them.

    Attributes
    ----------
    statistic : float
        T = n M^2, in squared units of the residual; of several kernels what `statistic_name` tells.
    pvalue : float
        Probability of a statistic this large when the model is right.
    null_distribution : NullDistribution
        The law of the statistic under the null, with `pvalue(t)` and `critical_value(level)`.
    n_obs : int
        Observations used.
    kernel : Kernel
        The kernel with its bandwidths as numbers; of several the one with the smallest p-value, of
        `kcm.PenalizedMaximum` the one chosen.
    mmr : float
        The squared maximum moment restriction M^2 = T / n of `kernel`; the U estimate can be
        negative.
    statistic_name : str
        "U" or "V", or what the combination of several kernels is.
    null_hypothesis, alternative : str
        The two hypotheses in words.
    conditioning_names : tuple of str
    theta : str
        "known", or how it was estimated.
    n_dropped : int
        Rows left out for missing values.
    certificate : Certificate
        Whether the p-value is exact or low-rank, and how far a low-rank one can be off.
    kernel_tests : tuple of KernelTest
        The test of each kernel.
    moment : FittedMoment or None
        What was tested; None after `remove_data`.
    groups : ndarray of int, shape (n,), or None
        Cluster numbers of the null law.
    settings : Settings or None
        Statistic, null and combination that were asked for.

    Examples
    --------
    >>> import numpy as np
    >>> import kcm
    >>> x, psi = np.random.default_rng(0).normal(size=(2, 100))
    >>> result = kcm.KCMTest().run(kcm.FittedMoment(psi, x))
    >>> result.null_hypothesis
    'E[psi | x1] = 0'
    """

    statistic: float
    pvalue: float
    null_distribution: NullDistribution
    n_obs: int
    kernel: Kernel
    mmr: float
    statistic_name: str
    null_hypothesis: str
    alternative: str
    conditioning_names: tuple[str, ...]
    theta: str
    n_dropped: int
    certificate: Certificate
    kernel_tests: tuple[KernelTest, ...]
    moment: FittedMoment | None = None
    groups: Int[np.ndarray, " n"] | None = None
    settings: Settings | None = None

    def __repr__(self) -> str:
        return (
            f"KCMTestResult(statistic={self.statistic:.6g}, pvalue={self.pvalue:.4g}, "
            f"n_obs={self.n_obs}, null={self.null_hypothesis!r})"
        )

    def _repr_html_(self) -> str:
        return self.summary().as_html()

    @property
    def embedding(self) -> ConditionalMomentEmbedding:
        """The conditional moment embedding by `kernel`: where the model fails.

        Of a test with several kernels it is that of `kernel`. With the orthogonal projection it is
        that of the projected residuals.
        """
        if self.moment is None:
            raise _data_removed()
        return ConditionalMomentEmbedding(self.moment, self.kernel, self.groups)

    def remove_data(self) -> "KCMTestResult":
        """Return the result without the arrays of the moment: without embedding and size check."""
        return replace(self, moment=None, groups=None, settings=None)

    def plot_null(self, level: float = 0.05, ax: Any = None) -> Any:
        """Plot the null law, with the critical value and the statistic.

        Of several kernels whose p-values are combined: their p-values on a line, and the one that
        they make.

        Parameters
        ----------
        level : float
            Of the critical value, in (0, 1). Default 0.05.
        ax : matplotlib Axes, optional
            Default: a new figure.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        OptionError
            When matplotlib is not installed.
        """
        law, words = self.null_distribution, (self._statistic_words(), self.null_hypothesis)
        draws = law.draws if isinstance(law, BootstrapDistribution) else None
        if draws is None and len(self.kernel_tests) > 1:
            check_level(level)
            members = *self._kernels_told(), self.pvalue
            return draw_members(*members, level, self.null_hypothesis, ax)
        critical = law.critical_value(level)
        return draw_null(law, draws, self.statistic, self.pvalue, (critical, level), words, ax)

    def plot_witness(
        self,
        variables: str | Sequence[str] | None = None,
        level: float = 0.95,
        component: int = 0,
        kernel: Kernel | None = None,
        rng: Any = 0,
        ax: Any = None,
    ) -> Any:
        """Plot where the model fails; `ConditionalMomentEmbedding.plot_witness` has the options."""
        how = level, component, kernel, rng, ax
        return self.embedding.plot_witness(variables, *how)

    def plot_contributions(self, kernel: Kernel | None = None, ax: Any = None) -> Any:
        """Plot what each conditioning variable alone contributes, with adjusted p-values.

        Parameters
        ----------
        kernel : Kernel, optional
            As for `ConditionalMomentEmbedding.contributions`.
        ax : matplotlib Axes, optional
            Default: a new figure.

        Returns
        -------
        matplotlib Axes
        """
        return self.embedding.contributions(kernel).plot(ax)

    def size_check(
        self,
        n_replications: int = 200,
        *,
        level: float = 0.05,
        rng: Any = 0,
        progress: bool = True,
    ) -> SizeCheck:
        """Count how often right models on these regressors are rejected (`size_check.SizeCheck`).

        Parameters
        ----------
        n_replications : int
            Samples for each kind of error, at least 20. Default 200: a rate of .05 has the
            standard error .015.
        level : float
            In (0, 1). Default 0.05.
        rng : None, int, numpy Generator or JAX key
            Source of the errors. Default 0: the same check at every call.
        progress : bool
            Show a bar after five seconds.

        Returns
        -------
        SizeCheck

        Raises
        ------
        DataError
            After `remove_data`.
        OptionError
            When an option is out of range, or the moment cannot be simulated.
        """
        if self.moment is None or self.settings is None:
            raise _data_removed()
        kernels = tuple(test.kernel for test in self.kernel_tests)
        subject = Subject(self.moment, kernels, self.settings, self.groups)
        return check_size(subject, n_replications, level, as_generator(rng), progress)

    def report(
        self,
        path: str | os.PathLike[str],
        comparison: Any = None,
        code: str | None = None,
        level: float = 0.05,
    ) -> Path:
        """Write the test as one HTML file: question, verdict, pictures, tables, code.

        The file needs no network, and prints. In a notebook show it by
        `IPython.display.IFrame(result.report("report.html"), "100%", 800)`.

        Parameters
        ----------
        path : str or path
            File to write; one that exists is replaced.
        comparison : ComparisonTable, optional
            Other tests of the same model, `kcm.compare_tests(fit)`.
        code : str, optional
            The lines that make the report again, to be shown in it.
        level : float
            Level of the verdict, in (0, 1). Default 0.05.

        Returns
        -------
        pathlib.Path
            `path`.

        Raises
        ------
        DataError
            After `remove_data`, or when there is no such folder.
        OptionError
            When `level` is not in (0, 1), `comparison` no table of tests, or matplotlib not
            installed.
        """
        check_level(level)
        _check_comparison(comparison)
        if not Path(path).absolute().parent.is_dir():
            raise DataError(f"`path`: there is no folder {str(Path(path).parent)!r}.")
        text = report_page(self, self.embedding, comparison, code, level)
        Path(path).write_text(text, encoding="utf-8")
        return Path(path)

    def summary(self, level: float = 0.05) -> Summary:
        """Return a table of the test and its verdict.

        Parameters
        ----------
        level : float
            Level of the critical value and the verdict, in (0, 1). Default 0.05.

        Returns
        -------
        Summary
            Prints as text; `as_html()` and `as_latex()` for documents.

        Raises
        ------
        OptionError
            When `level` is not in (0, 1).
        """
        critical, method = self.null_distribution.critical_value(level), self.certificate.method
        rows = (
            ("Null hypothesis", self.null_hypothesis),
            ("Alternative", self.alternative),
            ("Theta", self.theta),
            ("Observations", f"{self.n_obs:,}{dropped_text(self.n_dropped)}"),
            *self._kernel_rows(),
            ("Null law", self.null_distribution.describe()),
            *method_rows(self.certificate),
            *self._statistic_rows(),
            (f"Critical value ({level:.3g})", critical_text(critical)),
            ("p-value", pvalue_words(self.pvalue, method, self.certificate.pvalue_interval)),
            *interval_row(self._pvalue_interval()),
        )
        notes = (
            decision(self.pvalue, level, self.conditioning_names),
            *(f"{note}." for note in self.certificate.notes),
        )
        return Summary("Kernel conditional moment test", rows, notes)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain numbers and words, ready for JSON.

        `pvalue_lower` and `pvalue_upper` are the 95 % interval of the p-value that infinitely many
        draws would have, None where the null law is computed and not drawn.
        """
        lower, upper = self._pvalue_interval() or (None, None)
        return {
            "statistic": self.statistic,
            "pvalue": self.pvalue,
            "pvalue_lower": lower,
            "pvalue_upper": upper,
            "n_obs": self.n_obs,
            "mmr": self.mmr,
            "statistic_name": self.statistic_name,
            "kernel": repr(self.kernel),
            "null_distribution": self.null_distribution.describe(),
            "null_hypothesis": self.null_hypothesis,
            "alternative": self.alternative,
            "conditioning_names": list(self.conditioning_names),
            "theta": self.theta,
            "n_dropped": self.n_dropped,
            "method": self.certificate.method,
            "rank": self.certificate.rank,
            "residual_share": self.certificate.residual_share,
            "exact_pvalue_low": self.certificate.pvalue_interval[0],
            "exact_pvalue_high": self.certificate.pvalue_interval[1],
            "kernel_tests": [
                {"kernel": repr(one.kernel), "statistic": one.statistic, "pvalue": one.pvalue}
                for one in self.kernel_tests
            ],
        }

    def to_frame(self) -> "pd.DataFrame":
        """Return the record as a data frame of one row."""
        import pandas as pd

        row = self.to_dict() | {"conditioning_names": ", ".join(self.conditioning_names)}
        row["kernel_tests"] = ", ".join(f"{one.pvalue:.6g}" for one in self.kernel_tests)
        return pd.DataFrame([row])

    def _kernel_rows(self) -> tuple[tuple[str, str], ...]:
        leading = next(k for k, test in enumerate(self.kernel_tests) if test.kernel is self.kernel)
        word = "chosen" if self.statistic_name == PENALIZED else "smallest p"
        return kernel_rows(*self._kernels_told(), leading, word)

    def _kernels_told(self) -> tuple[list[str], list[float]]:
        """Return the words and the p-value of each kernel."""
        kernels, pvalues = zip(
            *((one.kernel, one.pvalue) for one in self.kernel_tests), strict=True
        )
        return [one.describe(self.conditioning_names) for one in kernels], list(pvalues)

    def _statistic_rows(self) -> tuple[tuple[str, str], ...]:
        words, value = self._statistic_words(), f"{self.statistic:.6g}"
        if len(self.kernel_tests) == 1:
            return ((f"Statistic ({words})", value),)
        return (("Statistic", f"{value} = {words}"),)

    def _statistic_words(self) -> str:
        single = len(self.kernel_tests) == 1
        return f"n x MMR, {self.statistic_name}" if single else self.statistic_name

    def _pvalue_interval(self) -> tuple[float, float] | None:
        return self.null_distribution.pvalue_interval(self.statistic)


def _data_removed() -> DataError:
    return DataError("this result holds no data: `remove_data` was called. Run the test again.")


def _check_comparison(comparison: Any) -> None:
    if comparison is not None and not isinstance(comparison, Compared):
        told = type(comparison).__name__
        raise OptionError(
            f"`comparison` must be the table that kcm.compare_tests(fit) returns; got {told}."
        )
