"""The page on CHB-MIT and Siena, on folders laid out as published.

The headers are those of the corpora's own files; the signals are recordings of Bonn, with seizures
at the times that the lists name.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path

import edfio
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import resample_poly
from tests.test_docs import call, commands, fences

from sequela.datasets.catalog import EXCERPTS, load_recordings
from sequela.runs.folder import RunFolder
from sequela.signals.edf import EdfFile
from sequela.signals.folders import events_in
from sequela.signals.seizure_lists import seizures_of

PAGE = Path(__file__).parents[2] / "docs" / "signals.md"
SECONDS = 180
SEIZURES = ((30, 60), (120, 155))
TOML = fences(PAGE, "toml", "CHB-MIT and Siena")[0]

Signals = dict[str, NDArray[np.float64]]


@pytest.fixture(scope="module")
def bonn() -> Signals:
    """Seizures, and eyes open, at 256 Hz."""
    recordings, _ = load_recordings("bonn", EXCERPTS / "bonn.parquet")
    found = Signals()
    for label, name in {0: "seizure", 4: "calm"}.items():
        some = [each.signal[0].astype(float) for each in recordings if each.label == label]
        found[name] = resample_poly(np.concatenate(some[::4]), 25600, 17361)
    return found


def write(path: Path, sample: Path, bonn: Signals, seed: int, *, calm: bool) -> None:
    """A recording with the header of a published one: its channels, units, rate and start."""
    published = edfio.read_edf(sample)
    rng = np.random.default_rng(seed)
    signals: list[edfio.EdfSignal] = []
    for each in published.signals:
        rate, size = each.sampling_frequency, round(SECONDS * each.sampling_frequency)
        if each.physical_dimension != "uV":
            signals.append(
                edfio.EdfSignal(np.arange(size, dtype=np.float64) % 7, rate, label=each.label)
            )
            continue
        start = int(rng.integers(len(bonn["calm"])))
        signal = np.resize(np.roll(bonn["calm"], -start), SECONDS * 256)
        for first, last in () if calm else SEIZURES:
            begin = int(rng.integers(len(bonn["seizure"]) - 50 * 256))
            length = (last - first) * 256
            signal[first * 256 : last * 256] = bonn["seizure"][begin : begin + length]
        signal = resample_poly(signal, round(rate), 256).astype(np.float64)
        signals.append(edfio.EdfSignal(signal, rate, label=each.label, physical_dimension="uV"))
    path.parent.mkdir(parents=True, exist_ok=True)
    edfio.Edf(signals, recording=published.recording, starttime=published.starttime).write(path)


def lay_out_chb(root: Path, sample: Path, bonn: Signals, cases: Sequence[str]) -> None:
    """Two files a case, the first without a seizure, and the summary in the published form."""
    for number, case in enumerate(cases):
        lines = ["Data Sampling Rate: 256 Hz", "*************************", ""]
        for file, calm in ((1, True), (2, False)):
            name = f"{case}_0{file}.edf"
            write(root / case / name, sample, bonn, 10 * number + file, calm=calm)
            lines += [f"File Name: {name}", "File Start Time: 12:28:57", "File End Time: 12:31:57"]
            lines.append(f"Number of Seizures in File: {0 if calm else len(SEIZURES)}")
            for n, (first, last) in enumerate(() if calm else SEIZURES, 1):
                lines.append(f"Seizure {n} Start Time: {first} seconds")
                lines.append(f"Seizure {n} End Time: {last} seconds")
            lines.append("")
        (root / case / f"{case}-summary.txt").write_text("\n".join(lines), "utf-8")


def lay_out_siena(root: Path, sample: Path, bonn: Signals) -> None:
    """One patient, whose list has the times of the clock; the file starts at 22.22.04."""
    write(root / "PN00" / "PN00-5.edf", sample, bonn, 99, calm=False)
    lines = ["PN00", "", "Data Sampling Rate: 512 Hz", ""]
    for n, (first, last) in enumerate(SEIZURES, 5):
        lines += [f"Seizure n {n} ", "File name: PN00-5.edf", "Registration start time: 22.22.04"]
        for what, at in (("start", first), ("end", last)):
            minutes, seconds = divmod(4 + at, 60)
            lines.append(f"Seizure {what} time: 22.{22 + minutes}.{seconds:02d}")
    (root / "PN00" / "Seizures-list-PN00.txt").write_text("\n".join(lines), "utf-8")


def test_the_page_from_the_published_layout_to_the_scores(
    real_data: Path,
    bonn: Signals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    samples = real_data / "edf-samples"
    monkeypatch.chdir(tmp_path)
    lay_out_chb(Path("chb-mit"), samples / "chb08_02.edf", bonn, [f"chb0{n}" for n in (1, 2, 3)])
    lay_out_chb(Path("chb-test"), samples / "chb08_02.edf", bonn, ["chb08"])
    lay_out_siena(Path("siena"), samples / "PN00-5_sample.edf", bonn)
    Path("chb-mit/signals.toml").write_text(TOML, "utf-8")
    printed = {}
    for words in commands(PAGE, "CHB-MIT and Siena"):
        paths = [sorted(map(str, Path().glob(word))) if "*" in word else [word] for word in words]
        quick = ["--epochs", "20"] if words[0] == "train" else []
        call([word for some in paths for word in some] + quick)
        printed[words[-1]] = capsys.readouterr().out
    assert "windows" in printed["chb-mit"]
    split = RunFolder(Path("runs/chb-mit")).predictions
    parts = [set(split.part(part).group_id.tolist()) for part in ("train", "tuning", "held_out")]
    assert sorted(name for part in parts for name in part) == [f"chb0{n}" for n in (1, 2, 3)]
    for how, name, recordings in (("summary", "chb-test", 2), ("siena", "siena", 1)):
        assert "by event: sensitivity 1.000" in printed[how], printed[how]
        page = Path(f"{name}.html").read_text("utf-8")
        assert page.count('<figure id="figure-recording-') == recordings
        assert "events known: 0:00:30 to 0:01:00, 0:02:00 to 0:02:35" in page
        events = [event for _, event, _ in events_in(Path(f"{name}_events.tsv"))]
        found = [event for event in events if event.label == "sz"]
        for event, (first, last) in zip(found, SEIZURES, strict=True):
            assert abs(event.onset - first) < 15
            assert abs(event.onset + (event.duration or 0) - last) < 15


def test_the_declaration_has_the_channels_of_both_corpora(real_data: Path) -> None:
    from sequela.signals.channels import Montage

    asked = tomllib.loads(TOML)["channels"]
    assert len(asked) == 18
    for name in ("chb08_02.edf", "chb01_01_sample.edf", "PN00-5_sample.edf"):
        file = EdfFile.open(real_data / "edf-samples" / name)
        weights = Montage(asked, file.labels, name).weights
        pairs = name.startswith("PN")
        assert (np.abs(weights).sum(1) == (2 if pairs else 1)).all()


@pytest.mark.parametrize(
    ("source", "name", "onset", "duration"),
    [("summary", "chb08_02.edf", 2670, 171), ("seizeit", "P_ID64_r1.edf", 8971, None)],
)
def test_the_published_lists_are_read(
    real_data: Path, source: str, name: str, onset: int, duration: int | None
) -> None:
    file = EdfFile.open(real_data / "edf-samples" / name)
    (seizure,) = seizures_of(source, {name: file})[name]
    assert (seizure.onset, seizure.duration) == (onset, duration)
