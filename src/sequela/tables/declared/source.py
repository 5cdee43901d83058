"""The source of a build from a declaration."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from itertools import product
from pathlib import Path

import narwhals as nw

from sequela.datasets.codes import family_of
from sequela.errors import DataError, DataNotFoundError
from sequela.tables.account import EARLIER
from sequela.tables.declarations import Check, Condition, Kind, Source, Table, never_blank
from sequela.tables.declared.declaration import NAME, Declaration
from sequela.tables.declared.expressions import calls_of, columns_in, expression
from sequela.tables.declared.kinds import misfits
from sequela.tables.declared.preparation import STAYS, Preparation, given_stays
from sequela.tables.rows import BOUNDS, MOST_ASIDE, gives_event, holds

# Words of columns with the time at which a row could be read.
READ_TIMES = re.compile("report|store|valid|sign|final|known|verif|releas|avail")
NO_STAY = "no hospital stay is named"
UNKNOWN_SUBJECT = "its subject is not among the patients"
UNKNOWN_STAY = "its hospital stay is not among the admissions"
OTHER_SUBJECT = "its hospital stay belongs to another subject"
_FITTING = set[str]()  # declarations that were checked in this process


def declared_in(root: Path) -> Source:
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
    source = source_of(declared, "tables")
    # Nobody has reviewed a hospital's own declaration: the log counts doubtful times.
    tables = tuple(replace(t, notes={**t.notes, **_two_times(t)}) for t in source.tables)
    source = replace(source, tables=tables, dated_by_row=True)
    if repr(declared) not in _FITTING:
        for key, problem in misfits(declared):
            raise DataError(f"{place}: key '{key}': {problem}")
        _FITTING.add(repr(declared))
    return source


def _two_times(table: Table) -> dict[str, Condition]:
    """Count the rows whose time is before another one, at which they could first be read."""
    columns = {name for name, kind in table.columns.items() if kind is Kind.TIME}
    readable = {name for name in columns if READ_TIMES.search(name)}
    notes = dict[str, Condition]()
    for fact in table.facts:
        family = family_of(fact.code)
        # The outcome and the end of a stay are known as they happen: no report follows.
        if not fact.time or family.label_only or family.ending:
            continue
        dated_by = columns_in(fact.time)
        # A lab value has the time of its sample and of its report. Dated by the sample, a model
        # sees it hours too early.
        for early, late in product(
            sorted(dated_by & (columns - readable)), sorted(readable - dated_by)
        ):
            notes[f"{EARLIER}{early}, before {late}"] = nw.col(late) > nw.col(early)
    return notes


@cache
def published(name: str) -> Source:
    """Return the source of a published data set, whose declaration ships with the package."""
    return source_of(Declaration.read(place_of(name)), name)


def place_of(name: str) -> Path:
    """Return the path of a published data set's declaration, which may not exist."""
    return Path(__file__).with_name(f"{name}.toml")


def source_of(declared: Declaration, name: str) -> Source:
    """Build the source of a declaration."""
    shared = {}
    if declared.stays is not None:
        shared[STAYS] = partial(given_stays, declared, declared.stays)
    return Source(
        name=name,
        title=declared.title,
        tables=tuple(_table(key, declared) for key in declared.tables),
        stays_in_order=declared.stays_in_order,
        later=declared.later,
        not_read=declared.not_read,
        shared=shared,
    )


def _table(key: str, declared: Declaration) -> Table:
    """Add to a table what the declaration implies: its rows, checks and rows to set aside."""
    table = declared.tables[key]
    roles = {role.table: role.id for role in (declared.people, declared.stays) if role}
    row_id = (roles[key],) if key in roles else ()
    # A message names a row by its key, else by its id, else by its first column.
    show = (*table.key, *row_id, *table.columns)[0]
    checks = [replace(check, show=check.show or show) for check in table.checks]
    if row_id:
        blank = nw.col(row_id[0]).is_null()
        checks.append(Check(f"blank {row_id[0]}", blank, show, "fill it in: it names a row"))
    numbers, unread = list(_no_numbers(table, show)), dict[str, Condition]()
    for check in numbers:  # several facts may read one text
        words = f"{check.problem}: no value"
        where = expression(check.where)
        unread[words] = expression(unread[words]) | where if words in unread else where
    # The tables of people and stays define who is known, so none of their rows is a stranger.
    strangers = _strangers(table, declared) if table.facts and not row_id else {}
    return replace(
        table,
        name=declared.file_of(key),
        key=table.key or row_id,
        required=table.required or bool(row_id),
        ranges=declared.ranges_of(table),
        usual=table.usual | declared.usual,
        prepare=Preparation(declared, table) if table.has_steps else None,
        aside={**strangers, **table.aside},
        notes={**table.notes, **unread},
        checks=(
            *checks,
            *never_blank(*table.never_blank, show=show),
            *numbers,
            *_out_of_bounds(table, show),
        ),
    )


def _no_numbers(table: Table, show: str) -> Iterator[Check]:
    """Check the texts that facts read numbers from."""
    for fact in table.facts:
        value = fact.value or "None"
        for text, number in calls_of("number_in", table.derived.get(value, value)):
            # A blank is an absent number, not a wrong one.
            filled = holds(expression(f"({text}) is not None and ({text}) != ''"))
            among = filled & gives_event(fact)
            yield Check(
                f"text that is not a number in {text}",
                among & expression(number).is_null(),
                text if text in table.columns else show,
                f"declare the decimal mark, as in number_in({text}, ','), or leave words out of "
                "the fact with `where`",
                MOST_ASIDE,
                among,
            )


def _out_of_bounds(table: Table, show: str) -> Iterator[Check]:
    """Forbid computed times and numbers that no column of a table may hold."""
    computed = [(fact.time, Kind.TIME) for fact in table.facts]
    computed += [(fact.value, Kind.NUMBER) for fact in table.facts]
    for text, kind in dict.fromkeys(computed):
        # The bounds of columns are checked as they are read; only computed values are left.
        if text is not None and text not in table.columns:
            least, most = BOUNDS[kind]
            within = (nw.col(text) >= least) & (nw.col(text) <= most)
            remedy = f"{text} must be {kind.words}: correct the rows, or the declaration"
            yield Check(f"{text} out of bounds", ~within, show, remedy)


def _strangers(table: Table, declared: Declaration) -> dict[str, Condition]:
    """Return conditions for rows with unknown subjects and stays."""
    strangers = dict[str, Condition]()
    subject, visit, stays = declared.subject_of(table), declared.visit_of(table), declared.stays
    of_units = stays is not None and stays.visit is not None
    if visit and not of_units and (table.in_a_stay or subject is None):
        strangers[NO_STAY] = nw.col(visit).is_null()
    if declared.people and subject:
        strangers[UNKNOWN_SUBJECT] = nw.col("known_subject").is_null()
    if visit and stays:
        unknown = nw.col("stay_subject").is_null()
        if of_units:
            strangers[f"its unit stay is not in {stays.table}"] = unknown
        else:
            strangers[UNKNOWN_STAY] = ~nw.col(visit).is_null() & unknown
        if subject:
            # A wrong id of a stay would give one person's events to another.
            strangers[OTHER_SUBJECT] = nw.col("stay_subject") != nw.col(subject)
    return strangers
