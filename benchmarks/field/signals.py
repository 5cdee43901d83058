"""EEG to windows, and predictions for many segments."""

from pathlib import Path

import numpy as np
from benchmarks.field.measure import Work

CHANNELS = (
    *("Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"),
    *("F7", "F8", "T7", "T8", "P7", "P8", "Fz", "Cz", "Pz"),
)
SFREQ, AFTER, SECONDS = 256, 128, 4
HOUR, HOURS = 3600, 4
ROWS, AT_ONCE = 100_000, 10_000
MODEL = "spectral-mlp"


def make_edf(folder: Path, scale: float) -> None:
    """Write a recording of random samples, in data records of one second, and its events."""
    folder.mkdir(parents=True)
    n, seconds = len(CHANNELS), round(HOURS * HOUR * scale)
    fixed: list[tuple[object, int]] = [
        ("0", 8),
        ("X X X X", 80),
        ("Startdate 01-JAN-2020 X X X", 80),
        ("01.01.20", 8),
    ]
    fixed += [("00.00.00", 8), (256 * (n + 1), 8), ("", 44), (seconds, 8), (1, 8), (n, 4)]
    header = b"".join(_field([value], width) for value, width in fixed)
    header += _field([f"EEG {name}-REF" for name in CHANNELS], 16)
    signals: list[tuple[object, int]] = [("", 80), ("uV", 8), (-3276, 8), (3276, 8)]
    signals += [(-32768, 8), (32767, 8), ("", 80), (SFREQ, 8), ("", 32)]
    header += b"".join(_field([value] * n, width) for value, width in signals)
    rng = np.random.default_rng(0)
    with (folder / "long.edf").open("wb") as file:
        file.write(header)
        for first in range(0, seconds, HOUR):
            size = (min(HOUR, seconds - first), n * SFREQ)
            file.write(rng.integers(-2000, 2000, size, dtype=np.int16).tobytes())
    (folder / "events.csv").write_text("onset,duration,label\n100,60,seizure\n", "utf-8")


def _field(values: list[object], width: int) -> bytes:
    return b"".join(str(value).ljust(width).encode() for value in values)


def windows(root: Path, out: Path) -> str:
    """Cut windows by ``--data signals``."""
    from sequela.config import SignalSettings
    from sequela.signals.reading import read

    settings = SignalSettings(
        events="events.csv",
        classes=("seizure",),
        background="background",
        window=SECONDS,
        resample=AFTER,
    )
    found = read(root, settings, work=out)
    return f"{len(found.label):,} windows"


def windows_of_mne(root: Path, out: Path) -> str:
    """Cut windows by MNE as its tutorials do, in memory, and save them."""
    import mne

    raw = mne.io.read_raw_edf(root / "long.edf", preload=True, verbose="error")
    raw.resample(AFTER, method="polyphase", verbose="error")
    epochs = mne.make_fixed_length_epochs(raw, duration=SECONDS, preload=True, verbose="error")
    cut = epochs.get_data(copy=False).astype(np.float32)
    np.save(out / "windows.npy", cut)
    return f"{len(cut):,} windows"


def make_segments(folder: Path, scale: float) -> None:
    """Train and export a model, and write segments with noise: no two rows are alike."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from benchmarks.serving.run import trained

    from sequela.datasets.catalog import EXCERPTS, load_recordings

    folder.mkdir(parents=True)
    trained(MODEL, folder)
    recordings, _ = load_recordings("bonn", EXCERPTS / "bonn.parquet")
    cut = np.concatenate([each.signal[0][:4094].reshape(-1, 178) for each in recordings])
    schema = pa.schema([("id", pa.string()), ("eeg", pa.list_(pa.float32()))])
    rng, rows = np.random.default_rng(0), round(ROWS * scale)
    with pq.ParquetWriter(folder / "rows.parquet", schema) as file:
        for first in range(0, rows, AT_ONCE):
            count = min(AT_ONCE, rows - first)
            some = cut[rng.integers(len(cut), size=count)] + rng.normal(0, 1, (count, 178))
            values = pa.array(some.astype(np.float32).ravel())
            lists = pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32) * 178, values)
            ids = pa.array([f"row-{number}" for number in range(first, first + count)])
            file.write_table(pa.table([ids, lists], schema=schema))


def predicted(root: Path, out: Path) -> str:
    """Predict by ``sequela predict``: with checks, copies of training data, and drift."""
    import contextlib
    import io

    import pyarrow.parquet as pq

    from sequela.cli.app import main

    options = ("--data", "signals", "--id", "id", "--rate", "173.61", "--unit", "µV")
    files = (str(root / f"{MODEL}.onnx"), str(root / "rows.parquet"))
    path = out / "predictions.parquet"
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            main(["predict", *files, *options, "--out", str(path)])
        except SystemExit as ended:
            if ended.code:
                raise
    return f"{pq.read_metadata(path).num_rows:,} predictions"


def predicted_by_runtime(root: Path, out: Path) -> str:
    """Predict by ONNX Runtime in a loop, in batches of as many segments."""
    import onnxruntime
    import pyarrow as pa
    import pyarrow.parquet as pq

    session = onnxruntime.InferenceSession(root / f"{MODEL}.onnx")
    names = {each.name for each in session.get_inputs()}
    file = pq.ParquetFile(root / "rows.parquet")
    found = []
    for batch in file.iter_batches(512):
        signal = np.stack(batch["eeg"].to_numpy(zero_copy_only=False)).astype(np.float32)
        given = {"signal": signal[:, np.newaxis], "lengths": np.full(len(signal), 178)}
        given = {name: array for name, array in given.items() if name in names}
        found.append(session.run(["probabilities"], given)[0])
    table = np.concatenate(found)
    columns = {f"probability {i}": table[:, i] for i in range(table.shape[1])}
    pq.write_table(pa.table(columns), out / "predictions.parquet")
    return f"{len(table):,} predictions"


def make_night(folder: Path, scale: float) -> None:
    """Train and export a model, and write a night with seizures from recordings of Bonn."""
    from benchmarks.field.night import write_night
    from benchmarks.serving.run import trained

    folder.mkdir(parents=True)
    run, _ = trained(MODEL, folder)
    write_night(folder / "night.edf", run, 8 * scale)


def scanned(root: Path, _out: Path) -> str:
    """Scan a night."""
    from sequela.serving import load
    from sequela.serving.scan import Scanning, scan
    from sequela.serving.szcore import scores, truth

    path = root / "night.edf"
    found = scan(load(root / f"{MODEL}.onnx"), path, Scanning())
    by_event, _ = scores(truth(str(path.with_suffix(".tsv")), [path]), [found])
    return f"{len(found.events)} events; {by_event}"


WORKS = {
    "windows": Work(
        "A recording of 4 hours, 19 channels at 256 Hz, to windows of 4 s at 128 Hz",
        make_edf,
        0.1,
        {"sequela": windows, "MNE": windows_of_mne},
    ),
    "predictions": Work(
        f"Predictions of `{MODEL}` for {ROWS:,} segments of a table",
        make_segments,
        0.05,
        {"sequela": predicted, "ONNX Runtime": predicted_by_runtime},
    ),
    "night": Work(
        f"A scan of a night of 8 hours, 19 channels at 256 Hz, by `{MODEL}`",
        make_night,
        0.1,
        {"sequela": scanned},
    ),
}
