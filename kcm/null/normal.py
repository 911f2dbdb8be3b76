"""The normal law."""

from dataclasses import dataclass
from typing import final

import scipy

from kcm._options import check_level
from kcm.exceptions import OptionError
from kcm.null.base import NullDistribution

__all__ = ["NormalLaw"]


@final
@dataclass(frozen=True, slots=True)
class NormalLaw(NullDistribution):
    """The normal law with given mean and standard deviation.

    Parameters
    ----------
    mean, sd : float
        sd is positive.

    Raises
    ------
    OptionError
        When `sd` is not positive.

    Examples
    --------
    >>> round(NormalLaw(mean=0.0, sd=2.0).pvalue(2 * 1.6448536), 6)
    0.05
    """

    mean: float
    sd: float

    def __post_init__(self) -> None:
        if not self.sd > 0:
            raise OptionError(f"`sd` must be positive; got {self.sd}.")

    def pvalue(self, t: float) -> float:
        """Return P(T >= t)."""
        return float(scipy.special.ndtr((self.mean - t) / self.sd))

    def critical_value(self, level: float) -> float:
        """Return the upper `level` quantile."""
        check_level(level)
        return self.mean - self.sd * float(scipy.special.ndtri(level))

    def describe(self) -> str:
        """Return the law in a few words."""
        return f"normal, mean {self.mean:.3g}, sd {self.sd:.3g}"
