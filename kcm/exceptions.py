"""Errors and warnings of the library.

Each error also derives from the built-in error that a caller would expect, so that
``except ValueError`` keeps working.
"""

__all__ = [
    "BoundaryWarning",
    "ConvergenceWarning",
    "DataError",
    "DependenceWarning",
    "FewClustersWarning",
    "ForkedProcessError",
    "IdentificationError",
    "KCMError",
    "MissingRowsWarning",
    "MomentError",
    "OptionError",
    "RegularizationBiasWarning",
    "SaturatedModelError",
    "TiedDistancesWarning",
    "UnsupportedModelError",
    "WeakInstrumentsWarning",
]


class KCMError(Exception):
    """Base of every error that the library raises on purpose."""


class DataError(KCMError, ValueError):
    """Data that cannot be used: wrong shape, missing, infinite, not numbers, misaligned."""


class SaturatedModelError(DataError):
    """A model that fits exactly, or all that the kernel sees: there is nothing to test."""


class OptionError(KCMError, ValueError):
    """An option outside its allowed values, or options that contradict each other."""


class MomentError(KCMError, ValueError):
    """A residual function that cannot be used: not traceable, wrong shape, idle parameters."""


class IdentificationError(KCMError, ValueError):
    """Parameters that the moment restrictions do not determine."""


class ForkedProcessError(KCMError, RuntimeError):
    """A process that was forked after JAX had computed, and in which JAX would never return."""


class UnsupportedModelError(KCMError, TypeError):
    """A fitted model for which residuals, jacobian and influence are not known."""


class BoundaryWarning(UserWarning):
    """A parameter was estimated at one of its bounds, where standard errors do not hold."""


class ConvergenceWarning(UserWarning):
    """The optimiser stopped before it reached a minimum."""


class DependenceWarning(UserWarning):
    """A fit allows for dependent observations, the test takes them as independent."""


class FewClustersWarning(UserWarning):
    """There are too few clusters for the asymptotic law."""


class MissingRowsWarning(UserWarning):
    """Rows were left out because they hold missing values."""


class RegularizationBiasWarning(UserWarning):
    """A regularised fit is tested; the bias of its regularisation is not accounted for."""


class TiedDistancesWarning(UserWarning):
    """The median distance is zero and a bandwidth rule used its documented fallback."""


class WeakInstrumentsWarning(UserWarning):
    """The conditioning variables say little about a parameter: tests and intervals may be off."""
