"""Attacks that were stopped once are stopped for ever."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.attacks import by_class, harness, unseen
from benchmarks.attacks.__main__ import main
from benchmarks.attacks.attack import Attack, Outcome
from benchmarks.attacks.bench import Bench
from benchmarks.attacks.foreign import OTHERS, PLANTED
from benchmarks.attacks.harness import ATTACKS, attack_all

PLANTED_LEAKS = 195
"""Attacks that plant a leak; the number may only grow."""
HONEST_INPUTS = 107
"""Inputs without a leak; the number may only grow."""
MISSED = {
    "two halves of one recording under two ids",
    "one code is charted more often in deaths",
    "own tables: the ward at the end of the stay, dated at admission",
}
"""Attacks that nothing reports; the page lists them."""
OFTEN = {
    "nothing planted in the recordings",
    "recording copied, gain 1.03",
    "recording begins in the middle of another",
    "trained recordings under other names, before evaluate",
    "nothing planted in the records of MIMIC-III",
    "discharge codes at admission: SNOMED",
    "patients twice, one code changed",
    "a code in 50 % of the deaths",
    "label times in another zone",
    "metrics.json edited by hand",
    "the variance of a second channel tells the class",
    "a measurement with an AUROC of 0.88",
    "the deaths spread over 60 codes",
    "of the survivors, only those who leave within a day",
    "nothing planted in a hospital's own tables",
    "own tables: problems that are coded at discharge, dated at admission",
}
"""One of each kind, which are carried out at level usual."""

AUDITED = {
    *(name for name in OTHERS if name.startswith(("scikit-learn: ", "made: "))),
    "table: the share of deaths among the others of a ward",
    "windows: two halves of one recording under two ids",
    "windows: scaled by channel with numbers of all windows",
    "windows: split by recording, scaled by training",
    "predictions: nothing",
    "predictions: calibrated on the test set",
    "predictions: calibrated on the training set",
}
"""Inputs of others that tests/audit/test_foreign.py audits as they are, and names what is found."""

PAGE = (Path(__file__).parents[2] / "docs/contributing/attacks.md").read_text("utf-8")
SHOWN = re.findall(r"^(?:found|blocked|missed|clean|false alarm) {2,}.*$", PAGE, re.MULTILINE)
"""The lines on the page, as the command prints them."""


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory, excerpt_events: Callable[[str], Path]
) -> Iterator[Bench]:
    """A bench whose events are those of all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bench, "events", lambda _, data: excerpt_events(data))
        yield Bench(tmp_path_factory.mktemp("attacks"))


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(each, id=each.name, marks=() if each.name in OFTEN else pytest.mark.slow)
        for each in ATTACKS
        # see tests/audit/test_foreign.py
        if each.name.partition(": ")[2] not in PLANTED and each.name not in AUDITED
        if each not in (*by_class.ATTACKS, *unseen.ATTACKS)
    ],
)
def test_what_is_planted_is_stopped_and_of_nothing_nothing_is_said(
    attack: Attack, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is printed as the page shows it, where it does."""
    monkeypatch.setattr(harness, "Bench", lambda _: bench)
    (result,) = attack_all([attack])
    stopped = ("missed",) if attack.name in MISSED else ("found", "blocked")
    assert result.verdict in (stopped if attack.planted else ("clean",))
    shown = [line for line in SHOWN if f"{attack.name}: " in line]
    assert shown in ([], [f"{result.verdict:12}{attack.name}: {result.by}"])


def test_no_attack_has_lost_its_name_or_is_gone() -> None:
    assert sum(each.planted for each in ATTACKS) == PLANTED_LEAKS
    assert sum(not each.planted for each in ATTACKS) == HONEST_INPUTS
    assert {each.name for each in ATTACKS if each.planted} > MISSED
    assert {each.name for each in ATTACKS} > OFTEN | AUDITED
    assert len({each.name for each in ATTACKS}) == len(ATTACKS)
    assert len(SHOWN) == 9
    names = [f"{each.name}: " for each in ATTACKS]
    assert all(any(line[12:].startswith(name) for name in names) for line in SHOWN)


ONE_OF_EACH = (
    Attack("said", lambda _: Outcome("found", "a check")),
    Attack("refused", lambda bench: Outcome("blocked", f"{bench.work}/labels.parquet: no")),
    Attack("unseen", lambda _: Outcome("missed", "nothing is said")),
    Attack("nothing", lambda _: Outcome("missed", "nothing is said"), planted=False),
    Attack("accused", lambda _: Outcome("found", "a check"), planted=False),
)


def test_the_command_prints_what_became_of_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(harness.attack_all, "__defaults__", (ONE_OF_EACH,))
    monkeypatch.setattr("sys.argv", ["attacks"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line[:12].strip() for line in lines[:-1]] == [
        "found", "blocked", "missed", "clean", "false alarm",
    ]  # fmt: skip
    assert lines[-1] == "stopped: 2 of 3 leaks; false alarms: 1 of 2"
    assert lines[1] == "blocked     refused: labels.parquet: no"
    monkeypatch.setattr("sys.argv", ["attacks", "--json"])
    main()
    printed = json.loads(capsys.readouterr().out)
    assert printed[2] == {"attack": "unseen", "verdict": "missed", "by": "nothing is said"}
