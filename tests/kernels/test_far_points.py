"""Numbers far from zero, from each other and from one.

Referees: the same test after a shift, in another unit or in another order, a loop over pairs with
exact differences, and mpmath.
"""

import mpmath
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

import kcm
from kcm import gram, kernels
from kcm.gram.matrices import pairwise

DISTANCES = {
    "Gaussian": kernels.Gaussian(1.0),
    "IMQ": kernels.InverseMultiquadric(1.0),
    "Matern 3/2": kernels.Matern(1.0),
    "Matern 5/2": kernels.Matern(1.0, nu=2.5),
    "rational quadratic": kernels.RationalQuadratic(1.0),
    "smooth": kernels.Smooth(1.0),
    "additive": kernels.Additive(kernels.Gaussian(1.0)),
    "additive IMQ": kernels.Additive(kernels.InverseMultiquadric(1.0)),
    "additive Matern": kernels.Additive(kernels.Matern(1.0)),
    "smooth ICM": kernels.SmoothICM(1.0, [[0.6, 0.8], [1.0, 0.0]]),
    "ICM": kernels.ICM("gaussian", scale=1.0),
    "product": kernels.Gaussian(1.0) * kernels.Subspace(kernels.Matern(2.0), 1),
    "sum": 1.0 + 2.0 * kernels.Gaussian([1.0, 2.0]),
}


def clusters(distance: float, n_columns: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = np.round(rng.normal(size=(120, n_columns)) * 1024) / 1024
    psi = rng.normal(size=120)
    psi[:50] += 0.8 * np.sin(2 * x[:50, 0])
    x[:50] += distance
    return psi, x


def by_pairs(kernel: kernels.Kernel, x: np.ndarray) -> np.ndarray:
    """Gram matrix from the definition, its differences exact."""
    return pairwise(kernel, np.repeat(x, len(x), axis=0), np.tile(x, (len(x), 1))).reshape(
        len(x), len(x)
    )


@pytest.mark.parametrize("distance", [1e3, 1e6, 1e9, 1e12])
@pytest.mark.parametrize("name", DISTANCES)
def test_gram_matrix_of_far_clusters(name, distance):
    _, x = clusters(distance)
    kernel = DISTANCES[name].resolve(x)
    found = gram.matrix(kernel, x)
    np.testing.assert_allclose(found, by_pairs(kernel, x), rtol=1e-9, atol=1e-11)


def test_gaussian_by_mpmath():
    x = np.array([[1e9 + 0.25], [1e9 - 1.5], [0.5], [1e9 + 3.0]])
    exact = [[float(mpmath.exp(-(mpmath.mpf(a) - mpmath.mpf(b)) ** 2 / 2)) for b in x[:, 0]]
             for a in x[:, 0]]  # fmt: skip
    np.testing.assert_allclose(gram.matrix(kernels.Gaussian(1.0), x), exact, rtol=1e-14)


@pytest.mark.parametrize("name", ["Gaussian", "Matern 3/2", "smooth", "ICM", "product"])
def test_p_value_does_not_depend_on_how_far_clusters_lie(name):
    pvalues = [
        kcm.KCMTest(DISTANCES[name]).run(kcm.FittedMoment(*clusters(distance))).pvalue
        for distance in (1e3, 1e6, 1e9)
    ]
    np.testing.assert_allclose(pvalues, pvalues[0], rtol=1e-8)


def test_far_points_outside_of_the_sample():
    x, far = np.array([[0.0], [1.0], [3.0]]), np.array([[1e9], [1e9 + 1], [0.5]])
    kernel = kernels.InverseMultiquadric(1.0)
    found = gram.cross(kernel, x, far)
    np.testing.assert_allclose(found, 1 / np.sqrt(1 + (x - far.T) ** 2), rtol=1e-14)


def test_order_of_rows_and_tiles():
    psi, x = clusters(1e8)
    order = np.random.default_rng(0).permutation(len(psi))
    test = kcm.KCMTest(kernels.Gaussian(1.0))
    first = test.run(kcm.FittedMoment(psi, x)).pvalue
    again = test.run(kcm.FittedMoment(psi[order], x[order])).pvalue
    assert again == pytest.approx(first, rel=1e-10)


@pytest.mark.parametrize("kernel", [None, kernels.Gaussian(), kernels.Energy()])
@pytest.mark.parametrize("centre", [1e3, 1e6])
def test_a_fit_beside_a_large_constant(kernel, centre):
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=200) * 2**20) / 2**20
    data = pd.DataFrame({"x": x, "y": 1 + x + 0.5 * np.sin(2 * x) + rng.normal(size=200)})
    moved = data.assign(x=data.x + centre)
    order = rng.permutation(200)
    frames = data, moved, moved.iloc[order]
    pvalues = [kcm.specification_test(smf.ols("y ~ x", d).fit(), kernel=kernel).pvalue
               for d in frames]  # fmt: skip
    np.testing.assert_allclose(pvalues, pvalues[0], rtol=1e-7)


def test_energy_on_raw_powers_of_age():
    rng = np.random.default_rng(0)
    age = rng.uniform(18, 65, 200).round()
    data = pd.DataFrame({"age": age, "z": (age - 40) / 20, "y": np.log(age)})
    data["y"] += 0.3 * rng.normal(size=200)

    def pvalue(name: str) -> float:
        powers = " + ".join(f"I({name}**{k})" for k in range(1, 6))
        fit = smf.ols(f"y ~ {powers}", data).fit()
        return kcm.specification_test(fit, kernel=kernels.Energy(), conditioning="age").pvalue

    assert pvalue("age") == pytest.approx(pvalue("z"), rel=1e-4)
    without = smf.ols("y ~ 0 + age + I(age**2) + I(age**3)", data).fit()
    with pytest.raises(kcm.exceptions.OptionError, match="Include a constant"):
        kcm.specification_test(without, kernel=kernels.Energy())


@pytest.mark.parametrize("columns", [1, 2])
def test_order_of_denormals(columns):
    rng = np.random.default_rng(0)
    ranks = np.column_stack([rng.permutation(40) - 20.0 for _ in range(columns)])
    psi = rng.normal(size=40)
    plain = kcm.KCMTest(kernels.Orthant()).run(kcm.FittedMoment(psi, ranks)).pvalue
    tiny = kcm.KCMTest(kernels.Orthant()).run(kcm.FittedMoment(psi, ranks * 5e-324)).pvalue
    assert tiny == plain


class TestSizes:
    RULES = (
        kernels.Gaussian(),
        kernels.Gaussian(kernels.CoordinatewiseMedian()),
        kernels.Smooth(),
        kernels.ICM(),
        "adaptive",
    )

    @pytest.mark.parametrize("kernel", RULES)
    @pytest.mark.parametrize("power", [-900, 900])
    def test_units_change_nothing(self, kernel, power):
        x, psi = np.random.default_rng(0).normal(size=(2, 60))
        pvalues = [
            kcm.KCMTest(kernel).run(kcm.FittedMoment(psi, column)).pvalue
            for column in (x, x * 2.0**power)
        ]
        assert pvalues[1] == pytest.approx(pvalues[0], rel=1e-10)

    @pytest.mark.parametrize("kernel", RULES)
    @pytest.mark.parametrize(
        ("size", "told"),
        [(3e307, "holds numbers of .*overflow; divide it by 1e307"), (1e-305, "varies by .* only")],
    )
    def test_the_column_is_named(self, kernel, size, told):
        psi = np.random.default_rng(0).normal(size=60)
        table = pd.DataFrame({"age": np.arange(60.0), "income": np.linspace(0, size, 60)})
        with pytest.raises(kcm.exceptions.DataError, match=f"'income' {told}"):
            kcm.KCMTest(kernel).run(kcm.FittedMoment(psi, table))

    def test_a_bandwidth_that_is_denormal(self):
        with pytest.raises(kcm.exceptions.OptionError, match="`bandwidth` must be at least"):
            kernels.Gaussian(1e-320)


class TestClassicalRows:
    @pytest.fixture
    def data(self):
        rng = np.random.default_rng(0)
        age, b = rng.uniform(18, 65, 300), rng.normal(size=300)
        y = np.log(age) + 0.2 * b + rng.normal(size=300) * age / 40
        return pd.DataFrame({"y": y, "age": age, "z": (age - 40) / 13, "b": b})

    def test_white_on_raw_powers(self, data):
        from statsmodels.stats.diagnostic import spec_white

        raw, scaled = (smf.ols(f"y ~ {v} + I({v}**2) + I({v}**3) + b", data).fit()
                       for v in ("age", "z"))  # fmt: skip
        row = kcm.compare_tests(raw, "White specification")["White specification"]
        statistic, pvalue, df = spec_white(scaled.resid, scaled.model.exog)
        assert row.statistic == pytest.approx(statistic, rel=1e-9)
        assert row.pvalue == pytest.approx(pvalue, rel=1e-8)
        assert row.distribution == f"chi2({df})"

    def test_reset_by_the_classical_f(self, data):
        from statsmodels.stats.diagnostic import linear_reset

        fit = smf.ols("y ~ age + b", data).fit()
        row, expected = (
            kcm.compare_tests(fit, "RESET classical")["RESET classical"],
            linear_reset(fit, power=3, use_f=True),
        )
        assert row.statistic == pytest.approx(float(expected.fvalue), rel=1e-9)
        assert row.pvalue == pytest.approx(float(stats.f.sf(row.statistic, 2, 295)), rel=1e-9)
        assert row.distribution == "F(2, 295)"
