"""Samples: named columns of numbers, their row labels, and a record of the rows left out."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int, Shaped

from kcm._options import check_option, listed
from kcm.data.formulas import SIDES, Roles
from kcm.data.names import as_names, check_names
from kcm.data.reading import read_array, read_formula, read_table
from kcm.data.tables import is_table
from kcm.exceptions import DataError

__all__ = ["Sample", "as_sample"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sample:
    """Named columns of finite numbers, with a record of where their rows come from.

    Build one with `from_frame`, `from_array`, `from_formula` or `as_sample`.

    Parameters
    ----------
    values : ndarray, shape (n, k)
        Finite float64 numbers; kept read-only.
    names : tuple of str
        The k column names.
    index : pandas.Index or None
        Labels of the n rows, where the data carried any.
    kept : ndarray of int, shape (n,)
        Positions of the rows in the data as given.
    n_dropped : int, default 0
        How many rows were left out because of missing values.
    roles : Roles
        Column names by role, for a sample made from a formula; empty otherwise.

    Raises
    ------
    DataError
        If names, index or kept do not fit the shape of the values, or a name is repeated.

    Examples
    --------
    >>> sample = Sample.from_frame({"logwage": [11.2, 12.8, 13.1], "age": [21, 22, 22]})
    >>> sample
    Sample(n_obs=3, names=('logwage', 'age'), n_dropped=0)
    >>> sample.matrix("age").ravel()
    array([21., 22., 22.])
    """

    values: Float64[np.ndarray, "n k"]
    names: tuple[str, ...]
    index: pd.Index | None
    kept: Int[np.ndarray, " m"]
    n_dropped: int = 0
    roles: Roles = field(default_factory=Roles)

    def __post_init__(self) -> None:
        _check_parts(self.values, self.names, self.index, self.kept)
        object.__setattr__(self, "values", _frozen(self.values))
        object.__setattr__(self, "kept", _frozen(self.kept))

    def __reduce__(self) -> tuple[type["Sample"], tuple[Any, ...]]:
        # rebuilt by the constructor, because NumPy forgets that an array was read-only
        parts = (self.values, self.names, self.index, self.kept, self.n_dropped, self.roles)
        return type(self), parts

    def __repr__(self) -> str:
        return f"Sample(n_obs={self.n_obs}, names={self.names}, n_dropped={self.n_dropped})"

    @classmethod
    def from_frame(
        cls, data: object, columns: str | Iterable[object] | None = None, missing: str = "drop"
    ) -> "Sample":
        """Read columns of a table.

        Parameters
        ----------
        data : DataFrame, Series or mapping
            Of pandas, Polars or Arrow (through narwhals), or columns by name.
        columns : str or iterable of str, optional
            The columns to read; all by default.
        missing : {"drop", "raise"}, default "drop"
            Leave out rows with missing values and warn with their number, or refuse them.

        Returns
        -------
        Sample
            One column per column read.

        Raises
        ------
        DataError
            For a column that does not exist or does not hold finite numbers, repeated names,
            columns of different lengths, no rows left, or fewer rows than columns.
        OptionError
            If `missing` is neither word.

        Warns
        -----
        MissingRowsWarning
            If rows were left out.

        Examples
        --------
        >>> Sample.from_frame(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), columns="a").names
        ('a',)
        """
        return cls(*read_table(data, columns, missing, "data"))

    @classmethod
    def from_array(
        cls, array: object, names: str | Iterable[object] | None = None, missing: str = "drop"
    ) -> "Sample":
        """Read the columns of an array.

        Parameters
        ----------
        array : array_like, shape (n,) or (n, k)
            Numbers; masked entries, None and NaN are missing.
        names : str or iterable of str, optional
            Column names; ``x1``, ``x2``, ... by default.
        missing : {"drop", "raise"}, default "drop"
            Leave out rows with missing values and warn with their number, or refuse them.

        Returns
        -------
        Sample
            Without an index.

        Raises
        ------
        DataError
            For entries that are not finite numbers, a wrong shape, a wrong number of names,
            no rows left, or fewer rows than columns.
        OptionError
            If `missing` is neither word.

        Warns
        -----
        MissingRowsWarning
            If rows were left out.

        Examples
        --------
        >>> Sample.from_array([[1.0, 2.0], [3.0, 4.0]]).names
        ('x1', 'x2')
        """
        return cls(*read_array(array, names, missing, "array"))

    @classmethod
    def from_formula(cls, formula: str, data: object, missing: str = "drop") -> "Sample":
        """Evaluate a formula on a table.

        Parameters
        ----------
        formula : str
            ``y ~ x1 + x2``, or ``y ~ x1 + x2 | z1 + z2`` to condition on other variables than
            those that the regressors mention. Names resolve in `data`, in numpy as ``np`` and
            in formulaic's transforms.
        data : DataFrame or mapping
            As for `from_frame`.
        missing : {"drop", "raise"}, default "drop"
            Leave out rows with missing values and warn with their number, or refuse them. Rows
            with a missing variable are left out before transforms such as ``center`` run.

        Returns
        -------
        Sample
            The columns of the response, of the design matrix (``Intercept`` first) and the raw
            conditioning variables, with their names by role in `roles`.

        Raises
        ------
        OptionError
            If the formula cannot be read, or `missing` is neither word.
        DataError
            As for `from_frame`, for a variable that `data` does not have, for an expression
            that cannot be evaluated, and for conditioning on categories of one level or of too
            many.

        Warns
        -----
        MissingRowsWarning
            If rows were left out.

        Examples
        --------
        >>> data = {"y": [1.0, 2.0, 4.0, 3.0], "age": [20, 30, 40, 50]}
        >>> sample = Sample.from_formula("y ~ age + I(age**2)", data)
        >>> sample.role("regressors")
        ('Intercept', 'age', 'I(age ** 2)')
        >>> sample.role("conditioning")
        ('age',)
        """
        return cls(*read_formula(formula, data, missing))

    @property
    def n_obs(self) -> int:
        """Number of rows."""
        return int(self.values.shape[0])

    def matrix(self, names: str | Iterable[object]) -> Float64[np.ndarray, "m j"]:
        """Return columns by name.

        Parameters
        ----------
        names : str or iterable of str
            Column names, in the order wanted.

        Returns
        -------
        ndarray, shape (n, number of names)
            Read-only.

        Raises
        ------
        DataError
            If there is no such column.

        Examples
        --------
        >>> Sample.from_array([[1.0, 2.0], [3.0, 4.0]]).matrix(["x2", "x1"])
        array([[2., 1.],
               [4., 3.]])
        """
        wanted = as_names(names)
        check_names(wanted, self.names, "the sample")
        return _frozen(self.values[:, [self.names.index(name) for name in wanted]])

    def frame(self, names: str | Iterable[object] | None = None) -> pd.DataFrame:
        """Return columns as a DataFrame with the row labels.

        Parameters
        ----------
        names : str or iterable of str, optional
            Column names; all by default.

        Returns
        -------
        pandas.DataFrame
            A copy; rows are labelled 0, 1, ... where the data carried no index.

        Raises
        ------
        DataError
            If there is no such column.

        Examples
        --------
        >>> Sample.from_array([1.0, 2.0], names="age").frame()
           age
        0  1.0
        1  2.0
        """
        wanted = self.names if names is None else as_names(names)
        return pd.DataFrame(self.matrix(wanted).copy(), index=self.index, columns=list(wanted))

    def role(self, name: str) -> tuple[str, ...]:
        """Name the columns that play a role.

        Parameters
        ----------
        name : {"response", "regressors", "conditioning"}
            The role.

        Returns
        -------
        tuple of str
            Empty where no column plays it.

        Raises
        ------
        OptionError
            If there is no such role.

        Examples
        --------
        >>> Sample.from_formula("y ~ a", {"y": [1, 2, 4], "a": [1, 3, 2]}).role("response")
        ('y',)
        """
        return self.roles.get(check_option(name, SIDES, "name"), ())


def as_sample(
    value: object,
    columns: str | Iterable[object] | None = None,
    missing: str = "drop",
    argument: str = "data",
) -> Sample:
    """Read a sample, a table or an array into a `Sample`.

    Parameters
    ----------
    value : Sample, DataFrame, Series, mapping or array_like
        A sample is returned as it is, or with the columns asked for.
    columns : str or iterable of str, optional
        Of a table or sample: the columns to read. Of an array: the names of its columns.
    missing : {"drop", "raise"}, default "drop"
        Leave out rows with missing values and warn with their number, or refuse them.
    argument : str, default "data"
        The argument's name, for messages.

    Returns
    -------
    Sample
        The columns.

    Raises
    ------
    DataError
        As `Sample.from_frame` and `Sample.from_array`.
    OptionError
        If `missing` is neither word.

    Examples
    --------
    >>> as_sample([[1.0, 2.0], [3.0, 4.0]], columns=["a", "b"])
    Sample(n_obs=2, names=('a', 'b'), n_dropped=0)
    """
    if isinstance(value, Sample):
        return value if columns is None else _select(value, as_names(columns))
    if is_table(value):
        return Sample(*read_table(value, columns, missing, argument))
    return Sample(*read_array(value, columns, missing, argument))


def _select(sample: Sample, names: tuple[str, ...]) -> Sample:
    return Sample(sample.matrix(names), names, sample.index, sample.kept, sample.n_dropped)


def _frozen(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Return the array itself where it is read-only, otherwise a read-only copy."""
    if not array.flags.writeable:
        return array
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _check_parts(
    values: Shaped[np.ndarray, "n k"],
    names: tuple[str, ...],
    index: pd.Index | None,
    kept: Shaped[np.ndarray, " m"],
) -> None:
    n_rows, n_columns = values.shape
    if len(names) != n_columns or len(set(names)) != n_columns:
        raise DataError(
            f"`names` must hold {n_columns} different names, one per column of `values`; got "
            f"{listed(names)}."
        )
    lengths = {"index": n_rows if index is None else len(index), "kept": len(kept)}
    for argument, length in lengths.items():
        if length != n_rows:
            raise DataError(
                f"`{argument}` must have one entry per row of `values` ({n_rows}); got {length}."
            )
