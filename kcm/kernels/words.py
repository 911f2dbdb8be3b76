"""Kernels in words, with the names of the columns."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from kcm.kernels._parameters import show
from kcm.kernels._scaled import BandwidthKernel
from kcm.kernels.additive import Additive
from kcm.kernels.bandwidth import BandwidthRule
from kcm.kernels.base import Constant, Kernel, Power, Product, Scaled, Subspace, Sum
from kcm.kernels.discrete import AitchisonAitken, Kronecker, WangVanRyzin
from kcm.kernels.hsiao_li_racine import HsiaoLiRacine
from kcm.kernels.linear_index import LinearIndex
from kcm.kernels.precomputed import Precomputed

__all__ = ["kernel_words"]

# Of more columns the first ones and the last one are named.
MOST_NAMES = 6
FIRST_NAMES = 3
# Numbers of more digits than three are written without a point up to here.
LARGEST_PLAIN = 1e6


def kernel_words(kernel: Kernel, names: Sequence[str]) -> str:
    """Return a kernel in words: its parts, the columns that they look at, and the bandwidths.

    Parameters
    ----------
    kernel : Kernel
    names : sequence of str
        Of the columns, as many as the kernel acts on.

    Examples
    --------
    >>> from kcm.kernels import Gaussian
    >>> numbers, categories = Subspace(Gaussian([0.94, 4.6]), [0, 1]), Subspace(Kronecker(), 2)
    >>> kernel_words(numbers * categories, ["educ", "exper", "sex"])
    'Gaussian on educ (0.94), exper (4.6); equal categories sex'
    """
    match kernel:
        case Subspace():
            return kernel_words(kernel.kernel, [names[j] for j in kernel.columns])
        case Product():
            return "; ".join(_factor(part, names) for part in (kernel.left, kernel.right))
        case Sum():
            return " + ".join(_term(part, names) for part in (kernel.left, kernel.right))
        case Scaled():
            return f"{_number(kernel.factor)} x ({kernel_words(kernel.kernel, names)})"
        case Power():
            return f"({kernel_words(kernel.kernel, names)})^{kernel.exponent}"
        case Constant():
            return f"constant {_number(kernel.value)}"
        case Precomputed():
            return repr(kernel)
        case _:
            return _simple(kernel, names)


def _factor(kernel: Kernel, names: Sequence[str]) -> str:
    words = kernel_words(kernel, names)
    return f"({words})" if isinstance(kernel, Sum) else words


def _term(kernel: Kernel, names: Sequence[str]) -> str:
    words = kernel_words(kernel, names)
    return f"({words})" if isinstance(kernel, Product) else words


def _simple(kernel: Kernel, names: Sequence[str]) -> str:
    """Return the words of a kernel that is not put together from others of the same columns."""
    match kernel:
        case AitchisonAitken():
            return f"categories {_listed(names)}"
        case WangVanRyzin():
            return f"ordered categories {_listed(names)}"
        case Kronecker():
            return f"equal categories {_listed(names)}"
        case HsiaoLiRacine():
            return f"Hsiao-Li-Racine: {kernel_words(kernel.product, names)}"
        case Additive():
            return f"sum of one-column kernels, {kernel_words(kernel.kernel, names)}"
        case LinearIndex():
            return kernel_words(kernel.kernel, _indexes(kernel, names))
        case BandwidthKernel():
            return f"{_name(kernel)} on {_with_lengths(kernel.bandwidth, names)}"
        case _:
            return f"{_name(kernel)} on {_listed(names)}"


def _indexes(kernel: LinearIndex, names: Sequence[str]) -> list[str]:
    n_rows = len(kernel.weights)
    numbers = [""] if n_rows == 1 else [f" {k}" for k in range(1, n_rows + 1)]
    return [f"index{number} of {_listed(names)}" for number in numbers]


def _with_lengths(bandwidth: Any, names: Sequence[str]) -> str:
    if isinstance(bandwidth, BandwidthRule):
        return f"{_listed(names)} ({bandwidth!r})"
    lengths = np.ravel(np.asarray(bandwidth))
    if len(names) > MOST_NAMES:
        ends = " to ".join(dict.fromkeys(map(_number, (lengths.min(), lengths.max()))))
        return f"{_listed(names)} ({ends})"
    if len(lengths) == 1:
        each = "" if len(names) == 1 else " each"
        return f"{_listed(names)} ({_number(lengths[0])}{each})"
    pairs = zip(names, lengths, strict=True)
    return ", ".join(f"{name} ({_number(length)})" for name, length in pairs)


def _listed(names: Sequence[str]) -> str:
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:FIRST_NAMES])}, ..., {names[-1]}, {len(names)} columns"


def _number(value: Any) -> str:
    """Write a number with three digits, or all that it has before the point."""
    number = float(value)
    return f"{number:.0f}" if 100 <= abs(number) < LARGEST_PLAIN else f"{number:.3g}"


def _name(kernel: Kernel) -> str:
    """Return the name of a kernel with the options that are not the default ones."""
    options = [
        f"{field.name} = {show(getattr(kernel, field.name))}"
        for field in dataclasses.fields(kernel)
        if field.repr and field.name != "bandwidth" and _is_told(field, getattr(kernel, field.name))
    ]
    name = type(kernel).__name__
    return f"{name} ({', '.join(options)})" if options else name


def _is_told(field: Any, value: Any) -> bool:
    if value is None or np.ndim(value) > 0 or isinstance(value, Kernel):
        return False
    return field.default is dataclasses.MISSING or not np.array_equal(value, field.default)
