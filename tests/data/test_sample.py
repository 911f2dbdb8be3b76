"""Samples. Referees: pandas (dropna, reindex), formulaic through statsmodels, linearmodels."""

import copy
import dataclasses
import pickle
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from hypothesis import given
from hypothesis import strategies as st
from linearmodels.iv import IV2SLS

import kcm
from kcm._arrays import as_float_columns_with_missing
from kcm._variation import check_varies
from kcm.data import Roles, Sample, align, as_sample, encode_frame, formula_variables
from kcm.exceptions import DataError, MissingRowsWarning, OptionError
from kcm.moments.clusters import group_codes

FRAME = pd.DataFrame(
    {
        "wage": [1.0, 2.5, 4.0, 3.5, 7.0, 6.0],
        "age": [20, 30, 40, 50, 60, 45],
        "union": [True, False, True, True, False, True],
    },
    index=list("pqrstu"),
)
GAPS = FRAME.assign(
    wage=[1.0, np.nan, 4.0, 3.5, 7.0, 6.0],
    age=pd.array([20, 30, None, 50, 60, 45], dtype="Int64"),
    union=pd.array([True, False, None, True, False, True], dtype="boolean"),
)
ODD = FRAME.assign(
    group=list("ababab"),
    category=pd.Categorical([1, 2] * 3),
    mixed=[1, "a", 2, 3, 4, 5],
    spin=[1j] * 6,
    day=pd.date_range("2020", periods=6),
    cells=[[1]] * 6,
    rich=[1.0, np.inf, 2.0, 3.0, 4.0, -np.inf],
    price=[Decimal(1), Decimal("2.5"), 3, 4.5, Decimal(2), Decimal(7)],
)


def plain(frame):
    """Columns as lists, so that another library builds its own table."""
    return {
        name: [None if pd.isna(entry) else entry for entry in column.tolist()]
        for name, column in frame.items()
    }


def sample_of(data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingRowsWarning)
        return as_sample(data, **options)


class TestTables:
    @pytest.mark.parametrize("frame", [FRAME, GAPS], ids=["complete", "gaps"])
    @pytest.mark.parametrize(
        "convert",
        [
            lambda frame: pl.DataFrame(plain(frame)),
            lambda frame: pa.table(plain(frame)),
            plain,
            lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
            lambda frame: frame.astype(object),
            lambda frame: {
                name: np.ma.masked_invalid(frame[name].to_numpy(float)) for name in frame
            },
        ],
        ids=["polars", "arrow", "mapping", "pandas-arrow", "objects", "masked"],
    )
    def test_tables_agree_with_pandas(self, frame, convert):
        sample, expected = sample_of(convert(frame)), frame.dropna()
        assert sample.names == ("wage", "age", "union")
        np.testing.assert_array_equal(sample.values, expected.to_numpy(float))
        np.testing.assert_array_equal(sample.kept, np.flatnonzero(frame.notna().all(axis=1)))
        assert sample.n_dropped == len(frame) - len(expected)

    @pytest.mark.parametrize("frame", [FRAME, GAPS], ids=["complete", "gaps"])
    @pytest.mark.parametrize(
        "convert",
        [
            lambda values: values,
            lambda values: np.ma.masked_invalid(values),
            lambda values: values.astype(object),
            lambda values: values.tolist(),
            lambda values: np.asfortranarray(values),
        ],
        ids=["array", "masked", "objects", "list", "fortran"],
    )
    def test_arrays_agree_with_pandas(self, frame, convert):
        sample = sample_of(convert(frame.to_numpy(float, na_value=np.nan)), columns=list(frame))
        table = sample_of(frame)
        assert sample.names == table.names
        np.testing.assert_array_equal(sample.values, table.values)
        np.testing.assert_array_equal(sample.kept, table.kept)

    def test_index_of_the_kept_rows(self):
        assert sample_of(GAPS).index.to_list() == ["p", "s", "t", "u"]

    @pytest.mark.parametrize(
        "data", [pl.DataFrame(plain(FRAME)), pa.table(plain(FRAME)), plain(FRAME), FRAME.to_numpy()]
    )
    def test_no_index_without_labels(self, data):
        assert as_sample(data).index is None

    def test_mapping_of_series_carries_their_index(self):
        sample = Sample.from_frame({"wage": FRAME["wage"], "ones": np.ones(6)})
        assert sample.index.equals(FRAME.index)

    @pytest.mark.parametrize(
        ("series", "name"),
        [
            (FRAME["age"], "age"),
            (FRAME["age"].rename(None), "x1"),
            (FRAME["age"].rename(7), "7"),
            (pl.Series("age", [20, 30]), "age"),
            (pl.Series([20, 30]), "x1"),
            (pa.chunked_array([[20, 30]]), "x1"),
        ],
    )
    def test_one_column(self, series, name):
        sample = as_sample(series)
        assert sample.names == (name,)
        assert sample.values[:2].tolist() == [[20.0], [30.0]]

    def test_selection_leaves_other_columns_alone(self):
        sample = Sample.from_frame(ODD, columns=["price", "wage"])
        assert sample.names == ("price", "wage")
        assert sample.matrix("price").ravel().tolist() == [1.0, 2.5, 3.0, 4.5, 2.0, 7.0]

    def test_names_become_strings(self):
        assert Sample.from_frame(pd.DataFrame(np.eye(3)), columns=[2, "0"]).names == ("2", "0")

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ([1, 2], r"`data` must be a pandas, Polars or Arrow table, .* got list\. Collect"),
            (pl.LazyFrame({"a": [1]}), r"got LazyFrame\. Collect a lazy table first"),
            ({"a": [1, 2], "b": [1]}, r"must have one length; got rows: 'a' has 2, 'b' has 1"),
            ({"a": [[1, 2]]}, r"column 'a' of `data` must be one-dimensional; got 2 dimensions"),
            ({"a": 3}, r"column 'a' of `data` must be one-dimensional; got 0 dimensions"),
            (
                {"a": pd.Series([1, 2]), "b": pd.Series([1, 2], index=[1, 2])},
                r"columns 'a' and 'b' of `data` carry different indexes; align them first",
            ),
            (pd.DataFrame(np.eye(2), columns=["a", "a"]), r"`data` repeats the column name 'a'"),
            (
                pa.table([[1], [2]], names=["a", "a"]),
                r"`data` repeats a column name \(.*'a' 2 times\)",
            ),
            (pd.DataFrame(np.eye(2), columns=["1", 1]), r"`data` repeats the column name '1'"),
            (pd.DataFrame({"a": []}), r"`data` is empty \(shape \(0, 1\)\); pass at least one row"),
            (pd.DataFrame(index=[1, 2]), r"`data` is empty \(shape \(2, 0\)\)"),
            ({}, r"`data` is empty"),
            (
                pd.DataFrame({"a": [np.nan, 1.0], "b": [2.0, None]}),
                r"`data` has no rows left: it has 2 of 2 rows with missing values in: a, b; leave",
            ),
            (
                pd.DataFrame(np.ones((2, 3))),
                r"`data` has fewer rows \(2\) than columns \(3: 0, 1, 2\); pass the observations",
            ),
        ],
    )
    def test_refused_tables(self, data, message):
        with pytest.raises(DataError, match=message):
            Sample.from_frame(data)

    @pytest.mark.parametrize(
        ("column", "message"),
        [
            ("group", r"column 'group' of `data` holds text or categories; pass numeric columns"),
            ("category", r"column 'category' of `data` holds text or categories; pass numeric"),
            ("mixed", r"column 'mixed' of `data` holds text"),
            ("spin", r"column 'spin' of `data` holds complex numbers; pass the real"),
            ("day", r"column 'day' of `data` holds dates; convert them to numbers"),
            ("cells", r"column 'cells' of `data` holds list objects, which are not numbers"),
            (
                "rich",
                r"column 'rich' of `data` holds 2 infinite values \(first in row 1\); replace",
            ),
            (
                "aeg",
                r"`data` has no column 'aeg'; did you mean 'age'\? The columns are: wage, age,",
            ),
            ("zzzz", r"`data` has no column 'zzzz'\. The columns are: wage, age, union"),
        ],
    )
    def test_refused_columns(self, column, message):
        with pytest.raises(DataError, match=message):
            Sample.from_frame(ODD, columns=["wage", column])

    @pytest.mark.parametrize(
        "column", [pl.Series(["a", "b"]), pl.Series(["a", "b"], dtype=pl.Categorical)]
    )
    def test_text_of_polars_is_refused(self, column):
        with pytest.raises(DataError, match="column 'a' of `data` holds text or categories"):
            Sample.from_frame(pl.DataFrame({"a": column}))

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            (["age", "age"], r"`columns` repeats the column name 'age'; give every column its own"),
            ([], r"`columns` must name at least one column; got none\."),
        ],
    )
    def test_refused_selections(self, columns, message):
        with pytest.raises(DataError, match=message):
            Sample.from_frame(FRAME, columns=columns)

    def test_messages_use_the_name_of_the_argument(self):
        with pytest.raises(DataError, match=r"column 'group' of `conditioning` holds text"):
            as_sample(ODD, columns="group", argument="conditioning")


class TestArrays:
    def test_default_names(self):
        assert Sample.from_array(np.eye(3)).names == ("x1", "x2", "x3")
        assert Sample.from_array([1.0, 2.0]).names == ("x1",)
        assert Sample.from_array([1.0, 2.0], names="age").names == ("age",)

    @pytest.mark.parametrize(
        ("array", "names", "message"),
        [
            (
                np.eye(2),
                "a",
                r"`names` must name each of the 2 columns of `array`; got the names: a",
            ),
            (np.eye(2), ["a", "a"], r"`names` repeats the column name 'a'; give every column"),
            (np.ones((2, 3)), None, r"`array` has fewer rows \(2\) than columns \(3: x1, x2, x3\)"),
            (np.ones((2, 1, 1)), None, r"`array` must be one- or two-dimensional"),
            ([1.0, np.inf], ["age"], r"column 'age' of `array` holds 1 infinite value"),
            ([1j], None, r"column 'x1' of `array` holds complex numbers"),
            (["a"], None, r"column 'x1' of `array` holds text"),
            ([np.nan], None, r"`array` has no rows left: it has 1 of 1 rows with missing values"),
            ([], None, r"`array` is empty"),
        ],
    )
    def test_refusals(self, array, names, message):
        with pytest.raises(DataError, match=message):
            Sample.from_array(array, names)


class TestMissing:
    def test_warning_counts_the_rows(self):
        message = r"^dropped 2 of 6 rows with missing values in: wage, age, union$"
        with pytest.warns(MissingRowsWarning, match=message):
            Sample.from_frame(GAPS)

    @pytest.mark.parametrize(
        "read",
        [
            lambda: Sample.from_frame(GAPS),
            lambda: Sample.from_array([1.0, np.nan]),
            lambda: Sample.from_formula("wage ~ age", GAPS),
            lambda: as_sample(GAPS),
            lambda: as_sample([1.0, np.nan]),
        ],
        ids=["frame", "array", "formula", "as_sample-frame", "as_sample-array"],
    )
    def test_dropping_warns(self, read):
        with pytest.warns(MissingRowsWarning, match=r"^dropped \d of \d rows"):
            read()

    def test_columns_not_read_do_not_count(self):
        with pytest.warns(MissingRowsWarning, match="1 of 6 rows with missing values in: wage$"):
            sample = Sample.from_frame(GAPS, columns="wage")
        assert sample.kept.tolist() == [0, 2, 3, 4, 5]

    def test_infinite_values_are_not_missing(self):
        with pytest.raises(DataError, match="infinite"):
            Sample.from_frame(ODD.assign(wage=np.nan), columns=["wage", "rich"])

    @pytest.mark.parametrize(
        "read",
        [
            lambda **options: Sample.from_frame(GAPS, **options),
            lambda **options: as_sample(GAPS, **options),
            lambda **options: Sample.from_formula("wage ~ age + union", GAPS, **options),
        ],
    )
    def test_raise(self, read):
        message = (
            r"`data` has 2 of 6 rows with missing values in: wage, age, union; fill the values"
        )
        with pytest.raises(DataError, match=message):
            read(missing="raise")

    @pytest.mark.parametrize(
        "read",
        [
            lambda: Sample.from_frame(FRAME, missing="keep"),
            lambda: Sample.from_array([1.0], missing="keep"),
            lambda: Sample.from_formula("wage ~ age", FRAME, missing="keep"),
            lambda: as_sample(FRAME, missing="keep"),
        ],
    )
    def test_unknown_word(self, read):
        with pytest.raises(
            OptionError, match=r"`missing` must be one of 'drop', 'raise'; got 'keep'"
        ):
            read()

    @given(mask=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=4, max_size=12))
    def test_dropping_is_dropna(self, mask):
        values = np.where(np.array(mask), np.nan, np.arange(2.0 * len(mask)).reshape(-1, 2))
        frame = pd.concat([pd.DataFrame(values), pd.DataFrame(np.eye(2))], ignore_index=True)
        frame.columns, expected = ["a", "b"], frame.dropna()
        sample = sample_of(frame)
        np.testing.assert_array_equal(sample.values, expected.to_numpy())
        assert sample.index.equals(expected.index)
        np.testing.assert_array_equal(frame.to_numpy()[sample.kept], sample.values)
        assert sample.n_dropped + sample.n_obs == len(frame)


class TestSample:
    def test_matrix(self):
        sample = Sample.from_frame(FRAME)
        np.testing.assert_array_equal(sample.matrix(["age", "wage"]), FRAME[["age", "wage"]])
        np.testing.assert_array_equal(sample.matrix("age"), FRAME[["age"]])

    def test_frame(self):
        sample = sample_of(GAPS)
        pd.testing.assert_frame_equal(sample.frame(), GAPS.dropna().astype(float))
        assert list(sample.frame(["age"])) == ["age"]

    def test_frame_without_labels_is_numbered(self):
        assert Sample.from_array([1.0, 2.0]).frame().index.to_list() == [0, 1]

    @pytest.mark.parametrize("read", [Sample.matrix, Sample.frame])
    def test_unknown_name(self, read):
        message = (
            r"the sample has no column 'aeg'; did you mean 'age'\? The columns are: wage, age,"
        )
        with pytest.raises(DataError, match=message):
            read(Sample.from_frame(FRAME), "aeg")

    def test_arrays_are_read_only(self):
        sample = Sample.from_frame(FRAME)
        for array in (sample.values, sample.kept, sample.matrix("age")):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1

    def test_fields_are_frozen(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            Sample.from_frame(FRAME).n_dropped = 3

    def test_frame_is_a_copy(self):
        sample = Sample.from_frame(FRAME)
        frame = sample.frame()
        frame.loc["p", "wage"] = -1.0
        assert sample.values[0, 0] == 1.0

    @pytest.mark.parametrize(
        "again",
        [lambda sample: pickle.loads(pickle.dumps(sample)), copy.copy, copy.deepcopy],
        ids=["pickle", "copy", "deepcopy"],
    )
    def test_copies_agree_and_stay_read_only(self, again):
        sample = Sample.from_formula("wage ~ age", FRAME)
        other = again(sample)
        np.testing.assert_array_equal(other.values, sample.values)
        np.testing.assert_array_equal(other.kept, sample.kept)
        assert (other.names, other.n_dropped) == (sample.names, sample.n_dropped)
        assert other.index.equals(sample.index)
        assert other.roles == sample.roles
        assert not other.values.flags.writeable
        assert not other.kept.flags.writeable

    def test_repr_is_one_line(self):
        text = "Sample(n_obs=6, names=('wage', 'age', 'union'), n_dropped=0)"
        assert repr(Sample.from_frame(FRAME)) == text

    def test_constructor_copies(self):
        values, kept = np.ones((2, 1)), np.arange(2)
        sample = Sample(values, ("a",), None, kept)
        values[:], kept[:] = 5.0, 5
        assert sample.values.tolist() == [[1.0], [1.0]]
        assert sample.kept.tolist() == [0, 1]

    @pytest.mark.parametrize(
        ("names", "index", "n_kept", "message"),
        [
            (("a",), None, 3, r"`names` must hold 2 different names, .* got a\."),
            (("a", "a"), None, 3, r"`names` must hold 2 different names, .* got a, a\."),
            (("a", "b"), pd.RangeIndex(2), 3, r"`index` must have one entry per row .* got 2\."),
            (("a", "b"), None, 4, r"`kept` must have one entry per row of `values` \(3\); got 4"),
        ],
    )
    def test_parts_that_do_not_fit(self, names, index, n_kept, message):
        with pytest.raises(DataError, match=message):
            Sample(np.ones((3, 2)), names, index, np.arange(n_kept))

    @pytest.mark.parametrize(
        "read",
        [
            lambda data: Sample.from_frame(data, columns=["wage", "age", "union"]),
            lambda data: Sample.from_formula("wage ~ age + C(group) + union | age", data),
        ],
    )
    @pytest.mark.parametrize("frame", [ODD, ODD.assign(age=GAPS["age"], wage=GAPS["wage"])])
    def test_data_are_not_changed(self, read, frame):
        before = frame.copy(deep=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MissingRowsWarning)
            read(frame)
        pd.testing.assert_frame_equal(frame, before)

    def test_masked_array_is_not_changed(self):
        array = np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])
        sample_of(array)
        assert array.data.tolist() == [1.0, 2.0, 3.0]
        assert array.mask.tolist() == [False, True, False]


class TestAsSample:
    def test_sample_is_returned_itself(self):
        sample = Sample.from_frame(FRAME)
        assert as_sample(sample) is sample

    def test_columns_of_a_sample(self):
        chosen = as_sample(sample_of(GAPS), columns=["union", "age"])
        assert (chosen.names, chosen.n_dropped) == (("union", "age"), 2)
        np.testing.assert_array_equal(chosen.values, GAPS.dropna()[["union", "age"]].astype(float))
        assert chosen.kept.tolist() == [0, 3, 4, 5]

    @pytest.mark.parametrize("value", ["age", None, 3, pl.LazyFrame({"a": [1]})])
    def test_refusals(self, value):
        with pytest.raises(DataError, match=r"`data` must be one- or two-dimensional"):
            as_sample(value)


class TestFormula:
    def test_columns_and_roles(self):
        sample = Sample.from_formula("wage ~ age + I(age**2)", FRAME)
        assert sample.names == ("wage", "Intercept", "age", "I(age ** 2)")
        assert dict(sample.roles) == {
            "response": ("wage",),
            "regressors": ("Intercept", "age", "I(age ** 2)"),
            "conditioning": ("age",),
        }
        age = FRAME["age"].to_numpy(float)
        expected = np.column_stack([FRAME["wage"], np.ones(6), age, age**2])
        np.testing.assert_array_equal(sample.values, expected)
        assert sample.index.equals(FRAME.index)

    @pytest.mark.parametrize(
        "formula",
        [
            "wage ~ age + I(age**2)",
            "np.log(wage) ~ np.sqrt(age)",
            "wage ~ age - 1",
            "wage ~ age:union",
            "wage ~ C(group) + age",
            "wage ~ group * age",
        ],
    )
    @pytest.mark.parametrize("wage", [FRAME["wage"], GAPS["wage"]], ids=["complete", "gaps"])
    def test_design_agrees_with_statsmodels(self, formula, wage):
        data = ODD.assign(wage=wage, union=ODD["union"].astype(float))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MissingRowsWarning)
            sample = Sample.from_formula(f"{formula} | age", data)
        model = smf.ols(formula, data)
        regressors = sample.matrix(sample.role("regressors"))
        np.testing.assert_allclose(regressors, model.exog, rtol=1e-15)
        np.testing.assert_allclose(sample.matrix(sample.role("response"))[:, 0], model.endog)
        assert sample.index.equals(pd.Index(model.data.row_labels))

    @pytest.mark.parametrize("convert", [pl.DataFrame, pa.table, dict])
    @pytest.mark.parametrize("frame", [FRAME, GAPS], ids=["complete", "gaps"])
    def test_tables_agree_with_pandas(self, convert, frame):
        formula = "wage ~ age + union"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MissingRowsWarning)
            expected = Sample.from_formula(formula, frame)
            sample = Sample.from_formula(formula, convert(plain(frame)))
        assert (sample.names, sample.roles) == (expected.names, expected.roles)
        np.testing.assert_array_equal(sample.values, expected.values)
        np.testing.assert_array_equal(sample.kept, expected.kept)
        assert sample.index is None

    def test_conditioning_on_other_variables(self):
        sample = Sample.from_formula("wage ~ age | union + np.log(price)", ODD)
        assert sample.role("regressors") == ("Intercept", "age")
        assert sample.role("conditioning") == ("union", "price")
        np.testing.assert_array_equal(sample.matrix("price")[:, 0], ODD["price"].astype(float))

    def test_conditioning_on_a_transformed_variable_is_raw(self):
        sample = Sample.from_formula("wage ~ np.log(age)", FRAME)
        assert sample.role("conditioning") == ("age",)
        np.testing.assert_array_equal(sample.matrix("age")[:, 0], FRAME["age"])

    def test_nothing_to_condition_on(self):
        sample = Sample.from_formula("wage ~ 1", FRAME)
        assert sample.role("conditioning") == ()
        assert sample.names == ("wage", "Intercept")

    def test_several_responses(self):
        assert Sample.from_formula("wage + price ~ age", ODD).role("response") == ("wage", "price")

    def test_text_may_be_a_regressor(self):
        sample = Sample.from_formula("wage ~ group + category | age", ODD)
        assert sample.role("regressors") == ("Intercept", "group[T.b]", "category[T.2]")

    def test_comparison_with_text_may_be_the_response(self):
        sample = Sample.from_formula("I(group == 'a') ~ age", ODD)
        np.testing.assert_array_equal(sample.values[:, 0], ODD["group"] == "a")

    def test_variables_that_are_only_conditioned_on_count_as_missing(self):
        with pytest.warns(MissingRowsWarning, match="1 of 6 rows with missing values in: age$"):
            sample = Sample.from_formula("price ~ union | age", ODD.assign(age=GAPS["age"]))
        assert sample.kept.tolist() == [0, 1, 3, 4, 5]

    def test_transforms_see_complete_rows_only(self):
        with pytest.warns(MissingRowsWarning, match="1 of 6"):
            sample = Sample.from_formula("price ~ center(wage)", ODD.assign(wage=GAPS["wage"]))
        wage = GAPS["wage"].dropna()
        np.testing.assert_allclose(sample.matrix("center(wage)")[:, 0], wage - wage.mean())

    def test_values_that_the_formula_makes_missing(self):
        message = r"dropped 2 of 6 rows with missing values in: np\.log\(age - 32\)$"
        with pytest.warns(MissingRowsWarning, match=message):
            sample = Sample.from_formula("wage ~ np.log(age - 32)", FRAME)
        assert sample.kept.tolist() == [2, 3, 4, 5]
        assert sample.index.to_list() == ["r", "s", "t", "u"]

    def test_transforms_do_not_see_rows_that_the_formula_makes_missing(self):
        with pytest.warns(MissingRowsWarning, match=r"missing values in: np\.log\(age - 32\)$"):
            sample = Sample.from_formula("np.log(age - 32) ~ center(wage)", FRAME)
        wage = FRAME["wage"].iloc[2:]
        np.testing.assert_allclose(sample.matrix("center(wage)")[:, 0], wage - wage.mean())

    def test_lag_of_complete_data(self):
        with pytest.warns(MissingRowsWarning, match=r"1 of 6 rows .* in: lag\(age\)"):
            sample = Sample.from_formula("wage ~ lag(age)", FRAME)
        np.testing.assert_array_equal(sample.matrix("lag(age)")[:, 0], FRAME["age"].iloc[:-1])

    def test_caller_variables_are_not_seen(self):
        secret = FRAME["age"]
        with pytest.raises(DataError, match="no column 'secret'"):
            Sample.from_formula("wage ~ secret", FRAME)
        assert len(secret) == 6

    @pytest.mark.parametrize(
        ("formula", "message"),
        [
            (
                "wage ~ aeg",
                r"'wage ~ aeg' cannot be evaluated: `data` has no column 'aeg'; did you",
            ),
            ("wage ~ age | uni", r"`data` has no column 'uni'; did you mean 'union'\? The columns"),
            ("wage ~ rich", r"column 'rich' of `data` holds 2 infinite values"),
            ("wage ~ spin", r"column 'spin' of `data` holds complex numbers"),
            ("wage ~ cells", r"column 'cells' of `data` holds list objects"),
            ("wage ~ day", r"`formula` 'wage ~ day' could not be evaluated"),
            ("wage ~ age | day", r"column 'day' of `data` holds dates"),
            (
                "wage ~ np.log(age - 20)",
                r"column 'np.log\(age - 20\)' made by `formula` .* 1 infinite",
            ),
            (
                "group ~ age",
                r"response of `formula` 'group ~ age' holds text .* I\(answer == 'yes'\)",
            ),
            ("wage ~ foo(age)", r"could not be evaluated: .*name 'foo' is not defined.*`np`"),
            ("wage ~ np.foo(age)", r"could not be evaluated: .*has no attribute 'foo'"),
            ("wage ~ np.ones(3)", r"could not be evaluated: .*Use columns of the data"),
            ("wage ~ 3:age", r"makes two different columns named 'age'; .* I\(3 \* age\)"),
            ("wage ~ C(age) + union", r"has fewer rows \(6\) than columns \(7: Intercept, C\(age"),
        ],
    )
    def test_refused_data(self, formula, message):
        with pytest.raises(DataError, match=message):
            Sample.from_formula(formula, ODD)

    @pytest.mark.parametrize(
        "formula", ["wage ~ lag(age)", "wage ~ age.shift(1)", "np.diff(wage) ~ age"]
    )
    def test_neighbouring_rows_with_gaps(self, formula):
        with pytest.raises(DataError, match=r"looks at neighbouring rows .* values \(2\) would be"):
            Sample.from_formula(formula, GAPS)

    @pytest.mark.parametrize(
        ("formula", "message"),
        [
            ("wage ~ age +", r"`formula` could not be read: Operator `\+` .*; got 'wage ~ age \+'"),
            ("wage ~ (age", r"could not be read: Could not find matching context marker; got"),
            ("wage ~ I(age**)", r"could not be read: invalid syntax"),
            ("wage ~ age ~ union", r"could not be read: Operator `~` is incorrectly used; got"),
            ("wage ~ age union", r"could not be read: Missing operator between `age` and `union`"),
            ("wage ~ .", r"could not be read: The `\.` operator requires additional context"),
            ("wage", r"`formula` must have one response left of `~`; got 'wage'\. Write it like"),
            ("~ age", r"must have one response left of `~`"),
            ("", r"must have one response left of `~`; got ''"),
            ("wage | price ~ age", r"must have one response left of `~`"),
            ("wage ~ age | union | price", r"must have at most one `\|` right of `~`"),
            ("wage ~ age | [union ~ price]", r"none together with brackets"),
            ("wage ~ [age ~ union]", r"must not have brackets here; .* linearmodels"),
            ("1 ~ 1", r"`formula` must mention a column of `data`; got '1 ~ 1'"),
        ],
    )
    def test_refused_formulas(self, formula, message):
        with pytest.raises(OptionError, match=message):
            Sample.from_formula(formula, ODD)

    def test_messages_fit_on_one_line(self):
        with pytest.raises(OptionError, match="insuf") as caught:
            Sample.from_formula("wage ~ age +", FRAME)
        assert "\n" not in str(caught.value)
        assert "\x1b" not in str(caught.value)
        assert caught.value.__cause__ is not None


class TestVariables:
    @pytest.mark.parametrize(
        ("formula", "response", "regressors", "conditioning"),
        [
            ("y ~ age + I(age**2)", ("y",), ("age",), ("age",)),
            ("np.log(y) + z ~ b + a", ("y", "z"), ("b", "a"), ("b", "a")),
            ("y ~ x | z1 + z2", ("y",), ("x",), ("z1", "z2")),
            ("y ~ 1 | z", ("y",), (), ("z",)),
            ("y ~ b:a + c", ("y",), ("b", "a", "c"), ("b", "a", "c")),
            ("y ~ (b + a)**2", ("y",), ("b", "a"), ("b", "a")),
            ("y ~ x + z - x", ("y",), ("z",), ("z",)),
            ("y ~ bs(b, df=4) + center(a)", ("y",), ("b", "a"), ("b", "a")),
            ("y ~ I(d * c / np.exp(b))", ("y",), ("d", "c", "b"), ("d", "c", "b")),
            ("y ~ np.where(b > a, c, d)", ("y",), ("b", "a", "c", "d"), ("b", "a", "c", "d")),
            ("y ~ x.clip(0) + foo(w)", ("y",), ("x", "w"), ("x", "w")),
            ("y ~ C(s, Sum) + C(u, contr.sum)", ("y",), ("s", "u"), ("s", "u")),
            ("y ~ I(scale**2) + log", ("y",), ("scale", "log"), ("scale", "log")),
            ("y ~ `my var` + I(`a b` * c)", ("y",), ("my var", "a b", "c"), ("my var", "a b", "c")),
            ("y ~ Q('my var')", ("y",), ("my var",), ("my var",)),
            ("y ~ x1 + [x2 ~ z1 + z2]", ("y",), ("x1", "x2"), ("x1", "z1", "z2")),
            ("y ~ x + [np.log(u) + v ~ I(t**2)]", ("y",), ("x", "u", "v"), ("x", "t")),
            ("y ~ [u ~ z] + [v ~ w]", ("y",), ("u", "v"), ("z", "w")),
        ],
    )
    def test_sides(self, formula, response, regressors, conditioning):
        assert formula_variables(formula, "response") == response
        assert formula_variables(formula, "regressors") == regressors
        assert formula_variables(formula, "conditioning") == conditioning

    def test_instruments_agree_with_linearmodels(self):
        rng = np.random.default_rng(1)
        data = pd.DataFrame(rng.normal(size=(50, 5)), columns=["y", "x1", "x2", "z1", "z2"])
        formula = "y ~ x1 + [x2 ~ z1 + z2]"
        model = IV2SLS.from_formula(formula, data)
        columns = [*model.exog.cols, *model.instruments.cols]
        assert formula_variables(formula, "conditioning") == tuple(columns)

    def test_unknown_side(self):
        message = r"`side` must be one of 'response', 'regressors', 'conditioning'; got 'left'"
        with pytest.raises(OptionError, match=message):
            formula_variables("y ~ x", "left")


class TestRoles:
    def test_mapping(self):
        roles = Roles(response=("y",), conditioning=("x", "z"))
        assert dict(roles) == {"response": ("y",), "conditioning": ("x", "z")}
        assert roles["conditioning"] == ("x", "z")
        assert "regressors" not in roles

    @pytest.mark.parametrize("name", ["regressors", "other", "keys"])
    def test_absent_role(self, name):
        with pytest.raises(KeyError, match=name):
            Roles(response=("y",))[name]

    def test_plain_tables_have_none(self):
        sample = Sample.from_frame(FRAME)
        assert not sample.roles
        assert sample.role("response") == ()

    def test_unknown_role(self):
        message = r"`name` must be one of 'response', 'regressors', 'conditioning'; got 'weights'"
        with pytest.raises(OptionError, match=message):
            Sample.from_frame(FRAME).role("weights")

    def test_immutable_and_picklable(self):
        roles = Roles(response=("y",))
        assert pickle.loads(pickle.dumps(roles)) == roles
        with pytest.raises(dataclasses.FrozenInstanceError):
            roles.response = ()


labels = st.lists(st.integers(-50, 50), min_size=1, max_size=12, unique=True)


class TestAlign:
    @given(order=labels.flatmap(st.permutations), data=st.data())
    def test_any_order_gives_the_same_rows(self, order, data):
        frame = pd.DataFrame({"a": np.arange(float(len(order)))}, index=order)
        shuffled = frame.loc[data.draw(st.permutations(order))]
        wanted = pd.Index(
            data.draw(st.permutations(order))[: data.draw(st.integers(1, len(order)))]
        )
        expected = frame.reindex(wanted)
        pd.testing.assert_frame_equal(align(shuffled, wanted), expected)
        pd.testing.assert_series_equal(align(shuffled["a"], wanted), expected["a"])
        aligned = align(Sample.from_frame(shuffled), wanted)
        pd.testing.assert_frame_equal(aligned.frame(), expected)
        np.testing.assert_array_equal(shuffled.to_numpy()[aligned.kept], expected)

    def test_text_dates_and_pairs_as_labels(self):
        for index in (
            pd.Index(["a", "b", "c"]),
            pd.date_range("2020", periods=3),
            pd.MultiIndex.from_tuples([(1, "a"), (1, "b"), (2, "a")]),
        ):
            series = pd.Series([1.0, 2.0, 3.0], index=index)
            assert align(series, index[[2, 0]]).to_list() == [3.0, 1.0]

    def test_sample_keeps_its_record(self):
        sample = sample_of(GAPS)
        aligned = align(sample, pd.Index(["u", "p"]))
        assert aligned.index.to_list() == ["u", "p"]
        assert (aligned.names, aligned.n_dropped) == (sample.names, 2)
        assert aligned.kept.tolist() == [5, 0]

    def test_roles_survive(self):
        sample = Sample.from_formula("wage ~ age", FRAME)
        assert align(sample, FRAME.index[::-1]).roles == sample.roles

    def test_equal_indexes_may_repeat_labels(self):
        frame = pd.DataFrame({"a": [1.0, 2.0]}, index=["p", "p"])
        assert align(frame, pd.Index(["p", "p"])) is frame

    @pytest.mark.parametrize(
        ("own", "wanted", "message"),
        [
            ("aab", "ab", r"the index of `z` repeats 1 labels \(first: 'a'\), so its rows cannot"),
            ("abc", "aab", r"the index to which `z` is aligned repeats 1 labels \(first: 'a'\)"),
            (
                "abc",
                "abxy",
                r"`z` lacks 2 of the 4 row labels wanted \(first: 'x'\); rows are matched",
            ),
        ],
    )
    def test_refused_labels(self, own, wanted, message):
        series = pd.Series(np.arange(float(len(own))), index=list(own))
        with pytest.raises(DataError, match=message):
            align(series, pd.Index(list(wanted)), argument="z")

    def test_labels_of_another_type_are_never_matched_by_position(self):
        with pytest.raises(DataError, match=r"`data` lacks 3 of the 3 row labels"):
            align(pd.Series([1.0, 2.0, 3.0]), pd.Index(["a", "b", "c"]))

    def test_dropped_rows_are_told(self):
        message = r"lacks 1 of the 2 row labels wanted \(first: 'q'\), after 2 with missing values"
        with pytest.raises(DataError, match=message):
            align(sample_of(GAPS), pd.Index(["p", "q"]))

    @pytest.mark.parametrize(
        ("data", "index"),
        [
            (Sample.from_array([1.0, 2.0, 3.0]), pd.Index(["a", "b", "c"])),
            (Sample.from_array([1.0, 2.0, 3.0]), 3),
            (pd.Series([1.0, 2.0, 3.0], index=[5, 6, 7]), 3),
        ],
    )
    def test_position_without_labels(self, data, index):
        assert align(data, index) is data

    @pytest.mark.parametrize(
        "data",
        [Sample.from_array([1.0, 2.0]), pd.Series([1.0, 2.0]), pd.DataFrame({"a": [1.0, 2.0]})],
    )
    def test_position_needs_equal_length(self, data):
        with pytest.raises(
            DataError, match=r"`data` must have 3 rows, because .* got 2 rows\. Pass"
        ):
            align(data, 3)

    def test_position_needs_all_rows(self):
        message = r"got 2 rows, after 1 with missing values were dropped\. Pass DataFrames"
        with pytest.raises(DataError, match=message):
            align(sample_of([1.0, np.nan, 3.0]), 2)


class TestVariation:
    @pytest.mark.parametrize("scale", [1e-300, 1e-9, 1.0, 1e9, 1e300])
    @pytest.mark.parametrize("offset", [0.0, 1.0, -1e6])
    def test_columns_that_vary(self, scale, offset):
        check_varies(scale * (offset + np.array([[0.0], [1.0], [2.0]])), ["age"])

    @pytest.mark.parametrize(
        "column",
        [np.zeros(3), np.full(3, -1e300), 1.0 + np.array([0, 1, 3]) * 2.0**-52],
    )
    def test_columns_that_do_not(self, column):
        values = np.column_stack([np.arange(float(len(column))) * 2 + 1, column])
        with pytest.raises(
            DataError, match=r"conditioning columns must vary, but .*'one' is the same"
        ):
            check_varies(values, ["age", "one"])

    def test_a_single_row_varies_in_no_column(self):
        with pytest.raises(DataError, match=r"'age', 'one' are the same in every row"):
            check_varies(np.array([[1.0, 1.0]]), ["age", "one"])

    def test_rounding_is_eight_eps(self):
        eps = np.finfo(np.float64).eps
        check_varies(np.array([[1.0], [1.0 + 10 * eps]]), ["age"])
        with pytest.raises(DataError, match="'age'"):
            check_varies(np.array([[1.0], [1.0 + 7 * eps]]), ["age"])

    def test_intercept_is_allowed_in_a_sample(self):
        assert Sample.from_array(sm.add_constant(np.arange(3.0))).n_obs == 3


LABELS = ["b", None, "a", "c"] * 3
ORDERED = pa.DictionaryArray.from_arrays(
    pa.array([0, None, 1, 2] * 3), pa.array(["low", "mid", "high"]), ordered=True
)
DICTIONARIES = {
    "nulls": pa.array(LABELS).dictionary_encode(),
    "order": ORDERED,
    "chunks": pa.chunked_array(
        [pa.array(LABELS[:5]).dictionary_encode(), pa.array(LABELS[5:]).dictionary_encode()]
    ),
    "numbers": pa.array([1.5, None, 2.5, 4.0] * 3).dictionary_encode(),
}


class TestArrowDictionaries:
    """NumPy reads a missing entry of an Arrow dictionary as its last one. Referee: pandas."""

    @pytest.mark.parametrize("kind", DICTIONARIES)
    @pytest.mark.parametrize(
        "convert",
        [
            lambda table: table,
            lambda table: {"v": table["v"]},
            lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
            lambda table: {"v": table.to_pandas(types_mapper=pd.ArrowDtype)["v"]},
        ],
        ids=["table", "mapping", "pandas-arrow", "mapping of pandas-arrow"],
    )
    def test_entries_levels_and_order_are_those_of_pandas(self, kind, convert):
        table = pa.table({"v": DICTIONARIES[kind]})
        found, expected = encode_frame(convert(table)), encode_frame(table.to_pandas())
        np.testing.assert_array_equal(found.values, expected.values)
        assert np.isnan(found.values).sum() == 3
        assert (found.kinds, found.levels) == (expected.kinds, expected.levels)

    def test_a_dictionary_that_holds_a_missing_entry(self):
        codes, entries = pa.array([0, 3, 1, 2] * 3), pa.array(["low", "mid", "high", None])
        table = pa.table({"v": pa.DictionaryArray.from_arrays(codes, entries)})
        found = encode_frame(table)
        np.testing.assert_array_equal(found.values.ravel(), [0, np.nan, 1, 2] * 3)
        assert found.levels == (("low", "mid", "high"),)

    def test_polars_gives_the_same_cells(self):
        table = pa.table({"v": DICTIONARIES["nulls"]})
        found = encode_frame(pl.from_arrow(table))
        by_level = [dict(enumerate(e.levels[0])) for e in (found, encode_frame(table))]
        columns = (found.values.ravel(), encode_frame(table).values.ravel())
        named = [[d.get(v) for v in c] for d, c in zip(by_level, columns, strict=True)]
        assert named == [LABELS, LABELS]

    def test_an_array_of_numbers_keeps_its_gaps(self):
        found = as_float_columns_with_missing(DICTIONARIES["numbers"], "x")
        np.testing.assert_array_equal(found.ravel(), [1.5, np.nan, 2.5, 4.0] * 3)

    @pytest.mark.parametrize("container", [lambda v: v, lambda v: pa.chunked_array([v])])
    def test_missing_groups_are_refused(self, container):
        labels = container(pa.array(LABELS).dictionary_encode())
        with pytest.raises(DataError, match="`groups` has 3 missing labels"):
            group_codes(labels, 12)

    def test_an_estimator_leaves_the_rows_out(self, rng):
        x, y = rng.normal(size=(2, 40))
        labels = ["a", None, "b", "c"] * 10
        plain = pd.DataFrame({"y": y, "x": x, "g": labels})
        coded = pa.table({"y": y, "x": x, "g": pa.array(labels).dictionary_encode()})
        with pytest.warns(MissingRowsWarning, match="10 of 40 rows"):
            expected = kcm.MMR.from_formula("y ~ C(g) | x", plain).fit()
        with pytest.warns(MissingRowsWarning, match="10 of 40 rows"):
            found = kcm.MMR.from_formula("y ~ C(g) | x", coded).fit()
        assert found.params.to_numpy() == pytest.approx(expected.params.to_numpy())
