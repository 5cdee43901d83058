"""What is printed where a terminal or a file takes ASCII only: `uV` for `µV`, never an error."""

import codecs
import io
import sys
from unicodedata import normalize

_WORDS = {
    "µ": "u", "μ": "u", "×": "x", "·": "*", "−": "-", "–": "-", "—": "-", "≥": ">=", "≤": "<=",
    "≈": "~", "±": "+/-", "→": "->", "‘": "'", "’": "'", "“": '"', "”": '"', "│": "|", "─": "-",
    "━": "-", "∑": "sum", "⌊": "floor(", "⌋": ")", "⌈": "ceil(", "⌉": ")",
}  # fmt: skip


def ascii_of(text: str) -> str:
    """The nearest ASCII for each sign, `?` where there is none.

    Example:
        >>> ascii_of("≥ 5 µV, é, 10², 漢")
        '>= 5 uV, e, 102, ?'
    """
    return "".join(map(_ascii_of_sign, text))


def _ascii_of_sign(sign: str) -> str:
    if sign.isascii():
        return sign
    base = "".join(part for part in normalize("NFKD", sign) if part.isascii())
    return _WORDS.get(sign) or base or "?"


def print_plainly() -> None:
    """Let standard output and error print what their encoding lacks in other signs."""
    codecs.register_error("sequela", _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="sequela")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return ascii_of(error.object[error.start : error.end]), error.end
