"""The report of a test: its sections, from the result and a table of other tests."""

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol, runtime_checkable

import numpy as np

from kcm.kernels import for_kinds
from kcm.null import BootstrapDistribution, pvalue_text
from kcm.reporting import words
from kcm.reporting.page import Section, page
from kcm.reporting.parts import SIZE, bullets, code, paragraphs, picture, sortable, table
from kcm.reporting.tables import Grid, Summary

__all__ = ["Compared", "Reported", "report_page"]

PACKAGES = (
    "kernel-conditional-moment",
    "jax",
    "numpy",
    "pandas",
    "scipy",
    "statsmodels",
    "linearmodels",
    "matplotlib",
)


@runtime_checkable
class Reported(Protocol):
    """What a report needs of a result."""

    @property
    def pvalue(self) -> float: ...

    @property
    def n_obs(self) -> int: ...

    @property
    def n_dropped(self) -> int: ...

    @property
    def theta(self) -> str: ...

    @property
    def null_hypothesis(self) -> str: ...

    @property
    def conditioning_names(self) -> tuple[str, ...]: ...

    @property
    def kernel_tests(self) -> Sequence[Any]: ...

    @property
    def null_distribution(self) -> Any: ...

    def summary(self, level: float) -> Summary: ...

    def plot_null(self, level: float, ax: Any) -> Any: ...


@runtime_checkable
class Compared(Protocol):
    """What a report needs of a table of tests."""

    @property
    def rows(self) -> Sequence[Any]: ...

    def summary(self) -> Grid: ...


def report_page(
    result: Reported, embedding: Any, comparison: Compared | None, call: str | None, level: float
) -> str:
    """Return the report as an HTML document.

    Parameters
    ----------
    result : Reported
    embedding : ConditionalMomentEmbedding
        Of the result.
    comparison : Compared, optional
    call : str, optional
        Code that makes the report again.
    level : float
        Of the verdict and the critical value.
    """
    labels = embedding.moment.labels
    asked = words.question(labels.moment, labels.conditioning, result.theta, result.n_obs)
    sections = [
        Section("question", "The question", paragraphs(asked)),
        _verdict(result, level),
        Section("summary", "The test", table(result.summary(level)) + _null_law(result, level)),
        Section(
            "where", "Where the model fails", "".join(_where(embedding, len(result.kernel_tests)))
        ),
        Section("limits", "What the test can and cannot detect", _limits(embedding)),
        *([] if comparison is None else [_comparison(comparison)]),
        Section(
            "data",
            "Data and software",
            table(_variables(result, embedding.moment)) + table(_software()),
        ),
        Section("code", "To make this again", _code(call)),
    ]
    return page(f"Is {result.null_hypothesis}?", sections)


def _verdict(result: Reported, level: float) -> Section:
    answer, odds = words.verdict(result.pvalue, level, result.conditioning_names)
    return Section("verdict", "The answer", paragraphs(answer, odds))


def _null_law(result: Reported, level: float) -> str:
    n_kernels, p = len(result.kernel_tests), pvalue_text(result.pvalue)
    if n_kernels > 1 and not isinstance(result.null_distribution, BootstrapDistribution):
        told = (
            f"The p-value of {result.null_hypothesis} by each of {n_kernels} kernels on a line, "
            f"with the one that they make together, {p}, and the level {level:.3g}."
        )
        caption = "What each kernel says, and all of them together."
        size = (SIZE[0], 1.9 + 0.3 * n_kernels)
        return picture(lambda ax: result.plot_null(level, ax), told, caption, size)
    told = (
        f"The law of the statistic if {result.null_hypothesis}, with the statistic, of p-value "
        f"{p}, and the critical value at level {level:.3g}."
    )
    caption = "Where the statistic lies among those that a right model would give."
    return picture(lambda ax: result.plot_null(level, ax), told, caption)


def _where(embedding: Any, n_kernels: int) -> Iterator[str]:
    """Return a picture by variable and equation, and the contributions of several variables."""
    labels, q = embedding.moment.labels, embedding.moment.n_components
    yield paragraphs(
        "The mean of the residual near each value, with a band that holds everywhere at once with "
        "95 % probability. Where the band leaves zero, drawn thicker, the model is wrong. Each "
        "picture is about one variable alone.",
        *((words.CHOSEN,) if n_kernels > 1 and len(labels.conditioning) == 1 else ()),
    )
    places = [(name, c) for name in labels.conditioning for c in range(q)]
    exact = [place for place in places if _is_fitted_exactly(embedding, *place)]
    figures = [_witness(embedding, *place) for place in places if place not in exact]
    yield f'<div class="figures">{"".join(figures)}</div>'
    yield paragraphs(*(_exactly(embedding, *place) for place in exact))
    if len(labels.conditioning) > 1:
        found = embedding.contributions()
        told = "Bars: the share of each variable alone in n M^2, with adjusted p-values."
        size = (SIZE[0], 1.2 + 0.3 * len(labels.conditioning))
        yield picture(found.plot, told, "What each variable contributes.", size) + table(
            found.summary()
        )


def _is_fitted_exactly(embedding: Any, name: str, component: int) -> bool:
    """Tell whether the band has no width at any value of a variable."""
    marginal = embedding.marginal(name, _positive_kernel(embedding, name))
    cells = np.unique(marginal.moment.conditioning[:, 0])
    # fewer parameters than cells cannot fit all of them
    if len(cells) > marginal.moment.n_params:
        return False
    return bool(marginal.band(cells, rng=0).fitted_exactly[:, component].all())


def _exactly(embedding: Any, name: str, component: int) -> str:
    return (
        f"By {name}{_equation(embedding, component)}: this variable's cells are fitted exactly, so "
        "that its picture would be empty."
    )


def _equation(embedding: Any, component: int) -> str:
    return f", equation {component + 1}" if embedding.moment.n_components > 1 else ""


def _positive_kernel(embedding: Any, name: str) -> Any:
    """Return None, or the default kernel where that of the embedding makes no local mean."""
    labels = embedding.moment.labels
    kind = labels.kinds[labels.conditioning.index(name)]
    # a kernel that is negative somewhere makes none
    return for_kinds((kind,)) if embedding.kernel.conditionally_positive else None


def _witness(embedding: Any, name: str, component: int) -> str:
    equation = _equation(embedding, component)
    residual = embedding.moment.labels.moment
    told = f"Local mean of {residual}{equation} given {name}, with its 95 % band."
    kernel = _positive_kernel(embedding, name)

    def draw(ax: Any) -> None:
        embedding.plot_witness(name, component=component, kernel=kernel, ax=ax)

    return picture(draw, told, f"By {name}{equation}.")


def _limits(embedding: Any) -> str:
    groups, definite = embedding.groups, not embedding.kernel.conditionally_positive
    absorbed = embedding.absorbed_share() if definite else None
    n_clusters = None if groups is None else len(np.unique(groups))
    told = words.limits(absorbed, n_clusters, embedding.moment.labels.conditioning)
    return bullets([*told, *([_effect(embedding)] if definite else [])])


def _effect(embedding: Any) -> str:
    size = embedding.effect_size()
    low, high = size.conf_int()
    return (
        f"Effect size, between 0 (right) and 1: {size.value:.3g}, 95 % interval {low:.3g} to "
        f"{high:.3g}."
    )


def _comparison(comparison: Compared) -> Section:
    computed = [row for row in comparison.rows if row.computed]
    rows = [_compared(row) for row in computed]
    headers = "Test", "p-value", "Concerns", "Consistent", "Statistic", "Distribution"
    body = sortable("A click on a heading sorts the rows.", headers, rows)
    # the table has a column for what the star of the summary says
    notes = bullets(note for note in comparison.summary().notes if not note.startswith("*"))
    return Section("comparison", "What other tests say", body + notes)


def _compared(row: Any) -> list[tuple[str, str | float]]:
    consistent = "yes" if row.consistent else "no"
    return [
        (row.name, row.name),
        (pvalue_text(row.pvalue), row.pvalue),
        (row.concerns, row.concerns),
        (consistent, consistent),
        (f"{row.statistic:.6g}", row.statistic),
        (row.distribution, row.distribution),
    ]


def _variables(result: Reported, moment: Any) -> Grid:
    columns = zip(
        moment.labels.conditioning, moment.labels.kinds, moment.conditioning.T, strict=True
    )
    rows = tuple(_variable(name, kind, column) for name, kind, column in columns)
    told = f"{result.n_obs:,} observations used, {result.n_dropped:,} left out for missing values"
    headers = "Variable", "Holds", "Distinct", "Smallest", "Median", "Largest"
    return Grid("The variables that the residual must not depend on", headers, rows, (f"{told}.",))


def _variable(name: str, kind: str, column: Any) -> tuple[str, ...]:
    distinct = f"{len(np.unique(column)):,}"
    if kind != "continuous":
        return name, f"categories, {kind}", distinct, "", "", ""
    ends = (f"{value:.6g}" for value in (column.min(), np.median(column), column.max()))
    return (name, "numbers", distinct, *ends)


def _software() -> Summary:
    python = ("Python", f"{platform.python_version()}, {platform.system()}")
    return Summary("Software", (python, *_versions()))


def _versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _code(call: str | None) -> str:
    if call is None:
        return paragraphs("The call was not handed over: `report(path, code=...)` shows it here.")
    return code(call)
