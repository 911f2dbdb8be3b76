"""Formulas, read into terms and factors by side."""

from typing import Any

from kcm.data.factors import spoken_names
from kcm.exceptions import OptionError

__all__ = ["factors_by_side", "parse", "stages", "variables"]

_FORM = "Write it like 'y ~ x1 + x2', or 'y ~ x1 + x2 | z1 + z2' to condition on other variables."
_FEATURES = {"twosided", "multipart", "multistage"}


def parse(formula: object) -> tuple[Any, tuple[Any, ...]]:
    """Split a formula into the terms left of ``~`` and the one or two parts right of it."""
    if not isinstance(formula, str):
        raise OptionError(f"`formula` must be a string; got {type(formula).__name__}. {_FORM}")
    parsed = _read(formula)
    response, right = getattr(parsed, "lhs", None), getattr(parsed, "rhs", None)
    if not response or isinstance(response, tuple):
        raise OptionError(f"`formula` must have one response left of `~`; got {formula!r}. {_FORM}")
    parts = right if isinstance(right, tuple) else (right,)
    if len(parts) > 2 or (len(parts) == 2 and any(map(stages, parts))):
        raise OptionError(
            "`formula` must have at most one `|` right of `~`, and none together with brackets; "
            f"got {formula!r}. {_FORM}"
        )
    return response, parts


def _read(formula: str) -> Any:
    from formulaic import Formula
    from formulaic.errors import FormulaicError
    from formulaic.parser import DefaultFormulaParser

    parser = DefaultFormulaParser(feature_flags=_FEATURES)
    try:
        return Formula(formula, _parser=parser, _ordering="none")
    except (FormulaicError, SyntaxError) as error:
        reason = str(error).partition("\n")[0].rstrip(".").split(". ")[0]
        raise OptionError(
            f"`formula` could not be read: {reason}; got {formula!r}. {_FORM}"
        ) from error


def stages(part: Any) -> tuple[Any, ...]:
    """List the bracketed ``[endogenous ~ instruments]`` parts."""
    return tuple(getattr(part, "deps", ()))


def factors_by_side(response: Any, parts: tuple[Any, ...]) -> dict[str, list[Any]]:
    """List the factors of what `parse` returns, by "response", "regressors" and "conditioning"."""
    first, bracketed = parts[0], stages(parts[0])
    endogenous = [factor for stage in bracketed for factor in _factors(stage.lhs)]
    fitted = {f"{term}_hat" for stage in bracketed for term in stage.lhs}
    terms = first.root if bracketed else first
    exogenous = [factor for factor in _factors(terms) if factor.expr not in fitted]
    instruments = [factor for stage in bracketed for factor in _factors(stage.rhs)]
    return {
        "response": _factors(response),
        "regressors": exogenous + endogenous,
        "conditioning": _factors(parts[1]) if len(parts) == 2 else exogenous + instruments,
    }


def _factors(terms: Any) -> list[Any]:
    return [factor for term in terms for factor in term.factors]


def variables(factor: Any) -> list[str]:
    """Name the variables of one factor, in the order in which its text mentions them."""
    from formulaic.parser.types import Factor

    if factor.eval_method is not Factor.EvalMethod.PYTHON:
        return sorted(factor.required_variables)
    return list(spoken_names(factor.expr, {"np"}))
