"""Tasks that files declare."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sequela.cohort.events import Events
from sequela.cohort.selection import select_cohort
from sequela.cohort.task_files import declared_task, read_task
from sequela.cohort.tasks import CENSORED, ON_RECORD, Task, in_hospital
from sequela.errors import DataError

LONG = "a stay of more than 14 days"
OUTCOME = """[outcome]
one = "heart failure"
codes = ["ICD10CM//I50*"]
"""
OF_CODES = f"""
name = "heart-failure-1y"
trigger = "discharge"
horizon_days = 365
{OUTCOME}"""


def read(folder: Path, text: str) -> Task:
    (folder / "task.toml").write_text(text, "utf-8")
    return declared_task(*read_task(folder / "task.toml"))


def test_a_question_of_codes(
    tmp_path: Path, make_events: Callable[..., Events], rows: Callable[[], list[tuple[Any, ...]]]
) -> None:
    task = read(tmp_path, OF_CODES)
    declared = json.loads(read_task(tmp_path / "task.toml")[1])
    assert declared == tomllib.loads(OF_CODES)  # what is usual is not stored
    assert task.exclude[-2:] == (ON_RECORD, CENSORED)
    assert task.outcome.classes == ("no heart failure", "heart failure")
    assert task.describe().startswith("heart failure within 365 days, predicted at each discharge")
    # Its labels are compared with those of ACES in test_aces.py.
    with pytest.raises(DataError, match=r"no event has a code of the outcome .*ICD10CM//I50"):
        select_cohort(make_events(rows()), task)


def test_a_ready_outcome_and_ready_rules(tmp_path: Path) -> None:
    rules = ", ".join(f'"{rule}"' for rule in in_hospital().exclude)
    said = 'trigger = "admission"\nhours = 24\noutcome = "death in the stay"\n'
    found = read(tmp_path, f'name = "ours"\n{said}rules = [{rules}]')
    usual = in_hospital()
    long = read(tmp_path, f'name = "ours"\n{said.replace("death in the stay", LONG)}')
    assert long.outcome.classes == ("at most 14 days", "more than 14 days")
    assert (found.outcome, found.exclude, found.hours) == (usual.outcome, usual.exclude, 24)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('trigger = "discharge"', 'trigger = "arrival"', "key 'trigger' is 'arrival': Input"),
        ('trigger = "discharge"\n', "", "key 'trigger' is missing"),
        ("horizon_days", "horizon_dais", "'horizon_dais': did you mean 'horizon_days'?"),
        ("codes", "kodes", "unknown key 'kodes': did you mean 'codes'?"),
        ("365", "-3", "key 'horizon_days' is -3"),
        ("heart-failure-1y", "in-hospital", "registered already"),
        ("heart-failure-1y", "Heart", "cannot be named 'Heart'"),
        ("heart-failure-1y", "", "cannot be named ''"),
        ("365", '365\nrules = ["adults"]', "unknown exclusion rule 'adults'"),
        (OUTCOME, 'outcome = "deth in the stay"',
         "unknown outcome 'deth in the stay': did you mean 'death in the stay'?"),
        ("[outcome]", "[outcome", "not TOML"),
    ],
)  # fmt: skip
def test_a_wrong_file_names_key_and_what_is_allowed(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, OF_CODES.replace(old, new, 1))
    words = str(caught.value)
    assert words.startswith(str(tmp_path / "task.toml"))
    assert said in words
    assert "\n" not in words
