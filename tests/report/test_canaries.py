"""What may leave the building holds no id, no date, no free text and no name of few."""

import base64
import csv
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.canaries import Planted, called, outputs, parts_of, planted

from sequela.cli.app import main
from sequela.datasets.catalog import EXCERPTS
from sequela.runs.find import open_run
from sequela.runs.folder import RunFolder
from sequela.studies.results import results

COUNTS = {"examples", "groups", "events", "count"}
PATIENTS = 300
TASK = ("--task", "in-hospital", "--demographics")
EPOCH = ("--epochs", 1)
SHOWN = {"shared/report.html": ["visits-baseline"], "external.html": ["visits-baseline"]}


def shown_of(
    data: str,
    root: Path,
    out: Path,
    capsys: pytest.CaptureFixture[str],
    task: tuple[object, ...] = TASK,
    hide_below: int = 10,
) -> str:
    """Make everything that shows a network; what was printed."""
    run, outside = out / "inside" / "visits-baseline", out / "outside"
    of_data = ("--data", data, "--root", root)
    assert called(main, "train", run.name, *of_data, *task, *EPOCH, "--out", run) == 0
    outside.mkdir()
    hiding = ("--hide-below", hide_below)
    page = outside / "external.html"
    assert called(main, "evaluate", run, *of_data, "--page", page, *hiding) == 0
    explained = (run, "--root", root, "--steps", 4, "--out", outside / "explanation.html", *hiding)
    assert called(main, "explain", *explained) == 0
    assert called(main, "audit", run, "--root", root) in (0, 3, 4)
    assert called(main, "explain", run, "--root", root, "--example", "nobody") == 2
    assert called(main, "verify", run) == 0
    (outside / "results.json").write_text(json.dumps(results([open_run(run)], hide_below)), "utf-8")
    assert called(main, "share", run, "--out", outside / "shared") == 0  # its page and its card
    printed = capsys.readouterr()
    return printed.out + printed.err


def csv_of(page: Path) -> dict[str, list[dict[str, str]]]:
    """The data of the figures of a page, by the name of their file."""
    text = page.read_text("utf-8")
    links = re.findall(r'download="([^"]+)\.csv" href="data:text/csv;charset=utf-8,([^"]*)"', text)
    return {name: list(csv.DictReader(unquote(each).splitlines())) for name, each in links}


def assert_no_count_of_few(page: Path, runs: Sequence[Path]) -> bool:
    """Neither a count in the data of a figure is small, nor one that net benefit gives away.

    Whether the page has figures with data.
    """
    found = csv_of(page)
    counted = [
        (name, row[column])
        for name, rows in found.items()
        for row in rows
        for column in COUNTS & row.keys()
        if row[column]
    ]
    # Where a class is of few, as in the MIMIC-III demo, no figure counts anybody.
    assert counted or not any(name.endswith("reliability") for name in found)
    assert [(name, count) for name, count in counted if 0 < int(count) < 10] == []
    decided = {
        float(row["threshold"])
        for name, rows in found.items()
        for row in rows
        if name.endswith("decision")
    }
    for run in runs:
        held_out = RunFolder(run).predictions.part("held_out")
        for at in decided:
            cells = np.bincount(2 * held_out.label + (held_out.score >= at), minlength=4)
            assert not ((cells > 0) & (cells < 10)).any(), (run, at)
    return bool(found)


def assert_none_found(
    canaries: Planted, out: Path, said: str, shown: Mapping[str, Sequence[str]] = SHOWN
) -> None:
    """No canary is in what was made, and no page counts few of the runs that it shows."""
    predictions = RunFolder(out / "inside" / "visits-baseline").predictions
    internal = {*predictions.subject_id.tolist(), *predictions.example_id.tolist()}
    own = replace(canaries, ids=canaries.ids | {one for one in internal if len(one) >= 5})
    assert len(own.ids) >= 89
    drawn = [
        assert_no_count_of_few(out / "outside" / page, [out / "inside" / run for run in runs])
        for page, runs in shown.items()
    ]
    assert any(drawn)
    assert {
        name: found
        for name, content in outputs(out / "outside", said).items()
        if (found := own.found_in(content))
    } == {}


@pytest.mark.slow
@pytest.mark.parametrize("data", ["mimic3", "eicu"])
def test_no_canary_of_hospital_tables_is_shown(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = (EXCERPTS / data).glob("*.csv.gz")
    canaries = planted(tables, EXCERPTS / data, tmp_path / "data")
    assert len(canaries.texts) > 10
    # The copy has the row counts of the open demo, whose counts are hidden on request only.
    said = shown_of(data, canaries.root, tmp_path, capsys)
    assert_none_found(canaries, tmp_path, said)


@pytest.mark.slow
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


@pytest.mark.slow
def test_no_canary_of_physionet2012_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(EXCERPTS / "physionet2012.parquet")
    ids = table[0].unique()[:PATIENTS]
    file = tmp_path / "some.parquet"
    pq.write_table(table.filter(pc.is_in(table[0], ids)), file)
    canaries = Planted(file, frozenset(map(str, ids.to_pylist())), frozenset(), frozenset())
    said = shown_of("physionet2012", file, tmp_path, capsys)
    assert_none_found(canaries, tmp_path, said)


def test_whatever_is_packed_is_searched() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("inner.txt", "needle")
    packed = base64.b64encode(gzip.compress(archive.getvalue()))
    for content in (packed, b"%6eeedle", zlib.compress(b"a needle" * 9)):
        assert any(b"needle" in part for part in parts_of(content))
