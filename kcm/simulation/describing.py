"""Words for what a study is made of, the same in every process."""

import dataclasses
import enum
import functools
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from kcm.exceptions import OptionError

__all__ = ["described", "library_digest"]

_LIBRARY = Path(__file__).resolve().parent.parent
_INSTALLED = tuple(
    Path(place).resolve() for place in {*map(sysconfig.get_path, ("stdlib", "purelib", "platlib"))}
)


@functools.cache
def library_digest() -> str:
    """Return a digest of the library's own sources."""
    found = hashlib.sha256()
    for path in sorted(_LIBRARY.rglob("*.py")):
        found.update(str(path.relative_to(_LIBRARY)).encode() + path.read_bytes())
    return found.hexdigest()[:16]


def described(thing: Any, argument: str) -> str:
    """Return words that change when the thing does.

    A record is told by its fields, a function by its name and a digest of its source, of what it
    closes over, of its defaults, and of the globals that it refers to: constants, functions and
    modules of one's own, with those that they refer to in turn. Installed packages are told by
    their names; the store has their versions.

    Raises
    ------
    OptionError
        When the thing only has an address to be told by.
    """
    return _told(thing, argument, ())


def _told(thing: Any, argument: str, seen: tuple[int, ...]) -> str:
    if id(thing) in seen:
        return "itself"
    within = (*seen, id(thing))
    if isinstance(thing, functools.partial):
        parts = (thing.func, thing.args, sorted(thing.keywords.items()))
        return f"partial({', '.join(_told(part, argument, within) for part in parts)})"
    if isinstance(thing, tuple | list):
        kind = "" if type(thing) in (tuple, list) else _class(type(thing), argument, within)
        return f"{kind}[{', '.join(_told(one, argument, within) for one in thing)}]"
    if isinstance(thing, Mapping):
        pairs = (f"{key!r}: {_told(thing[key], argument, within)}" for key in thing)
        return f"{{{', '.join(pairs)}}}"
    if isinstance(thing, ModuleType):
        return thing.__name__
    if inspect.isroutine(inspect.unwrap(thing) if callable(thing) else thing):
        return " around ".join(_function(one, argument, within) for one in _layers(thing))
    if isinstance(thing, type):
        return _class(thing, argument, seen)
    if dataclasses.is_dataclass(thing):
        fields = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}
        told = ", ".join(f"{n}={_told(one, argument, within)}" for n, one in fields.items())
        return f"{_class(type(thing), argument, within)}({told})"
    return _words(thing, argument)


def _words(thing: Any, argument: str) -> str:
    if isinstance(thing, set | frozenset):  # the order of a set is that of its process
        return f"set {sorted(map(repr, thing))}"
    if hasattr(thing, "__array__") and not isinstance(thing, np.generic):
        return _array(thing)
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
        words = repr(thing)
    if " at 0x" in words:
        raise OptionError(
            f"`{argument}` with a `store` must be told apart from others, and {words} has no "
            "words of its own; use a function or a dataclass."
        )
    return words


def _array(thing: Any) -> str:
    """Return the shape and a digest of an array or a table, whose words may leave entries out."""
    array = np.asarray(thing)
    entries = repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()
    labels = [getattr(thing, name, ()) for name in ("columns", "name", "index")]
    words = [repr(np.asarray(label).tolist()) for label in labels if not callable(label)]
    digest = _digest(hashlib.sha256(entries).hexdigest(), *words)
    return f"{type(thing).__name__} {array.dtype} {array.shape} {digest}"


def _layers(function: Any) -> list[Any]:
    """Return a function and those that it wraps, the outermost first."""
    layers = [function]
    while (inner := getattr(layers[-1], "__wrapped__", None)) is not None:
        layers.append(inner)
    return layers


def _function(function: Any, argument: str, seen: tuple[int, ...]) -> str:
    name = f"{function.__module__}.{getattr(function, '__qualname__', function.__name__)}"
    owner = getattr(function, "__self__", None)
    bound = "" if _has_no_state(owner) else f" of {_global(owner, argument, seen)}"
    inner = getattr(function, "__func__", function)
    if not hasattr(inner, "__code__") or _is_installed(sys.modules.get(function.__module__)):
        return f"{name}{bound}"
    closed = [cell.cell_contents for cell in inner.__closure__ or ()]
    given = [*(inner.__defaults__ or ()), *(inner.__kwdefaults__ or {}).items()]
    used = dict(_used_globals(inner, argument, seen))
    about = [_told(part, argument, seen) for part in (closed, given)]
    digest = _digest(_source(inner), *about, *(f"{key}={used[key]}" for key in sorted(used)))
    return f"{name} {digest}{bound}"


def _has_no_state(owner: Any) -> bool:
    return owner is None or isinstance(owner, ModuleType | type)


def _source(thing: Any) -> str:
    """Return the source, or where there is none (typed at a prompt) the compiled code."""
    code = getattr(thing, "__code__", None)
    try:
        # that of a function which wraps another is found by its code
        return inspect.getsource(thing if code is None else code)
    except (OSError, TypeError):
        return "" if code is None else " ".join(_compiled(code))


def _compiled(code: CodeType) -> Iterator[str]:
    yield code.co_code.hex()
    yield repr((code.co_names, code.co_varnames))
    for constant in code.co_consts:
        yield from _compiled(constant) if isinstance(constant, CodeType) else (repr(constant),)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _used_globals(function: Any, argument: str, seen: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """Yield the globals that a function mentions, and what it may use of modules of one's own."""
    names, space = set(_names(function.__code__)), function.__globals__
    for name in sorted(names & set(space)):
        yield name, _global(space[name], argument, seen)
        yield from _used_of_module(name, space[name], names, argument, seen)
    for name in sorted(names & set(sys.modules)):  # imported within the function
        yield from _used_of_module(name, sys.modules[name], names, argument, seen)


def _used_of_module(
    path: str, module: Any, names: set[str], argument: str, seen: tuple[int, ...]
) -> Iterator[tuple[str, str]]:
    """Yield what may be used of a module of one's own, and of the modules in it."""
    if not isinstance(module, ModuleType) or _is_installed(module) or id(module) in seen:
        return
    within = (*seen, id(module))
    for name in sorted(names & set(vars(module))):
        yield f"{path}.{name}", _global(vars(module)[name], argument, within)
        yield from _used_of_module(f"{path}.{name}", vars(module)[name], names, argument, within)


def _global(value: Any, argument: str, seen: tuple[int, ...]) -> str:
    """Return the words of a global; of an object without words those of its class and its state.

    So of an object of a class of one's own, whose words may hide both.
    """
    own = not (_is_installed(sys.modules.get(type(value).__module__)) or callable(value))
    has_words = isinstance(value, enum.Enum | tuple | list | Mapping)
    if own and not has_words and not dataclasses.is_dataclass(value):
        return _object(value, argument, seen)
    try:
        return _told(value, argument, seen)
    except OptionError:
        if _state(value) is None:
            raise
        return _object(value, argument, seen)


def _object(value: Any, argument: str, seen: tuple[int, ...]) -> str:
    if id(value) in seen:
        return "itself"
    within = (*seen, id(value))
    state = _state(value) or {}
    told = {key: _global(one, argument, within) for key, one in sorted(state.items())}
    return f"{_class(type(value), argument, within)} {told}"


def _state(value: Any) -> dict[str, Any] | None:
    """Return the attributes of an object by name; None where it shows none."""
    declared = (vars(cls).get("__slots__", ()) for cls in type(value).__mro__)
    slots = [name for names in declared for name in ([names] if isinstance(names, str) else names)]
    state = getattr(value, "__dict__", {}) | {
        name: getattr(value, name) for name in slots if hasattr(value, name)
    }
    return state if slots or hasattr(value, "__dict__") else None


def _class(cls: type, argument: str, seen: tuple[int, ...]) -> str:
    """Return the name of a class, and a digest of what it holds where it is one of one's own."""
    if _is_installed(sys.modules.get(cls.__module__)):
        return cls.__name__
    if id(cls) in seen:
        return cls.__qualname__
    within = (*seen, id(cls))
    held = (f"{name}={_held(value, argument, within)}" for name, value in _attributes(cls))
    bases = (_class(base, argument, within) for base in cls.__bases__)
    return f"{cls.__module__}.{cls.__qualname__} {_digest(_source(cls), *held, *bases)}"


def _attributes(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield what the body of a class made: methods, properties, constants."""
    for name, value in sorted(vars(cls).items()):
        is_function = inspect.isfunction(getattr(value, "__func__", value))
        made_by_python = name.startswith("__") or name.startswith("_abc_")
        if isinstance(value, functools.cached_property):
            yield name, value.func
        elif is_function or not (made_by_python or inspect.isdatadescriptor(value)):
            yield name, value
        elif isinstance(value, property):
            yield from ((name, part) for part in (value.fget, value.fset) if part is not None)


def _held(value: Any, argument: str, seen: tuple[int, ...]) -> str:
    return _global(getattr(value, "__func__", value), argument, seen)


def _is_installed(module: ModuleType | None) -> bool:
    """Tell whether a module is of the library, of Python, or of an installed package."""
    if module is None:
        return False
    if module.__name__.partition(".")[0] == "kcm":
        return True
    file = getattr(module, "__file__", None)
    if file is None:
        return module.__name__ != "__main__"
    return any(Path(file).resolve().is_relative_to(place) for place in _INSTALLED)


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
