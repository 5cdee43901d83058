"""From a declaration to the source that a build reads."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import narwhals as nw

from sequela.errors import DataNotFoundError
from sequela.sources import codes
from sequela.sources.declarations import (
    Check,
    Fact,
    Frames,
    Kind,
    Prepare,
    Source,
    Table,
    never_blank,
)
from sequela.sources.declared.declaration import (
    KINDS,
    NAME,
    Declaration,
    DeclaredFact,
    DeclaredJoin,
    DeclaredTable,
)
from sequela.sources.declared.expressions import expression, total, totalled

Frame = nw.LazyFrame[Any]

NO_STAY = "no hospital stay is named"
UNKNOWN_SUBJECT = "its subject is not among the patients"
UNKNOWN_STAY = "its hospital stay is not among the admissions"
OTHER_SUBJECT = "its hospital stay belongs to another subject"


def beside(root: Path) -> Source:
    """The source of the tables in a folder, as the declaration beside them says.

    Args:
        root: The folder, or the declaration itself.

    Raises:
        DataNotFoundError: There is no declaration.
        DataError: It is not one.
    """
    place = root / NAME if root.is_dir() else root
    if place.suffix != ".toml":  # a database, beside which it lies
        place = root.parent / NAME
    if not place.exists():
        raise DataNotFoundError(
            f"{place} is not there: expected the declaration of the tables; let `sequela data "
            f"describe {root}` propose one"
        )
    return source_of(Declaration.read(place), "tables", dated_by_row=True)


def published(name: str, **more: Any) -> Source:
    """The source of a published data set, whose declaration ships with the package.

    Args:
        name: Of the data set.
        more: Other fields of the source.
    """
    return source_of(Declaration.read(place_of(name)), name, **more)


def place_of(name: str) -> Path:
    """The declaration of a published data set, whether it is there or not."""
    return Path(__file__).with_name(f"{name}.toml")


def source_of(declared: Declaration, name: str, **more: Any) -> Source:
    """The source that a declaration says.

    Args:
        declared: The declaration.
        name: Of the data set.
        more: Other fields of the source.
    """
    files = {key: table.file or key for key, table in declared.tables.items()}
    return Source(
        name=name,
        title=declared.title,
        tables=tuple(_table(key, declared, files) for key in declared.tables),
        stays_in_order=declared.stays_in_order,
        not_read=declared.not_read,
        **more,
    )


def _table(name: str, declared: Declaration, files: Mapping[str, str]) -> Table:
    said = declared.tables[name]
    roles = {of.table: of.id for of in (declared.people, declared.stays) if of}
    prepare: Prepare | None = None
    if said.facts or said.derived or said.joins:
        prepare = partial(_prepared, said=said, declared=declared, files=files)
    shown = (*said.key, *([roles[name]] if name in roles else []), *said.columns)[0]
    checks = [
        Check(each.problem, expression(each.where), each.show or shown, each.remedy, each.share)
        for each in said.checks
    ]
    if name in roles:
        blank = nw.col(roles[name]).is_null()
        checks.append(Check(f"blank {roles[name]}", blank, shown, "fill it in: it names a row"))
    return Table(
        name=files[name],
        columns={column: KINDS[kind] for column, kind in said.columns.items()},
        facts=tuple(map(_fact, said.facts)),
        key=said.key or ((roles[name],) if name in roles else ()),
        required=said.required or name in roles,
        optional=frozenset(said.optional),
        prepare=prepare,
        aside={
            **(_strangers(said, declared) if said.facts and name not in roles else {}),
            **{why: expression(where) for why, where in said.aside.items()},
        },
        notes={words: expression(where) for words, where in said.notes.items()},
        checks=(*checks, *never_blank(*said.never_blank, show=shown)),
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


def _strangers(said: DeclaredTable, declared: Declaration) -> dict[str, nw.Expr]:
    """Rows of subjects and stays that there are not."""
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


def _prepared(
    frame: Frame,
    frames: Frames,
    *,
    said: DeclaredTable,
    declared: Declaration,
    files: Mapping[str, str],
) -> Frame:
    """The rows of a table with all that it gets from others."""
    frame = _with_stay(frame, frames, said, declared, files)
    frame = _with_subject(frame, frames, said, declared, files)
    for join in said.joins:
        frame = _joined(frame, frames.get(files[join.table]), join)
    computed = {text: text for fact in said.facts for text in fact.computed()}
    for column, text in {**said.derived, **computed}.items():
        frame = frame.with_columns(expression(text).alias(column))
    return frame


def _with_stay(
    frame: Frame,
    frames: Frames,
    said: DeclaredTable,
    declared: Declaration,
    files: Mapping[str, str],
) -> Frame:
    """Rows with ``visit_id``, ``stay_subject`` and what their stay gives."""
    stays, visit = declared.stays, declared.visit_of(said)
    if visit is None:
        return frame
    if stays is None:
        return frame.with_columns(visit_id=nw.col(visit))
    rows = frames[files[stays.table]]
    kind = KINDS[declared.tables[stays.table].columns[stays.id]]
    given = {column: expression(text) for column, text in stays.gives.items()}
    found = rows.select(nw.col(stays.id).alias(visit), stay_subject=stays.subject, **given)
    frame = frame.join(found, on=visit, how="left")
    if kind is Kind.INTEGER:
        return frame.with_columns(visit_id=nw.col(visit))
    return frame.join(_numbers(rows, stays.id, visit, "visit_id"), on=visit, how="left")


def _with_subject(
    frame: Frame,
    frames: Frames,
    said: DeclaredTable,
    declared: Declaration,
    files: Mapping[str, str],
) -> Frame:
    """Rows with ``subject_id``, and ``known_subject``, null for a stranger."""
    people, subject = declared.people, declared.subject_of(said) or "stay_subject"
    if people is None:
        return frame.with_columns(subject_id=nw.col(subject))
    rows = frames[files[people.table]]
    if KINDS[declared.tables[people.table].columns[people.id]] is Kind.INTEGER:
        known = rows.select(nw.col(people.id).alias(subject), known_subject=people.id)
        frame = frame.join(known, on=subject, how="left")
        return frame.with_columns(subject_id=nw.col(subject))
    known = _numbers(rows, people.id, subject, "known_subject")
    frame = frame.join(known, on=subject, how="left")
    return frame.with_columns(subject_id=nw.col("known_subject"))


def _numbers(rows: Frame, column: str, named: str, number: str) -> Frame:
    """The texts of a column with their place in sorted order, counted from 1."""
    ids = rows.select(nw.col(column).alias(named)).filter(~nw.col(named).is_null()).unique()
    counted = ids.with_row_index(number, order_by=named)
    return counted.with_columns((nw.col(number).cast(nw.Int64()) + 1).alias(number))


def _joined(frame: Frame, other: Frame | None, join: DeclaredJoin) -> Frame:
    """Rows with the columns that they take from another table."""
    on = {join.on: join.on} if isinstance(join.on, str) else join.on
    taken = {column: total(text) for column, text in join.take.items()}
    if other is None:
        return frame.with_columns(**dict.fromkeys(join.take, nw.lit(None)))
    keys = [nw.col(theirs).alias(own) for own, theirs in on.items()]
    made = {c: of if of is not None else nw.lit(1) for c, (_, of) in taken.items()}
    found = other.select(*keys, **made)
    if any(name for name, _ in taken.values()):
        totals = {column: totalled(name, column) for column, (name, _) in taken.items()}
        found = found.group_by(*on).agg(**totals)
    return frame.join(found, on=list(on), how="left")
