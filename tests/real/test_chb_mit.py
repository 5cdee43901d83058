"""The page on CHB-MIT and Siena, on folders laid out in BIDS.

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
from sequela.signals.folders import events_in

PAGE = Path(__file__).parents[2] / "docs" / "chb-mit.md"
SECONDS = 180
SEIZURES = ((30, 60), (120, 155))
TOML = fences(PAGE, "toml")[0]

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


def lay_out(root: Path, sample: Path, bonn: Signals, numbers: Sequence[int], seizure: str) -> None:
    """Write two files a subject, the first without a seizure, as epilepsy2bids does."""
    for number in numbers:
        for run, calm in enumerate((True, False)):
            name = f"sub-{number:02}_ses-01_task-szMonitoring_run-{run:02}"
            place = root / f"sub-{number:02}" / "ses-01" / "eeg" / f"{name}_eeg.edf"
            write(place, sample, bonn, 10 * number + run, calm=calm)
            lines = [
                "onset\tduration\teventType\tconfidence\tchannels\tdateTime\trecordingDuration"
            ]
            rest = f"n/a\tn/a\t2020-01-01 12:28:57\t{SECONDS}"
            if calm:
                lines.append(f"0\t{SECONDS}\tbckg\t{rest}")
            else:
                lines += [f"{a}\t{b - a}\t{seizure}\t{rest}" for a, b in SEIZURES]
            place.with_name(f"{name}_events.tsv").write_text("\n".join(lines), "utf-8")
    people = "".join(f"sub-{number:02}\n" for number in numbers)
    (root / "participants.tsv").write_text(f"participant_id\n{people}", "utf-8")


@pytest.mark.slow
def test_the_page_from_the_published_layout_to_the_scores(
    real_data: Path,
    bonn: Signals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    samples = real_data / "edf-samples"
    monkeypatch.chdir(tmp_path)
    lay_out(Path("chb-mit"), samples / "chb08_02.edf", bonn, (1, 2, 3), "sz")
    lay_out(Path("chb-test"), samples / "chb08_02.edf", bonn, (8,), "sz")
    lay_out(Path("siena"), samples / "PN00-5_sample.edf", bonn, (0,), "sz_foc_ia")
    Path("chb-mit/signals.toml").write_text(TOML, "utf-8")
    printed = {}
    for words in commands(PAGE):
        paths = [sorted(map(str, Path().glob(word))) if "*" in word else [word] for word in words]
        quick = ["--epochs", "20"] if words[0] == "train" else []
        call([word for some in paths for word in some] + quick)
        printed[" ".join(words)] = capsys.readouterr().out
    assert "windows" in printed["data check signals --root chb-mit"]
    split = RunFolder(Path("runs/chb-mit")).predictions
    parts = [set(split.part(part).group_id.tolist()) for part in ("train", "tuning", "held_out")]
    assert sorted(name for part in parts for name in part) == ["sub-01", "sub-02", "sub-03"]
    for name in ("chb-test", "siena"):
        (scores,) = [text for words, text in printed.items() if f"{name}.html" in words]
        assert "by event: sensitivity 1.000" in scores, scores
        page = Path(f"{name}.html").read_text("utf-8")
        assert page.count('<figure id="figure-recording-') == 2
        assert "events known: 0:00:30 to 0:01:00, 0:02:00 to 0:02:35" in page
        events = [event for _, event, _ in events_in(Path(f"{name}_events.tsv"))]
        found = [event for event in events if event.label == "sz"]
        for event, (first, last) in zip(found, SEIZURES, strict=True):
            assert abs(event.onset - first) < 15
            assert abs(event.onset + (event.duration or 0) - last) < 15


def test_the_declaration_has_the_channels_of_both_corpora(real_data: Path) -> None:
    from sequela.signals.channels import Montage
    from sequela.signals.edf import EdfFile

    asked = tomllib.loads(TOML)["channels"]
    assert len(asked) == 18
    for name in ("chb08_02.edf", "chb01_01_sample.edf", "PN00-5_sample.edf"):
        file = EdfFile.open(real_data / "edf-samples" / name)
        weights = Montage(asked, file.labels, name).weights
        pairs = name.startswith("PN")
        assert (np.abs(weights).sum(1) == (2 if pairs else 1)).all()
