"""Time and memory of studies.

python -m pytest -m performance tests/performance/test_simulation.py -s
"""

import pytest
from performance.memory import numbers_of, on_linux
from performance.timing import print_table, seconds

import kcm
from kcm.simulation import SimulationStudy

MEMORY = """
import study_designs
from kcm.simulation import SimulationStudy

procedures = {{"uniform": study_designs.uniform}}
study = SimulationStudy(study_designs.quadratic, procedures, 10, None, {replications})
study.run(n_jobs=1, progress=False)
print(memory("VmHWM") / 1e6)
"""


def test_a_thousand_replications():
    """OLS with d = 5 at n = 200, eigenvalues of each: under 10 s on two idle cores."""
    study = SimulationStudy("linear", {"KCM": kcm.KCMTest()}, 200, {"d": 5}, 1_000)
    found = []

    def run(n_jobs):
        found.append(study.run(n_jobs=n_jobs, progress=False).rejection_rates())

    rows = [[str(n), seconds(lambda n=n: run(n))] for n in (1, 2, 2)]
    print_table("1,000 replications of KCM, n = 200, d = 5", ["workers", "seconds"], rows)
    assert all(rates.equals(found[0]) for rates in found)
    assert found[0].n.tolist() == [1_000]


@on_linux
@pytest.mark.parametrize("replications", [1_000, 20_000, 100_000])
def test_memory_is_that_of_the_table(replications):
    """A row takes some 100 bytes: 100,000 of them 10 MB beside the library."""
    (peak,) = numbers_of(MEMORY.format(replications=replications))
    print(f"\n{replications:,} replications: {peak:.0f} MB at most")
    assert peak < 400  # the library takes 260
