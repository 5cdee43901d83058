"""What may leave the building holds no id, no date, no free text and no name of few."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.canaries import Planted, called, outputs, planted

from sequela.cli.app import main
from sequela.runs.find import open_run
from sequela.runs.folder import RunFolder
from sequela.sources.catalog import EXCERPTS
from sequela.studies.results import results

COUNTS = {"examples", "groups", "events", "count"}
TASK = ("--task", "in-hospital", "--epochs", 1, "--demographics")


def shown_of(
    data: str,
    root: Path,
    out: Path,
    capsys: pytest.CaptureFixture[str],
    task: tuple[object, ...] = TASK,
) -> str:
    """Make everything that shows a run; what was printed."""
    inside, outside = out / "inside", out / "outside"
    for model in ("visits-baseline", "logistic-regression"):
        arguments = ("--data", data, "--root", root, *task, "--out", inside / model)
        epochs = arguments if model == "visits-baseline" else tuple(
            each for each in arguments if each not in ("--epochs", 1)
        )  # fmt: skip
        assert called(main, "train", model, *epochs) == 0
    first, second = inside / "visits-baseline", inside / "logistic-regression"
    outside.mkdir()
    assert called(main, "report", first, second, "--out", outside / "report.html") == 0
    assert called(main, "card", first, "--out", outside / "card.md") == 0
    assert called(main, "compare", first, second, "--out", outside / "compare.html") == 0
    assert called(main, "compare", first, second, "--json") == 0
    assert called(main, "evaluate", first, "--json") == 0
    assert called(main, "evaluate", second) == 0
    elsewhere = (second, "--data", data, "--root", root, "--page", outside / "external.html")
    assert called(main, "evaluate", *elsewhere) == 0
    assert called(main, "verify", inside) == 0
    explained = (first, "--root", root, "--steps", 8, "--out", outside / "explanation.html")
    assert called(main, "explain", *explained) == 0
    assert called(main, "audit", first, "--root", root) in (0, 3, 4)
    assert called(main, "explain", first, "--root", root, "--example", "nobody") == 2
    runs = [open_run(first), open_run(second)]
    (outside / "results.json").write_text(json.dumps(results(runs)), "utf-8")
    for run in (first, second):
        assert called(main, "share", run, "--out", outside / f"shared-{run.name}") == 0
    printed = capsys.readouterr()
    return printed.out + printed.err


def csv_of(page: Path) -> dict[str, list[dict[str, str]]]:
    """The data of the figures of a page, by the name of their file."""
    text = page.read_text("utf-8")
    links = re.findall(r'download="([^"]+)\.csv" href="data:text/csv;charset=utf-8,([^"]*)"', text)
    return {name: list(csv.DictReader(unquote(each).splitlines())) for name, each in links}


def assert_no_count_of_few(out: Path) -> None:
    """Neither a count in the data of a figure is small, nor one that net benefit gives away."""
    pages = [csv_of(out / "outside" / f"{name}.html") for name in ("report", "external")]
    found = {name: rows for page in pages for name, rows in page.items()}
    counted = [
        (name, row[column])
        for name, rows in found.items()
        for row in rows
        for column in COUNTS & row.keys()
        if row[column]
    ]
    # Where a class is of few, as in the MIMIC-III demo, no figure counts anybody.
    assert found
    assert counted or not any(name.endswith("reliability") for name in found)
    assert [(name, count) for name, count in counted if 0 < int(count) < 10] == []
    decided = {
        float(row["threshold"])
        for name, rows in found.items()
        for row in rows
        if name.endswith("decision")
    }
    for run in ("visits-baseline", "logistic-regression"):
        held_out = RunFolder(out / "inside" / run).predictions.part("held_out")
        for at in decided:
            cells = np.bincount(2 * held_out.label + (held_out.score >= at), minlength=4)
            assert not ((cells > 0) & (cells < 10)).any(), (run, at)


def assert_none_found(canaries: Planted, out: Path, said: str) -> None:
    predictions = RunFolder(out / "inside" / "visits-baseline").predictions
    internal = {*predictions.subject_id.tolist(), *predictions.example_id.tolist()}
    own = replace(canaries, ids=canaries.ids | {one for one in internal if len(one) >= 5})
    assert len(own.ids) >= 89
    assert_no_count_of_few(out)
    assert {
        name: found
        for name, content in outputs(out / "outside", said).items()
        if (found := own.found_in(content))
    } == {}


@pytest.mark.parametrize("data", ["mimic3", "eicu"])
def test_no_canary_of_hospital_tables_is_shown(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = (EXCERPTS / data).glob("*.csv.gz")
    canaries = planted(tables, EXCERPTS / data, tmp_path / "data")
    assert len(canaries.texts) > 10
    said = shown_of(data, canaries.root, tmp_path, capsys)
    assert_none_found(canaries, tmp_path, said)


def test_no_canary_of_a_meds_data_set_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write_meds: Callable[..., Path]
) -> None:
    rng = np.random.default_rng(0)
    rows: list[tuple[object, ...]] = []
    texts = []
    for place in range(160):
        subject, stay = 7_310_000 + 13 * place, 8_410_000 + 17 * place
        day = f"2031-{1 + place % 12:02d}-{1 + place % 27:02d}"
        died = place % 3 == 0
        texts.append(f"Canary {place:03d}q Mr Fink fell")
        rows += [
            (subject, "1960-04-05T00:00", "MEDS_BIRTH"),
            (subject, f"{day}T01:00", "HOSPITAL_ADMISSION//EMERGENCY", stay),
            (subject, f"{day}T02:00", f"ETHNICITY//{texts[-1]}", stay),
            (subject, f"{day}T02:00", f"NOTE//{texts[-1]}", stay),
            (subject, f"{day}T03:00", "ICU_ADMISSION//MICU", stay),
            *[(subject, f"{day}T04:00", f"LAB//{code}", stay) for code in rng.choice(20, 6)],
        ]
        end = f"2032-{1 + place % 12:02d}-{1 + place % 27:02d}T10:00"
        rows.append((subject, end, f"HOSPITAL_DISCHARGE//{'DIED' if died else 'HOME'}", stay))
        if died:
            rows.append((subject, end, "MEDS_DEATH"))
    root = write_meds(tmp_path / "data", rows)
    canaries = Planted(
        root,
        frozenset(str(row[0]) for row in rows),
        frozenset(str(row[1])[:10] for row in rows),
        frozenset(texts),
    )
    said = shown_of("meds", root, tmp_path, capsys)
    assert_none_found(canaries, tmp_path, said)


def test_no_canary_of_physionet2012_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = EXCERPTS / "physionet2012.parquet"
    names = pq.read_schema(file).names
    ids = pq.read_table(file, columns=names[:1])[0].unique().to_pylist()
    canaries = Planted(file, frozenset(map(str, ids)), frozenset(), frozenset())
    said = shown_of("physionet2012", file, tmp_path, capsys)
    assert_none_found(canaries, tmp_path, said)
