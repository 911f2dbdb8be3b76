"""What must not change the result: order, units, containers, JAX's settings."""

import jax
import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm

import kcm
from kcm._variation import rows_by_value
from kcm.kernels import Gaussian, InverseMultiquadric, Laplace
from kcm.null import LeadingSpectrum, asymptotic

NULLS = {"asymptotic": kcm.Asymptotic(), "cumulants": kcm.Asymptotic(method="cumulants")}
everywhere = pytest.mark.parametrize("null", NULLS.values(), ids=NULLS.keys())
kernels = pytest.mark.parametrize("kernel", [Gaussian(), Laplace(), InverseMultiquadric()])


@pytest.fixture
def data(rng):
    x = rng.normal(size=(150, 3))
    y = 1 + x.sum(axis=1) + 0.3 * x[:, 0] ** 2 + rng.normal(size=150) * (1 + x[:, 1] ** 2)
    return pd.DataFrame({"y": y, "a": x[:, 0], "b": x[:, 1], "c": x[:, 2]})


def numbers(data, conditioning, **options):
    fit = sm.OLS(data["y"], sm.add_constant(data[["a", "b"]])).fit()
    result = kcm.specification_test(fit, conditioning, **options)
    return result.statistic, result.pvalue


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@everywhere
@kernels
def test_order_of_rows(data, kernel, null, rng):
    shuffled = data.iloc[rng.permutation(len(data))]
    expected = numbers(data, data[["a", "c"]], kernel=kernel, null=null)
    same(numbers(shuffled, data[["a", "c"]], kernel=kernel, null=null), expected)
    same(
        numbers(shuffled, ["a", "b"], kernel=kernel, null=null),
        numbers(data, ["a", "b"], kernel=kernel, null=null),
    )


def test_order_of_rows_where_the_law_is_found_by_tiles(rng):
    x, psi = rng.normal(size=(2_100, 2)), rng.normal(size=2_100)
    order = rng.permutation(2_100)
    results = [kcm.KCMTest().run(kcm.FittedMoment(psi[o], x[o])) for o in (slice(None), order)]
    assert isinstance(results[0].null_distribution, LeadingSpectrum)
    same(results[1].pvalue, results[0].pvalue)


@everywhere
@kernels
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 1e6), (1e-9, 0.0), (1e9, 0.0), (1e9, -1e15)])
def test_units_of_a_conditioning_column(data, kernel, null, scale, shift):
    expected = numbers(data, data[["a", "c"]], kernel=kernel, null=null)
    moved = data[["a", "c"]].assign(c=shift + scale * data.c)
    same(numbers(data, moved, kernel=kernel, null=null), expected)


@everywhere
def test_order_of_conditioning_columns(data, null):
    same(numbers(data, data[["c", "a"]], null=null), numbers(data, data[["a", "c"]], null=null))


@everywhere
@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_units_of_the_outcome(data, null, factor):
    moved, options = data.assign(y=factor * data.y), {"kernel": Gaussian(), "null": null}
    t, p = numbers(data, data[["a", "c"]], **options)
    same(numbers(moved, data[["a", "c"]], **options), (factor**2 * t, p))
    same(numbers(moved, ["a", "b"], null=null), numbers(data, ["a", "b"], null=null))


@pytest.mark.parametrize("method", ["exact", "low-rank"])
@pytest.mark.parametrize("groups", [None, np.arange(240) // 2])
@pytest.mark.parametrize("most", [2_000, 50], ids=["dense", "tiles"])
def test_units_of_the_residuals_where_the_law_comes_from_cumulants(
    method, groups, most, rng, monkeypatch
):
    """Squares of the statistic are doubles, its cubes are not."""
    monkeypatch.setattr(asymptotic, "MAX_EIGENVALUES", most)
    x = rng.normal(size=240)
    psi = x - x.mean() + rng.normal(size=240)
    null = kcm.Asymptotic(method="cumulants", groups=groups)

    def found(unit):
        jacobian = -np.ones((240, 1)) * unit
        moment = kcm.FittedMoment(psi * unit, x, jacobian, psi[:, None])
        result = kcm.KCMTest(null=null, method=method).run(moment)
        law = result.null_distribution
        standard = law.mean / unit**2, law.sd / unit**2, law.skewness
        return result.pvalue, *result.certificate.pvalue_interval, *standard

    for unit in (1e-60, 1e60):
        np.testing.assert_allclose(found(unit), found(1.0), rtol=1e-9)


@pytest.mark.parametrize("convert", [pl.from_pandas, pd.DataFrame.to_numpy, np.asfortranarray])
def test_containers(data, convert):
    chosen = data[["a", "c"]]
    same(numbers(data, convert(chosen)), numbers(data, chosen))


@everywhere
@pytest.mark.parametrize("enabled", [False, True])
def test_jax_enable_x64(data, null, enabled):
    expected = numbers(data, data[["a", "c"]], null=null)
    with jax.enable_x64(enabled):
        found = numbers(data, data[["a", "c"]], null=null)
    np.testing.assert_array_equal(found, expected)


def test_the_same_rng_gives_the_same_draws_whatever_the_blocks(data, monkeypatch):
    from kcm.null import bootstrap

    for weights in ("rademacher", "mammen", "gaussian", "webb"):
        null = kcm.MultiplierBootstrap(99, weights=weights)
        whole = numbers(data, data[["a", "c"]], null=null, rng=5)
        with monkeypatch.context() as patch:
            patch.setattr(bootstrap, "BLOCK_SIZE", 7 * len(data))
            assert numbers(data, data[["a", "c"]], null=null, rng=5) == whole


@pytest.mark.parametrize(
    "make", [lambda: 5, lambda: np.random.default_rng(5), lambda: jax.random.key(5)]
)
def test_every_kind_of_rng(data, make):
    null = kcm.MultiplierBootstrap(99)
    first = numbers(data, ["a", "b"], null=null, rng=make())
    assert first == numbers(data, ["a", "b"], null=null, rng=make())


DESIGNS = {
    "normal": lambda rng: rng.normal(size=(3_000, 3)),
    "symmetric": lambda rng: np.vstack([x := rng.normal(size=(1_500, 3)), -x]),
    "grid": lambda rng: rng.integers(-3, 4, size=(3_000, 2)) / 10.0,
    "mixed": lambda rng: np.column_stack([rng.normal(size=3_000), rng.random(3_000) < 0.5]),
}
designs = pytest.mark.parametrize("make", DESIGNS.values(), ids=DESIGNS.keys())


class TestRowsByValue:
    """Referee: the same rows in another order, or in other units."""

    @designs
    @pytest.mark.parametrize(("scale", "shift"), [(1.0, 1e5), (1 / 3, 0.1), (2.54e7, -32.0)])
    def test_units_do_not_matter(self, make, scale, shift, rng):
        x = make(rng)
        moved = x * scale + shift
        np.testing.assert_array_equal(x[rows_by_value(moved)], x[rows_by_value(x)])
        moved = np.column_stack([x[:, 0], shift + scale * x[:, 1:]])
        np.testing.assert_array_equal(x[rows_by_value(moved)], x[rows_by_value(x)])

    @designs
    def test_the_order_of_the_rows_does_not_matter(self, make, rng):
        x = make(rng)
        moved = rng.permutation(x)
        np.testing.assert_array_equal(moved[rows_by_value(moved)], x[rows_by_value(x)])

    @designs
    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_mirrored_and_exchanged_columns_reorder_rows_at_the_same_distance_alone(
        self, make, sign, rng
    ):
        x = make(rng)
        distance = np.sum(((x - x.mean(axis=0)) / x.std(axis=0)) ** 2, axis=1)
        moved = distance[rows_by_value(sign * x[:, ::-1])]
        np.testing.assert_allclose(moved, np.sort(distance), rtol=1e-8)

    def test_mirroring_leaves_rows_at_different_distances_where_they_were(self, rng):
        x = rng.normal(size=(3_000, 3))
        np.testing.assert_array_equal(rows_by_value(x * [1, -1, 1]), rows_by_value(x))
        np.testing.assert_array_equal(rows_by_value(x[:, [2, 0, 1]]), rows_by_value(x))
