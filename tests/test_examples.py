"""Each example runs as a script and says what its docstring claims."""

import io
import runpy
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.many_calls

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))

Run = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run an example once, as a script without a screen, and return its names.

    Beside them are what it printed, and the number of axes with data in each picture.
    """
    import matplotlib.pyplot as pyplot

    contents: list[int] = []

    def show() -> None:
        contents.append(sum(ax.has_data() for ax in pyplot.gcf().axes))
        pyplot.close("all")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("examples"))
        patch.setattr(pyplot, "show", show)
        pyplot.switch_backend("agg")
        yield cache(lambda name: _run(name, contents))


def _run(name: str, contents: list[int]) -> dict[str, Any]:
    (path,) = (path for path in EXAMPLES if path.stem == name)
    contents.clear()
    with redirect_stdout(io.StringIO()) as printed:
        names = runpy.run_path(str(path), run_name="__main__")
    return names | {"printed": printed.getvalue(), "pictures": tuple(contents)}


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES])
def test_every_example_prints_and_draws(run: Run, name: str):
    names = run(name)
    assert names["printed"]
    assert names["pictures"]
    assert all(names["pictures"])


def test_cps71_rejects_the_line_and_the_quadratic_and_keeps_the_quartic(run: Run):
    table = run("cps71")["table"].set_index("degree")
    assert (table.loc[[1, 2], ["p asymptotic", "p bootstrap"]] < 0.05).all(axis=None)
    assert (table.loc[[4, 5], ["p asymptotic", "p bootstrap"]] > 0.05).all(axis=None)
    # in the middle of the law the two share mean, variance and third cumulant only
    assert np.allclose(table["p asymptotic"], table["p bootstrap"], atol=0.12)
    small = table["p bootstrap"] < 0.5
    assert np.allclose(table["p asymptotic"][small], table["p bootstrap"][small], atol=0.02)


def test_the_experiments_of_the_paper_are_near_the_printed_rates(run: Run):
    """A tenth of the trials: 108 rates, whose joint standard error is up to .1."""
    found = run("plot_uai2020")["found"]
    assert len(found.rates) == 108
    assert found.share_within() >= 0.9
    assert found.to_frame().z.abs().max() < 4


def test_own_moment_is_estimated_and_its_wrong_form_rejected(run: Run):
    names = run("plot_own_moment")
    results = names["results"]
    assert (np.abs(results.params - 0.5) < 2 * results.bse).all()
    assert names["wrong"].pvalue < 0.05 < names["right"].pvalue
    assert (names["wrong_results"].bse < 0.1).all()


def test_iv_formula_is_precise_and_passes(run: Run):
    names = run("plot_iv_formula")
    errors = names["errors"]
    assert (errors[["MMR", "VMM"]].max(axis=1) < errors["2SLS"]).all()
    assert (np.abs(names["estimates"].loc["x"] + 1) < 2 * errors.loc["x"]).all()
    assert names["without_w"].pvalue < 0.05 < names["test"].pvalue


def test_wage_equations_are_precise_and_pass(run: Run):
    names = run("plot_wage_equations")
    errors = names["table"]["standard error"].unstack("estimator")
    assert (errors["MMR"] < errors["2SLS"]).all()
    assert all(test.pvalue > 0.05 for test in names["tests"].values())
    assert (names["women_mmr"].nobs, names["men_mmr"].nobs) == (428, 3010)
    assert names["no_return"].pvalue < 0.05


def test_demand_and_supply_are_found_by_formula_and_by_moment(run: Run):
    names = run("plot_demand_supply")
    results = names["results"]
    truth = np.array([10, -1, 2, 1, 1, -2])
    assert (np.abs(results.params - truth) < 3 * results.bse).all()
    assert np.allclose(names["own"].params, results.params)
    assert names["joint"].pvalue > 0.05
    assert names["restricted"].bse["b"] < results.bse[["demand.p", "supply.p"]].min()
    pvalues = {name: test.pvalue for name, test in names["tests"].items()}
    assert max(pvalues["both"], pvalues["supply"]) < 0.05 < pvalues["demand"]


def test_confidence_sets_have_the_shapes_that_identification_gives_them(run: Run):
    names = run("plot_confidence_sets")
    sets, wald = names["sets"], names["wald"]
    assert sets["strong"].is_bounded
    assert [np.isfinite(ends).tolist() for ends in sets["weak"].intervals] == [
        [False, True],
        [True, False],
    ]
    assert sets["irrelevant"].intervals == ((-np.inf, np.inf),)
    assert sets["misspecified"].is_empty
    assert all(sets[name].contains(-1.0) for name in ("strong", "weak", "irrelevant"))
    assert not wald["irrelevant"]["lower"] <= -1 <= wald["irrelevant"]["upper"]
    assert names["region"].is_bounded


def test_rkhs_iv_is_closer_to_the_truth_than_ridge_regression(run: Run):
    errors = run("plot_rkhs_iv")["errors"]
    assert errors["RKHSIV"] < errors["kernel ridge"] / 2


def test_the_band_shows_where_the_quadratic_fails_and_the_quartic_does_not(run: Run):
    names = run("plot_where_it_fails")
    ages, bands = names["ages"], names["bands"]
    outside = bands["quadratic"].excludes_zero[:, 0]
    assert {28, 45} <= set(ages[outside].astype(int))
    assert (bands["quadratic"].values[(ages > 41) & (ages < 48)] < 0).all()
    assert not bands["quartic"].excludes_zero.any()
    assert names["contributions"].variable == "c"
    assert names["distance"].pvalue < 0.05


def test_the_study_shows_what_the_published_procedure_does(run: Run):
    rates = run("plot_simulation_study")["results"].rejection_rates()
    rate = rates.set_index(["procedure", "size"]).rate
    assert rate["published", 0.0] <= 0.03 < 0.1 < rate["corrected", 0.6]
    assert rate["corrected", 1.2] > rate["published", 1.2] + 0.2
