"""Fits by formula on data frames. Referee: the same fit on NumPy arrays built by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf
from linearmodels.iv import IV2SLS, IVGMM, IVLIML
from statsmodels.sandbox.regression import gmm

import kcm

from .case import Case
from .options import right_options, value_of
from .samples import TERMS, choose, design, sample

__all__ = ["FITS", "fit_case", "instrumental_case"]


@final
@dataclass(frozen=True, slots=True)
class Fit:
    """How a model is fitted by formula, and on an outcome and a design."""

    outcome: str
    by_formula: Callable[[str, pd.DataFrame], Any]
    by_arrays: Callable[[np.ndarray, np.ndarray, pd.DataFrame], Any]


def _glm(family: Callable[[], Any], outcome: str) -> Fit:
    return Fit(
        outcome,
        lambda f, d: smf.glm(f, d, family=family()).fit(),
        lambda y, x, d: sm.GLM(y, x, family=family()).fit(),
    )


def _discrete(name: str, model: Callable[..., Any], outcome: str) -> Fit:
    return Fit(
        outcome,
        lambda f, d: getattr(smf, name)(f, d).fit(disp=0),
        lambda y, x, d: model(y, x).fit(disp=0),
    )


def _precision(data: pd.DataFrame) -> np.ndarray:
    return data.precision.to_numpy()


FAMILIES = sm.families
FITS: dict[str, Fit] = {
    "OLS": Fit("y", lambda f, d: smf.ols(f, d).fit(), lambda y, x, d: sm.OLS(y, x).fit()),
    "OLS HC3": Fit(
        "y", lambda f, d: smf.ols(f, d).fit(cov_type="HC3"), lambda y, x, d: sm.OLS(y, x).fit()
    ),
    "WLS": Fit(
        "y",
        lambda f, d: smf.wls(f, d, weights=_precision(d)).fit(),
        lambda y, x, d: sm.WLS(y, x, weights=_precision(d)).fit(),
    ),
    "GLS": Fit(
        "y",
        lambda f, d: smf.gls(f, d, sigma=1 / _precision(d)).fit(),
        lambda y, x, d: sm.WLS(y, x, weights=_precision(d)).fit(),
    ),
    "GLM Gaussian": _glm(FAMILIES.Gaussian, "y"),
    "GLM Poisson": _glm(FAMILIES.Poisson, "count"),
    "GLM Binomial": _glm(FAMILIES.Binomial, "b"),
    "GLM probit": _glm(lambda: FAMILIES.Binomial(FAMILIES.links.Probit()), "b"),
    "GLM Gamma": _glm(lambda: FAMILIES.Gamma(FAMILIES.links.Log()), "positive"),
    "GLM InverseGaussian": _glm(
        lambda: FAMILIES.InverseGaussian(FAMILIES.links.Log()), "above_one"
    ),
    "GLM NegativeBinomial": _glm(lambda: FAMILIES.NegativeBinomial(alpha=0.5), "count"),
    "Logit": _discrete("logit", sm.Logit, "b"),
    "Probit": _discrete("probit", sm.Probit, "b"),
    "Poisson": _discrete("poisson", sm.Poisson, "count"),
    "QuantReg": Fit(
        "y", lambda f, d: smf.quantreg(f, d).fit(0.5), lambda y, x, d: sm.QuantReg(y, x).fit(0.5)
    ),
    "QuantReg .7": Fit(
        "y", lambda f, d: smf.quantreg(f, d).fit(0.7), lambda y, x, d: sm.QuantReg(y, x).fit(0.7)
    ),
}


def fit_case(rng: np.random.Generator) -> Case:
    """One model, by formula and by hand, with missing rows, indexes and column types of its own."""
    name = str(choose(rng, FITS))
    fit, data = FITS[name], sample(rng)
    terms = [TERMS[j] for j in rng.permutation(len(TERMS))[: rng.integers(1, 4)]]
    formula = f"{fit.outcome} ~ " + " + ".join(term.text for term in terms)
    given, complete, change = _changed(rng, data)
    x, conditioning = design(terms, complete)
    categories = any(name in ("k", "g", "flag") for name in conditioning)
    told, options = right_options(rng, categories)
    y = complete[fit.outcome].to_numpy(float)

    def by_formula() -> Any:
        return value_of(kcm.specification_test(fit.by_formula(formula, given), **options))

    def by_hand() -> Any:
        result = fit.by_arrays(y, x, complete)
        return value_of(kcm.specification_test(result, conditioning, **options))

    return Case("fits", f"{name}, {formula}, {change}, {told}", by_formula, by_hand, 1e-5)


def _changed(
    rng: np.random.Generator, data: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """A frame as users have it, and its complete rows as plain columns."""
    change = str(choose(rng, ["plain", "gaps", "index", "categorical", "small types", "columns"]))
    complete = data
    match change:
        case "gaps":
            given = data.copy()
            given.loc[rng.choice(len(data), 4, replace=False), "x"] = np.nan
            complete = data.loc[given.x.notna()].reset_index(drop=True)
            if rng.random() < 0.5:
                given["z"] = given.z.where(given.x.notna())
            # a formula without x keeps its rows
            given = given[given.x.notna()] if rng.random() < 0.5 else given
            given, complete = (given, complete) if given.x.notna().all() else (data, data)
        case "index":
            given = data.set_index(pd.Index([f"row {i}" for i in rng.permutation(len(data))]))
        case "categorical":
            extra = pd.Categorical(data.g, categories=["c", "b", "a"])
            given = data.assign(g=extra.reorder_categories(["a", "b", "c"]))
        case "small types":
            given = data.assign(k=data.k.astype("int8"), b=data.b.astype("uint8"))
        case "columns":
            given = data.assign(**{"not used": np.nan, "x.1": 1.0})
        case _:
            given = data
    return given, complete, change


IV: dict[str, Any] = {"IV2SLS": IV2SLS, "IVLIML": IVLIML, "IVGMM": IVGMM}


def instrumental_case(rng: np.random.Generator) -> Case:
    """Instrumental variables by formula of linearmodels. Referee: arrays of NumPy by hand."""
    name = str(choose(rng, [*IV, "sandbox"]))
    data = sample(rng)
    instruments = [["z"], ["z", "w"]][int(rng.integers(2))]
    exogenous = ["x"] if rng.random() < 0.6 else []
    formula = " + ".join(["sales ~ 1", *exogenous, f"[price ~ {' + '.join(instruments)}]"])
    told, options = right_options(rng, categories=False)
    given = data if rng.random() < 0.5 else data.set_index(data.index[::-1])
    one = np.ones((len(data), 1))
    x = np.hstack([one, data[exogenous].to_numpy()])
    y, price = data.sales.to_numpy(), data[["price"]].to_numpy()
    z = data[instruments].to_numpy()
    conditioning = data[[*exogenous, *instruments]]

    def by_arrays(model: Any) -> Any:
        return model(y, x, price, z).fit()

    def by_formula() -> Any:
        if name == "sandbox":
            fit = gmm.IV2SLS(y, np.hstack([x, price]), np.hstack([x, z])).fit()
        else:
            fit = IV[name].from_formula(formula, given).fit()
        return value_of(kcm.specification_test(fit, **options))

    def by_hand() -> Any:
        fit = by_arrays(IV.get(name, IV2SLS))
        return value_of(kcm.specification_test(fit, conditioning, **options))

    return Case("instruments", f"{name}, {formula}, {told}", by_formula, by_hand, 1e-5)
