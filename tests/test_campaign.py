"""The campaign of generated inputs. Referees: see each module of tests/campaign."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from campaign import judging
from campaign.case import Case, Outcome, Verdict
from campaign.generator import make
from campaign.judging import is_clear, judge
from campaign.ledger import bad, campaign, table

import kcm

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


class TestLedger:
    """Referee: the verdicts written out."""

    def judged(
        self, seeds: range, path: Path, last: type[BaseException] | None = None
    ) -> list[int]:
        asked: list[int] = []

        def judge_one(case: Case) -> Outcome:
            asked.append(int(case.told))
            if last is not None and asked[-1] == seeds[-1]:
                raise last
            return Outcome(Verdict.RIGHT)

        campaign(seeds, lambda seed: Case("area", str(seed), dict), judge_one, path)
        return asked

    def test_resumes(self, tmp_path: Path):
        path = tmp_path / "c.jsonl"
        assert self.judged(range(3), path) == [0, 1, 2]
        assert self.judged(range(5), path) == [3, 4]

    def test_an_input_that_ended_the_process_is_a_crash(self, tmp_path: Path):
        path = tmp_path / "c.jsonl"
        with pytest.raises(MemoryError):
            self.judged(range(3), path, MemoryError)
        outcomes = campaign(range(3), make, judge, path)
        assert [outcome["verdict"] for outcome in outcomes.values()] == ["right", "right", "crash"]
        assert len(bad(outcomes)) == 1
        assert "| area | 2 | 0 | 0 | 1 | 0 | 0 | 3 |" in table(outcomes)

    def test_a_campaign_that_was_stopped_asks_again(self, tmp_path: Path):
        path = tmp_path / "c.jsonl"
        with pytest.raises(KeyboardInterrupt):
            self.judged(range(3), path, KeyboardInterrupt)
        assert self.judged(range(3), path) == [2]


@pytest.mark.many_calls
class TestVerdicts:
    """Referee: inputs whose verdict is plain."""

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            (lambda: {"p": 0.5}, Verdict.RIGHT),
            (lambda: {"p": 0.4}, Verdict.WRONG),
            (lambda: {"q": 0.5}, Verdict.WRONG),
            (lambda: 1 / 0, Verdict.UNCLEAR),
            (lambda: np.log(np.zeros(1)) and {"p": 0.5}, Verdict.UNCLEAR),
            (lambda: kcm.KCMTest(statistic="W"), Verdict.WRONG),
        ],
    )
    def test_with_a_referee(self, answer: Callable[[], Any], expected: Verdict):
        case = Case("area", "told", answer, lambda: {"p": 0.5 + 1e-9})
        assert judge(case).verdict is expected

    def test_without_one(self):
        refused = Case("area", "told", lambda: kcm.KCMTest(statistic="W"))
        accepted = Case("area", "told", lambda: {"p": 0.5})
        assert judge(refused).verdict is Verdict.REFUSED
        assert judge(accepted).verdict is Verdict.WRONG

    def test_hang(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(judging, "LIMIT", 1)
        assert judge(Case("area", "told", lambda: time.sleep(5))).verdict is Verdict.HANG


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
