"""The format of ``tables.toml``: a hospital's tables, and the times their facts were known."""

from collections.abc import Iterable
from dataclasses import fields
from fnmatch import filter as filter_names
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from sequela.datasets import codes
from sequela.errors import DataError, SettingError, unknown_name
from sequela.formats import opened
from sequela.formats.csv_files import PLAIN, Format
from sequela.tables.declarations import (
    PLACEHOLDER,
    Bound,
    Check,
    Condition,
    Fact,
    Join,
    Kind,
    People,
    Stays,
    Table,
)
from sequela.tables.declared.expressions import columns_in

NAME = "tables.toml"
_ADDED = ("subject_id", "visit_id", "known_subject")  # the columns that are added to each table
# The attributes of tables and checks that are not keys of a file.
_INTERNAL = {"name", "prepare", "among"}
_NUMBERS = {Kind.INTEGER, Kind.NUMBER}
# The keys of a table that are those of its facts which have none.
_KEYS_OF_FACTS = {"time", "known", "why"}
_EXPECTED = "a declaration of hospital tables in TOML (docs/tables.md)"
_REMEDY = "correct it, or let `sequela data describe` propose one"


class Declaration(BaseModel):
    """All tables of a source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tables: dict[str, Table] = Field(min_length=1)
    title: str = ""
    people: People | None = None
    stays: Stays | None = None
    stays_in_order: bool = True
    later: frozenset[str] = frozenset()
    not_read: dict[str, str] = Field(default_factory=dict)
    format: Format = PLAIN
    # By the time of facts, what those have that do not state it.
    times: dict[str, dict[Literal["known", "why"], str]] = Field(default_factory=dict)
    usual: frozenset[str] = frozenset()  # reasons, in any table
    ranges: dict[str, tuple[Bound, Bound]] = Field(default_factory=dict)  # by a pattern of columns

    @model_validator(mode="before")
    @classmethod
    def _with_names_and_words(cls, keys: dict[str, Any]) -> dict[str, object]:
        tables = keys.get("tables")
        if not isinstance(tables, dict):
            return keys
        form = keys.get("format", {})
        try:
            TypeAdapter(Format).validate_python(form)
        except ValueError:  # reported once, not for each table
            form = {}
        times = keys.get("times", {})
        complete = {name: _with_words(name, table, form, times) for name, table in tables.items()}
        return {**keys, "tables": complete}

    @classmethod
    def read(cls, place: Path) -> Self:
        """Read the declaration in a file."""
        declared = opened.declaration(place, cls, _EXPECTED, _REMEDY, hidden=_INTERNAL)
        # Only the first problem is raised: the others often follow from it.
        for key, problem in declared.problems():
            raise DataError(f"{place}: {key}: {problem}")
        return declared

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield keys that contradict the others, and the expectation."""
        for key, role in (("people", self.people), ("stays", self.stays)):
            if role is None:
                continue
            if role.table not in self.tables:
                yield f"key '{key}.table'", str(unknown_name("table", role.table, self.tables))
                # Without its table, nothing else about the role can be checked.
                return
            columns = set(self.tables[role.table].columns)
            if role.id not in columns:
                problem = str(unknown_name(f"column of {role.table}", role.id, columns))
                yield f"key '{key}.id'", problem
            if isinstance(role, Stays):
                yield from self._problems_of_stays(role, columns)
        yield from self._problems_of_all_tables()
        for name, table in self.tables.items():
            for key, problem in self._problems_of(table):
                yield f"key 'tables.{name}.{key}'", problem

    def _problems_of_all_tables(self) -> Iterable[tuple[str, str]]:
        columns = set(chain.from_iterable(table.columns for table in self.tables.values()))
        for pattern in self.ranges:
            if not filter_names(columns, pattern):
                yield f"key 'ranges.{pattern}'", "no column of a table has such a name"
        facts = chain.from_iterable(table.facts for table in self.tables.values())
        for time in self.times.keys() - {fact.time for fact in facts}:
            yield f"key 'times.{time}'", "no fact has this time"

    def _problems_of_stays(self, stays: Stays, columns: set[str]) -> Iterable[tuple[str, str]]:
        place = f"column of {stays.table}"
        if stays.visit is not None and stays.visit not in columns:
            yield "key 'stays.visit'", str(unknown_name(place, stays.visit, columns))
        elif stays.visit is not None:
            kind = self.tables[stays.table].columns[stays.visit]
            # ``visit_id`` of the events is an integer, so the hospital stay must be one.
            if kind is not Kind.INTEGER:
                yield "key 'stays.visit'", f"'{stays.visit}' is of kind {kind}, expected integer"
        # An expression may read the columns before it, so the known columns grow step by step.
        for column, text in stays.gives.items():
            for key, problem in _unknown(f"stays.gives.{column}", text, columns):
                yield f"key '{key}'", problem
            columns = {*columns, column}
        if stays.subject not in columns:
            yield "key 'stays.subject'", str(unknown_name(place, stays.subject, columns))

    def _problems_of(self, table: Table) -> Iterable[tuple[str, str]]:
        yield from self._problems_of_roles(table)
        columns = self.columns_of(table)
        for column, text in table.derived.items():
            if column in _ADDED:
                yield f"derived.{column}", "is the program's own name: choose another one"
            yield from _unknown(f"derived.{column}", text, columns)
            columns = {*columns, column}
        conditions = {
            "aside": table.aside.values(),
            "notes": table.notes.values(),
            "checks": [check.where for check in table.checks],
        }
        for key, wheres in conditions.items():
            for where in wheres:
                yield from _unknown(key, where, columns)
        yield from _problems_of_columns(table, columns)
        for fact in table.facts:
            for key, problem in _problems_of_fact(fact, columns):
                yield f"facts ({fact.code}).{key}", problem

    def _problems_of_roles(self, table: Table) -> Iterable[tuple[str, str]]:
        for key in ("subject", "visit"):
            column = getattr(table, key)
            if column is not None and column not in table.columns:
                yield key, str(unknown_name("column", column, table.columns))
        # Each row is about somebody, through a column of its own or through its stay.
        of_stay = self.stays is not None and self.visit_of(table) is not None
        if table.facts and self.subject_of(table) is None and not of_stay:
            yield "subject", "missing, and a table with facts needs one: name its column"
        if table.in_a_stay and self.stays is None:
            yield "in_a_stay", "no table of stays is named: name it under [stays]"
        for join in table.joins:
            yield from self._problems_of_join(join, table)
        yield from self._kinds_of(table)
        joined = self._joined_columns(table)
        # Engines rename a column that occurs twice, each in its own way.
        for column in joined:
            if column in table.columns or joined.count(column) > 1:
                yield "columns", f"'{column}' is also taken from another table: rename one of them"

    def _problems_of_join(self, join: Join, table: Table) -> Iterable[tuple[str, str]]:
        if join.table not in self.tables:
            yield "joins", str(unknown_name("table", join.table, self.tables))
            return
        columns, theirs = self.columns_of(table), self.tables[join.table].columns
        for key, their_key in join.pairs.items():
            if key not in columns:
                yield "joins.on", str(unknown_name("column", key, columns))
            elif their_key not in theirs:
                yield "joins.on", str(unknown_name(f"column of {join.table}", their_key, theirs))
            # A join of a text and a number matches nothing in one engine and fails in another.
            elif table.columns.get(key, theirs[their_key]) != theirs[their_key]:
                expected = f"expected {theirs[their_key]}, as {join.table}.{their_key}"
                yield "joins.on", f"'{key}' is of kind {table.columns[key]}, {expected}"
        for column, text in join.take.items():
            yield from _unknown(f"joins.take.{column}", text, set(theirs))

    def _kinds_of(self, table: Table) -> Iterable[tuple[str, str]]:
        """Yield identifiers whose kind differs from their declaration."""
        # The ids of events are those of people and stays, so foreign keys have the same kind.
        pairs = (
            ("subject", self.subject_of(table), self.people),
            ("visit", self.visit_of(table), self.stays),
        )
        for key, column, role in pairs:
            if column is None:
                continue
            kind = table.columns[column]
            expected, place = Kind.INTEGER, "without a table under [people] or [stays]"
            if role is not None:
                expected, place = self.kind_of(role), f"{role.table}.{role.id}"
            if kind != expected:
                yield key, f"'{column}' is of kind {kind}, expected {expected}, as {place}"

    def _joined_columns(self, table: Table) -> list[str]:
        """Return the columns that a table gets from others."""
        columns = list(chain.from_iterable(join.take for join in table.joins))
        if self.stays and self.visit_of(table):
            columns += ["stay_subject", *self.stays.gives]
        return columns

    def file_of(self, table: str) -> str:
        """Return the file of a table, without ending, or its name in a database."""
        return self.tables[table].file or table

    def kind_of(self, role: "People | Stays") -> Kind:
        """Return the kind of the ids of people or stays."""
        return self.tables[role.table].columns[role.id]

    def ranges_of(self, table: Table) -> dict[str, tuple[Bound, Bound]]:
        """Return the bounds of the columns of a table; its own ones come before common ones."""
        numbers = [name for name, kind in table.columns.items() if kind in _NUMBERS]
        ranges = dict[str, tuple[Bound, Bound]]()
        for pattern, bounds in self.ranges.items():
            ranges |= dict.fromkeys(filter_names(numbers, pattern), bounds)
        return {**ranges, **table.ranges}

    def columns_of(self, table: Table) -> set[str]:
        """Return the columns of a table, including those from other tables."""
        return {*table.columns, *self._joined_columns(table), *_ADDED}

    def subject_of(self, table: Table) -> str | None:
        """Return the column of the subject: as declared, else that of the people where present."""
        # Hospitals mostly use one name for the subject in all of their tables.
        usual = self.people.id if self.people else self.stays.subject if self.stays else ""
        return table.subject or (usual if usual in table.columns else None)

    def visit_of(self, table: Table) -> str | None:
        """Return the column of the stay: as declared, else that of the stays where present."""
        usual = self.stays.id if self.stays else ""
        return table.visit or (usual if usual in table.columns else None)


def _with_words(name: str, table: object, form: dict[str, str], times: object) -> object:
    """Add its name to a table, the common form of files, and the usual words to its facts."""
    if not isinstance(table, dict):
        return table
    for key in table.keys() & _INTERNAL:
        problem = unknown_name("key", key, _keys_of(Table))
        raise SettingError(f"key 'tables.{name}.{key}': {problem}")
    # A part of the wrong type is left alone here: pydantic names the key and the problem.
    kinds = {"columns": dict, "notes": dict, "facts": list, "checks": list, "after": dict}
    if all(isinstance(table.get(key, kind()), kind) for key, kind in kinds.items()):
        table = _written_out(name, table)
    facts = table.get("facts", ())
    if isinstance(facts, list):
        facts = [_usual(fact, times) | fact if isinstance(fact, dict) else fact for fact in facts]
    # The format of a table changes single keys of the format that all tables share.
    table_form = table.get("format", {})
    if isinstance(table_form, dict):
        table_form = {**form, **table_form}
    return {"name": name, **table, "facts": facts, "format": table_form}


def _written_out(name: str, table: dict[str, Any]) -> dict[str, object]:
    """Write out the short forms of a table.

    These are lists of columns by their kind, keys that all facts share, and blocks of facts that
    share the block's other keys: ``facts`` by their own keys, ``codes`` from words to a code, or
    ``values``, columns of numbers and the codes of these. ``missing`` is the number in such columns
    where nothing was measured. ``after`` are checks of times, by the later of the two.
    """
    columns, notes = dict[str, object](), {**table.get("notes", {})}
    # ``integer = ["a", "b"]`` lists columns by kind, ``a = "integer"`` gives the kind of one.
    for column, kind in table.get("columns", {}).items():
        columns |= dict.fromkeys(kind, column) if _are_texts(kind) else {column: kind}
    common = {key: table[key] for key in _KEYS_OF_FACTS & table.keys()}
    facts = list[object]()
    for block in table.get("facts", ()):
        if not isinstance(block, dict) or not {"facts", "codes", "values"} & block.keys():
            facts.append({**common, **block} if isinstance(block, dict) else block)
            continue
        shared = {**common, **block}
        codes, values = shared.pop("codes", {}), shared.pop("values", {})
        facts += [{**shared, **fact} for fact in _facts_in(name, shared.pop("facts", []))]
        missing, where = shared.pop("missing", None), shared.pop("where", None)
        # A list has no codes: the block's code and the column's name make one.
        if _are_texts(values):
            values = {column: f"{shared.get('code')}//{column}" for column in values}
        if not isinstance(codes, dict) or not isinstance(values, dict):
            raise SettingError(f"key 'tables.{name}.facts': codes and values are tables of codes")
        for what, code in codes.items():
            facts.append({**shared, "what": what, "code": code, "where": where})
        for column, code in values.items():
            columns.setdefault(column, Kind.NUMBER)
            # To an engine a code for missing, such as -1, is a number: exclude it.
            measured = f"{column} is not None" if missing is None else f"{column} != {missing}"
            # The log counts these cells: a wrong code would drop real measurements.
            if missing is not None:
                notes[f"{column} is {missing} (not measured): no event"] = f"{column} == {missing}"
            if where is not None:
                measured = f"({where}) and {measured}"
            what = f"{shared.get('what')}: {column}"
            facts.append({**shared, "what": what, "code": code, "value": column, "where": measured})
    checks = [*table.get("checks", ())]
    checks += [_in_order(name, later, how) for later, how in table.get("after", {}).items()]
    rest = {key: value for key, value in table.items() if key not in {*_KEYS_OF_FACTS, "after"}}
    return {**rest, "facts": facts, "columns": columns, "notes": notes, "checks": checks}


def _in_order(name: str, later: str, how: object) -> dict[str, object]:
    """Return the check that a time is not before another, from its short form."""
    if not isinstance(how, dict) or not isinstance(than := how.get("than"), str):
        raise SettingError(f"key 'tables.{name}.after.{later}': expected {{ than = COLUMN }}")
    return {
        "problem": f"{later} before {than}",
        "where": f"{later} < {than}",
        "remedy": f"correct the two, or check whether the names {than} and {later} were swapped",
        **{key: value for key, value in how.items() if key != "than"},
    }


def _facts_in(name: str, facts: object) -> list[dict[str, object]]:
    if not isinstance(facts, list) or not all(isinstance(fact, dict) for fact in facts):
        raise SettingError(f"key 'tables.{name}.facts': facts are a list of facts")
    return facts


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _usual(fact: dict[str, object], times: object) -> dict[str, object]:
    """Return the words about a fact that its family of codes implies, and those of its time."""
    code = str(fact.get("code", ""))
    family = codes.family_of(code)
    time, words = fact.get("time"), {"known": "", "why": ""}
    if isinstance(times, dict) and isinstance(of_time := times.get(time), dict):
        words |= of_time
    return {
        "what": family.words or code,
        "time": None,
        "known": words["known"] if time else "always (static)",
        "why": family.coded_later or words["why"],
    }


def _unknown(key: str, text: Condition, columns: set[str]) -> Iterable[tuple[str, str]]:
    """Yield columns of an expression that a table does not have."""
    for column in sorted(columns_in(str(text)) - columns):
        yield key, str(unknown_name("column", column, columns))


# These names are compared with the file's own columns, since they are checked before any join.
def _problems_of_columns(table: Table, columns: set[str]) -> Iterable[tuple[str, str]]:
    for key in ("key", "optional", "ranges", "never_blank"):
        for column in getattr(table, key):
            if column not in table.columns:
                yield key, str(unknown_name("column", column, table.columns))
    for column in set(table.ranges) & set(table.columns):
        if table.columns[column] not in _NUMBERS:
            yield "ranges", f"'{column}' is of kind {table.columns[column]}, expected a number"
    for check in table.checks:
        if check.among is not None:
            yield "checks.among", str(unknown_name("key", "among", _keys_of(Check)))
        if check.show and check.show not in columns:
            yield "checks.show", str(unknown_name("column", check.show, columns))
    yield from _problems_of_words(table, columns)


def _problems_of_words(table: Table, columns: set[str]) -> Iterable[tuple[str, str]]:
    for template, column in table.describes.items():
        readable = set(table.columns) if column in table.columns else columns
        for name in (column, *(m["column"] for m in PLACEHOLDER.finditer(template))):
            if name not in readable:
                yield "describes", str(unknown_name("column", name, readable))


def _problems_of_fact(fact: Fact, columns: set[str]) -> Iterable[tuple[str, str]]:
    for column in (match["column"] for match in PLACEHOLDER.finditer(fact.code)):
        if column not in columns:
            yield "code", str(unknown_name("column", column, columns))
    # A brace that is left over is a misspelt placeholder, and would become part of each code.
    if {*"{}"} & {*PLACEHOLDER.sub("", fact.code)}:
        yield "code", "expected a column in {}, as {unit} or {unit|UNKNOWN}: name others by derived"
    for key, text in (("time", fact.time), ("value", fact.value), ("where", fact.where)):
        if text is not None:
            yield from _unknown(key, text, columns)
    # When staff knew a fact is the one thing that no program can check, so a person must state it.
    if fact.time and not fact.known:
        yield "known", "missing; state in words when the fact was known, as 'at discharge'"
    if not fact.why:
        yield "why", "missing; state why it was known then, as 'staff charted it then'"


def _keys_of(part: type[Table] | type[Check]) -> list[str]:
    return [field.name for field in fields(part) if field.name not in _INTERNAL]
