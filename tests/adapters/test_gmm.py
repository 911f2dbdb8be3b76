"""GMM of statsmodels.

Referees: the robust covariances of statsmodels and linearmodels, a dense sandwich in NumPy, fits
with one observation left out, and for what is refused the sentence that the user reads.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from linearmodels.iv import IV2SLS, IVGMM
from statsmodels.sandbox.regression import gmm

import kcm
from kcm.adapters import align_to_fit, fit_column, fitted_moment

# statsmodels 0.15 takes means of data frames in a way that pandas 4 will not allow
pytestmark = pytest.mark.filterwarnings("ignore:Starting with pandas version 4.0")

ROBUST = {"has_optimal_weights": False, "weights_method": "cov", "wargs": {"centered": False}}
NAMES = ["z1", "z2", "z3"]


def frame(n: int = 250) -> pd.DataFrame:
    rng = np.random.default_rng(11)
    z, h, v, w = rng.normal(size=(n, 3)), *rng.normal(size=(3, n))
    data = pd.DataFrame(z, columns=NAMES)
    data["one"] = 1.0
    data["x"] = np.tanh(z.sum(axis=1)) + 0.4 * h + 0.3 * v
    data["y"] = 1 + data.x + (0.8 * h + 0.6 * w) * np.sqrt(0.5 + 0.5 * z[:, 0] ** 2)
    data["growth"] = np.exp(0.2 + 0.5 * data.x) + 0.3 * h + 0.3 * w
    data["ratio"] = np.exp(0.2 + 0.5 * data.x + 0.3 * h + 0.3 * w)
    return data


DATA = frame()
Y, RATIO, GROWTH = (DATA[name].to_numpy() for name in ("y", "ratio", "growth"))
X, Z = DATA[["one", "x"]].to_numpy(), DATA[["one", *NAMES]].to_numpy()


class Linear(gmm.GMM):
    """The linear model as a user writes it: no `get_error`, another order of operations."""

    def momcond(self, params):
        z = np.asarray(self.instrument)
        return z * self.endog[:, None] - z * (self.exog @ params)[:, None]


class Ratio(gmm.GMM):
    def momcond(self, params):
        return self.instrument * (self.endog / np.exp(self.exog @ params) - 1)[:, None]


class RatioError(gmm.IVGMM):
    def get_error(self, params):
        return self.endog / np.exp(self.exog @ params) - 1


def fitted(model: Any, start: Any = (0.0, 0.1), maxiter: Any = 2, **options: Any) -> Any:
    optim_args = {"disp": 0} | options.pop("optim_args", {})
    return model.fit(np.array(start), maxiter=maxiter, optim_args=optim_args, **options)


def exponential(b: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.exp(x @ b)


def iv(**options: Any) -> Any:
    return fitted(gmm.IVGMM(Y, X, Z), **options)


POSITIVE = np.diag([1.0, 2, 3, 4]) + 0.5

LINEAR: dict[str, Callable[[], Any]] = {
    "LinearIVGMM": lambda: gmm.LinearIVGMM(Y, X, Z).fit(maxiter=2),
    "LinearIVGMM iterated": lambda: gmm.LinearIVGMM(Y, X, Z).fit(maxiter=20),
    "IVGMM": iv,
    "IVGMM start weights": lambda: iv(maxiter=0),
    "IVGMM one step": lambda: iv(maxiter=1),
    "IVGMM iterated": lambda: iv(maxiter=10),
    "IVGMM continuously updated": lambda: iv(maxiter="cue"),
    "IVGMM continuously updated by simplex": lambda: iv(maxiter="cue", optim_method="nm"),
    "IVGMM inv_weights": lambda: iv(maxiter=0, inv_weights=POSITIVE),
    "IVGMM not centred": lambda: iv(wargs={"centered": False, "ddof": "k_params"}),
    "IVGMM iid": lambda: iv(weights_method="iid"),
    "IVGMM hac": lambda: iv(weights_method="hac", wargs={"maxlag": 2}),
    "IVGMM by simplex": lambda: iv(optim_method="nm"),
    "IVGMM by SLSQP": lambda: iv(optim_method="slsqp"),
    "IVGMM by Powell": lambda: iv(optim_method="powell"),
    "subclass of GMM": lambda: fitted(Linear(Y, X, Z)),
}
NONLINEAR: dict[str, Callable[[], Any]] = {
    "NonlinearIVGMM": lambda: fitted(gmm.NonlinearIVGMM(GROWTH, X, Z, exponential)),
    "NonlinearIVGMM continuously updated": lambda: fitted(
        gmm.NonlinearIVGMM(GROWTH, X, Z, exponential), maxiter="cue"
    ),
    "subclass of GMM": lambda: fitted(Ratio(RATIO, X, Z)),
    "subclass of IVGMM": lambda: fitted(RatioError(RATIO, X, Z)),
}
FITS = LINEAR | {f"nonlinear {name}": fit for name, fit in NONLINEAR.items()}


def covariance(moment: kcm.FittedMoment) -> np.ndarray:
    """(1/n^2) sum of l l' with scale 1."""
    influence = moment.influence[:, 0]
    return influence.T @ influence / moment.n_obs**2


def assert_same_covariance(moment: kcm.FittedMoment, expected: Any, tolerance: float = 1e-8):
    size = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(covariance(moment) / size, expected / size, atol=tolerance)


def sandwich(residuals: Any, slopes: Any, instruments: Any, weights: Any) -> np.ndarray:
    """Covariance of a GMM estimate (Hall 2005, theorem 3.2), one row after the other."""
    n = len(slopes)
    d = sum(np.outer(z, s) for z, s in zip(instruments, slopes, strict=True)) / n
    omega = sum(r**2 * np.outer(z, z) for z, r in zip(instruments, residuals, strict=True)) / n
    bread = np.linalg.solve(d.T @ weights @ d, d.T @ weights)
    return bread @ omega @ bread.T / n


class TestCovariance:
    @pytest.mark.parametrize("name", LINEAR)
    def test_influence_gives_robust_covariance_of_statsmodels(self, name: str):
        fit = LINEAR[name]()
        assert_same_covariance(fitted_moment(fit), fit._cov_params(**ROBUST))

    @pytest.mark.parametrize("name", NONLINEAR)
    def test_nonlinear_up_to_the_numerical_derivative_of_statsmodels(self, name: str):
        """Its steps are 1e-4, so its derivative is right to about 1e-8."""
        fit = NONLINEAR[name]()
        assert_same_covariance(fitted_moment(fit), fit._cov_params(**ROBUST), 1e-7)

    @pytest.mark.parametrize("name", ["NonlinearIVGMM", "NonlinearIVGMM continuously updated"])
    def test_additive_error_agrees_with_the_analytic_sandwich(self, name: str):
        fit = NONLINEAR[name]()
        mean = np.exp(X @ fit.params)
        expected = sandwich(GROWTH - mean, -mean[:, None] * X, Z, fit.weights)
        assert_same_covariance(fitted_moment(fit), expected)

    @pytest.mark.parametrize("name", ["subclass of GMM", "subclass of IVGMM"])
    def test_multiplicative_error_agrees_with_the_analytic_sandwich(self, name: str):
        fit = NONLINEAR[name]()
        ratio = RATIO / np.exp(X @ fit.params)
        expected = sandwich(ratio - 1, -ratio[:, None] * X, Z, fit.weights)
        assert_same_covariance(fitted_moment(fit), expected)

    @pytest.mark.parametrize("model", [gmm.LinearIVGMM, gmm.IVGMM, Linear])
    def test_just_identified_agrees_with_linearmodels(self, model: type):
        tight = {"optim_args": {"gtol": 1e-10, "xrtol": 1e-15}}
        fit = fitted(model(Y, X, Z[:, :2]), **tight)
        expected = IV2SLS(Y, X[:, :1], X[:, 1:], Z[:, 1:2]).fit(cov_type="robust")
        assert_same_covariance(fitted_moment(fit), expected.cov.to_numpy())

    def test_two_steps_agree_with_linearmodels(self):
        fit = gmm.LinearIVGMM(Y, X, Z).fit(maxiter=2, wargs={"centered": False})
        expected = IVGMM(Y, X[:, :1], X[:, 1:], Z[:, 1:]).fit(iter_limit=2)
        moments = fitted_moment(fit), fitted_moment(expected)
        for part in ("residuals", "jacobian", "influence", "scale"):
            np.testing.assert_allclose(*(getattr(m, part) for m in moments), atol=1e-9)

    def test_options_of_the_covariance_do_not_matter(self):
        plain, optimal = (
            fitted_moment(iv(has_optimal_weights=choice)).influence for choice in (False, True)
        )
        np.testing.assert_array_equal(plain, optimal)


class TestResidual:
    @pytest.mark.parametrize("name", LINEAR)
    def test_linear(self, name: str):
        fit = LINEAR[name]()
        moment = fitted_moment(fit)
        np.testing.assert_allclose(moment.residuals[:, 0], Y - X @ fit.params, atol=1e-12)
        np.testing.assert_array_equal(moment.jacobian[:, 0], -X)
        assert moment.labels.moment == "y - x'b"

    def test_nonlinear(self):
        fit = NONLINEAR["NonlinearIVGMM"]()
        moment, mean = fitted_moment(fit), np.exp(X @ fit.params)
        np.testing.assert_allclose(moment.residuals[:, 0], GROWTH - mean, atol=1e-12)
        np.testing.assert_allclose(moment.jacobian[:, 0], -mean[:, None] * X, atol=1e-9)
        assert moment.labels.moment == "y - f(x, b)"

    @pytest.mark.parametrize("name", ["subclass of GMM", "subclass of IVGMM"])
    def test_own_subclass(self, name: str):
        fit = NONLINEAR[name]()
        moment, ratio = fitted_moment(fit), RATIO / np.exp(X @ fit.params)
        np.testing.assert_allclose(moment.residuals[:, 0], ratio - 1, atol=1e-12)
        np.testing.assert_allclose(moment.jacobian[:, 0], -ratio[:, None] * X, atol=1e-9)
        assert moment.labels.moment == f"residual of {type(fit.model).__name__}"
        assert moment.labels.theta == f"estimated: {type(fit.model).__name__}"

    @pytest.mark.parametrize("name", FITS)
    def test_influence_has_mean_zero(self, name: str):
        """In standard errors; continuously updated fits solve another equation up to O(1/n)."""
        moment = fitted_moment(FITS[name]())
        error = np.sqrt(np.diag(covariance(moment)))
        tolerance = 0.3 if "continuously" in name else 0.02
        assert np.abs(moment.influence[:, 0].mean(axis=0) / error).max() < tolerance

    def test_units_do_not_matter(self):
        """Regressors in millionths: steps of the derivative and singular values notice."""
        units = np.array([1.0, 1e6])
        tight = {"optim_args": {"gtol": 1e-9}}
        plain = fitted_moment(fitted(Ratio(RATIO, X, Z), **tight))
        fit = fitted(Ratio(RATIO, X, Z), **tight)
        fit.params, fit.model.exog = fit.params / units, X * units
        scaled = fitted_moment(fit)
        np.testing.assert_allclose(scaled.jacobian[:, 0] / units, plain.jacobian[:, 0], rtol=1e-8)
        np.testing.assert_allclose(scaled.influence[:, 0] * units, plain.influence[:, 0], rtol=1e-6)

    def test_rows_without_an_instrument_keep_their_residual_where_the_model_gives_it(self):
        z = Z * (np.arange(len(Z)) % 5 > 0)[:, None]
        fit = gmm.LinearIVGMM(Y, X, z).fit(maxiter=2)
        moment = fitted_moment(fit)
        np.testing.assert_allclose(moment.residuals[:, 0], Y - X @ fit.params, atol=1e-12)
        np.testing.assert_array_equal(moment.influence[::5], 0)

    def test_residual_with_kinks(self):
        """Huber's: differentiable but for the few rows within a step of a kink."""

        class Huber(gmm.IVGMM):
            def get_error(self, params):
                return np.clip(self.endog - self.exog @ params, -1, 1)

        fit = fitted(Huber(Y, X, Z))
        inside = np.abs(Y - X @ fit.params) < 1
        expected = sandwich(fit.resid.clip(-1, 1), -X * inside[:, None], Z, fit.weights)
        assert_same_covariance(fitted_moment(fit), expected, 1e-5)


class TestCollinear:
    def test_regressors_that_the_residual_does_not_tell_apart(self):
        """Referee: the null law does not depend on the coordinates of the regressors."""
        weights = np.linalg.inv(Z.T @ Z)
        plain = gmm.LinearIVGMM(Y, X, Z).fit(maxiter=0)
        params = [*plain.params, 0.0]
        model = gmm.LinearIVGMM(Y, np.column_stack([X, 3.3 * X[:, 1] + 0.7]), Z)
        fits = plain, fabricated(model, params, weights)
        results = [kcm.specification_test(fit) for fit in fits]
        assert results[1].statistic == pytest.approx(results[0].statistic, rel=1e-9)
        assert results[1].pvalue == pytest.approx(results[0].pvalue, rel=1e-6)


LARGE = frame(1_000)


def rows_of(model: type, outcome: str, **options: Any) -> Callable[[np.ndarray], Any]:
    """Fit on the rows asked for, to more digits than statsmodels takes by default."""

    def fit(rows: np.ndarray) -> Any:
        data = LARGE.iloc[rows]
        y, x, z = data[outcome], data[["one", "x"]], data[["one", *NAMES]]
        made = model(*(part.to_numpy() for part in (y, x, z)))
        return fitted(made, optim_args={"gtol": 1e-8}, **options)

    return fit


class TestLeaveOneOut:
    @pytest.mark.parametrize(
        "fit",
        [
            pytest.param(rows_of(gmm.IVGMM, "y"), id="IVGMM"),
            pytest.param(rows_of(gmm.IVGMM, "y", maxiter="cue"), id="CUE"),
            pytest.param(rows_of(Ratio, "ratio"), id="subclass"),
        ],
    )
    def test_change_is_predicted(self, fit: Callable[[np.ndarray], Any]):
        everyone, left_out = np.arange(len(LARGE)), range(5, 1_000, 50)
        full = fit(everyone)
        change = np.array([full.params - fit(np.delete(everyone, i)).params for i in left_out])
        predicted = fitted_moment(full).influence[left_out, 0] / len(LARGE)
        assert np.linalg.norm(change - predicted) < 0.1 * np.linalg.norm(change)


class TestRows:
    @pytest.fixture
    def labelled(self) -> Any:
        data = DATA.set_axis([f"r{i}" for i in range(len(DATA))], axis=0)
        return fitted(gmm.IVGMM(data.y, data[["one", "x"]], data[["one", *NAMES]]))

    def test_instruments_that_vary_are_the_default(self, labelled: Any):
        moment = fitted_moment(labelled)
        assert moment.labels.conditioning == ("z1", "z2", "z3")
        np.testing.assert_array_equal(moment.conditioning, DATA[NAMES])

    def test_arrays_are_named_by_position(self):
        assert fitted_moment(iv()).labels.conditioning == ("z2", "z3", "z4")

    def test_names_that_repeat_are_numbered(self):
        z = DATA[["one", *NAMES]].set_axis(["one", "z", "z", "z"], axis=1)
        fit = fitted(gmm.IVGMM(DATA.y, DATA[["one", "x"]], z))
        assert fitted_moment(fit).labels.conditioning == ("z", "z (2)", "z (3)")

    def test_columns_by_name(self, labelled: Any):
        moment = fitted_moment(labelled, ["x", "z2"])
        np.testing.assert_array_equal(moment.conditioning, DATA[["x", "z2"]])
        np.testing.assert_array_equal(fit_column(labelled, "x"), DATA.x)

    def test_values_are_aligned_by_label(self, labelled: Any):
        index = [f"r{i}" for i in range(len(DATA))]
        values = pd.Series(np.arange(len(DATA)), index=index)[::-1]
        np.testing.assert_array_equal(align_to_fit(labelled, values, "groups"), range(len(DATA)))

    def test_labels_of_the_instruments_alone(self):
        z = pd.DataFrame(Z, index=[f"r{i}" for i in range(len(Z))])
        values = pd.Series(np.arange(len(Z)), index=z.index)[::-1]
        fit = fitted(gmm.IVGMM(Y, X, z))
        np.testing.assert_array_equal(align_to_fit(fit, values, "groups"), range(len(Z)))

    def test_labels_that_differ(self):
        z = DATA[["one", *NAMES]].iloc[::-1]
        fit = fitted(gmm.IVGMM(DATA.y, DATA[["one", "x"]], z))
        with pytest.raises(kcm.DataError, match=r"`instrument` carry other labels.*same index"):
            fitted_moment(fit)

    def test_formula(self):
        model = gmm.LinearIVGMM.from_formula("y ~ x", DATA, instrument=DATA[["one", *NAMES]])
        fit = model.fit(maxiter=2)
        moment = fitted_moment(fit)
        np.testing.assert_array_equal(moment.conditioning, DATA[NAMES])
        assert_same_covariance(moment, fit._cov_params(**ROBUST))

    def test_only_a_constant_instrument(self):
        fit = gmm.LinearIVGMM(Y, X[:, :1], X[:, :1]).fit(maxiter=1)
        with pytest.raises(kcm.DataError, match=r"`conditioning` is needed"):
            fitted_moment(fit)
        assert fitted_moment(fit, Z[:, 1]).n_obs == len(Y)


class TwoResiduals(gmm.GMM):
    def momcond(self, params):
        errors = [self.endog - self.exog @ params, self.exog[:, 1] - params[1]]
        return np.column_stack([self.instrument * e[:, None] for e in errors])


class Hidden(gmm.GMM):
    """Two residuals that share the columns of the instruments."""

    def momcond(self, params):
        first = self.endog - self.exog @ params
        second = np.exp(first / 10) - 1
        return self.instrument * np.column_stack([first, first, second, second])


class Lagged(gmm.GMM):
    def momcond(self, params):
        return self.instrument[:-1] * (self.endog - self.exog @ params)[1:, None]


class Quantile(gmm.IVGMM):
    def get_error(self, params):
        return 1.0 * (self.endog <= self.exog @ params) - 0.5


class Trimmed(gmm.IVGMM):
    """Its mean has a derivative at the jumps that no row shows."""

    def get_error(self, params):
        error = self.endog - self.exog @ params
        return error * (np.abs(error) < 1)


class Unused(gmm.GMM):
    def momcond(self, params):
        return self.instrument * (self.endog - params[0] - np.exp(self.exog[:, 1]))[:, None]


class Unlabelled(gmm.GMM):
    def momcond(self, params):
        return self.exog * (self.endog - self.exog @ params)[:, None]


class OneMoment(gmm.GMM):
    """One instrument, which the moments do not use."""

    def momcond(self, params):
        return (Z[:, 2] * (self.endog - params[0] - self.exog[:, 0]))[:, None]


def single() -> Any:
    model = OneMoment(Y, X[:, 1:], Z[:, 1:2], k_moms=1, k_params=1)
    return fabricated(model, [0.1], [[1.0]])


def fabricated(model: Any, params: Any, weights: Any) -> Any:
    """A result as statsmodels stores it, where its own fit stops for lack of a second parameter."""
    fit = object.__new__(gmm.GMMResults)
    fit.__dict__.update(model=model, params=np.array(params), weights=np.array(weights))
    return fit


class TestUnsupported:
    @pytest.mark.parametrize(
        ("fit", "told"),
        [
            pytest.param(
                lambda: fitted(TwoResiduals(Y, X, Z, k_moms=8)),
                r"TwoResiduals\) is not supported: `momcond` returns.*\(250, 8\).*\(250, 4\)",
                id="two residuals",
            ),
            pytest.param(
                lambda: fitted(Hidden(Y, X, Z)), r"Hidden\).*one and the same residual", id="hidden"
            ),
            pytest.param(
                lambda: fitted(Lagged(Y, X, Z)), r"Lagged\).*\(249, 4\).*\(250, 4\)", id="lags"
            ),
            pytest.param(
                lambda: fitted(Unlabelled(Y, X, None, k_moms=2, k_params=2)),
                r"Unlabelled\).*without `instrument`",
                id="no instrument",
            ),
            pytest.param(
                lambda: fitted(Linear(Y, X, Z * (Z[:, 1:2] > -1))),
                r"Linear\).*zero in \d+ of its 250 rows.*get_error",
                id="zero rows",
            ),
            pytest.param(single, r"OneMoment\).*one instrument a row", id="one instrument"),
            pytest.param(
                lambda: fabricated(Quantile(Y, X, Z), [1.0, 1.0], np.eye(4)),
                r"Quantile\).*no derivative.*indicator of a quantile",
                id="quantile",
            ),
            pytest.param(
                lambda: fabricated(Trimmed(Y, X, Z), [1.0, 1.0], np.eye(4)),
                r"Trimmed\).*no derivative.*trimming",
                id="trimmed",
            ),
            pytest.param(
                lambda: fabricated(Unused(Y, X, Z), [1.0, 1.0], np.eye(4)),
                r"Unused\).*does not depend on all parameters",
                id="unused parameter",
            ),
        ],
    )
    def test_moments_of_another_form(self, fit: Callable[[], Any], told: str):
        with pytest.raises(kcm.UnsupportedModelError, match=told + r".*kcm\.FittedMoment.*hand"):
            fitted_moment(fit())


class Rescaled(gmm.LinearIVGMM):
    """The closed form of the linear estimate does not know of this residual."""

    def predict(self, params, exog=None):
        return np.exp(self.exog @ params)


class Doubled(gmm.LinearIVGMM):
    """Moments that are not instrument times `get_error`."""

    def momcond(self, params):
        return self.instrument * (2 * (self.endog - self.exog @ params) - 1)[:, None]


class Reweighted(gmm.IVGMM):
    """Moments with a residual of their own: what was minimised."""

    def momcond(self, params):
        return self.instrument * (2 * self.get_error(params))[:, None]


class TestOverridden:
    @pytest.mark.parametrize("model", [Rescaled, Doubled])
    def test_moments_that_were_not_solved(self, model: type):
        with pytest.raises(kcm.DataError, match=r"did not converge.*In a subclass, check"):
            fitted_moment(model(Y, X, Z).fit(maxiter=2))

    def test_residual_is_that_of_the_moments(self):
        fit = fitted(Reweighted(Y, X, Z))
        moment = fitted_moment(fit)
        np.testing.assert_allclose(moment.residuals[:, 0], 2 * (Y - X @ fit.params), atol=1e-12)
        assert_same_covariance(moment, fit._cov_params(**ROBUST))

    def test_score_of_another_model(self):
        class Flat(gmm.IVGMM):
            def score(self, params, weights, **options):
                return np.zeros(2)

        with pytest.raises(kcm.DataError, match=r"did not converge.*`score`"):
            fitted_moment(fitted(Flat(Y, X, Z)))


class TestUnusable:
    @pytest.mark.parametrize("model", [gmm.IVGMM, Linear])
    def test_optimiser_that_stopped_early(self, model: type):
        fit = fitted(model(Y, X, Z), maxiter=1, optim_args={"maxiter": 1})
        with pytest.raises(
            kcm.DataError, match=r"did not converge.*standard errors from where.*`start_params`"
        ):
            fitted_moment(fit)

    def test_units_that_stop_the_optimiser(self):
        fit = fitted(gmm.IVGMM(1e-6 * Y, X, Z), start=(0.0, 0.0), maxiter=0)
        with pytest.raises(kcm.DataError, match=r"absolute changes, whatever the units"):
            fitted_moment(fit)

    def test_data_removed(self):
        fit = iv()
        assert fit.resid.shape == Y.shape  # remove_data fails on a fit that never cached anything
        fit.remove_data()
        with pytest.raises(kcm.DataError, match=r"no data any more \(`remove_data\(\)`"):
            fitted_moment(fit)

    @pytest.mark.parametrize("params", [[np.nan, 1.0], [np.inf, 1.0]])
    def test_parameters_that_are_missing(self, params: list[float]):
        fit = iv()
        fit.params = np.array(params)
        with pytest.raises(kcm.DataError, match=r"missing or infinite.*drop the rows"):
            fitted_moment(fit)

    def test_moments_that_are_missing(self):
        fit = iv()
        fit.model.instrument = np.where(np.arange(len(Z))[:, None] == 3, np.nan, Z)
        with pytest.raises(kcm.DataError, match=r"missing or infinite.*drop the rows"):
            fitted_moment(fit)

    @pytest.mark.parametrize(
        ("model", "outcome", "params"),
        [
            (gmm.LinearIVGMM, X @ [1.0, 2.0], [1.0, 2.0]),
            (gmm.LinearIVGMM, 0 * Y, [0.0, 0.0]),
            (Ratio, np.exp(X @ [1.0, 2.0]), [1.0, 2.0]),
        ],
    )
    def test_exact_fit(self, model: type, outcome: np.ndarray, params: list[float]):
        fit = fabricated(model(outcome, X, Z), params, np.eye(4))
        with pytest.raises(kcm.DataError, match=r"fits exactly: .* nothing to test"):
            fitted_moment(fit)

    @pytest.mark.parametrize(
        ("weights", "z"),
        [
            pytest.param(np.eye(4), Z[:, [0, 1, 1, 1]], id="repeated instrument"),
            pytest.param(np.diag([1.0, 0, 0, 0]), Z, id="weights of rank one"),
            pytest.param(np.diag([1.0, -1, -1, -1]), Z, id="negative weights"),
        ],
    )
    def test_not_identified(self, weights: np.ndarray, z: np.ndarray):
        x = np.column_stack([X, DATA.z3**2])
        fit = fabricated(gmm.LinearIVGMM(Y, x, z), [1.0, 1.0, 0.0], weights)
        with pytest.raises(kcm.DataError, match=r"do not identify the parameters.*instruments"):
            fitted_moment(fit)


class TestNothingChanges:
    @pytest.mark.parametrize("name", ["IVGMM", "nonlinear subclass of GMM"])
    def test_model_and_result_stay_as_they_were(self, name: str):
        fit = FITS[name]()
        before = fit.params.copy(), np.array(fit.weights), np.array(fit.model.instrument)
        fitted_moment(fit)
        after = fit.params, fit.weights, fit.model.instrument
        for old, new in zip(before, after, strict=True):
            np.testing.assert_array_equal(old, new)
