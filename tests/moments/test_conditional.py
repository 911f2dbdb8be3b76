"""Conditional moments of one's own: what they read, what they refuse, what they compute.

Referee: NumPy formulas and derivatives written down by hand.
"""

import math
import pickle

import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kcm
from kcm.exceptions import DataError, MomentError, OptionError
from kcm.moments import ConditionalMoment, ParameterTree

START = {"a": 0.5, "b": [1.0, -2.0]}


def decay(params, row):
    return row["y"] - params["a"] * jnp.exp(params["b"][0] * row["x"]) - params["b"][1]


def frame(n=40, seed=1):
    x, y, z = np.random.default_rng(seed).normal(size=(3, n))
    index = [f"row{i}" for i in range(n)]
    return pd.DataFrame({"x": x, "y": y, "z": z, "name": "text"}, index=index)


def bind(residual, data=None, conditioning="z", params=None):
    moment = ConditionalMoment(residual, conditioning)
    return moment.bind(frame() if data is None else data, params or START, "start")


class TestParameters:
    def test_labels_keep_the_order_given(self):
        tree = ParameterTree.of({"z": 1.0, "a": [1.0, 2.0], "m": {"q": 3.0, "b": np.eye(2)}})
        assert tree.labels == (
            "z",
            "a[0]",
            "a[1]",
            "m.q",
            "m.b[0, 0]",
            "m.b[0, 1]",
            "m.b[1, 0]",
            "m.b[1, 1]",
        )

    def test_a_series_is_a_mapping(self):
        tree = ParameterTree.of(pd.Series({"b": 1.0, "a": 2.0}))
        assert tree.labels == ("b", "a")
        np.testing.assert_array_equal(tree.vector({"a": 5.0, "b": 6.0}, "start"), [6.0, 5.0])

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(0, 2**16))
    def test_vector_and_tree_are_inverse(self, sizes, seed):
        rng = np.random.default_rng(seed)
        params = {f"p{k}": rng.normal(size=size or ()) for k, size in enumerate(sizes)}
        tree = ParameterTree.of(params)
        back = tree.tree(tree.vector(params, "start"))
        assert list(back) == list(params)
        assert all(np.array_equal(back[name], params[name]) for name in params)

    def test_estimates_by_label_are_read_back(self):
        tree = ParameterTree.of(START)
        values = pd.Series([3.0, 4.0, 5.0], index=["b[1]", "a", "b[0]"])
        np.testing.assert_array_equal(tree.vector(values, "params"), [4.0, 5.0, 3.0])

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            (3.0, "must be a mapping of parameter names"),
            ({}, "must name each parameter once"),
            ({"a": np.nan}, "parameter 'a' of `start` is nan"),
            ({"a": np.inf}, "parameter 'a' of `start` is inf"),
            ({"a": "one"}, "parameter 'a' of `start` holds text"),
            ({"a": [[1.0], [1.0, 2.0]]}, "is no array"),
            ({1: 2.0}, "must have text as names"),
            ({"a": {"b": 1.0}, "a.b": 2.0}, "must name each parameter once"),
        ],
    )
    def test_what_is_no_set_of_parameters_is_refused(self, params, message):
        with pytest.raises((DataError, OptionError), match=message):
            ParameterTree.of(params)

    def test_other_names_are_refused(self):
        tree = ParameterTree.of(START)
        with pytest.raises(OptionError, match=r"must hold the parameters a, b\[0\], b\[1\]"):
            tree.vector({"a": 1.0}, "params")


class TestEvaluation:
    def test_residuals_and_jacobian_are_those_written_by_hand(self):
        data = frame()
        bound = bind(decay, data)
        theta = np.array([0.7, 0.3, -1.0])
        values = bound.evaluate(theta)
        x, y = data["x"].to_numpy(), data["y"].to_numpy()
        growth = np.exp(0.3 * x)
        np.testing.assert_allclose(values.residuals[:, 0], y - 0.7 * growth + 1, rtol=1e-14)
        by_hand = -np.column_stack([growth, 0.7 * x * growth, np.ones_like(x)])
        np.testing.assert_allclose(values.jacobian[:, 0], by_hand, rtol=1e-14)

    @pytest.mark.parametrize("n", [3, 63, 64, 65, 200])
    def test_every_row_is_computed_whatever_their_number(self, n):
        data = frame(n)
        residuals = bind(decay, data).evaluate(np.array([1.0, 0.0, 0.0])).residuals
        np.testing.assert_allclose(residuals[:, 0], data["y"] - 1, rtol=1e-14)

    @pytest.mark.parametrize("wrap", [tuple, list, jnp.stack], ids=["tuple", "list", "array"])
    def test_components_come_as_a_tuple_a_list_or_an_array(self, wrap):
        def both(params, row):
            return wrap([row["y"] - params["a"], row["x"] * params["b"][0] - params["b"][1]])

        data = frame()
        bound = bind(both, data)
        values = bound.evaluate(np.array([0.5, 2.0, 1.0]))
        np.testing.assert_allclose(values.residuals[:, 1], 2 * data["x"] - 1, rtol=1e-13)
        assert bound.components == ("psi1", "psi2")
        assert values.jacobian.shape == (40, 2, 3)

    def test_a_captured_value_that_changes_is_noticed(self):
        shift = {"by": 1.0}

        def residual(params, row):
            return row["y"] - params["a"] - shift["by"]

        first = bind(residual, params={"a": 0.0}).evaluate(np.zeros(1)).residuals
        shift["by"] = 5.0
        second = bind(residual, params={"a": 0.0}).evaluate(np.zeros(1)).residuals
        np.testing.assert_allclose(first - second, 4.0)

    def test_a_captured_array_that_changes_is_noticed(self):
        shift = np.array([1.0, 2.0])

        def residual(params, row):
            return row["y"] - params["a"] - jnp.sum(jnp.asarray(shift))

        first = bind(residual, params={"a": 0.0}).evaluate(np.zeros(1)).residuals
        shift[0] = 5.0
        second = bind(residual, params={"a": 0.0}).evaluate(np.zeros(1)).residuals
        np.testing.assert_allclose(first - second, 4.0)

    def test_columns_that_are_not_read_may_hold_anything(self):
        data = frame().assign(more=np.nan)
        assert bind(decay, data).n_obs == 40

    def test_pandas_polars_and_mappings_give_the_same(self):
        data = frame().drop(columns="name").reset_index(drop=True)
        theta = np.array([0.5, 1.0, -2.0])
        sources = (data, pl.from_pandas(data), {name: data[name].to_numpy() for name in data})
        first, *others = (bind(decay, source).evaluate(theta).residuals for source in sources)
        assert all(np.array_equal(first, other) for other in others)

    def test_the_moment_pickles_with_a_function_of_a_module(self):
        copy = pickle.loads(pickle.dumps(ConditionalMoment(decay, "z")))
        assert copy.residual is decay


class TestConditioning:
    @pytest.mark.parametrize(
        ("conditioning", "names"),
        [
            ("z", ("z",)),
            (["z", "x"], ("z", "x")),
            ("z + np.log(x)", ("z", "x")),
            ("| z + x", ("z", "x")),
        ],
    )
    def test_names_and_formula_parts(self, conditioning, names):
        data = frame()
        bound = bind(decay, data, conditioning)
        assert bound.conditioning_names == names
        np.testing.assert_array_equal(bound.conditioning, data[list(names)].to_numpy())

    def test_arrays_go_by_position(self):
        values = np.arange(80.0).reshape(40, 2)
        bound = bind(decay, conditioning=values)
        np.testing.assert_array_equal(bound.conditioning, values)
        assert bound.conditioning_names == ("x1", "x2")

    def test_frames_go_by_label(self):
        data = frame()
        shuffled = data[["z"]].sample(frac=1, random_state=0)
        np.testing.assert_array_equal(
            bind(decay, data, shuffled).conditioning[:, 0], data["z"].to_numpy()
        )

    def test_rows_with_missing_values_are_left_out_and_counted(self):
        data = frame()
        data.loc["row3", "z"] = np.nan
        data.loc["row7", "x"] = np.nan
        with pytest.warns(kcm.MissingRowsWarning, match="2 of 40 rows"):
            bound = bind(decay, data)
        assert (bound.n_obs, bound.n_dropped) == (38, 2)
        assert "row3" not in bound.index
        assert list(bound.kept[:4]) == [0, 1, 2, 4]

    @pytest.mark.parametrize(
        ("conditioning", "message"),
        [
            ("zz", "has no column 'zz'"),
            (np.zeros(39), "has 39 rows and the data have 40"),
            ("name", "holds text or categories"),
            (np.ones(40), "conditioning columns must vary, but 'x1'"),
        ],
    )
    def test_what_cannot_be_conditioned_on_is_refused(self, conditioning, message):
        with pytest.raises(DataError, match=message):
            bind(decay, conditioning=conditioning)

    def test_no_variation_names_the_column(self):
        with pytest.raises(DataError, match="conditioning columns must vary, but 'z'"):
            bind(decay, frame().assign(z=1.0))


def not_a_number(params, row):
    if row["x"] > 0:
        return row["y"]
    return params["a"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("residual", "line"),
        [
            (lambda p, r: r["y"] - math.exp(p["a"]), "math.exp"),
            (lambda p, r: r["y"] - np.exp(p["a"]), "np.exp"),
            (lambda p, r: r["y"] - float(p["a"]), "float"),
            (not_a_number, "if row"),
        ],
        ids=["math", "numpy", "float", "if"],
    )
    def test_what_jax_cannot_trace_is_shown(self, residual, line):
        with pytest.raises(MomentError, match="cannot be traced by JAX at test_conditional") as e:
            bind(residual)
        assert line in str(e.value)

    @pytest.mark.parametrize(
        ("residual", "message"),
        [
            (lambda p, r: jnp.zeros((2, 2)) * p["a"], r"an array of shape \(2, 2\)"),
            (lambda p, r: None, "returned nothing"),
            (lambda p, r: {"psi": r["y"]}, "returned a dict"),
            (lambda p, r: [r["y"], jnp.zeros(2)], r"array of shape \(2,\) in it"),
            (lambda p, r: r["y"] > p["a"], "bool numbers, which have no derivative"),
            (lambda p, r: jnp.arange(40.0) - p["a"], "40 numbers and the data have 40 rows"),
            (lambda p, r: r["y"] - p["missing"], "raised KeyError"),
            (lambda p: 1.0, "raised TypeError"),
            (lambda p, r: jnp.zeros(0), r"an array of shape \(0,\)"),
        ],
        ids=["matrix", "none", "dict", "nested", "bool", "sample", "key", "arguments", "empty"],
    )
    def test_a_wrong_residual_is_explained(self, residual, message):
        with pytest.raises(MomentError, match=message):
            bind(residual)

    def test_an_unknown_column_is_named_with_a_suggestion(self):
        with pytest.raises(DataError, match=r"reads the column 'xx', which .* did you mean 'x'"):
            bind(lambda p, r: r["xx"] - p["a"])

    def test_a_text_column_is_refused(self):
        with pytest.raises(DataError, match="column 'name' of `data` holds text"):
            bind(lambda p, r: r["name"] - p["a"])

    def test_a_residual_without_data_is_refused(self):
        with pytest.raises(MomentError, match="reads no column of the data"):
            bind(lambda p, r: p["a"] * 1.0).evaluate(np.array([0.5, 1.0, -2.0]))

    def test_what_is_no_function_is_refused(self):
        with pytest.raises(OptionError, match="`residual` must be a function"):
            ConditionalMoment("y - a", "z")

    def test_names_of_components_must_match(self):
        moment = ConditionalMoment(decay, "z", components=("one", "two"))
        with pytest.raises(MomentError, match="must name each of the 1 numbers"):
            moment.bind(frame(), START, "start")

    def test_too_few_rows(self):
        with pytest.raises(DataError, match="at least 3"):
            bind(lambda p, r: r["y"] - p["a"], frame(2))
