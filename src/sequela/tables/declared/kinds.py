"""A check that the expressions of a declaration fit the kinds of its columns.

They are evaluated on tables without rows, so that errors are reported by key before data are read.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import narwhals as nw

from sequela.tables.declarations import PLACEHOLDER, Table
from sequela.tables.declared.declaration import Declaration
from sequela.tables.declared.expressions import calls_of, columns_in, expression
from sequela.tables.declared.prepared import Prepared
from sequela.tables.tables import DTYPES

Frame = nw.LazyFrame[Any]
_CONDITION, _TIME, _NUMBER = "a condition over columns", "a time", "a number"


def misfits(declared: Declaration) -> Iterator[tuple[str, str]]:
    """Yield keys whose expressions do not fit their columns, and the expectation."""
    import duckdb

    with duckdb.connect() as connection:
        frames: dict[str, Frame] = {}
        for name, table in declared.tables.items():
            schema = nw.Schema({column: DTYPES[kind] for column, kind in table.columns.items()})
            relation = connection.from_arrow(schema.to_arrow().empty_table())
            frames[declared.file_of(name)] = nw.from_native(relation)
        for name, table in declared.tables.items():
            frame = frames[declared.file_of(name)]
            steps = Prepared(declared, table).steps() if table.has_steps else ()
            for key, step in steps:
                found = _tried(partial(step, frame, frames))
                if isinstance(found, str):
                    yield f"tables.{name}.{key}", found
                    return
                frame = found
            for text in _floats(frame, table):
                words = (
                    f"the text of the number {text} has several forms (3, 3.0, 3e0); expected a "
                    f"text or a whole number: declare it as text, or write text(whole({text}))"
                )
                yield f"tables.{name}", words
            for key, text, expected in _said(table):
                found = _tried(partial(frame.select, "*", tried=expression(text)))
                problem = found if isinstance(found, str) else _unlike(found, text, expected)
                if problem:
                    yield f"tables.{name}.{key}", problem


def _floats(frame: Frame, table: Table) -> Iterator[str]:
    """Yield what is turned into text, by ``text`` or in a code, and is a number with a fraction."""
    texts = [*table.derived.values(), *(text for _, text, _ in _said(table))]
    written = [argument for text in texts for argument, _ in calls_of("text", text)]
    written += [match["column"] for f in table.facts for match in PLACEHOLDER.finditer(f.code)]
    for text in dict.fromkeys(written):
        found = _tried(partial(frame.select, tried=expression(text)))
        if not isinstance(found, str) and found.collect_schema()["tried"].is_float():
            yield text


def _tried(made: Callable[[], Frame]) -> Frame | str:
    """Compute the rows, or describe the error in the expression."""
    import duckdb

    try:
        frame = made()
        frame.collect_schema()
    except (nw.exceptions.NarwhalsError, duckdb.Error, TypeError, ValueError) as error:
        words = str(error).strip().splitlines()[0]
        return f"it does not fit the kinds of its columns ({words})"
    return frame


def _unlike(frame: Frame, text: str, expected: str) -> str:
    """Describe the error in the kind of the column ``tried``; empty where there is none."""
    kind = frame.collect_schema()["tried"]
    fits = {
        _CONDITION: kind == nw.Boolean and bool(columns_in(text)),
        _TIME: kind == nw.Datetime,
        _NUMBER: kind.is_numeric(),
    }
    return "" if fits[expected] else f"'{text}' is of another kind; expected {expected}"


def _said(table: Table) -> Iterator[tuple[str, str, str]]:
    """Yield key, expression, and its expected kind."""
    for key, named in (("aside", table.aside), ("notes", table.notes)):
        for words, text in named.items():
            yield f"{key} ({words})", str(text), _CONDITION
    for check in table.checks:
        yield f"checks ({check.problem})", str(check.where), _CONDITION
    for fact in table.facts:
        of = ((fact.where, _CONDITION), (fact.time, _TIME), (fact.value, _NUMBER))
        for said, expected in of:
            if said is not None:
                yield f"facts ({fact.code})", str(said), expected
