"""The format of ``tables.toml``: a hospital's tables, and the times their facts were known."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError

from sequela.errors import DataError, SequelaError, unknown_name
from sequela.sources import codes, opened
from sequela.sources.declarations import PLACEHOLDER, Kind
from sequela.sources.declared.expressions import columns_in
from sequela.sources.declared.parts import (
    KINDS,
    DeclaredCheck,
    DeclaredFact,
    DeclaredJoin,
    DeclaredTable,
    Part,
    People,
    Stays,
)

NAME = "tables.toml"
DECIDE = "DECIDE"
"""The mark of an open decision."""
_MADE = ("subject_id", "visit_id", "known_subject")
"""The columns that are added to each table."""
_EXPECTED = "a declaration of hospital tables in TOML"
_REMEDY = "correct it, or let `sequela data describe` propose one"


class Declaration(Part):
    """All tables of a source.

    Attributes:
        title: Name of the data on pages and cards.
        people: The table of subjects; without it, each subject in a row counts.
        stays: The hospital stays, where there are any.
        stays_in_order: Whether the order of one subject's stays is known.
        tables: Name to table.
        not_read: File, without ending, to the reason it is left out.
    """

    tables: dict[str, DeclaredTable] = Field(min_length=1)
    title: str = ""
    people: People | None = None
    stays: Stays | None = None
    stays_in_order: bool = True
    not_read: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def read(cls, place: Path) -> Self:
        """Read the declaration in a file.

        Raises:
            DataError: If it is not a declaration, or has open decisions; the message names the
                file, the key and the allowed values.
        """
        text = opened.text(place, _EXPECTED, _REMEDY)
        for number, line in enumerate(text.splitlines(), start=1):
            if DECIDE in line:
                asked = line.strip().lstrip("#").strip().removeprefix(DECIDE).strip(" :")
                raise DataError(
                    f"{place}, line {number}: a person must still decide: {asked}; decide it, and "
                    f"delete the mark {DECIDE}"
                )
        try:
            said = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise DataError(
                f"{place}: not TOML ({error}); expected {_EXPECTED}; {_REMEDY}"
            ) from error
        try:
            found = cls.model_validate(said)
        except ValidationError as error:
            raise DataError(f"{place}: {_problem(error)}") from error
        except SequelaError as error:
            raise DataError(f"{place}: {error}") from error
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

    def _problems_of(self, table: DeclaredTable) -> Iterable[tuple[str, str]]:
        """Yield the errors in one table."""
        yield from self._problems_of_roles(table)
        known = self.columns_of(table)
        for column, text in table.derived.items():
            if column in _MADE:
                yield f"derived.{column}", "is the program's own name: choose another one"
            yield from _unknown(f"derived.{column}", text, known)
            known = {*known, column}
        said = {
            "aside": table.aside.values(),
            "notes": table.notes.values(),
            "checks": [check.where for check in table.checks],
        }
        for key, texts in said.items():
            for text in texts:
                yield from _unknown(key, text, known)
        yield from _problems_of_columns(table, known)
        for fact in table.facts:
            for key, problem in _problems_of_fact(fact, known):
                yield f"facts ({fact.code}).{key}", problem

    def _problems_of_roles(self, table: DeclaredTable) -> Iterable[tuple[str, str]]:
        """Yield the errors about subject, stay and columns from other tables."""
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

    def _problems_of_join(
        self, join: DeclaredJoin, table: DeclaredTable
    ) -> Iterable[tuple[str, str]]:
        """Yield the errors in a join with another table."""
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

    def _kinds_of(self, table: DeclaredTable) -> Iterable[tuple[str, str]]:
        """Yield identifiers whose kind differs from their declaration."""
        pairs = (
            ("subject", self.subject_of(table), self.people),
            ("visit", self.visit_of(table), self.stays),
        )
        for key, column, of in pairs:
            if column is None:
                continue
            kind = table.columns[column]
            declared = self.tables[of.table].columns[of.id] if of else "integer"
            if kind != declared:
                where = f"{of.table}.{of.id}" if of else "without a table under [people] or [stays]"
                yield key, f"'{column}' is of kind {kind}, expected {declared}, as {where}"

    def _taken(self, table: DeclaredTable) -> list[str]:
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
        return KINDS[self.tables[role.table].columns[role.id]]

    def columns_of(self, table: DeclaredTable) -> set[str]:
        """Return the columns of a table, including those from other tables."""
        return {*table.columns, *self._taken(table), *_MADE}

    def subject_of(self, table: DeclaredTable) -> str | None:
        """Return the column of the subject: as declared, else that of the people where present."""
        usual = self.people.id if self.people else self.stays.subject if self.stays else ""
        return table.subject or (usual if usual in table.columns else None)

    def visit_of(self, table: DeclaredTable) -> str | None:
        """Return the column of the stay: as declared, else that of the stays where present."""
        usual = self.stays.id if self.stays else ""
        return table.visit or (usual if usual in table.columns else None)


def _unknown(key: str, text: str, known: set[str]) -> Iterable[tuple[str, str]]:
    """Yield columns of an expression that a table does not have."""
    for column in sorted(columns_in(text) - known):
        yield key, str(unknown_name("column", column, known))


def _problems_of_columns(table: DeclaredTable, known: set[str]) -> Iterable[tuple[str, str]]:
    """Yield the errors where columns are named alone."""
    for key in ("key", "optional", "ranges", "never_blank"):
        for column in getattr(table, key):
            if column not in table.columns:
                yield key, str(unknown_name("column", column, table.columns))
    for column in set(table.ranges) & set(table.columns):
        if table.columns[column] not in {"integer", "number"}:
            yield "ranges", f"'{column}' is of kind {table.columns[column]}, expected a number"
    for check in table.checks:
        if check.show is not None and check.show not in known:
            yield "checks.show", str(unknown_name("column", check.show, known))
    yield from _problems_of_words(table, known)


def _problems_of_words(table: DeclaredTable, known: set[str]) -> Iterable[tuple[str, str]]:
    """Yield the errors in a dictionary of codes."""
    for template, column in table.describes.items():
        read = set(table.columns) if column in table.columns else known
        for named in (column, *_columns_of_code(template)):
            if named not in read:
                yield "describes", str(unknown_name("column", named, read))


def _columns_of_code(template: str) -> list[str]:
    """Return the columns in a code."""
    return [match["column"] for match in PLACEHOLDER.finditer(template)]


def _problems_of_fact(fact: DeclaredFact, known: set[str]) -> Iterable[tuple[str, str]]:
    """Yield the errors in one fact."""
    for column in _columns_of_code(fact.code):
        if column not in known:
            yield "code", str(unknown_name("column", column, known))
    for key, said in (("time", fact.time), ("value", fact.value), ("where", fact.where)):
        if said is not None:
            yield from _unknown(key, said, known)
    if fact.time and not fact.known:
        yield "known", "missing; state in words when the fact was known, as 'at discharge'"
    if not fact.why and not codes.family_of(fact.code).coded_later:
        yield "why", "missing; state why it was known then, as 'staff charted it then'"


def _problem(error: ValidationError) -> str:
    """Describe the first error in one line: its key, the value, the allowed values."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *parents, last = first["loc"]
        return f"key '{key}': {unknown_name('key', str(last), _keys(parents))}"
    if first["type"] == "missing":
        return f"key '{key}' is missing; see docs/tables.md"
    message = first["msg"].removeprefix("Value error, ")
    return f"key '{key}' is {first['input']!r}: {message}"


def _keys(parents: list[Any]) -> list[str]:
    """Return the allowed keys at a place."""
    names = [str(part) for part in parents if isinstance(part, str)]
    models: Mapping[str, type[Part]] = {
        "facts": DeclaredFact, "joins": DeclaredJoin, "checks": DeclaredCheck,
        "people": People, "stays": Stays,
    }  # fmt: skip
    if not names:
        model: type[Part] = Declaration
    else:
        model = models.get(names[-1], DeclaredTable)
    return list(model.model_fields)
