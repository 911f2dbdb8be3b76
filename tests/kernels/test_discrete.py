"""Kernels of categories. Referees: statsmodels, eigenvalues, and what relabelling must not do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.nonparametric.kernels import aitchison_aitken, wang_ryzin

import kcm
from kcm import gram
from kcm.exceptions import DataError, OptionError
from kcm.gram.blocks import in_precision
from kcm.kernels import AitchisonAitken, Gaussian, Kronecker, Subspace, WangVanRyzin

N_LEVELS = np.array([2, 3, 5])
KERNELS = {
    "kronecker": Kronecker(),
    "unordered": AitchisonAitken(0.3),
    "unordered-rule": AitchisonAitken(),
    "unordered-ard": AitchisonAitken([0.1, 0.2, 0.7], n_levels=[3, 3, 5]),
    "ordered": WangVanRyzin(0.6),
    "ordered-rule": WangVanRyzin(),
    "ordered-ard": WangVanRyzin([0.0, 0.5, 0.99]),
    "mixed": Subspace(AitchisonAitken(), [0, 1]) * Subspace(WangVanRyzin(), 2),
}
UNORDERED = {name: KERNELS[name] for name in ("kronecker", "unordered", "unordered-rule")}
everywhere = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS.keys())


@pytest.fixture
def x(rng):
    codes = rng.integers(0, N_LEVELS, size=(40, 3)).astype(float)
    codes[:5] = np.minimum(np.arange(5)[:, None], N_LEVELS - 1)
    return codes


@everywhere
def test_matrix_is_the_pointwise_definition(kernel, x):
    resolved = kernel.resolve(x)
    with jax.enable_x64(True):
        slow = np.array([[float(resolved(a, b)) for b in jnp.asarray(x)] for a in jnp.asarray(x)])
    np.testing.assert_allclose(gram.matrix(kernel, x), slow, rtol=1e-14)


@everywhere
def test_symmetric_and_positive_semidefinite(kernel, x):
    matrix = gram.matrix(kernel, x)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix).min() > -1e-10


@everywhere
def test_jit_equals_eager(kernel, x):
    resolved = kernel.resolve(x)
    with jax.enable_x64(True):
        eager = resolved.matrix(jnp.asarray(x))
        compiled = jax.jit(lambda k, points: k.matrix(points))(resolved, jnp.asarray(x))
    np.testing.assert_allclose(compiled, eager, rtol=1e-14)


@pytest.mark.parametrize("n_levels", [2, 3, 7])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_aitchison_aitken_equals_statsmodels(n_levels, share):
    codes, smoothing = np.arange(float(n_levels)), share * (n_levels - 1) / n_levels
    found = gram.matrix(AitchisonAitken(smoothing), codes)
    referee = [aitchison_aitken(smoothing, codes, code) for code in codes]
    np.testing.assert_allclose(found, referee, rtol=1e-13)
    np.testing.assert_allclose(found.sum(axis=0), 1.0, rtol=1e-13)


@pytest.mark.parametrize("smoothing", [0.0, 0.3, 0.95])
def test_wang_van_ryzin_equals_statsmodels(smoothing):
    codes = np.array([[-2.0], [0.0], [1.0], [5.0]])
    referee = [wang_ryzin(smoothing, codes, code).ravel() for code in codes]
    np.testing.assert_allclose(gram.matrix(WangVanRyzin(smoothing), codes), referee, rtol=1e-13)


@given(st.floats(0, 1, exclude_max=True), st.integers(2, 40))
def test_ordered_kernel_is_positive_semidefinite_up_to_its_limit(smoothing, n):
    matrix = gram.matrix(WangVanRyzin(smoothing), np.arange(float(n)))
    assert np.linalg.eigvalsh(matrix).min() > -1e-10


@given(st.floats(0, 1), st.integers(2, 12))
def test_unordered_kernel_is_positive_semidefinite_up_to_its_limit(share, n_levels):
    kernel = AitchisonAitken(share * (n_levels - 1) / n_levels)
    matrix = gram.matrix(kernel, np.arange(float(n_levels)))
    assert np.linalg.eigvalsh(matrix).min() > -1e-10


@pytest.mark.parametrize("kernel", UNORDERED.values(), ids=UNORDERED.keys())
@given(names=st.permutations([-70.0, 0.0, 3.0, 4.0, 1e6]))
def test_relabelling_changes_nothing(kernel, names):
    codes = np.array([0, 1, 2, 3, 4, 0, 2, 2, 4, 1])
    relabelled = np.array(names)[codes]
    np.testing.assert_array_equal(
        gram.matrix(kernel, relabelled), gram.matrix(kernel, codes.astype(float))
    )


@given(st.floats(0.01, 0.9), st.floats(0.01, 0.6))
def test_columns_multiply(ordered, unordered):
    x = np.array([[0, 0], [1, 2], [2, 1], [0, 2], [2, 2]], float)
    for make, smoothing in ((WangVanRyzin, ordered), (AitchisonAitken, unordered)):
        by_column = [gram.matrix(make(smoothing), column) for column in x.T]
        np.testing.assert_allclose(
            gram.matrix(make(smoothing), x), by_column[0] * by_column[1], rtol=1e-13
        )


def test_the_ends_of_the_smoothing():
    codes = np.arange(4.0)
    np.testing.assert_array_equal(gram.matrix(AitchisonAitken(0.0), codes), np.eye(4))
    np.testing.assert_array_equal(gram.matrix(WangVanRyzin(0.0), codes), np.eye(4))
    np.testing.assert_array_equal(gram.matrix(Kronecker(), codes), np.eye(4))
    np.testing.assert_allclose(gram.matrix(AitchisonAitken(0.75), codes), 0.25, rtol=1e-14)


def test_the_rules_are_those_documented():
    codes = np.array([0.0, 1.0, 1.0, 3.0])
    unordered = gram.matrix(AitchisonAitken(), codes)
    np.testing.assert_allclose(unordered[0, 1] / unordered[0, 0], np.exp(-1), rtol=1e-13)
    distances = [1, 1, 3, 2, 2]  # |x_i - x_k| > 0 over pairs
    smoothing = WangVanRyzin().resolve(codes[:, None]).smoothing
    np.testing.assert_allclose(smoothing, np.exp(-1 / np.median(distances)), rtol=1e-12)


@everywhere
@pytest.mark.parametrize("offset", [0, 100, 4_000_000])
def test_single_precision_keeps_the_codes_apart(kernel, offset, x):
    codes = x + offset
    lower, moved, _ = in_precision(kernel.resolve(codes), codes, "single")
    assert moved.dtype == np.float32
    found = np.asarray(lower.cross(jnp.asarray(moved), jnp.asarray(moved)))
    np.testing.assert_allclose(found, gram.matrix(kernel, codes), rtol=1e-5, atol=1e-7)


def test_single_precision_at_a_median_between_two_codes():
    codes = np.array([0.0, 0.0, 1.0, 1.0])[:, None]
    _, moved, _ = in_precision(Kronecker(), codes, "single")
    np.testing.assert_array_equal(moved[:, 0], [-0.5, -0.5, 0.5, 0.5])


@everywhere
@pytest.mark.parametrize("precision", ["double", "mixed", "single"])
def test_a_test_with_draws_runs_in_every_precision(kernel, precision, x, rng):
    moment = kcm.FittedMoment(rng.normal(size=40), x)
    null = kcm.MultiplierBootstrap(199)
    expected = kcm.KCMTest(kernel, null=null, precision="double").run(moment, rng=1)
    found = kcm.KCMTest(kernel, null=null, precision=precision).run(moment, rng=1)
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-5)
    assert found.pvalue == expected.pvalue


def test_a_categorical_departure_is_found(rng):
    city = rng.integers(0, 4, 300).astype(float)
    psi = np.array([1.0, -1.0, 0.5, -0.5])[city.astype(int)] + rng.normal(size=300)
    assert kcm.KCMTest(AitchisonAitken()).run(kcm.FittedMoment(psi, city)).pvalue < 0.01


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AitchisonAitken(-0.1), "`smoothing` must be finite and not negative"),
        (lambda: AitchisonAitken(0.7, n_levels=2), r"at most \(c - 1\) / c for c levels.*got 0.7"),
        (lambda: AitchisonAitken(0.1, n_levels=1), "`n_levels` must be whole and at least 2"),
        (lambda: AitchisonAitken(0.1, n_levels=2.5), "`n_levels` must be whole and at least 2"),
        (lambda: AitchisonAitken("wide"), "must be a number; got 'wide'"),
        (lambda: WangVanRyzin(1.0), "`smoothing` must be below 1; got 1.0"),
        (lambda: WangVanRyzin(-0.1), "`smoothing` must be finite and not negative"),
        (lambda: AitchisonAitken()(jnp.zeros(1), jnp.zeros(1)), r"call `kernel.resolve\(X\)`"),
        (lambda: WangVanRyzin()(jnp.zeros(1), jnp.zeros(1)), r"call `kernel.resolve\(X\)`"),
    ],
)
def test_wrong_parameters_are_refused_in_words(make, message):
    with pytest.raises(OptionError, match=message):
        make()


@pytest.mark.parametrize("kernel", [Kronecker(), AitchisonAitken(), WangVanRyzin()], ids=repr)
@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([0.5, 1.0, 2.0], "codes of categories must be whole numbers"),
        ([0.0, 1.0, 1e9], "at most 4,194,304 in size"),
    ],
)
def test_what_are_no_codes_is_refused(kernel, column, message):
    with pytest.raises(DataError, match=message):
        kernel.resolve(np.array(column)[:, None])


@pytest.mark.parametrize("kernel", [AitchisonAitken(), AitchisonAitken(0.2), WangVanRyzin()])
def test_a_rule_needs_two_codes(kernel):
    with pytest.raises(DataError, match="conditioning columns must vary, but 'x1'"):
        kernel.resolve(np.ones((3, 1)))


@everywhere
def test_a_resolved_kernel_takes_rows_of_one_code(kernel, x):
    resolved = kernel.resolve(x)
    found = gram.matrix(resolved, x[[0, 0]])
    np.testing.assert_allclose(found, gram.matrix(resolved, x)[0, 0], rtol=1e-14)


def test_parameters_that_contradict_the_data_are_refused(x):
    with pytest.raises(DataError, match=r"hold \[2, 3, 5\] codes, more than `n_levels`, 4.0"):
        AitchisonAitken(n_levels=4).resolve(x)
    with pytest.raises(OptionError, match="`smoothing` has 2 entries for 3 conditioning"):
        AitchisonAitken([0.1, 0.2]).resolve(x)
    with pytest.raises(OptionError, match="`smoothing` has 2 entries for 3 conditioning"):
        WangVanRyzin([0.1, 0.2]).resolve(x)
    with pytest.raises(OptionError, match=r"at most \(c - 1\) / c"):
        AitchisonAitken(0.6).resolve(x)


def test_with_a_continuous_column(rng, x):
    points = np.column_stack([rng.normal(size=40), x[:, 2]])
    kernel = Subspace(Gaussian(0.8), 0) * Subspace(AitchisonAitken(0.3), 1)
    product = gram.matrix(Gaussian(0.8), points[:, 0]) * gram.matrix(
        AitchisonAitken(0.3), points[:, 1]
    )
    np.testing.assert_allclose(gram.matrix(kernel, points), product, rtol=1e-12)
