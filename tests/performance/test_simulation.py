"""Time and memory of studies.

python -m pytest -m performance tests/performance/test_simulation.py -s
"""

import subprocess
import sys

import pytest
from performance.timing import print_table, seconds

import kcm
from kcm.simulation import SimulationStudy

MEMORY = """
import resource, sys
sys.path.insert(0, {tests!r})
import study_designs
from kcm.simulation import SimulationStudy

procedures = {{"uniform": study_designs.uniform}}
study = SimulationStudy(study_designs.quadratic, procedures, 10, None, {replications})
study.run(n_jobs=1, progress=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_a_thousand_replications():
    """OLS with d = 5 at n = 200, eigenvalues of each: under 10 s on two idle cores."""
    study = SimulationStudy("linear", {"KCM": kcm.KCMTest()}, 200, {"d": 5}, 1_000)
    rows = [[str(n), seconds(lambda n=n: study.run(n_jobs=n, progress=False))] for n in (1, 2, 2)]
    print_table("1,000 replications of KCM, n = 200, d = 5", ["workers", "seconds"], rows)


@pytest.mark.parametrize("replications", [1_000, 20_000, 100_000])
def test_memory_is_that_of_the_table(replications, pytestconfig):
    """A row takes some 100 bytes: 100,000 of them 10 MB beside the library."""
    tests = str(pytestconfig.rootpath / "tests")
    program = MEMORY.format(tests=tests, replications=replications)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    print(f"\n{replications:,} replications: {int(run.stdout)} MB at most")
