"""The parts of a ``tables.toml``: tables, their facts, people and stays."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sequela.sources.declarations import Kind
from sequela.sources.declared.expressions import expression, total

KINDS = {kind.name.lower(): kind for kind in Kind}


def _said(text: str) -> str:
    expression(text)
    return text


Said = Annotated[str, Field(min_length=1)]


class Part(BaseModel):
    """A part with a fixed set of keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DeclaredFact(Part):
    """A kind of event in the rows of a table: see ``declarations.Fact``."""

    code: Said
    what: str = ""
    time: str | None = None
    known: str = ""
    why: str = ""
    value: str | None = None
    where: str | None = None
    static_where_blank: bool = False

    @field_validator("where", "time", "value")
    @classmethod
    def _is_expression(cls, said: str | None) -> str | None:
        return None if said is None else _said(said)

    def computed(self) -> list[str]:
        """Return the time and the value, where they are expressions and not columns."""
        return [said for said in (self.time, self.value) if said and not said.isidentifier()]


class DeclaredJoin(Part):
    """Columns taken from another table; they are blank where that is missing.

    Attributes:
        table: The other table.
        on: A column in both, or own column to theirs.
        take: New column to an expression over the other table's, or ``min``, ``max`` or ``count``.
    """

    table: Said
    on: Said | dict[str, str]
    take: dict[str, str]

    @property
    def pairs(self) -> dict[str, str]:
        """Own column to the matching column of the other table."""
        return {self.on: self.on} if isinstance(self.on, str) else self.on

    @field_validator("take")
    @classmethod
    def _are_expressions(cls, take: dict[str, str]) -> dict[str, str]:
        named = {total(text)[0] != "" for text in take.values()}
        if len(named) > 1:
            raise ValueError("either all columns are totals (min, max, count) or none")
        return take


class DeclaredCheck(Part):
    """A forbidden state of the rows: see ``declarations.Check``."""

    problem: Said
    where: Annotated[str, Field(min_length=1)]
    show: str | None = None
    remedy: str = "correct the rows, or the declaration"
    share: float = Field(default=0.0, ge=0, le=1)

    @field_validator("where")
    @classmethod
    def _is_expression(cls, where: str) -> str:
        return _said(where)


class DeclaredTable(Part):
    """One table: see ``declarations.Table``.

    Attributes:
        file: Its file or table of a database, without ending; its name in the declaration by
            default.
        subject: Column of the subject.
        visit: Column of the stay.
        in_a_stay: Whether a row that names no stay gives no event.
        joins: Columns taken from other tables.
        derived: New columns, in order, as expressions over earlier ones.
        never_blank: Columns that must be filled in most rows.
    """

    columns: dict[str, Literal["integer", "number", "text", "time"]] = Field(min_length=1)
    file: Said | None = None
    facts: tuple[DeclaredFact, ...] = ()
    key: tuple[str, ...] = ()
    required: bool = False
    optional: tuple[str, ...] = ()
    subject: str | None = None
    visit: str | None = None
    in_a_stay: bool = False
    joins: tuple[DeclaredJoin, ...] = ()
    derived: dict[str, str] = Field(default_factory=dict)
    aside: dict[str, str] = Field(default_factory=dict)
    usual: tuple[str, ...] = ()
    notes: dict[str, str] = Field(default_factory=dict)
    checks: tuple[DeclaredCheck, ...] = ()
    never_blank: tuple[str, ...] = ()
    ranges: dict[str, tuple[float, float]] = Field(default_factory=dict)
    describes: dict[str, str] = Field(default_factory=dict)
    unused: str = "describes codes"

    @property
    def is_prepared(self) -> bool:
        """True if its rows get columns besides those that are read."""
        return bool(self.facts or self.derived or self.joins)

    @field_validator("derived", "aside", "notes")
    @classmethod
    def _are_expressions(cls, named: dict[str, str]) -> dict[str, str]:
        for text in named.values():
            expression(text)
        return named


class People(Part):
    """The table with one row a subject, and the column that identifies it."""

    table: Said
    id: Said


class Stays(Part):
    """The table with one row a hospital stay.

    Attributes:
        table: Its name.
        id: Column that identifies a stay.
        subject: Column of its subject.
        gives: Column that each row of another table gets from its stay, to an expression over the
            columns of this one.
    """

    table: Said
    id: Said
    subject: Said
    gives: dict[str, str] = Field(default_factory=dict)

    @field_validator("gives")
    @classmethod
    def _are_expressions(cls, gives: dict[str, str]) -> dict[str, str]:
        for text in gives.values():
            expression(text)
        return gives
