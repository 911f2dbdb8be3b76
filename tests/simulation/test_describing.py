"""What a design refers to is told apart. Referee: two designs that differ in one number."""

import sys
import types

import pytest

from kcm.simulation.describing import described

HEAD = """
import enum, functools
from typing import NamedTuple
import numpy as np, pandas as pd
from scipy.interpolate import CubicSpline
"""
DESIGN = """
def design(rng, n, size):
    return size * {}
"""
WRAPPER = """
def around(f):
    @functools.wraps(f)
    def wrapper(rng, n, size):
        return f(rng, n, size * A)
    return wrapper
@around
"""
# What a design refers to, and how: A is another number in each of two programs.
HELD = {
    "constant": ("", "A"),
    "class attribute": ("class C:\n    scale = A\n", "C.scale"),
    "attribute set afterwards": ("class C:\n    pass\nC.scale = A\n", "C.scale"),
    "enumeration": ("class C(enum.Enum):\n    SCALE = A\n", "C.SCALE.value"),
    "property": ("class C:\n    @property\n    def s(self):\n        return A\nc = C()\n", "c.s"),
    "base class": (
        "class B:\n    def s(self):\n        return A\nclass C(B):\n    pass\nc = C()\n",
        "c.s()",
    ),
    "class method": (
        "class C:\n    @classmethod\n    def s(cls):\n        return A\n",
        "C.s()",
    ),
    "wrapper": (WRAPPER.strip() + "\n", "1"),
    "spline": ("c = CubicSpline([0.0, 1.0, 2.0], [A, A, A])\n", "float(c(1.0))"),
    "index of a Series": ("c = pd.Series([1.0], index=[A])\n", "c.index[0]"),
    "words of one's own": (
        "class C:\n    def __init__(self, a):\n        self.a = a\n"
        "    def __repr__(self):\n        return 'C'\nc = C(A)\n",
        "c.a",
    ),
    "method of a named tuple": (
        "class C(NamedTuple):\n    a: int = 1\n    def s(self):\n        return A\nc = C()\n",
        "c.s()",
    ),
    "cached property": (
        "class C:\n    @functools.cached_property\n    def s(self):\n        return A\nc = C()\n",
        "c.s",
    ),
    "array": ("c = np.array([0.0, A])\n", "c[1]"),
}


def words(held: str, value: str, number: float) -> str:
    space = {"__name__": "own_designs", "A": number}
    design = DESIGN.format(value).strip() + "\n"
    exec(compile(HEAD + held + design, "<own designs>", "exec"), space)
    return described(space["design"], "design")


@pytest.mark.parametrize("kind", HELD)
def test_another_number_is_another_design(kind):
    assert words(*HELD[kind], 0.0) != words(*HELD[kind], 3.0)


@pytest.mark.parametrize("kind", HELD)
def test_the_same_number_is_the_same_design(kind):
    assert words(*HELD[kind], 3.0) == words(*HELD[kind], 3.0)


def test_the_body_of_a_wrapper_belongs_to_it():
    held, value = HELD["wrapper"]
    assert words(held, value, 3.0) != words(held.replace("size * A", "A"), value, 3.0)


@pytest.mark.parametrize(
    "design",
    [
        "import own_package.helpers\ndef design(rng, n, size):\n"
        "    return size * own_package.helpers.scale()\n",
        "def design(rng, n, size):\n    import own_helpers\n"
        "    return size * own_helpers.scale()\n",
        "def design(rng, n, size):\n    from own_helpers import scale\n    return size * scale()\n",
    ],
    ids=["module of a package", "imported within", "from a module within"],
)
def test_modules_of_ones_own(design, monkeypatch):
    found = []
    for number in (1.5, 2.5):
        package, inner, helpers = map(
            types.ModuleType, ("own_package", "own_package.helpers", "own_helpers")
        )
        for module in (inner, helpers):
            module.__file__ = "/nowhere/own.py"
            exec(f"A = {number}\ndef scale():\n    return A\n", vars(module))
        package.__file__, package.helpers = "/nowhere/__init__.py", inner
        for module in (package, inner, helpers):
            monkeypatch.setitem(sys.modules, module.__name__, module)
        space = {"__name__": "own_designs"}
        exec(compile(design, "<own designs>", "exec"), space)
        found.append(described(space["design"], "design"))
    assert found[0] != found[1]
