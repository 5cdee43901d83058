"""The source of a build from a declaration."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import narwhals as nw

from sequela.datasets.codes import family_of
from sequela.errors import DataError, DataNotFoundError
from sequela.tables.account import EARLIER
from sequela.tables.declarations import Check, Condition, Kind, Source, Table, never_blank
from sequela.tables.declared.declaration import NAME, Declaration
from sequela.tables.declared.expressions import calls_of, columns_in, expression
from sequela.tables.declared.kinds import misfits
from sequela.tables.declared.prepared import Prepared
from sequela.tables.rows import BOUNDS, MOST_ASIDE, gives_event, holds

READ_TIMES = re.compile("report|store|valid|sign|final|known|verif|releas|avail")
"""Words of columns with the time at which a row could be read."""
NO_STAY = "no hospital stay is named"
UNKNOWN_SUBJECT = "its subject is not among the patients"
UNKNOWN_STAY = "its hospital stay is not among the admissions"
OTHER_SUBJECT = "its hospital stay belongs to another subject"


def beside(root: Path) -> Source:
    """Return the source of the tables in a folder, from the declaration in it."""
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
    tables = tuple(replace(t, notes={**t.notes, **_two_times(t)}) for t in source.tables)
    source = replace(source, tables=tables)
    for key, problem in misfits(declared):
        raise DataError(f"{place}: key '{key}': {problem}")
    return source


def _two_times(table: Table) -> dict[str, Condition]:
    """Count the rows whose time is before another one, at which they could first be read."""
    columns = {name for name, kind in table.columns.items() if kind is Kind.TIME}
    later = {name for name in columns if READ_TIMES.search(name)}
    return {
        f"{EARLIER}{early}, before {late}": nw.col(late) > nw.col(early)
        for fact in table.facts
        if fact.time and not (family_of(fact.code).label_only or family_of(fact.code).ending)
        for early in sorted(columns_in(fact.time) & (columns - later))
        for late in sorted(later - columns_in(fact.time))
    }


def published(name: str, **more: Any) -> Source:
    """Return the source of a published data set, whose declaration ships with the package."""
    return source_of(Declaration.read(place_of(name)), name, **more)


def place_of(name: str) -> Path:
    """Return the path of a published data set's declaration, which may not exist."""
    return Path(__file__).with_name(f"{name}.toml")


def source_of(declared: Declaration, name: str, **more: Any) -> Source:
    """Build the source of a declaration."""
    return Source(
        name=name,
        title=declared.title,
        tables=tuple(_table(key, declared) for key in declared.tables),
        stays_in_order=declared.stays_in_order,
        not_read=declared.not_read,
        **more,
    )


def _table(name: str, declared: Declaration) -> Table:
    """Add to a table what the declaration implies: its rows, checks and rows to set aside."""
    said = declared.tables[name]
    roles = {of.table: of.id for of in (declared.people, declared.stays) if of}
    own = (roles[name],) if name in roles else ()
    shown = (*said.key, *own, *said.columns)[0]
    checks = [replace(each, show=each.show or shown) for each in said.checks]
    if own:
        blank = nw.col(own[0]).is_null()
        checks.append(Check(f"blank {own[0]}", blank, shown, "fill it in: it names a row"))
    numbers, unread = list(_no_numbers(said, shown)), dict[str, Condition]()
    for each in numbers:  # several facts may read one text
        words = f"{each.problem}: no value"
        where = expression(each.where)
        unread[words] = expression(unread[words]) | where if words in unread else where
    return replace(
        said,
        name=declared.file_of(name),
        key=said.key or own,
        required=said.required or bool(own),
        prepare=Prepared(declared, said) if said.has_steps else None,
        aside={**(_strangers(said, declared) if said.facts and not own else {}), **said.aside},
        notes={**said.notes, **unread},
        checks=(
            *checks,
            *never_blank(*said.never_blank, show=shown),
            *numbers,
            *_out_of_bounds(said, shown),
        ),
    )


def _no_numbers(said: Table, shown: str) -> Iterator[Check]:
    """Check the texts that facts read numbers from."""
    for fact in said.facts:
        for text, number in calls_of(
            "number_in", said.derived.get(fact.value or "", fact.value or "None")
        ):
            filled = holds(expression(f"({text}) is not None and ({text}) != ''"))
            among = filled & gives_event(fact)
            yield Check(
                f"text that is not a number in {text}",
                among & expression(number).is_null(),
                text if text in said.columns else shown,
                f"declare the decimal mark, as in number_in({text}, ','), or leave words out of "
                "the fact with `where`",
                MOST_ASIDE,
                among,
            )


def _out_of_bounds(said: Table, shown: str) -> Iterator[Check]:
    """Forbid computed times and numbers that no column of a table may hold."""
    for fact in said.facts:
        for text, kind in ((fact.time, Kind.TIME), (fact.value, Kind.NUMBER)):
            if text is not None and text not in said.columns:
                least, most = BOUNDS[kind]
                within = (nw.col(text) >= least) & (nw.col(text) <= most)
                remedy = f"{text} must be {kind.words}: correct the rows, or the declaration"
                yield Check(f"{text} out of bounds", ~within, shown, remedy)


def _strangers(said: Table, declared: Declaration) -> dict[str, Condition]:
    """Return conditions for rows with unknown subjects and stays."""
    found: dict[str, Condition] = {}
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
