"""Checks at the boundary. Referees: NumPy, pandas and the sentences of the messages."""

from decimal import Decimal
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from kcm._arrays import as_columns, as_float_columns, as_float_columns_with_missing
from kcm.exceptions import DataError

NUMBERS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


class TestFloatColumns:
    @pytest.mark.parametrize(
        "value",
        [
            NUMBERS,
            NUMBERS.tolist(),
            NUMBERS.astype(np.int8),
            NUMBERS.astype(np.float16),
            NUMBERS.astype(np.longdouble),
            np.asfortranarray(NUMBERS),
            np.ma.array(NUMBERS),
            jnp.asarray(NUMBERS, dtype=jnp.float32),
            pd.DataFrame(NUMBERS),
            pd.DataFrame(NUMBERS).astype("Int64"),
            pd.DataFrame(NUMBERS).astype("float[pyarrow]"),
            pl.DataFrame(NUMBERS),
            pa.table({"a": NUMBERS[:, 0], "b": NUMBERS[:, 1]}),
        ],
        ids=lambda value: f"{type(value).__module__}-{getattr(value, 'dtype', '')}",
    )
    def test_containers_agree(self, value):
        columns = as_float_columns(value, "x")
        assert columns.dtype == np.float64
        np.testing.assert_array_equal(columns, NUMBERS)

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ([True, False], [1.0, 0.0]),
            ([Decimal("1.5"), Fraction(1, 4), 2, np.float32(0.5)], [1.5, 0.25, 2.0, 0.5]),
            (np.array([np.True_, 3], dtype=object), [1.0, 3.0]),
            (pd.Series([True, False], dtype="boolean"), [1.0, 0.0]),
            (pl.Series([1, 2]), [1.0, 2.0]),
            (pa.chunked_array([[1], [2]]), [1.0, 2.0]),
        ],
    )
    def test_one_dimension_becomes_a_column(self, value, expected):
        np.testing.assert_array_equal(as_float_columns(value, "x"), np.array(expected)[:, None])

    @pytest.mark.parametrize("value", [NUMBERS, np.asarray([[1], [2]]), np.ma.array(NUMBERS)])
    def test_result_is_fresh_and_read_only(self, value):
        columns = as_float_columns(value, "x")
        assert not np.shares_memory(columns, value)
        with pytest.raises(ValueError, match="read-only"):
            columns[0, 0] = 1.0

    @pytest.mark.parametrize(
        "value",
        [
            [1.0, np.nan, 3.0],
            [1, None, 3],
            [Decimal(1), Decimal("NaN"), Decimal(3)],
            np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0]),
            np.ma.array([1, 2, 3], mask=[0, 1, 0]),
            np.ma.array([1.0, np.inf, 3.0], mask=[0, 1, 0]),
            np.ma.array([1, "hidden", 3], mask=[0, 1, 0], dtype=object),
            pd.Series([1, None, 3], dtype="Int64"),
            pd.Series([1, None, 3], dtype="Float64"),
            pd.Series([1, None, 3], dtype="int64[pyarrow]"),
            pd.Series([1, pd.NA, 3], dtype=object),
            pl.Series([1, None, 3]),
            pa.chunked_array([[1, None], [3]]),
        ],
        ids=lambda value: f"{type(value).__module__}-{getattr(value, 'dtype', '')}",
    )
    def test_missing_entries(self, value):
        columns = as_float_columns_with_missing(value, "x")
        np.testing.assert_array_equal(columns, [[1.0], [np.nan], [3.0]])
        with pytest.raises(DataError, match=r"^`x` holds 1 missing value \(first in row 1\); fill"):
            as_float_columns(value, "x")

    def test_missing_booleans(self):
        columns = as_float_columns_with_missing(pd.Series([True, None], dtype="boolean"), "x")
        np.testing.assert_array_equal(columns, [[1.0], [np.nan]])

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (np.zeros((2, 2, 2)), r"`x` must be one- or two-dim.*got ndarray with 3 dimensions"),
            (3.0, r"got float with 0 dimensions\. Pass an array of shape \(n,\) or \(n, k\)\."),
            ([], r"`x` is empty \(shape \(0,\)\); pass at least one row"),
            (np.zeros((3, 0)), r"`x` is empty \(shape \(3, 0\)\)"),
            ([[1, 2], [3]], r"`x` could not be read as an array: .* Pass rows of equal length"),
            ([1j, 2.0], r"`x` holds complex numbers; pass the real and the imaginary part"),
            (np.array([1, 2j], dtype=object), r"holds complex numbers; .* \(first in row 1\)"),
            (["a", "b"], r"`x` holds text; pass numbers, or a data frame for what a test"),
            (np.array([1, "a"], dtype=object), r"`x` holds text; .* \(first in row 1\)"),
            (["1", "2"], r"`x` holds text"),
            (np.array([b"1"]), r"`x` holds text"),
            (np.array(["2020-01-01"], dtype="M8[D]"), r"`x` holds dates; convert them to numbers"),
            (np.array([1], dtype="m8[D]"), r"`x` holds time differences; convert them"),
            (np.zeros(2, dtype=[("a", float)]), r"`x` holds \[\('a', '<f8'\)\] values; pass real"),
            (np.array([{}, 1], dtype=object), r"`x` holds dict objects, which are not numbers"),
            (np.array([10**400], dtype=object), r"`x` holds 10+ in row 0: int too large"),
            ([1.0, np.inf, -np.inf], r"`x` holds 2 infinite values \(first in row 1\); replace"),
            ([[1.0, 2.0], [3.0, np.inf]], r"1 infinite value \(first in row 1, column 1\)"),
            (np.array([Decimal("Infinity")]), r"`x` holds 1 infinite value \(first in row 0\)"),
        ],
    )
    def test_refusals(self, value, message):
        with pytest.raises(DataError, match=message):
            as_float_columns_with_missing(value, "x")

    def test_rows_of_two_dimensional_objects_are_counted(self):
        with pytest.raises(DataError, match=r"\(first in row 1\)"):
            as_float_columns(np.array([[1, 2], [3, "a"]], dtype=object), "x")

    def test_columns_keep_their_mask(self):
        columns = as_columns(np.ma.array([1, 2], mask=[0, 1]), "x")
        np.testing.assert_array_equal(np.ma.getmaskarray(columns), [[False], [True]])
