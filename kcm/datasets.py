"""Data sets by name: the one shipped here and those of statsmodels; none needs a network."""

import importlib
from importlib import resources
from pathlib import Path

import pandas as pd

from kcm._options import did_you_mean, listed
from kcm.exceptions import DataError

__all__ = ["load", "load_cps71", "names"]

_SHIPPED = "cps71"


def load_cps71() -> pd.DataFrame:
    """Log wages and ages of 205 Canadian men in 1971.

    Returns
    -------
    pandas.DataFrame
        205 rows with the columns ``logwage`` (logarithm of the wage) and ``age`` (in years),
        sorted by age. A fresh copy at every call.

    Notes
    -----
    A random sample of men with grade 13 education from the public use tape of the Canadian census
    of 1971 [1]_; the standard illustration of a nonparametric regression of wages on age [2]_.

    References
    ----------
    .. [1] Ullah, A. (1985). Specification analysis of econometric models. Journal of Quantitative
       Economics 2, 187-209.
    .. [2] Pagan, A. and Ullah, A. (1999). Nonparametric Econometrics. Cambridge University Press.

    Examples
    --------
    >>> load_cps71().head(2)
       logwage  age
    0  11.1563   21
    1  12.8131   22
    """
    with (resources.files("kcm") / "_datasets" / "cps71.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


def load(name: str) -> pd.DataFrame:
    """Load a data set by its name.

    Parameters
    ----------
    name : str
        ``"cps71"``, or the name of a module of `statsmodels.datasets` that ships its data, such as
        ``"engel"``, ``"randhie"`` or ``"fair"``.

    Returns
    -------
    pandas.DataFrame
        The data, with the index that statsmodels gives them.

    Raises
    ------
    DataError
        If there is no such data set; the message lists all names.

    Examples
    --------
    >>> load("engel").columns.to_list()
    ['income', 'foodexp']
    """
    if name == _SHIPPED:
        return load_cps71()
    known = names()
    if name not in known:
        raise DataError(
            f"`name` must be the name of a data set; got {name!r}{did_you_mean(str(name), known)} "
            f"The data sets are: {listed(known, at_most=len(known))}."
        )
    return _load_from_statsmodels(name)


def names() -> tuple[str, ...]:
    """Names that `load` knows.

    Returns
    -------
    tuple of str
        Sorted.

    Examples
    --------
    >>> "cps71" in names() and "engel" in names()
    True
    """
    import statsmodels.datasets as source

    folders = (Path(folder) for folder in source.__path__)
    shipping = {path.name for folder in folders for path in folder.iterdir() if _ships(path)}
    return tuple(sorted({_SHIPPED, *shipping}))


def _ships(folder: Path) -> bool:
    """Tell whether a data set keeps its numbers beside its loader."""
    return (folder / "data.py").is_file() and any(folder.glob("*.csv"))


def _load_from_statsmodels(name: str) -> pd.DataFrame:
    module = importlib.import_module(f"statsmodels.datasets.{name}")
    return pd.DataFrame(module.load_pandas().data).copy()
