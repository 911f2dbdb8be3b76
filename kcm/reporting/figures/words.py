"""Residuals in words, for axes and titles."""

import re

from kcm.data import split_outside

__all__ = ["outcome_words", "residual_words"]

# The outcome less its mean, as the adapters write it: x'b, a function of it, or f.
_MEAN = re.compile(r"^(?P<outcome>.+) - (?:.*x'b.*|f\(.*\))$")
_QUANTILE = re.compile(r"^1\{(?P<outcome>.+) <= x'b\} - (?P<level>[\d.e+-]+)$")
_CALL = re.compile(r"^(?:(?:np|numpy|math)\.)?(?P<function>\w+)\((?P<inside>.*)\)$")
_WORDS = {
    "log": "log {}",
    "log2": "log2 {}",
    "log10": "log10 {}",
    "log1p": "log of 1 + {}",
    "sqrt": "square root of {}",
    "exp": "exp {}",
    "abs": "absolute value of {}",
    "I": "{}",
    "Q": "{}",
}


def residual_words(moment: str, component: int, n_components: int) -> str:
    """Return what one component of the residual is.

    Parameters
    ----------
    moment : str
        As `MomentLabels.moment` has it.
    component : int
        From 0.
    n_components : int

    Examples
    --------
    >>> residual_words("np.log(wage) - x'b", 0, 1)
    'residual of log wage'
    >>> residual_words("(y - x'b, z - x'b)", 1, 2)
    'residual of z'
    >>> residual_words("1{y <= x'b} - 0.25", 0, 1)
    'residual of y at the quantile 0.25'
    """
    parts = _parts(moment) if n_components > 1 else [moment]
    if len(parts) != n_components:
        return f"{moment}, equation {component + 1}"
    words = parts[component]
    if found := _QUANTILE.match(words):
        return f"residual of {outcome_words(found['outcome'])} at the quantile {found['level']}"
    found = _MEAN.match(words)
    if found is None or "x'b" in found["outcome"]:
        return words
    return f"residual of {outcome_words(found['outcome'])}"


def outcome_words(outcome: str) -> str:
    """Return a term of a formula in words, as far as it is a plain one.

    Examples
    --------
    >>> outcome_words("np.log(wage)"), outcome_words("np.log(y + 1)")
    ('log wage', 'log (y + 1)')
    >>> outcome_words("Q('price ($)')")
    'price ($)'
    """
    text = outcome.strip()
    if text[:1] in "'\"" and text[-1:] == text[:1] and len(text) > 1:
        return text[1:-1]
    found = _CALL.match(text)
    if found is None or found["function"] not in _WORDS or not _is_one(found["inside"]):
        return text
    inside = outcome_words(found["inside"])
    is_sum = found["function"] not in ("I", "Q") and re.search(r" [-+*/] ", found["inside"])
    return _WORDS[found["function"]].format(f"({inside})" if is_sum else inside)


def _parts(text: str) -> list[str]:
    """Split "(a, b)" at the commas that are not within further brackets."""
    inside = text[1:-1] if text.startswith("(") and text.endswith(")") else text
    return [part.strip() for part in split_outside(inside, ",")]


def _is_one(inside: str) -> bool:
    """Tell whether brackets are balanced in a text that has one argument."""
    depth = 0
    for letter in inside:
        depth += (letter in "([{") - (letter in ")]}")
        if depth < 0 or (letter == "," and depth == 0):
            return False
    return depth == 0
