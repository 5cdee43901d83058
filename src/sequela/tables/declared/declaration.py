"""The format of ``tables.toml``: a hospital's tables, and the times their facts were known."""

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from sequela.datasets import codes
from sequela.errors import DataError, SettingError, unknown_name
from sequela.formats import opened
from sequela.formats.csv_files import PLAIN, Format
from sequela.tables.declarations import (
    PLACEHOLDER,
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
_MADE = ("subject_id", "visit_id", "known_subject")
"""The columns that are added to each table."""
_OWN = {"name", "prepare", "among"}
"""The attributes of tables and checks that are not keys of a file."""
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
    not_read: dict[str, str] = Field(default_factory=dict)
    format: Format = PLAIN

    @model_validator(mode="before")
    @classmethod
    def _with_names_and_words(cls, said: dict[str, Any]) -> dict[str, Any]:
        tables = said.get("tables")
        if not isinstance(tables, dict):
            return said
        form = said.get("format", {})
        try:
            TypeAdapter(Format).validate_python(form)
        except ValueError:  # reported once, not for each table
            form = {}
        words = {name: _with_words(name, each, form) for name, each in tables.items()}
        return {**said, "tables": words}

    @classmethod
    def read(cls, place: Path) -> Self:
        """Read the declaration in a file."""
        found = opened.declaration(place, cls, _EXPECTED, _REMEDY, hidden=_OWN)
        for key, problem in found.problems():
            raise DataError(f"{place}: {key}: {problem}")
        return found

    def problems(self) -> Iterable[tuple[str, str]]:
        """Yield keys that contradict the others, and the expectation."""
        for role, of in (("people", self.people), ("stays", self.stays)):
            if of is None:
                continue
            if of.table not in self.tables:
                yield f"key '{role}.table'", str(unknown_name("table", of.table, self.tables))
                return
            columns = self.tables[of.table].columns
            named = {"id": of.id} | ({"subject": of.subject} if isinstance(of, Stays) else {})
            for key, column in named.items():
                if column not in columns:
                    problem = str(unknown_name(f"column of {of.table}", column, columns))
                    yield f"key '{role}.{key}'", problem
            for column, text in (of.gives if isinstance(of, Stays) else {}).items():
                for key, problem in _unknown(f"{role}.gives.{column}", text, set(columns)):
                    yield f"key '{key}'", problem
        for name, table in self.tables.items():
            for key, problem in self._problems_of(table):
                yield f"key 'tables.{name}.{key}'", problem

    def _problems_of(self, table: Table) -> Iterable[tuple[str, str]]:
        yield from self._problems_of_roles(table)
        known = self.columns_of(table)
        for column, text in table.derived.items():
            if column in _MADE:
                yield f"derived.{column}", "is the program's own name: choose another one"
            yield from _unknown(f"derived.{column}", text, known)
            known = {*known, column}
        conditions = {
            "aside": table.aside.values(),
            "notes": table.notes.values(),
            "checks": [check.where for check in table.checks],
        }
        for key, wheres in conditions.items():
            for where in wheres:
                yield from _unknown(key, where, known)
        yield from _problems_of_columns(table, known)
        for fact in table.facts:
            for key, problem in _problems_of_fact(fact, known):
                yield f"facts ({fact.code}).{key}", problem

    def _problems_of_roles(self, table: Table) -> Iterable[tuple[str, str]]:
        for key in ("subject", "visit"):
            column = getattr(table, key)
            if column is not None and column not in table.columns:
                yield key, str(unknown_name("column", column, table.columns))
        of_stay = self.stays is not None and self.visit_of(table) is not None
        if table.facts and self.subject_of(table) is None and not of_stay:
            yield "subject", "missing, and a table with facts needs one: name its column"
        if table.in_a_stay and self.stays is None:
            yield "in_a_stay", "no table of stays is named: name it under [stays]"
        for join in table.joins:
            yield from self._problems_of_join(join, table)
        yield from self._kinds_of(table)
        taken = self._taken(table)
        for column in taken:
            if column in table.columns or taken.count(column) > 1:
                yield "columns", f"'{column}' is also taken from another table: rename one of them"

    def _problems_of_join(self, join: Join, table: Table) -> Iterable[tuple[str, str]]:
        if join.table not in self.tables:
            yield "joins", str(unknown_name("table", join.table, self.tables))
            return
        theirs = self.tables[join.table].columns
        for own, other in join.pairs.items():
            if own not in self.columns_of(table):
                yield "joins.on", str(unknown_name("column", own, self.columns_of(table)))
            elif other not in theirs:
                yield "joins.on", str(unknown_name(f"column of {join.table}", other, theirs))
            elif table.columns.get(own, theirs[other]) != theirs[other]:
                expected = f"expected {theirs[other]}, as {join.table}.{other}"
                yield "joins.on", f"'{own}' is of kind {table.columns[own]}, {expected}"
        for column, text in join.take.items():
            yield from _unknown(f"joins.take.{column}", text, set(theirs))

    def _kinds_of(self, table: Table) -> Iterable[tuple[str, str]]:
        """Yield identifiers whose kind differs from their declaration."""
        pairs = (
            ("subject", self.subject_of(table), self.people),
            ("visit", self.visit_of(table), self.stays),
        )
        for key, column, of in pairs:
            if column is None:
                continue
            kind = table.columns[column]
            declared = self.tables[of.table].columns[of.id] if of else Kind.INTEGER
            if kind != declared:
                where = f"{of.table}.{of.id}" if of else "without a table under [people] or [stays]"
                yield key, f"'{column}' is of kind {kind}, expected {declared}, as {where}"

    def _taken(self, table: Table) -> list[str]:
        """Return the columns that a table gets from others."""
        taken = [column for join in table.joins for column in join.take]
        if self.stays and self.visit_of(table):
            taken += ["stay_subject", *self.stays.gives]
        return taken

    def file_of(self, table: str) -> str:
        """Return the file of a table, without ending, or its name in a database."""
        return self.tables[table].file or table

    def kind_of(self, role: "People | Stays") -> Kind:
        """Return the kind of the ids of people or stays."""
        return self.tables[role.table].columns[role.id]

    def columns_of(self, table: Table) -> set[str]:
        """Return the columns of a table, including those from other tables."""
        return {*table.columns, *self._taken(table), *_MADE}

    def subject_of(self, table: Table) -> str | None:
        """Return the column of the subject: as declared, else that of the people where present."""
        usual = self.people.id if self.people else self.stays.subject if self.stays else ""
        return table.subject or (usual if usual in table.columns else None)

    def visit_of(self, table: Table) -> str | None:
        """Return the column of the stay: as declared, else that of the stays where present."""
        usual = self.stays.id if self.stays else ""
        return table.visit or (usual if usual in table.columns else None)


def _with_words(name: str, table: Any, form: Any) -> Any:
    """Add its name to a table, the common form of files, and the usual words to its facts."""
    if not isinstance(table, dict):
        return table
    for own in table.keys() & _OWN:
        problem = unknown_name("key", own, _keys_of(Table))
        raise SettingError(f"key 'tables.{name}.{own}': {problem}")
    facts = table.get("facts", ())
    if isinstance(facts, list):
        facts = [_usual(fact) | fact if isinstance(fact, dict) else fact for fact in facts]
    own = table.get("format", {})
    own = {**form, **own} if isinstance(own, dict) else own
    return {"name": name, **table, "facts": facts, "format": own}


def _usual(fact: dict[str, Any]) -> dict[str, Any]:
    """Return the words about a fact that its family of codes implies."""
    code = str(fact.get("code", ""))
    family = codes.family_of(code)
    known = "" if fact.get("time") else "always (static)"
    return {"what": family.words or code, "time": None, "known": known, "why": family.coded_later}


def _unknown(key: str, text: Condition, known: set[str]) -> Iterable[tuple[str, str]]:
    """Yield columns of an expression that a table does not have."""
    for column in sorted(columns_in(str(text)) - known):
        yield key, str(unknown_name("column", column, known))


def _problems_of_columns(table: Table, known: set[str]) -> Iterable[tuple[str, str]]:
    for key in ("key", "optional", "ranges", "never_blank"):
        for column in getattr(table, key):
            if column not in table.columns:
                yield key, str(unknown_name("column", column, table.columns))
    for column in set(table.ranges) & set(table.columns):
        if table.columns[column] not in {Kind.INTEGER, Kind.NUMBER}:
            yield "ranges", f"'{column}' is of kind {table.columns[column]}, expected a number"
    for check in table.checks:
        if check.among is not None:
            yield "checks.among", str(unknown_name("key", "among", _keys_of(Check)))
        if check.show and check.show not in known:
            yield "checks.show", str(unknown_name("column", check.show, known))
    yield from _problems_of_words(table, known)


def _problems_of_words(table: Table, known: set[str]) -> Iterable[tuple[str, str]]:
    for template, column in table.describes.items():
        read = set(table.columns) if column in table.columns else known
        for named in (column, *_columns_of_code(template)):
            if named not in read:
                yield "describes", str(unknown_name("column", named, read))


def _columns_of_code(template: str) -> list[str]:
    return [match["column"] for match in PLACEHOLDER.finditer(template)]


def _problems_of_fact(fact: Fact, known: set[str]) -> Iterable[tuple[str, str]]:
    for column in _columns_of_code(fact.code):
        if column not in known:
            yield "code", str(unknown_name("column", column, known))
    for key, said in (("time", fact.time), ("value", fact.value), ("where", fact.where)):
        if said is not None:
            yield from _unknown(key, said, known)
    if fact.time and not fact.known:
        yield "known", "missing; state in words when the fact was known, as 'at discharge'"
    if not fact.why:
        yield "why", "missing; state why it was known then, as 'staff charted it then'"


def _keys_of(part: type[Any]) -> list[str]:
    return [each.name for each in fields(part) if each.name not in _OWN]
