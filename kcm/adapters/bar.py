"""The bar of a formula, ``y ~ x | z``: what follows it is conditioned on, not fitted."""

import re

__all__ = ["bar_position"]

# What a bar may hide in: quoted text, a name in backticks, brackets.
_MARKS = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|[()\[\]{}|]""")


def bar_position(formula: str) -> int | None:
    """Find the first ``|`` of a formula that is not inside brackets or quotes.

    Parameters
    ----------
    formula : str
        The formula.

    Returns
    -------
    int or None
        Its position; None when there is none.

    Examples
    --------
    >>> formula = "y ~ I(a | b) + x | z"
    >>> formula[: bar_position(formula)]
    'y ~ I(a | b) + x '
    """
    depth = 0
    for mark in _MARKS.finditer(formula):
        if mark[0] == "|" and depth == 0:
            return mark.start()
        depth += (mark[0] in "([{") - (mark[0] in ")]}")
    return None
