"""Strict conversion of numbers on the command line: 1.5 epochs are not 2."""

import re
from collections.abc import Sequence
from typing import Any

from cyclopts import Token, convert

_WHOLE = re.compile(r"[+-]?[0-9]+")


def as_written(type_: Any, tokens: Sequence[Token]) -> Any:
    """Convert an argument as cyclopts does, but accept only plain digits as whole numbers.

    For a whole number, cyclopts takes 1.5 for 2, 0x10 for 16 and 1_000 for 1000.
    """
    return convert(type_, tokens, converter=_converted)


def _converted(type_: Any, token: Any) -> Any:
    if type_ is int and not _WHOLE.fullmatch(token):
        raise ValueError(token)
    return convert(type_, [token])
