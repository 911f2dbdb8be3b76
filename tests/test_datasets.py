"""Data sets by name. Referee: statsmodels, and the published description of cps71."""

import socket

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from kcm import datasets
from kcm.exceptions import DataError


class TestCps71:
    def test_shape_and_columns(self):
        data = datasets.load_cps71()
        assert data.shape == (205, 2)
        assert data.columns.to_list() == ["logwage", "age"]

    def test_published_description(self):
        # men of 21 to 65 years, sorted by age
        data = datasets.load_cps71()
        assert (data["age"].min(), data["age"].max()) == (21, 65)
        assert data["age"].is_monotonic_increasing
        assert data["logwage"].iloc[0] == 11.1563

    def test_every_call_gives_a_fresh_copy(self):
        data = datasets.load_cps71()
        data.loc[0, "age"] = -1
        assert datasets.load_cps71().loc[0, "age"] == 21

    def test_by_name(self):
        pd.testing.assert_frame_equal(datasets.load("cps71"), datasets.load_cps71())


class TestStatsmodels:
    @pytest.mark.parametrize("name", ["engel", "randhie", "fair", "star98"])
    def test_agrees(self, name):
        expected = getattr(sm.datasets, name).load_pandas().data
        pd.testing.assert_frame_equal(datasets.load(name), expected)

    def test_published_engel(self):
        # Koenker and Bassett (1982): median regression of food expenditure on income
        data = datasets.load("engel")
        fit = sm.QuantReg(data["foodexp"], sm.add_constant(data["income"])).fit(q=0.5)
        np.testing.assert_allclose(fit.params, [81.4822, 0.5602], rtol=1e-4)

    @pytest.mark.parametrize("name", datasets.names())
    def test_every_name_loads_without_a_network(self, name, monkeypatch):
        def refuse(*args, **options):
            raise OSError("the network is closed")

        monkeypatch.setattr(socket, "socket", refuse)
        data = datasets.load(name)
        assert isinstance(data, pd.DataFrame)
        assert not data.empty

    def test_loaders_that_download_are_left_out(self):
        assert not {"utils", "template_data", "tests", "get_rdataset"} & set(datasets.names())


class TestNames:
    def test_sorted_and_distinct(self):
        names = datasets.names()
        assert list(names) == sorted(set(names))
        assert {"cps71", "engel", "randhie", "fair", "star98"} <= set(names)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("engle", r"`name` must be .*; got 'engle'; did you mean 'engel'.* sets are: anes96,"),
            ("qqqq", r"got 'qqqq'\. The data sets are: anes96, .*, engel, .*, sunspots\.$"),
            ("utils", r"got 'utils'"),
        ],
    )
    def test_unknown_name(self, name, message):
        with pytest.raises(DataError, match=message):
            datasets.load(name)
