"""The reader of foreign tables, arrays and predictions, which recognises what each column is."""

import re
import tomllib
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sequela.audit.input import AuditInput, Ints, Rows
from sequela.cohort.event_checks import OUTCOME_WORDS
from sequela.errors import DataError, SettingError, unknown_name
from sequela.evaluation.number import plural
from sequela.files import temporary
from sequela.formats import opened
from sequela.formats.arrays import of_epochs
from sequela.intake.one_row import event_last, typed
from sequela.tables.stored_tables import connection_for, quoted

TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.zip", ".parquet", ".xlsx")
ARRAYS = (".npy", ".npz")
RESULTS = ".json"
_NAMES = tomllib.loads(Path(__file__).with_name("foreign_names.toml").read_text("utf-8"))
PARTS: dict[str, str] = _NAMES.pop("parts")
_TEST = [*PARTS].index("test")
_SIDES = ("train", "test")  # the two parts of index arrays without names
_BATCH = 50_000  # rows that are read at once
_EXACT = 1 << 24  # integers that float32 keeps apart
_PERCENT = 100  # most of a probability that is written in percent
_CLASSES = 20  # most values of a label or part, and of a text whose forms are looked at
_MOST_OTHERS = 3  # most other columns of a table of predictions
_UNIQUE = 0.9  # share of different texts in an identifier
_OF_FILE = "part of the file"  # column with the part in the name of a row's file
_UNITS = ("patient", "group", "recording", "stay")


@dataclass(frozen=True)
class NamedInput:
    """The name of an input, and what it was taken for."""

    name: str
    taken_for: str


@dataclass
class Columns:
    """A table by column: numbers and texts as float32 (row,), texts by their place in ``texts``.

    ``exact`` has integers that float32 does not keep apart, ``times`` datetime64.
    """

    rows: int = 0
    numbers: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    exact: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    times: dict[str, NDArray[np.datetime64]] = field(default_factory=dict)

    def named(self, role: str) -> list[str]:
        """Return the columns whose name is usual for a role."""
        return [name for name in self.numbers if _is_named(name, role)]

    def codes(self, name: str) -> tuple[Ints, list[str]]:
        """Return the number of each row's value, -1 where it is missing, and the values."""
        values: NDArray[np.integer | np.floating] = self.exact.get(name, self.numbers[name])
        distinct, place = np.unique(values, return_inverse=True)
        numbers = distinct[~np.isnan(distinct)].tolist()
        if texts := self.texts.get(name):
            words = [texts[int(number)] for number in numbers]
        else:
            words = [f"{v:.0f}" if v % 1 == 0 else f"{v:.7g}" for v in numbers]
        return np.where(place < len(numbers), place, -1), words


def read(
    inputs: Sequence[object],
    role_columns: Mapping[str, Sequence[str]],
    separate: Mapping[str, object],
    splits: object = None,
    form: Sequence[str] = (),
) -> tuple[AuditInput, list[NamedInput]]:
    """Read tables, arrays, predictions and results as one.

    ``inputs`` are paths, DataFrames or arrays, and so are labels, groups, splits and predictions
    that are ``separate``, by role. ``role_columns`` are named by the user; other columns are
    recognised by their names. ``splits`` is a splitter of scikit-learn, or index arrays; ``form``
    the form of text files.
    """
    open_questions, stated = list[str](), dict[str, float]()
    sources = [_checked(source) for source in inputs]
    results = [s for s in sources if isinstance(s, Path) and _ends(s, RESULTS)]
    for path in results:
        stated |= _numbers_in(path)
    words = [NamedInput(_name(path), f"results: {', '.join(stated)}") for path in results]
    sources = [source for source in sources if not _ends(source, RESULTS)]
    parts, signals = _parts_in(sources), list[NDArray[np.floating]]()
    place = next((source for source in sources if isinstance(source, Path)), None)
    with temporary() as work, connection_for(place or work) as connection:
        # On several threads, rows may come in another order.
        connection.execute("SET memory_limit = '500MB'; SET threads = 1")

        def query(source: object, name: str, more: str = "") -> str:
            """Return SQL that reads an input."""
            table, path = quoted(name), str(source).replace("'", "''")
            if not isinstance(source, Path) or _ends(source, *ARRAYS):
                connection.register(name, _arrow(source, name, signals))
            elif _ends(source, ".parquet"):
                table = f"read_parquet('{path}')"
            else:
                relation, doubts = typed(connection, _as_csv(source, work), form)
                relation.create_view(name)
                open_questions.extend(f"the form of {source.name}: {doubt}" for doubt in doubts)
            return f"SELECT *{more} FROM {table}"  # noqa: S608

        marks = [f", '{part}' AS {quoted(_OF_FILE)}" if len(sources) > 1 else "" for part in parts]
        queries = [query(source, f"input {i}", marks[i]) for i, source in enumerate(sources)]
        relation = connection.sql(" UNION ALL BY NAME ".join(queries))
        words += [NamedInput(_name(source), "") for source in sources]
        for role, source in separate.items():
            addition = connection.sql(query(_checked(source), role))
            relation, how = _joined(connection, relation, addition, role)
            words.append(NamedInput(_name(source), f"{role}, {how}"))
        table = _columns(relation.to_arrow_reader(_BATCH))
    data, roles = of_table(table, role_columns, predictions="probability" in separate)
    if signals:
        data = replace(data, signals=signals[0] if len(signals) == 1 else np.concatenate(signals))
    if splits is not None:
        data = replace(data, splits=_index_arrays(splits, data))
    rows = f"{table.rows:,} row{'' if table.rows == 1 else 's'}"
    words[len(results)] = NamedInput(_name(sources[0]), f"{rows}: {'; '.join(roles)}")
    questions = (*open_questions, *data.open_questions)
    return replace(data, stated=stated, open_questions=questions), words


def _as_csv(path: Path, work: Path) -> Path:
    """Return a file under a name that ends in .csv, which the readers of tables expect."""
    if not re.search(r"\.tsv(\.gz)?$", path.name.lower()):
        return path
    link = work / re.sub(r"\.tsv(\.gz)?$", r".csv\1", path.name.lower())
    link.symlink_to(path.resolve())  # a copy of a large file would take time and space
    return link


def _parts_in(sources: Sequence[object]) -> list[str | None]:
    """Return the part in the name of each input, such as ``train`` of ``X_train.csv``."""
    if not sources:
        raise SettingError("no data: name a table, an array or predictions, next to the results")
    words = [re.split(r"[^a-zA-Z]+", _name(source)) for source in sources]
    parts = [next((w for w in name if w and part_of(w) is not None), None) for name in words]
    if len(sources) > 1 and (None in parts or len({*parts}) < len(parts)):
        raise SettingError(
            f"{', '.join(map(_name, sources))}: not the parts of a split; expected names with "
            "train, validation or test, such as X_train.csv; or one table or array, with --labels, "
            "--split and --predictions for others"
        )
    return parts


def _ends(source: object, *endings: str) -> bool:
    return isinstance(source, Path) and source.name.lower().endswith(endings)


def _name(source: object) -> str:
    return Path(source).name if isinstance(source, str | Path) else type(source).__name__


def _checked(source: object) -> object:
    """Return a path of a form that is read, or a table or an array."""
    if not isinstance(source, str | Path):
        source = source if hasattr(source, "columns") else np.asarray(of_epochs(source))
        if not getattr(source, "ndim", 1):
            raise SettingError(f"{source} is one value; expected a table or an array")
        return source
    path = Path(source)
    if not _ends(path, *TABLES, *ARRAYS, RESULTS):
        forms = ", ".join((*TABLES, *ARRAYS, RESULTS))
        raise SettingError(
            f"{path}: not read; expected a run folder, or a file that ends in {forms}"
        )
    with opened.opened(path, "a table, arrays or results", "name another file"):
        return path


def _joined(
    connection: duckdb.DuckDBPyConnection,
    data: duckdb.DuckDBPyRelation,
    addition: duckdb.DuckDBPyRelation,
    role: str,
) -> tuple[duckdb.DuckDBPyRelation, str]:
    """Add the columns of another table by an id that both have, or in order; return how."""
    data.create_view(f"before {role}")
    addition.create_view(f"the {role}")
    mine, theirs = quoted(f"before {role}"), quoted(f"the {role}")
    names = {n: n for n in addition.columns if n not in data.columns}
    keys = [n for n in addition.columns if n in data.columns]
    if len(addition.columns) == 1:  # a list of values, under whatever name
        names, keys = {addition.columns[0]: role}, []
    how, text = "in the order of the rows", f"POSITIONAL JOIN {theirs} AS o"
    # The first id that the other table does not repeat joins it; without one, the order does.
    for name, key in ((n, quoted(n)) for n in keys):
        rows, distinct = addition.aggregate(f"count(*), count(DISTINCT {key})").fetchall()[0]
        if rows == distinct:
            how, text = f"by {name}", f"JOIN {theirs} AS o USING ({key})"
            lacking = f"SELECT count(*) FROM {mine} ANTI JOIN {theirs} USING ({key})"  # noqa: S608
            missing = connection.execute(lacking).fetchall()[0][0]
            if missing:
                raise DataError(
                    f"{role}: no row for {missing} rows of the data, {how}; expected one for each"
                )
            break
    else:
        rows, ours = (table.count("*").fetchall()[0][0] for table in (addition, data))
        if rows != ours:
            raise DataError(
                f"{role}: {rows} rows for {ours} rows of the data; expected as many in the same "
                "order, or an id that both have and that is not repeated"
            )
    columns = [f"d.{quoted(n)}" for n in data.columns if n not in names.values()]
    columns += [f"o.{quoted(n)} AS {quoted(name)}" for n, name in names.items()]
    return connection.sql(f"SELECT {', '.join(columns)} FROM {mine} AS d {text}"), how  # noqa: S608


def _arrow(source: Any, role: str, signals: list[NDArray[np.floating]]) -> pa.Table:
    """Return a DataFrame, an array (row, column), or windows (window, channel, time) as a table."""
    try:
        if hasattr(source, "columns"):
            frame = nw.from_native(source, eager_only=True)
            return frame.rename({c: str(c) for c in frame.columns}).to_arrow()
        array, separate = _archive(source) if isinstance(source, Path) else (source, {})
        if array.ndim == 1:
            return pa.table({role: array})
        if array.ndim == 3:  # noqa: PLR2004
            signals.append(array)
            columns: Mapping[str, NDArray[np.floating]] = _window_columns(array)
        else:
            prefix = "p_" if role == "probability" else "column "
            columns = {f"{prefix}{i}": array[:, i] for i in range(array.shape[1])}
        numbers = {name: values.astype(np.float32) for name, values in columns.items()}
        return pa.table({**numbers, **separate})
    except (TypeError, ValueError, OSError, EOFError, pa.ArrowException) as error:
        place = source if isinstance(source, Path) else type(source).__name__
        words = " ".join(str(error).split())[:200]
        raise DataError(
            f"{place} cannot be read ({words}); expected a DataFrame whose columns have one type "
            "each, or numbers (row, column) or (window, channel, time), without Python objects"
        ) from error


def _window_columns(signals: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """Describe windows (window, channel, time) by four numbers of each channel, by name."""
    columns: dict[str, NDArray[np.float64]] = {}
    for index in range(signals.shape[1]):
        channel = signals[:, index].astype(np.float64)  # (window, time)
        step = np.abs(np.diff(channel, axis=1))  # (window, time - 1)
        least = np.where(step > 0, step, np.inf).min(1)  # the resolution of the recorder
        numbers = {"mean": channel.mean(1), "deviation": channel.std(1), "step": step.mean(1)}
        numbers["least step"] = np.where(np.isfinite(least), least, 0)
        columns |= {f"{name} of channel {index + 1}": n for name, n in numbers.items()}
    return columns


def _archive(path: Path) -> tuple[NDArray[np.floating], Mapping[str, NDArray[np.generic]]]:
    """Read an array, or the largest of several and the others by name; parts are joined."""
    archive = np.load(path, mmap_mode="r", allow_pickle=False)  # a pickle would run code
    if isinstance(archive, np.ndarray):
        return archive, {}
    arrays = {name: archive[name] for name in archive.files}
    of_part = {n: next((w for w in n.split("_") if part_of(w) is not None), "") for n in arrays}
    if len({*of_part.values()}) > 1 and all(of_part.values()):  # X_train, y_train, X_test, y_test
        plain = {n: n.replace(part, "") for n, part in of_part.items()}
        first = {part: len(arrays[n]) for n, part in reversed(of_part.items())}
        arrays = {
            name.strip("_"): np.concatenate([arrays[n] for n in plain if plain[n] == name])
            for name in dict.fromkeys(plain.values())
        }
        arrays["split"] = np.repeat([*first][::-1], [*first.values()][::-1])
    main = max(arrays, key=lambda name: (arrays[name].ndim, arrays[name].size))  # X, rather than y
    for name, values in arrays.items():
        if values.shape != arrays[main].shape[:1] and name != main:
            raise ValueError(f"array {name} of shape {values.shape} next to {arrays[main].shape}")
    return arrays.pop(main), arrays


def _columns(reader: pa.RecordBatchReader) -> Columns:
    """Collect batches, each column in the smallest form that keeps its values apart."""
    pieces: dict[str, list[Any]] = {name: [] for name in reader.schema.names}
    table = Columns()
    for batch in reader:
        table.rows += len(batch)
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            pieces[name].append(_piece(column))
    if not table.rows:
        raise DataError("the table has no rows; expected at least one below the header")
    for name, kind in zip(reader.schema.names, reader.schema.types, strict=True):
        batches = pieces.pop(name)
        if isinstance(batches[0], pa.Array):
            # Texts become the rank of their value, so that a tree can cut between them.
            coded = pa.chunked_array(batches).unify_dictionaries()
            values, place = np.unique(coded.chunk(0).dictionary.to_pylist(), return_inverse=True)
            table.texts[name] = values.tolist()
            codes = [c.indices.fill_null(len(place)).to_numpy() for c in coded.chunks]
            places = np.append(place, np.nan).astype(np.float32)
            table.numbers[name] = places[np.concatenate(codes)]
            continue
        joined = np.concatenate(batches)
        if joined.dtype.kind == "M":
            table.times[name] = joined
            continue
        if pa.types.is_integer(kind) and np.nanmax(np.abs(joined), initial=0) > _EXACT:
            # Ids: models read their rank, which float32 keeps apart, and groups the exact number.
            missing = np.isnan(joined)
            if not missing.any():
                table.exact[name] = joined.astype(np.int64)
            joined = np.where(missing, np.nan, np.unique(joined, return_inverse=True)[1])
        table.numbers[name] = joined.astype(np.float32)
    return table


def _piece(column: pa.Array) -> Any:
    """Return the values of a column of a batch as an array, or as a dictionary of texts."""
    kind = column.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us"), safe=False).to_numpy(zero_copy_only=False)
    if pa.types.is_integer(kind):  # with blanks, as float64
        values = column.to_numpy(zero_copy_only=False)
        small = values.dtype.kind in "iu" and np.abs(values).max(initial=0) <= _EXACT
        return values.astype(np.int32) if small else values
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float32)
    return column.cast(pa.string()).dictionary_encode()


class _Roles:
    """The role of each column: as the user says, else by its name and values."""

    def __init__(self, table: Columns, by_user: Mapping[str, Sequence[str]]) -> None:
        columns = [*table.numbers, *table.times]
        for name in chain.from_iterable(by_user.values()):
            if name not in columns:
                raise unknown_name("column", name, columns)
        self.table, self.by_user = table, by_user
        self.of = dict[str, list[str]]()
        self.doubts = list[str]()
        self.read_as = ""  # what numbers were taken for that are no probabilities

    def free(self) -> list[str]:
        """Return the columns without a role, except those that the user chose for one."""
        with_role = {*chain.from_iterable([*self.of.values(), *self.by_user.values()])}
        return [name for name in self.table.numbers if name not in with_role]

    def take(self, role: str, names: Sequence[str]) -> list[str]:
        """Give a role to columns, and return them."""
        if names:
            self.of[role] = [*names]
        return [*names]

    def classes(self, role: str) -> tuple[Ints, list[str]] | None:
        """Take the first column that has a few values, of parts or of labels."""
        by_user = self.by_user.get(role)
        for name in by_user or [n for n in self.table.named(role) if n in self.free()]:
            codes, values = self.table.codes(name)
            is_usual = role == "label" or name == _OF_FILE or "fold" in name.lower()
            is_usual |= any(part_of(value) is not None for value in values)
            few = 1 < len(values) <= _CLASSES and (role == "split" or (codes >= 0).all())
            if few and (by_user or is_usual):
                self.take(role, [name])
                if role == "label" and event_last(values) == values[::-1]:
                    codes, values = 1 - codes, values[::-1]
                return codes, values
            if by_user:
                blank = f", blank rows: {int((codes < 0).sum())} of {self.table.rows}"
                raise DataError(
                    f"the {role} '{name}': different values: {len(values)}{blank}; expected 2 to "
                    f"{_CLASSES} values, and a label in each row"
                )
        return None

    def units(self) -> dict[str, Ints]:
        """Take patients, recordings and the like; a missing one counts alone."""
        columns = {name: name for name in self.take("group", self.by_user.get("group", ()))}
        for role in _UNITS:
            usual = [n for n in self.table.named(role) if n in self.free()]
            varying = [n for n in usual if np.ptp(self.table.numbers[n]) != 0]
            if varying and role not in self.of:
                (columns[role],) = self.take(role, varying[:1])
        ids = {}
        for unit, name in columns.items():
            codes, values = self.table.codes(name)
            # 007, 7 and 7.0 are one patient: a join or a spreadsheet wrote the id in another way.
            short = [re.sub(r"^0+(?=.)|\.0$", "", value.lower()) for value in values]
            alike, place = np.unique(short, return_inverse=True)
            if len(alike) < len(values):
                self.doubts.append(
                    f"{len(values) - len(alike):,} ids of '{name}' are written in several ways "
                    "(leading zeros, capitals, .0), and are taken for one"
                )
                codes = np.append(place, -1)[codes]
            ids[unit] = np.where(codes < 0, len(values) + np.arange(len(codes)), codes)
        return ids

    def score(self, *, needed: bool) -> NDArray[np.float64] | None:
        """Take the probabilities of the second class, if the table has them."""
        free, further = self.free(), self.table.named("other probability")
        by_user = self.by_user.get("probability", ())
        usual = [name for name in self.table.named("probability") if name in free]
        for name in by_user or usual:
            values = self.table.numbers[name].astype(np.float64)
            # Among many columns, a risk may be a score that is an input like the others.
            of_predictions = len({*free} - {name, *further}) <= _MOST_OTHERS
            if not (needed or of_predictions or by_user) or name in self.table.texts:
                continue
            filled = values[~np.isnan(values)]  # a model may have no answer for some rows
            most = abs(filled).max(initial=0)
            if len(filled) < len(values) / 2 or np.ptp(filled) == 0 or most > _PERCENT:
                continue
            self.take("probability", [name])
            self.take("other probability", [n for n in further if n != name])
            if filled.min() < 0:  # no probability or percentage is negative
                self.read_as, values = "as logits", 1 / (1 + np.exp(-values))  # logistic function
            elif filled.max() > 1:
                self.read_as, values = "in percent", values / _PERCENT
            if blank := len(values) - len(filled):
                self.read_as += f"; blank rows left out: {blank:,}"
            return values
        if not needed:
            return None
        numbers = {name: self.table.numbers[name] for name in usual}
        ranges = [
            f"{n} has {np.nanmin(v):g} to {np.nanmax(v):g}, blank rows: {np.isnan(v).sum()}"
            for n, v in numbers.items()
        ]
        raise DataError(
            f"no probabilities ({', '.join(ranges) or 'columns: ' + ', '.join(free)}); expected "
            "different numbers in most rows, in a column named probability, score or p_1"
        )

    def identifies(self, name: str) -> bool:
        """Return whether a column names rows: by its name, by texts, or by counting."""
        if any(name in self.table.named(role) for role in ("identifier", *_UNITS)):
            return True
        if name in self.table.texts:
            return len(self.table.texts[name]) > max(_UNIQUE * self.table.rows, _CLASSES)
        values = self.table.exact.get(name, self.table.numbers[name])
        return self.table.rows > _CLASSES and bool((np.diff(values) == 1).all())


def of_table(
    table: Columns, role_columns: Mapping[str, Sequence[str]], *, predictions: bool = False
) -> tuple[AuditInput, list[str]]:
    """Take each column of a table for what it is, and return this in words."""
    roles = _Roles(table, role_columns)
    split, label = roles.classes("split"), roles.classes("label")
    usual = [n for n in [*table.times, *roles.free()] if _is_named(n, "prediction time")]
    time = roles.take("prediction time", role_columns.get("prediction time") or usual[:1])
    if time and time[0] not in table.times:  # minutes since the admission, or years
        # All such numbers are from one beginning, so they compare as times do.
        similar = table.named("other time")
        further = [n for n in similar if time[0] in similar and n in roles.free()]
        for name in time + roles.take("times", further):
            table.times[name] = table.numbers[name].astype("datetime64[s]")
    units = roles.units()
    score = roles.score(needed=predictions or bool(role_columns.get("probability")))
    names = roles.take("identifier", [n for n in roles.free() if roles.identifies(n)])
    data = AuditInput(
        table=np.empty((table.rows, len(roles.free())), np.float32, order="F"),
        names=tuple(roles.free()),
        label=label and label[0],
        classes=tuple(label[1]) if label else (),
        units=units,
        splits=(parts_of(split[1], split[0]),) if split else (),
        times=table.times,
        time=next(iter(time), None),
        identifiers={name: table.codes(name)[0] for name in names},
        score=score,
        open_questions=tuple(roles.doubts),
        written=dict(_lengths(table, [*roles.free(), *names])),
        texts=dict(_forms(table, [*roles.free(), *names])),
        later=tuple(n for n in roles.free() if _is_later(n, table.texts.get(n, ()))),
    )
    for place, name in enumerate(data.names):
        data.table[:, place] = table.numbers.pop(name)
    words = [f"{role}: {', '.join(columns)}" for role, columns in roles.of.items()]
    words += [f"probability read {roles.read_as.strip('; ')}"] if roles.read_as else []
    return data, [*words, plural(len(data.names), "other column")]


def _lengths(table: Columns, names: Sequence[str]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield the length of each text, of columns in which it varies."""
    for name, texts in ((n, table.texts[n]) for n in names if n in table.texts):
        lengths = np.array([*map(len, texts), np.nan])
        if len(texts) > _CLASSES and np.ptp(lengths[:-1]) > 0:
            yield f"length of {name}", lengths[table.codes(name)[0]]


def _forms(table: Columns, names: Sequence[str]) -> Iterator[tuple[str, NDArray[np.str_]]]:
    """Yield few texts of a column, and their forms, such as ``Aa`` of ``Ward``."""
    for name, texts in ((n, table.texts[n]) for n in names if n in table.texts):
        codes, forms = table.codes(name)[0], [_runs(text) for text in texts]
        if len(texts) <= _CLASSES:
            yield name, np.array([*texts, ""])[codes]
        if 1 < len({*forms}) <= min(_CLASSES, len(texts) - 1):
            yield f"form of {name}", np.array([*forms, ""])[codes]


def _is_later(name: str, texts: Sequence[str]) -> bool:
    words = [name.replace("_", " "), *(texts if len(texts) <= _CLASSES else ())]
    return _is_named(name, "later") or any(map(OUTCOME_WORDS.search, words))


def _runs(text: str) -> str:
    """Write a text as runs of letters, capitals, leading zeros, digits and other signs."""
    steps = (
        (r"(?<!\w)0+(?=\d)", "\0"),
        (r"[1-9]\d*|\d", "9"),
        ("[A-ZÀ-Þ]+", "A"),
        (r"[^\W\dA_]+", "a"),
    )
    for pattern, sign in steps:
        text = re.sub(pattern, sign, text)
    return text[:_CLASSES]  # free text has forms without end


def _is_named(name: str, role: str) -> bool:
    """Return whether a name is usual for a role, whatever its case, accents and blanks."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()  # é becomes e
    return bool(re.fullmatch(_NAMES[role], re.sub(r"\W+", "_", letters.strip()), re.IGNORECASE))


def part_of(value: str) -> int | None:
    """Return 0 for a training set, 1 for a validation set and 2 for a test set, by its name."""
    fits = (re.fullmatch(p, value.strip(), re.IGNORECASE) for p in PARTS.values())
    return next((place for place, fit in enumerate(fits) if fit), None)


def parts_of(values: Sequence[str], codes: Ints) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each part, the training set first and the test set last."""
    # A part with another name is between training and test, in the order of the alphabet.
    order = [1 if (place := part_of(value)) is None else place for value in values]
    by_order = sorted(range(len(values)), key=lambda i: (order[i], values[i]))
    return {values[i]: np.flatnonzero(codes == i) for i in by_order}


def _numbers_in(path: Path) -> dict[str, float]:
    """Read the numbers of a results file: those of its test set, or those at its top."""
    try:
        record = opened.json_value(opened.text(path, "results in JSON", "correct the file"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); expected an object of numbers") from error
    # {"test": {"auroc": ...}} or {"auroc": ...}: the innermost object of a test set.
    inner = record
    while isinstance(inner, Mapping):
        record = inner
        inner = next((v for k, v in record.items() if part_of(k) == _TEST), None)
    if not isinstance(record, Mapping):
        raise DataError(
            f"{path}: {type(record).__name__} at the top; expected an object of numbers"
        )
    numbers = {k: v for k, v in record.items() if type(v) in (int, float)}
    return {re.sub(r"[^a-z0-9]+", "_", k.lower()): float(v) for k, v in numbers.items()}


def _index_arrays(splits: Any, data: AuditInput) -> tuple[Rows, ...]:
    """Return the parts of each split: of a splitter of scikit-learn, or of index arrays."""
    n = len(data.table)
    if hasattr(splits, "split"):
        groups = data.group if data.units else None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a splitter ignores groups
                splits = [*splits.split(np.zeros((n, 1)), data.label, groups)]
        except (TypeError, ValueError) as error:
            raise SettingError(
                f"{splits} does not split {n} rows ({error}); it may need y or groups"
            ) from error
    splits = [splits] if isinstance(splits, Mapping) else [*splits]
    first = splits[0]
    # Arrays of indices are the parts of one split; pairs of them are several splits.
    if not isinstance(first, Mapping) and (isinstance(first, np.ndarray) or np.ndim(first[0]) == 0):
        names = [*PARTS] if len(splits) == len(PARTS) else [*_SIDES]
        if len(splits) > len(PARTS):
            names = [f"fold {i + 1}" for i in range(len(splits))]
        splits = [dict(zip(names, splits, strict=True))]
    try:
        parts = (p if isinstance(p, Mapping) else zip(_SIDES, p, strict=True) for p in splits)
        return tuple(
            {name: np.arange(n)[np.asarray(rows)] for name, rows in dict(split).items()}
            for split in parts
        )
    except (IndexError, ValueError) as error:
        raise SettingError(
            f"splits: {error}; expected arrays of indices from 0 to {n - 1}, one for each part"
        ) from error
