"""Conditioning on columns of any type. Referee: the kernels and codes put together by hand."""

import json
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import statsmodels.formula.api as smf

import kcm
from kcm import cli, gram
from kcm.data import encode_frame
from kcm.exceptions import DataError, OptionError
from kcm.kernels import (
    AitchisonAitken,
    Energy,
    Gaussian,
    Kronecker,
    Subspace,
    WangVanRyzin,
    for_frame,
)

N = 200
GRADES = ["low", "mid", "high"]
KINDS = ("continuous", "continuous", "unordered", "unordered", "ordered")


@pytest.fixture
def data(rng):
    x, z, e = rng.normal(size=(3, N))
    city, grade = rng.choice(["Rome", "Oslo", "Bern"], N), rng.choice(GRADES, N)
    return pd.DataFrame(
        {
            "y": 1 + x + e,
            "x": x,
            "z": z,
            "city": city,
            "member": rng.uniform(size=N) < 0.4,
            "grade": pd.Categorical(grade, categories=[*GRADES, "top"], ordered=True),
        }
    )


@pytest.fixture
def mixed(data):
    return data[["x", "z", "city", "member", "grade"]]


def by_hand(mixed):
    """Codes and kernel of the columns above."""
    codes = {
        "city": mixed.city.map({"Bern": 0, "Oslo": 1, "Rome": 2}),
        "member": mixed.member.astype(int),
        "grade": mixed.grade.astype(str).map({g: i for i, g in enumerate(GRADES)}),
    }
    kernel = (
        Subspace(Gaussian(), [0, 1])
        * Subspace(AitchisonAitken(), [2, 3])
        * Subspace(WangVanRyzin(), 4)
    )
    return np.column_stack([mixed.x, mixed.z, *codes.values()]).astype(float), kernel


CONVERT = {
    "pandas": lambda d: d,
    "nullable": lambda d: d.convert_dtypes(),
    "category": lambda d: d.assign(city=d.city.astype("category")),
    "object": lambda d: d.assign(city=d.city.astype(object), member=d.member.astype(object)),
    "polars": lambda d: pl.from_pandas(d.assign(grade=d.grade.astype(str))).with_columns(
        pl.col("grade").cast(pl.Enum([*GRADES, "top"])), pl.col("city").cast(pl.Categorical)
    ),
    "arrow": lambda d: pa.table({**d.drop(columns="grade"), "grade": d.grade.astype(str)}),
    "mapping": dict,
}
ORDERED = [name for name in CONVERT if name != "arrow"]


@pytest.mark.parametrize("container", ORDERED)
def test_every_container_gives_the_same_codes(container, mixed):
    encoded = encode_frame(CONVERT[container](mixed))
    np.testing.assert_array_equal(encoded.values, by_hand(mixed)[0])
    assert encoded.names == tuple(mixed.columns)
    assert encoded.kinds == KINDS


@pytest.mark.parametrize("container", ORDERED)
def test_every_container_gives_the_same_kernel(container, mixed):
    assert repr(for_frame(CONVERT[container](mixed))) == repr(by_hand(mixed)[1])


def test_arrow_has_no_order(mixed):
    kinds = encode_frame(CONVERT["arrow"](mixed)).kinds
    assert kinds == (*KINDS[:4], "unordered")


@pytest.mark.parametrize(
    ("columns", "kernel"),
    [
        (["x", "z"], Gaussian()),
        (["city"], AitchisonAitken()),
        (["grade"], WangVanRyzin()),
        (["city", "x"], Subspace(Gaussian(), 1) * Subspace(AitchisonAitken(), 0)),
    ],
)
def test_the_kernel_of_fewer_kinds(columns, kernel, mixed):
    assert repr(for_frame(mixed[columns])) == repr(kernel)


@pytest.mark.parametrize("container", ORDERED)
def test_a_frame_of_any_columns_goes_through_a_test(container, data, mixed):
    fit = smf.ols("y ~ x", data).fit()
    found = kcm.specification_test(fit, CONVERT[container](mixed))
    codes, kernel = by_hand(mixed)
    expected = kcm.specification_test(fit, codes, kernel=kernel)
    at_the_median = found.kernel_tests[1]
    assert found.conditioning_names == tuple(mixed.columns)
    assert repr(at_the_median.kernel) == repr(expected.kernel)
    np.testing.assert_allclose(
        [at_the_median.statistic, at_the_median.pvalue], [expected.statistic, expected.pvalue]
    )
    text = str(found.summary())
    assert "Gaussian on " in text
    assert "; categories " in text
    assert len(text.splitlines()[0]) <= 100


def test_a_formula_of_any_variables_goes_through_a_test(data, mixed):
    data["grade"] = data.grade.cat.remove_unused_categories()
    fit = smf.ols("y ~ x + z + C(city) + member + C(grade)", data).fit()
    found = kcm.specification_test(fit)
    expected = kcm.specification_test(fit, mixed)
    assert found.conditioning_names == tuple(mixed.columns)
    assert found.pvalue == expected.pvalue


def test_a_moment_takes_the_frame_itself(data, mixed):
    psi = data.y - 1 - data.x
    found = kcm.KCMTest().run(kcm.FittedMoment(psi, mixed))
    codes, kernel = by_hand(mixed)
    expected = kcm.KCMTest(kernel).run(kcm.FittedMoment(psi, codes))
    np.testing.assert_allclose(found.pvalue, expected.pvalue)


def test_a_system_keeps_the_kinds(data, mixed):
    moment = kcm.FittedMoment(data.y - 1 - data.x, mixed)
    system = kcm.stack_equations(moment, moment)
    assert system.labels.kinds == KINDS
    assert repr(kcm.KCMTest().run(system).kernel) == repr(kcm.KCMTest().run(moment).kernel)
    other = kcm.FittedMoment(data.y, encode_frame(mixed).values)
    with pytest.raises(DataError, match="other conditioning variables"):
        kcm.stack_equations(moment, other)


def test_an_effect_of_a_city_is_found(data):
    moved = data.assign(y=data.y + data.city.map({"Rome": 1.0, "Oslo": -1.0, "Bern": 0.0}))
    with_city = smf.ols("y ~ x + C(city)", moved).fit()
    assert kcm.specification_test(smf.ols("y ~ x", moved).fit(), ["x", "city"]).pvalue < 0.01
    assert kcm.specification_test(with_city).pvalue > 0.05


@pytest.mark.parametrize("order", [["Rome", "Oslo", "Bern"], ["Oslo", "Rome", "unseen", "Bern"]])
def test_names_and_order_of_levels_do_not_matter(order, data, rng):
    fit = smf.ols("y ~ x", data).fit()
    first = kcm.specification_test(fit, data[["x", "city"]])
    recoded = data[["x"]].assign(city=pd.Categorical(data.city, categories=order))
    second = kcm.specification_test(fit, recoded.iloc[rng.permutation(N)])
    np.testing.assert_allclose(second.pvalue, first.pvalue, rtol=1e-9)


def test_unused_levels_have_no_code():
    grade = pd.Categorical(["low", "high"] * 3, categories=GRADES, ordered=True)
    np.testing.assert_array_equal(encode_frame({"grade": grade}).values[:2, 0], [0, 1])


@pytest.mark.parametrize("absent", [None, np.nan, pd.NA])
def test_missing_entries_stay_missing(absent):
    values = encode_frame({"city": np.array(["a", absent, "b", "a"], dtype=object)}).values
    np.testing.assert_array_equal(values[:, 0], [0, np.nan, 1, 0])


def test_missing_entries_follow_the_rule_of_other_columns(data, mixed):
    fit = smf.ols("y ~ x", data).fit()
    mixed = mixed.assign(city=mixed.city.where(mixed.index > 2))
    with pytest.raises(DataError, match="'city' is missing in 3 of the 200 rows used by the fit"):
        kcm.specification_test(fit, mixed)
    with pytest.raises(DataError, match="`conditioning` holds 3 missing values"):
        kcm.FittedMoment(data.y, mixed)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["Rome"] * 6, "column 'city' of `conditioning` must vary, but has the one level 'Rome'"),
        (list("abcdef"), "has 6 levels in 6 rows: too few rows share a level.*or join levels"),
        (list("aabbcd"), "has 4 levels in 6 rows"),
        (pd.date_range("2020", periods=6), "holds dates; convert them to numbers"),
        ([[1]] * 6, "holds list objects"),
    ],
)
def test_columns_that_cannot_be_compared_are_refused(column, message):
    with pytest.raises(DataError, match=message):
        encode_frame(pd.DataFrame({"city": column}))


def test_many_ordered_levels_are_taken():
    ordered = pd.Categorical(list("abcdef"), ordered=True)
    np.testing.assert_array_equal(encode_frame({"grade": ordered}).values[:, 0], np.arange(6))


def test_what_is_no_table_is_refused():
    with pytest.raises(DataError, match="`frame` must be a pandas, Polars or Arrow table"):
        for_frame([[1.0, 2.0]])


class TestKernelsOfOnesOwn:
    @pytest.mark.parametrize(
        "kernel",
        [
            Subspace(Gaussian(), 0) * Subspace(AitchisonAitken(), 1),
            Subspace(Gaussian(), 0) + Subspace(Kronecker(), 1),
            Subspace(Gaussian(), 0),
            Subspace(Energy(), 0),
        ],
    )
    def test_that_read_names_are_taken(self, kernel, data):
        fit = smf.ols("y ~ x", data).fit()
        result = kcm.specification_test(fit, data[["x", "city"]], kernel=kernel)
        assert result.conditioning_names == ("x", "city")

    @pytest.mark.parametrize(
        "kernel", [Gaussian(), Energy(), Subspace(Gaussian(), 0) * Subspace(WangVanRyzin(), 1)]
    )
    def test_that_read_numbers_are_refused(self, kernel, data):
        message = "takes the codes of city for numbers.*kcm.kernels.for_frame"
        with pytest.raises(OptionError, match=message):
            kcm.specification_test(smf.ols("y ~ x", data).fit(), data[["x", "city"]], kernel=kernel)

    def test_two_levels_are_a_number(self, data):
        fit = smf.ols("y ~ x", data).fit()
        found = kcm.specification_test(fit, data[["x", "member"]], kernel=Gaussian(1.0))
        numbers = data[["x", "member"]].astype(float)
        expected = kcm.specification_test(fit, numbers, kernel=Gaussian(1.0))
        assert found.pvalue == expected.pvalue


def test_the_command_takes_text(data, tmp_path, capsys):
    file = tmp_path / "data.csv"
    data.drop(columns="grade").to_csv(file, index=False)
    assert cli.main(["test", "y ~ x + C(city)", "--data", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = kcm.specification_test(smf.ols("y ~ x + C(city)", data).fit())
    np.testing.assert_allclose(found["pvalue"], expected.pvalue, rtol=1e-6)


def test_the_frame_is_left_alone(data, mixed):
    before = mixed.copy(deep=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kcm.specification_test(smf.ols("y ~ x", data).fit(), mixed)
    pd.testing.assert_frame_equal(mixed, before)


def test_low_rank_on_mixed_columns(data, mixed):
    fit = smf.ols("y ~ x", data).fit()
    kernel = for_frame(mixed)
    exact = kcm.specification_test(fit, mixed, kernel)
    low_rank = kcm.specification_test(fit, mixed, kernel, method="low-rank", tolerance=1e-3)
    low, high = low_rank.certificate.pvalue_interval
    assert low <= exact.pvalue <= high


def test_product_of_the_matrices(mixed):
    codes, kernel = by_hand(mixed)
    parts = (Gaussian(), [0, 1]), (AitchisonAitken(), [2, 3]), (WangVanRyzin(), [4])
    product = np.prod([gram.matrix(k, codes[:, columns]) for k, columns in parts], axis=0)
    np.testing.assert_allclose(gram.matrix(kernel, codes), product, rtol=1e-12)


@pytest.mark.parametrize("method", ["exact", "low-rank"])
def test_a_rare_level_that_some_rows_never_show(method, rng):
    x, psi = rng.normal(size=(2, 3_000))
    member, city = np.zeros(3_000, bool), rng.choice(list("abc"), 3_000)
    member[7:12] = True
    moment = kcm.FittedMoment(psi, pd.DataFrame({"x": x, "member": member, "city": city}))
    test = kcm.KCMTest(method=method, tolerance=0.1 if method == "low-rank" else None)
    assert 0.001 < test.run(moment).pvalue < 1


@pytest.mark.slow
def test_size_on_mixed_columns():
    rng = np.random.default_rng(20200802)
    pvalues = []
    for _ in range(300):
        x, e = rng.normal(size=(2, 100))
        city, grade = rng.choice(list("abc"), 100), rng.integers(0, 4, 100)
        member = rng.uniform(size=100) < 0.5
        y = 1 + x + (city == "a") + 0.3 * grade + e * (0.5 + 0.5 * (city == "b"))
        table = pd.DataFrame({"y": y, "x": x, "city": city, "number": grade, "member": member})
        table["grade"] = pd.Categorical(grade, ordered=True)
        fit = smf.ols("y ~ x + C(city) + number", table).fit()
        result = kcm.specification_test(fit, ["x", "city", "grade", "member"])
        pvalues.append(result.pvalue)
    assert 0.02 < np.mean(np.array(pvalues) < 0.05) < 0.085
