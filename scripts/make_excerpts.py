"""Make the excerpts that ship with the package, from the published originals.

Example:
    python scripts/make_excerpts.py --root "$SEQUELA_DATA"

Each excerpt's originals are checked against ``scripts/originals.sha256`` first, so that nothing
but what was published can get in. The same originals and the same release of pyarrow give the same
bytes; their SHA-256 stands in ``LICENCES.md`` next to them.
"""

import argparse
import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from sequela.datasets.catalog import EXCERPTS
from sequela.signals import bonn
from sequela.tables.sources import physionet2012

ORIGINALS = Path(__file__).with_name("originals.sha256")


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def originals(under: str) -> dict[str, str]:
    """The relative path and SHA-256 of each original under a folder of the data's root."""
    lines = (line.split(maxsplit=1) for line in ORIGINALS.read_text("utf-8").splitlines())
    return {path: digest for digest, path in lines if path.startswith(f"{under}/")}


def check_originals(root: Path, under: str) -> None:
    """Exit unless every original is there and is what was published."""
    for path, digest in originals(under).items():
        if sha256(root / path) != digest:
            raise SystemExit(f"{root / path} is not the published file: its SHA-256 differs")


def make_bonn(root: Path, out: Path) -> list[Path]:
    """All 500 recordings, 100 a set, as one Parquet file of int16."""
    check_originals(root, "bonn")
    recordings = bonn.read(root / "bonn")
    values = np.concatenate([each.signal[0] for each in recordings]).astype(np.int16)
    signal = pa.FixedSizeListArray.from_arrays(pa.array(values), bonn.N_TIMES)
    ids = pa.array([each.recording_id for each in recordings])
    file = out / "bonn.parquet"
    parquet.write_table(
        pa.table({"recording_id": ids, "signal": signal}),
        file,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        column_encoding={
            "recording_id": "DELTA_BYTE_ARRAY",
            "signal.list.element": "DELTA_BINARY_PACKED",
        },
        write_statistics=False,
    )
    return [file]


def compressed(root: Path, out: Path, under: str) -> list[Path]:
    """Tables of a demo, unchanged, gzipped without name or time."""
    check_originals(root, under)
    out.mkdir(exist_ok=True)
    files = []
    for path in sorted(originals(under)):
        content = (root / path).read_bytes()
        content = gzip.decompress(content) if path.endswith(".gz") else content
        file = out / (Path(path).name.removesuffix(".gz") + ".gz")
        file.write_bytes(gzip.compress(content, 9, mtime=0))
        files.append(file)
    return files


def make_mimic3(root: Path, out: Path) -> list[Path]:
    """The core tables of the MIMIC-III demo."""
    return compressed(root, out / "mimic3", "mimic3-demo")


def make_eicu(root: Path, out: Path) -> list[Path]:
    """Patients, diagnoses, treatments and APACHE values of the eICU demo."""
    return compressed(root, out / "eicu", "eicu-demo")


def make_physionet2012(root: Path, out: Path) -> list[Path]:
    """The 4,000 stays of set-a, a row each, their measurements as lists in the published order."""
    check_originals(root, "physionet2012")
    tables = {
        name: rows.read_all()
        for name, rows in physionet2012.read(root / "physionet2012")
        if isinstance(rows, pa.RecordBatchReader)
    }
    columns = ("time", "parameter", "value")
    stays = tables["records"].group_by("recordid", use_threads=False)
    listed = stays.aggregate([(name, "list") for name in columns]).sort_by("recordid")
    table = tables["outcomes"].sort_by("recordid")
    if not table["recordid"].equals(listed["recordid"]):
        raise SystemExit("the records and the outcomes of set-a are not of the same stays")
    for name in columns:
        table = table.append_column(name, listed[f"{name}_list"])
    file = out / "physionet2012.parquet"
    parquet.write_table(
        table.combine_chunks(),
        file,
        compression="zstd",
        compression_level=19,
        data_page_size=1 << 24,
        write_statistics=False,
    )
    return [file]


MAKERS: dict[str, Callable[[Path, Path], list[Path]]] = {
    "bonn": make_bonn,
    "mimic3": make_mimic3,
    "eicu": make_eicu,
    "physionet2012": make_physionet2012,
}
"""Data set -> function that writes its excerpt, from a root into a folder, and names the files."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the excerpts that ship with the package.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MAKERS)}")
    parser.add_argument("--root", type=Path, required=True, help="folder of the originals")
    parser.add_argument("--out", type=Path, default=EXCERPTS, help="folder to write into")
    arguments = parser.parse_args()
    for name in arguments.names or MAKERS:
        for file in MAKERS[name](arguments.root, arguments.out):
            print(f"{sha256(file)}  {file} ({file.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
