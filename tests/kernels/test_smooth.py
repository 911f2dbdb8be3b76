"""Matern, rational quadratic and polynomial kernels. Referee: scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.gaussian_process import kernels as sk
from sklearn.metrics.pairwise import polynomial_kernel

from kcm import gram
from kcm.exceptions import OptionError
from kcm.kernels import (
    Gaussian,
    InverseMultiquadric,
    Laplace,
    Linear,
    Matern,
    Polynomial,
    RationalQuadratic,
    from_sklearn,
)

SMOOTHNESS = (0.5, 1.5, 2.5)
everywhere = pytest.mark.parametrize("nu", SMOOTHNESS)


@pytest.fixture
def x(rng):
    return rng.normal(size=(17, 3))


@everywhere
@pytest.mark.parametrize("h", [0.3, 1.0, 7.0, np.array([0.5, 1.0, 3.0])])
def test_matern_equals_sklearn(h, nu, x):
    referee = sk.Matern(length_scale=h, nu=nu)(x)
    np.testing.assert_allclose(gram.matrix(Matern(h, nu), x), referee, rtol=1e-11)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("h", [0.3, 1.7])
def test_rational_quadratic_equals_sklearn(h, alpha, x):
    referee = sk.RationalQuadratic(length_scale=h, alpha=alpha)(x)
    np.testing.assert_allclose(gram.matrix(RationalQuadratic(h, alpha), x), referee, rtol=1e-11)


@pytest.mark.parametrize(
    ("degree", "scale", "intercept"), [(1, 1.0, 0.0), (2, 0.3, 1.0), (5, 2, 3)]
)
def test_polynomial_equals_sklearn(degree, scale, intercept, x):
    np.testing.assert_allclose(
        gram.matrix(Polynomial(degree, scale, intercept), x),
        polynomial_kernel(x, degree=degree, gamma=scale, coef0=intercept),
        rtol=1e-11,
        atol=1e-12,
    )


@given(st.floats(0.1, 10), st.floats(0.05, 20))
def test_rational_quadratic_is_an_inverse_multiquadric(h, alpha):
    x = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(
        gram.matrix(RationalQuadratic(h, alpha), x),
        gram.matrix(InverseMultiquadric(h * np.sqrt(2 * alpha), exponent=alpha), x),
        rtol=1e-11,
    )


@given(st.floats(0.1, 10))
def test_rough_matern_in_one_column_is_laplace(h):
    x = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(
        gram.matrix(Matern(h, 0.5), x), gram.matrix(Laplace(h), x), rtol=1e-12
    )


def test_rational_quadratic_tends_to_gaussian(x):
    limit = gram.matrix(Gaussian(1.3), x)
    np.testing.assert_allclose(gram.matrix(RationalQuadratic(1.3, 1e8), x), limit, atol=1e-6)


def test_polynomial_of_degree_one_is_linear(x):
    linear = gram.matrix(0.5 * Linear() + 2.0, x)
    np.testing.assert_allclose(gram.matrix(Polynomial(1, 0.5, 2.0), x), linear, rtol=1e-12)


@everywhere
def test_equal_rows_far_from_zero_have_the_value_of_the_diagonal(nu):
    x = np.repeat([[1e3 + 0.1], [1e3 + 0.7]], 2, axis=0)
    found = gram.cross(Matern(0.5, nu), x, x)
    np.testing.assert_allclose(found[::2, 1::2], found[::2, ::2], rtol=1e-12)
    np.testing.assert_allclose(np.diag(found), 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    "kernel", [*(Matern(1.0, nu) for nu in SMOOTHNESS), RationalQuadratic(1.0)], ids=repr
)
def test_gradients_at_equal_points_are_finite(kernel):
    point = jnp.array([0.3, -0.2])
    by_point = jax.grad(lambda a: kernel(a, point))(point)
    by_points = jax.grad(lambda a: kernel.cross(a, point[None]).sum())(jnp.stack([point, point]))
    by_parameters = jax.grad(lambda k: k(point, point))(kernel)
    assert all(np.isfinite(leaf).all() for leaf in (by_point, by_points))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(by_parameters))


class TestFromScikitLearn:
    @pytest.mark.parametrize(
        "kernel",
        [
            sk.RBF(0.7),
            sk.RBF([0.7, 1.0, 2.0]),
            sk.Matern(0.7, nu=0.5),
            sk.Matern([0.7, 1.0, 2.0], nu=1.5),
            sk.Matern(0.7, nu=2.5),
            sk.Matern(0.7, nu=np.inf),
            sk.RationalQuadratic(0.7, alpha=0.4),
            sk.ConstantKernel(2.0),
            sk.DotProduct(sigma_0=1.5),
            2.0 * sk.RBF(0.7) + sk.DotProduct() ** 2 * sk.Matern(),
            sk.Exponentiation(sk.RBF(), 3.0),
        ],
        ids=repr,
    )
    def test_values_are_the_same(self, kernel, x):
        translated = gram.matrix(from_sklearn(kernel), x)
        np.testing.assert_allclose(translated, kernel(x), rtol=1e-11, atol=1e-13)

    @pytest.mark.parametrize(
        ("kernel", "message"),
        [
            (sk.WhiteKernel(), "got WhiteKernel. White noise relates no two"),
            (sk.RBF() + sk.WhiteKernel(), "got WhiteKernel"),
            (sk.ExpSineSquared(), "got ExpSineSquared. For a period condition on the sine"),
            (sk.PairwiseKernel(), r"must be one of RBF, Matern, .*; got PairwiseKernel\.$"),
            (sk.RBF() ** 0.5, "exponent 0.5; only powers of a whole"),
            (sk.Matern(nu=0.7), "nu = 0.7; take 0.5, 1.5, 2.5 or inf"),
            (Gaussian(1.0), "got Gaussian"),
            ("rbf", "got str"),
        ],
    )
    def test_others_are_refused_in_words(self, kernel, message):
        with pytest.raises(OptionError, match=message):
            from_sklearn(kernel)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Matern(0.0), "`bandwidth` must be finite and positive"),
        (lambda: Matern(1.0, nu=2.0), "`nu` must be 0.5, 1.5 or 2.5; got 2.0"),
        (lambda: RationalQuadratic(1.0, alpha=0.0), "`alpha` must be finite and positive"),
        (lambda: RationalQuadratic(1.0, alpha=[1.0, 2.0]), "must be one number"),
        (lambda: Polynomial(0), "`degree` must be an int of at least 1; got 0"),
        (lambda: Polynomial(True), "`degree` must be an int of at least 1; got True"),
        (lambda: Polynomial(2, scale=0.0), "`scale` must be finite and positive"),
        (lambda: Polynomial(2, intercept=-1.0), "`intercept` must be finite and not negative"),
    ],
)
def test_wrong_parameters_are_refused_in_words(make, message):
    with pytest.raises(OptionError, match=message):
        make()


def test_a_rule_is_resolved_on_the_data(x):
    by_rule = Gaussian().resolve(x).bandwidth
    for kernel in (Matern(), RationalQuadratic()):
        np.testing.assert_array_equal(kernel.resolve(x).bandwidth, by_rule)
