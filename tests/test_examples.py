"""Each example runs and says what its docstring claims."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_cps71_rejects_the_quadratic_and_keeps_the_quartic():
    table = runpy.run_path(str(EXAMPLES / "cps71.py"))["main"]().set_index("degree")
    assert (table.loc[[1, 2], ["p asymptotic", "p bootstrap"]] < 0.05).all(axis=None)
    assert (table.loc[[4, 5], ["p asymptotic", "p bootstrap"]] > 0.05).all(axis=None)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_example_runs_as_a_script(path, capsys):
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out
