"""Expressions of a declaration, such as ``died == 1 and left is not None``, for any engine.

The syntax is a subset of Python: attributes are not read and nothing is executed. A blank makes a
comparison unknown, which counts as false, as in SQL.
"""

import ast
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import reduce
from operator import add, and_, eq, ge, gt, le, lt, mul, ne, or_, sub, truediv
from typing import Any

import narwhals as nw

from sequela.errors import SettingError, unknown_name
from sequela.sources.declarations import end_of, number_in

Value = Any
"""A narwhals expression, or a plain value."""

_DEEPEST = 200
"""The largest depth of an expression that engines compute without a stack overflow."""


def _moment(text: str) -> datetime:
    """Parse a time without a zone, as in the tables."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is not None:
        raise ValueError("it has a zone: leave the zone out")
    return found


def _number_in(text: nw.Expr, decimal: str = ".") -> nw.Expr:
    if decimal not in {".", ","}:
        raise ValueError(f"the decimal mark is '.' or ',', not {decimal!r}")
    return number_in(text, decimal)


_COMPARED: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Eq: eq, ast.NotEq: ne, ast.Lt: lt, ast.LtE: le, ast.Gt: gt, ast.GtE: ge,
}  # fmt: skip
_COMPUTED: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: add, ast.Sub: sub, ast.Mult: mul, ast.Div: truediv,
}  # fmt: skip
_CALLS: Mapping[str, Callable[..., Value]] = {
    "coalesce": lambda *of: nw.coalesce(*map(_lit, of)),
    "end_of_day": end_of,
    "days": lambda number: timedelta(days=number),
    "hours": lambda number: timedelta(hours=number),
    "minutes": lambda number: timedelta(minutes=number),
    "moment": _moment,
    "time_in": lambda text, form: text.str.to_datetime(format=form),
    "number_in": _number_in,
    "whole": lambda value: value.cast(nw.Int64()),
    "text": lambda value: value.cast(nw.String()),
    "lower": lambda text: text.str.to_lowercase(),
    "part": lambda text, start, length: text.str.slice(start, length),
    "without": lambda text, sign: text.str.replace_all(sign, "", literal=True),
    "contains": lambda text, words: text.str.contains(words, literal=True),
    "matches": lambda text, pattern: text.str.contains(pattern),
}
_TOTALS: Mapping[str, Callable[..., nw.Expr]] = {
    "min": lambda column: nw.col(column).min(),
    "max": lambda column: nw.col(column).max(),
    "count": lambda _: nw.len(),
}
_HINTS = {"=": "write == for 'equals'", "<>": "write != for 'differs'"}


def expression(text: str) -> nw.Expr:
    """Parse an expression.

    Args:
        text: Names of columns, numbers, text in quotation marks, ``None``; ``+ - * /``; ``==``,
            ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``is None``, ``in (...)``; ``and``, ``or``,
            ``not``; ``A if CONDITION else B``; and the functions of ``_CALLS``.

    Raises:
        SettingError: If the text is something else.

    Example:
        >>> expression("died == 1 and left is not None")
        col(died).__eq__(1).__and__(col(left).is_null().__invert__())
    """
    try:
        return _lit(_value(_parsed(text).body, text))
    except (TypeError, ArithmeticError) as error:
        raise SettingError(f"'{text}' cannot be computed ({error})") from error


def total(text: str) -> tuple[str, nw.Expr | None]:
    """Parse a total over many rows, such as ``min(admitted)``.

    Returns:
        The name of the total, and its expression; an empty name where the text is an expression of
        one row.

    Raises:
        SettingError: If the text is something else.
    """
    node = _parsed(text).body
    called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
    if called not in _TOTALS:
        return "", expression(text)
    of = node.args[0] if isinstance(node, ast.Call) and node.args else None
    if of is None and called != "count":
        raise SettingError(f"'{text}': {called} needs a column, as in {called}(admitted)")
    return called, None if of is None else _lit(_value(of, text))


def totalled(name: str, column: str) -> nw.Expr:
    """Return the total with this name of a column."""
    return _TOTALS[name](column)


def columns_in(text: str) -> set[str]:
    """Return the columns that an expression reads.

    Raises:
        SettingError: If the text is not an expression.
    """
    tree = _parsed(text)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return {node.id for node in names if id(node) not in called}


def numbers_in(text: str) -> list[tuple[str, str]]:
    """List the texts that an expression reads numbers from, with these calls of ``number_in``.

    Example:
        >>> numbers_in("number_in(value, ',') / 10")
        [('value', "number_in(value, ',')")]
    """
    calls = (node for node in ast.walk(_parsed(text)) if isinstance(node, ast.Call))
    found = (
        node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "number_in"
    )
    return [(ast.unparse(node.args[0]), ast.unparse(node)) for node in found]


def _parsed(text: str) -> ast.Expression:
    try:
        tree = ast.parse(" ".join(text.split()), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        hint = next((hint for sign, hint in _HINTS.items() if sign in text), "see docs/tables.md")
        said = error.msg if isinstance(error, SyntaxError) else error
        raise SettingError(f"'{text}' is not an expression ({said}): {hint}") from error
    depth, parts = 0, list[ast.AST]([tree])
    while parts := [below for part in parts for below in ast.iter_child_nodes(part)]:
        depth += 1
    if depth > _DEEPEST:
        raise SettingError(
            f"'{text[:40]}...' has {depth} steps, one within the other; "
            f"expected {_DEEPEST} at most: derive a column for a part of it"
        )
    return tree


def _lit(value: Value) -> nw.Expr:
    return value if isinstance(value, nw.Expr) else nw.lit(value)


def _value(node: ast.AST, text: str) -> Value:  # noqa: C901, PLR0911 - a case for each form
    """Evaluate a part of an expression."""
    match node:
        case ast.Name(id=name):
            return nw.col(name)
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return [_value(item, text) for item in items]
        case ast.UnaryOp(op=ast.Not(), operand=of):
            return ~_lit(_value(of, text))
        case ast.UnaryOp(op=ast.USub(), operand=of):
            return -_value(of, text)
        case ast.BoolOp(op=how, values=parts):
            joined = and_ if isinstance(how, ast.And) else or_
            return reduce(joined, [_lit(_value(part, text)) for part in parts])
        case ast.BinOp(left=left, op=how, right=right) if type(how) in _COMPUTED:
            return _COMPUTED[type(how)](_value(left, text), _value(right, text))
        case ast.Compare():
            return _compared(node, text)
        case ast.IfExp(test=test, body=body, orelse=other):
            chosen = nw.when(_lit(_value(test, text))).then(_lit(_value(body, text)))
            blank = isinstance(other, ast.Constant) and other.value is None
            return chosen if blank else chosen.otherwise(_lit(_value(other, text)))
        case ast.Call(func=ast.Name(id=name), args=given, keywords=[]):
            return _called(name, [_value(each, text) for each in given], text)
    raise SettingError(
        f"'{text}': {ast.unparse(node)} is not allowed; expected columns, numbers, text, "
        f"comparisons, and, or, not, if-else and the functions {', '.join(sorted(_CALLS))}"
    )


def _compared(node: ast.Compare, text: str) -> nw.Expr:
    """Evaluate a comparison, or a chain of them."""
    sides = [_value(side, text) for side in (node.left, *node.comparators)]
    found: list[nw.Expr] = []
    for left, how, right in zip(sides, node.ops, sides[1:], strict=False):
        if isinstance(how, ast.In | ast.NotIn) and isinstance(right, list):
            one_of = _lit(left).is_in(right)
            found.append(one_of if isinstance(how, ast.In) else ~one_of)
        elif isinstance(how, ast.Is | ast.IsNot) and right is None:
            blank = _lit(left).is_null()
            found.append(blank if isinstance(how, ast.Is) else ~blank)
        elif type(how) in _COMPARED and right is not None:
            found.append(_COMPARED[type(how)](_lit(left), right))
        else:
            raise SettingError(
                f"'{text}': {ast.unparse(node)} is not a comparison; expected ==, !=, <, <=, >, "
                ">=, in (...), is None or is not None"
            )
    return reduce(and_, found)


def _called(name: str, given: list[Value], text: str) -> Value:
    if name not in _CALLS:
        raise SettingError(f"'{text}': {unknown_name('function', name, _CALLS)}")
    try:
        return _CALLS[name](*given)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise SettingError(f"'{text}': {name} does not accept these arguments ({error})") from error
