"""Counts of few patients: hidden in what is shared, shown to the owner."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.canaries import called
from tests.conftest import Once
from tests.records import part_of

from sequela.cli.app import main
from sequela.report.entry import Entry
from sequela.report.sections.table_one import table_one
from sequela.report.share import share
from sequela.runs.find import Run, open_run
from sequela.runs.record import DataRecord
from sequela.runs.released import Released, smallest_shown
from sequela.studies.results import results
from sequela.tables.published import is_open

RARE = "other", "Ainu"
"""Values of few patients: a word of the page itself, and a name that must not be found."""


COUNTS = (
    "examples", "subjects", "positives", "groups", "removed", "left", "candidates", "counts",
    "confusion", "training_subjects", "examples_without_events",
)  # fmt: skip


def rows(people: int = 60) -> Iterator[tuple[object, ...]]:
    rng = np.random.default_rng(0)
    for n in range(people):
        subject, stay, died = 7_310_000 + 13 * n, 8_410_000 + 17 * n, n % 3 == 0
        day, end = f"2031-{1 + n % 12:02d}-02", f"2032-{1 + n % 12:02d}-03T10:00"
        yield (subject, "1960-04-05T00:00", "MEDS_BIRTH")
        yield (subject, f"{day}T01:00", "HOSPITAL_ADMISSION//EMERGENCY", stay)
        yield (
            subject,
            f"{day}T02:00",
            f"ETHNICITY//{('White', *RARE)[n // 7 if n < 21 else 0]}",
            stay,
        )
        yield (subject, f"{day}T03:00", "ICU_ADMISSION//MICU", stay)
        for code in rng.choice(20, 6):
            yield (subject, f"{day}T04:00", f"LAB//{code}", stay)
        yield (subject, end, f"HOSPITAL_DISCHARGE//{'DIED' if died else 'HOME'}", stay)
        if died:
            yield (subject, end, "MEDS_DEATH")


@pytest.fixture(scope="module")
def small(once: Once, write_meds: Callable[..., Path]) -> Run:
    """A run on 60 patients of the user's own."""

    def fill(out: Path) -> None:
        root = write_meds(out / "data", list(rows()))
        of = ["--data", "meds", "--root", str(root), "--task", "in-hospital", "--demographics"]
        assert called(main, "train", "logistic-regression", *of, "--out", out / "run") == 0

    return open_run(once("hiding-small-run", fill) / "run")


@pytest.mark.parametrize(
    ("data", "hide_below", "expected"),
    [
        ({"name": "meds"}, None, 1),
        ({"name": "meds"}, 10, 10),
        ({"name": "mimic3", "open": True}, 20, 20),
        ({"name": "bonn", "recordings": 400}, 10, 1),
        ({"name": "signals", "recordings": 400}, None, 1),
        ({"name": "signals", "recordings": 400}, 10, 10),
    ],
)
def test_counts_of_people_are_hidden_below_the_limit(
    data: dict[str, Any], hide_below: int | None, expected: int
) -> None:
    assert smallest_shown(part_of(DataRecord, subjects=None, **data), hide_below) == expected


def test_only_whole_open_releases_are_open() -> None:
    assert is_open("physionet2012", {"records": 1_757_980, "outcomes": 4_000})
    assert not is_open("physionet2012", {"records": 1_757_980, "outcomes": 300})
    assert is_open("mimic3", {"PATIENTS": 100})
    assert not is_open("mimic3", {"PATIENTS": 46_520})
    assert not is_open("mimic3", {"PATIENTS": 100, "OWN": 3})
    assert not is_open("meds", {"events": 100})


def test_an_open_demo_is_shown_whole(record_runs: list[Run]) -> None:
    run = next(each for each in record_runs if each.settings.data == "mimic3")
    assert run.data["open"]
    assert Released(run).test == run.test
    assert json.loads(json.dumps(results([run])))["smallest_cell"] == 1
    eicu = next(each for each in record_runs if each.settings.data == "eicu")
    table = table_one(Entry(eicu))
    assert table
    assert table.hidden == 0
    assert all(line.counts for lines in table.lines.values() for line in lines)


def test_the_owner_sees_every_count_and_others_do_not(
    small: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert any(0 < n < 10 for row in small.test["confusion"] for n in row)
    assert called(main, "evaluate", small.path) == 0
    assert "hidden" not in capsys.readouterr().out
    assert called(main, "evaluate", small.path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["confusion"] == small.test["confusion"]
    for hide, shown in ((("--hide-below", "10"), False), ((), True)):
        out = tmp_path / f"{shown}.md"
        assert called(main, "card", small.path, "--out", out, *hide) == 0
        text = out.read_text("utf-8")
        assert ("The confusion matrix is hidden." not in text) is shown
        assert ("do not publish them (sequela share hides them)" in text) is shown
    for limit, confusion in ((None, small.test["confusion"]), (10, None)):
        (found,) = results([small], limit)["studies"].values()
        assert found["floors"]["logistic-regression"]["test"]["confusion"] == confusion


def test_a_small_study_is_shared_without_what_reveals_people(small: Run, tmp_path: Path) -> None:
    assert any(name in RARE for name in small.attributes["ethnicity"])
    files, lines = share(small, tmp_path / "out", model=True)
    names = {each.name for each in files}
    assert {"report.html", "card.md", "numbers.json", "left-out.txt"} <= names
    assert "model.safetensors" not in names
    assert (tmp_path / "out" / "left-out.txt").read_text("utf-8").splitlines() == lines
    assert lines[0].startswith("model.safetensors: its vocabulary may name codes of only 1 ")
    assert "test.confusion" in lines[1]
    assert lines[1].endswith("it is, or reveals, a count of fewer than 10 people")
    assert not any(b"Ainu" in each.read_bytes() for each in files)
    counts: list[int] = []

    def count(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        counts.extend(int(n) for k, v in pairs if k in COUNTS for n in re.findall(r"\d+", str(v)))
        return dict(pairs)

    json.loads((tmp_path / "out/numbers.json").read_text("utf-8"), object_pairs_hook=count)
    assert len(counts) > 20
    assert not [count for count in counts if 0 < count < 10]


@pytest.mark.parametrize("variable", ["SEQUELA_HIDE_BELOW", "SEQUELA_SMALLEST_CELL"])
def test_the_limit_may_be_one_of_the_institution(
    small: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    out = tmp_path / "card.md"
    monkeypatch.setenv(variable, "6")
    assert called(main, "card", small.path, "--out", out) == 0
    assert "1 to 5 people" in out.read_text("utf-8")
    assert called(main, "card", small.path, "--out", out, "--hide-below", 20) == 0
    assert "1 to 19 people" in out.read_text("utf-8")


@pytest.mark.parametrize("wrong", ["0", "few"])
def test_a_wrong_limit_is_one_line(
    tmp_path: Path, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(main, "card", tmp_path, "--hide-below", wrong) == 2
    error = capsys.readouterr().err
    assert "--hide-below" in error
    assert len(error.splitlines()) == 1
