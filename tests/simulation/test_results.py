"""Summaries of studies. Referees: statsmodels, SciPy, and loops of a few lines."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.proportion import proportion_confint

import kcm
from kcm.simulation import SimulationStudy, StudyResults
from kcm.simulation.rates import empirical_quantile, rejections, wilson
from kcm.simulation.replication import Replication


def slope_test(fit, rng):
    """Return the p-value of t for a slope of one: exact in the linear design."""
    return float(fit.t_test("x1 = 1").pvalue)


def the_fit(fit, rng):
    return fit


@pytest.fixture(scope="module")
def results():
    study = SimulationStudy(
        "omitted-square",
        {"t": slope_test, "RESET": "RESET", "fit": the_fit},
        [40, 60],
        {"size": [0.0, 0.5]},
        60,
    )
    return study.run(rng=3, n_jobs=1)


@pytest.mark.parametrize("count", [0, 1, 30, 99, 100])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_is_that_of_statsmodels(count, confidence):
    expected = proportion_confint(count, 100, 1 - confidence, method="wilson")
    assert wilson(count, 100, confidence) == pytest.approx(expected, abs=1e-12)


def test_rates_without_samples_are_no_numbers():
    assert np.isnan(wilson(0, 0)).all()


def test_a_pvalue_at_the_level_rejects_whatever_the_rounding():
    pvalues = np.array([(1 + g) / 200 for g in range(200)])
    for level in (0.05, 0.1, 0.15):
        assert rejections(pvalues, level) == round(200 * level)


@pytest.mark.parametrize("level", [0.0, 0.05, 0.31, 1.0])
def test_the_quantile_rejects_at_most_its_share(rng, level):
    pvalues = np.ceil(20 * rng.random(57)) / 20
    critical = empirical_quantile(pvalues, level)
    assert np.mean(pvalues <= critical) <= level + 1e-12
    larger = np.unique(pvalues[pvalues > critical])
    assert not len(larger) or np.mean(pvalues <= larger[0]) > level


def test_rejection_rates(results):
    frame, rates = results.to_frame(), results.rejection_rates(0.1, 0.9)
    assert set(rates.procedure) == {"t", "RESET"}
    for row in rates.itertuples():
        own = frame[(frame.n_obs == row.n_obs) & (frame["size"] == row.size)]
        pvalues = own.pvalue[own.procedure == row.procedure]
        assert row.rate == np.mean(pvalues <= 0.1)
        expected = proportion_confint((pvalues <= 0.1).sum(), 60, 0.1, method="wilson")
        assert (row.lower, row.upper) == pytest.approx(expected)
        assert row.null_true is (row.size == 0)


def test_size_adjusted_power_is_the_rate_at_the_quantile_of_the_null(results):
    frame = results.to_frame().set_index(["n_obs", "size", "procedure"]).pvalue.sort_index()
    adjusted = results.size_adjusted_power(0.1)
    assert len(adjusted) == 4
    for row in adjusted.itertuples():
        null = np.sort(frame.loc[(row.n_obs, 0.0, row.procedure)])
        assert row.critical_pvalue == null[5]
        own = frame.loc[(row.n_obs, 0.5, row.procedure)]
        assert row.rate == np.mean(own <= null[5])


def test_the_null_cell_may_be_named(results):
    named = results.size_adjusted_power(0.1, null={"size": 0.0})
    pd.testing.assert_frame_equal(named, results.size_adjusted_power(0.1))
    with pytest.raises(kcm.OptionError, match="has 0 null cells"):
        results.size_adjusted_power(0.1, null={"size": 0.25})


def test_uniformity_is_the_test_of_scipy(results):
    found = results.pvalue_uniformity()
    frame = results.to_frame()
    assert len(found) == 4
    for row in found.itertuples():
        own = frame[(frame.n_obs == row.n_obs) & (frame["size"] == 0)]
        expected = scipy.stats.kstest(own.pvalue[own.procedure == row.procedure], "uniform")
        assert (row.ks_statistic, row.ks_pvalue) == (expected.statistic, expected.pvalue)
    # of t the p-values are exactly uniform
    assert found.ks_pvalue[found.procedure == "t"].min() > 0.001


def test_estimates(results):
    found = results.estimates().set_index(["n_obs", "size", "parameter"])
    own = results.parameters
    own = own[(own.n_obs == 60) & (own["size"] == 0) & (own.parameter == "x1")]
    row = found.loc[(60, 0.0, "x1")]
    error = own.estimate.to_numpy() - 1.0
    assert row.truth == 1.0
    assert row.bias == pytest.approx(error.mean())
    assert row.rmse == pytest.approx(np.sqrt(np.mean(error**2)))
    assert row.sd == pytest.approx(np.std(own.estimate, ddof=1))
    assert row.coverage == np.mean((own.lower <= 1) & (own.upper >= 1))
    assert abs(row.bias) < 4 / np.sqrt(60 * 60)
    assert 0.85 <= row.coverage <= 1


def test_runtime_has_every_procedure(results):
    found = results.runtime()
    assert set(found.procedure) == {"t", "RESET", "fit"}
    assert (found.total_seconds > 0).all()


def test_pictures(results):
    import matplotlib.pyplot as plt

    axes = [results.plot_power(), results.plot_power("n_obs"), results.plot_size()]
    axes += [*results.plot_pvalues()]
    assert all(ax.has_data() for ax in axes)
    assert axes[0].get_xlabel() == "size"
    assert len(axes[2].get_yticklabels()) == 4
    _, own = plt.subplots()
    assert results.plot_power(ax=own) is own
    with pytest.raises(kcm.OptionError, match="did you mean 'n_obs'"):
        results.plot_power("nobs")
    plt.close("all")


def test_size_needs_a_true_model(results):
    wrong = results.to_frame().query("size > 0").reset_index(drop=True)
    given = results.cell_columns, wrong, results.parameters, results.seconds
    with pytest.raises(kcm.OptionError, match="no cell of the study"):
        StudyResults("omitted-square", *given).plot_size()


def test_tables_on_paper(results, tmp_path):
    assert "omitted-square" in results.to_latex()
    assert results.to_latex().count(r"\\") == 2 + len(results.rejection_rates())
    results.to_csv(tmp_path / "all.csv")
    read = pd.read_csv(tmp_path / "all.csv", keep_default_na=False, na_values={"pvalue": [""]})
    assert len(read) == len(results.to_frame())
    assert "<table" in results._repr_html_()


class TestReplication:
    @pytest.fixture
    def found(self):
        rates = {"rate": [0.5, 0.0], "printed": [0.4, 0.0], "n_trials": 300, "n_printed": 290}
        places = {"figure": 2, "panel": "(a)", "test": ["KCM", "ICM"], "n_obs": [100, 200]}
        frame = pd.DataFrame(places | rates | {"delta": 0.01, "lower": [0.4, 0.0], "upper": 0.6})
        return Replication(frame)

    def test_z_is_that_of_two_shares(self, found):
        """The pooled z of two proportions, but for half a success on each side."""
        common = (300 * 0.5 + 290 * 0.4) / 590
        expected = 0.1 / np.sqrt(common * (1 - common) * (1 / 300 + 1 / 290))
        assert found.to_frame().z.to_list() == pytest.approx([expected, 0.0], rel=1e-3)
        assert found.share_within(2.0) == 0.5

    def test_summary_counts(self, found):
        assert "2 of 2 rates lie within 2.5" in repr(found)
        assert "0.500" in str(found.summary())

    def test_picture(self, found):
        import matplotlib.pyplot as plt

        assert np.ravel(found.plot())[0].has_data()
        plt.close("all")
