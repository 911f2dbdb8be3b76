"""The names that the package offers. Referee: the list below, and numpydoc's section headings."""

import importlib
import inspect
import re
import types
from pathlib import Path

import pytest

import kcm

REQUIRED = {
    "MMR",
    "RKHSIV",
    "VMM",
    "Asymptotic",
    "ComparisonRow",
    "ComparisonTable",
    "ConditionalMoment",
    "ConfidenceSet",
    "EstimationResults",
    "FittedMoment",
    "KCMTest",
    "KCMTestResult",
    "MultiplierBootstrap",
    "StudentizedNormal",
    "compare_tests",
    "datasets",
    "gram",
    "kernels",
    "specification_test",
}

SECTION = re.compile(r"^(?P<title>[A-Z][A-Za-z ]*)\n-{3,}$", re.MULTILINE)


def sections(docstring: str) -> dict[str, str]:
    """Text of each numpydoc section by its title."""
    found = list(SECTION.finditer(docstring))
    ends = [section.start() for section in found[1:]] + [len(docstring)]
    return {
        section["title"]: docstring[section.end() : end]
        for section, end in zip(found, ends, strict=True)
    }


def exported() -> dict[str, object]:
    """Public objects by name: those of kcm, and those of the modules that kcm offers."""
    here = {f"kcm.{name}": getattr(kcm, name) for name in kcm.__all__}
    modules = [value for value in here.values() if isinstance(value, types.ModuleType)]
    below = {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in modules
        for name in module.__all__
    }
    return here | below


def needs_example(value: object) -> bool:
    is_error = inspect.isclass(value) and issubclass(value, BaseException)
    return (inspect.isclass(value) or callable(value)) and not is_error


DOCUMENTED = {name: value for name, value in exported().items() if needs_example(value)}


def test_sections_are_read():
    text = "Summary.\n\nNotes\n-----\nOne.\n\nExamples\n--------\n>>> 1\n1\n"
    assert sections(text) == {"Notes": "\nOne.\n\n", "Examples": "\n>>> 1\n1\n"}


def test_names_are_sorted():
    # acronyms first, as ruff has it
    assert list(kcm.__all__) == sorted(kcm.__all__, key=lambda name: (not name.isupper(), name))


def test_required_names_are_offered():
    assert set(kcm.__all__) >= REQUIRED


@pytest.mark.parametrize("name", ["datasets", "gram", "kernels"])
def test_submodules_are_modules(name: str):
    assert getattr(kcm, name) is importlib.import_module(f"kcm.{name}")


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstring_has_an_example(name: str):
    docstring = inspect.getdoc(DOCUMENTED[name]) or ""
    assert ">>> " in sections(docstring).get("Examples", "")


def test_every_name_is_in_the_reference():
    page = Path(__file__).parent.parent / "docs" / "api.md"
    listed = {f"kcm.{line.strip()}" for line in page.read_text(encoding="utf-8").splitlines()}
    assert not {name for name, value in exported().items() if callable(value)} - listed


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if inspect.isclass(DOCUMENTED[name])])
def test_methods_are_documented(name: str):
    # getdoc also finds the docstring of the method that is overridden.
    cls = DOCUMENTED[name]
    own = {key for base in cls.__mro__ for key in vars(base) if base.__module__.startswith("kcm")}
    missing = {
        key
        for key in own
        if not key.startswith("_")
        and not inspect.getdoc(getattr(cls, key))
        and not re.search(rf"\b{key}\b", cls.__doc__ or "")
    }
    assert not missing
