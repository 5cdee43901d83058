"""Numbers of the command line are taken as they are written: 1.5 epochs are not 2."""

import re
from collections.abc import Sequence
from typing import Any

from cyclopts import Token, convert

_WHOLE = re.compile(r"[+-]?[0-9]+")


def as_written(type_: Any, tokens: Sequence[Token]) -> Any:
    """What cyclopts makes of an argument, but whole numbers in plain digits alone.

    It takes 1.5 for 2, 0x10 for 16 and 1_000 for 1000 where it expects a whole number.
    """
    return convert(type_, tokens, converter=_converted)


def _converted(type_: Any, token: Any) -> Any:
    if type_ is int and not _WHOLE.fullmatch(token):
        raise ValueError(token)
    return convert(type_, [token])
