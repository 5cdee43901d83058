"""The same labels as ACES, the field's tool for cohorts, finds on the same events.

``aces/labels.json`` is what ACES (es-aces 0.7.3) answered. It needs another polars than we do: it
runs where ``SEQUELA_READERS`` names an interpreter that has it: the file is checked against it.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from sequela.cohort.events import Events
from sequela.cohort.selection import cohort_of_labels, select_cohort
from sequela.cohort.task_files import declared_task, read_task
from sequela.cohort.tasks import ON_RECORD, in_hospital

FOLDER = Path(__file__).parent / "aces"
Row = tuple[Any, ...]
Labels = list[tuple[int, str, bool]]

RUN = """
import sys
from aces.config import TaskExtractorConfig
from aces.predicates import get_predicates_df
from aces.query import query
from omegaconf import DictConfig
config = TaskExtractorConfig.load(sys.argv[1])
data = DictConfig({"standard": "meds", "path": sys.argv[2], "ts_format": None})
found = query(config, get_predicates_df(config, data))
found.select("subject_id", "index_timestamp", "label").rename(
    {"index_timestamp": "prediction_time", "label": "integer_value"}
).write_parquet(sys.argv[3])
"""


def hospital() -> list[Row]:
    """Sixty subjects with up to four stays, from an hour to ten days, some ended by death."""
    rng = np.random.default_rng(11)
    start = np.datetime64("2020-01-01T00:00")
    rows: list[Row] = []
    for subject in range(60):
        now = start + np.timedelta64(int(rng.integers(0, 10_000)), "m")
        for number in range(rng.integers(1, 5)):
            visit = subject * 10 + number
            # Some stays last exactly the 24 hours after which we ask.
            lasts = 1440 if rng.random() < 0.15 else rng.integers(60, 14_400)
            minutes = np.timedelta64(int(lasts), "m")
            leaves = now + minutes
            rows.append((subject, str(now), "HOSPITAL_ADMISSION//EMERGENCY", visit))
            rows.append((subject, str(now + minutes // 2), "LAB//50912", visit, 1.5))
            rows.append((subject, str(leaves), "HOSPITAL_DISCHARGE//SOMEWHERE", visit))
            if rng.random() < 0.2:
                rows.append((subject, str(leaves), "HOSPITAL_OUTCOME//expired", visit))
                rows.append((subject, str(leaves), "MEDS_DEATH"))
                break
            rows.append((subject, str(leaves), "HOSPITAL_OUTCOME//alive", visit))
            now = leaves + np.timedelta64(int(rng.integers(1, 100_000)), "m")
        else:
            if rng.random() < 0.3:  # dies at home
                rows.append((subject, str(now), "MEDS_DEATH"))
    return rows


def as_list(table: Any, label: str) -> Labels:
    columns = (table[name].to_pylist() for name in ("subject_id", "prediction_time", label))
    return sorted(
        (s, time.isoformat(), bool(value)) for s, time, value in zip(*columns, strict=True)
    )


def stored() -> Labels:
    return [(s, time, value) for s, time, value in json.loads((FOLDER / "labels.json").read_text())]


@pytest.mark.parametrize("said", [True, False], ids=["outcomes said", "outcomes by deaths"])
@pytest.mark.parametrize("visits", [True, False], ids=["numbered stays", "stays by time"])
def test_our_labels_are_those_of_aces(
    make_events: Callable[..., Events], *, said: bool, visits: bool
) -> None:
    rows = [row for row in hospital() if said or not row[2].startswith("HOSPITAL_OUTCOME")]
    cohort = select_cohort(make_events(rows, visits=visits), in_hospital())
    assert as_list(cohort.labels, "boolean_value") == stored()
    assert cohort.flow.positives > 10


OURS = """
name = "heart-failure-1y"
trigger = "discharge"
horizon_days = 365
rules = ["outcome-on-record"]
[outcome]
one = "heart failure"
codes = ["ICD10CM//I50*"]
"""


def diagnosed() -> list[Row]:
    """The subjects of ``hospital``, some with codes of heart failure at a discharge."""
    rng = np.random.default_rng(13)
    rows = hospital()
    codes = ("I509", "I50", "I519", "E119", "E119")
    ends = [row for row in rows if row[2].startswith("HOSPITAL_DISCHARGE")]
    return rows + [(s, at, f"ICD10CM//{rng.choice(codes)}", visit) for s, at, _, visit in ends]


def test_a_task_from_a_file_asks_what_aces_asks(
    make_events: Callable[..., Events], tmp_path: Path
) -> None:
    (tmp_path / "task.toml").write_text(OURS, "utf-8")
    events = make_events(diagnosed())
    cohort = select_cohort(events, declared_task(*read_task(tmp_path / "task.toml")))
    known = json.loads((FOLDER / "heart_failure.json").read_text())
    assert as_list(cohort.labels, "boolean_value") == [tuple(row) for row in known]
    assert cohort.flow.positives > 5
    assert any(step.removed for step in cohort.flow.steps if step.rule == ON_RECORD)
    assert cohort.leaks == ()
    if python := os.environ.get("SEQUELA_READERS"):
        data, labels = events.root / "data" / "0.parquet", tmp_path / "labels.parquet"
        subprocess.run([python, "-c", RUN, FOLDER / "heart_failure.yaml", data, labels], check=True)
        assert as_list(pq.read_table(labels), "integer_value") == [tuple(row) for row in known]


def test_aces_still_answers_what_is_stored_and_its_file_is_read(
    make_events: Callable[..., Events], tmp_path: Path
) -> None:
    python = os.environ.get("SEQUELA_READERS")
    if not python:
        pytest.skip("SEQUELA_READERS names no interpreter that has es-aces")
    events = make_events(hospital())
    config, labels = FOLDER / "in_hospital_mortality.yaml", tmp_path / "labels.parquet"
    data = events.root / "data" / "0.parquet"
    subprocess.run([python, "-c", RUN, config, data, labels], check=True)
    found = as_list(pq.read_table(labels), "integer_value")
    assert found == stored()
    assert as_list(cohort_of_labels(events, labels).labels, "boolean_value") == found
