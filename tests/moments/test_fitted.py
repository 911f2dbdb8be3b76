"""The seam: shapes, checks, names, rows matched by label, and the leverage scale."""

import dataclasses
import pickle

import jax
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import statsmodels.api as sm
from dense_law import powers
from refusals import messages

from kcm import FittedMoment, KCMTest, MomentLabels
from kcm.exceptions import DataError
from kcm.moments import scaled_influence
from kcm.moments.leverage import leverage_scale


@pytest.fixture
def parts(rng):
    n, q, p = 20, 2, 3
    return {
        "residuals": rng.normal(size=(n, q)),
        "conditioning": rng.normal(size=(n, 2)),
        "jacobian": rng.normal(size=(n, q, p)),
        "influence": rng.normal(size=(n, q, p)),
        "scale": rng.uniform(0.5, 1.0, size=(n, q)),
    }


def test_sizes(parts):
    moment = FittedMoment(**parts)
    sizes = (moment.n_obs, moment.n_components, moment.n_params, moment.n_conditioning)
    assert sizes == (20, 2, 3, 2)
    assert not moment.theta_known


def test_one_dimensional_input_is_one_column(rng):
    psi, x, s = rng.normal(size=(3, 20))
    moment = FittedMoment(psi, x, s, -s)
    assert moment.residuals.shape == (20, 1)
    assert moment.jacobian.shape == moment.influence.shape == (20, 1, 1)


def test_names_come_from_the_frame(rng):
    frame = pd.DataFrame(rng.normal(size=(20, 2)), columns=["age", "wage"])
    assert FittedMoment(rng.normal(size=20), frame).labels.conditioning == ("age", "wage")
    assert FittedMoment(rng.normal(size=20), frame.to_numpy()).labels.conditioning == ("x1", "x2")


TABLES = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "arrow": pa.table,
    "mapping": dict,
}


@pytest.mark.parametrize("table", TABLES)
def test_every_table_gives_names_and_the_same_numbers(rng, table):
    psi, columns = rng.normal(size=20), {"wage": rng.normal(size=20), "age": np.arange(20)}
    moment = FittedMoment(psi, TABLES[table](columns))
    assert moment.labels.conditioning == ("wage", "age")
    np.testing.assert_array_equal(moment.conditioning, np.column_stack(list(columns.values())))


@pytest.mark.parametrize(
    "named", [lambda v: pd.Series(v, name="age"), lambda v: pl.Series("age", v)]
)
def test_a_series_gives_its_name(rng, named):
    psi, age = rng.normal(size=(2, 20))
    assert FittedMoment(psi, named(age)).labels.conditioning == ("age",)


@pytest.mark.parametrize("series", [pd.Series, pl.Series])
def test_a_series_without_name_is_x1(rng, series):
    psi, age = rng.normal(size=(2, 20))
    assert FittedMoment(psi, series(age)).labels.conditioning == ("x1",)


def test_the_caller_keeps_the_arrays(parts):
    copies = {name: value.copy() for name, value in parts.items()}
    moment = FittedMoment(**parts)
    KCMTest().run(moment)
    parts["residuals"][0] = 99.0
    assert moment.residuals[0, 0] == copies["residuals"][0, 0]
    for name in ("conditioning", "jacobian", "influence", "scale"):
        np.testing.assert_array_equal(parts[name], copies[name])


def test_a_pytree_that_pickles(parts):
    moment = FittedMoment(**parts)
    leaves, structure = jax.tree.flatten(moment)
    assert len(leaves) == 5
    for copy in (jax.tree.unflatten(structure, leaves), pickle.loads(pickle.dumps(moment))):
        np.testing.assert_array_equal(copy.influence, moment.influence)
        assert copy.labels == moment.labels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"influence": None}, "`jacobian` was given without `influence`"),
        ({"jacobian": None}, "`influence` was given without `jacobian`"),
        ({"conditioning": np.ones((19, 1))}, "`conditioning` has 19 rows and `residuals` has 20"),
        ({"jacobian": np.ones((20, 1, 3))}, r"`jacobian` has 1 components; expected shape"),
        ({"jacobian": np.ones((20, 2, 4))}, "`jacobian` has 4 parameters and `influence` has 3"),
        ({"influence": np.ones((20, 3, 3))}, "`influence` has 3 components"),
        ({"influence": np.ones((20, 3))}, "pass it split by component"),
        ({"scale": np.zeros((20, 2))}, "`scale` has 40 values that are not positive"),
        ({"scale": np.ones(20)}, "`scale` has 1 columns; expected one per residual component, 2"),
        ({"residuals": np.full((20, 2), np.nan)}, "`residuals`"),
        ({"residuals": np.full((20, 2), np.inf)}, "`residuals`"),
        ({"conditioning": np.ones(20)}, "x1"),
        ({"residuals": np.array(["a"] * 20)}, "`residuals` holds text"),
    ],
)
def test_wrong_parts_are_refused_in_words(parts, change, message):
    with pytest.raises(DataError, match=message):
        FittedMoment(**(parts | change))


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("conditioning", {"a": np.ones(20), "b": np.ones(19)}, "must have one length"),
        ("residuals", pd.DataFrame({"sex": ["m", "f"] * 10}), "column 'sex' of `residuals` holds"),
        ("conditioning", pd.DataFrame({"sex": ["m"] * 20}), "column 'sex' of `conditioning` must"),
        ("conditioning", pd.DataFrame(np.eye(20, 2), columns=["a", "a"]), "repeats the column"),
        ("conditioning", pa.table({"a": [None, *range(19)]}), "`conditioning` holds 1 missing"),
        ("jacobian", [[1.0, 2.0], [3.0]], "`jacobian` could not be read as an array"),
        (
            "influence",
            np.ones((20, 2, 3, 1)),
            r"`influence` must have shape \(n, p\) or \(n, q, p\); got 4",
        ),
        ("influence", np.ones((0, 2, 3)), "`influence` is empty"),
    ],
)
def test_wrong_tables_and_blocks_are_refused_in_words(parts, part, value, message):
    with pytest.raises(DataError, match=message):
        FittedMoment(**(parts | {part: value}))


@pytest.mark.parametrize("part", ["jacobian", "influence"])
@pytest.mark.parametrize("columns", [slice(None), 0])
def test_masked_blocks_are_missing_values(parts, part, columns):
    plain = parts | {"residuals": parts["residuals"][:, 0], "scale": None}
    plain |= {name: plain[name][:, :1] for name in ("jacobian", "influence")}
    mask = np.zeros((20, 1, 3), dtype=bool)
    mask[4, 0, 1] = True
    masked = np.ma.MaskedArray(plain[part], mask)[:, columns]
    with pytest.raises(DataError, match=rf"`{part}` holds 1 missing value \(first in row 4, col"):
        FittedMoment(**(plain | {part: masked}))


class TestLabels:
    def test_labels_left_empty_are_completed(self, parts):
        given = MomentLabels(moment="y - a", n_dropped=2)
        labels = FittedMoment(**parts, labels=given).labels
        kinds = ("continuous", "continuous")
        assert labels == MomentLabels("y - a", ("x1", "x2"), "estimated", 2, kinds, levels=((), ()))
        assert given == MomentLabels(moment="y - a", n_dropped=2)

    def test_labels_given_are_kept(self, parts):
        kinds = ("continuous", "unordered")
        levels = ((), ("low", "high"))
        given = MomentLabels("y - a", ("age", "wage"), "estimated: OLS", 0, kinds, levels=levels)
        assert FittedMoment(**parts, labels=given).labels == given

    def test_the_result_prints_them(self, parts):
        result = KCMTest().run(FittedMoment(**parts, labels=MomentLabels(moment="y - a")))
        assert result.null_hypothesis == "E[y - a | x1, x2] = 0"
        assert result.theta == "estimated"

    @pytest.mark.parametrize("theta", ["estimated", "Estimated: OLS"])
    def test_an_estimated_theta_without_jacobian_is_refused(self, parts, theta):
        with pytest.raises(DataError, match=r"`labels` says theta is .* no `jacobian` is given"):
            FittedMoment(
                parts["residuals"], parts["conditioning"], labels=MomentLabels(theta=theta)
            )

    @pytest.mark.parametrize("names", [("age",), ("age", "wage", "sex"), "age"])
    def test_another_number_of_names_is_refused(self, parts, names):
        labels = MomentLabels(conditioning=tuple(names))
        with pytest.raises(DataError, match=r"expected one per column of `conditioning`, 2"):
            FittedMoment(**parts, labels=labels)

    @pytest.mark.parametrize("kinds", [("ordered",), ("ordered", "nominal")])
    def test_other_kinds_are_refused(self, parts, kinds):
        with pytest.raises(DataError, match="expected 'continuous', 'unordered' or 'ordered' for"):
            FittedMoment(**parts, labels=MomentLabels(kinds=kinds))


class TestRowsByLabel:
    """Referee: the same numbers as arrays, put into one order by hand."""

    @pytest.fixture
    def plain(self, parts):
        flat = {name: value[:, 0] for name, value in parts.items() if name != "conditioning"}
        return {"conditioning": parts["conditioning"]} | flat

    @pytest.fixture
    def indexed(self, plain):
        index = pd.Index([f"r{i}" for i in range(20)])
        return {name: pd.DataFrame(value, index=index) for name, value in plain.items()}

    @pytest.mark.parametrize("name", ["conditioning", "jacobian", "influence", "scale"])
    def test_a_shuffled_part_changes_nothing(self, plain, indexed, name, rng):
        shuffled = indexed | {name: indexed[name].sample(frac=1, random_state=1)}
        copy = shuffled[name].copy()
        np.testing.assert_array_equal(
            getattr(FittedMoment(**shuffled), name), getattr(FittedMoment(**plain), name)
        )
        pd.testing.assert_frame_equal(shuffled[name], copy)

    def test_shuffled_series_give_the_same_statistic(self, rng):
        psi, x = (pd.Series(v) for v in rng.normal(size=(2, 40)))
        expected = KCMTest().run(FittedMoment(psi.to_numpy(), x.to_numpy()))
        shuffled = KCMTest().run(FittedMoment(psi, x.sample(frac=1, random_state=1)))
        assert shuffled.statistic == expected.statistic

    def test_rows_that_the_residuals_lack_are_left_out(self, plain, indexed):
        moment = FittedMoment(**(indexed | {"residuals": indexed["residuals"].iloc[5:]}))
        np.testing.assert_array_equal(moment.conditioning, plain["conditioning"][5:])

    def test_a_part_without_index_is_matched_by_position(self, plain, indexed):
        moment = FittedMoment(plain["residuals"], indexed["conditioning"][::-1])
        np.testing.assert_array_equal(moment.conditioning, plain["conditioning"][::-1])
        moment = FittedMoment(indexed["residuals"], plain["conditioning"][::-1])
        np.testing.assert_array_equal(moment.conditioning, plain["conditioning"][::-1])
        with pytest.raises(DataError, match="`conditioning` has 19 rows and `residuals` has 20"):
            FittedMoment(indexed["residuals"], plain["conditioning"][1:])

    def test_a_mapping_of_series_carries_their_index(self, plain, indexed):
        columns = dict(indexed["conditioning"][::-1].items())
        moment = FittedMoment(indexed["residuals"], columns)
        np.testing.assert_array_equal(moment.conditioning, plain["conditioning"])

    def test_repeated_labels_are_fine_where_the_indexes_are_equal(self, plain, indexed):
        same = {name: part.set_axis(np.arange(20) // 2) for name, part in indexed.items()}
        np.testing.assert_array_equal(FittedMoment(**same).conditioning, plain["conditioning"])

    @pytest.mark.parametrize("name", ["conditioning", "jacobian", "influence", "scale"])
    def test_missing_and_repeated_labels_are_refused(self, indexed, name):
        lacking = {name: indexed[name].iloc[1:]}
        with pytest.raises(DataError, match=f"`{name}` lacks 1 of the 20 row labels"):
            FittedMoment(**(indexed | lacking))
        repeated = {name: indexed[name].iloc[[0, *range(19)]]}
        with pytest.raises(DataError, match=f"the index of `{name}` repeats 1 labels"):
            FittedMoment(**(indexed | repeated))


def test_too_few_rows_are_refused():
    with pytest.raises(DataError, match="has 2 rows; a test needs at least 3"):
        FittedMoment(np.ones(2), np.arange(2.0))


def test_leverage_scale_of_ols_is_the_hat_matrix(rng):
    x = sm.add_constant(rng.normal(size=(30, 3)) ** 3)
    hat = sm.OLS(rng.normal(size=30), x).fit().get_influence().hat_matrix_diag
    gain = x @ np.linalg.inv(x.T @ x / 30)
    arrays = -x[:, None, :], gain[:, None, :]
    scale = leverage_scale(*arrays, correction="HC2")
    np.testing.assert_allclose(scale[:, 0], np.sqrt(1 - hat), rtol=1e-10)
    powered = [(1 - h) ** (min(4, 30 * h / hat.sum()) / 2) for h in hat]
    scale = leverage_scale(*arrays, correction="HC4")
    np.testing.assert_allclose(scale[:, 0], powered, rtol=1e-10)
    np.testing.assert_allclose(leverage_scale(*arrays)[:, 0], powers(1 - hat), rtol=1e-10)


def test_an_unknown_correction_is_refused():
    call = "kcm.leverage_scale([[1.0]], [[1.0]], correction='HC3')"
    expected = "`correction` must be one of 'HC4-relative', 'HC4', 'HC2'; got 'HC3'."
    assert messages([call], "OptionError") == [expected]


def test_leverage_scale_is_the_row_norm_of_the_projector(parts):
    n, q, p = parts["jacobian"].shape
    s, gain = parts["jacobian"], parts["influence"]
    projector = np.eye(n * q) + s.reshape(-1, p) @ gain.reshape(-1, p).T / n
    expected = np.linalg.norm(projector, axis=1).reshape(n, q)
    scale = leverage_scale(s, gain, correction="HC2")
    np.testing.assert_allclose(scale, expected, rtol=1e-12)


def test_leverage_scale_with_working_variances_is_the_variance_left(parts, rng):
    n, q, p = parts["jacobian"].shape
    s, gain, v = parts["jacobian"], parts["influence"], rng.uniform(0.1, 9, size=(n, q))
    projector = np.eye(n * q) + s.reshape(-1, p) @ gain.reshape(-1, p).T / n
    left = np.diag(projector @ np.diag(v.ravel()) @ projector.T) / v.ravel()
    expected = np.sqrt(left).reshape(n, q)
    for variance in (v, 1e9 * v):
        scale = leverage_scale(s, gain, variance, correction="HC2")
        np.testing.assert_allclose(scale, expected, rtol=1e-12)


@pytest.mark.parametrize("variance", [np.ones(5), -np.ones((20, 2)), np.full((20, 2), np.nan)])
def test_wrong_working_variances_are_refused_in_words(parts, variance):
    with pytest.raises(DataError, match="`variance`"):
        leverage_scale(parts["jacobian"], parts["influence"], variance)


def test_leverage_scale_takes_one_component_as_columns(parts):
    s, gain = parts["jacobian"][:, :1], parts["influence"][:, :1]
    scale = leverage_scale(s[:, 0], gain[:, 0])
    assert scale.shape == (20, 1)
    np.testing.assert_array_equal(scale, leverage_scale(s, gain))


@pytest.mark.parametrize(
    ("jacobian", "gain", "message"),
    [
        (np.ones((5, 2)), np.ones((5, 3)), r"has shape \(5, 2\) and `gain` has \(5, 3\)"),
        (np.ones((5, 2)), np.ones((4, 2)), r"has shape \(5, 2\) and `gain` has \(4, 2\)"),
        (np.ones((5, 2, 2)), np.ones((5, 1, 2)), "the same shape for both"),
        (
            np.ones((5, 2, 2, 1)),
            np.ones((5, 2)),
            r"`jacobian` must have shape \(n, p\) or \(n, q, p\); got 4",
        ),
        (np.ones((5, 2)), np.full((5, 2), np.nan), "`gain` holds 10 missing values"),
        (np.ones((5, 2)), None, "`gain` must have shape .* got 0 dimensions"),
    ],
)
def test_leverage_scale_refuses_in_words(jacobian, gain, message):
    with pytest.raises(DataError, match=message):
        leverage_scale(jacobian, gain)


def test_leverage_one_has_scale_one():
    x = np.eye(4)[:, None, :2] + np.array([0.0, 0.0, 1.0, 1.0])[:, None, None] * [[0.0, 1.0]]
    gain = x @ np.linalg.inv(np.einsum("icp,icr->pr", x, x) / 4)
    assert leverage_scale(-x, gain)[0, 0] == 1.0


def test_scaled_influence_is_a_slow_loop(parts):
    moment = FittedMoment(**parts)
    slow = [
        sum(parts["influence"][i, c] / parts["scale"][i, c] for c in range(2)) for i in range(20)
    ]
    np.testing.assert_allclose(scaled_influence(moment), slow, rtol=1e-14)


def test_labels_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MomentLabels().theta = "estimated"
