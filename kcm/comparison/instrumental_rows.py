"""Tests of over-identifying restrictions, by linearmodels and statsmodels."""

from types import MappingProxyType
from typing import Any

import numpy as np

from kcm._optional import optional_module
from kcm.comparison.entry import Entry, Finding, Subject, not_applicable
from kcm.exceptions import DataError

__all__ = ["INSTRUMENTAL_TESTS"]

_TWO_STAGE = ("linearmodels IV2SLS", "linearmodels IVLIML", "statsmodels IV2SLS")
_GMM_OF_LINEARMODELS = ("linearmodels IVGMM", "linearmodels IVGMMCUE")
_GMM_OF_STATSMODELS = (
    "statsmodels GMM",
    "statsmodels IVGMM",
    "statsmodels LinearIVGMM",
    "statsmodels NonlinearIVGMM",
)
_GMM = _GMM_OF_LINEARMODELS + _GMM_OF_STATSMODELS
_FOR_INSTRUMENTS = "This test is for two-stage least squares or GMM with instruments"
# The weights times the covariance of the moments have eigenvalues 1 where they are efficient.
_EFFICIENT = (0.5, 2.0)


def _hansen(subject: Subject) -> Finding:
    if subject.name in _TWO_STAGE:
        raise not_applicable(
            "Hansen's J needs the weights of an efficient GMM fit (Wooldridge's test allows for "
            "heteroskedasticity without them)",
            subject,
        )
    if subject.name not in _GMM:
        raise not_applicable(_FOR_INSTRUMENTS, subject)
    of_linearmodels = subject.name in _GMM_OF_LINEARMODELS
    return _j_of_linearmodels(subject.fit) if of_linearmodels else _j_of_statsmodels(subject.fit)


def _j_of_linearmodels(fit: Any) -> Finding:
    model = fit.model
    _check_overidentified(model.instruments.shape[1] - model.endog.shape[1])
    if fit.iterations == 1 and fit.model.__class__.__name__ == "IVGMM":
        raise _one_step()
    found = _of_wald(fit.j_stat)
    return found._replace(distribution=found.distribution + _assumed(fit.weight_type))


def _j_of_statsmodels(fit: Any) -> Finding:
    df = fit.model.nmoms - len(fit.params)
    _check_overidentified(df)
    _check_efficient(fit)
    statistic, pvalue, _ = fit.jtest()
    return Finding(statistic, pvalue, f"chi2({df}){_assumed(fit.options_other['weights_method'])}")


def _assumed(weights: str) -> str:
    """Tell what the weights take for granted."""
    constant = weights in ("unadjusted", "homoskedastic", "iid")
    return ", weights for constant variance" if constant else ""


def _check_efficient(fit: Any) -> None:
    """Compare the weights of the last step with the covariance of the moments at the estimate."""
    method = fit.options_other["weights_method"]
    moments = fit.model.momcond(fit.params)
    covariance = fit.model.calc_weightmatrix(moments, method, fit.wargs, fit.params)
    ratios = np.linalg.eigvals(np.asarray(fit.weights, float) @ covariance).real
    if not _EFFICIENT[0] <= ratios.min() <= ratios.max() <= _EFFICIENT[1]:
        raise _one_step()


def _one_step() -> DataError:
    return DataError(
        "Hansen's J has a chi-square law only with weights that are the inverse covariance of the "
        "moments, and those of `fit` are not, as after a single step; fit with two steps or more."
    )


def _sargan(subject: Subject) -> Finding:
    return _of_wald(_two_stage(subject).sargan)


def _wooldridge(subject: Subject) -> Finding:
    return _of_wald(_two_stage(subject).wooldridge_overid)


def _two_stage(subject: Subject) -> Any:
    """Return a result of linearmodels with more instruments than endogenous variables."""
    if subject.name in _GMM:
        raise not_applicable(
            "This test is for two-stage least squares, Hansen's J for GMM", subject
        )
    if subject.name not in _TWO_STAGE:
        raise not_applicable(_FOR_INSTRUMENTS, subject)
    fit = subject.fit if subject.name.startswith("linearmodels") else _refitted(subject.fit)
    _check_overidentified(fit.model.instruments.shape[1] - fit.model.endog.shape[1])
    return fit


def _refitted(fit: Any) -> Any:
    """Fit an IV2SLS of statsmodels by linearmodels: the same estimate."""
    iv = optional_module("linearmodels.iv", "linearmodels", "this test of a statsmodels fit")
    exog, instruments = (np.asarray(a, float) for a in (fit.model.exog, fit.model.instrument))
    is_exogenous = _among(exog, instruments)
    excluded = instruments[:, ~_among(instruments, exog)]
    parts = exog[:, is_exogenous], exog[:, ~is_exogenous], excluded
    given = [part if part.shape[1] else None for part in parts]
    return iv.IV2SLS(np.asarray(fit.model.endog, float), *given).fit(cov_type="unadjusted")


def _among(columns: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Tell which columns are among others."""
    return np.array([(column[:, None] == others).all(axis=0).any() for column in columns.T], bool)


def _check_overidentified(surplus: int) -> None:
    if surplus <= 0:
        raise DataError(
            "The model has as many instruments as coefficients: it is exactly identified, and no "
            "restriction is left to test."
        )


def _of_wald(test: Any) -> Finding:
    """Read a test of linearmodels, which gives NaN and a sentence where it has none."""
    if not np.isfinite(test.stat):
        raise DataError(" ".join(str(test).split()))
    return Finding(test.stat, test.pval, f"chi2({test.df})")


_INSTRUMENTS = "{moment} is uncorrelated with every instrument"

INSTRUMENTAL_TESTS: MappingProxyType[str, Entry] = MappingProxyType(
    {
        "Hansen J": Entry(_INSTRUMENTS, "instruments", False, _hansen),
        "Sargan": Entry(f"{_INSTRUMENTS}; the variance is constant", "instruments", False, _sargan),
        "Wooldridge": Entry(_INSTRUMENTS, "instruments", False, _wooldridge),
    }
)
