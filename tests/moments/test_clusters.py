"""Cluster labels of every kind. Referee: the same clusters as integers."""

import dataclasses

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from kcm import Asymptotic, FittedMoment, KCMTest, MultiplierBootstrap
from kcm.exceptions import DataError, OptionError
from kcm.moments.clusters import group_codes
from kcm.null import Null, NullDistribution

TEXT = ["b", "a", "c", "a", "d", "b"]
CODES = [1, 0, 2, 0, 3, 1]
LABELS = {
    "list": TEXT,
    "tuple": tuple(TEXT),
    "array": np.array(TEXT),
    "objects": np.array(TEXT, dtype=object),
    "series": pd.Series(TEXT),
    "string": pd.Series(TEXT, dtype="string"),
    "category": pd.Series(TEXT, dtype="category"),
    "nullable": pd.Series(CODES, dtype="Int64"),
    "dates": pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(CODES, unit="D")),
    "index": pd.Index(TEXT),
    "polars": pl.Series(TEXT),
    "polars integers": pl.Series(CODES),
    "polars categories": pl.Series(TEXT, dtype=pl.Categorical),
    "arrow": pa.chunked_array([TEXT]),
    "arrow dictionary": pa.chunked_array([pa.array(TEXT).dictionary_encode()]),
    "integers and floats": [1, 0.0, 2, 0, 3.0, True],
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_every_kind_are_numbered_in_their_order(kind):
    assert group_codes(LABELS[kind], 6).tolist() == CODES


def test_no_groups_are_one_row_each():
    assert group_codes(None, 4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("null", [Asymptotic, MultiplierBootstrap])
@pytest.mark.filterwarnings("ignore::kcm.exceptions.FewClustersWarning")
def test_a_series_with_a_fitted_moment_is_taken_by_position(null, rng):
    psi, x = rng.normal(size=(2, 60))
    groups = np.arange(60) // 5
    series = pd.Series(groups, index=rng.permutation(60))
    moment = FittedMoment(pd.Series(psi), pd.Series(x))
    by_series, by_array = (
        KCMTest(null=null(groups=labels)).run(moment, rng=0).pvalue for labels in (series, groups)
    )
    assert by_series == by_array


MISSING = {
    "none": ["a", None, "b", "c"],
    "nan in text": ["a", np.nan, "b", "c"],
    "nan": np.array([1.0, np.nan, 2.0, 3.0]),
    "pandas NA": pd.Series([1, None, 2, 3], dtype="Int64"),
    "category": pd.Series(["a", None, "b", "c"], dtype="category"),
    "date": pd.Series(pd.to_datetime(["2020-01-01", None, "2020-01-02", "2020-01-03"])),
    "polars": pl.Series([1, None, 2, 3]),
    "polars text": pl.Series(["a", None, "b", "c"]),
    "masked": np.ma.MaskedArray([1, 9, 2, 3], [False, True, False, False]),
}


@pytest.mark.parametrize("kind", MISSING)
def test_missing_labels_are_refused(kind):
    with pytest.raises(DataError, match="`groups` has 1 missing labels"):
        group_codes(MISSING[kind], 4)


@pytest.mark.parametrize("kind", [list, pd.Series, lambda x: np.array(x, dtype=object)])
def test_mixed_types_are_refused_in_words(kind):
    with pytest.raises(DataError, match=r"mixes labels that have no common order \(int, str\)"):
        group_codes(kind(["a", 1, "b", 2]), 4)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([0, 0, 1, 1], "`groups` has 2 clusters; the null law needs at least 3"),
        ([0, 1, 2], r"`groups` has shape \(3,\); expected one label per observation, \(4,\)"),
        (np.eye(4), r"`groups` has shape \(4, 4\)"),
    ],
)
def test_wrong_groups_are_refused_in_words(groups, message):
    with pytest.raises(DataError, match=message):
        group_codes(groups, 4)


def test_a_column_name_is_refused():
    with pytest.raises(OptionError, match="a FittedMoment has no columns"):
        group_codes("firm", 4)


class Bare(Null):
    """A null law of the caller's own that knows nothing of groups."""

    def distribution(self, contraction, rng):
        return Squared(contraction.statistic)


@dataclasses.dataclass(frozen=True)
class Squared(NullDistribution):
    """P(T >= t) = 1 / (1 + (t / scale)^2)."""

    scale: float

    def pvalue(self, t):
        return 1 / (1 + (t / self.scale) ** 2)

    def critical_value(self, level):
        return self.scale * (1 / level - 1) ** 0.5

    def describe(self):
        return "made up"


@pytest.mark.parametrize("method", ["auto", "exact", "low-rank"])
def test_a_null_that_defines_its_law_alone_has_no_groups(method, rng):
    x, psi = rng.normal(size=(2, 60))
    result = KCMTest(null=Bare(), method=method).run(FittedMoment(psi, x))
    assert Bare().groups is None
    assert result.pvalue == 0.5
    expected = (0.0, 1.0) if method == "low-rank" else (0.5, 0.5)
    assert result.certificate.pvalue_interval == expected
    assert "made up" in str(result.summary())
