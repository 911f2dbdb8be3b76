"""Factors of a formula: plain functions of columns, row by row, and all the others."""

import ast
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

__all__ = [
    "LEARNED",
    "Resolve",
    "category_column",
    "evaluate_plain",
    "inner_of_category",
    "plain_columns",
    "resolve_in",
    "spoken_names",
]

# Finds what a name outside the data stands for, and raises LookupError where nothing is known.
Resolve = Callable[[str], Any]

# Functions that learn numbers from the column once, and are functions of it row by row then.
LEARNED = frozenset({"bs", "cr", "cc", "cs", "te", "poly", "center", "standardize", "scale"})
_CONTRASTS = {"contr", "Treatment", "Sum", "Poly", "Helmert", "Diff"}
_COMPARED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
_SCALARS = (bool, int, float, complex, str, bytes, np.generic, type(None))
_BACKTICKS = re.compile(r"`([^`]*)`")
_SOURCES = ("patsy", "formulaic")


class _NotPlainError(Exception):
    """The factor is not known to be a function of columns row by row."""


def plain_columns(
    expression: str, columns: Collection[str], resolve: Resolve
) -> tuple[str, ...] | None:
    """Name the columns that a factor is a function of, row by row.

    Parameters
    ----------
    expression : str
        The factor, for example ``"np.log(wage)"``.
    columns : collection of str
        Columns of the data.
    resolve : callable
        From a dotted name that is no column to what it stands for; raises LookupError.

    Returns
    -------
    tuple of str or None
        Columns in the order of first mention. None where the factor looks, or may look, at other
        rows or at values outside the data: methods, functions of the caller, lags, categories.

    Notes
    -----
    Plain are columns, ``Q``, ``I``, numbers, arithmetic, comparisons, the elementwise functions of
    NumPy and SciPy (``np.ufunc``), ``np.where``, ``np.clip``, ``np.round`` and ``np.nan_to_num``;
    splines, polynomials and ``center``, ``scale``, ``standardize``, given what they learned.

    Examples
    --------
    >>> known = resolve_in({"np": np})
    >>> plain_columns("np.log(wage) * age", ["age", "wage"], known)
    ('wage', 'age')
    >>> plain_columns("wage.shift(1)", ["wage"], known) is None
    True
    """
    if expression in columns:
        return (expression,)
    try:
        found = _columns(_tree(expression), columns, resolve)
    except (_NotPlainError, SyntaxError):
        return None
    return tuple(dict.fromkeys(found)) or None


def category_column(expression: str, columns: Collection[str]) -> str | None:
    """Name the column that a factor like ``C(k)`` takes as categories; None for other factors.

    Parameters
    ----------
    expression : str
        The factor.
    columns : collection of str
        Columns of the data.

    Returns
    -------
    str or None

    Examples
    --------
    >>> category_column("C(k, Treatment('b'))", ["k"]), category_column("C(k % 2)", ["k"])
    ('k', None)
    """
    try:
        node = _tree(expression)
    except SyntaxError:
        return None
    if not (isinstance(node, ast.Call) and _is_name(node.func, "C") and node.args):
        return None
    inner = node.args[0]
    if isinstance(inner, ast.Name) and inner.id in columns:
        return inner.id
    if isinstance(inner, ast.Call) and _is_name(inner.func, "Q"):
        return next((name for name in _quoted(inner) if name in columns), None)
    return None


def inner_of_category(expression: str) -> str | None:
    """Return what a factor ``C(...)`` makes categories of; None for other factors.

    Parameters
    ----------
    expression : str
        The factor.

    Returns
    -------
    str or None

    Examples
    --------
    >>> inner_of_category("C(pd.cut(x, [0, 1]), Sum)"), inner_of_category("x")
    ('pd.cut(x, [0, 1])', None)
    """
    node = _tree(expression)
    is_category = isinstance(node, ast.Call) and _is_name(node.func, "C") and node.args
    return ast.unparse(node.args[0]) if is_category and isinstance(node, ast.Call) else None


def evaluate_plain(expression: str, values: Mapping[str, Any], resolve: Resolve) -> Any:
    """Evaluate a factor that `plain_columns` found plain; None where it had to learn first.

    Parameters
    ----------
    expression : str
        The factor.
    values : mapping of str to Series or array
        The columns.
    resolve : callable
        As for `plain_columns`.

    Returns
    -------
    Series, array or None

    Examples
    --------
    >>> evaluate_plain("I(x**2) + 1", {"x": np.array([1.0, 3.0])}, resolve_in({}))
    array([ 2., 10.])
    """
    if expression in values:
        return values[expression]
    tree = _tree(expression)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if names & LEARNED and not names & LEARNED <= set(values):
        return None
    meaning = {"Q": values.__getitem__, "I": lambda value: value}
    scope = {
        name: values[name] if name in values else meaning.get(name) or resolve(name)
        for name in names
    }
    code = compile(ast.fix_missing_locations(ast.Expression(tree)), "<factor>", "eval")
    with np.errstate(all="ignore"):
        return eval(code, {"__builtins__": {}}, scope)


def resolve_in(scope: Any) -> Resolve:
    """Return a function that finds dotted names, starting from those of a mapping.

    Parameters
    ----------
    scope : mapping of str to object
        Or anything that is indexed by names and raises KeyError, as patsy's namespaces.

    Returns
    -------
    callable

    Examples
    --------
    >>> resolve_in({"np": np})("np.log") is np.log
    True
    """

    def resolve(dotted: str) -> Any:
        root, *attributes = dotted.split(".")
        found = scope[root]
        for name in attributes:
            if not hasattr(found, name):
                raise LookupError(dotted)
            found = getattr(found, name)
        return found

    return resolve


def spoken_names(expression: str, known_functions: Collection[str]) -> tuple[str, ...]:
    """Name the variables that a factor mentions, functions and contrasts left out.

    Parameters
    ----------
    expression : str
        The factor.
    known_functions : collection of str
        Names that stand for modules where an attribute follows, such as ``np``.

    Returns
    -------
    tuple of str
        In the order of mention.

    Examples
    --------
    >>> spoken_names("C(Sum, Treatment('a'))", {"np"}), spoken_names('Q("x.1") * np.pi', {"np"})
    (('Sum',), ('x.1',))
    """
    return tuple(dict.fromkeys(_spoken(_tree(expression), known_functions)))


def _tree(expression: str) -> ast.expr:
    quoted = _BACKTICKS.sub(lambda found: f"Q({found[1]!r})", expression)
    return ast.parse(quoted.strip(), mode="eval").body


def _spoken(node: ast.AST, modules: Collection[str]) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        root = _root(node)
        return [] if root in modules else _spoken(node.value, modules)
    if isinstance(node, ast.Call):
        return _spoken_in_call(node, modules)
    if isinstance(node, ast.Lambda | ast.ListComp | ast.GeneratorExp | ast.DictComp | ast.SetComp):
        bound = {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
        bound |= {
            n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        every = (name for child in ast.iter_child_nodes(node) for name in _spoken(child, modules))
        return [name for name in every if name not in bound]
    return [name for child in ast.iter_child_nodes(node) for name in _spoken(child, modules)]


def _spoken_in_call(node: ast.Call, modules: Collection[str]) -> list[str]:
    if _is_name(node.func, "Q"):
        return list(_quoted(node))
    called = [] if isinstance(node.func, ast.Name) else _spoken(node.func, modules)
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    if not _is_name(node.func, "C"):
        return [*called, *(name for part in arguments for name in _spoken(part, modules))]
    first, *others = arguments
    contrasts = (name for part in others for name in _spoken(part, modules))
    return [*_spoken(first, modules), *(name for name in contrasts if name not in _CONTRASTS)]


def _columns(node: ast.AST, names: Collection[str], resolve: Resolve) -> list[str]:
    """List the columns below a node of a plain expression."""
    if isinstance(node, ast.Constant):
        return []
    if isinstance(node, ast.Name) and node.id in names:
        return [node.id]
    if isinstance(node, ast.Name | ast.Attribute):
        return _constant(node, names, resolve)
    if isinstance(node, ast.Call):
        return _columns_of_call(node, names, resolve)
    return [name for part in _operands(node) for name in _columns(part, names, resolve)]


def _operands(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.MatMult):
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not):
        return [node.operand]
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], _COMPARED):
        return [node.left, *node.comparators]
    raise _NotPlainError


def _constant(
    node: ast.Name | ast.Attribute, names: Collection[str], resolve: Resolve
) -> list[str]:
    """Accept a name outside the data that stands for one number or word."""
    if isinstance(_resolved(node, names, resolve), _SCALARS):
        return []
    raise _NotPlainError


def _columns_of_call(node: ast.Call, names: Collection[str], resolve: Resolve) -> list[str]:
    if _is_name(node.func, "Q") and "Q" not in names:
        found = [name for name in _quoted(node) if name in names]
        if found:
            return found
        raise _NotPlainError
    function = _resolved(node.func, names, resolve)
    if _is_elementwise(function, len(node.args)) or _is_identity(node.func, function):
        parts = [*node.args, *(keyword.value for keyword in node.keywords)]
        return [name for part in parts for name in _columns(part, names, resolve)]
    if isinstance(node.func, ast.Name) and node.func.id in LEARNED and _is_engines(function):
        return _learned_columns(node, names, resolve)
    raise _NotPlainError


def _is_elementwise(function: Any, n_arguments: int) -> bool:
    if isinstance(function, np.ufunc):
        # core dimensions mix rows, and arguments beyond the inputs are outputs
        return function.signature is None and n_arguments <= function.nin
    if function is np.where:
        return n_arguments == 3
    return any(function is known for known in (np.clip, np.round, np.nan_to_num))


def _is_identity(node: ast.expr, function: Any) -> bool:
    return _is_name(node, "I") and _is_engines(function)


def _is_engines(function: Any) -> bool:
    """Whether a function comes from patsy or formulaic, and is not the caller's of that name."""
    inner = getattr(function, "func", function)  # of a functools.partial
    return str(getattr(inner, "__module__", "")).split(".")[0] in _SOURCES


def _learned_columns(node: ast.Call, names: Collection[str], resolve: Resolve) -> list[str]:
    """Columns of a spline or polynomial: of its variable; its options may mention no others."""
    tensor = _is_name(node.func, "te")
    variables, options = (node.args, []) if tensor else (node.args[:1], node.args[1:])
    found = [name for part in variables for name in _columns(part, names, resolve)]
    rest = [*options, *(keyword.value for keyword in node.keywords)]
    mentioned = {n.id for part in rest for n in ast.walk(part) if isinstance(n, ast.Name)}
    if mentioned & set(names) - set(found):
        raise _NotPlainError
    return found


def _resolved(node: ast.expr, names: Collection[str], resolve: Resolve) -> Any:
    dotted = _dotted(node)
    if dotted is None or dotted.split(".")[0] in names:
        raise _NotPlainError
    try:
        return resolve(dotted)
    except LookupError as error:
        raise _NotPlainError from error


def _dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return None if before is None else f"{before}.{node.attr}"
    return None


def _root(node: ast.AST) -> str | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _quoted(node: ast.Call) -> tuple[str, ...]:
    return tuple(str(part.value) for part in node.args if isinstance(part, ast.Constant))
