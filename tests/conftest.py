"""Set-up of every test: checked annotations, strict JAX, and the shared fixtures."""

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import pytest
from jaxtyping import config as annotations
from jaxtyping import install_import_hook

# What one process compiles the others read: workers, later modules and the processes of tests need
# the same programs. JAX takes the folder from the environment when it is imported.
OWN_PROGRAMS = None
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    OWN_PROGRAMS = tempfile.mkdtemp(prefix="kcm-programs-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = OWN_PROGRAMS
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import jax  # noqa: E402

REFERENCE = Path(__file__).parent / "reference"
MOST_MAPS = 30_000
# Annotations are checked in so many cases of a test; they say the same of all cases.
CHECKED_CASES = 2
CHECKED = pytest.StashKey[bool]()
CHECKING = not annotations.jaxtyping_disable

# An implicit broadcast or an implicit change of precision is an error in the tests. jax_enable_x64
# stays at its default (off): the library has to give double precision by itself.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# The first call of a function compiles it, so the time of one example says nothing.
hypothesis.settings.register_profile("kcm", deadline=None, derandomize=True, max_examples=40)
hypothesis.settings.load_profile("kcm")


def read_reference(path: str) -> Any:
    """Content of a file in tests/reference: a CSV as a DataFrame, a JSON file parsed.

    It is read anew at every call, so that no test sees what another one did to it, and a column's
    ``to_numpy()`` is read-only.
    """
    file = REFERENCE / path
    if file.suffix == ".json":
        return json.loads(file.read_text(encoding="utf-8"))
    return pd.read_csv(file)


@pytest.fixture(scope="session")
def reference() -> Callable[[str], Any]:
    """``reference("cps71_expected.csv")``: the numbers of another program, see its README."""
    return read_reference


@pytest.fixture
def rng() -> np.random.Generator:
    """Give the same generator, freshly seeded, to every test."""
    return np.random.default_rng(20200802)


@pytest.fixture(autouse=True, scope="module")
def forgotten_programs() -> Iterator[None]:
    """Forget what modules of tests compiled before there is no room for more.

    Each program holds memory maps, of which Linux grants a process 65,530; beyond, JAX crashes.
    """
    yield
    maps = Path("/proc/self/maps")
    if not maps.exists() or maps.read_text().count("\n") > MOST_MAPS:
        jax.clear_caches()


def pytest_configure(config: pytest.Config) -> None:
    """Check the annotations of kcm, but where time is measured or takes hours.

    The hook only reaches modules that are imported after it.
    """
    if config.option.markexpr not in ("performance", "study"):
        install_import_hook("kcm", "beartype.beartype")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Let workers take tests from each other; without workers pytest-benchmark objects to it."""
    if config.getoption("numprocesses", None) and config.option.dist == "no":
        config.option.dist = "worksteal"


def pytest_unconfigure() -> None:
    """Remove the compiled programs, where this process made their folder."""
    if OWN_PROGRAMS is not None:
        shutil.rmtree(OWN_PROGRAMS, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Check every annotation at every call in the first cases of a test."""
    if annotations.jaxtyping_disable == item.stash[CHECKED]:
        annotations.update("jaxtyping_disable", not item.stash[CHECKED])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Choose where annotations are checked; mark whatever lies in tests/performance as a timing."""
    cases = Counter[str]()
    for item in items:
        name = item.nodeid.split("[")[0]
        cases[name] += 1
        few_calls = item.get_closest_marker("many_calls") is None
        item.stash[CHECKED] = few_calls and cases[name] <= CHECKED_CASES and CHECKING
        if "performance" in item.path.relative_to(Path(__file__).parent).parts:
            item.add_marker(pytest.mark.performance)
