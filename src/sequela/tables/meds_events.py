"""The MEDS 0.4 data set on disk: its columns, writing and reading.

The standard: https://github.com/Medical-Event-Data-Standard/meds. Besides its columns an event has
``visit_id``, the hospital stay it belongs to (null where there is none).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from meds import schema as standard
from numpy.typing import NDArray

from sequela.datasets.catalog import DataSet
from sequela.errors import DataError, DataNotFoundError, SequelaError
from sequela.files import make_folder
from sequela.formats.opened import SUMS, opened, sha256
from sequela.version import __version__

VERSION = "0.4"
EVENT_COLUMNS = ("subject_id", "time", "code", "numeric_value", "visit_id")
_REQUIRED = ("subject_id", "time", "code")
SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64()),
        pa.field("time", pa.timestamp("us")),
        pa.field("code", pa.string()),
        pa.field("numeric_value", pa.float32()),
        pa.field("visit_id", pa.int64()),
    ]
)
# The types of the standard, and wider types, whose values are checked one by one.
READ = {name: SCHEMA.field(name).type for name in EVENT_COLUMNS} | {"hadm_id": pa.int64()}
WIDER = {
    pa.int64(): (pa.uint64(),),
    pa.timestamp("us"): (pa.timestamp("ns"),),
    pa.float32(): (pa.float64(), pa.int32(), pa.int64(), pa.uint32(), pa.uint64()),
}
SPLITS = (standard.train_split, standard.tuning_split, standard.held_out_split)
TRAIN_SHARE = 0.8  # the share of the subjects in the training set
# The share of the subjects in the validation set; the others are in the test set.
TUNING_SHARE = 0.1


def hashed(subject_ids: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """Hash each subject's id and ``seed``, uniform over 64 bits and the same everywhere.

    It is the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    """
    with np.errstate(over="ignore"):  # the products are meant modulo 2^64
        # The constant is 2^64 divided by the golden ratio, which spreads neighbouring seeds.
        state = subject_ids.astype(np.uint64) + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return state ^ (state >> np.uint64(31))


def split_of(subject_ids: NDArray[np.int64], seed: int) -> NDArray[np.int8]:
    """Return the index in ``SPLITS`` of each subject, by its hash.

    Example:
        >>> [SPLITS[part] for part in split_of(np.array([10006, 10011, 10013]), seed=0)]
        ['tuning', 'held_out', 'held_out']
    """
    # The hash is a share of its range. A subject's part depends on its id and the seed alone, so
    # that new subjects move nobody.
    share = hashed(subject_ids, seed) / 2.0**64
    bounds = (TRAIN_SHARE, TRAIN_SHARE + TUNING_SHARE)
    return np.searchsorted(bounds, share, side="right").astype(np.int8)


def read_splits(root: Path) -> dict[int, int] | None:
    """Read the subjects' index in ``SPLITS`` from a data set; ``None`` if it has no such split."""
    path = root / standard.subject_splits_filepath
    if not path.is_file():
        return None
    with parquet_of(path):
        table = pq.ParquetFile(path).read(["subject_id", "split"])
    # A split with other names has other parts, which need not be these three.
    if not set(table["split"].to_pylist()) <= set(SPLITS):
        return None
    pairs = zip(table["subject_id"].to_pylist(), table["split"].to_pylist(), strict=True)
    return {subject: SPLITS.index(split) for subject, split in pairs}


def data_files(root: Path) -> list[Path]:
    """List the shards of a data set, in the order of their names."""
    files = sorted((root / standard.data_subdirectory).rglob("*.parquet"))
    if not files:
        raise DataNotFoundError(
            f"{root}: no MEDS data set there (expected {standard.data_subdirectory}/**/*.parquet)"
        )
    return files


@contextmanager
def parquet_of(path: Path) -> Iterator[None]:
    """Translate pyarrow's errors about a damaged Parquet file."""
    try:
        with opened(path, "a Parquet file"):
            pass
        yield
    except SequelaError:
        raise
    # Damaged bytes raise errors of many kinds, including Python's own.
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError) as error:
        words = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path}: not a readable Parquet file ({words}); expected MEDS {VERSION} data: fetch "
            "it again"
        ) from error


def write_sums(root: Path) -> None:
    """Write the list of checksums of all files of a data set, as publishers do."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    lines = [f"{sha256(path, 'data')}  {path.relative_to(root).as_posix()}\n" for path in files]
    (root / SUMS).write_text("".join(lines), encoding="utf-8")


def schema_of(file: Path) -> pa.Schema:
    """Read the schema of a shard, and check that its columns fit the standard."""
    with parquet_of(file):
        schema = pq.read_schema(file)
        read = lossless(file, schema)
    for name in EVENT_COLUMNS:
        if name not in schema.names:
            if name in _REQUIRED:
                raise DataError(
                    f"{file} has no column '{name}' (found: {', '.join(schema.names)}); "
                    "events have the columns of the MEDS 0.4 data schema"
                )
            continue
        kind, required = read.field(name).type, READ[name]
        # Doubles are common among other writers, and are read as they are (``Events.numbers``).
        if kind != required and not (kind == pa.float64() and required == pa.float32()):
            raise DataError(
                f"{file}: column '{name}' is {kind}; MEDS 0.4 requires {required}, which cannot "
                "hold all its values: cast it"
            )
    return schema


def write_splits(root: Path, subject_ids: NDArray[np.int64], split: NDArray[np.int8]) -> None:
    """Write ``metadata/subject_splits.parquet``."""
    names = pa.array(SPLITS).take(pa.array(split))
    table = pa.table({"subject_id": subject_ids, "split": names})
    _write(standard.SubjectSplitSchema.align(table), root / standard.subject_splits_filepath)


def write_codes(root: Path, codes: list[tuple[str, int]], words: Mapping[str, str]) -> None:
    """Write ``metadata/codes.parquet``: each code, its description and its number of events.

    ``words`` map a code, or its first two parts (``LAB//50801``), to a description.
    """
    names = [code for code, _ in codes]
    # A code has a unit after its item (``LAB//50801//mmHg``), and one description fits all units.
    described = [words.get(n) or words.get("//".join(n.split("//")[:2])) for n in names]
    table = pa.table(
        {
            "code": pa.array(names, pa.string()),
            "description": pa.array(described, pa.string()),
            "parent_codes": pa.nulls(len(names), pa.list_(pa.string())),
            "events": pa.array([events for _, events in codes], pa.int64()),
        }
    )
    standard.CodeMetadataSchema.validate(table)
    _write(table, root / standard.code_metadata_filepath)


def write_dataset(root: Path, data_set: DataSet, title: str = "") -> None:
    """Write ``metadata/dataset.json`` without a date, so that equal builds are equal files."""
    metadata = standard.DatasetMetadataSchema(
        dataset_name=title or data_set.title,
        etl_name="sequela",
        etl_version=__version__,
        meds_version=version("meds"),
        license=data_set.licence,
        description_uri=data_set.homepage,
        raw_source_id_columns=["visit_id"],
    )
    path = root / standard.dataset_metadata_filepath
    path.write_text(json.dumps(metadata.to_dict(), indent=2) + "\n")


def lossless(path: Path, schema: pa.Schema) -> pa.Schema:
    """Return the schema with the standard's type for each column that fits without loss.

    Other writers (polars, pandas) use other types of text, narrower integers or wider numbers.
    """
    for name, required in READ.items():
        index = schema.get_field_index(name)
        if index < 0 or (kind := schema.field(index).type) == required:
            continue
        # A wider type fits only if each value does; a narrower type always fits.
        wider = kind in WIDER.get(required, ())
        if _holds(path, name, required) if wider else _is_narrower(name, kind, required):
            schema = schema.set(index, schema.field(index).with_type(required))
    return schema


def _is_narrower(name: str, kind: pa.DataType, required: pa.DataType) -> bool:
    """Return whether all values of one type are values of the required one."""
    # A column without any value has the null type, which subjects and codes must not have.
    if pa.types.is_null(kind):
        return name not in {"subject_id", "code"}
    if required == pa.string():
        text = kind.value_type if pa.types.is_dictionary(kind) else kind
        kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
        return any(is_kind(text) for is_kind in kinds)
    if required == pa.int64():
        return bool(pa.types.is_integer(kind))
    # float32 holds whole numbers exactly up to 2^24, so 16 bits always fit.
    if required == pa.float32():
        return kind in (pa.float16(), pa.int8(), pa.int16(), pa.uint8(), pa.uint16())
    return kind in (pa.timestamp("s"), pa.timestamp("ms"))


def _holds(path: Path, name: str, required: pa.DataType) -> bool:
    """Return whether the values of a column stay the same in a narrower type."""
    # A value that comes back unchanged from the narrower type lost nothing.
    for batch in pq.ParquetFile(path).iter_batches(columns=[name]):
        column = batch.column(0).drop_null()
        try:
            back = column.cast(required).cast(column.type)
        except pa.ArrowInvalid:
            return False
        same = pc.equal(column, back)
        # NaN is not equal to itself, but survives the cast.
        if pa.types.is_floating(column.type):
            same = pc.or_(same, pc.is_nan(column))
        if not pc.all(same, min_count=0).as_py():
            return False
    return True


def validate(files: Iterable[Path]) -> None:
    """Check that shards follow the standard: its columns, and nulls only where allowed.

    Columns of other types than the standard's pass if these hold their values without loss.
    """
    for path in files:
        with parquet_of(path):
            shard = pq.ParquetFile(path)
            schema = lossless(path, shard.schema_arrow)
        try:
            standard.DataSchema.validate(schema)
        except Exception as error:  # the package raises its own and pyarrow's errors
            words = " ".join(str(error).split())
            raise DataError(f"{path}: not MEDS 0.4 data: {words}") from error
        metadata = shard.metadata
        # The statistics of each row group count its nulls, so no column is read.
        for group in range(metadata.num_row_groups):
            for column in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(column)
                required = chunk.path_in_schema in {"subject_id", "code"}
                if required and chunk.statistics is not None and chunk.statistics.null_count:
                    raise DataError(f"{path}: a null in {chunk.path_in_schema}; MEDS allows none")


def _write(table: pa.Table, path: Path) -> None:
    make_folder(path.parent)
    pq.write_table(table, path, compression="zstd")
