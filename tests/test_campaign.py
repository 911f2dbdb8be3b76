"""The campaign of generated inputs. Referees: see each module of tests/campaign."""

import os
from pathlib import Path

import pytest
from campaign.generator import make
from campaign.judging import is_clear, judge
from campaign.ledger import bad, campaign, table

# In full, and under the marker `slow`.
N_INPUTS, N_SMALL = 10_000, 150


@pytest.mark.slow
@pytest.mark.many_calls
@pytest.mark.filterwarnings("default")
def test_small(tmp_path: Path):
    outcomes = campaign(range(N_SMALL), make, judge, tmp_path / "campaign.jsonl")
    assert not bad(outcomes), "\n".join(bad(outcomes))


@pytest.mark.study
@pytest.mark.filterwarnings("default")
def test_in_full(tmp_path: Path):
    path = Path(os.environ.get("KCM_CAMPAIGN", tmp_path / "campaign.jsonl"))
    outcomes = campaign(range(N_INPUTS), make, judge, path)
    print(table(outcomes))
    assert not bad(outcomes), "\n".join(bad(outcomes))


@pytest.mark.parametrize(
    ("message", "clear"),
    [
        ("DataError: `conditioning` must be numbers; got text. Pass numbers.", True),
        ("OptionError: wrong", False),
        ("DataError: something about 'x' happened.", False),
        ("DataError: pass other data.", False),
    ],
)
def test_what_a_clear_message_is(message: str, clear: bool):
    assert is_clear(message) is clear
