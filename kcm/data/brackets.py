"""Texts split at marks that do not stand within brackets."""

__all__ = ["split_outside"]


def split_outside(text: str, mark: str) -> list[str]:
    """Split a text at one letter, where no bracket is open.

    Examples
    --------
    >>> split_outside("C(k, Sum)[1]:f(a:b)", ":")
    ['C(k, Sum)[1]', 'f(a:b)']
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == mark and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
