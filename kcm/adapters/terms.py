"""Terms of a formula that statsmodels or linearmodels evaluated, and their columns."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from kcm.data import Resolve, resolve_in, split_outside

__all__ = ["FormulaFactor", "FormulaTerm", "formula_terms", "named_terms", "numpy_alone"]

# `C(k)[T.b]` and `bs(x, df=4)[2]` are columns of the factors before the last bracket.
_LAST_BRACKET = re.compile(r"^(?P<factor>.+)\[(?P<level>[^\[\]]*)\]$")


@final
@dataclass(frozen=True, slots=True, eq=False)
class FormulaFactor:
    """A factor of a formula.

    Parameters
    ----------
    expression : str
        As the formula writes it.
    is_category : bool
        Whether the formula coded it as categories.
    resolve : callable
        From a name that is no column of the data to what it stood for when the model was fitted.
    """

    expression: str
    is_category: bool
    resolve: Resolve


@final
@dataclass(frozen=True, slots=True, eq=False)
class FormulaTerm:
    """A term, a product of factors, and where its columns stand in the design.

    Parameters
    ----------
    factors : tuple of FormulaFactor
    positions : tuple of int
    """

    factors: tuple[FormulaFactor, ...]
    positions: tuple[int, ...]


def numpy_alone() -> Resolve:
    """Return what is known of names where the formula's surroundings are gone: NumPy."""
    return resolve_in({"np": np, "numpy": np})


def formula_terms(model: Any) -> tuple[FormulaTerm, ...]:
    """Terms of the design of a statsmodels model; none where it was given as arrays.

    None either where the columns of the design are no longer those that the formula made.
    """
    spec: Any = getattr(model.data, "model_spec", None)
    slices = getattr(spec, "term_slices", None)
    if not slices or len(spec.column_names) != model.exog.shape[1]:
        return ()
    read = _patsy_factors if hasattr(spec, "factor_infos") else _formulaic_factors
    terms = (
        FormulaTerm(read(spec, term), tuple(range(*where.indices(model.exog.shape[1]))))
        for term, where in slices.items()
    )
    return tuple(term for term in terms if term.factors)


def _patsy_factors(spec: Any, term: Any) -> tuple[FormulaFactor, ...]:
    return tuple(_patsy_factor(factor, spec.factor_infos[factor]) for factor in term.factors)


def _patsy_factor(factor: Any, info: Any) -> FormulaFactor:
    namespace = info.state["eval_env"].namespace
    return FormulaFactor(factor.code, info.type == "categorical", resolve_in(namespace))


def _formulaic_factors(spec: Any, term: Any) -> tuple[FormulaFactor, ...]:
    from formulaic.parser.types import Factor

    resolve = _formulaic_resolve(spec)
    return tuple(
        FormulaFactor(factor.expr, _is_category(spec, factor), resolve)
        for factor in term.factors
        if factor.eval_method is not Factor.EvalMethod.LITERAL
    )


def _formulaic_resolve(spec: Any) -> Resolve:
    """Formulaic's functions and NumPy; it does not keep what else surrounded the formula."""
    from formulaic.transforms import TRANSFORMS

    callers = {str(name).split(".")[0] for name in spec.variables_by_source.get("context", ())}
    known = {name: value for name, value in TRANSFORMS.items() if name not in callers}
    return resolve_in(known | {"np": np, "numpy": np})


def _is_category(spec: Any, factor: Any) -> bool:
    kind, _ = spec.encoder_state.get(factor.expr, (None, None))
    return getattr(kind, "value", None) == "categorical"


def named_terms(names: Sequence[str]) -> tuple[FormulaTerm, ...]:
    """Terms read from the names of design columns, which is all that linearmodels keeps.

    Parameters
    ----------
    names : sequence of str
        For example ``"I(exper ** 2)"``, ``"C(k)[T.2]"`` or ``"x:lag(y)"``.
    """
    from formulaic.transforms import TRANSFORMS

    resolve = resolve_in(TRANSFORMS | {"np": np, "numpy": np})
    found: dict[tuple[FormulaFactor, ...], list[int]] = {}
    shared: dict[tuple[tuple[str, bool], ...], tuple[FormulaFactor, ...]] = {}
    for position, name in enumerate(names):
        parts = tuple(map(_named_factor, split_outside(name, ":")))
        factors = shared.setdefault(
            parts, tuple(FormulaFactor(text, category, resolve) for text, category in parts)
        )
        found.setdefault(factors, []).append(position)
    return tuple(FormulaTerm(factors, tuple(where)) for factors, where in found.items())


def _named_factor(name: str) -> tuple[str, bool]:
    match = _LAST_BRACKET.match(name)
    if match is None:
        return name, False
    is_spline = match["level"].isdigit() and not match["factor"].startswith("C(")
    return match["factor"], not is_spline
