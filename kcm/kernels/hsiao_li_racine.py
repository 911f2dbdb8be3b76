"""The kernel of the specification test for mixed data."""

from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from kcm._options import check_option
from kcm._typing import Columns, Point, Value
from kcm.exceptions import OptionError
from kcm.kernels._kinds import product_over_kinds
from kcm.kernels._parameters import Numbers, as_optional
from kcm.kernels.base import Kernel
from kcm.kernels.discrete import AitchisonAitken, WangVanRyzin
from kcm.kernels.smooth import Smooth

__all__ = ["HsiaoLiRacine"]

KERNELS = {"continuous": Smooth, "unordered": AitchisonAitken, "ordered": WangVanRyzin}


@final
class HsiaoLiRacine(Kernel):
    r"""The product kernel of the specification test for numbers and categories together.

    .. math:: k(x, y) = \prod_{j \text{ continuous}} \phi\bigl((x_j - y_j) / h_j\bigr)
        \prod_{j \text{ unordered}} l(x_j, y_j; \lambda_j)
        \prod_{j \text{ ordered}} w(x_j, y_j; \lambda_j),

    phi the normal density (`Smooth`), l the kernel of `AitchisonAitken`, w that of `WangVanRyzin`.
    With ``statistic="U"`` the statistic is n^2 I / (n - 1), I theirs times the product of the
    bandwidths h. `for_frame` is the same product with a Gaussian of a fixed bandwidth.

    Parameters
    ----------
    kinds : sequence of {"continuous", "unordered", "ordered"}
        One per column.
    bandwidth : array_like of shape (d,), optional
        One number per column: the length h of a continuous one, in the units of the data, and the
        smoothing lambda of the others. The least-squares cross-validated ones of the authors are
        ``KernelReg(y, x, "cuo", bw="cv_ls").bw`` of statsmodels, whose kernels are the same.
        Default: the rules of the three kernels, of which only that of `Smooth` shrinks with the
        sample.

    Raises
    ------
    OptionError
        When a kind is not one of the three, a number is outside its range, or there are more or
        fewer numbers than kinds.
    DataError
        When `resolve` meets codes that are not whole numbers.

    References
    ----------
    Hsiao, Li and Racine (2007), A consistent model specification test with mixed discrete and
    continuous data, Journal of Econometrics 140.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> kernel = HsiaoLiRacine(["continuous", "ordered"], [0.5, 0.2])
    >>> round(float(kernel(jnp.array([0.0, 1.0]), jnp.array([0.5, 2.0]))), 5)
    0.01936
    """

    kinds: tuple[str, ...] = eqx.field(static=True)
    product: Kernel

    def __init__(self, kinds: Sequence[str], bandwidth: Any = None) -> None:
        if not isinstance(kinds, Sequence) or isinstance(kinds, str | bytes):
            raise OptionError(
                '`kinds` must be a list with the kind of each column, "continuous", '
                f'"unordered" or "ordered"; got {kinds!r}.'
            )
        self.kinds = tuple(kinds)
        self.product = _product(self.kinds, as_optional(bandwidth))

    def __repr__(self) -> str:
        return f"HsiaoLiRacine({self.product!r})"

    def __call__(self, x: Point, y: Point) -> Value:
        return self.product(x, y)

    def cross(self, x: Columns, y: Float[Array, "m d"]) -> Float[Array, "n m"]:
        return self.product.cross(x, y)

    def resolve(self, x: Float[np.ndarray, "n d"]) -> Kernel:
        _check_columns(len(self.kinds), "kinds", x.shape[1])
        resolved = self.product.resolve(x)
        found: Kernel = eqx.tree_at(lambda kernel: kernel.product, self, resolved)
        return found

    def describe(self, names: Sequence[str]) -> str:
        return f"Hsiao-Li-Racine: {self.product.describe(names)}"


def _product(kinds: tuple[str, ...], bandwidth: Numbers | None) -> Kernel:
    if not kinds:
        raise OptionError("`kinds` must name the kind of each column; got none.")
    for kind in kinds:
        check_option(kind, tuple(KERNELS), "kinds")
    if bandwidth is not None:
        _check_columns(
            np.size(bandwidth) if np.ndim(bandwidth) == 1 else 0, "bandwidth", len(kinds)
        )

    def kernel_of(kind: str, columns: list[int]) -> Kernel:
        kernel: Any = KERNELS[kind]
        return kernel() if bandwidth is None else kernel(bandwidth[np.array(columns)])

    return product_over_kinds(kinds, kernel_of)


def _check_columns(found: int, argument: str, expected: int) -> None:
    if found != expected:
        raise OptionError(
            f"`{argument}` must have one entry per column; got {found} for {expected} columns."
        )
