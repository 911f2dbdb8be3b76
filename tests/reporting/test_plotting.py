"""Pictures of results: what is drawn, compared with the numbers behind it."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from matplotlib import pyplot

import kcm
from kcm.adapters import fitted_moment
from kcm.exceptions import OptionError

FORMULA = {2: "logwage ~ age + I(age**2)", 4: "logwage ~ age + I(age**2) + I(age**3) + I(age**4)"}


def wages(degree, **options):
    fit = smf.ols(FORMULA[degree], data=kcm.datasets.load_cps71()).fit()
    return kcm.specification_test(fit, **{"kernel": kcm.kernels.Gaussian()} | options)


@pytest.fixture(scope="module")
def quadratic():
    return wages(2)


@pytest.fixture(scope="module")
def mixed():
    """Wrong in the product of two numbers and in one city."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"a": rng.normal(size=205), "b": rng.normal(size=205)})
    data["city"] = rng.choice(["Bern", "Lyon", "Turin"], size=205)
    data["y"] = data["a"] + 1.5 * data["a"] * data["b"] + 2.0 * (data["city"] == "Lyon")
    data["y"] += rng.normal(size=205)
    fit = smf.ols("y ~ a + b", data).fit()
    return kcm.specification_test(fit, data[["a", "b", "city"]])


@pytest.fixture
def ax():
    figure, axes = pyplot.subplots()
    yield axes
    pyplot.close(figure)


def line(ax, label):
    (found,) = (one for one in ax.get_lines() if one.get_label() == label)
    return found


def is_grey(color):
    red, green, blue, _ = mpl.colors.to_rgba(color)
    return red == green == blue


class TestWitness:
    def test_line_and_band_are_the_local_mean(self, quadratic, ax):
        quadratic.plot_witness(ax=ax)
        x, y = line(ax, "local mean").get_data()
        assert np.allclose(y, quadratic.embedding.local_mean(x)[:, 0])
        band = quadratic.embedding.band(x, rng=0).over_density()
        outline = ax.collections[0].get_paths()[0].vertices[:, 1]
        assert outline.min() == pytest.approx(band.lower.min())
        assert outline.max() == pytest.approx(band.upper.max())
        data = kcm.datasets.load_cps71()
        assert np.allclose(line(ax, "residuals").get_xdata(), data["age"])
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("age", "residual of logwage")

    def test_the_dip_of_the_quadratic_is_marked_and_the_quartic_has_none(self, quadratic, ax):
        quadratic.plot_witness(ax=ax)
        x, y = line(ax, "band excludes 0").get_data()
        marked = x[np.isfinite(y)]
        assert {25.0, 30.0, 45.0} <= {round(float(one)) for one in marked}
        assert (y[np.isfinite(y) & (x > 40) & (x < 50)] < 0).all()
        ax.clear()
        wages(4).plot_witness(ax=ax)
        assert "band excludes 0" not in [one.get_label() for one in ax.get_lines()]

    def test_another_level_and_draws(self, quadratic, ax):
        quadratic.plot_witness("age", level=0.5, rng=1, ax=ax)
        assert "50 % band, simultaneous" in ax.get_legend_handles_labels()[1]

    def test_map_outlines_where_the_band_excludes_zero(self, mixed, ax):
        assert mixed.plot_witness(["a", "b"], ax=ax) is ax
        assert "outlined: the 95 % band excludes 0" in ax.get_title()
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")
        outline = next(c for c in ax.collections if c.get_linewidth()[0] == 2.0)
        corners = np.vstack([path.vertices for path in outline.get_paths()])
        found = mixed.embedding.marginal(["a", "b"]).band([[1.2, 1.2], [-1.2, 1.2]], rng=0)
        assert found.excludes_zero.all()
        assert (np.abs(corners) < 3).all()

    def test_bars_of_a_category(self, mixed, ax):
        mixed.plot_witness("city", ax=ax)
        heights = [bar.get_height() for bar in ax.patches]
        expected = mixed.embedding.marginal("city").local_mean({"city": ["Bern", "Lyon", "Turin"]})
        assert np.allclose(heights, expected[:, 0])
        assert [one.get_text() for one in ax.get_xticklabels()] == ["Bern", "Lyon", "Turin"]
        assert is_grey(ax.patches[1].get_facecolor())
        assert mpl.colors.to_rgba("white") != ax.patches[1].get_facecolor()

    def test_component_of_a_system(self, ax):
        rng = np.random.default_rng(1)
        x, psi = rng.normal(size=205), rng.normal(size=(205, 2))
        psi[:, 1] += x**2 - 1
        result = kcm.KCMTest().run(kcm.FittedMoment(psi, x))
        result.plot_witness(component=1, ax=ax)
        grid, y = line(ax, "local mean").get_data()
        assert np.allclose(y, result.embedding.local_mean(grid)[:, 1])
        with pytest.raises(OptionError, match="from 0 to 1"):
            result.plot_witness(component=2, ax=ax)

    def test_many_residuals_are_thinned_out(self, ax):
        x, psi = np.random.default_rng(2).normal(size=(2, 3_000))
        kcm.KCMTest(method="low-rank").run(kcm.FittedMoment(psi, x)).plot_witness(ax=ax)
        assert len(line(ax, "2,000 of the residuals").get_xdata()) == 2_000

    def test_variables_must_be_one_or_two(self, mixed, ax):
        with pytest.raises(OptionError, match="plot_contributions"):
            mixed.plot_witness(ax=ax)
        with pytest.raises(OptionError, match="two that hold numbers"):
            mixed.plot_witness(["a", "city"], ax=ax)


class TestNullLaw:
    def test_density_has_mass_one_and_the_lines_are_where_they_belong(self, quadratic, ax):
        quadratic.plot_null(level=0.1, ax=ax)
        x, density = line(ax, "null law").get_data()
        assert np.sum(density) * (x[1] - x[0]) == pytest.approx(0.9975, abs=1e-3)
        critical = quadratic.null_distribution.critical_value(0.1)
        assert line(ax, "critical value (0.1)").get_xdata()[0] == critical
        told = f"statistic {quadratic.statistic:.4g}, p = 0.0051"
        assert line(ax, told).get_xdata()[0] == quadratic.statistic

    def test_draws_are_a_histogram(self, ax):
        result = wages(2, null=kcm.MultiplierBootstrap(199), rng=0)
        result.plot_null(ax=ax)
        edges = [(bar.get_x(), bar.get_height() * bar.get_width()) for bar in ax.patches]
        assert sum(mass for _, mass in edges) == pytest.approx(1)
        # the left edge of a bar is its middle less half its width
        least = result.null_distribution.draws.min()
        assert min(edge for edge, _ in edges) == pytest.approx(least, rel=1e-12)

    def test_a_statistic_far_out_is_an_arrow_at_the_edge(self, ax):
        x = np.linspace(-1, 1, 205)
        kcm.KCMTest().run(kcm.FittedMoment(x + 3, x)).plot_null(ax=ax)
        (arrow,) = (one for one in ax.get_lines() if one.get_marker() == 9)
        assert arrow.get_xdata()[0] == ax.get_xlim()[1]

    def test_draws_that_stopped_have_no_critical_value(self, ax):
        null = kcm.MultiplierBootstrap(999, stop="besag-clifford", exceedances=5)
        wages(4, null=null, rng=0).plot_null(ax=ax)
        labels = [one.get_label() for one in ax.get_lines()]
        assert not any(label.startswith("critical") for label in labels)


class TestContributions:
    def test_bars_are_the_shares(self, mixed, ax):
        mixed.plot_contributions(ax=ax)
        table = mixed.embedding.contributions().variables
        shares = table["share"][table["share"] > 0]
        assert np.allclose([bar.get_width() for bar in ax.patches], shares)
        assert [one.get_text() for one in ax.get_yticklabels()] == list(table.index)
        told = [one.get_text() for one in ax.texts]
        assert [words.startswith("p = ") for words in told] == list(table["share"] > 0)
        assert all(words.startswith("no share") for words in told[:2])


def test_settings_are_left_alone_and_new_figures_made(quadratic):
    before = dict(mpl.rcParams)
    for draw in (quadratic.plot_null, quadratic.plot_witness, quadratic.plot_contributions):
        axes = draw()
        axes.figure.canvas.draw()
        pyplot.close(axes.figure)
    assert dict(mpl.rcParams) == before


def test_everything_is_black_white_or_grey(quadratic, ax):
    quadratic.plot_witness(ax=ax)
    assert all(is_grey(one.get_color()) for one in ax.get_lines())
    ax.clear()
    quadratic.plot_null(ax=ax)
    assert all(is_grey(one.get_color()) for one in ax.get_lines())


def test_of_an_estimate_by_the_library(ax):
    results = kcm.MMR.from_formula(FORMULA[2], kcm.datasets.load_cps71()).fit()
    results.embedding().plot_witness(ax=ax)
    assert ax.get_xlabel() == "age"


def test_moments_keep_the_names_of_levels():
    data = pd.DataFrame({"y": np.arange(6.0) ** 2, "s": list("aabbab"), "x": np.arange(6.0)})
    moment = fitted_moment(smf.ols("y ~ x", data).fit(), data[["x", "s"]])
    assert moment.labels.levels == ((), ("a", "b"))
