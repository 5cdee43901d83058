"""A table with one row per patient or admission: its columns, its classes, and its events.

A row becomes a hospital stay that is predicted on at its own time: a number is a measurement, a
word a code, a date the days from it to the time of the row, and a blank cell no event. All scales
are then learnt from the training set, as for other records. Decision 32 gives the reasons.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from sequela.config import QuestionSettings, SignalSettings
from sequela.datasets.catalog import DataSet
from sequela.datasets.codes import (
    ADMISSION,
    AGE,
    ALIVE,
    CELL,
    EXPIRED,
    SEX,
    SITE,
    body_of,
)
from sequela.errors import DataError, SettingError, unknown_name
from sequela.formats.csv_files import PLAIN, Format
from sequela.intake.look import Column, Seen, look
from sequela.signals.declaration import Classes
from sequela.tables.declarations import Batches, Fact, Kind, Source, Table
from sequela.tables.declared.expressions import MOST_NUMBER
from sequela.tables.engine import FORMS, usual_text
from sequela.tables.stored_tables import ROWS, connection_for, is_csv, paths_of, quoted, text_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NAME = "table"
ROLES = ("label", "id", "time", "site")
_KEYS = {*ROLES, "title", "classes", "omit", "format"}
_WORDS = "0/1 0.0/1.0 no/yes n/y false/true f/t nein/ja n/j non/oui neg/pos negative/positive -/+"
_STATES = "alive/dead alive/died alive/deceased alive/expired survived/died survived/dead home/died"
_TWO, _FEW = 2, 20
_OF_VALUES = ("decimal", "thousands", "date")
"""The keys of a form that other data share with the training."""
_FREE = 0.5  # share of the filled cells of a column of free text that differ
_DAYS = "days"
LABELS = "labels"
"""A name that no task may have."""
ROW_BINS = 8
"""The codes of a number, for models that read codes only."""
_START = "TIMESTAMP '2000-01-01'"
"""The time of all rows without a column of time."""
_NUMBERED = re.compile(r"(.*_)?(id|nr|no|number|num|key|mrn|pid)")


@dataclass(frozen=True)
class Rows:
    """The description of a table, and what a model reads of it.

    Attributes:
        settings: The columns and classes, as :func:`described` returns them.
        vocabulary: The codes of the model; empty in training.
        channels: The measurements of the model.
    """

    settings: SignalSettings
    vocabulary: Sequence[str] = ()
    channels: Sequence[str] = ()

    @property
    def known(self) -> "Inputs | None":
        """The columns that the model reads; ``None`` in training."""
        if not self.vocabulary:
            return None
        measured = [body_of(code).split("//") for code in self.channels]
        dates = [name for name, *rest in measured if rest == [_DAYS]]
        numbers = [name for name, *rest in measured if not rest]
        columns = dict.fromkeys(body_of(code).split("//")[0] for code in self.vocabulary[1:])
        rest = [name for name in columns if name not in {*dates, *numbers}]
        return Inputs(tuple(numbers), tuple(dates), tuple(rest))


def rows_of_model(
    settings: SignalSettings | None, data_set: DataSet, words: Mapping[str, Any]
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


@dataclass(frozen=True)
class Inputs:
    """The columns that are read as numbers, dates and words."""

    numbers: tuple[str, ...]
    dates: tuple[str, ...]
    words: tuple[str, ...]


def described(path: Path, given: SignalSettings) -> SignalSettings:
    """Return the description of a table: its columns by their names there, and its two classes.

    Raises:
        SettingError: If an option is missing, or names a column or class that is not there.
        DataError: If the table cannot be read for certain.
    """
    for name in given.model_dump(exclude_defaults=True):
        if name not in _KEYS:
            raise SettingError(
                f"--{name} is an option for recordings, and {NAME} has one row per patient: "
                f"expected {', '.join(f'--{key}' for key in sorted(_KEYS))}"
            )
    seen = _seen(path)
    names = [column.name for column in seen.columns]
    for key in ROLES[:2]:
        if getattr(given, key) is None:
            what = "the outcome" if key == "label" else "the patient"
            raise SettingError(
                f"--{key} is missing: name the column of {what}, one of {', '.join(names)}"
            )
    roles = {key: _named(key, getattr(given, key), names) for key in ROLES if getattr(given, key)}
    if len(set(roles.values())) < len(roles):
        raise SettingError(
            f"{' and '.join(f'--{key} {name}' for key, name in roles.items())} name one column "
            "twice: expected another column for each"
        )
    omit = tuple(_named("omit", name, names) for name in given.omit)
    found = given.model_copy(update={**roles, "omit": omit, "title": given.title or seen.name})
    form = _form(path, seen, Rows(found))
    time = seen.named(found.time or "")
    if time and time.kind is not Kind.TIME:
        raise DataError(f"{path}: column '{found.time}' of --time does not hold times alone")
    with _opened(path, form) as connection:
        asked = f"SELECT DISTINCT {_cell(roles['label'])} AS v FROM cells WHERE v <> '' ORDER BY v"  # noqa: S608
        values = [str(value) for (value,) in connection.execute(asked).fetchall()]
    written = (f"{key}={getattr(form, key)}" for key in _OF_VALUES if key in seen.form)
    update = {"classes": _classes(found, values), "format": (*given.format, *written)}
    return found.model_copy(update={**update, "format": tuple(dict.fromkeys(update["format"]))})


def with_task(said: Mapping[str, Any], settings: SignalSettings) -> dict[str, Any]:
    """Add the task to settings of records: the label of a row, from its other cells.

    Raises:
        SettingError: If the settings have another task.
    """
    classes = _two(settings).names
    name = re.sub("[^a-z0-9]+", "-", str(settings.label).lower()).strip("-")
    name = "label" if name in {"", LABELS} else name
    declared = {
        "name": name,
        "trigger": "admission",
        "history": "row",
        "inputs": [CELL],
        "rules": ["no-trigger-time", "no-label"],
        "outcome": {
            "one": classes[1],
            "many": f"rows of class '{classes[1]}'",
            "codes": [EXPIRED],
            "classes": classes,
        },
    }
    task = {"task": name, "declared": json.dumps(declared)}
    for key in QuestionSettings.model_fields:
        if said.get(key, task.get(key)) != task.get(key):
            raise SettingError(
                f"--{key.replace('_', '-')} is for hospital tables, and the task of {NAME} is its "
                "--label: leave it out"
            )
    return {**said, **task}


def declared(path: Path, rows: Rows | None) -> Source:
    """Return the declaration of a table with one row per patient: its cells as events."""
    if rows is None:
        raise SettingError(
            f"the columns of {NAME} are named by options: use `sequela train auto --data {NAME} "
            f"--root {path} --label COLUMN --id COLUMN`"
        )
    seen, settings = _seen(path), rows.settings
    form = _form(path, seen, rows)
    inputs, notes = _inputs(path, seen, rows)
    with _people(path, settings, form) as connection:
        notes += _counted(path, seen, rows, form, inputs, connection)

    def reads(_: Path, *, labelled: bool = True) -> Batches:
        if labelled and not seen.named(str(settings.label)):
            raise DataError(f"{path}: no column '{settings.label}': expected the label there")
        parts = _parts(seen, settings, form, inputs, labelled=labelled)
        query = " UNION ALL ".join(
            f"SELECT subject_id, visit_id, {time} AS time, {code} AS code, "  # noqa: S608
            f"({value})::DOUBLE AS numeric_value FROM people WHERE {where}"
            for time, code, value, where in parts
        )
        with _people(path, settings, form) as connection:
            yield "rows", connection.sql(query).to_arrow_reader(ROWS)

    return Source(
        name=NAME,
        tables=(_EVENTS,),
        reads=reads,
        reads_unlabelled=partial(reads, labelled=False),
        dated_by_row=True,
        title=settings.title or seen.name,
        notes=tuple(notes),
    )


_EVENTS = Table(
    "rows",
    {
        "subject_id": Kind.INTEGER,
        "visit_id": Kind.INTEGER,
        "time": Kind.TIME,
        "code": Kind.TEXT,
        "numeric_value": Kind.NUMBER,
    },
    (
        Fact(
            "cell",
            "{code}",
            "time",
            "at the time of its row",
            "the user names that time; a date after it is not read",
            value="numeric_value",
            static_where_blank=True,
        ),
    ),
    required=True,
)


def text_ids(path: Path, rows: Rows) -> dict[str, str]:
    """Return the patients whose id is not a number: the id by the number that stands for it."""
    id_ = _cell(str(rows.settings.id))
    with _people(path, rows.settings, _form(path, _seen(path), rows)) as connection:
        asked = f"SELECT DISTINCT subject_id::VARCHAR, {id_} FROM people"  # noqa: S608
        return {number: text for number, text in connection.execute(asked).fetchall()}


def _seen(path: Path) -> Seen:
    """Inspect the one table of a file; once for each state of it."""
    if path.is_dir():
        raise DataError(f"{path} is a folder: name the file of the table with one row per patient")
    state = path.stat()
    return _looked(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=2)
def _looked(path: Path, *_: int) -> Seen:
    found = look(path)
    if len(found) > 1:
        names = ", ".join(table.name for table in found)
        raise DataError(f"{path} has {len(found)} sheets ({names}): save the one to read as a file")
    if not found[0].rows:
        raise DataError(f"{path} has no row below its header: expected one row per patient")
    return found[0]


def _named(option: str, said: str, names: Sequence[str]) -> str:
    """Return the name of a column as it is read: in lower case, without other signs."""
    plain = {re.sub(r"\W+", "_", name.lower()): name for name in names}
    found = plain.get(re.sub(r"\W+", "_", said.strip().lower()))
    if found is None:
        raise unknown_name(f"column of --{option}:", said, names)
    return found


def _form(path: Path, seen: Seen, rows: Rows) -> Format:
    """Return the form of a file; raise an error for what a person must still decide.

    Numbers and dates of other data are read as those of the training.
    """
    said = dict(each.partition("=")[::2] for each in rows.settings.format)
    if rows.known:
        said = {key: getattr(PLAIN, key) for key in _OF_VALUES} | said
    for doubt in seen.doubts:  # letters of another encoding do not change numbers or dates
        if "UTF-8" not in doubt and not any(key in doubt for key in said):
            raise DataError(
                f"{path}: a person must still decide: {doubt}; answer with --format KEY=VALUE, "
                "such as --format decimal=, or --format date=%d/%m/%Y"
            )
    form = {**seen.form, **said}
    if not is_csv(path):  # its numbers have one form
        form = {key: value for key, value in form.items() if key == "date"}
    if form.get("thousands") == form.get("decimal", PLAIN.decimal):
        del form["thousands"]
    try:
        return TypeAdapter(Format).validate_python(form)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise SettingError(f"--format {key}: {first['msg']} (docs/tables.md)") from error


def _two(settings: SignalSettings) -> Classes:
    """Return the two classes, and their values; columns that are left out are no values."""
    return Classes.of(settings.model_copy(update={"omit": ()}))


def _classes(settings: SignalSettings, values: Sequence[str]) -> tuple[str, ...]:
    """Return the two classes as NAME=VALUES, the event last."""
    label = settings.label
    shown = ", ".join(values[:_FEW]) + ", ..." * (len(values) > _FEW)
    if settings.classes:
        classes = _two(settings)
        if set(values) - {*classes.found} or len(classes.names) != _TWO:
            raise SettingError(
                f"--classes {','.join(settings.classes)}: expected two classes with all values of "
                f"{label} ({shown or 'none'}), the event last, as in --classes 'low=1|2,high=3'"
            )
        return settings.classes
    if len(values) != _TWO:
        raise DataError(
            f"column '{label}' has {len(values)} value{'s' * (len(values) != 1)} "
            f"({shown or 'all cells are blank'}): expected two; choose another --label, or join "
            "values, as in --classes 'low=1|2,high=3'"
        )
    for pairs in (_WORDS, _STATES):
        for negative, positive in (values, values[::-1]):
            if f"{negative}/{positive}".lower() in pairs.split():
                names = (f"not {label}", label) if pairs is _WORDS else (negative, positive)
                return f"{names[0]}={negative}", f"{names[1]}={positive}"
    raise DataError(
        f"column '{label}' has the values {values[0]} and {values[1]}, and it is not clear which "
        f"is the event: name it last, as in --classes '{values[0]},{values[1]}'"
    )


def _inputs(path: Path, seen: Seen, rows: Rows) -> tuple[Inputs, list[str]]:
    """Return the columns to read, and sentences on those that are left out."""
    settings, names = rows.settings, [column.name for column in seen.columns]
    if known := rows.known:
        wanted = (*known.numbers, *known.dates, *known.words, settings.id, settings.time)
        if lacking := [str(name) for name in wanted if name and name not in names]:
            raise DataError(
                f"{path}: no column {', '.join(lacking)} (found: {', '.join(names)}); expected the "
                "columns that the model was trained on"
            )
        return known, []
    roles = {getattr(settings, key) for key in ROLES}
    found: dict[str, list[str]] = {"numbers": [], "dates": [], "words": []}
    left_out: dict[str, list[str]] = {}
    for column in (each for each in seen.columns if each.name not in roles):
        why = "named with --omit" if column.name in settings.omit else _why_not(column)
        number = column.kind in {Kind.INTEGER, Kind.NUMBER} or column.cells
        kind = "dates" if column.kind is Kind.TIME else "numbers" if number else "words"
        (left_out.setdefault(why, []) if why else found[kind]).append(column.name)
    notes = [
        f"not read: {', '.join(columns)} ({why})"
        for why, columns in left_out.items()
    ]
    if not any(found.values()):
        raise DataError(f"{path}: no column is left to learn from ({'; '.join(notes) or 'none'})")
    return Inputs(*map(tuple, found.values())), notes


def _why_not(column: Column) -> str:
    """Return why a column tells a model nothing; empty for the others."""
    if column.distinct <= 1 and column.filled in {0, column.rows}:
        return "all cells are equal" if column.filled else "all cells are blank"
    if column.kind is Kind.INTEGER and column.unique and column.rows > _FEW:
        numbered = float(column.most) - float(column.least) + 1 == column.rows
        return "a number of rows or people" * bool(numbered or _NUMBERED.fullmatch(column.name))
    if column.kind is Kind.TEXT and not column.cells:
        free = column.distinct > max(_FEW, _FREE * column.filled)
        return "nearly all texts differ, as in free text or another id" * free
    return ""


@contextmanager
def _opened(path: Path, form: Format) -> "Iterator[DuckDBPyConnection]":
    """Open a table of text: ``cells``, in which each name of a column has a prefix."""
    with connection_for(path) as connection:
        relation, names = text_of(paths_of(path), connection, form)
        renamed = (f"trim({quoted(name)}) AS {_cell(name)}" for name in names)
        relation.project(", ".join(renamed)).create("cells")
        yield connection


def _cell(name: str) -> str:
    return quoted(f"cell {name}")


@contextmanager
def _people(
    path: Path, settings: SignalSettings, form: Format
) -> "Iterator[DuckDBPyConnection]":
    """Open the cells with the stay, ``visit_id``, its ``subject_id``, and the time ``moment``.

    A whole number is the id of a patient; of another text, it is half of its MD5. The second row of
    a patient at one time is one second later.
    """
    id_ = _cell(str(settings.id))
    with _opened(path, form) as connection:
        (blank,) = connection.execute(
            f"SELECT count(*) FROM cells WHERE coalesce({id_}, '') = ''"  # noqa: S608
        ).fetchall()[0]
        if blank:
            raise DataError(
                f"{path}: column '{settings.id}' of --id is blank in {blank} row"
                f"{'s' * (blank > 1)}: name these patients, or remove their rows"
            )
        connection.execute(
            f"""
            CREATE TABLE people AS
            SELECT *, begun + to_seconds(
                row_number() OVER (PARTITION BY subject_id, begun ORDER BY visit_id) - 1
            ) AS moment
            FROM (
                SELECT *, rowid + 1 AS visit_id,
                    {_time(settings.time, form) if settings.time else _START} AS begun,
                    CASE WHEN regexp_full_match({id_}, '0|[1-9][0-9]{{0,17}}') THEN {id_}::BIGINT
                        ELSE (md5_number_upper({id_}) >> 1)::BIGINT END AS subject_id
                FROM cells
            )
            """
        )
        yield connection


def _counted(
    path: Path,
    seen: Seen,
    rows: Rows,
    form: Format,
    inputs: Inputs,
    connection: "DuckDBPyConnection",
) -> list[str]:
    """Return sentences on what is not read: rows without a label or time, and cells."""
    settings = rows.settings

    def count(where: str, what: str = "*") -> int:
        query = f"SELECT count({what}) FROM people WHERE {where}"  # noqa: S608
        return int(connection.execute(query).fetchall()[0][0])

    notes, people = [], count("true", "DISTINCT subject_id")
    if people < seen.rows:
        notes.append(f"{seen.rows:,} rows of {people:,} patients, who stay whole in a split")
    if not rows.known and (blank := count(f"coalesce({_cell(str(settings.label))}, '') = ''")):
        notes.append(f"rows without a label ({settings.label}): {blank:,}, left out")
    if settings.time and (blank := count("moment IS NULL")):
        notes.append(f"rows without a time ({settings.time}): {blank:,}, left out")
    if inputs.dates and not settings.time:
        dates = ", ".join(inputs.dates)
        notes.append(f"dates ({dates}) are read as days up to 2000-01-01: no --time is named")
    for name in inputs.dates:
        if settings.time and (later := count(f"{_time(name, form)} > moment")):
            notes.append(f"dates of {name} after {settings.time}: {later:,}, not read")
    for name in (*inputs.numbers, *inputs.dates):
        read = _number(name, form) if name in inputs.numbers else _time(name, form)
        filled = count(f"{_cell(name)} <> ''")
        others = count(f"{_cell(name)} <> '' AND {read} IS NULL")
        if others and others == filled:
            what = "number" if name in inputs.numbers else "date"
            raise DataError(
                f"{path}: no cell of column '{name}' holds a {what}; expected the form of the "
                f"training (decimal {form.decimal!r}, date {form.date})"
            )
        if others:
            notes.append(f"cells of {name} that are not numbers: {others:,}, read as words")
    return notes


def _time(name: str, form: Format) -> str:
    """Return SQL of the time in a cell; null where there is none."""
    usual = usual_text(_cell(name), Kind.TIME, form)
    fits = f"regexp_full_match({usual}, '{FORMS[Kind.TIME]}')"
    return f"CASE WHEN {fits} THEN try_cast({usual} AS TIMESTAMP) END"


def _number(name: str, form: Format) -> str:
    """Return SQL of the number in a cell; null where there is none."""
    usual = usual_text(_cell(name), Kind.NUMBER, form)
    value = f"try_cast({usual} AS DOUBLE)"
    fits = f"regexp_full_match({usual}, '{FORMS[Kind.NUMBER]}') AND abs({value}) < {MOST_NUMBER!r}"
    return f"CASE WHEN {fits} THEN {value} END"


def _parts(
    seen: Seen, settings: SignalSettings, form: Format, inputs: Inputs, *, labelled: bool
) -> Iterator[tuple[str, str, str, str]]:
    """Yield SQL of the events of rows: time, code, number, and the rows that have them."""
    yield "moment", f"'{ADMISSION}'", "NULL", "true"
    for name in inputs.words:
        yield "moment", _code(name), "NULL", f"{_cell(name)} <> ''"
    for name in inputs.numbers:
        yield "moment", _code(name, value := _number(name, form)), value, f"{_cell(name)} <> ''"
    for name in inputs.dates:
        day, kept = _time(name, form), f"{_cell(name)} <> ''"
        value = f"(epoch(moment) - epoch({day})) / 86400"
        yield "moment", _code(name, day, f"//{_DAYS}"), value, f"{kept} AND coalesce({day} <= moment, true)"
    # Attributes for subgroups, splits and labels, which no model reads.
    for name, family in ((settings.site, SITE), ("sex", SEX), ("gender", SEX)):
        if name and (name == settings.site or name in inputs.words) and seen.named(name):
            yield "moment", f"'{family}//' || {_cell(name)}", "NULL", f"{_cell(name)} <> ''"
    if "age" in inputs.numbers:
        yield "moment", f"'{AGE}'", _number("age", form), f"{_number('age', form)} IS NOT NULL"
    for text, number in _two(settings).found.items() if labelled else ():
        where = f"{_cell(str(settings.label))} = '{text.replace(chr(39), chr(39) * 2)}'"
        yield "moment + INTERVAL 500 MILLISECOND", f"'{(ALIVE, EXPIRED)[number]}'", "NULL", where


def _code(name: str, value: str = "NULL", suffix: str = "") -> str:
    """Return SQL of the code of a cell: its column, and its text where that has no number."""
    code = f"{CELL}//{name}".replace("'", "''")
    return f"CASE WHEN ({value}) IS NULL THEN '{code}//' || {_cell(name)} ELSE '{code}{suffix}' END"
