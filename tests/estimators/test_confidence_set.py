"""Confidence sets by inversion.

Referees: a dense program that inverts the test by a fine grid, and pictures by their drawn data.
"""

import builtins

import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot
import numpy as np
import pandas as pd
import pytest
from dense_law import powers
from estimation_designs import EXPONENTIAL

import kcm
from kcm.estimators import inversion
from kcm.exceptions import OptionError
from kcm.null import Asymptotic

pytestmark = pytest.mark.many_calls

mpl.use("Agg")

FORMULA = "y ~ x | z"


def linear(strength=1.0, n=80, seed=0, wrong=0.0):
    """Draw y = 1 + 2 x + u with x endogenous; `wrong` lets z into the outcome, squared."""
    rng = np.random.default_rng(seed)
    z, u, v = rng.normal(size=(3, n))
    x = strength * z + 0.8 * u + 0.6 * v
    return pd.DataFrame({"y": 1 + 2 * x + u + wrong * (z**2 - 1), "x": x, "z": z})


def estimate(**options):
    return kcm.MMR.from_formula(FORMULA, linear(**options)).fit()


def pvalue_by_hand(data, beta):
    """The test of y - beta x with its mean concentrated out, from dense matrices."""
    n = len(data)
    z = data["z"].to_numpy()[:, None]
    k = kcm.gram.matrix(kcm.kernels.Gaussian(), z)
    outcome = (data["y"] - beta * data["x"]).to_numpy()
    ones = np.ones(n)
    gain = n * k @ ones / (ones @ k @ ones)
    residual = outcome - gain @ outcome / n
    influence = gain * residual
    # the design is a constant, so the scale is that of I - 1 g'/n, row by row
    projector = np.eye(n) - np.outer(ones, gain) / n
    scale = powers(np.sum(projector**2, axis=1))
    moment = kcm.FittedMoment(residual, z, -ones[:, None], influence[:, None], scale)
    return kcm.KCMTest().run(moment).pvalue


@pytest.fixture(scope="module")
def results():
    return estimate()


@pytest.fixture(scope="module")
def region(results):
    return results.confidence_set("x")


@pytest.fixture(scope="module")
def unbounded():
    return estimate(strength=0.02).confidence_set("x")


@pytest.fixture(scope="module")
def empty():
    return estimate(wrong=2.0, n=150).confidence_set("x")


@pytest.fixture(scope="module")
def plane(results):
    # the default values, but fewer of them
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inversion, "N_GRID", 7)
        return results.confidence_set(["x", "Intercept"])


class TestOneParameter:
    @pytest.mark.parametrize("beta", [0.5, 1.9, 2.0, 2.3, -40.0])
    def test_the_curve_is_the_concentrated_test(self, results, beta):
        by_hand = pvalue_by_hand(linear(), beta)
        assert results.test_at({"x": beta}).pvalue == pytest.approx(by_hand, rel=1e-6)

    def test_ends_are_where_the_pvalue_crosses(self, results, region):
        ((low, high),) = region.intervals
        for end, outward in ((low, -1e-3), (high, 1e-3)):
            assert pvalue_by_hand(linear(), end) == pytest.approx(0.05, abs=1e-4)
            assert pvalue_by_hand(linear(), end + outward) < 0.05
        assert region.contains((low + high) / 2)
        assert not region.contains(high + 1e-6)
        assert region.is_bounded

    def test_values_and_pvalues_are_told(self, region):
        frame = region.to_frame()
        assert list(frame) == ["x", "pvalue", "inside"]
        assert frame["x"].is_monotonic_increasing
        for row in frame.iloc[[5, 27, 45]].itertuples():
            assert row.pvalue == pytest.approx(pvalue_by_hand(linear(), row.x), rel=1e-5, abs=1e-12)
            assert row.inside == (row.pvalue > 0.05)

    def test_a_higher_level_gives_a_wider_set(self, results, region):
        ((low, high),) = region.intervals
        ((lower, higher),) = results.confidence_set("x", level=0.99).intervals
        assert lower < low < high < higher

    def test_the_set_is_near_the_wald_interval_when_instruments_are_strong(self, results, region):
        ((low, high),) = region.intervals
        wald = results.conf_int().loc["x"]
        assert low < results.params["x"] < high
        assert 0.5 < (high - low) / (wald["upper"] - wald["lower"]) < 2.5

    def test_a_bootstrap_set_sees_the_same_draws_at_every_value(self, results):
        null = kcm.MultiplierBootstrap(99)
        grid = np.linspace(1, 3, 9)
        sets = [results.confidence_set("x", grid=grid, null=null, rng=4) for _ in range(2)]
        assert np.array_equal(sets[0].pvalues, sets[1].pvalues)

    def test_clusters_are_those_of_the_estimate(self):
        data = linear().assign(town=np.arange(80) // 2)
        fit = kcm.MMR.from_formula(FORMULA, data).fit(groups="town")
        null = Asymptotic(groups=np.arange(80) // 2)
        assert fit.test_at({"x": 2.1}).pvalue == pytest.approx(
            estimate().test_at({"x": 2.1}, null=null).pvalue, rel=1e-9
        )

    def test_all_parameters_make_theta_known(self, results):
        value = {"Intercept": 1.0, "x": 2.0}
        known = results.model.at(value).test()
        assert results.test_at(value).pvalue == pytest.approx(known.pvalue, rel=1e-10)

    def test_efficient_estimates_have_one_too(self):
        fit = kcm.VMM.from_formula(FORMULA, linear()).fit()
        assert fit.test_at({"x": 1.8}).pvalue == pytest.approx(
            pvalue_by_hand(linear(), 1.8), rel=1e-6
        )


class TestShapes:
    def test_weak_instruments_leave_the_set_unbounded(self, unbounded):
        ends = np.ravel(unbounded.intervals)
        assert ends[0] == -np.inf
        assert ends[-1] == np.inf
        assert not unbounded.is_bounded
        assert unbounded.contains(2.0)

    def test_an_unbounded_set_may_have_a_hole(self):
        region = estimate(strength=0.15, seed=2).confidence_set("x")
        (low, high), (lower, higher) = region.intervals
        assert (low, higher) == (-np.inf, np.inf)
        assert high < lower
        assert not region.contains((high + lower) / 2)
        assert " and " in region.describe()

    def test_a_wrong_model_leaves_nothing(self, empty):
        assert empty.is_empty
        assert empty.intervals == ()
        assert not empty.contains(2.0)
        assert "empty: the model is rejected at every value" in str(empty.summary())

    def test_a_narrow_set_between_the_values_is_found(self):
        fit = estimate()
        peak = fit.confidence_set("x").to_frame().set_index("x")["pvalue"].idxmax()
        top = max(fit.test_at({"x": v}).pvalue for v in np.linspace(peak - 0.05, peak + 0.05, 11))
        level = 1 - 0.98 * top  # keeps a sliver around the peak
        region = fit.confidence_set("x", level=level, grid=[peak - 0.4, peak + 0.35])
        assert not region.is_empty
        ((low, high),) = region.intervals
        assert high - low < 0.3

    def test_a_given_grid_is_the_limit(self, results):
        region = results.confidence_set("x", grid=[2.05, 1.95, 2.0])
        assert region.intervals == ((1.95, 2.05),)
        assert region.truncated == ((True, True),)
        assert "may go on beyond" in str(region.summary())

    def test_bounds_of_the_parameter_end_the_set(self):
        data = linear(strength=0.02)
        fit = kcm.MMR.from_formula(FORMULA, data).fit(bounds={"x": (-50.0, 60.0)})
        region = fit.confidence_set("x")
        assert np.ravel(region.intervals)[0] == -50.0
        assert np.ravel(region.intervals)[-1] == 60.0

    def test_values_without_a_pvalue_are_told(self):
        data = EXPONENTIAL.draw(np.random.default_rng(0), 100)

        def residual(params, row):
            return row["y"] - jnp.exp(params["a"]) * jnp.sqrt(params["b"] + row["x"] ** 2)

        fit = kcm.MMR(kcm.ConditionalMoment(residual, "z"), data).fit({"a": 0.0, "b": 1.0})
        region = fit.confidence_set("b", grid=np.linspace(-3.0, 4.0, 15))
        assert np.isnan(region.pvalues[:3]).all()
        assert "values could not be computed" in str(region.summary())

    def test_a_nonlinear_parameter(self):
        data = EXPONENTIAL.draw(np.random.default_rng(0), 200)
        fit = kcm.MMR(EXPONENTIAL.moment, data).fit(EXPONENTIAL.start)
        region = fit.confidence_set("b", grid=np.linspace(-0.5, 1.5, 41))
        assert region.contains(0.5)
        assert region.is_bounded


class TestTwoParameters:
    def test_the_surface_is_the_test_of_known_theta(self, results, plane):
        assert plane.values.shape == (49, 2)
        errors = results.bse[["x", "Intercept"]]
        np.testing.assert_allclose(np.ptp(plane.values, axis=0), 16 * errors)
        for k in (0, 17, 24, 40):
            value = dict(zip(("x", "Intercept"), plane.values[k], strict=True))
            known = results.model.at(value).test().pvalue
            assert plane.pvalues[k] == pytest.approx(known, rel=1e-6, abs=1e-14)

    def test_ranges_are_those_of_the_values_kept(self, plane):
        kept = plane.to_frame().query("inside")
        assert plane.intervals[0] == (kept["x"].min(), kept["x"].max())
        assert plane.intervals[1] == (kept["Intercept"].min(), kept["Intercept"].max())
        assert plane.describe().startswith("within x [")

    def test_a_grid_of_one_s_own(self, results):
        grid = {"Intercept": [0.9, 1.0], "x": [1.9, 2.0, 2.1]}
        plane = results.confidence_set(["x", "Intercept"], grid=grid)
        assert plane.values.shape == (6, 2)
        assert plane.truncated == ((True, True), (True, True))
        assert not plane.exhaustive

    def test_membership_is_a_test(self, plane):
        with pytest.raises(OptionError, match=r"results\.test_at"):
            plane.contains(2.0)


class TestOptions:
    @pytest.mark.parametrize(
        ("names", "options", "message"),
        [
            ("xx", {}, "there is no parameter 'xx'; did you mean 'x'"),
            (["x", "x"], {}, "must name different parameters"),
            ([], {}, "must name different parameters"),
            (["x", "Intercept", "x"], {}, "must name different parameters"),
            ("x", {"level": 1.0}, "`level` must lie strictly between 0 and 1"),
            ("x", {"grid": [1.0]}, "at least two different values"),
            (["x", "Intercept"], {"grid": [1.0, 2.0]}, "`grid` must be a mapping"),
        ],
    )
    def test_wrong_options(self, results, names, options, message):
        with pytest.raises(OptionError, match=message):
            results.confidence_set(names, **options)


class TestPicture:
    def test_the_curve_is_drawn_from_the_pvalues(self, region):
        ax = region.plot()
        line, *_ = ax.get_lines()
        frame = region.to_frame().set_index("x")["pvalue"]
        drawn = pd.Series(line.get_ydata(), index=line.get_xdata())
        np.testing.assert_allclose(drawn[frame.index], frame)
        np.testing.assert_allclose(drawn[list(region.intervals[0])], 0.05)
        low, high = ax.get_xlim()
        assert low < region.intervals[0][0] < region.intervals[0][1] < high
        assert ax.get_xlabel() == "x"

    @pytest.mark.parametrize("shape", ["unbounded", "empty"])
    def test_every_shape_is_drawn(self, shape, request):
        ax = request.getfixturevalue(shape).plot()
        assert np.isfinite(ax.get_xlim()).all()
        assert np.diff(ax.get_xlim()) > 0
        assert len(ax.get_lines()[0].get_xdata()) > 3

    def test_a_region_is_drawn_on_the_axes_given(self, results):
        grid = {"x": np.linspace(1.5, 2.5, 7), "Intercept": np.linspace(0.5, 1.5, 6)}
        plane = results.confidence_set(["x", "Intercept"], grid=grid)
        figure, ax = mpl.pyplot.subplots()
        assert plane.plot(ax=ax) is ax
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "Intercept")
        mpl.pyplot.close(figure)

    def test_settings_of_the_user_are_left_alone(self, region):
        before = dict(mpl.rcParams)
        region.plot()
        assert dict(mpl.rcParams) == before

    def test_without_matplotlib_the_extra_is_named(self, region, monkeypatch):
        real = builtins.__import__

        def missing(name, *args, **kwargs):
            if name.startswith("matplotlib"):
                raise ImportError(name)
            return real(name, *args, **kwargs)

        monkeypatch.setattr("importlib.import_module", missing)
        with pytest.raises(OptionError, match=r"kernel-conditional-moment\[plots\]"):
            region.plot()


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    mpl.pyplot.close("all")
