"""Standard output and error: without passwords, and `uV` for `µV` where only ASCII is taken."""

import codecs
import io
import sys
from collections.abc import Callable
from functools import partial
from unicodedata import combining, normalize

from sequela.errors import without_passwords

_WORDS = {
    ord(sign): word
    for signs, word in (
        ("\N{MICRO SIGN}\N{GREEK SMALL LETTER MU}", "u"),
        ("\N{MULTIPLICATION SIGN}", "x"),
        ("\N{MIDDLE DOT}", "*"),
        ("\N{MINUS SIGN}\N{EN DASH}\N{EM DASH}", "-"),
        ("\N{BOX DRAWINGS LIGHT HORIZONTAL}\N{BOX DRAWINGS HEAVY HORIZONTAL}", "-"),
        ("\N{BOX DRAWINGS LIGHT VERTICAL}", "|"),
        ("\N{GREATER-THAN OR EQUAL TO}", ">="),
        ("\N{LESS-THAN OR EQUAL TO}", "<="),
        ("\N{ALMOST EQUAL TO}", "~"),
        ("\N{PLUS-MINUS SIGN}", "+/-"),
        ("\N{RIGHTWARDS ARROW}", "->"),
        ("\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}", "'"),
        ("\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}", '"'),
        ("\N{N-ARY SUMMATION}", "sum"),
        ("\N{LEFT FLOOR}", "floor("),
        ("\N{LEFT CEILING}", "ceil("),
        ("\N{RIGHT FLOOR}\N{RIGHT CEILING}", ")"),
    )
    for sign in signs
}
"""Signs that Unicode does not decompose into ASCII."""


def ascii_of(text: str) -> str:
    """Return the nearest ASCII for each sign, `?` where there is none.

    Example:
        >>> ascii_of("≥ 5 µV, é, 10², 漢")
        '>= 5 uV, e, 102, ?'
    """
    spelled = normalize("NFKD", text.translate(_WORDS))
    return "".join(sign if sign.isascii() else "" if combining(sign) else "?" for sign in spelled)


def print_plainly() -> None:
    """Let standard output and error hide passwords, and replace signs that their encoding lacks."""
    codecs.register_error("sequela", _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="sequela")
            if not isinstance(stream.write, partial):  # a second call changes nothing
                stream.write = partial(_write, stream.write)  # type: ignore[method-assign]


def _write(write: Callable[[str], int], text: str) -> int:
    write(without_passwords(text))
    return len(text)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return ascii_of(error.object[error.start : error.end]), error.end
