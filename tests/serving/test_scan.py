"""Long EDF files made of real recordings of Bonn, with seizures inserted at known times."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
from scipy.signal import resample_poly
from tests.test_docs import call

from sequela.cli.commands.scan import scan as scan_command
from sequela.datasets.catalog import EXCERPTS, load_recordings
from sequela.errors import DataError, SettingError, UnknownNameError
from sequela.runs.folder import RunFolder
from sequela.serving import load
from sequela.serving.scan import Scan, Scanning, _threshold, scan
from sequela.serving.szcore import scores, truth
from sequela.signals.edf import EdfFile

RATE = 256
SEIZURES = ((120, 160), (300, 340))
FLAT = (400, 420)
SECONDS = 480
COLUMNS = [
    *("onset", "duration", "eventType", "confidence"),
    *("channels", "dateTime", "recordingDuration"),
]


@pytest.fixture(scope="module")
def night(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight minutes at 256 Hz of held-out recordings: eyes open, two seizures, a flat line."""
    folder = RunFolder(run)
    held_out = set(folder.predictions.part("held_out").group_id.tolist())
    recordings, _ = load_recordings("bonn", EXCERPTS / "bonn.parquet")
    of_class: dict[int, list[np.ndarray]] = {0: [], 4: []}
    for each in recordings:
        if each.recording_id in held_out and each.label in of_class:
            of_class[each.label].append(resample_poly(each.signal[0], 25600, 17361))
    calm, seizures = (np.concatenate(of_class[label]) for label in (4, 0))
    signal = np.resize(calm, SECONDS * RATE)
    for number, (first, last) in enumerate(SEIZURES):
        size = (last - first) * RATE
        signal[first * RATE : last * RATE] = seizures[number * size : (number + 1) * size]
    signal[FLAT[0] * RATE : FLAT[1] * RATE] = 0
    path = tmp_path_factory.mktemp("edf") / "night.edf"
    channel = edfio.EdfSignal(signal, RATE, label="EEG Fz", physical_dimension="uV")
    said = [edfio.EdfAnnotation(a, b - a, "sz_foc_ia") for a, b in SEIZURES]
    said.append(edfio.EdfAnnotation(20, 5, "eyes open"))
    edfio.Edf([channel], annotations=said).write(path)
    known = "".join(f"{a}\t{b - a}\tsz\n" for a, b in SEIZURES)
    (path.parent / "known.tsv").write_text(f"onset\tduration\teventType\n{known}", "utf-8")
    return path


@pytest.fixture(scope="module")
def found(file: Path, night: Path) -> Scan:
    return scan(load(file), night, Scanning(threshold=0.5))


def test_the_seizures_are_found_where_they_are(found: Scan) -> None:
    assert len(found.events) == len(SEIZURES)
    for event, (first, last) in zip(found.events, SEIZURES, strict=True):
        assert abs(event.onset - first) < 5
        assert abs(event.onset + event.duration - last) < 5
        assert event.confidence > 0.5


def test_the_run_folder_of_a_baseline_model_finds_them_too(baseline: Path, night: Path) -> None:
    scanned = scan(load(baseline), night, Scanning(threshold=0.5))
    assert [round(event.onset / 10) for event in scanned.events] == [12, 30]


def test_a_flat_line_is_not_scored(found: Scan) -> None:
    assert found.unscored == pytest.approx(FLAT[1] - FLAT[0], abs=2)
    inside = (found.times > FLAT[0] + 2) & (found.times < FLAT[1] - 2)
    assert np.isnan(found.probability[inside]).all()


def test_pieces_give_what_the_whole_gives_and_are_read_once(
    file: Path, night: Path, found: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, counts = EdfFile.read, []

    def counting(edf: EdfFile, signals: list[int], first: int, last: int) -> Any:
        counts.append(last - first)
        return read(edf, signals, first, last)

    monkeypatch.setattr(EdfFile, "read", counting)
    monkeypatch.setattr("sequela.serving.scan._AT_ONCE", 97)
    again = scan(load(file), night, Scanning(threshold=0.5))
    np.testing.assert_allclose(again.probability, found.probability, atol=1e-5)
    edf = EdfFile.open(night)
    assert sum(counts) == pytest.approx(edf.seconds * edf.rate(0), rel=0.01)


@pytest.mark.parametrize("how", ["known.tsv", "annotations"])
def test_scores_of_szcore(how: str, found: Scan, night: Path) -> None:
    known = truth(str(night.parent / how) if how.endswith("tsv") else how, [night])
    assert known == [[(float(a), float(b)) for a, b in SEIZURES]]
    by_event, by_sample = scores(known, [found])
    said = "by event: sensitivity 1.000, precision 1.000, F1 1.000, 0.0 false alarms in 24 hours"
    assert str(by_event) == said
    assert by_sample.numbers["F1"] > 0.85


def test_scores_of_several_recordings_are_those_of_all(found: Scan, night: Path) -> None:
    """A second recording in which two events are found, one of them a seizure."""
    both = [found, found]
    known = [*truth("annotations", [night]), [tuple(map(float, SEIZURES[0]))]]
    by_event, _ = scores(known, both)  # type: ignore[arg-type]
    assert (by_event.events, by_event.detected, by_event.false) == (3, 3, 1)
    assert by_event.numbers["precision"] == pytest.approx(0.75)
    assert by_event.numbers[by_event.alarms] == pytest.approx(86400 / (2 * SECONDS))


def test_several_recordings_with_a_page(
    file: Path, night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = tmp_path / "second.edf"
    second.write_bytes(night.read_bytes())
    known = tmp_path / "known.tsv"
    lines = [f"{n}\t{a}\t{b - a}\tsz\n" for n in ("night.edf", "second") for a, b in SEIZURES]
    known.write_text(f"file\tonset\tduration\teventType\n{''.join(lines)}", "utf-8")
    out, page = tmp_path / "events.tsv", tmp_path / "scan.html"
    arguments = ["--threshold", "0.5", "--out", str(out)]
    call(["scan", str(file), str(night), *arguments])
    assert out.read_text("utf-8").splitlines()[0].split("\t") == COLUMNS
    arguments += ["--truth", str(known), "--page", str(page)]
    call(["scan", str(file), str(night), str(second), *arguments])
    head, *lines = out.read_text("utf-8").splitlines()
    assert head.split("\t") == [*COLUMNS, "file"]
    assert [line.split("\t")[2] for line in lines] == ["sz"] * 4
    assert [line.split("\t")[-1] for line in lines] == ["night.edf"] * 2 + ["second.edf"] * 2
    printed = capsys.readouterr().out
    assert "second.edf: 2 seizure events in 8 min" in printed
    assert "resampled from 256 Hz to 173.61 Hz" in printed
    assert "by event: sensitivity 1.000" in printed
    html = page.read_text("utf-8")
    assert html.count('<figure id="figure-recording-') == 2
    assert html.count('<figure id="figure-event-') == 4
    assert "A recording of 0:08:00: the probability of seizure is at most" in html
    assert "events known: 0:02:00 to 0:02:40, 0:05:00 to 0:05:40" in html
    assert "<td>1.000</td><td>1.000</td><td>1.000</td><td>0.0</td>" in html
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", html)


@pytest.mark.parametrize(("place", "expected"), [(0, 0.5), (1, 0.2)])
def test_the_threshold_of_the_model_is_of_its_second_class(
    place: int, expected: float, file: Path
) -> None:
    model = load(file)
    model = replace(
        model, about={**model.about, "thresholds": [{"value": 0.2, "chosen_for": "f1"}]}
    )
    assert _threshold(model, None, place) == expected


def test_a_truth_of_another_recording_is_refused_before_the_scan(
    file: Path, night: Path, tmp_path: Path
) -> None:
    known, out = tmp_path / "known.tsv", tmp_path / "events.tsv"
    known.write_text("onset\tduration\teventType\n9000\t5\tsz\n", "utf-8")
    with pytest.raises(DataError, match="begins at 9000 s"):
        scan_command(file, [night], out=out, truth=str(known))
    assert not out.exists()


def test_what_cannot_be_scanned_is_refused(file: Path, night: Path, tmp_path: Path) -> None:
    model = load(file)
    with pytest.raises(UnknownNameError, match="seizur"):
        scan(model, night, Scanning(event="seizur"))
    for name, value in (
        ("threshold", 2),
        ("step", 0),
        ("step", -1),
        ("smooth", -1),
        ("gap", np.nan),
    ):
        with pytest.raises(SettingError, match=f"--{name} is {value}"):
            Scanning(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no channel 'Oz'"):
        scan(model, night, Scanning(channels=("Oz",)))
    whole = night.read_bytes()
    for changed, said in (
        (whole[:-100], "cut short"),
        (
            later(night, 8 * 86_400, first=400),
            r"192.1 hours from .*, gaps included; expected at most 7 days",
        ),
        (whole[:236] + b"-1      " + whole[244:], "it was not closed"),
        (b"\0" * 8 + whole[8:], "begins as neither EDF nor BDF does"),
    ):
        (tmp_path / "bad.edf").write_bytes(changed)
        with pytest.raises(DataError, match=said):
            scan(model, tmp_path / "bad.edf", Scanning())
    (tmp_path / "bad.edf").write_bytes(whole.replace(b"sz_foc_ia\x14", b"sz_foc_ia\x15", 1))
    with pytest.raises(DataError, match="an annotation is damaged"):
        truth("annotations", [tmp_path / "bad.edf"])


def later(path: Path, seconds: int, first: int = 240) -> bytes:
    """Return a discontinuous file: data records from one on begin so many seconds later."""
    file, whole = EdfFile.open(path), path.read_bytes()
    start = len(file.header)
    content = bytearray(whole[:192] + b"EDF+D" + whole[197:])
    n_bytes, size = 2 * sum(file.samples), 2 * file.samples[1]
    assert file.names[1] == "EDF Annotations"
    for end in range(start + (first + 1) * n_bytes, len(content) + 1, n_bytes):
        onset, rest = bytes(content[end - size : end]).split(b"\x14", 1)
        moved = b"+%d\x14%b" % (int(onset) + seconds, rest.rstrip(b"\0") + b"\0")
        assert len(moved) <= size
        content[end - size : end] = moved.ljust(size, b"\0")
    assert len(content) == len(whole)
    return bytes(content)


def test_a_gap_is_not_scored(file: Path, night: Path, found: Scan, tmp_path: Path) -> None:
    path, page = tmp_path / "gap.edf", tmp_path / "gap.html"
    path.write_bytes(later(night, 500))
    scanned = scan(load(file), path, Scanning(threshold=0.5))
    assert scanned.seconds == SECONDS + 500
    first, second = found.events
    assert [each.onset for each in scanned.events] == pytest.approx(
        [first.onset, second.onset + 500], abs=1
    )
    inside = (scanned.times > 242) & (scanned.times < 738)
    assert np.isnan(scanned.probability[inside]).all()
    assert scanned.unscored == pytest.approx(found.unscored + 500, abs=3)
    assert "1 gaps in time, of 500 s in all" in scanned.recording.notes
    assert scanned.in_words.endswith("s of flat, missing or rejected signal were not scored")
    scan_command(file, [path], out=tmp_path / "events.tsv", page=page, threshold=0.5)
    assert page.read_text("utf-8").count('<figure id="figure-event-') == 2
    joined = scan(load(file), path, Scanning(threshold=0.5, gap=900))
    assert len(joined.events) == 1


def test_one_bad_recording_of_several_writes_nothing(
    file: Path, night: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.edf").write_bytes(night.read_bytes()[:-100])
    out, page = tmp_path / "events.tsv", tmp_path / "scan.html"
    with pytest.raises(DataError, match=r"bad.edf: .* cut short"):
        scan_command(file, [night, tmp_path / "bad.edf"], out=out, page=page)
    assert not out.exists()
    assert not page.exists()
