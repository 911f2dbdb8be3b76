"""The seam: shapes, checks, the leverage scale and systems."""

import dataclasses
import pickle

import jax
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from kcm import FittedMoment, KCMTest, MomentLabels, stack_equations
from kcm.exceptions import DataError
from kcm.moments import leverage_scale, scaled_influence


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


def test_too_few_rows_are_refused():
    with pytest.raises(DataError, match="has 2 rows; a test needs at least 3"):
        FittedMoment(np.ones(2), np.arange(2.0))


def test_leverage_scale_of_ols_is_the_hat_matrix(rng):
    x = sm.add_constant(rng.normal(size=(30, 3)) ** 3)
    hat = sm.OLS(rng.normal(size=30), x).fit().get_influence().hat_matrix_diag
    gain = x @ np.linalg.inv(x.T @ x / 30)
    scale = leverage_scale(-x[:, None, :], gain[:, None, :])
    np.testing.assert_allclose(scale[:, 0], np.sqrt(1 - hat), rtol=1e-10)


def test_leverage_scale_is_the_row_norm_of_the_projector(parts):
    n, q, p = parts["jacobian"].shape
    s, gain = parts["jacobian"], parts["influence"]
    projector = np.eye(n * q) + s.reshape(-1, p) @ gain.reshape(-1, p).T / n
    expected = np.linalg.norm(projector, axis=1).reshape(n, q)
    np.testing.assert_allclose(leverage_scale(s, gain), expected, rtol=1e-12)


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


def test_stacked_equations_are_block_diagonal(rng):
    x = rng.normal(size=15)
    first = FittedMoment(rng.normal(size=15), x, rng.normal(size=(15, 2)), np.ones((15, 2)))
    second = FittedMoment(rng.normal(size=15), x, rng.normal(size=(15, 1)), np.ones((15, 1)))
    both = stack_equations(first, second)
    assert (both.n_components, both.n_params) == (2, 3)
    np.testing.assert_array_equal(both.jacobian[:, 0, :2], first.jacobian[:, 0])
    np.testing.assert_array_equal(both.jacobian[:, 1, 2:], second.jacobian[:, 0])
    assert not both.jacobian[:, 0, 2:].any()
    assert not both.influence[:, 1, :2].any()


def test_the_statistic_of_a_system_is_the_sum_over_equations(rng):
    x, u, v = rng.normal(size=(3, 40))
    both = KCMTest().run(stack_equations(FittedMoment(u, x), FittedMoment(v, x)))
    single = [KCMTest().run(FittedMoment(r, x)).statistic for r in (u, v)]
    assert both.statistic == pytest.approx(sum(single), rel=1e-12)


def test_equations_on_other_rows_are_refused(rng):
    x, u, v = rng.normal(size=(3, 40))
    with pytest.raises(DataError, match="equation 2 has other conditioning variables"):
        stack_equations(FittedMoment(u, x), FittedMoment(v, x[::-1]))
    with pytest.raises(DataError, match="theta is known in one and estimated in the other"):
        stack_equations(FittedMoment(u, x), FittedMoment(v, x, x, x))
    with pytest.raises(DataError, match="at least one equation"):
        stack_equations()


def test_labels_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MomentLabels().theta = "estimated"
