"""Kernels of the classical omnibus tests. Referees: slow loops, R SpeTestNP, draws.

The statistics of SpeTestNP are reached to 1e-12; those of the authors are in
tests/specification/test_authors.py.
"""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given
from hypothesis import strategies as st
from refusals import messages
from statsmodels.nonparametric.kernels import aitchison_aitken, wang_ryzin

import kcm
from kcm import gram
from kcm.exceptions import DataError, OptionError
from kcm.gram.blocks import in_precision
from kcm.kernels import (
    ICM,
    Gaussian,
    HsiaoLiRacine,
    Kronecker,
    Orthant,
    Projection,
    RuleOfThumb,
    Smooth,
    SmoothICM,
    Subspace,
)
from kcm.kernels._shapes import SHAPES

KERNELS = {
    "icm": ICM(),
    "icm-gaussian": ICM("gaussian", 2.0),
    "icm-arctan": ICM("uniform", 2.0, "arctan"),
    "orthant": Orthant(),
    "projection": Projection(),
    "smooth": Smooth(),
    "smooth-triangular": Smooth(shape="triangular"),
    "smooth-icm": SmoothICM(),
}
everywhere = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS.keys())
columns = pytest.mark.parametrize("d", [1, 2, 5])
N = 70


@pytest.fixture
def x(rng):
    """Points of which ten are tied, and some in one column only."""
    points = rng.normal(size=(N, 5))
    points[:, 1] = points[:, 1].round()
    points[60:] = points[:10]
    return points


# Published numbers ---------------------------------------------------------------------------

# Standard deviations of their densities where those have a unit square integral ("sq").
SQUARE = {
    "normal": 1 / (2 * np.sqrt(np.pi)),
    "triangle": 2 / 3 / np.sqrt(6),
    "logistic": np.sqrt(2) / 4,
}
SHAPE = {"normal": "gaussian", "triangle": "triangular", "logistic": "laplace"}


def studentised(psi, k):
    """Return sum psi_i psi_j k_ij over the root of 2 sum psi_i^2 psi_j^2 k_ij^2."""
    return psi @ k @ psi / np.sqrt(2 * psi**2 @ k**2 @ psi**2)


def without_diagonal(kernel, x):
    k = gram.matrix(kernel, x)
    np.fill_diagonal(k, 0)
    return k


def spetestnp(reference, name):
    frame = reference(f"spetestnp/{name}.csv")
    return frame.filter(regex="^x").to_numpy(), frame.resid.to_numpy()


def theirs(row, n, d, directions):
    """Return the kernel of a row and what theirs is a multiple of; they divide columns by sd."""
    width = row.cch * (SQUARE[row.ker] if row.knorm == "sq" else 1.0)
    rule = RuleOfThumb(width * n ** (1 / (4 + d)))
    if row.type == "sicm":
        along = directions if d > 1 else None
        return SmoothICM(rule, along, SHAPE[row.ker]), row.cch / width
    return Smooth(rule, SHAPE[row.ker]), (row.cch / width) ** d


@pytest.mark.parametrize("name", ["lin_k1", "quad_k3"])
@pytest.mark.parametrize("kind", ["icm", "zheng", "sicm"])
def test_statistics_of_spetestnp(reference, name, kind):
    x, psi = spetestnp(reference, name)
    n, d = x.shape
    directions = reference("spetestnp/directions_k3.csv").to_numpy()
    table = reference("spetestnp/statistics.csv").query("dataset == @name and type == @kind")
    found = []
    for row in table.itertuples():
        kernel, height = theirs(row, n, d, directions)
        make = gram.matrix if kind == "icm" else without_diagonal
        k = make(kernel, x) * height
        width = {"icm": 1.0, "zheng": row.cch**d, "sicm": row.cch}[kind]
        plain = psi @ k @ psi / (n * width)
        found.append(plain if row.norma == "no" else studentised(psi, k))
    assert len(found) >= 12
    np.testing.assert_allclose(found, table.stat, rtol=1e-12)


@pytest.mark.parametrize("name", ["lin_k1", "quad_k3"])
def test_default_bandwidths_are_those_of_spetestnp(reference, name):
    x, psi = spetestnp(reference, name)
    table = reference("spetestnp/statistics.csv").query("dataset == @name and norma == 'naive'")
    table = table[(table.ker == "normal") & (table.knorm == "sd")].groupby("type").stat.first()
    directions = reference("spetestnp/directions_k3.csv").to_numpy() if x.shape[1] > 1 else None
    zheng = studentised(psi, without_diagonal(Smooth(RuleOfThumb(1.06)), x))
    sicm = studentised(psi, without_diagonal(SmoothICM(directions=directions), x))
    icm = studentised(psi, gram.matrix(ICM("gaussian"), x))
    found, expected = [icm, sicm, zheng], table[["icm", "sicm", "zheng"]]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["lin_k1", "quad_k3"])
def test_the_statistic_of_escanciano(reference, name):
    """Their closed form is by arc cosines, which lose half of the digits at small angles."""
    x, psi = spetestnp(reference, name)
    k = gram.matrix(Projection(), x / x.std(axis=0, ddof=1))
    expected = reference("spetestnp/escanciano.csv").set_index("dataset").loc[name]
    assert psi @ k @ psi / len(psi) == pytest.approx(expected.closed_form_probability, rel=1e-8)


def test_the_icm_test_of_a_fit_is_their_statistic(reference):
    """From the fit to the statistic by the public way."""
    data = reference("spetestnp/quad_k3.csv")
    fit = smf.ols("y ~ x1 + x2 + x3", data).fit()
    found = kcm.specification_test(fit, kernel=ICM("gaussian"), statistic="V")
    # their density at zero is (2 pi)^(-3/2)
    assert found.statistic * (2 * np.pi) ** -1.5 == pytest.approx(0.089145945139588891, rel=1e-9)


# Definitions, by slow loops ------------------------------------------------------------------


def orthant(x):
    n = len(x)
    k = np.zeros((n, n))
    for r in range(n):
        below = np.all(x <= x[r], axis=1)
        k += np.outer(below, below) / n
    return k


def wedge(a, b):
    """Share of directions in which neither vector points upwards."""
    if not a.any() or not b.any():
        return 1.0 if not a.any() and not b.any() else 0.5
    cosine = a @ b / np.sqrt((a @ a) * (b @ b))
    return abs(np.pi - np.arccos(np.clip(cosine, -1, 1))) / (2 * np.pi)


def projection(x):
    return np.array([[np.mean([wedge(a - z, b - z) for z in x]) for b in x] for a in x])


def standardised(x):
    return (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)


def sines(z, c):
    difference = c * (z[:, None] - z[None])
    safe = np.where(difference == 0, 1, difference)
    return np.where(difference == 0, 1, np.sin(safe) / safe).prod(axis=2)


@columns
def test_orthant_is_its_definition(d, x):
    np.testing.assert_allclose(gram.matrix(Orthant(), x[:, :d]), orthant(x[:, :d]), rtol=1e-13)


@columns
def test_projection_is_its_definition(d, x):
    small = x[45:, :d]
    np.testing.assert_allclose(gram.matrix(Projection(), small), projection(small), atol=1e-8)


def test_projection_is_the_share_of_directions(x, rng):
    """Draws of directions: no formula for the angle."""
    small, b = x[:12, :3], rng.normal(size=(3, 40_000))
    along = small @ b
    upto = along[:, None] <= along[None]
    share = np.einsum("irm,jrm->ij", upto.astype(float), upto) / (12 * 40_000)
    np.testing.assert_allclose(gram.matrix(Projection(), small), share, atol=0.012)


@pytest.mark.parametrize("kernel", [Orthant, Projection])
def test_ranks_give_what_pairs_give(kernel, x):
    """In one column the whole matrix has a form of its own; a second, constant one has not."""
    column = x[:, 1:2]
    doubled = np.hstack([column, np.zeros_like(column)])
    ranks, pairs = gram.matrix(kernel(), column), gram.matrix(kernel(), doubled)
    np.testing.assert_allclose(ranks, pairs, rtol=1e-13)
    others = np.array([[-9.0], [0.5], [1.0], [9.0]])
    with_zero = np.hstack([others, np.zeros_like(others)])
    np.testing.assert_allclose(
        gram.cross(kernel(column), others, column),
        gram.cross(kernel(doubled), with_zero, doubled),
        rtol=1e-13,
    )


def test_the_angles_are_right_to_the_last_digits():
    """The degenerate cases, and vectors that are all but parallel."""
    kernel = Projection([[0.0, 0.0]])

    def value(a, b):
        return gram.cross(kernel, np.array([a]), np.array([b]))[0, 0]

    assert value([1.0, 2.0], [1.0, 2.0]) == value([1.0, 2.0], [0.0, 0.0]) == 0.5
    assert value([0.0, 0.0], [0.0, 0.0]) == 1.0
    assert value([1.0, 2.0], [-1.0, -2.0]) == pytest.approx(0, abs=1e-16)
    for angle in (1e-9, 1e-4, 0.3, np.pi / 2, 2.0, np.pi - 1e-9):
        turned = value([1e200, 0.0], [np.cos(angle), np.sin(angle)])
        np.testing.assert_allclose(0.5 - turned, angle / (2 * np.pi), rtol=1e-13, atol=1e-16)


@columns
@pytest.mark.parametrize("c", [0.7, 4.0])
def test_icm_is_its_definition(d, c, x):
    z = standardised(x[:, :d])
    found = gram.matrix(ICM("uniform", c), x[:, :d])
    np.testing.assert_allclose(found, sines(z, c), rtol=1e-10, atol=1e-13)
    found = gram.matrix(ICM("uniform", c, "arctan"), x[:, :d])
    np.testing.assert_allclose(found, sines(np.arctan(z), c), rtol=1e-10, atol=1e-13)
    squares = np.sum((z[:, None] - z[None]) ** 2, axis=2)
    found = gram.matrix(ICM("gaussian", c), x[:, :d])
    np.testing.assert_allclose(found, np.exp(-(c**2) * squares / 2), rtol=1e-10, atol=1e-14)


def test_icm_is_the_mean_of_cosines(x, rng):
    """Draws of frequencies: the Fourier transform of the weights."""
    z, t = standardised(x[:12, :2]), rng.uniform(-2, 2, size=(2, 200_000))
    phase = z @ t
    expected = (np.cos(phase) @ np.cos(phase).T + np.sin(phase) @ np.sin(phase).T) / 200_000
    np.testing.assert_allclose(gram.matrix(ICM("uniform", 2.0), x[:12, :2]), expected, atol=0.01)


@columns
@pytest.mark.parametrize("shape", SHAPES)
def test_smooth_icm_is_the_mean_over_directions(d, shape, x):
    h = 1.06 * x[:, :d].std(axis=0, ddof=1) * N ** (-1 / 5)
    kernel = SmoothICM(shape=shape).resolve(x[:, :d])
    expected = [gram.matrix(Smooth(1.0, shape), (x[:, :d] / h) @ b) for b in kernel.directions]
    assert len(expected) == {1: 1, 2: 20, 5: 40}[d]
    np.testing.assert_allclose(
        gram.matrix(SmoothICM(shape=shape), x[:, :d]), np.mean(expected, axis=0), rtol=1e-9
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_the_densities_have_unit_mass_and_variance(shape):
    t = np.linspace(-40, 40, 800_001)
    values = np.array([SHAPES[shape](jnp.asarray(t))], float)[0]
    assert values.sum() * 1e-4 == pytest.approx(1, abs=1e-4)
    assert (values * t**2).sum() * 1e-4 == pytest.approx(1, abs=1e-4)


def test_smooth_is_a_multiple_of_the_gaussian(x):
    rule = N ** (-1 / 9) * x.std(axis=0, ddof=1)
    expected = gram.matrix(Gaussian(rule), x) * (2 * np.pi) ** -2.5
    np.testing.assert_allclose(gram.matrix(Smooth(), x), expected, rtol=1e-12)


def test_mixed_data_is_the_product_of_the_kernels_of_statsmodels(rng):
    x = np.column_stack([rng.normal(size=30), *rng.integers(0, [3, 4], size=(30, 2)).T])
    kernel = HsiaoLiRacine(["continuous", "unordered", "ordered"], [0.6, 0.3, 0.4])
    expected = (
        gram.matrix(Gaussian(0.6), x[:, 0])
        * [aitchison_aitken(0.3, x[:, 1], code, num_levels=3) for code in x[:, 1]]
        * [wang_ryzin(0.4, x[:, 2:], code).ravel() for code in x[:, 2:]]
        / np.sqrt(2 * np.pi)
    )
    np.testing.assert_allclose(gram.matrix(kernel, x), expected, rtol=1e-12)
    kinds = ["ordered", "continuous", "unordered"]
    moved = HsiaoLiRacine(kinds, [0.4, 0.6, 0.3])
    np.testing.assert_allclose(gram.matrix(moved, x[:, [2, 0, 1]]), expected, rtol=1e-12)


def test_mixed_data_of_numbers_only_is_smooth(x):
    kernel = HsiaoLiRacine(["continuous"] * 5)
    np.testing.assert_allclose(gram.matrix(kernel, x), gram.matrix(Smooth(), x), rtol=1e-14)
    assert repr(kernel.resolve(x)).startswith("HsiaoLiRacine(Subspace(kernel=Smooth(bandwidth=[")


# What every kernel of a specification test does ----------------------------------------------


@everywhere
@columns
def test_positive_semidefinite_with_ties(kernel, d, x):
    matrix = gram.matrix(kernel, x[:, :d])
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-13, atol=1e-15)
    assert np.linalg.eigvalsh(matrix).min() > -1e-12 * np.trace(matrix)


@everywhere
def test_order_of_rows_does_not_matter(kernel, x, rng):
    order = rng.permutation(N)
    found = gram.matrix(kernel, x[order, :2])
    np.testing.assert_allclose(
        found, gram.matrix(kernel, x[:, :2])[np.ix_(order, order)], rtol=1e-9
    )


SCALED = {name: kernel for name, kernel in KERNELS.items() if name != "projection"}


@pytest.mark.parametrize("kernel", SCALED.values(), ids=SCALED.keys())
def test_units_do_not_matter(kernel, x):
    moved = x[:, :2] * [1e3, 1e-6] + [5.0, -3e-5]
    np.testing.assert_allclose(
        gram.matrix(kernel, moved), gram.matrix(kernel, x[:, :2]), rtol=1e-8, atol=1e-13
    )


def test_a_monotone_transformation_does_not_move_the_orthant(x):
    np.testing.assert_array_equal(
        gram.matrix(Orthant(), np.exp(x[:, :3])), gram.matrix(Orthant(), x[:, :3])
    )


@given(st.floats(0, 2 * np.pi))
def test_a_rotation_does_not_move_the_projection(angle):
    x = np.random.default_rng(3).normal(size=(20, 2))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(
        gram.matrix(Projection(), 7 + 3 * x @ turn), gram.matrix(Projection(), x), rtol=1e-9
    )


@everywhere
@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("precision", ["double", "single"])
def test_tiles_give_what_the_matrix_gives(kernel, d, precision, x, rng):
    points, v = np.vstack([x, rng.normal(size=(100, 5))])[:, :d] + 3, rng.normal(size=(170, 2))
    k = gram.matrix(kernel, points)
    found = gram.quadratic_form(kernel, points, v, precision, memory_limit=300_000)
    error = {"double": 1e-12, "single": 1e-4}[precision] * np.abs(k).max() * (v**2).sum(axis=0)
    assert (np.abs(found - np.sum(v * (k @ v), axis=0)) < error).all()


@everywhere
@pytest.mark.parametrize("statistic", ["U", "V"])
def test_methods_and_precisions_agree(kernel, statistic, x, rng):
    data = pd.DataFrame(x[:, :2] + 1, columns=["a", "b"])
    data["y"] = data.a + data.b**2 / 2 + rng.normal(size=N)
    fit = smf.ols("y ~ a + b", data).fit()
    null, draws = kcm.MultiplierBootstrap(199), {}
    for method, precision in [
        ("exact", "double"),
        ("exact", "mixed"),
        ("exact", "single"),
        ("low-rank", "mixed"),
    ]:
        options = {"method": method, "precision": precision, "statistic": statistic}
        result = kcm.specification_test(fit, kernel=kernel, null=null, rng=1, **options)
        draws[method, precision] = result.statistic, result.pvalue
    t, p = draws.pop(("exact", "double"))
    for found in draws.values():
        np.testing.assert_allclose(found[0], t, rtol=1e-3)
        assert abs(found[1] - p) <= 0.0101


@pytest.mark.parametrize("kernel", [Orthant(), Projection()])
@pytest.mark.parametrize("offset", [0.0, 1e-3, 1.0, 1e6])
def test_anchors_are_not_left_behind_when_points_move(kernel, offset, x):
    """Single precision moves the points of other kernels to their median."""
    points = (x - np.median(x, axis=0) + offset)[:, :2]
    resolved = kernel.resolve(points)
    lower, moved, _ = in_precision(resolved, points, "single")
    assert moved.dtype == (np.float64 if offset == 1e6 else np.float32)
    found = gram.matrix(lower, moved.astype(float))
    np.testing.assert_allclose(found, gram.matrix(kernel, points), atol=2e-5)


@everywhere
def test_results_are_small_and_pickle(kernel, x, rng):
    moment = kcm.FittedMoment(rng.normal(size=N), x[:, :2])
    result = kcm.KCMTest(kernel).run(moment)
    copy = pickle.loads(pickle.dumps(result))
    assert repr(copy.kernel) == repr(result.kernel)
    assert len(repr(result.kernel)) < 140
    assert copy.kernel.resolve(moment.conditioning) is not None
    assert len(pickle.dumps(result)) < 60_000


def test_how_they_are_shown(x):
    assert repr(Orthant()) == "Orthant()"
    assert repr(Orthant().resolve(x[:, :2])) == "Orthant(70 points)"
    assert repr(Projection(np.zeros((1_300, 1)))) == "Projection(1,300 points)"
    assert "directions=<20 directions>" in repr(SmoothICM().resolve(x[:, :2]))
    assert repr(Smooth()) == (
        "Smooth(bandwidth=RuleOfThumb(constant=1, dimension=None), shape='gaussian')"
    )


def test_a_resolved_kernel_keeps_its_points(x):
    for kernel in KERNELS.values():
        resolved = kernel.resolve(x[:, :2])
        again = resolved.resolve(x[:5, :2] * 3)
        np.testing.assert_array_equal(
            gram.matrix(again, x[:9, :2]), gram.matrix(resolved, x[:9, :2])
        )


def test_directions_depend_on_the_seed_alone(x):
    first, second = (SmoothICM(seed=3).resolve(p).directions for p in (x, x[::-1] * 2))
    np.testing.assert_array_equal(first, second)
    assert (SmoothICM(seed=4).resolve(x).directions != first).any()
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-14)
    assert SmoothICM(n_directions=7).resolve(x).directions.shape == (7, 5)
    np.testing.assert_allclose(SmoothICM(directions=[3.0, 4.0]).directions, [[0.6, 0.8]])
    # programs are compiled for a structure: of each seed its own, a process would run out of room
    resolved = [SmoothICM(seed=seed).resolve(x) for seed in (3, 4)]
    assert jax.tree.structure(resolved[0]) == jax.tree.structure(resolved[1])


@everywhere
def test_a_curve_is_found_and_a_line_is_not(kernel, rng):
    x, e = rng.normal(size=(2, 200))
    for curvature, rejects in ((0.5, True), (0.0, False)):
        data = pd.DataFrame({"x": x, "y": 1 + x + curvature * x**2 + e})
        pvalue = kcm.specification_test(smf.ols("y ~ x", data).fit(), kernel=kernel).pvalue
        assert (pvalue < 0.01) == rejects


def test_a_mixed_departure_is_found(rng):
    data = pd.DataFrame({"x": rng.normal(size=300), "city": rng.choice(list("abc"), 300)})
    data["y"] = data.x * (data.city == "a") + rng.normal(size=300)
    kernel = HsiaoLiRacine(["continuous", "unordered"])
    fit = smf.ols("y ~ x + C(city)", data).fit()
    assert kcm.specification_test(fit, data[["x", "city"]], kernel=kernel).pvalue < 0.01
    with pytest.raises(OptionError, match="takes the codes of city for numbers"):
        kcm.specification_test(fit, data[["x", "city"]], kernel=Orthant())
    both = Subspace(Orthant(), 0) * Subspace(Kronecker(), 1)
    assert kcm.specification_test(fit, data[["x", "city"]], kernel=both).pvalue < 0.01


# Refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ICM(spread=0.0), "`spread` must be finite and positive; got 0.0"),
        (lambda: ICM(scale=-1.0), "`scale` must be finite and positive"),
        (lambda: ICM()(jnp.zeros(1), jnp.zeros(1)), r"call `kernel.resolve\(X\)` first"),
        (lambda: ICM(scale=[1.0, 2.0]).resolve(np.eye(3)), "`scale` has 2 entries for 3"),
        (lambda: Orthant()(jnp.zeros(1), jnp.zeros(1)), r"call `kernel.resolve\(X\)` first"),
        (lambda: Orthant(np.eye(2)).resolve(np.eye(3)), "`points` has 2 columns for 3"),
        (lambda: Projection(np.eye(2)).resolve(np.eye(3)), "`points` has 2 columns for 3"),
        (lambda: Smooth(-1.0), "`bandwidth` must be finite and positive"),
        (lambda: SmoothICM(seed=-1), "`seed` must be an int of at least 0; got -1"),
        (lambda: SmoothICM(n_directions=0), "`n_directions` must be an int of at least 1; got 0"),
        (lambda: SmoothICM(directions=[[0.0, 0.0]]), "`directions` must be .* rows that are not"),
        (lambda: SmoothICM(directions=np.eye(2)).resolve(np.eye(3)), "2 entries for 3"),
        (lambda: SmoothICM()(jnp.zeros(1), jnp.zeros(1)), r"call `kernel.resolve\(X\)` first"),
        (lambda: RuleOfThumb(0.0), "`constant` must be finite and positive"),
        (lambda: RuleOfThumb(1.0, 0), "`dimension` must be None or an int of at least 1; got 0"),
        (lambda: HsiaoLiRacine(["nominal"]), "`kinds` must be one of 'continuous', 'unordered'"),
        (lambda: HsiaoLiRacine([]), "`kinds` must name the kind of each column; got none"),
        (lambda: HsiaoLiRacine(["ordered"], [0.1, 0.2]), "`bandwidth` must have one entry per"),
        (lambda: HsiaoLiRacine(["ordered"], 0.1), "`bandwidth` must have one entry per column"),
        (lambda: HsiaoLiRacine(["ordered"], [1.5]), "`smoothing` must be below 1"),
        (lambda: HsiaoLiRacine(["ordered"]).resolve(np.eye(2)), "`kinds` must have one entry per"),
    ],
)
def test_wrong_parameters_are_refused_in_words(make, message):
    with pytest.raises(OptionError, match=message):
        make()


def test_words_that_are_not_known_are_refused():
    told = messages(
        [
            "kcm.kernels.ICM('normal')",
            "kcm.kernels.ICM(transform='tanh')",
            "kcm.kernels.Smooth(shape='flat')",
            "kcm.kernels.SmoothICM(shape='flat')",
        ],
        "OptionError",
    )
    assert told == [
        "`weight` must be one of 'uniform', 'gaussian'; got 'normal'.",
        "`transform` must be one of 'identity', 'arctan'; got 'tanh'.",
        "`shape` must be one of 'gaussian', 'laplace', 'triangular'; got 'flat'.",
        "`shape` must be one of 'gaussian', 'laplace', 'triangular'; got 'flat'.",
    ]


@pytest.mark.parametrize("kernel", [ICM(), Smooth(), SmoothICM()])
def test_a_constant_column_is_refused(kernel):
    with pytest.raises(DataError, match="conditioning columns must vary"):
        kernel.resolve(np.column_stack([np.arange(5.0), np.ones(5)]))


@pytest.mark.parametrize("make", [Orthant, Projection])
def test_points_that_are_not_numbers_are_refused(make):
    with pytest.raises(DataError, match="`points`"):
        make([[1.0], [np.nan]])
