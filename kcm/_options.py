"""Checks at the boundary: options, names and random states that callers pass in."""

import difflib
import sys
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from kcm.exceptions import OptionError

__all__ = [
    "MOST_REPETITIONS",
    "as_generator",
    "check_int",
    "check_level",
    "check_option",
    "did_you_mean",
    "listed",
]


# Most draws, samples or replications that can be asked for: more would never end.
MOST_REPETITIONS = 10**9


def check_option(value: object, allowed: Sequence[str], argument: str) -> str:
    """Return an option if it is one of the allowed words.

    Parameters
    ----------
    value : object
        What the caller passed.
    allowed : sequence of str
        The allowed words.
    argument : str
        The argument's name, for messages.

    Returns
    -------
    str
        `value`.

    Raises
    ------
    OptionError
        If `value` is not allowed; the message lists the allowed words.

    Examples
    --------
    >>> check_option("U", ("U", "V"), "statistic")
    'U'
    """
    if isinstance(value, str) and value in allowed:
        return value
    words = ", ".join(repr(word) for word in allowed)
    raise OptionError(f"`{argument}` must be one of {words}; got {value!r}.")


def check_level(level: float, argument: str = "level") -> None:
    """Refuse a level, or another share, outside (0, 1)."""
    if not (isinstance(level, Real) and 0 < level < 1):
        raise OptionError(f"`{argument}` must lie strictly between 0 and 1; got {level!r}.")


def check_int(value: object, argument: str, least: int = 1, most: int | None = None) -> None:
    """Refuse what is not an int of at least `least`, and at most `most` where that is given.

    Parameters
    ----------
    value : object
        What the caller passed. A boolean is no number.
    argument : str
        The argument's name, for messages.
    least : int
        Default 1.
    most : int, optional
        More would never end. Default: no limit.

    Raises
    ------
    OptionError
        If `value` is not such an int.

    Examples
    --------
    >>> check_int(3, "degree")
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(f"`{argument}` must be an int of at least {least}; got {value!r}.")
    if most is not None and value > most:
        raise OptionError(
            f"`{argument}` must be at most {most:,}, or it never ends; got {value:,}."
        )


def as_generator(rng: object) -> np.random.Generator:
    """Turn a seed or random state into a NumPy generator (SPEC 7).

    Parameters
    ----------
    rng : None, int, numpy.random.SeedSequence, numpy.random.Generator or JAX key
        ``None`` draws fresh entropy; a generator is returned as it is. A JAX key, typed or
        raw (uint32), seeds a generator with its key data, so that equal keys give equal draws.

    Returns
    -------
    numpy.random.Generator
        The generator.

    Raises
    ------
    OptionError
        For anything else, negative integers and batches of keys included.

    Examples
    --------
    >>> int(as_generator(0).integers(1000)) == int(as_generator(0).integers(1000))
    True
    """
    if _is_jax_array(rng):
        return np.random.default_rng(np.random.SeedSequence(_key_words(rng)))
    if rng is None or isinstance(rng, np.random.SeedSequence | np.random.Generator):
        return np.random.default_rng(rng)
    seed = _integer(rng)
    if seed is not None and seed >= 0:
        return np.random.default_rng(seed)
    got = type(rng).__name__ if seed is None else seed
    raise OptionError(
        "`rng` must be None, a non-negative integer, a numpy.random.SeedSequence, a "
        f"numpy.random.Generator or a JAX key; got {got}. Pass numpy.random.default_rng(seed) "
        "or the seed itself."
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest close matches of a name, as the end of a sentence.

    Parameters
    ----------
    name : str
        A name that is not known.
    known : iterable of str
        The names that are.

    Returns
    -------
    str
        For example ``"; did you mean 'age'?"``, or a full stop where nothing is close.

    Examples
    --------
    >>> did_you_mean("agee", ["age", "wage"])
    "; did you mean 'age' or 'wage'?"
    """
    by_lower = {word.lower(): word for word in known}
    close = difflib.get_close_matches(name.lower(), list(by_lower), n=3)
    if not close:
        return "."
    return "; did you mean " + " or ".join(repr(by_lower[word]) for word in close) + "?"


def listed(names: Iterable[str], at_most: int = 20) -> str:
    """Join names by commas, the tail of a long list counted.

    Parameters
    ----------
    names : iterable of str
        The names.
    at_most : int, default 20
        How many to write out.

    Returns
    -------
    str
        The list.

    Examples
    --------
    >>> listed(["a", "b", "c"], at_most=2)
    'a, b and 1 more'
    """
    every = list(names)
    rest = len(every) - at_most
    return ", ".join(every[:at_most]) + (f" and {rest} more" if rest > 0 else "")


def _integer(value: object) -> int | None:
    """Return a Python integer; None for anything else, booleans included."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        return None
    return int(value)


def _is_jax_array(value: object) -> bool:
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array)


def _key_words(key: Any) -> list[int]:
    import jax
    import jax.numpy as jnp

    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.key_data(key)
    if key.dtype != np.uint32 or key.ndim != 1:
        raise OptionError(
            f"`rng` must be one JAX key when it is a JAX array; got dtype {key.dtype} and shape "
            f"{key.shape}. Pass jax.random.key(seed), or one row of a batch of keys."
        )
    return [int(word) for word in np.asarray(key)]
