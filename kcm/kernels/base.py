"""The kernel interface: one function of two points, everything else derived from it."""

import abc
import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kcm._typing import Columns, Point, Value
from kcm.exceptions import OptionError
from kcm.kernels._parameters import Parameter, as_parameter, as_scalar, check_positive, show
from kcm.kernels._words import kernel_name, listed_columns, number_text

__all__ = [
    "Constant",
    "Kernel",
    "Power",
    "Product",
    "Scaled",
    "Sum",
    "check_definite",
    "check_part",
]


class Kernel(eqx.Module):
    """A positive semi-definite function of two points, or one that `conditionally_positive` marks.

    A new kernel defines `__call__` on two single points; `cross`, `matrix` and `diagonal` follow.
    A kernel with a faster whole-matrix form may give its own `cross`, which must agree with the
    pointwise definition. Kernels are immutable pytrees, so they pass through `jax.jit`.

    Kernels combine: ``k1 + k2``, ``k1 * k2``, ``2.0 * k``, ``k + 1.0`` and ``k ** 2``.

    Notes
    -----
    These methods are pure JAX and follow its ambient precision. `kcm.gram` and the tests always
    work in double precision.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from kcm.kernels import Kernel
    >>> class Cosine(Kernel):
    ...     def __call__(self, x, y):
    ...         return jnp.cos(x - y).prod()
    >>> Cosine().matrix(jnp.zeros((3, 2))).shape
    (3, 3)
    """

    @abc.abstractmethod
    def __call__(self, x: Point, y: Point) -> Value:
        """Return k(x, y) for two single points of shape (d,)."""

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        """Return the (n, m) matrix of k(x_i, y_j)."""
        return jax.vmap(lambda a: jax.vmap(lambda b: self(a, b))(y))(x)

    def matrix(self, x: Columns) -> Float[Array, "n n"]:
        """Return the (n, n) Gram matrix k(x_i, x_j)."""
        return self.cross(x, x)

    def diagonal(self, x: Columns) -> Float[Array, " n"]:
        """Return k(x_i, x_i), shape (n,)."""
        return jax.vmap(lambda a: self(a, a))(x)

    def resolve(self, x: Float[np.ndarray, "n d"]) -> "Kernel":
        """Return the kernel with every bandwidth rule replaced by the numbers it gives on x."""
        return self

    def power_of(self, other: "Kernel") -> int | None:
        """Return the whole number e with self(x, y) = other(x, y) ** e, None where none is known.

        Both resolved. A pass over several kernels then evaluates `other` only.
        """
        return None

    @property
    def conditionally_positive(self) -> bool:
        """Whether v'Kv >= 0 is sure only for weights v that sum to zero, as for `Energy`."""
        return False

    def describe(self, names: Sequence[str]) -> str:
        """Return the kernel in words: its parts, the columns they look at, and the bandwidths.

        Parameters
        ----------
        names : sequence of str
            Of the columns, as many as the kernel acts on.

        Examples
        --------
        >>> from kcm.kernels import Gaussian, Kronecker, Subspace
        >>> numbers, category = Subspace(Gaussian([0.94, 4.6]), [0, 1]), Subspace(Kronecker(), 2)
        >>> (numbers * category).describe(["educ", "exper", "sex"])
        'Gaussian on educ (0.94), exper (4.6); equal categories sex'
        """
        return f"{kernel_name(self)} on {listed_columns(names)}"

    def __repr__(self) -> str:
        shown = (field.name for field in dataclasses.fields(self) if field.repr)
        fields = (f"{name}={show(getattr(self, name))}" for name in shown)
        return f"{type(self).__name__}({', '.join(fields)})"

    def __add__(self, other: "Kernel | float | int") -> "Kernel":
        return Sum(self, _as_kernel(other))

    def __radd__(self, other: "Kernel | float | int") -> "Kernel":
        # sum([...]) starts from the number 0
        return self if isinstance(other, int) and other == 0 else Sum(_as_kernel(other), self)

    def __mul__(self, other: "Kernel | float | int") -> "Kernel":
        return Product(self, other) if isinstance(other, Kernel) else Scaled(self, other)

    def __rmul__(self, other: "Kernel | float | int") -> "Kernel":
        return self * other

    def __pow__(self, exponent: float | int) -> "Kernel":
        return Power(self, exponent)


@final
class Constant(Kernel):
    """The kernel k(x, y) = value.

    Parameters
    ----------
    value : float
        Not negative.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> float(Constant(2.0)(jnp.zeros(1), jnp.ones(1)))
    2.0
    """

    value: Parameter = eqx.field(converter=partial(as_scalar, argument="value"))

    def __check_init__(self) -> None:
        check_positive(self.value, "value", allow_zero=True)

    def __call__(self, x: Point, y: Point) -> Value:
        return jnp.full((), as_parameter(self.value), dtype=jnp.result_type(x))

    def describe(self, names: Sequence[str]) -> str:
        return f"constant {number_text(self.value)}"


@final
class Scaled(Kernel):
    """The kernel factor * k(x, y).

    Parameters
    ----------
    kernel : Kernel
    factor : float
        Not negative, so that the kernel stays positive semi-definite.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> float(Scaled(Constant(2.0), 3.0)(jnp.zeros(1), jnp.ones(1)))
    6.0
    """

    kernel: Kernel
    factor: Parameter = eqx.field(converter=partial(as_scalar, argument="factor"))

    def __check_init__(self) -> None:
        check_part(self.kernel, "a multiple of a kernel")
        check_positive(self.factor, "factor", allow_zero=True)

    def __call__(self, x: Point, y: Point) -> Value:
        return jnp.multiply(as_parameter(self.factor), self.kernel(x, y))

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        return jnp.multiply(as_parameter(self.factor), self.kernel.cross(x, y))

    @property
    def conditionally_positive(self) -> bool:
        return self.kernel.conditionally_positive

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        return Scaled(self.kernel.resolve(x), self.factor)

    def describe(self, names: Sequence[str]) -> str:
        return f"{number_text(self.factor)} x ({self.kernel.describe(names)})"


@final
class Sum(Kernel):
    """The kernel left(x, y) + right(x, y).

    Parameters
    ----------
    left, right : Kernel

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> float((Constant(2.0) + Constant(1.0))(jnp.zeros(1), jnp.ones(1)))
    3.0
    """

    left: Kernel
    right: Kernel

    def __check_init__(self) -> None:
        check_part(self.left, "a sum of kernels")
        check_part(self.right, "a sum of kernels")

    def __call__(self, x: Point, y: Point) -> Value:
        return self.left(x, y) + self.right(x, y)

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        return self.left.cross(x, y) + self.right.cross(x, y)

    @property
    def conditionally_positive(self) -> bool:
        return self.left.conditionally_positive or self.right.conditionally_positive

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        return Sum(self.left.resolve(x), self.right.resolve(x))

    def __repr__(self) -> str:
        return f"{self.left!r} + {self.right!r}"

    def describe(self, names: Sequence[str]) -> str:
        parts = (self.left, self.right)
        return " + ".join(_in_brackets(part, Product, names) for part in parts)


@final
class Product(Kernel):
    """The kernel left(x, y) * right(x, y).

    Parameters
    ----------
    left, right : Kernel
        Positive semi-definite: the product with an `Energy` kernel need not be a kernel.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> float((Constant(2.0) * Constant(4.0))(jnp.zeros(1), jnp.ones(1)))
    8.0
    """

    left: Kernel
    right: Kernel

    def __check_init__(self) -> None:
        check_definite(self.left, "a product of kernels")
        check_definite(self.right, "a product of kernels")

    def __call__(self, x: Point, y: Point) -> Value:
        return self.left(x, y) * self.right(x, y)

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        return self.left.cross(x, y) * self.right.cross(x, y)

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        return Product(self.left.resolve(x), self.right.resolve(x))

    def __repr__(self) -> str:
        return f"{_show_factor(self.left)} * {_show_factor(self.right)}"

    def describe(self, names: Sequence[str]) -> str:
        parts = (self.left, self.right)
        return "; ".join(_in_brackets(part, Sum, names) for part in parts)


@final
class Power(Kernel):
    """The kernel k(x, y) ** exponent.

    Parameters
    ----------
    kernel : Kernel
    exponent : int
        At least 1: fractional or negative powers need not be positive semi-definite.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> float((Constant(2.0) ** 3)(jnp.zeros(1), jnp.ones(1)))
    8.0
    """

    kernel: Kernel
    exponent: float | int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if isinstance(self.exponent, bool) or not isinstance(self.exponent, int):
            raise OptionError(f"`exponent` must be an int of at least 1; got {self.exponent!r}.")
        if self.exponent < 1:
            raise OptionError(f"`exponent` must be at least 1; got {self.exponent}.")
        check_definite(self.kernel, "a power of a kernel")

    def __call__(self, x: Point, y: Point) -> Value:
        return self.kernel(x, y) ** self.exponent

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        return self.kernel.cross(x, y) ** self.exponent

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        return Power(self.kernel.resolve(x), self.exponent)

    def describe(self, names: Sequence[str]) -> str:
        return f"({self.kernel.describe(names)})^{self.exponent}"


def check_definite(kernel: Kernel, purpose: str) -> None:
    """Refuse a kernel that is positive semi-definite on weights that sum to zero only.

    Raises
    ------
    OptionError
        The message names the purpose and a kernel that serves it.
    """
    check_part(kernel, purpose)
    if kernel.conditionally_positive:
        raise OptionError(
            f"{purpose} needs a positive semi-definite kernel, but {kernel!r} is one only on "
            "weights that sum to zero; use kcm.kernels.Gaussian(), or kcm.kernels.Laplace() for a "
            "rougher one."
        )


def check_part(kernel: object, whole: str) -> None:
    """Refuse what is no kernel as a part of `whole`."""
    if not isinstance(kernel, Kernel):
        raise OptionError(
            f"{whole} must be made of kernels such as kcm.kernels.Gaussian(); got "
            f"{type(kernel).__name__}."
        )


def _show_factor(kernel: Kernel) -> str:
    return f"({kernel!r})" if isinstance(kernel, Sum) else repr(kernel)


def _as_kernel(value: Kernel | float | int) -> Kernel:
    return value if isinstance(value, Kernel) else Constant(value)


def _in_brackets(kernel: Kernel, kind: type[Kernel], names: Sequence[str]) -> str:
    """Return a part in words, in brackets where it is of a kind that would be read wrongly."""
    words = kernel.describe(names)
    return f"({words})" if isinstance(kernel, kind) else words
