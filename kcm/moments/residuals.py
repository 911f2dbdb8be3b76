"""A residual function of one observation: traced, checked, and evaluated over a sample."""

import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kcm._options import did_you_mean, listed
from kcm.exceptions import DataError, KCMError, MomentError
from kcm.gram import padded_points
from kcm.moments.parameters import ParameterTree

__all__ = ["TracedResidual", "evaluate_residual", "trace_residual"]

Residual = Callable[[Any, Any], Any]

# Frames of these packages are not lines of the user's residual.
_LIBRARIES = ("jax", "jaxlib", "equinox", "jaxtyping", "beartype", "numpy", "kcm")
_STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"]
_ONE_OBSERVATION = (
    "It is called with the parameters and ONE row, and must return one number, or one for each "
    "component of the moment"
)


@final
@dataclass(frozen=True, slots=True)
class TracedResidual:
    """A residual function with what it was found to compute.

    Two of them are equal, and share compiled code, when they are the same function and compute the
    same: a function whose captured values changed since it was traced is another one.

    Parameters
    ----------
    columns : tuple of str
        The columns of the data that the residual reads, in the order in which it reads them.
    n_components : int
        q.
    program : str
        What it computes, as JAX writes it down.
    constants : tuple of bytes
        The arrays that it captured.
    function : callable
    """

    columns: tuple[str, ...]
    n_components: int
    program: str
    constants: tuple[bytes, ...]
    function: Residual


def trace_residual(
    function: Residual, tree: ParameterTree, names: Sequence[str], n_rows: int
) -> TracedResidual:
    """Trace a residual function for one observation, and find out which columns it reads.

    Parameters
    ----------
    function : callable
        ``function(params, row)``.
    tree : ParameterTree
    names : sequence of str
        Columns of the data.
    n_rows : int
        Rows of the data, to recognise a residual of the whole sample.

    Returns
    -------
    TracedResidual

    Raises
    ------
    MomentError
        When JAX cannot trace the function, it raises, or what it returns is neither a number nor
        a vector.
    DataError
        When it reads a column that the data lack.
    """
    read: dict[str, None] = {}
    n_components = _trace(function, tree, names, read)[1]
    if n_components >= n_rows:
        raise MomentError(
            f"`residual` returned {n_components} numbers and the data have {n_rows} rows. "
            f"{_ONE_OBSERVATION}."
        )
    columns = tuple(read)
    # again with these columns only: what the residual computes must not depend on the others
    closed, _ = _trace(function, tree, columns, {})
    constants = tuple(np.asarray(value).tobytes() for value in closed.consts)
    return TracedResidual(columns, n_components, str(closed), constants, _hashable(function))


def _hashable(function: Residual) -> Residual:
    """Return the function, or one that stands for a callable object without a hash."""
    try:
        hash(function)
    except TypeError:
        return lambda params, row: function(params, row)
    return function


@partial(jax.jit, static_argnames=("residual", "tree"))
def _evaluate(
    residual: TracedResidual, tree: ParameterTree, theta: Float[Array, " p"], rows: Any
) -> tuple[Float[Array, "n q"], Float[Array, "n q p"]]:
    def twice(vector: Array, row: Mapping[str, Array]) -> tuple[Array, Array]:
        value = _as_vector(residual.function(tree.tree(vector), row))
        return value, value

    def one(row: Mapping[str, Array]) -> tuple[Array, Array]:
        jacobian, value = jax.jacfwd(twice, has_aux=True)(theta, row)
        return value, jacobian

    return jax.vmap(one)(rows)


def evaluate_residual(
    residual: TracedResidual,
    tree: ParameterTree,
    theta: Float[np.ndarray, " p"],
    values: Float[np.ndarray, "n k"],
) -> tuple[Float[np.ndarray, "n q"], Float[np.ndarray, "n q p"]]:
    """Evaluate a residual and its jacobian on every row, in double precision.

    Parameters
    ----------
    residual : TracedResidual
    tree : ParameterTree
    theta : ndarray of shape (p,)
    values : ndarray of shape (n, k)
        The columns that the residual reads, in the order of ``residual.columns``.

    Returns
    -------
    residuals : ndarray of shape (n, q)
    jacobian : ndarray of shape (n, q, p)
    """
    n = len(values)
    # filled up to a few sizes, so that not every sample size compiles
    rows = dict(zip(residual.columns, padded_points(values).T, strict=True))
    if not rows:
        raise MomentError("`residual` reads no column of the data, so it is the same in every row.")
    with jax.enable_x64(True):
        psi, jacobian = _evaluate(residual, tree, theta, rows)
    return np.array(psi)[:n], np.array(jacobian)[:n]


class _Row(Mapping[str, Any]):
    """One observation that takes note of the columns that are read."""

    def __init__(self, values: Mapping[str, Any], read: dict[str, None]) -> None:
        self._values, self._read = values, read

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            raise DataError(
                f"`residual` reads the column {name!r}, which the data do not have"
                f"{did_you_mean(str(name), self._values)} The columns are: {listed(self._values)}."
            )
        self._read[name] = None
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self._values else default

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _trace(
    function: Residual, tree: ParameterTree, names: Sequence[str], read: dict[str, None]
) -> tuple[Any, int]:
    def probe(theta: Array, row: dict[str, Array]) -> Array:
        return _as_vector(function(tree.tree(theta), _Row(row, read)))

    with jax.enable_x64(True):
        number = jax.ShapeDtypeStruct((), np.float64)
        theta = jax.ShapeDtypeStruct((tree.n_params,), np.float64)
        try:
            closed, out = jax.make_jaxpr(probe, return_shape=True)(
                theta, dict.fromkeys(names, number)
            )
        except KCMError:
            raise
        # the residual is the caller's own code, which may raise anything
        except Exception as error:
            raise _not_traceable(error) from error
    return closed, out.shape[0]


def _as_vector(value: Any) -> Float[Array, " q"]:
    """Check what a residual returned for one observation."""
    if isinstance(value, list | tuple) and value:
        value = jnp.stack([_as_number(entry) for entry in value])
    shape = getattr(value, "shape", None)
    if not isinstance(value, float | jax.Array | np.ndarray | np.floating):
        raise MomentError(f"`residual` returned {_told(value)}. {_ONE_OBSERVATION}.")
    vector = jnp.atleast_1d(jnp.asarray(value))
    if vector.ndim > 1 or not vector.size:
        raise MomentError(f"`residual` returned an array of shape {shape}. {_ONE_OBSERVATION}.")
    _check_real(vector)
    return vector


def _check_real(value: Array) -> None:
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise MomentError(
            f"`residual` returned {value.dtype} numbers, which have no derivative; return a "
            "difference of real numbers."
        )


def _as_number(entry: Any) -> Float[Array, ""]:
    if np.ndim(entry):
        raise MomentError(
            f"`residual` returned a list with an array of shape {np.shape(entry)} in it. "
            f"{_ONE_OBSERVATION}."
        )
    number = jnp.asarray(entry)
    _check_real(number)
    return number.astype(jnp.float64)


def _told(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _not_traceable(error: Exception) -> MomentError:
    where = _line(error.__traceback__)
    if isinstance(error, jax.errors.JAXTypeError | jax.errors.JAXIndexError):
        return MomentError(
            f"`residual` cannot be traced by JAX{where} Use jax.numpy (jnp.exp, jnp.log, ...) in "
            "place of numpy and math, jnp.where in place of if, and no float() or int(). JAX says: "
            f"{_first_line(error)}"
        )
    return MomentError(
        f"`residual` raised {type(error).__name__}{where} It says: {_first_line(error)}"
    )


def _line(trace: TracebackType | None) -> str:
    """Name the innermost line that is the user's own."""
    frames = [frame for frame in traceback.extract_tb(trace) if _is_users(frame.filename)]
    if not frames:
        return "."
    frame = frames[-1]
    code = f": `{frame.line}`" if frame.line else ""
    return f" at {Path(frame.filename).name}, line {frame.lineno}{code}."


def _is_users(filename: str) -> bool:
    file = Path(filename)
    if "site-packages" in file.parts:
        return not any(name in file.parts for name in _LIBRARIES)
    return not file.is_relative_to(_STANDARD_LIBRARY) and file.parent != Path(__file__).parent


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
