"""Options and random states at the boundary: what is read, what is refused and how."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import statsmodels.api as sm

import kcm
from kcm._options import as_generator, check_int, check_option, did_you_mean, listed
from kcm.exceptions import OptionError


class TestOption:
    def test_allowed(self):
        assert check_option("V", ("U", "V"), "statistic") == "V"

    @pytest.mark.parametrize("value", ["W", "", None, 1, np.zeros(2), ["U"]])
    def test_refused(self, value):
        with pytest.raises(OptionError, match=r"`statistic` must be one of 'U', 'V'; got "):
            check_option(value, ("U", "V"), "statistic")


class TestInt:
    def test_allowed(self):
        check_int(1, "degree")
        check_int(0, "degree", least=0)

    @pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", None, np.ones(2)])
    def test_refused(self, value):
        with pytest.raises(OptionError, match=r"`degree` must be an int of at least 1; got "):
            check_int(value, "degree")


class TestWords:
    @pytest.mark.parametrize(
        ("name", "end"),
        [("aeg", "; did you mean 'age'?"), ("AGE", "; did you mean 'age'?"), ("zzz", ".")],
    )
    def test_did_you_mean(self, name, end):
        assert did_you_mean(name, ["age", "weight"]) == end

    @pytest.mark.parametrize(
        ("n_names", "text"), [(1, "a"), (2, "a, b"), (3, "a, b and 1 more"), (0, "")]
    )
    def test_listed(self, n_names, text):
        assert listed("abc"[:n_names], at_most=2) == text


def draw(rng):
    return as_generator(rng).standard_normal(4)


class TestGenerator:
    @pytest.mark.parametrize("seed", [0, 7, np.int64(7), np.uint8(3), 2**70])
    def test_integer_is_the_seed_of_numpy(self, seed):
        expected = np.random.default_rng(int(seed)).standard_normal(4)
        np.testing.assert_array_equal(draw(seed), expected)

    def test_seed_sequence(self):
        expected = np.random.default_rng(np.random.SeedSequence([1, 2])).standard_normal(4)
        np.testing.assert_array_equal(draw(np.random.SeedSequence([1, 2])), expected)

    def test_generator_is_returned_itself(self, rng):
        assert as_generator(rng) is rng

    def test_none_draws_fresh_entropy(self):
        assert not np.array_equal(draw(None), draw(None))

    def test_equal_keys_agree_whether_typed_or_raw(self):
        np.testing.assert_array_equal(draw(jax.random.key(5)), draw(jax.random.key(5)))
        np.testing.assert_array_equal(draw(jax.random.key(5)), draw(jax.random.PRNGKey(5)))

    def test_different_keys_differ(self):
        keys = [jax.random.key(5), jax.random.key(6), *jax.random.split(jax.random.key(5))]
        assert len({draw(key).tobytes() for key in keys}) == len(keys)

    def test_key_of_four_words(self):
        key = jax.random.key(5, impl="rbg")
        expected = np.random.default_rng(
            np.random.SeedSequence(np.asarray(jax.random.key_data(key)).tolist())
        )
        np.testing.assert_array_equal(draw(key), expected.standard_normal(4))

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (-1, r"^`rng` must be None, a non-negative integer, .* or a JAX key; got -1\. Pass"),
            (True, "got bool"),
            (1.0, "got float"),
            ("seed", "got str"),
            ([1, 2], "got list"),
            (np.random.RandomState(0), "got RandomState"),
            (np.zeros(2, dtype=np.uint32), "got ndarray"),
            (jnp.zeros(2), r"must be one JAX key .*; got dtype float32 and shape \(2,\)"),
            (jnp.zeros((3, 2), dtype=jnp.uint32), r"got dtype uint32 and shape \(3, 2\)"),
            (jax.random.split(jax.random.key(0)), r"got dtype uint32 and shape \(2, 2\)"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_refusals(self, value, message):
        with pytest.raises(OptionError, match=message):
            as_generator(value)


@pytest.mark.parametrize(
    "call",
    [
        lambda n: kcm.MMR.from_formula("y ~ x", {"x": [1, 2, 4.0], "y": [1, 3, 2.0]}).fit(
            n_starts=n
        ),
        lambda n: kcm.kernels.SmoothICM(n_directions=n),
        lambda n: kcm.MultiplierBootstrap(n),
        lambda n: kcm.specification_test(
            sm.OLS(np.array([1.0, 3, 2, 5]), sm.add_constant(np.arange(4.0))).fit()
        ).size_check(n_replications=n),
    ],
    ids=["starts", "directions", "resamples", "size_check"],
)
def test_counts_that_would_never_end_are_refused(call):
    with pytest.raises(OptionError, match="at most"):
        call(2**70)
