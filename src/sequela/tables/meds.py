"""A data set in the Medical Event Data Standard, version 0.4, as input.

Its split and its descriptions of codes are kept. The hospital stay of an event is its ``visit_id``,
or ``hadm_id`` as in some other data sets; further columns are not read.

The standard: https://github.com/Medical-Event-Data-Standard/meds.
"""

import json
from pathlib import Path

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from meds import schema as standard

from sequela.errors import DataError
from sequela.formats.opened import text
from sequela.tables.declarations import Batches, Fact, Frame, Frames, Kind, Source, Table
from sequela.tables.meds_events import VERSION, data_files, lossless, parquet_of, validate

VISITS = ("visit_id", "hadm_id")


def read(root: Path) -> Batches:
    """Read the shards, and the descriptions of codes where there are any."""
    _check_version(root)
    files = data_files(root)
    codes = root / standard.code_metadata_filepath
    read = [*files, codes] if codes.exists() else files
    validate(files)
    for path in files:
        with parquet_of(path):
            schema = lossless(path, pq.read_schema(path))
        for name in VISITS:
            # Stays are compared for equality, so a float or a text could match the wrong one.
            if name in schema.names and schema.field(name).type != pa.int64():
                kind = schema.field(name).type
                raise DataError(
                    f"{path}: {name} is {kind}; expected integers: cast it, or rename it"
                )
    for path in read:
        # An engine does not verify the checksums of pages.
        with parquet_of(path):
            shard = pq.ParquetFile(path, page_checksum_verification=True)
            if shard.metadata.num_rows != sum(len(batch) for batch in shard.iter_batches()):
                raise DataError(f"{path}: not as many rows as its metadata state; fetch it again")
    _check_subjects(files)
    yield "data", files
    if codes in read:
        yield "codes", [codes]


def _check_version(root: Path) -> None:
    path = root / standard.dataset_metadata_filepath
    if not path.exists():
        return
    try:
        version = json.loads(text(path, "a JSON object")).get("meds_version")
    except (ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        words = " ".join(str(error).split())
        raise DataError(f"{path}: not a JSON object ({words})") from error
    # Before version 1.0 a minor version of the standard may change its columns.
    if version is not None and not str(version).startswith(VERSION + "."):
        raise DataError(
            f"{path}: MEDS version {version}; expected {VERSION}: convert the data set with the "
            "tools of that version"
        )


def _check_subjects(files: list[Path]) -> None:
    """Check that each subject is in one shard, as the standard requires."""
    # Only the distinct ids of each shard are held, so an id that is there twice is in two shards.
    columns = [pq.read_table(path, columns=["subject_id"])["subject_id"] for path in files]
    subjects = [pc.unique(column).to_numpy(zero_copy_only=False) for column in columns]
    ids = np.concatenate(subjects)
    shard = np.repeat(np.arange(len(files)), list(map(len, subjects)))
    order = np.argsort(ids, kind="stable")
    twice = np.flatnonzero(np.diff(ids[order]) == 0)
    if len(twice):
        first, second = order[twice[0]], order[twice[0] + 1]
        raise DataError(
            f"subject {ids[first]} is in {files[shard[first]]} and in {files[shard[second]]}; "
            "MEDS keeps a subject in one file: merge them"
        )


def events(frame: Frame, _: Frames) -> Frame:
    """Return events in the standard's types, with ``visit_id`` under either name."""
    return frame.with_columns(
        nw.col("subject_id").cast(nw.Int64()),
        nw.col("time").cast(nw.Datetime("us")),
        nw.col("code").cast(nw.String()),
        nw.col("numeric_value").cast(nw.Float64()),
        # ``hadm_id`` is MIMIC's name for the hospital stay, which some converters keep.
        visit_id=nw.coalesce(*(nw.col(name).cast(nw.Int64()) for name in VISITS)),
    )


SOURCE = Source(
    name="meds",
    reads=read,
    tables=(
        Table(
            "data",
            {
                "subject_id": Kind.INTEGER,
                "time": Kind.TIME,
                "code": Kind.TEXT,
                "numeric_value": Kind.NUMBER,
                "visit_id": Kind.INTEGER,
                "hadm_id": Kind.INTEGER,
            },
            (
                Fact(
                    "event",
                    "{code}",
                    "time",
                    "at its time",
                    "whoever wrote the data set vouches for it",
                    value="numeric_value",
                    static_where_blank=True,
                ),
            ),
            required=True,
            optional=frozenset({"numeric_value", *VISITS}),
            prepare=events,
        ),
        Table(
            "codes",
            {"code": Kind.TEXT, "description": Kind.TEXT},
            optional=frozenset({"description"}),
            describes={"{code}": "description"},
        ),
    ),
)
