"""Expressions of `tables.toml`, drawn from their grammar, next to a plain evaluation in Python.

The second reader walks over Python's own syntax tree, row by row, with the three-valued logic of
SQL. An expression is accepted if it fits the kinds of its columns and the engine computes it.
"""

import ast
import operator
import re
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.damage import Case, Files, examples

from sequela.errors import DataError
from sequela.tables.declared.expressions import calls_of, expression
from sequela.tables.declared.kinds import _tried
from sequela.tables.engine import open_engine

FILE = "expression.txt"
ROWS: list[dict[str, Any]] = [
    {"i": 0, "n": 0.0, "t": "", "d": datetime(2020, 2, 29)},
    {"i": -7, "n": 3.5, "t": "Ab.c1", "d": datetime(2020, 12, 31, 23, 59, 59)},
    {"i": 12, "n": -4.5e7, "t": "1,5", "d": datetime(1999, 1, 1, 0, 0, 1)},
    {"i": None, "n": None, "t": None, "d": None},
    {"i": 2**53 + 1, "n": 1e300, "t": "03", "d": datetime(2000, 6, 1, 12)},
]
TYPES = {"i": pa.int64(), "n": pa.float64(), "t": pa.string(), "d": pa.timestamp("us")}
LEAVES = {
    "i": ("i", "0", "3", "-2"), "n": ("n", "0.5", "1e3", "0.0"), "t": ("t", "'a'", "''"),
    "d": ("d", "moment('2020-01-01 10:00')"), "b": ("i == 0", "t is None", "n < 2"),
}  # fmt: skip
"""The shortest expressions of a kind: i (whole), n (number), t (text), d (time), b (condition)."""
FORMS = {
    "i": ("(<i> <sum> <i>)", "whole(<i>)", "whole(<n>)", "-(<i>)"),
    "n": (
        "(<n> <sum> <i>)", "(<n> <sum> <n>)", "(<n> / <n>)", "(<i> / <i>)",
        "number_in(<t>, '<mark>')",
    ),
    "t": (
        "lower(<t>)", "part(<t>, <digit>, <digit>)", "without(<t>, '<sign>')", "text(<i>)",
        "text(<t>)", "text(<n>)",
    ),
    "d": ("end_of_day(<d>)", "(<d> + <unit>(<days>))", "(<d> - <unit>(<days>))"),
    "b": (
        "(<b> and <b>)", "(<b> or <b>)", "(not <b>)", "(<i> <than> <i>)", "(<n> <than> <n>)",
        "(<t> <than> <t>)", "(<d> <than> <d>)", "(<i> is None)", "(<n> is not None)",
        "(<t> is None)", "(<d> is not None)", "(<i> in (0, 3, -7))", "(<i> not in (0, 3, -7))",
        "contains(<t>, '<sign>')",
    ),
}  # fmt: skip
SHARED = ("coalesce(<{0}>, <{0}>)", "(<{0}> if <b> else <{0}>)", "(<{0}> if <b> else None)")
SIGNS = {
    "sum": tuple("+-*"), "mark": tuple(".,"), "sign": tuple(".,b1"), "digit": tuple("0123"),
    "days": tuple(map(str, range(-9, 9))), "unit": ("days", "hours", "minutes"),
    "than": ("==", "!=", "<", "<=", ">", ">="),
}  # fmt: skip
EXTREMES = ("1e999", "9" * 30, "1e308", "'a' * 10000000000", "0", "(1 / 0)", "[1] * 9")


@st.composite
def expressions(draw: st.DrawFn) -> bytes:
    """Expand the forms of a kind, up to four deep."""

    def expand(kind: str, depth: int) -> str:
        forms = SIGNS.get(kind) or LEAVES[kind]
        if depth and kind in FORMS:
            forms = (*FORMS[kind], *(form.format(kind) for form in SHARED))
        form = draw(st.sampled_from(forms))
        return re.sub("<([a-z]+)>", lambda match: expand(match[1], depth - 1), form)

    return expand(draw(st.sampled_from("intdb")), draw(st.integers(1, 4))).encode()


def changed(content: bytes) -> st.SearchStrategy[bytes]:
    extremes = st.sampled_from(EXTREMES).map(lambda text: content + b" * " + text.encode())
    noise = st.integers(0, 255).map(lambda byte: content[:-1] + bytes([byte]))
    return st.integers(0, 7).flatmap(lambda n: [extremes, noise][n] if n < 2 else expressions())


def read(folder: Path) -> Any:
    try:
        text = (folder / FILE).read_bytes().decode()
    except UnicodeDecodeError as error:
        raise DataError("not UTF-8") from error
    whole = expression(text)
    schema = pa.schema([("row", pa.int64()), *TYPES.items()])
    rows = pa.Table.from_pylist([{"row": n, **row} for n, row in enumerate(ROWS)], schema)
    with tempfile.TemporaryDirectory() as work:
        engine = open_engine("duckdb", Path(work))
        try:
            frame = engine.read_batches("rows", rows.to_reader())
            for part in (text, *(argument for argument, _ in calls_of("text", text))):
                tried = _tried(partial(frame.select, tried=expression(part)))
                if isinstance(tried, str):
                    raise DataError(tried)
                if part != text and tried.collect_schema()["tried"].is_float():
                    raise DataError("the text of a number with a fraction")
            with engine.translated("rows"):
                values = frame.select("row", value=whole).sort("row").collect("pyarrow")
        finally:
            engine.close()
    return list(map(plain, values.to_native()["value"].to_pylist()))


def plain(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def second_value(files: Files) -> Any:
    try:
        tree = ast.parse(" ".join(files[FILE].decode().split()), mode="eval").body
        return [plain(value_of(tree, row)) for row in ROWS]
    except Exception:  # noqa: BLE001 (whatever it is, the second reader has no values)
        return None


OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip


def value_of(node: ast.AST, row: Mapping[str, Any]) -> Any:
    value = partial(value_of, row=row)
    match node:
        case ast.Name(id=name):
            return row[name]
        case ast.Constant(value=constant):
            return constant
        case ast.UnaryOp(op=ast.USub() | ast.Not() as sign, operand=operand):
            number = value(operand)
            if number is None:
                return None
            return not number if isinstance(sign, ast.Not) else -number
        case ast.BoolOp(op=how, values=parts):
            decided = isinstance(how, ast.Or)
            sides = [value(part) for part in parts]
            return decided if decided in sides else None if None in sides else not decided
        case ast.BinOp(left=left, op=how, right=right):
            first, second = value(left), value(right)
            if first is None or second is None or (isinstance(how, ast.Div) and second == 0):
                return None
            if isinstance(first, str) or isinstance(second, str):
                raise TypeError(node)
            if isinstance(how, ast.Div):  # engines divide numbers of 64 bits
                return float(first) / float(second)
            return OPERATORS[type(how)](first, second)
        case ast.IfExp(test=test, body=body, orelse=rest):
            return value(body) if value(test) else value(rest)
        case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot() as how], comparators=[_]):
            return (value(left) is None) == isinstance(how, ast.Is)
        case ast.Compare(left=left, ops=[ast.In() | ast.NotIn() as how], comparators=[
            ast.Tuple(elts=items)
        ]):  # fmt: skip
            member = value(left)
            inside = member in [value(item) for item in items]
            return None if member is None else inside == isinstance(how, ast.In)
        case ast.Compare(left=left, ops=[how], comparators=[right]):
            first, second = value(left), value(right)
            return None if None in (first, second) else OPERATORS[type(how)](first, second)
        case ast.Call(func=ast.Name(id=name), args=nodes):
            arguments = list(map(value, nodes))
            if name == "coalesce":
                return next((argument for argument in arguments if argument is not None), None)
            return None if arguments[0] is None else FUNCTIONS[name](*arguments)
    raise ValueError(node)


def text_of(value: Any) -> str:
    if isinstance(value, float | bool):
        raise TypeError(value)
    return str(value)


def number_in(text: str, mark: str = ".") -> float | None:
    other = {".": ",", ",": "."}[mark]
    try:
        return None if other in text or "_" in text else float(text.replace(mark, "."))
    except ValueError:
        return None


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "whole": int,
    "text": text_of,
    "lower": str.lower,
    "part": lambda text, start, length: text[start : start + length],
    "without": lambda text, sign: text.replace(sign, ""),
    "contains": lambda text, words: words in text,
    "number_in": number_in,
    "end_of_day": lambda time: time.replace(hour=23, minute=59, second=59, microsecond=0),
    "days": lambda n: timedelta(days=n),
    "hours": lambda n: timedelta(hours=n),
    "minutes": lambda n: timedelta(minutes=n),
    "moment": datetime.fromisoformat,
}


CASE = Case(lambda: {FILE: b"i + 3"}, read, changed, second_value)


@examples(8)
@given(data=st.data())
def test_drawn_expressions(data: st.DataObject) -> None:
    CASE.check(data)
