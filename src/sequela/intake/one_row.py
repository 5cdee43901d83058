"""A table with one row per patient or admission: its columns, its classes, and its events.

A row becomes a hospital stay that is predicted on at its own time. A number becomes a measurement,
a word a code, a date the days from it to the time of the row, and a blank cell no event. Scales are
learnt from the training set, as for other records (decision 33).
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import permutations
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from sequela.config import QuestionSettings, SignalSettings
from sequela.datasets.catalog import DataSet
from sequela.datasets.codes import ADMISSION, AGE, ALIVE, CELL, EXPIRED, SEX, SITE, body_of
from sequela.errors import DataError, SettingError, unknown_name
from sequela.formats.csv_files import PLAIN, Format, rows_of
from sequela.formats.opened import DECIDE
from sequela.intake.inspection import InspectedColumn, InspectedTable, blanked, inspect
from sequela.signals.window_classes import Classes
from sequela.tables.declarations import Batches, Kind, Source
from sequela.tables.engine import typed_text
from sequela.tables.meds import SOURCE
from sequela.tables.stored_tables import ROWS, connection_for, is_csv, paths_of, quoted, text_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

ROLES = ("label", "id", "time", "site")
_KEYS = {*ROLES, "title", "classes", "omit", "format", "sheet"}
_PLAIN = "0/1 0.0/1.0 no/yes n/y false/true f/t nein/ja n/j non/oui neg/pos negative/positive -/+"
# Pairs of classes whose second is the event; the first ones need the name of the label.
_NAMED = "alive/dead alive/died alive/deceased alive/expired survived/died survived/dead home/died"
_MISSING = ("null", "na", "n/a", "nan", "#n/a", "<na>", "k.a.", "k. a.")  # mean a blank cell
_OF_CELLS = ("decimal", "thousands", "date")  # keys that other data share with the training
_CLASSES = 2  # values of an outcome
_LISTED = 20  # values that a message lists; a column with more may be one of free text, or of ids
_FREE = 0.5  # share of the filled cells of a column of free text that differ
BINS = 8  # codes of a number, for models that read codes only
_DAYS = "days"
_KEY = "missing="
_SHEET = "sheet="
_KINDS = {Kind.INTEGER: "number", Kind.NUMBER: "number", Kind.TEXT: "word", Kind.TIME: "date"}
_START = "TIMESTAMP '2000-01-01'"  # time of all rows without a column of time
# The id of a patient is a whole number, or half of the MD5 of another text.
_PEOPLE = """
CREATE TABLE people AS SELECT *, begun + to_seconds(
    row_number() OVER (PARTITION BY subject_id, begun ORDER BY visit_id) - 1
) AS moment FROM (
    SELECT *, rowid + 1 AS visit_id, {begun} AS begun,
        CASE WHEN regexp_full_match({id}, '0|[1-9][0-9]{{0,17}}') THEN {id}::BIGINT
        ELSE (md5_number_upper({id}) >> 1)::BIGINT END AS subject_id
    FROM cells
)"""
# SQL of an id without what programs add to numbers or remove from them.
_SAME_ID = "regexp_replace(lower(id), '^0+|[.]0+$', '', 'g')"
_NUMBERED = re.compile(r"(.*_)?(id|nr|no|number|num|key|mrn|pid)")
_PERSON = re.compile(r"((patient|subject|person|pat|client|case)(_?(id|nr|no|number))?|mrn|pid|id)")
_OUTCOME = re.compile(
    "label|outcome|target|died|death|dead|expire|event|status|readmi|class|^y$|mortality|deceased|"
    "storben|^tod|exitus|deces|fallecid"
)
_ANSWER = re.compile(r"""(\w+) = (["'])(.+?)\2""")  # a key and its value, as in a declaration
_BEGUN = re.compile("admi|arriv|begin|start|index|visit|aufnahme|entree")


@dataclass(frozen=True)
class Rows:
    """The description of a table, as :func:`described` returns it, and what a model reads of it."""

    settings: SignalSettings
    vocabulary: tuple[str, ...] = ()  # codes of the model; empty in training
    channels: tuple[str, ...] = ()  # measurements of the model; empty in training

    @property
    def kinds_read(self) -> dict[str, Kind]:
        """The kinds of the columns that the model reads; empty in training."""
        kinds = {body_of(code).split("//")[0]: Kind.TEXT for code in self.vocabulary[1:]}
        for code in self.channels:
            name, *days = body_of(code).split("//")
            kinds[name] = Kind.TIME if days else Kind.NUMBER
        return kinds


def rows_of_model(
    settings: SignalSettings | None, data_set: DataSet, words: Mapping[str, Sequence[str]]
) -> Rows | None:
    """Return the description of other data for a model, by its header; ``None`` for other data."""
    if not data_set.rows:
        return None
    if settings is None:
        raise SettingError(
            f"{data_set.name} has one row per patient, and the model was trained on other records: "
            "expected records like these, such as meds"
        )
    return Rows(settings, tuple(words["vocabulary"]), tuple(words["channels"]))


def described(path: Path, options: SignalSettings) -> SignalSettings:
    """Return the description of a table: its columns by their names there, and its two classes."""
    for name in options.model_dump(exclude_defaults=True).keys() - _KEYS:
        raise SettingError(
            f"--{name} is for recordings: expected options of a table with one row per patient, "
            f"{', '.join(f'--{key}' for key in sorted(_KEYS))}"
        )
    form = options.format
    if options.sheet:
        form += (f"{_SHEET}{options.sheet}",)
    inspection = inspected(path, form)
    for key, what in (("label", "outcome"), ("id", "patient")):
        if getattr(options, key) is None:
            names = ", ".join(column.name for column in inspection.columns)
            raise SettingError(f"--{key} is missing: name the column of the {what}, one of {names}")
    declared_roles = {key: name for key in ROLES if (name := getattr(options, key))}
    roles = {key: _column_of(key, name, inspection) for key, name in declared_roles.items()}
    if len({*roles.values()}) < len(roles):
        listed = ", ".join(f"--{key} {name}" for key, name in roles.items())
        raise SettingError(f"{listed} name one column twice: expected another column for each")
    time = inspection.named(roles.get("time", ""))
    if time and time.kind is not Kind.TIME:
        raise DataError(f"{path}: column '{roles['time']}' of --time does not hold times alone")
    omit = tuple(_column_of("omit", name, inspection) for name in options.omit)
    title = options.title or inspection.name
    changes = {**roles, "omit": omit, "title": title, "format": form}
    settings = options.model_copy(update=changes)
    table = _EventTable(path, Rows(settings))
    with table.opened() as connection:
        label = _cell(roles["label"])
        query = f"SELECT DISTINCT {label} FROM cells WHERE {label} <> '' ORDER BY 1"  # noqa: S608
        values = [str(value) for (value,) in connection.execute(query).fetchall()]
        query = "SELECT count(DISTINCT id), count(DISTINCT {}) FROM (SELECT {} AS id FROM cells)"
        texts = connection.execute(query.format(_SAME_ID, _cell(roles["id"]))).fetchall()[0]
    if alike := texts[0] - texts[1]:
        raise DataError(
            f"{path}: {alike:,} of {texts[0]:,} ids in column '{roles['id']}' of --id are also "
            "written in another way (leading zeros, capitals or an ending .0), and their patients "
            "may be in two sets: write each id in one way"
        )
    # Only the form of the cells is recorded: new data may have another separator.
    cells = [f"{k}={v}" for k in _OF_CELLS if (v := getattr(table.form, k)) != getattr(PLAIN, k)]
    form = (*dict.fromkeys((*form, *cells)),)
    classes = _checked_classes(settings, values)
    return settings.model_copy(update={"classes": classes, "format": form})


def with_task(records: Mapping[str, object], settings: SignalSettings) -> dict[str, object]:
    """Add to settings of records the task: to predict the label of a row from its other cells."""
    classes = _classes_of(settings).names
    name = re.sub("[^a-z0-9]+", "-", str(settings.label).lower()).strip("-")
    outcome = {"one": classes[1], "codes": [EXPIRED], "classes": classes}
    declared = {
        "name": "label" if name in {"", "labels"} else name,
        "trigger": "admission",
        "history": "row",
        "inputs": [CELL],
        "rules": ["no-trigger-time", "no-label"],
        "outcome": {**outcome, "many": f"rows of class '{classes[1]}'"},
    }
    task = {"task": declared["name"], "declared": json.dumps(declared)}
    for key in QuestionSettings.model_fields:
        if records.get(key, task.get(key)) != task.get(key):
            raise SettingError(
                f"--{key.replace('_', '-')} is for hospital tables: the task of a table with one "
                "row per patient is its --label; leave it out"
            )
    return {"bins": BINS, **records, **task}


def declared(path: Path, rows: Rows | None) -> Source:
    """Return the declaration of a table with one row per patient: its cells as events."""
    if rows is None:
        raise SettingError(
            "the columns of a table with one row per patient are named by options: use `sequela "
            f"train auto --data table --root {quote(str(path))} --label COLUMN --id COLUMN`"
        )
    table = _EventTable(path, rows)
    return Source(
        name="table",
        tables=SOURCE.tables[:1],
        reads=lambda _: table.events(labelled=True),
        reads_unlabelled=lambda _: table.events(labelled=False),
        dated_by_row=True,
        title=rows.settings.title or "",
        notes=tuple(table.notes()),
    )


def people_of(path: Path, rows: Rows) -> dict[tuple[int, datetime], str]:
    """Return the id of each row by its number and time in events, in the order of the file."""
    with _EventTable(path, rows).people() as connection:
        id_ = _cell(str(rows.settings.id))
        query = f"SELECT subject_id, moment, {id_} FROM people ORDER BY visit_id"  # noqa: S608
        return {(number, at): text for number, at, text in connection.execute(query).fetchall()}


def coded(path: Path, rows: Rows) -> list[dict[str, object]]:
    """Read the rows of other data as coded events, each row as another patient, with its age."""
    table = _EventTable(path, rows)
    is_input = f"code = '{AGE}' OR starts_with(code, '{CELL}//')"
    with table.people() as connection:
        query = f"SELECT visit_id, {_cell(str(rows.settings.id))} FROM people ORDER BY 1"  # noqa: S608
        ids = dict(connection.execute(query).fetchall())
        if len({*ids.values()}) < len(ids):
            ids = {row: f"{id_}, row {row}" for row, id_ in ids.items()}
        query = f"SELECT * FROM ({table.query(labelled=False)}) WHERE {is_input}"  # noqa: S608
        events = connection.sql(f"{query} ORDER BY visit_id, code").to_arrow_table().to_pylist()
    return [{**event, "subject_id": ids[event["visit_id"]]} for event in events if event["time"]]


def proposed(path: Path) -> str:
    """Propose the command for a file with one row per patient; empty for other data.

    In such a table a column of people has another value in most rows, and another one two values.
    """
    table = inspected(path)
    columns = table.columns
    people = [c for c in columns if _PERSON.fullmatch(c.name) and c.distinct > _FREE * c.rows]
    binary = [c for c in columns if c.distinct == _CLASSES]
    if not (people and binary):
        return ""
    outcomes = [column for column in binary if _OUTCOME.search(column.name)]
    binary.sort(key=lambda column: column not in outcomes)
    times = [c for c in columns if c.kind is Kind.TIME and _BEGUN.search(c.name)]
    sites = [c for c in columns if re.fullmatch("site|hospital|center|centre", c.name)]
    names = ", ".join(column.name for column in binary)
    lines = [
        f"# {path.name}: {table.rows:,} rows, one per patient or admission",
        *(f"# {line}" for line in columns_of(path)),
        *(f"# {DECIDE}: {_by_option(doubt)}" for doubt in table.doubts),
        f"# {DECIDE}: which is the outcome: {names}? Leave out what was known after it, by --omit",
    ]
    roles = {"label": outcomes, "id": people, "time": times, "site": sites}
    options = "".join(f" --{key} {likely[0].name}" for key, likely in roles.items() if likely)
    if not outcomes:
        options = f" --label COLUMN{options}"
    command = f"sequela train auto --data table --root {quote(str(path))}{options}"
    return "\n".join([*lines, command, ""])


def columns_of(path: Path, form: Sequence[str] = ()) -> Iterator[str]:
    """Yield a line for each column: what it is read as, its blanks, and its range or values."""
    for column in inspected(path, form).columns:
        kind = _KINDS[Kind.NUMBER if column.cells else column.kind]
        missing = f", {column.missing:,} of them codes for missing" if column.missing else ""
        yield f"{column.name}: {kind}, {column.describe()}{missing}"


def _by_option(doubt: str) -> str:
    """Return a doubt about the form of a file, to be answered by an option and not in a file."""
    if "--" in doubt:
        return doubt
    if "[format]" in doubt:
        return doubt.replace("under [format]", "by --format encoding=NAME")
    options = _ANSWER.sub(lambda key: f"--format {quote(f'{key[1]}={key[3]}')}", doubt)
    return options if options != doubt else f"{doubt}; answer as in --format decimal=,"


def typed(
    connection: "DuckDBPyConnection", path: Path, declared: Sequence[str] = ()
) -> "tuple[DuckDBPyRelation, list[str]]":
    """Read a file with each column in its kind, and return open questions on its form."""
    table, missing = inspected(path, declared), ", ".join(map(_text, _codes(declared)))
    keys = [key for key in declared if not key.startswith(_KEY)]
    form = Format.of(keys, table.form) if is_csv(path) else PLAIN
    relation, names = text_of(paths_of(path), connection, form)
    written = names
    if is_csv(path):
        with rows_of(path, form) as rows:
            written = [name.strip() or f"column{place}" for place, name in enumerate(next(rows))]
    columns = []
    for column, name in zip(table.columns, written, strict=True):
        kind = Kind.NUMBER if column.cells else column.kind
        value = quoted(column.name)
        if kind is not Kind.TEXT:
            value = typed_text(column.name, kind, None, form).rpartition(" AS ")[0]
        blank = f"lower(trim({quoted(column.name)})) IN ({missing})"
        columns.append(f"CASE WHEN NOT coalesce({blank}, true) THEN {value} END AS {quoted(name)}")
    answered = {key.partition("=")[0] for key in declared}
    doubts = [d for d in table.doubts if "UTF-8" not in d and not any(k in d for k in answered)]
    return relation.project(", ".join(columns)), [_by_option(doubt) for doubt in doubts]


def inspected(path: Path, form: Sequence[str] = ()) -> InspectedTable:
    """Inspect the one table of a file; once for each state of it. ``form`` may name ``missing``."""
    if path.is_dir():
        raise DataError(f"{path} is a folder: name the file of the table with one row per patient")
    state = path.stat()
    return _inspected(path, _codes(form), _sheet(form), state.st_mtime_ns, state.st_size)


def _sheet(form: Sequence[str]) -> str:
    return "".join(key.removeprefix(_SHEET) for key in form if key.startswith(_SHEET))


def _codes(form: Sequence[str]) -> tuple[str, ...]:
    """Return the codes for missing: the usual ones, and those of ``missing=-99,unknown``."""
    keys = ",".join(key for key in form if key.startswith(_KEY)).replace(_KEY, "").split(",")
    return *_MISSING, *(re.sub("[.]0+$", "", code.strip().lower()) for code in keys if code)


@lru_cache(maxsize=2)
def _inspected(path: Path, missing: Sequence[str], sheet: str, *_: int) -> InspectedTable:
    tables = inspect(path, missing=missing, sheet=sheet)
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables)
        raise DataError(
            f"{path} has {len(tables)} sheets ({names}): name the one with one row per patient by "
            f"`train --sheet NAME`; if several are tables of a hospital, name their folder, "
            f"{path.parent}"
        )
    if not tables[0].rows:
        raise DataError(f"{path} has no row below its header: expected one row per patient")
    return tables[0]


def _column_of(option: str, name: str, table: InspectedTable) -> str:
    """Return the column that an option names, in any case and with any signs between words."""
    columns = {re.sub(r"\W+", "_", c.name.lower()): c.name for c in table.columns}
    column = columns.get(re.sub(r"\W+", "_", name.strip().lower()))
    if column is None:
        raise unknown_name(f"column of --{option}:", name, columns.values())
    return column


def _classes_of(settings: SignalSettings) -> Classes:
    return Classes.of(settings.model_copy(update={"omit": ()}))


def _checked_classes(settings: SignalSettings, values: Sequence[str]) -> tuple[str, ...]:
    label, listed = settings.label, ", ".join(values[:_LISTED])
    if len(values) > _LISTED:
        listed += ", ..."
    if settings.classes:
        classes = _classes_of(settings)
        if {*classes.numbers} - {*values} or len(classes.names) != _CLASSES:
            raise SettingError(
                f"--classes {','.join(settings.classes)}: expected two classes with values of "
                f"{label} ({listed}), the event last, as in --classes 'low=1|2,high=3'"
            )
        return settings.classes
    if len(values) != _CLASSES:
        orders = permutations(values[:_LISTED], _CLASSES)
        usual = (pair for pair in orders if "/".join(pair).lower() in f"{_PLAIN} {_NAMED}".split())
        example = ",".join(next(usual, values[:_CLASSES]))
        remedy = (
            f"name two, the event last, as in --classes '{example}' (rows with another value are "
            "left out), join values, as in 'low=1|2,high=3'"
        )
        if len(values) == 1:
            remedy = "if a blank cell means that the event did not occur, write 'no' into it"
        raise DataError(
            f"column '{label}' of --label has {len(values)} values ({listed}): expected two; "
            f"{remedy}, or choose another column"
        )
    if re.search("[,|=]", "".join(values)):
        raise DataError(f"column '{label}' has the values {listed}: write them without , | and =")
    if pair := event_last(values):
        negative, event = pair
        plain = f"{negative}/{event}".lower() in _PLAIN.split()
        names = (f"not {label}", label) if plain else pair
        return f"{names[0]}={negative}", f"{names[1]}={event}"
    raise DataError(
        f"column '{label}' has the values {values[0]} and {values[1]}, and it is not clear which "
        f"is the event: name it last, as in --classes '{values[0]},{values[1]}'"
    )


def event_last(values: Sequence[str]) -> Sequence[str] | None:
    """Return two classes with the event last, or ``None`` if their names leave it open."""
    usual = f"{_PLAIN} {_NAMED}".split()
    return next((p for p in (values, values[::-1]) if "/".join(p).lower() in usual), None)


def _why_not(column: InspectedColumn) -> str:
    """Return why a column tells a model nothing; empty for the others."""
    if column.distinct <= 1 and column.filled in {0, column.rows}:
        return "all cells are equal" if column.filled else "all cells are blank"
    if column.kind is Kind.INTEGER and column.unique and column.rows > _LISTED:
        # Whole numbers without a gap count the rows.
        consecutive = float(column.most) - float(column.least) + 1 == column.rows
        if consecutive or _NUMBERED.fullmatch(column.name):
            return "numbers of rows or people"
    is_text = column.kind is Kind.TEXT and not column.cells
    if is_text and column.distinct > max(_LISTED, _FREE * column.filled):
        return "nearly all texts differ, as in free text or ids"
    return ""


def _cell(name: str) -> str:
    return quoted(f"cell {name}")


def _text(text: str) -> str:
    return f"'{text.replace(chr(39), chr(39) * 2)}'"


@dataclass(frozen=True)
class _EventTable:
    """A described table, to be read as events."""

    path: Path
    rows: Rows

    @property
    def inspection(self) -> InspectedTable:
        return inspected(self.path, self.rows.settings.format)

    @property
    def form(self) -> Format:
        """The form of the file; numbers and dates of other data are as those of the training."""
        # New rows are read in the form of the training: what few of them show may mislead.
        settings, of_model = self.rows.settings, bool(self.rows.kinds_read)
        usual = [f"{key}={getattr(PLAIN, key)}" for key in _OF_CELLS] if of_model else []
        options = [*usual, *settings.format]
        decided = {"UTF-8", *(f"'{name}'" for name in settings.omit)}  # letters change no numbers
        decided |= {option.partition("=")[0] for option in options}
        for doubt in self.inspection.doubts:
            if not ("--" in doubt and of_model) and not any(word in doubt for word in decided):
                raise DataError(f"{self.path}: a person must still decide: {_by_option(doubt)}")
        options = [option for option in options if not option.startswith((_KEY, _SHEET))]
        in_file = dict(self.inspection.form)
        # New data may have a declared decimal mark that few cells seemed to show between thousands.
        if f"decimal={in_file.get('thousands')}" in options:
            del in_file["thousands"]
        if not is_csv(self.path):  # numbers of other files have one form
            options = [option for option in options if option.startswith("date=")]
        return Format.of(options, in_file)

    @property
    def kinds(self) -> dict[str, Kind]:
        settings, names = self.rows.settings, [column.name for column in self.inspection.columns]
        if kinds := self.rows.kinds_read:
            expected = (*kinds, settings.id, settings.time)
            if lacking := [str(name) for name in expected if name and name not in names]:
                raise DataError(
                    f"{self.path}: no column {', '.join(lacking)} (found: {', '.join(names)}); "
                    "expected the columns that the model was trained on"
                )
            return kinds
        excluded = {*self._left_out, *(getattr(settings, key) for key in ROLES)}
        inputs = [column for column in self.inspection.columns if column.name not in excluded]
        if not inputs:
            why = "; ".join(f"{name}: {reason}" for name, reason in self._left_out.items())
            raise DataError(f"{self.path}: no column is left to learn from ({why or 'add one'})")
        number = {Kind.INTEGER: Kind.NUMBER}
        return {c.name: Kind.NUMBER if c.cells else number.get(c.kind, c.kind) for c in inputs}

    @property
    def _left_out(self) -> dict[str, str]:
        settings = self.rows.settings
        roles = {getattr(settings, key) for key in ROLES}
        why = {column.name: _why_not(column) for column in self.inspection.columns}
        why |= dict.fromkeys(settings.omit, "--omit")
        return {name: reason for name, reason in why.items() if reason and name not in roles}

    @contextmanager
    def opened(self) -> "Iterator[DuckDBPyConnection]":
        """Open the table ``cells``: its text, each name with a prefix."""
        with connection_for(self.path) as connection:
            paths = paths_of(self.path, _sheet(self.rows.settings.format))
            relation, names = text_of(paths, connection, self.form)
            renamed = (f"trim({quoted(name)}) AS {_cell(name)}" for name in names)
            relation.project(", ".join(renamed)).create("cells")
            for name in names:
                blanked(connection, "cells", f"cell {name}", [*_codes(self.rows.settings.format)])
            yield connection

    @contextmanager
    def people(self) -> "Iterator[DuckDBPyConnection]":
        """Open the cells with ``visit_id``, ``subject_id`` and ``moment``, the time of a row."""
        settings, id_ = self.rows.settings, _cell(str(self.rows.settings.id))
        begun = self._value(settings.time, Kind.TIME) if settings.time else _START
        with self.opened() as connection:
            blank = f"SELECT count(*) FROM cells WHERE coalesce({id_}, '') = ''"  # noqa: S608
            if count := connection.execute(blank).fetchall()[0][0]:
                raise DataError(
                    f"{self.path}: column '{settings.id}' of --id is blank in {count} of "
                    f"{self.inspection.rows:,} rows: name these patients, or remove the rows"
                )
            connection.execute(_PEOPLE.format(id=id_, begun=begun))
            yield connection

    def _value(self, name: str, kind: Kind) -> str:
        """Return SQL of the number or time in a cell; null where there is none."""
        return typed_text(f"cell {name}", kind, None, self.form).rpartition(" AS ")[0]

    def notes(self) -> Iterator[str]:
        settings, rows = self.rows.settings, self.inspection.rows
        yield from self._notes_of_columns()
        with self.people() as connection:

            def count(where: str, what: str = "*") -> int:
                query = f"SELECT count({what}) FROM people WHERE {where}"  # noqa: S608
                return int(connection.execute(query).fetchall()[0][0])

            if (people := count("true", "DISTINCT subject_id")) < rows:
                yield f"{rows:,} rows of {people:,} patients, who stay whole in a split"
            if not self.rows.kinds_read:
                yield from self._unlabelled(count)
            if n := count("moment IS NULL"):
                yield f"rows without a time ({settings.time}), left out: {n:,}"
            for name, kind in self.kinds.items():
                if kind is not Kind.TEXT:
                    yield from self._notes_of(name, kind, count)

    def _notes_of_columns(self) -> Iterator[str]:
        out = {} if self.rows.kinds_read else self._left_out
        for column in self.inspection.columns:
            if column.missing and column.name not in out:
                yield f"cells of {column.name} that mean missing, such as NULL: {column.missing:,}"
        if self.rows.kinds_read:
            yield from (doubt for doubt in self.inspection.doubts if "--" in doubt)
        for reason in dict.fromkeys(out.values()):
            yield f"not read: {', '.join(name for name in out if out[name] == reason)} ({reason})"

    def _unlabelled(self, count: Callable[[str], int]) -> Iterator[str]:
        settings = self.rows.settings
        label, classes = _cell(str(settings.label)), map(_text, _classes_of(settings).numbers)
        if n := count(f"coalesce({label}, '') = ''"):
            yield f"rows without a label ({settings.label}), left out: {n:,}"
        if n := count(f"{label} <> '' AND {label} NOT IN ({', '.join(classes)})"):
            yield f"rows with another {settings.label} than --classes, left out: {n:,}"

    def _notes_of(self, name: str, kind: Kind, count: Callable[[str], int]) -> Iterator[str]:
        value, filled = self._value(name, kind), f"{_cell(name)} <> ''"
        words = count(f"{filled} AND {value} IS NULL")
        if words and words == count(filled):
            raise DataError(
                f"{self.path}: no cell of column '{name}' is a {kind} in the form of --format, or "
                f"of the training (decimal {self.form.decimal!r}, date {self.form.date})"
            )
        if words:
            yield f"cells of {name} that are not a {kind}, read as words: {words:,}"
        if kind is Kind.TIME and (later := count(f"{value} > moment")):
            yield f"dates of {name} after the time of the row, not read: {later:,}"
        if kind is Kind.TIME and not self.rows.settings.time:
            yield f"dates of {name} are read as days up to 2000-01-01 (no --time is named)"

    def events(self, *, labelled: bool) -> Batches:
        """Return the events of all rows, with their labels or without."""
        if labelled and not self.inspection.named(str(self.rows.settings.label)):
            raise DataError(f"{self.path}: no column '{self.rows.settings.label}', the label")
        with self.people() as connection:
            yield "data", connection.sql(self.query(labelled=labelled)).to_arrow_reader(ROWS)

    def query(self, *, labelled: bool) -> str:
        return " UNION ALL ".join(
            f"SELECT subject_id, visit_id, {time} AS time, {code} AS code, "  # noqa: S608
            f"({value})::DOUBLE AS numeric_value FROM people WHERE {where}"
            for time, code, value, where in self._parts(labelled=labelled)
        )

    def _parts(self, *, labelled: bool) -> Iterator[tuple[str, str, str, str]]:
        """Yield SQL of events: time, code, number, and the rows that have one."""
        settings, kinds = self.rows.settings, self.kinds
        yield "moment", f"'{ADMISSION}'", "NULL", "true"
        for name, kind in kinds.items():
            code, number, where = self._event(name, kind)
            yield "moment", code, number, f"{_cell(name)} <> '' AND {where}"
        # For subgroups, splits and labels; no model reads these.
        attributes = [(name, SEX) for name in kinds if name in {"sex", "gender"}]
        if settings.site and self.inspection.named(settings.site):
            attributes.append((settings.site, SITE))
        for name, family in attributes:
            yield "moment", f"'{family}//' || {_cell(name)}", "NULL", f"{_cell(name)} <> ''"
        if kinds.get("age") is Kind.NUMBER:
            age = self._value("age", Kind.NUMBER)
            yield "moment", f"'{AGE}'", age, f"{age} IS NOT NULL"
        for text, place in _classes_of(settings).numbers.items() if labelled else ():
            where = f"{_cell(str(settings.label))} = {_text(text)}"
            # After the prediction, and before the person's next row a second later (``_PEOPLE``).
            outcome = f"'{(ALIVE, EXPIRED)[place]}'"
            yield "moment + INTERVAL 500 MILLISECOND", outcome, "NULL", where

    def _event(self, name: str, kind: Kind) -> tuple[str, str, str]:
        """Return SQL of the code and the number of a cell, and of the cells that are read."""
        code, value = f"{CELL}//{name}".replace("'", "''"), self._value(name, kind)
        word = f"'{code}//' || {_cell(name)}"
        if kind is Kind.TEXT:
            return word, "NULL", "true"
        if kind is Kind.NUMBER:
            return f"CASE WHEN {value} IS NULL THEN {word} ELSE '{code}' END", value, "true"
        days, dated = f"(epoch(moment) - epoch({value})) / 86400", f"'{code}//{_DAYS}'"
        # A date after the prediction was not known at that time.
        is_past = f"coalesce({value} <= moment, true)"
        return f"CASE WHEN {value} IS NULL THEN {word} ELSE {dated} END", days, is_past
