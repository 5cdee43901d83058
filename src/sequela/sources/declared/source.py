"""The source of a build from a declaration."""

from collections.abc import Iterator
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any

import narwhals as nw

from sequela.errors import DataError, DataNotFoundError
from sequela.sources import codes
from sequela.sources.declarations import (
    Check,
    Fact,
    Source,
    Table,
    never_blank,
)
from sequela.sources.declared.declaration import NAME, Declaration
from sequela.sources.declared.expressions import expression, numbers_in
from sequela.sources.declared.kinds import misfits
from sequela.sources.declared.parts import KINDS, DeclaredFact, DeclaredTable
from sequela.sources.declared.prepared import Prepared
from sequela.sources.rows import MOST_ASIDE, holds

NO_STAY = "no hospital stay is named"
UNKNOWN_SUBJECT = "its subject is not among the patients"
UNKNOWN_STAY = "its hospital stay is not among the admissions"
OTHER_SUBJECT = "its hospital stay belongs to another subject"


def beside(root: Path) -> Source:
    """Return the source of the tables in a folder, from the declaration in it.

    Args:
        root: The folder, or the declaration itself.

    Raises:
        DataNotFoundError: If there is no declaration.
        DataError: If it is not a declaration.
    """
    place = root / NAME if root.is_dir() else root
    if place.suffix != ".toml":  # a database: the declaration is in its folder
        place = root.parent / NAME
    if not place.exists() and root.suffix == ".toml":
        raise DataNotFoundError(
            f"{root} does not exist: name a declaration, as docs/tables.md shows"
        )
    if not place.exists():
        raise DataNotFoundError(
            f"{place} is not there: expected the declaration of the tables; let `sequela data "
            f"describe {root}` propose one"
        )
    declared = Declaration.read(place)
    source = source_of(declared, "tables", dated_by_row=True)
    for key, problem in misfits(declared):
        raise DataError(f"{place}: key '{key}': {problem}")
    return source


def published(name: str, **more: Any) -> Source:
    """Return the source of a published data set, whose declaration ships with the package.

    Args:
        name: Name of the data set.
        more: Other fields of the source.
    """
    return source_of(Declaration.read(place_of(name)), name, **more)


def place_of(name: str) -> Path:
    """Return the path of a published data set's declaration, which may not exist."""
    return Path(__file__).with_name(f"{name}.toml")


def source_of(declared: Declaration, name: str, **more: Any) -> Source:
    """Build the source of a declaration.

    Args:
        declared: The declaration.
        name: Name of the data set.
        more: Other fields of the source.
    """
    return Source(
        name=name,
        title=declared.title,
        tables=tuple(_table(key, declared) for key in declared.tables),
        stays_in_order=declared.stays_in_order,
        not_read=declared.not_read,
        **more,
    )


def _table(name: str, declared: Declaration) -> Table:
    said = declared.tables[name]
    roles = {of.table: of.id for of in (declared.people, declared.stays) if of}
    shown = (*said.key, *([roles[name]] if name in roles else []), *said.columns)[0]
    checks = [
        Check(each.problem, expression(each.where), each.show or shown, each.remedy, each.share)
        for each in said.checks
    ]
    if name in roles:
        blank = nw.col(roles[name]).is_null()
        checks.append(Check(f"blank {roles[name]}", blank, shown, "fill it in: it names a row"))
    numbers, unread = list(_no_numbers(said, shown)), dict[str, nw.Expr]()
    for each in numbers:  # several facts may read one text
        words = f"{each.problem}: no value"
        unread[words] = unread[words] | each.where if words in unread else each.where
    return Table(
        name=declared.file_of(name),
        columns={column: KINDS[kind] for column, kind in said.columns.items()},
        facts=tuple(map(_fact, said.facts)),
        key=said.key or ((roles[name],) if name in roles else ()),
        required=said.required or name in roles,
        optional=frozenset(said.optional),
        prepare=Prepared(declared, said) if said.is_prepared else None,
        aside={
            **(_strangers(said, declared) if said.facts and name not in roles else {}),
            **{why: expression(where) for why, where in said.aside.items()},
        },
        notes={words: expression(where) for words, where in said.notes.items()} | unread,
        checks=(*checks, *never_blank(*said.never_blank, show=shown), *numbers),
        ranges=said.ranges,
        usual=frozenset(said.usual),
        describes=said.describes,
        unused=said.unused,
    )


def _fact(said: DeclaredFact) -> Fact:
    family = codes.family_of(said.code)
    return Fact(
        what=said.what or family.words or said.code,
        code=said.code,
        time=said.time,
        known=said.known or "always (static)",
        why=said.why or family.coded_later,
        value=said.value,
        where=expression(said.where) if said.where else None,
        static_where_blank=said.static_where_blank,
    )


def _no_numbers(said: DeclaredTable, shown: str) -> Iterator[Check]:
    """Check the texts that facts read numbers from."""
    for fact in said.facts:
        for text, number in numbers_in(said.derived.get(fact.value or "", fact.value or "None")):
            conditions = [holds(each) for each in _fact(fact).conditions()]
            filled = holds(expression(f"({text}) is not None and ({text}) != ''"))
            among = reduce(and_, conditions, filled)
            yield Check(
                f"text that is not a number in {text}",
                among & expression(number).is_null(),
                text if text in said.columns else shown,
                f"declare the decimal mark, as in number_in({text}, ','), or leave words out of "
                "the fact with `where`",
                MOST_ASIDE,
                among,
            )


def _strangers(said: DeclaredTable, declared: Declaration) -> dict[str, nw.Expr]:
    """Return conditions for rows with unknown subjects and stays."""
    found: dict[str, nw.Expr] = {}
    subject, visit = declared.subject_of(said), declared.visit_of(said)
    if visit and (said.in_a_stay or subject is None):
        found[NO_STAY] = nw.col(visit).is_null()
    if declared.people and subject:
        found[UNKNOWN_SUBJECT] = nw.col("known_subject").is_null()
    if visit and declared.stays:
        found[UNKNOWN_STAY] = ~nw.col(visit).is_null() & nw.col("stay_subject").is_null()
        if subject:
            found[OTHER_SUBJECT] = nw.col("stay_subject") != nw.col(subject)
    return found
