"""A check that the expressions of a declaration fit the kinds of its columns.

They are evaluated on tables without rows, so that errors are reported by key before data are read.
"""

from collections.abc import Callable, Iterator
from functools import partial

import narwhals as nw

from sequela.tables.declarations import PLACEHOLDER, Frame, Table
from sequela.tables.declared.declaration import Declaration
from sequela.tables.declared.expressions import calls_of, columns_in, expression
from sequela.tables.declared.preparation import Preparation
from sequela.tables.tables import DTYPES

_CONDITION = "a condition over columns"
_TIME = "a time"
_NUMBER = "a number"


def misfits(declared: Declaration) -> Iterator[tuple[str, str]]:
    """Yield keys whose expressions do not fit their columns, and the expectation."""
    import duckdb

    with duckdb.connect() as connection:
        frames: dict[str, Frame] = {}
        for name, table in declared.tables.items():
            # Without rows, the engine still infers the kind of each expression.
            schema = nw.Schema({column: DTYPES[kind] for column, kind in table.columns.items()})
            relation = connection.from_arrow(schema.to_arrow().empty_table())
            frames[declared.file_of(name)] = nw.from_native(relation)
        for name, table in declared.tables.items():
            frame = frames[declared.file_of(name)]
            steps = Preparation(declared, table).steps() if table.has_steps else ()
            for key, step in steps:
                result = _tried(partial(step, frame, frames))
                if isinstance(result, str):
                    # Later steps read the columns of this one, and would only repeat the error.
                    yield f"tables.{name}.{key}", result
                    return
                frame = result
            if steps and frame.collect_schema()["subject_id"] != nw.Int64:
                yield "stays.subject", "is not a whole number; expected one, or a table of [people]"
            for text in _floats(frame, table):
                words = (
                    f"the text of the number {text} has several forms (3, 3.0, 3e0); expected a "
                    f"text or a whole number: declare it as text, or write text(whole({text}))"
                )
                yield f"tables.{name}", words
            for key, text, expected in _expressions_of(table):
                result = _tried(partial(frame.select, "*", tried=expression(text)))
                problem = result if isinstance(result, str) else _unlike(result, text, expected)
                if problem:
                    yield f"tables.{name}.{key}", problem


def _floats(frame: Frame, table: Table) -> Iterator[str]:
    """Yield what is turned into text, by ``text`` or in a code, and is a number with a fraction."""
    # One number has several texts (3, 3.0, 3e0), by engine and file, and a code made of it would
    # split into several codes.
    written = dict[str, None]()  # in order, each once
    for text in (*table.derived.values(), *(text for _, text, _ in _expressions_of(table))):
        written |= dict.fromkeys(argument for argument, _ in calls_of("text", text))
    for fact in table.facts:
        written |= dict.fromkeys(match["column"] for match in PLACEHOLDER.finditer(fact.code))
    for text in written:
        result = _tried(partial(frame.select, tried=expression(text)))
        if not isinstance(result, str) and result.collect_schema()["tried"].is_float():
            yield text


def _tried(compute: Callable[[], Frame]) -> Frame | str:
    """Compute the rows, or describe the error in the expression."""
    import duckdb

    try:
        frame = compute()
        frame.collect_schema()
    except (nw.exceptions.NarwhalsError, duckdb.Error, TypeError, ValueError) as error:
        # The first line of an engine's message names the problem; the others quote its plan.
        words = str(error).strip().splitlines()[0]
        return f"it does not fit the kinds of its columns ({words})"
    return frame


def _unlike(frame: Frame, text: str, expected: str) -> str:
    """Describe the error in the kind of the column ``tried``; empty where there is none."""
    kind = frame.collect_schema()["tried"]
    fits = {
        # A condition without columns holds for all rows or for none, which is a slip.
        _CONDITION: kind == nw.Boolean and bool(columns_in(text)),
        _TIME: kind == nw.Datetime,
        _NUMBER: kind.is_numeric(),
    }
    return "" if fits[expected] else f"'{text}' is of another kind; expected {expected}"


def _expressions_of(table: Table) -> Iterator[tuple[str, str, str]]:
    """Yield key, expression, and its expected kind."""
    for key, conditions in (("aside", table.aside), ("notes", table.notes)):
        for words, text in conditions.items():
            yield f"{key} ({words})", str(text), _CONDITION
    for check in table.checks:
        yield f"checks ({check.problem})", str(check.where), _CONDITION
    for fact in table.facts:
        parts = {_CONDITION: fact.where, _TIME: fact.time, _NUMBER: fact.value}
        for expected, part in parts.items():
            if part is not None:
                yield f"facts ({fact.code})", str(part), expected
