"""Formulas that come from a shell or a file: read as data, so that nothing else can be run."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

from kcm._options import did_you_mean
from kcm.data.formulas import factor_texts
from kcm.exceptions import OptionError

__all__ = ["FUNCTIONS", "Factor", "check_plain", "read_factors"]

_UNARY = ("log", "log1p", "exp", "expm1", "sqrt", "abs")
_CONTRASTS = ("Treatment", "Sum", "Poly", "Helmert", "Diff")
_SCALES = ("scale", "center", "standardize")
_SPLINES = ("bs", "cr", "cc")
_SHIFTS = ("lag", "diff")

# The functions that may be called, as they are written.
FUNCTIONS = (
    *(f"np.{name}" for name in (*_UNARY, "power", "where")),
    *(*_SCALES, "poly", *_SPLINES, "C", *_CONTRASTS, "Q", "I", *_SHIFTS),
)
_OPERATORS = (
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow),
    *(ast.BitAnd, ast.BitOr, ast.USub, ast.UAdd, ast.Invert),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE),
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_CALLED = re.compile(r"([^\W\d][\w.]*)\s*\(")
_CALLING = re.compile(r"[\w.]\s*$")
_ORDER = re.compile(r"\*\*\s*\(?\s*\+?(\d+)")
_FORM = "Write it like 'y ~ x1 + x2', of columns, numbers, operators and listed functions."
# More characters, or basis functions, are no formula that a person writes.
_LONGEST = 10_000
_LARGEST = 1_000
# Higher degrees cancel in double precision, and exhaust memory or the stack of their evaluation.
_HIGHEST_DEGREE = 25
# Interactions of more terms take minutes to expand.
_HIGHEST_ORDER = 6


class Factor(NamedTuple):
    """One factor of a formula: its text, the columns that it mentions, and what it does to them.

    Parameters
    ----------
    text : str
    columns : tuple of str
        In the order in which the text mentions them.
    is_category : bool
        Whether it is a call of ``C``.
    shifts : bool
        Whether it looks at other rows, by ``lag`` or ``diff``.

    Examples
    --------
    >>> read_factors("y ~ np.log(x) + lag(z)", "regressors")[-1]
    Factor(text='lag(z)', columns=('z',), is_category=False, shifts=True)
    """

    text: str
    columns: tuple[str, ...]
    is_category: bool
    shifts: bool


def read_factors(formula: str, side: str) -> tuple[Factor, ...]:
    """Return the factors of one side of a formula.

    Parameters
    ----------
    formula : str
    side : {"response", "regressors", "conditioning"}
        As for `kcm.data.formula_variables`.

    Returns
    -------
    tuple of Factor

    Raises
    ------
    OptionError
        When the formula cannot be read, or holds anything but columns, numbers, operators and
        calls of `FUNCTIONS`.

    Examples
    --------
    >>> [factor.columns for factor in read_factors('y ~ Q("a b") + I(u * v)', "regressors")]
    [(), ('a b',), ('u', 'v')]
    """
    _check_text(formula)
    try:
        texts = factor_texts(formula, side)
    except RecursionError as error:
        raise OptionError(
            f"`formula` is nested too deeply: {formula[:200]!r}. Make columns of its parts "
            "beforehand."
        ) from error
    return tuple(_read(text, formula) for text in texts)


def check_plain(formula: str) -> None:
    """Refuse a formula that holds anything but columns, numbers, operators and listed functions.

    Every factor is looked at as the packages that evaluate it will read it: formulaic and patsy.

    Parameters
    ----------
    formula : str
        What is fitted: without a ``|``.

    Raises
    ------
    OptionError

    Examples
    --------
    >>> check_plain("y ~ np.log(x) + C(group)")
    """
    for side in ("response", "regressors"):
        read_factors(formula, side)
    for text in _factors_of_patsy(formula):
        _read(text, formula)


def _factors_of_patsy(formula: str) -> tuple[str, ...]:
    try:
        from patsy import ModelDesc, PatsyError
    except ImportError:  # statsmodels then evaluates by formulaic
        return ()
    try:
        described = ModelDesc.from_formula(formula)
    except PatsyError as error:
        reason = str(error).partition("\n")[0]
        raise OptionError(
            f"`formula` could not be read: {reason}; got {formula!r}. {_FORM}"
        ) from error
    terms = (*described.lhs_termlist, *described.rhs_termlist)
    return tuple(factor.code for term in terms for factor in term.factors)


def _check_text(formula: str) -> None:
    if len(formula) > _LONGEST:
        raise OptionError(
            f"`formula` has {len(formula):,} characters, and {_LONGEST:,} are the most; make the "
            "columns beforehand."
        )
    for mark, instead in {"`": "Q('price ($)')", "{": "I(...)", "\\": "another name"}.items():
        if mark in formula:
            raise OptionError(
                f"the formula {formula!r} holds the character {mark!r}, which formulas from the "
                f"shell and from files may not hold; write {instead} instead."
            )
    for order in _orders_of_interactions(_QUOTED.sub("''", formula)):
        if order > _HIGHEST_ORDER:
            raise OptionError(
                f"the formula {formula!r} asks for the interactions of up to {order:,} terms, and "
                f"{_HIGHEST_ORDER} are the most; name those that you mean, or write I(x**2) for "
                "the power of a column."
            )
    for name in _CALLED.findall(_QUOTED.sub("''", formula)):
        if name not in FUNCTIONS:  # also where terms cancel
            _refuse(name, formula, "calls", did_you_mean(name, FUNCTIONS))


def _orders_of_interactions(formula: str) -> Iterator[int]:
    """Yield the numbers behind each ``**`` that stands in no call, where it multiplies terms."""
    calls: list[bool] = []
    for place, letter in enumerate(formula):
        if letter == "(":
            calls.append(_CALLING.search(formula[:place]) is not None)
        elif letter == ")" and calls:
            calls.pop()
        elif not any(calls) and (order := _ORDER.match(formula, place)):
            yield int(order[1])


def _read(text: str, formula: str) -> Factor:
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        columns = tuple(dict.fromkeys(_columns(tree, formula)))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, OptionError):
            raise
        raise OptionError(
            f"`formula` could not be read at {text[:60]!r}; got {formula[:200]!r}. {_FORM}"
        ) from error
    called = [_function_name(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    is_category = isinstance(tree, ast.Call) and _function_name(tree) == "C"
    return Factor(text, columns, is_category, any(name in _SHIFTS for name in called))


def _refuse(node: ast.AST | str, formula: str, told: str, end: str = ".") -> NoReturn:
    text = node if isinstance(node, str) else ast.unparse(node)
    raise OptionError(
        f"the formula {formula!r} {told} `{text[:60]}`{end} A formula from the shell or "
        "from a file is data, not code: it may hold columns, numbers, operators and the functions "
        f"{', '.join(FUNCTIONS)}. Make the column beforehand, or fit the model in Python."
    )


def _columns(node: ast.AST, formula: str) -> Iterator[str]:
    """Yield the columns of an expression, and refuse what is none."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Constant) and _is_number(node.value):
        return
    elif isinstance(node, ast.UnaryOp | ast.BinOp) and isinstance(node.op, _OPERATORS):
        yield from _of_operation(node, formula)
    elif isinstance(node, ast.Compare) and all(isinstance(op, _OPERATORS) for op in node.ops):
        for side in (node.left, *node.comparators):
            if not _is_text(side):
                yield from _columns(side, formula)
    elif isinstance(node, ast.Call):
        yield from _of_call(node, formula)
    elif isinstance(node, ast.Attribute):
        _refuse(node, formula, "reads the attribute")
    elif isinstance(node, ast.Subscript):
        _refuse(node, formula, "takes a part by")
    else:
        _refuse(node, formula, "holds")


def _of_operation(node: ast.UnaryOp | ast.BinOp, formula: str) -> Iterator[str]:
    sides = (node.operand,) if isinstance(node, ast.UnaryOp) else (node.left, node.right)
    columns = [name for side in sides for name in _columns(side, formula)]
    if isinstance(node.op, ast.Pow) and not columns:  # 9**9**9 would not end
        _refuse(node, formula, "holds the power of numbers")
    yield from columns


def _of_call(node: ast.Call, formula: str) -> Iterator[str]:
    name = _function_name(node)
    if name not in FUNCTIONS or name in _CONTRASTS:
        _refuse(node.func, formula, "calls")
    _check_written_out(node, formula)
    yield from _ARGUMENTS[name](node, formula)


def _function_name(node: ast.Call) -> str:
    function = node.func
    if isinstance(function, ast.Name):
        return function.id
    named = isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)
    return ast.unparse(function) if named else ""


def _check_written_out(node: ast.Call, formula: str) -> None:
    if any(isinstance(a, ast.Starred) for a in node.args) or None in _keywords(node):
        _refuse(node, formula, "unpacks arguments in")


def _keywords(node: ast.Call) -> dict[str | None, ast.expr]:
    return {keyword.arg: keyword.value for keyword in node.keywords}


def _of_exactly(n: int) -> Callable[[ast.Call, str], Iterator[str]]:
    """Return the reader of a function of n columns, which takes nothing else (no ``out=``)."""

    def columns(node: ast.Call, formula: str) -> Iterator[str]:
        if len(node.args) != n or node.keywords:
            _refuse(node, formula, f"gives {_function_name(node)} other than {n} argument(s):")
        for argument in node.args:
            if not (n == 3 and _is_text(argument)):
                yield from _columns(argument, formula)

    return columns


def _with_constants(node: ast.Call, formula: str) -> Iterator[str]:
    """Read a function of one column, and numbers, words and lists of these."""
    if not node.args:
        _refuse(node, formula, "needs a column in")
    for value in (*node.args[1:], *_keywords(node).values()):
        _check_constant(value, node, formula)
    _check_degree(node, formula)
    yield from _columns(node.args[0], formula)


def _check_degree(node: ast.Call, formula: str) -> None:
    """Refuse the degree of a polynomial, or of a spline, that no data determine."""
    name = _function_name(node)
    place = {"poly": 1, "bs": 3}.get(name)
    degree = _keywords(node).get("degree")
    if degree is None and place is not None and len(node.args) > place:
        degree = node.args[place]
    if degree is None:
        return
    number = ast.literal_eval(degree)
    least = 1 if name == "poly" else 0
    if type(number) is not int or not least <= number <= _HIGHEST_DEGREE:
        _refuse(node, formula, f"gives a degree that is not {least} to {_HIGHEST_DEGREE} in")


def _of_shift(node: ast.Call, formula: str) -> Iterator[str]:
    rows = [*node.args[1:], *_keywords(node).values()]
    steps = [value.value for value in rows if isinstance(value, ast.Constant)]
    whole = all(type(step) is int and step >= 1 for step in steps)
    if len(node.args) not in (1, 2) or len(rows) > 1 or len(steps) < len(rows) or not whole:
        _refuse(node, formula, "must give a column, and a number of rows of at least 1, in")
    if isinstance(node.args[0], ast.Call) and _function_name(node.args[0]) == "C":
        _refuse(node, formula, "must be written C(lag(...)), not lag(C(...)), for")
    yield from _columns(node.args[0], formula)


def _of_quote(node: ast.Call, formula: str) -> Iterator[str]:
    if len(node.args) != 1 or node.keywords or not _is_text(node.args[0]):
        _refuse(node, formula, "must give the name of one column in quotes in")
    yield ast.literal_eval(node.args[0])


def _of_category(node: ast.Call, formula: str) -> Iterator[str]:
    if not node.args:
        _refuse(node, formula, "needs a column in")
    for value in (*node.args[1:], *_keywords(node).values()):
        if isinstance(value, ast.Name) and value.id in _CONTRASTS:
            continue
        if isinstance(value, ast.Call) and _function_name(value) in _CONTRASTS:
            _check_written_out(value, formula)
            for inner in (*value.args, *_keywords(value).values()):
                _check_constant(inner, node, formula)
            continue
        _check_constant(value, node, formula)
    yield from _columns(node.args[0], formula)


def _check_constant(value: ast.expr, call: ast.Call, formula: str) -> None:
    parts: Iterable[Any] = value.elts if isinstance(value, ast.List | ast.Tuple) else (value,)
    for part in parts:
        inner = part.operand if _is_sign(part) else part
        if not isinstance(inner, ast.Constant) or isinstance(inner.value, bytes | complex):
            _refuse(value, formula, f"gives `{_function_name(call)}` what is no number or word:")
        if type(inner.value) is int and _function_name(call) in (*_SPLINES, "poly"):
            _check_size(inner.value, call, formula)


def _check_size(number: int, call: ast.Call, formula: str) -> None:
    if number > _LARGEST:
        _refuse(call, formula, f"has a number above {_LARGEST:,} in")


def _is_sign(node: ast.AST) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


_ARGUMENTS: MappingProxyType[str, Callable[[ast.Call, str], Iterator[str]]] = MappingProxyType(
    {
        **{f"np.{name}": _of_exactly(1) for name in _UNARY},
        "np.power": _of_exactly(2),
        "np.where": _of_exactly(3),
        "I": _of_exactly(1),
        "Q": _of_quote,
        "C": _of_category,
        **dict.fromkeys((*_SCALES, *_SPLINES, "poly"), _with_constants),
        **dict.fromkeys(_SHIFTS, _of_shift),
    }
)
