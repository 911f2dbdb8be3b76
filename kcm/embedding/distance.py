"""How far apart the embeddings of two models are, and a test that they are equal."""

from dataclasses import dataclass
from typing import final

from kcm.embedding.estimate import NormEstimate
from kcm.null import Certificate, NullDistribution, pvalue_text
from kcm.reporting import Printed, Summary

__all__ = ["EmbeddingDistance"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EmbeddingDistance(Printed):
    """The squared distance of the embeddings of two models (CMMD), with a test of equality.

    Attributes
    ----------
    norm : NormEstimate
        ||mu_1 - mu_2||^2, the squared norm of the difference of the two moments.
    statistic : float
        n times its U statistic.
    pvalue : float
        Probability of a statistic this large when both residuals have the same conditional mean.
    null_distribution : NullDistribution
        It accounts for the estimation of both thetas.
    certificate : Certificate
        Whether the p-value is exact or low-rank.
    null_hypothesis : str

    Examples
    --------
    >>> import numpy as np
    >>> import kcm
    >>> x, u, v = np.random.default_rng(0).normal(size=(3, 200))
    >>> first, second = (kcm.FittedMoment(psi, x) for psi in (x**2 + u, u + v))
    >>> distance = kcm.KCMTest().run(first).embedding.distance(kcm.KCMTest().run(second).embedding)
    >>> distance.pvalue < 0.01
    True
    """

    norm: NormEstimate
    statistic: float
    pvalue: float
    null_distribution: NullDistribution
    certificate: Certificate
    null_hypothesis: str

    def summary(self) -> Summary:
        """Return a table of the distance and the test."""
        low, high = self.norm.conf_int()
        rows = (
            ("Null hypothesis", self.null_hypothesis),
            ("Squared distance", f"{self.norm.value:.6g}"),
            ("95 % interval, if not equal", f"{low:.6g} to {high:.6g}"),
            ("Statistic (n x squared distance, U)", f"{self.statistic:.6g}"),
            ("Null law", self.null_distribution.describe()),
            ("p-value", pvalue_text(self.pvalue)),
        )
        notes = tuple(f"{note}." for note in self.certificate.notes)
        return Summary("Distance of two conditional moment embeddings", rows, notes)

    def as_text(self) -> str:
        """Return the table as plain text."""
        return self.summary().as_text()

    def as_html(self) -> str:
        """Return the table as an HTML fragment."""
        return self.summary().as_html()

    def as_latex(self) -> str:
        """Return the table as a LaTeX tabular."""
        return self.summary().as_latex()
