"""A check that the expressions of a declaration fit the kinds of its columns.

They are evaluated on tables without rows, so that errors are reported by key before data are read.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import narwhals as nw
import pyarrow as pa

from sequela.sources.declarations import Kind
from sequela.sources.declared.declaration import Declaration
from sequela.sources.declared.expressions import columns_in, expression
from sequela.sources.declared.parts import KINDS, DeclaredTable
from sequela.sources.declared.prepared import Prepared

Frame = nw.LazyFrame[Any]
_TYPES = {
    Kind.INTEGER: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.TEXT: pa.string(),
    Kind.TIME: pa.timestamp("us"),
}
_CONDITION, _TIME, _NUMBER = "a condition over columns", "a time", "a number"


def misfits(declared: Declaration) -> Iterator[tuple[str, str]]:
    """Yield keys whose expressions do not fit their columns, and the expectation."""
    import duckdb

    with duckdb.connect() as connection:
        frames: dict[str, Frame] = {}
        for name, table in declared.tables.items():
            schema = pa.schema([(c, _TYPES[KINDS[kind]]) for c, kind in table.columns.items()])
            relation = connection.from_arrow(schema.empty_table())
            frames[declared.file_of(name)] = nw.from_native(relation)
        for name, table in declared.tables.items():
            frame = frames[declared.file_of(name)]
            steps = Prepared(declared, table).steps() if table.is_prepared else ()
            for key, step in steps:
                found = _tried(partial(step, frame, frames))
                if isinstance(found, str):
                    yield f"tables.{name}.{key}", found
                    return
                frame = found
            for key, text, expected in _said(table):
                found = _tried(partial(frame.select, "*", tried=expression(text)))
                problem = found if isinstance(found, str) else _unlike(found, text, expected)
                if problem:
                    yield f"tables.{name}.{key}", problem


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


def _said(table: DeclaredTable) -> Iterator[tuple[str, str, str]]:
    """Yield key, expression, and its expected kind."""
    for key, named in (("aside", table.aside), ("notes", table.notes)):
        for words, text in named.items():
            yield f"{key} ({words})", text, _CONDITION
    for check in table.checks:
        yield f"checks ({check.problem})", check.where, _CONDITION
    for fact in table.facts:
        of = ((fact.where, _CONDITION), (fact.time, _TIME), (fact.value, _NUMBER))
        for said, expected in of:
            if said is not None:
                yield f"facts ({fact.code})", said, expected
