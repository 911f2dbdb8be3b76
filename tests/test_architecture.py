"""The shape of the code. Referee: its syntax tree, and a fresh interpreter."""

import ast
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kcm

PACKAGE = Path(kcm.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# Each row may import only from the rows above it. specification stands above the adapters because
# specification_test hands a fitted model to them.
ROWS = (
    ("exceptions", "_typing"),
    ("_arrays", "_optional", "_options", "_progress", "_records", "_variation"),
    ("data", "datasets"),
    ("kernels",),
    ("gram",),
    ("moments",),
    ("statistic",),
    ("null",),
    ("adapters", "reporting"),
    ("embedding",),
    ("specification",),
    ("comparison", "estimators"),
    ("simulation",),
    ("__init__",),
    ("commands",),
    ("cli",),
)
ROW = {unit: row for row, units in enumerate(ROWS) for unit in units}

# It is an estimator of scikit-learn, which is loaded where it is asked for.
BEHIND_DOORS = {"kcm.estimators.rkhs_iv"}

# scipy for the distances of a bandwidth rule; JAX itself requires it.
ARRAY_PACKAGES = {"equinox", "jax", "jaxtyping", "numpy", "scipy"}
LAZY_PACKAGES = ("statsmodels", "linearmodels", "formulaic", "matplotlib", "polars", "sklearn")

# All of the library but RKHSIV, which is an estimator of scikit-learn; and one call of the command.
EVERY_NAME = "import kcm\nfor name in {*kcm.__all__} - {'RKHSIV'}: getattr(kcm, name)"
COMMAND = "from kcm.cli import main; main(['test', 'logwage ~ age', '--data', 'cps71'])"


def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def module_name(file: Path) -> str:
    """Dotted name: kcm/kernels/__init__.py is kcm.kernels, kcm/gram.py is kcm.gram."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def unit(module: str) -> str:
    """Row entry of a module: kcm.kernels.base is kernels, kcm itself is __init__."""
    return [*module.split("."), "__init__"][1]


def imported(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Absolute names of everything that a tree imports, inside functions too."""
    parent = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = parent[: len(parent) - node.level + 1] if node.level else []
            base = ".".join(above + ([node.module] if node.module else []))
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_of(file: Path) -> list[str]:
    return list(imported(parse(file), module_name(file), file.name == "__init__.py"))


def modules_imported_from(file: Path) -> set[str]:
    """Modules of kcm from which names are imported, as in ``from kcm.null import Null``."""
    found = nodes(file, ast.ImportFrom)
    return {node.module for node in found if node.module and node.module.startswith("kcm.")}


def imported_units(names: list[str]) -> set[str]:
    """Row entries among imported names; ``from kcm import __version__`` is an import of kcm."""
    units = {unit(name) for name in names if name.split(".")[0] == "kcm"}
    return {name if name in ROW else "__init__" for name in units}


def nodes(file: Path, kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[ast.AST]:
    return (node for node in ast.walk(parse(file)) if isinstance(node, kind))


def in_python(program: str) -> str:
    """Output of a program in a fresh interpreter, without the set-up of the tests."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


for_each_file = pytest.mark.parametrize("file", FILES, ids=module_name)


class TestImportOrder:
    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("import kcm.null.asymptotic", {"null"}),
            ("from kcm import specification", {"specification"}),
            ("from kcm import __version__", {"__init__"}),
            ("from .base import Kernel", {"kernels"}),
            ("from ..specification import KCMTest", {"specification"}),
            ("from .. import cli", {"cli"}),
            ("def f():\n    from kcm.adapters import adapt", {"adapters"}),
            ("import numpy as np", set()),
        ],
    )
    def test_imports_are_recognised(self, source: str, expected: set[str]):
        names = list(imported(ast.parse(source), "kcm.kernels.stationary", is_package=False))
        assert imported_units(names) == expected

    def test_every_module_has_a_row(self):
        assert {unit(module_name(file)) for file in FILES} <= set(ROW)

    @for_each_file
    def test_only_rows_above_are_imported(self, file: Path):
        own = unit(module_name(file))
        others = imported_units(imports_of(file)) - {own}
        assert not {other for other in others if ROW[other] >= ROW[own]}

    @for_each_file
    def test_a_room_is_entered_by_its_door(self, file: Path):
        own = unit(module_name(file))
        others = [
            name
            for name in modules_imported_from(file)
            if unit(name) not in (own, "__init__") and name.count(".") > 1
        ]
        assert own == "__init__" or not set(others) - BEHIND_DOORS

    def test_every_room_says_what_it_is(self):
        rooms = [file for file in FILES if file.name == "__init__.py" and file.parent != PACKAGE]
        assert all(ast.get_docstring(parse(room)) for room in rooms)

    @pytest.mark.parametrize(
        "file",
        [file for file in FILES if unit(module_name(file)) in ("kernels", "gram")],
        ids=module_name,
    )
    def test_kernels_and_gram_import_arrays_only(self, file: Path):
        roots = {name.split(".")[0] for name in imports_of(file)}
        assert roots <= ARRAY_PACKAGES | {"kcm"} | sys.stdlib_module_names


class TestSource:
    @for_each_file
    def test_no_class_is_taken_for_a_test(self, file: Path):
        names = [node.name for node in nodes(file, ast.ClassDef)]
        assert not [name for name in names if name.startswith("Test")]

    @for_each_file
    def test_public_definitions_have_docstrings(self, file: Path):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        public = [
            node
            for node in parse(file).body
            if isinstance(node, kinds) and not node.name.startswith("_")
        ]
        assert not [node.name for node in public if not ast.get_docstring(node)]

    @for_each_file
    def test_no_assert(self, file: Path):
        assert not [node.lineno for node in nodes(file, ast.Assert)]

    @for_each_file
    def test_no_bare_except(self, file: Path):
        assert not [node.lineno for node in nodes(file, ast.ExceptHandler) if node.type is None]

    @for_each_file
    def test_jax_configuration_is_left_alone(self, file: Path):
        calls = [ast.unparse(node.func) for node in nodes(file, ast.Call)]
        targets = [
            ast.unparse(target) for node in nodes(file, ast.Assign) for target in node.targets
        ]
        assert not [call for call in calls if call.endswith("config.update")]
        assert not [target for target in targets if target.startswith("jax.config")]


class TestClasses:
    def test_only_abstract_classes_are_subclassed(self):
        classes = public_classes()
        parents = {base for cls in classes for base in cls.__bases__} & classes
        assert not {cls.__name__ for cls in parents if not is_abstract(cls)}


def public_classes() -> set[type]:
    """Classes that are defined in kcm, apart from the exceptions."""
    modules = [importlib.import_module(module_name(file)) for file in FILES]
    found = {
        cls
        for module in modules
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module.__name__
    }
    return {cls for cls in found if not issubclass(cls, BaseException)}


def is_abstract(cls: type) -> bool:
    return inspect.isabstract(cls) or getattr(cls, "_is_protocol", False)


def loaded_by(program: str) -> set[str]:
    """Modules in memory after a program that runs in a fresh interpreter."""
    told = in_python(f"{program}\nimport json, sys; print(); print(json.dumps(list(sys.modules)))")
    return set(json.loads(told.splitlines()[-1]))


# Program -> what it must not load.
SPARED = {
    "import kcm": ("numpy", "jax", "equinox", "jaxtyping", "pandas", "scipy", "narwhals"),
    "import kcm.cli": ("numpy", "jax", "pandas"),
    EVERY_NAME: LAZY_PACKAGES,
    "import kcm; kcm.kernels.Gaussian(1.0)": ("pandas", "scipy.spatial", "scipy.special"),
    "import kcm; kcm.KCMTest(null=kcm.MultiplierBootstrap())": ("scipy.optimize", "kcm.estimators"),
    COMMAND: (
        "kcm.estimators",
        "linearmodels",
        "matplotlib",
        "sklearn",
        "statsmodels.api",
        "statsmodels.formula.api",
        "statsmodels.tsa",
    ),
}


class TestImport:
    @pytest.mark.parametrize("program", SPARED)
    def test_nothing_is_imported_that_is_not_needed(self, program: str):
        assert not loaded_by(program) & set(SPARED[program])

    def test_names_are_listed_before_they_are_imported(self):
        program = "import kcm; print({*kcm.__all__} <= {*dir(kcm)}, 'kcm.estimators' in dir(kcm))"
        assert in_python(program).split() == ["True", "False"]

    def test_type_checkers_see_the_names_that_are_imported_later(self):
        seen = set(imports_of(PACKAGE / "__init__.py"))
        assert seen >= {place.replace(":", ".") for place in kcm._PLACES.values()}

    def test_jax_configuration_does_not_change(self):
        program = f"""
import jax
before = dict(jax.config.values)
{EVERY_NAME}
after = dict(jax.config.values)
print({{key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}})
"""
        assert in_python(program).strip() == "set()"

    def test_no_device_is_touched(self):
        # JAX has no public way to ask whether a device was initialised, and live_arrays() itself
        # initialises one: hence the private name, read before the public call.
        program = f"""
{EVERY_NAME}
import jax
from jax._src import xla_bridge
print(len(xla_bridge._backends), len(jax.live_arrays()))
"""
        assert in_python(program).split() == ["0", "0"]
