"""Packages that only some functions need."""

import importlib
from types import ModuleType

from kcm.exceptions import OptionError

__all__ = ["optional_module"]


def optional_module(name: str, extra: str, purpose: str) -> ModuleType:
    """Import a module of an optional package.

    Parameters
    ----------
    name : str
        Dotted name of the module.
    extra : str
        The extra of this package that installs it.
    purpose : str
        What needs it, as the subject of a sentence.

    Returns
    -------
    module

    Raises
    ------
    OptionError
        When it is not installed; the message names the extra.

    Examples
    --------
    >>> optional_module("math", "plots", "a plot").sqrt(4.0)
    2.0
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.split(".")[0]
        raise OptionError(
            f"{purpose} needs {package}, which is not installed; install it with "
            f'python -m pip install "kernel-conditional-moment[{extra}]".'
        ) from error
