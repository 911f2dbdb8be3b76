"""Whatever the documents and docstrings show is run. Referee: the text itself."""

import ast
import doctest
import importlib
import io
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import kcm

pytestmark = pytest.mark.many_calls

ROOT = Path(__file__).parent.parent
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS

FENCE = re.compile(r"^```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
SHELL = ("bash", "console", "sh", "shell")
DIRECTIVES = ("{bibliography}", "{eval-rst}", "{image}", "{include}", "{math}", "{toctree}")
KNOWN = ("python", "text", *SHELL, *DIRECTIVES)


class Block(NamedTuple):
    """One fenced block of a document."""

    language: str
    text: str
    line: int


def blocks(source: str) -> list[Block]:
    """Fenced blocks of a Markdown text with the line that each begins on."""
    return [
        Block(found["language"], found["text"], source.count("\n", 0, found.start("text")))
        for found in FENCE.finditer(source)
    ]


def commands(text: str) -> list[str]:
    """Calls of kcm in a shell block, also after ``&&``; a backslash continues a line."""
    lines = text.replace("\\\n", " ").splitlines()
    parts = [part.strip() for line in lines for part in line.removeprefix("$ ").split("&&")]
    return [part for part in parts if part.startswith("kcm ")]


def document_id(file: Path) -> str:
    return str(file.relative_to(ROOT))


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCKS = {file: blocks(file.read_text(encoding="utf-8")) for file in DOCUMENTS}
WITH_PYTHON = [file for file in DOCUMENTS if any(b.language == "python" for b in BLOCKS[file])]
COMMANDS = [
    pytest.param(command, id=f"{document_id(file)}:{block.line}-{number}")
    for file in DOCUMENTS
    for block in BLOCKS[file]
    if block.language in SHELL
    for number, command in enumerate(commands(block.text), start=1)
]
MODULES = sorted(
    [kcm.__name__, *(found.name for found in pkgutil.walk_packages(kcm.__path__, "kcm."))]
)


def run_block(block: Block, file: Path, namespace: dict[str, Any]) -> None:
    """Run a block in the namespace of its document; one with prompts is a doctest."""
    if ">>> " in block.text:
        parsed = doctest.DocTestParser().get_doctest(block.text, {}, file.name, file, block.line)
        run_doctests([parsed], namespace)
    else:
        # The empty lines let a traceback name the line of the document.
        exec(compile("\n" * block.line + block.text, str(file), "exec"), namespace)


def run_doctests(tests: list[doctest.DocTest], namespace: dict[str, Any] | None = None) -> int:
    """Run doctests, in one shared namespace if there is one, and count their examples."""
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    for test in tests:
        test.globs = test.globs if namespace is None else namespace
        runner.run(test, out=report.write, clear_globs=namespace is None)
    assert runner.failures == 0, report.getvalue()
    return runner.tries


class TestReading:
    def test_blocks_are_found_with_their_lines(self):
        source = "# A\n\n```python\nx = 1\n```\n\n```text\nkcm no\n```\n"
        assert blocks(source) == [Block("python", "x = 1\n", 3), Block("text", "kcm no\n", 7)]

    def test_commands_are_found(self):
        text = "$ kcm test a\npython -m pip install -e . && kcm test b \\\n  --json\nls\n"
        assert [shlex.split(found) for found in commands(text)] == [
            ["kcm", "test", "a"],
            ["kcm", "test", "b", "--json"],
        ]

    def test_a_failing_doctest_fails(self):
        parsed = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "name", "file", 0)
        with pytest.raises(AssertionError, match="Expected"):
            run_doctests([parsed])


class TestDocuments:
    @pytest.mark.parametrize("file", DOCUMENTS, ids=document_id)
    def test_every_block_says_what_it_is(self, file: Path):
        assert not [block for block in BLOCKS[file] if block.language not in KNOWN]

    def test_readme_shows_python_and_a_command(self):
        assert ROOT / "README.md" in WITH_PYTHON
        assert any(str(command.id).startswith("README.md:") for command in COMMANDS)

    def test_readme_shows_what_its_first_command_prints(self, capsys: pytest.CaptureFixture[str]):
        readme = BLOCKS[ROOT / "README.md"]
        command = next(found for block in readme for found in commands(block.text))
        shown = next(block.text for block in readme if block.language == "text")
        cli = importlib.import_module("kcm.cli")
        assert cli.main(shlex.split(command)[1:]) == 0
        assert capsys.readouterr().out.strip() == shown.strip()

    @pytest.mark.parametrize("file", WITH_PYTHON, ids=document_id)
    def test_python_runs(self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(tmp_path)
        namespace: dict[str, Any] = {"__name__": "__main__"}
        for block in BLOCKS[file]:
            if block.language == "python":
                run_block(block, file, namespace)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_commands_run(
        self,
        command: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ):
        cli = importlib.import_module("kcm.cli")
        monkeypatch.chdir(tmp_path)
        assert cli.main(shlex.split(command)[1:]) == 0
        assert capsys.readouterr().out


def documented_examples(module: Any) -> int:
    """Number of prompts in the docstrings of a module, counted in its source."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    return sum(docstring.count(">>> ") for docstring in docstrings(tree))


def docstrings(tree: ast.Module) -> Iterator[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds):
            yield ast.get_docstring(node) or ""


class TestDocstrings:
    @pytest.mark.parametrize("name", MODULES)
    def test_examples_run(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        module = importlib.import_module(name)
        monkeypatch.chdir(tmp_path)
        # The count sees to it that a decorator does not hide an example from doctest.
        assert run_doctests(doctest.DocTestFinder().find(module)) == documented_examples(module)
