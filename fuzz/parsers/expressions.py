"""Expressions of ``tables.toml``, drawn from their grammar, beside a plain evaluation in Python.

The second reading walks over Python's own syntax tree, row by row, with the three-valued logic of
SQL. An expression is accepted if it fits the kinds of its columns and the engine computes it.
"""

import ast
import operator
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa

from fuzz.mutators import BYTES
from fuzz.parser import Files, Parser, Seed
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
_COMPARED = ("==", "!=", "<", "<=", ">", ">=")


def _draw(rng: Random, kind: str, depth: int) -> str:
    """An expression of a kind: i (whole), n (number), t (text), d (time), b (condition)."""
    inner = partial(_draw, rng, depth=depth - 1)
    if depth <= 0:
        leaves = {
            "i": ("i", "0", "3", "-2"), "n": ("n", "0.5", "1e3", "0.0"), "t": ("t", "'a'", "''"),
            "d": ("d", "moment('2020-01-01 10:00')"), "b": ("i == 0", "t is None", "n < 2"),
        }  # fmt: skip
        return rng.choice(leaves[kind])
    same = rng.choice("intd")
    forms: Mapping[str, tuple[Callable[[], str], ...]] = {
        "i": (
            lambda: f"({inner('i')} {rng.choice('+-*')} {inner('i')})",
            lambda: f"whole({inner(rng.choice('in'))})",
            lambda: f"-({inner('i')})",
        ),
        "n": (
            lambda: f"({inner('n')} {rng.choice('+-*/')} {inner(rng.choice('in'))})",
            lambda: f"({inner('i')} / {inner('i')})",
            lambda: f"number_in({inner('t')}, {rng.choice(['.', ','])!r})",
        ),
        "t": (
            lambda: f"lower({inner('t')})",
            lambda: f"part({inner('t')}, {rng.randrange(3)}, {rng.randrange(4)})",
            lambda: f"without({inner('t')}, {rng.choice('.,b1')!r})",
            lambda: f"text({inner(rng.choice('itn'))})",
        ),
        "d": (
            lambda: f"end_of_day({inner('d')})",
            lambda: (
                f"({inner('d')} {rng.choice('+-')} "
                f"{rng.choice(['days', 'hours', 'minutes'])}({rng.randrange(-9, 9)}))"
            ),
        ),
        "b": (
            lambda: f"({inner('b')} {rng.choice(['and', 'or'])} {inner('b')})",
            lambda: f"(not {inner('b')})",
            lambda: f"({inner(same)} {rng.choice(_COMPARED)} {inner(same)})",
            lambda: f"({inner(same)} is {rng.choice(['', 'not '])}None)",
            lambda: f"({inner('i')} {rng.choice(['in', 'not in'])} (0, 3, -7))",
            lambda: f"contains({inner('t')}, {rng.choice(['b', '.', '1'])!r})",
        ),
    }
    shared: tuple[Callable[[], str], ...] = (
        lambda: f"coalesce({inner(kind)}, {inner(kind)})",
        lambda: f"({inner(kind)} if {inner('b')} else {rng.choice([inner(kind), 'None'])})",
    )
    return rng.choice((*forms[kind], *shared))()


def _drawn(rng: Random, _: bytes) -> bytes:
    return _draw(rng, rng.choice("intdb"), rng.randrange(1, 5)).encode()


def _extreme(rng: Random, content: bytes) -> bytes:
    """A number that is as large as can be, or a product of a text."""
    extremes = (b"1e999", b"9" * 30, b"1e308", b"'a' * 10000000000", b"0", b"(1 / 0)", b"[1] * 9")
    return content.replace(b"3", rng.choice(extremes)) + b" * " + rng.choice(extremes)


def _read(folder: Path) -> Any:
    try:
        text = (folder / FILE).read_bytes().decode()
    except UnicodeDecodeError as error:
        raise DataError("not UTF-8") from error
    made = expression(text)
    with tempfile.TemporaryDirectory() as work:
        engine = open_engine("duckdb", Path(work))
        try:
            schema = pa.schema(list(TYPES.items()))
            rows = pa.Table.from_pylist([{"row": n, **row} for n, row in enumerate(ROWS)],
                                        pa.schema([("row", pa.int64()), *schema]))  # fmt: skip
            frame = engine.read_batches("rows", rows.to_reader())
            for each in (text, *(argument for argument, _ in calls_of("text", text))):
                tried = _tried(partial(frame.select, tried=expression(each)))
                if isinstance(tried, str):
                    raise DataError(tried)
                if each != text and tried.collect_schema()["tried"].is_float():
                    raise DataError("the text of a number with a fraction")
            with engine.translated("rows"):
                found = frame.select("row", found=made).sort("row").collect("pyarrow")
        finally:
            engine.close()
    values = found.to_native()["found"].to_pylist()
    return [_plain(value) for value in values]


def _says(files: Files) -> Any:
    try:
        tree = ast.parse(" ".join(files[FILE].decode().split()), mode="eval").body
        return [_plain(_value(tree, row)) for row in ROWS]
    except Exception:  # noqa: BLE001 (whatever it is, the second reading has no values)
        return None


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


_OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip


def _value(node: ast.AST, row: Mapping[str, Any]) -> Any:  # noqa: PLR0912
    value = partial(_value, row=row)
    match node:
        case ast.Name(id=name):
            return row[name]
        case ast.Constant(value=constant):
            return constant
        case ast.UnaryOp(op=ast.USub(), operand=of):
            found = value(of)
            return None if found is None else -found
        case ast.UnaryOp(op=ast.Not(), operand=of):
            found = value(of)
            return None if found is None else not found
        case ast.BoolOp(op=how, values=parts):
            decided = isinstance(how, ast.Or)
            sides = [value(part) for part in parts]
            return decided if decided in sides else None if None in sides else not decided
        case ast.BinOp(left=left, op=how, right=right):
            one, other = value(left), value(right)
            if one is None or other is None or (isinstance(how, ast.Div) and other == 0):
                return None
            if isinstance(one, str) or isinstance(other, str):
                raise TypeError(node)
            if isinstance(how, ast.Div):  # engines divide numbers of 64 bits
                return float(one) / float(other)
            return _OPERATORS[type(how)](one, other)
        case ast.IfExp(test=test, body=body, orelse=other):
            return value(body) if value(test) else value(other)
        case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot() as how], comparators=[_]):
            return (value(left) is None) == isinstance(how, ast.Is)
        case ast.Compare(left=left, ops=[ast.In() | ast.NotIn() as how], comparators=[
            ast.Tuple(elts=items)
        ]):  # fmt: skip
            found = value(left)
            inside = found in [value(item) for item in items]
            return None if found is None else inside == isinstance(how, ast.In)
        case ast.Compare(left=left, ops=[how], comparators=[right]):
            one, other = value(left), value(right)
            return None if one is None or other is None else _OPERATORS[type(how)](one, other)
        case ast.Call(func=ast.Name(id=name), args=given):
            arguments = [value(each) for each in given]
            if name == "coalesce":
                return next((each for each in arguments if each is not None), None)
            return None if arguments[0] is None else _FUNCTIONS[name](*arguments)
    raise ValueError(node)


def _text(value: Any) -> str:
    if isinstance(value, float | bool):
        raise TypeError(value)
    return str(value)


def _number(text: str, mark: str = ".") -> float | None:
    other = {".": ",", ",": "."}[mark]
    try:
        found = None if other in text or "_" in text else float(text.replace(mark, "."))
    except ValueError:
        return None
    return found


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "whole": int,
    "text": _text,
    "lower": str.lower,
    "part": lambda text, start, length: text[start : start + length],
    "without": lambda text, sign: text.replace(sign, ""),
    "contains": lambda text, words: words in text,
    "number_in": _number,
    "end_of_day": lambda time: time.replace(hour=23, minute=59, second=59, microsecond=0),
    "days": lambda n: timedelta(days=n),
    "hours": lambda n: timedelta(hours=n),
    "minutes": lambda n: timedelta(minutes=n),
    "moment": datetime.fromisoformat,
}

PARSERS = (
    Parser(
        "expressions",
        lambda: [Seed({FILE: b"i + 3"})],
        _read,
        {**{f"drawn {n}": _drawn for n in range(6)}, "extreme": _extreme,
         "bit flip": BYTES["bit flip"]},
        _says,
    ),
)  # fmt: skip
