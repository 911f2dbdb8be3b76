"""What several kernels say together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from kcm._records import one_line
from kcm.exceptions import OptionError
from kcm.kernels import Kernel
from kcm.null import AllDraws, BootstrapDistribution, Certificate, NullDistribution, Outcome

__all__ = ["Combined", "KernelTest", "drawn_laws", "is_exact", "joint_certificate"]

UNKNOWN = (
    "how far this p-value is from that of the exact method is not known: a low-rank factor moves "
    "the statistic of each kernel and all draws or bounds it is compared with"
)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Combined:
    """What several kernels say together.

    Attributes
    ----------
    statistic : float
    law : NullDistribution
    certificate : Certificate
    name : str
        What the statistic is.
    leading : int
        Position of the kernel that the others give way to: the one with the smallest p-value, or
        the one that was chosen.
    pvalue : float
    """

    statistic: float
    law: NullDistribution
    certificate: Certificate
    name: str
    leading: int
    pvalue: float


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class KernelTest:
    """What one kernel says of the null hypothesis.

    Attributes
    ----------
    kernel : Kernel
        With its bandwidths as numbers.
    statistic : float
        n M^2.
    pvalue : float
    null_distribution : NullDistribution
    certificate : Certificate

    Examples
    --------
    >>> import numpy as np
    >>> import kcm
    >>> x, psi = np.random.default_rng(0).normal(size=(2, 100))
    >>> result = kcm.KCMTest("adaptive").run(kcm.FittedMoment(psi, x))
    >>> len(result.kernel_tests)
    5
    """

    kernel: Kernel
    statistic: float
    pvalue: float
    null_distribution: NullDistribution
    certificate: Certificate

    def __repr__(self) -> str:
        return one_line(self)


def is_exact(outcomes: Sequence[Outcome]) -> bool:
    """Tell whether no kernel was approximated."""
    return all(outcome.certificate.method == "exact" for outcome in outcomes)


def joint_certificate(
    outcomes: Sequence[Outcome], interval: tuple[float, float] | None
) -> Certificate:
    """Return the certificate of all kernels, with the interval of their joint p-value.

    None where no interval is known, which a note then says.
    """
    own = [outcome.certificate for outcome in outcomes]
    ranks = [certificate.rank for certificate in own if certificate.rank is not None]
    unknown = () if interval else (UNKNOWN,)
    notes = tuple(dict.fromkeys(note for certificate in own for note in certificate.notes))
    return Certificate(
        "exact" if is_exact(outcomes) else "low-rank",
        max(ranks, default=None),
        max(certificate.residual_share for certificate in own),
        all(certificate.statistic_exact for certificate in own),
        interval or (0.0, 1.0),
        (*unknown, *notes),
    )


def drawn_laws(outcomes: Sequence[Outcome]) -> list[BootstrapDistribution]:
    """Return the laws of all kernels where the same multipliers drew them, else none.

    Raises
    ------
    OptionError
        When draws stop by themselves, so that the kernels have different ones.
    """
    laws = [outcome.law for outcome in outcomes]
    drawn = [law for law in laws if isinstance(law, BootstrapDistribution)]
    if len(drawn) < len(laws):
        return []
    if not all(isinstance(law.rule, AllDraws) for law in drawn):
        raise OptionError(
            "`stop` ends the draws of each kernel somewhere else, and several kernels need the "
            "same draws; leave `stop` out."
        )
    return drawn
