"""Kernels: definition, algebra, and agreement with scikit-learn."""

import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import KERNELS, STATIONARY
from sklearn.gaussian_process.kernels import RBF, DotProduct, RationalQuadratic
from sklearn.metrics.pairwise import laplacian_kernel

from kcm import gram
from kcm.exceptions import OptionError
from kcm.kernels import (
    Constant,
    Energy,
    Gaussian,
    InverseMultiquadric,
    Kernel,
    Laplace,
    Linear,
    Matern,
    Subspace,
)

everywhere = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS.keys())


@pytest.fixture
def x(rng):
    points = rng.normal(size=(17, 3))
    points.flags.writeable = False
    return points


@everywhere
def test_matrix_is_the_pointwise_definition(kernel, x):
    with jax.enable_x64(True):
        points = jnp.asarray(x)
        slow = np.array([[float(kernel(a, b)) for b in points] for a in points])
    np.testing.assert_allclose(gram.matrix(kernel, x), slow, rtol=1e-12, atol=1e-14)


@everywhere
def test_cross_of_two_sets_is_the_pointwise_definition(kernel, x):
    with jax.enable_x64(True):
        a, b = jnp.asarray(x[:5]), jnp.asarray(x[5:] + 1)
        slow = np.array([[float(kernel(u, v)) for v in b] for u in a])
        np.testing.assert_allclose(kernel.cross(a, b), slow, rtol=1e-12, atol=1e-14)


@everywhere
def test_diagonal_is_that_of_the_matrix(kernel, x):
    np.testing.assert_allclose(
        gram.diagonal(kernel, x), np.diag(gram.matrix(kernel, x)), rtol=1e-13
    )


@everywhere
def test_symmetric_and_positive_semidefinite(kernel, x):
    matrix = gram.matrix(kernel, x)
    size = np.abs(matrix).max()
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-14, atol=1e-15 * size)
    assert np.linalg.eigvalsh(matrix).min() > -1e-12 * np.trace(matrix)


@everywhere
def test_jit_equals_eager(kernel, x):
    with jax.enable_x64(True):
        eager = kernel.matrix(jnp.asarray(x))
        compiled = eqx.filter_jit(lambda k, points: k.matrix(points))(kernel, jnp.asarray(x))
    size = float(np.abs(eager).max())
    np.testing.assert_allclose(compiled, eager, rtol=1e-14, atol=1e-14 * size)


@everywhere
def test_pickles_and_survives_a_pytree_round_trip(kernel, x):
    leaves, structure = jax.tree.flatten(kernel)
    for copy in (pickle.loads(pickle.dumps(kernel)), jax.tree.unflatten(structure, leaves)):
        assert repr(copy) == repr(kernel)
        np.testing.assert_array_equal(gram.matrix(copy, x), gram.matrix(kernel, x))


@pytest.mark.parametrize("kernel", STATIONARY.values(), ids=STATIONARY.keys())
def test_single_precision_far_from_the_origin(kernel, x):
    near, far = x.astype(np.float32), (x + 1_000).astype(np.float32)
    np.testing.assert_allclose(
        kernel.matrix(jnp.asarray(far)), kernel.matrix(jnp.asarray(near)), atol=3e-3
    )


@pytest.mark.parametrize("kernel", [Laplace(1e-3), Matern(1e-3, nu=0.5), Energy(1e-3)])
def test_a_kink_is_met_exactly_by_equal_points(kernel, x):
    """A root of a rounded square would be off by half of the digits."""
    points = np.vstack([x, x]) + 1e3
    found = np.diag(gram.matrix(kernel, points), k=len(x))
    np.testing.assert_array_equal(found, gram.diagonal(kernel, x))


@pytest.mark.parametrize("h", [0.3, 1.0, 7.0])
def test_gaussian_equals_sklearn(h, x):
    np.testing.assert_allclose(gram.matrix(Gaussian(h), x), RBF(h)(x), rtol=1e-11)


def test_gaussian_with_a_vector_equals_sklearn(x):
    h = np.array([0.5, 1.0, 3.0])
    np.testing.assert_allclose(gram.matrix(Gaussian(h), x), RBF(h)(x), rtol=1e-11)


@pytest.mark.parametrize("h", [0.3, 1.0, 7.0])
def test_laplace_equals_sklearn(h, x):
    np.testing.assert_allclose(
        gram.matrix(Laplace(h), x), laplacian_kernel(x, gamma=1 / h), rtol=1e-11
    )


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.5])
def test_inverse_multiquadric_equals_sklearn(exponent, x):
    h = 1.7
    referee = RationalQuadratic(length_scale=h / np.sqrt(2 * exponent), alpha=exponent)
    np.testing.assert_allclose(
        gram.matrix(InverseMultiquadric(h, exponent), x), referee(x), rtol=1e-11
    )


@pytest.mark.parametrize("constant", [0.0, 1.0, 2.5])
def test_linear_equals_sklearn(constant, x):
    referee = DotProduct(sigma_0=np.sqrt(constant))
    np.testing.assert_allclose(
        gram.matrix(constant + 1.0 * Linear(), x), referee(x), rtol=1e-12, atol=1e-14
    )


def test_algebra_is_that_of_the_matrices(x):
    a, b = Gaussian(1.0), Laplace(2.0)
    k, m = gram.matrix(a, x), gram.matrix(b, x)
    np.testing.assert_allclose(gram.matrix(a + b, x), k + m, rtol=1e-14)
    np.testing.assert_allclose(gram.matrix(a * b, x), k * m, rtol=1e-14)
    np.testing.assert_allclose(gram.matrix(a**3, x), k**3, rtol=1e-13)
    np.testing.assert_allclose(gram.matrix(2 * a, x), 2 * k, rtol=1e-14)
    np.testing.assert_allclose(gram.matrix(a * 2, x), 2 * k, rtol=1e-14)
    np.testing.assert_allclose(gram.matrix(1 + a, x), 1 + k, rtol=1e-14)
    np.testing.assert_allclose(gram.matrix(sum([a, b]), x), k + m, rtol=1e-14)


@given(st.floats(0.05, 50), st.integers(1, 4))
def test_a_gaussian_power_is_a_narrower_gaussian(h, exponent):
    x = np.linspace(-2, 2, 9)
    power = gram.matrix(Gaussian(h) ** exponent, x)
    np.testing.assert_allclose(power, gram.matrix(Gaussian(h / np.sqrt(exponent)), x), atol=1e-13)


def test_a_subspace_sees_its_columns_only(x):
    moved = x.copy()
    moved[:, 1] += 100
    kernel = Subspace(Gaussian(1.0), [0, 2])
    np.testing.assert_allclose(gram.matrix(kernel, moved), gram.matrix(kernel, x), rtol=1e-14)
    np.testing.assert_allclose(
        gram.matrix(kernel, x), gram.matrix(Gaussian(1.0), x[:, [0, 2]]), rtol=1e-14
    )


def test_repr_is_the_call_with_its_numbers():
    assert repr(Gaussian(2)) == "Gaussian(bandwidth=2)"
    assert repr(Gaussian([1, 2.5])) == "Gaussian(bandwidth=[1, 2.5])"
    assert repr(Gaussian()) == "Gaussian(bandwidth=MedianHeuristic())"
    affine = "(Linear(bandwidth=1) + Constant(value=3)) * Laplace(bandwidth=1)"
    assert repr((Linear(1) + 3.0) * Laplace(1)) == affine


def test_a_rule_meets_the_data_of_its_columns_only(x):
    kernel = Subspace(Gaussian(), [0, 2]).resolve(x)
    assert repr(kernel.kernel) == repr(Gaussian().resolve(x[:, [0, 2]]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(0.0), "`bandwidth` must be finite and positive; got 0.0"),
        (lambda: Laplace([1.0, -1.0]), "`bandwidth` must be finite and positive"),
        (lambda: Gaussian(float("nan")), "`bandwidth` must be finite and positive"),
        (lambda: Gaussian("wide"), "must be a number; got 'wide'"),
        (lambda: Gaussian(np.ones((2, 2))), r"got an array of shape \(2, 2\)"),
        (lambda: InverseMultiquadric(1.0, exponent=0.0), "`exponent` must be finite and positive"),
        (lambda: Gaussian(1.0) ** 0.5, "`exponent` must be an int"),
        (lambda: Gaussian(1.0) ** 0, "`exponent` must be at least 1"),
        (lambda: -1.0 * Gaussian(1.0), "`factor` must be finite and not negative"),
        (lambda: Gaussian(1.0) + -1.0, "`value` must be finite and not negative"),
        (lambda: Subspace(Gaussian(1.0), []), "`columns` must be one or more positions"),
        (lambda: Subspace(Gaussian(1.0), -1), "`columns` must be one or more positions"),
        (lambda: Subspace(Gaussian(1.0), [True, False]), "`columns` must be positions"),
        (lambda: Subspace(Gaussian(1.0), "age"), "`columns` must be positions"),
        (lambda: Subspace(Gaussian(1.0), 1.7), "`columns` must be positions"),
        (lambda: Gaussian("2"), "must be a number; got '2'"),
        (lambda: [1.0, 2.0] * Gaussian(1.0), "must be one number"),
        (lambda: InverseMultiquadric(1.0, exponent=[1.0, 2.0]), "must be one number"),
    ],
)
def test_wrong_parameters_are_refused_in_words(make, message):
    with pytest.raises(OptionError, match=message):
        make()


def test_a_vector_of_the_wrong_length_is_refused(x):
    with pytest.raises(OptionError, match="2 entries for 3 conditioning columns"):
        Gaussian([1.0, 2.0]).resolve(x)


def test_columns_beyond_the_data_are_refused(x):
    with pytest.raises(OptionError, match="reach beyond the 3 conditioning columns"):
        Subspace(Gaussian(1.0), [3]).resolve(x)


def test_a_rule_without_data_is_refused():
    with pytest.raises(OptionError, match=r"call `kernel.resolve\(X\)` first"):
        Gaussian()(jnp.zeros(1), jnp.zeros(1))


def test_a_user_kernel_needs_one_method_only(x):
    class Cosine(Kernel):
        def __call__(self, a, b):
            return jnp.prod(jnp.cos(a - b))

    slow = np.cos(x[:, None] - x[None]).prod(axis=2)
    np.testing.assert_allclose(gram.matrix(Cosine() + Constant(0.0), x), slow, atol=1e-14)
