"""Memory and time of a prediction: tables of more and more rows, made of Bonn recordings.

python benchmarks/predict.py FILE.onnx [ROWS ...]

Each prediction runs in a process of its own, so that the peak is that of the prediction alone.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sequela.sources.catalog import EXCERPTS, load_recordings

AT_ONCE = 10_000
SIZES = (10_000, 100_000, 1_000_000)
OPTIONS = ("--data", "signals", "--id", "id", "--rate", "173.61", "--unit", "µV")
RUN = """
import resource, sys, time
from sequela.cli.app import main
before = time.perf_counter()
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert not ended.code, ended.code
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
print(f"{time.perf_counter() - before:.0f} s, peak {peak:.0f} MB", file=sys.stderr)
"""


def write(path: Path, rows: int) -> None:
    """Segments of 178 samples in no order, with noise: no two rows are alike."""
    recordings, _ = load_recordings("bonn", EXCERPTS / "bonn.parquet")
    cut = np.concatenate([each.signal[0][:4094].reshape(-1, 178) for each in recordings])
    schema = pa.schema([("id", pa.string()), ("eeg", pa.list_(pa.float32()))])
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(path, schema) as file:
        for first in range(0, rows, AT_ONCE):
            count = min(AT_ONCE, rows - first)
            some = cut[rng.integers(len(cut), size=count)] + rng.normal(0, 1, (count, 178))
            values = pa.array(some.astype(np.float32).ravel())
            lists = pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32) * 178, values)
            ids = pa.array([f"row-{number}" for number in range(first, first + count)])
            file.write_table(pa.table([ids, lists], schema=schema))


def main() -> None:
    model = sys.argv[1]
    for rows in [int(each) for each in sys.argv[2:]] or SIZES:
        with TemporaryDirectory() as work:
            path, out = Path(work) / "rows.parquet", Path(work) / "said.parquet"
            write(path, rows)
            arguments = ["predict", model, str(path), *OPTIONS, "--out", str(out)]
            done = subprocess.run(  # noqa: S603 - our own
                [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=True
            )
            print(f"{rows:,} rows: {done.stderr.strip().splitlines()[-1]}", flush=True)


if __name__ == "__main__":
    main()
