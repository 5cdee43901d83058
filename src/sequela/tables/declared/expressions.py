"""Expressions of a declaration, such as ``died == 1 and left is not None``, for any engine.

The syntax is a subset of Python: attributes are not read and nothing is executed. A blank makes a
comparison unknown, which counts as false, as in SQL.
"""

import ast
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache, reduce
from itertools import chain
from operator import add, and_, eq, ge, gt, le, lt, mul, ne, or_, sub
from typing import Any

import narwhals as nw

from sequela.errors import SettingError, unknown_name

Value = Any  # a narwhals expression, or a plain value

MOST_NUMBER = 3.4028234663852886e38  # the largest float32, the type of the numbers of events
MOST_WHOLE = 2**63 - 1
# The absolute value from which a float has no fraction, and does not hold each whole number.
_FLOAT_WHOLE = 2**53
_DEEPEST = 200  # the largest depth of an expression that engines compute without a stack overflow


def end_of_day(column: str) -> nw.Expr:
    """Return the last second of a date, by which a fact dated without a time is known."""
    return end_of(nw.col(column))


def end_of(day: nw.Expr) -> nw.Expr:
    """Return the last second of the days in which the times of an expression are."""
    # A date may mean any moment of the day: only at its end is the fact certainly known.
    return day.dt.truncate("1d").dt.offset_by("1d").dt.offset_by("-1s")


def number_in(text: nw.Expr, decimal: str = ".") -> nw.Expr:
    """Read the number in a text, with an exponent or not; null where it is not a number.

    Args:
        text: Spaces around a number do not count.
        decimal: The decimal mark, ``.`` or ``,``; the other one is not part of a number.
    """
    mark = re.escape(decimal)
    # Engines disagree on what is a number (1_000, 0x10, inf): the form is checked first.
    form = rf"^\s*[+-]?([0-9]+({mark}[0-9]*)?|{mark}[0-9]+)([eE][+-]?[0-9]{{1,2}})?\s*$"
    plain = text.str.strip_chars().str.replace_all(decimal, ".", literal=True)
    number = nw.when(text.str.contains(form)).then(plain).cast(nw.Float64())
    # Events hold float32, in which a larger number would be infinite.
    return nw.when(number.abs() <= MOST_NUMBER).then(number)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    # Times of the events have no zone. Converting this one would be a guess about the hospital.
    if moment.tzinfo is not None:
        raise ValueError("it has a zone: leave the zone out")
    return moment


def _number_in(text: nw.Expr, decimal: str = ".") -> nw.Expr:
    if decimal not in {".", ","}:
        raise ValueError(f"the decimal mark is '.' or ',', not {decimal!r}")
    return number_in(text, decimal)


def _misused_rank(*_: Value) -> Value:
    raise ValueError("expected a value, and the column whose rows are ranked together")


def _whole(value: Value) -> nw.Expr:
    """Return the whole part of a number, or of the number in a text: engines round otherwise."""
    # Engines round a half up, down or to even. Floor and ceiling cut everywhere; from 2^53 on a
    # float has no fraction, and the exact cast keeps all digits.
    exact = _lit(value)
    number = exact.cast(nw.Float64())
    part = nw.when(number < 0).then(number.ceil()).otherwise(number.floor())
    of_float = nw.when(number.abs() < _FLOAT_WHOLE).then(part.cast(nw.Int64()))
    return of_float.otherwise(exact.cast(nw.Int64()))


def _divided(dividend: Value, divisor: Value) -> Value:
    """Return a quotient, blank where engines divide by zero."""
    if not isinstance(divisor, nw.Expr):
        if divisor == 0:
            raise ZeroDivisionError("division by zero")
        return dividend / divisor
    # Engines disagree on x / 0 (null, infinity or an error), so the result is blank in all of them.
    return nw.when(divisor != 0).then(_lit(dividend) / divisor)


_COMPARED: Mapping[type, Callable[[Value, Value], Value]] = {
    ast.Eq: eq, ast.NotEq: ne, ast.Lt: lt, ast.LtE: le, ast.Gt: gt, ast.GtE: ge,
}  # fmt: skip
_COMPUTED: Mapping[type, Callable[[Value, Value], Value]] = {
    ast.Add: add, ast.Sub: sub, ast.Mult: mul, ast.Div: _divided,
}  # fmt: skip
_CALLS: Mapping[str, Callable[..., Value]] = {
    "coalesce": lambda *values: nw.coalesce(*map(_lit, values)),
    "end_of_day": end_of,
    "days": lambda number: timedelta(days=number),
    "hours": lambda number: timedelta(hours=number),
    "minutes": lambda number: timedelta(minutes=number),
    "moment": _moment,
    "time_in": lambda text, form: text.str.to_datetime(format=form),
    "number_in": _number_in,
    "whole": _whole,
    "text": lambda value: value.cast(nw.String()),
    "lower": lambda text: text.str.to_lowercase(),
    "part": lambda text, start, length: text.str.slice(start, length),
    "without": lambda text, sign: text.str.replace_all(sign, "", literal=True),
    "contains": lambda text, words: text.str.contains(words, literal=True),
    "matches": lambda text, pattern: text.str.contains(pattern),
    "rank": _misused_rank,
}
_TOTALS: Mapping[str, Callable[..., nw.Expr]] = {
    "min": lambda column: nw.col(column).min(),
    "max": lambda column: nw.col(column).max(),
    "count": lambda _: nw.len(),
}
_HINTS = {"=": "write == for 'equals'", "<>": "write != for 'differs'"}


def expression(text: str | nw.Expr) -> nw.Expr:
    """Parse an expression; one of narwhals is returned as it is.

    Args:
        text: Names of columns, numbers, text in quotation marks, ``None``; ``+ - * /``; ``==``,
            ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``is None``, ``in (...)``; ``and``, ``or``,
            ``not``; ``A if CONDITION else B``; and the functions of ``_CALLS``.

    Example:
        >>> expression("died == 1 and left is not None")
        col(died).__eq__(1).__and__(col(left).is_null().__invert__())
    """
    if isinstance(text, nw.Expr):
        return text
    try:
        return _lit(_value(_parsed(text).body, text))
    except (TypeError, ArithmeticError) as error:
        raise SettingError(f"'{text}' cannot be computed ({error})") from error


def total(text: str) -> tuple[str, nw.Expr | None]:
    """Parse a total over many rows, such as ``min(admitted)``.

    Returns:
        The name of the total, and its expression; an empty name where the text is an expression of
        one row.
    """
    node = _parsed(text).body
    # A total counts only as the outermost call: ``min(a) + 1`` is refused as an unknown function.
    called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
    if called not in _TOTALS:
        return "", expression(text)
    argument = node.args[0] if isinstance(node, ast.Call) and node.args else None
    if argument is None and called != "count":
        raise SettingError(f"'{text}': {called} needs a column, as in {called}(admitted)")
    return called, None if argument is None else _lit(_value(argument, text))


def totalled(name: str, column: str) -> nw.Expr:
    """Return the total with this name of a column."""
    return _TOTALS[name](column)


def columns_in(text: str) -> set[str]:
    """Return the columns that an expression reads."""
    # The name of a called function is a node of the same type as a column.
    tree = _parsed(text)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return {node.id for node in names if id(node) not in called}


def calls_of(name: str, text: str) -> list[tuple[str, str]]:
    """List the first arguments of the calls of a function in an expression, and these calls.

    Example:
        >>> calls_of("number_in", "number_in(value, ',') / 10")
        [('value', "number_in(value, ',')")]
    """
    calls = (node for node in ast.walk(_parsed(text)) if isinstance(node, ast.Call))
    calls = (node for node in calls if isinstance(node.func, ast.Name) and node.func.id == name)
    return [(ast.unparse(node.args[0]), ast.unparse(node)) for node in calls if node.args]


@cache
def _parsed(text: str) -> ast.Expression:
    try:
        # TOML's long texts have line breaks, which end an expression of Python.
        tree = ast.parse(" ".join(text.split()), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        hint = next((hint for sign, hint in _HINTS.items() if sign in text), "see docs/tables.md")
        message = error.msg if isinstance(error, SyntaxError) else error
        raise SettingError(f"'{text}' is not an expression ({message}): {hint}") from error
    # Level by level, as a recursion would overflow the stack that it guards.
    depth, level = 0, list[ast.AST]([tree])
    while level := list(chain.from_iterable(map(ast.iter_child_nodes, level))):
        depth += 1
    if depth > _DEEPEST:
        raise SettingError(
            f"'{text[:40]}...' has {depth} steps, one within the other; "
            f"expected {_DEEPEST} at most: derive a column for a part of it"
        )
    return tree


def _lit(value: Value) -> nw.Expr:
    return value if isinstance(value, nw.Expr) else nw.lit(value)


# What is not matched is refused: no attribute is read, and no name is called but those listed.
def _value(node: ast.AST, text: str) -> Value:  # noqa: C901, PLR0911, PLR0912 - a case for each form
    match node:
        case ast.Name(id=name):
            return nw.col(name)
        case ast.Constant(value=str() | int() | float() | None as value):
            return _bounded(value, text)
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return [_value(item, text) for item in items]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ~_lit(_value(operand, text))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, text)
        case ast.BoolOp(op=how, values=parts):
            joined = and_ if isinstance(how, ast.And) else or_
            return reduce(joined, [_lit(_value(part, text)) for part in parts])
        case ast.BinOp(op=how) if type(how) in _COMPUTED:
            sides = _value(node.left, text), _value(node.right, text)
            # Python would repeat a text that is multiplied by a number.
            if any(isinstance(side, str | list) for side in sides):
                raise TypeError("a text is not computed with")
            return _bounded(_COMPUTED[type(how)](*sides), text)
        case ast.Compare():
            return _compared(node, text)
        case ast.IfExp(test=test, body=body, orelse=rest):
            conditional = nw.when(_lit(_value(test, text))).then(_lit(_value(body, text)))
            # Without ``otherwise`` the rest is blank in the type of the first branch.
            if isinstance(rest, ast.Constant) and rest.value is None:
                return conditional
            return conditional.otherwise(_lit(_value(rest, text)))
        case ast.Call(func=ast.Name(id="rank"), args=[value, ast.Name(id=group)], keywords=[]):
            # A dense rank counts distinct values: equal values share a rank.
            return _lit(_value(value, text)).rank("dense").over(group).cast(nw.Int64())
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _called(name, [_value(argument, text) for argument in arguments], text)
    raise SettingError(
        f"'{text}': {ast.unparse(node)} is not allowed; expected columns, numbers, text, "
        f"comparisons, and, or, not, if-else and the functions {', '.join(sorted(_CALLS))}"
    )


def _bounded(value: Value, text: str) -> Value:
    """Check that a plain number is finite, and a whole one has 64 bits."""
    # A larger number would wrap around, or be infinite, in the engine and not here.
    if (isinstance(value, float) and not math.isfinite(value)) or (
        isinstance(value, int) and abs(value) > MOST_WHOLE
    ):
        raise SettingError(
            f"'{text[:80]}' holds a number that is too large; expected whole numbers of 64 bits, "
            "or finite numbers"
        )
    return value


def _compared(node: ast.Compare, text: str) -> nw.Expr:
    sides = [_value(side, text) for side in (node.left, *node.comparators)]
    comparisons: list[nw.Expr] = []
    # A chain such as ``a < b < c`` is two comparisons that must both hold, as in Python.
    for value, how, right in zip(sides, node.ops, sides[1:], strict=False):
        if isinstance(how, ast.In | ast.NotIn) and isinstance(right, list):
            is_listed = _lit(value).is_in(right)
            comparisons.append(is_listed if isinstance(how, ast.In) else ~is_listed)
        elif isinstance(how, ast.Is | ast.IsNot) and right is None:
            blank = _lit(value).is_null()
            comparisons.append(blank if isinstance(how, ast.Is) else ~blank)
        # In SQL ``== None`` is never true, so it is refused: the writer means ``is None``.
        elif type(how) in _COMPARED and right is not None:
            comparisons.append(_COMPARED[type(how)](_lit(value), right))
        else:
            raise SettingError(
                f"'{text}': {ast.unparse(node)} is not a comparison; expected ==, !=, <, <=, >, "
                ">=, in (...), is None or is not None"
            )
    return reduce(and_, comparisons)


def _called(name: str, arguments: list[Value], text: str) -> Value:
    if name not in _CALLS:
        raise SettingError(f"'{text}': {unknown_name('function', name, _CALLS)}")
    try:
        return _CALLS[name](*arguments)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise SettingError(f"'{text}': {name} does not accept these arguments ({error})") from error
