"""A p-value in digits."""

__all__ = ["pvalue_text"]


def pvalue_text(pvalue: float) -> str:
    """Write a p-value: four digits after the point, small ones as powers of ten.

    Examples
    --------
    >>> pvalue_text(0.04), pvalue_text(0.0000123)
    ('0.0400', '1.23e-05')
    """
    return f"{pvalue:.4f}" if pvalue >= 0.001 or pvalue == 0 else f"{pvalue:.2e}"
