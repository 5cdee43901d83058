"""Canaries in recordings of one's own: pages, cards, explanation, ONNX file, scan and its page."""

from datetime import date
from pathlib import Path

import edfio
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.canaries import Planted, called, outputs

from sequela.cli.app import main


def recordings(path: Path) -> Planted:
    """Rows of two channels whose patients, hospitals and files have names and days."""
    rng, rows, time = np.random.default_rng(0), [], np.arange(128) / 128
    texts, days = set[str](), set[str]()
    for n in range(60):
        day = f"2031-{1 + n % 12:02d}-{1 + n % 27:02d}"
        names = [f"Canary {n:03d}{place} Mrs Vogel fell" for place in "pn"]
        texts.update(names)
        days.add(day)
        for number in range(6):
            stage = ("N2", "W")[number % 2]
            wave = 30 * np.sin(2 * np.pi * {"N2": 3, "W": 12}[stage] * time + rng.uniform(0, 6))
            signal = wave + rng.normal(scale=8, size=(2, 128))
            row = dict(zip(("C3", "C4"), signal.tolist(), strict=True))
            rows.append(
                {"patient": names[0], "night": names[1], "taken": day, "stage": stage, **row}
            )
    pq.write_table(pa.Table.from_pylist(rows), path)
    return Planted(path, frozenset(), frozenset(days), frozenset(texts))


@pytest.mark.slow
def test_no_canary_of_recordings_is_shown(
    tmp_path: Path, no_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canaries = recordings(tmp_path / "own.parquet")
    asked = ("--data", "signals", "--root", canaries.root, "--label", "stage", "--subject",
             "patient", "--recording", "night", "--channels", "C3,C4", "--rate", 128)  # fmt: skip
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    outside.mkdir()
    runs = [inside / "mlp-baseline", inside / "mlp-improved"]
    for run in runs:
        assert called(main, "train", run.name, *asked, "--epochs", 1, "--out", run) == 0
    both = inside / "ensemble"
    assert called(main, "ensemble", *runs, "--out", both) == 0
    assert called(main, "compare", *runs, "--out", outside / "compare.html") == 0
    for run in (runs[0], both):  # its page and its card too
        assert called(main, "share", run, "--out", outside / f"shared-{run.name}") == 0
    explained = ("--root", canaries.root, "--steps", 4, "--out", outside / "explanation.html")
    assert called(main, "explain", runs[0], *explained) == 0
    model = outside / "model.onnx"
    assert called(main, "export", runs[0], "--root", canaries.root, "--out", model) == 0
    night = tmp_path / "night.edf"
    patient = edfio.Patient(name="Canary_Mrs_Vogel", code="7310013", birthdate=date(1960, 4, 5))
    of = edfio.Recording(startdate=date(2031, 5, 6), hospital_administration_code="Canary_house")
    signal = np.random.default_rng(0).normal(scale=30, size=128 * 60)
    channels = [
        edfio.EdfSignal(signal, 128, label=f"EEG {name}", physical_dimension="uV")
        for name in ("C3", "C4")
    ]
    said = [edfio.EdfAnnotation(3, 1, "Canary note of the nurse")]
    edfio.Edf(channels, patient=patient, recording=of, annotations=said).write(night)
    events, page = outside / "events.tsv", ("--page", outside / "night.html")
    assert called(main, "scan", model, night, "--event", "W", "--out", events, *page) == 0
    header = Planted(
        night,
        frozenset({"7310013"}),
        frozenset({"1960-04-05"}),
        frozenset({"Canary_Mrs_Vogel", "Canary_house", "Canary note of"}),
    )
    printed = capsys.readouterr()
    for planted in (canaries, header):
        assert {
            name: found
            for name, content in outputs(outside, printed.out + printed.err).items()
            if (found := planted.found_in(content))
        } == {}
