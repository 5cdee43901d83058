"""Attacks that were stopped once are stopped for ever: this list may only grow."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.cli.calls import ran

from sequela.attacks import harness
from sequela.attacks.attack import Attack, Outcome, Result
from sequela.attacks.harness import ATTACKS, attack_all
from sequela.runs.openings import VARIABLE

STOPPED = {
    "recording copied",
    "recording copied, gain 1.03",
    "recording copied, gain 1.1",
    "recording copied, gain 2",
    "recording copied, offset of 20 µV",
    "recording copied, inverted",
    "recording copied, noise of 10 %",
    "recording copied, shifted by 1 sample",
    "recording copied, shifted by 8 samples",
    "recording copied, shifted by 89 samples",
    "recording begins in the middle of another",
    "trained recordings under other names, before evaluate",
    "own patients as a MEDS data set, before evaluate",
    "a classifier judged on its training data",
    "patients twice, one code changed",
    "patients twice, 10 % of the codes dropped",
    "discharge codes at admission: ICD-9-CM",
    "discharge codes at admission: ICD-10-CM",
    "discharge codes at admission: ICD-9 procedures",
    "discharge codes at admission: ICD-10-PCS",
    "discharge codes at admission: HCPCS",
    "discharge codes at admission: DIAGNOSIS//ICD//10",
    "discharge codes at admission: SNOMED",
    "discharge codes at admission, in no stay",
    "discharge codes at admission, in a stay that does not exist",
    "a code in 50 % of the deaths",
    "a code in 70 % of the deaths",
    "the deaths spread over 10 codes",
    "a noisy copy of the label, as a code",
    "a noisy copy of the label, as a number",
    "the hospital tells the outcome",
    "the number of codes tells the outcome",
    "patients twice",
    "deaths asked at another hour than survivors",
    "label times in another zone",
    "metrics.json edited by hand",
    "the best of several seeds",
}


@pytest.fixture(scope="module")
def results() -> Sequence[Result]:
    """All attacks, carried out."""
    return list(attack_all())


def test_every_attack_that_was_stopped_is_stopped(results: Sequence[Result]) -> None:
    missed = {each.attack: each.verdict for each in results if each.attack in STOPPED}
    assert missed.keys() == STOPPED, "an attack has lost its name, or is gone"
    assert {name for name, verdict in missed.items() if verdict == "missed"} == set()


def test_where_nothing_is_planted_nothing_is_said(results: Sequence[Result]) -> None:
    of_nothing = [each for each in results if each.attack.startswith("nothing planted")]
    assert [each.verdict for each in of_nothing] == ["clean"] * 4


def test_the_lines_on_the_page_are_printed(results: Sequence[Result]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text("utf-8")
    (block,) = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    printed = {f"{each.verdict:12}{each.attack}: {each.by}" for each in results}
    lines = block.splitlines()[1:]
    assert lines
    assert [line for line in lines if line not in printed] == []


def test_names_are_unique() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


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
    ran("audit", "--attack")
    lines = capsys.readouterr().out.splitlines()
    assert [line[:12].strip() for line in lines] == [
        "found", "blocked", "missed", "clean", "false alarm",
    ]  # fmt: skip
    assert lines[1] == "blocked     refused: labels.parquet: no"
    ran("audit", "--attack", "--json")
    printed = json.loads(capsys.readouterr().out)
    assert printed[2] == {"attack": "unseen", "verdict": "missed", "by": "nothing is said"}


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is what is opened here an opening of the user's."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "openings.jsonl"))
    (tmp_path / "tmp").mkdir()
    seeds = [attack for attack in ATTACKS if attack.name == "the best of several seeds"]
    assert [each.verdict for each in attack_all(seeds)] == ["found"]
    assert list(tmp_path.rglob("*")) == [tmp_path / "tmp"]
    assert os.environ[VARIABLE] == str(tmp_path / "openings.jsonl")
