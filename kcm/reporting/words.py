"""The sentences of a report, for readers who know the data and not the test."""

import math
from collections.abc import Sequence

from kcm.null import KNOWN, pvalue_text

__all__ = [
    "CHOSEN",
    "critical_text",
    "decision",
    "dropped_text",
    "frequency",
    "interval_row",
    "kernel_rows",
    "limits",
    "pvalue_words",
    "question",
    "verdict",
]

CHOSEN = (
    "The picture is that of one of several kernels, which the data chose. As it was chosen by "
    "looking, its band leaves zero a little more often than it says where the model is right."
)


def question(residual: str, names: Sequence[str], theta: str, n_obs: int) -> str:
    """Return what the test asks.

    Examples
    --------
    >>> question("y - x'b", ["x"], "estimated: OLS", 50)[:62]
    "The model says that its residual, y - x'b, has mean zero whate"
    """
    return (
        f"The model says that its residual, {residual}, has mean zero whatever the value of "
        f"{joined(names)}. If it has not, the model is wrong there: its predictions are too high "
        f"or too low on average. Do {n_obs:,} observations agree with the model? "
        f"(Parameters {theta}.)"
    )


def verdict(pvalue: float, level: float, names: Sequence[str]) -> tuple[str, str]:
    """Return the answer in a sentence, and what the p-value says.

    Examples
    --------
    >>> verdict(0.0042, 0.05, ["age"])[0]
    'No: by these data the model is wrong for some values of age.'
    >>> verdict(0.4, 0.05, ["age"])[0]
    'Nothing in these data speaks against the model.'
    """
    odds = (
        f"If the model were right, {frequency(pvalue)} samples would disagree with it as much as "
        f"this one does or more (p = {pvalue_text(pvalue)}; the line is drawn at {level:.3g})."
    )
    if pvalue <= level:
        told = f"No: by these data the model is wrong for some values of {joined(names)}."
        return told, odds
    proof = " That is no proof that it is right: a larger sample may show what this one does not."
    return "Nothing in these data speaks against the model.", odds + proof


def frequency(pvalue: float) -> str:
    """Return a probability as a count.

    Examples
    --------
    >>> frequency(0.41), frequency(0.0042), frequency(1e-9)
    ('about 41 of 100', 'about 4 of 1,000', 'fewer than 1 of 10,000')
    """
    for total, least in ((100, 0.095), (1_000, 0.0), (10_000, 0.0)):
        count = round(total * pvalue)
        if pvalue >= least and count >= 1:
            return f"about {count} of {total:,}"
    return "fewer than 1 of 10,000"


def limits(absorbed: float | None, n_clusters: int | None, names: Sequence[str]) -> list[str]:
    """Return what the test can and cannot detect.

    Parameters
    ----------
    absorbed : float, optional
        Share of what the kernel sees that the estimate of theta takes up; None where the kernel
        has no such share.
    n_clusters : int, optional
        None for independent observations.
    names : sequence of str
    """
    dependent = (
        "The observations are taken as independent of each other."
        if n_clusters is None
        else f"Observations of different clusters ({n_clusters:,}) are taken as independent."
    )
    return [
        f"It looks for any pattern that the mean of the residual follows in {joined(names)}, of "
        "whatever shape; smooth patterns are found in smaller samples than fast ones.",
        *_absorbed(absorbed),
        "It says nothing about variables that are not named here, nor about the variance.",
        dependent,
        "A small p-value says that the model is wrong, not that it is far off: see the pictures.",
    ]


def _absorbed(share: float | None) -> list[str]:
    if share is None:
        return []
    if share == 0:
        return ["No parameter was estimated, so that nothing is hidden by fitting."]
    return [
        "What other parameter values would produce cannot be seen, by any test. Of the patterns "
        f"that the kernel looks for this is {100 * share:.3g} % (by variance); the test sees the "
        f"other {100 - 100 * share:.3g} %."
    ]


def joined(names: Sequence[str]) -> str:
    """Return names as words of a sentence.

    Examples
    --------
    >>> joined(["a", "b", "c"])
    'a, b and c'
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def dropped_text(n_dropped: int) -> str:
    """Return how many rows were left out, in brackets; empty for none."""
    return f" ({n_dropped:,} dropped: missing values)" if n_dropped else ""


def interval_row(interval: tuple[float, float] | None) -> tuple[tuple[str, str], ...]:
    """Return the row of a summary with the interval of a p-value from draws; none without one."""
    if interval is None:
        return ()
    lower, upper = interval
    return (("p-value, 95 % interval", f"{pvalue_text(lower)} to {pvalue_text(upper)}"),)


def critical_text(value: float) -> str:
    """Return a critical value, which draws that stop may leave open."""
    return "unknown: the draws stopped before" if math.isnan(value) else f"{value:.6g}"


def decision(pvalue: float, level: float, names: Sequence[str]) -> str:
    """Return the sentence of a summary on a level."""
    given = f"the residual's mean given {', '.join(names)}"
    if pvalue <= level:
        return f"Rejected at level {level:.3g}: {given} is not zero."
    return f"Not rejected at level {level:.3g}: no sign that {given} differs from zero."


def pvalue_words(pvalue: float, method: str, interval: tuple[float, float]) -> str:
    """Write the p-value, or its bound where the computation may be off by more than 10 %."""
    low, high = interval
    known = high <= (1 + KNOWN) * pvalue and low >= (1 - KNOWN) * pvalue
    return pvalue_text(pvalue) if method != "exact" or known else f"< {pvalue_text(high)}"


def kernel_rows(
    kernels: Sequence[str], pvalues: Sequence[float], leading: int, word: str
) -> tuple[tuple[str, str], ...]:
    """Return the rows of a summary with the kernels; of several, a word marks the leading one."""
    if len(kernels) == 1:
        return (("Kernel", kernels[0]),)
    marks = [f" ({word})" if k == leading else "" for k in range(len(kernels))]
    return tuple(
        (f"Kernel {k}: p = {pvalue_text(p)}", f"{told}{mark}")
        for k, (told, p, mark) in enumerate(zip(kernels, pvalues, marks, strict=True), start=1)
    )
